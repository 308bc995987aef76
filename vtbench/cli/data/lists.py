"""`vtbench data lists`: what is understood of the lists in a data set's folder."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_include, positive, settings_of
from vtbench.errors import DataError, UsageError, unknown
from vtbench.files import given_path
from vtbench.report.printing import print_json, print_rows, print_text

if TYPE_CHECKING:
    from vtbench.datasets.check.verify import SplitReport
    from vtbench.datasets.manifests import VideoFolder
    from vtbench.papers.datasets import Dataset
    from vtbench.run.settings import Settings

SUMMARY = "Show what is understood of a data set's lists, official ones or your own"
EXAMPLES = ("vtbench data lists sthv2 /datasets/something-v2", "vtbench data lists ucf101 --split 1 --write lists")
PAGED = True


def options(parser: Parser) -> None:
    """NAME FOLDER, --split, --write, --format, --include."""
    add_folder(parser)
    parser.add_argument("--write", metavar="DIR", help="write the lists as path,label to this folder, with full paths")
    add_format(parser)
    add_include(parser)


def add_folder(parser: Parser) -> None:
    """NAME, FOLDER and --split."""
    parser.add_argument("name", metavar="NAME", help="data set, a folder of data_manifests/")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="its folder; default: that of vtbench.yaml")
    parser.add_argument("--split", type=positive, metavar="N", help="official split; default: each")


def call(args: argparse.Namespace) -> int:
    """Print one line per list."""
    facts, settings = dataset_of(args), settings_of(args)
    lines: list[dict[str, Any]] = []
    for split, videos in folders(facts, args, settings):
        for report in reports(videos):
            lines.append(_line(split, report, videos))
            if args.write:
                names = facts.lists(split)
                name = (names.train if report.split == "train" else names.test)[0]
                _write(given_path(args.write, "--write") / f"{name}.csv", report)
    if args.format == "json":
        print_json(lines)
        return 0
    several = ("official_split",) if facts.about.splits > 1 else ()
    columns = (*several, "split", "videos", "there", "missing", "classes", "how", "lists")
    shown = [
        {**line, "classes": f"{line['classes']} of {facts.num_classes}", "lists": several_files(line["lists"])}
        for line in lines
    ]
    print_rows(shown, columns, args.format)
    if args.format == "table":
        example = next((line["example"] for line in lines if line["example"]), None)
        if example:
            print()
            print_text(f"for example {example['id']}: {example['path']}, label {example['label']}, {example['class']}")
        if args.write:
            print_text(f"written to {args.write}")
    return 0


def dataset_of(args: argparse.Namespace) -> Dataset:
    """The data set that NAME names. Raises UsageError for none, and for a synthetic one."""
    from vtbench.papers.datasets import dataset_names, load_dataset

    if args.name not in dataset_names():
        raise UsageError(unknown("data set", args.name, dataset_names()))
    facts = load_dataset(args.name)
    if facts.synthetic:
        raise UsageError(f"{args.name} is made by vtbench, with its lists")
    if facts.about.splits == 1 and args.split not in (None, 1):
        raise UsageError(f"--split {args.split}: {args.name} has one official split")
    if args.split is not None and args.split > facts.about.splits:
        raise UsageError(f"--split {args.split}: {args.name} has official splits 1 to {facts.about.splits}")
    return facts


def folders(facts: Dataset, args: argparse.Namespace, settings: Settings) -> Iterator[tuple[int | None, VideoFolder]]:
    """(official split, the folder with its lists) of each split that is asked for. Raises UsageError where no folder is
    given."""
    from vtbench.datasets.folders import FolderIndex
    from vtbench.datasets.manifests import VideoFolder

    root = given_path(args.folder, "FOLDER") if args.folder else settings.data.get(facts.name)
    if root is None:
        raise UsageError(f"give the folder of {facts.name}, here or as data: {{{facts.name}: PATH}} in vtbench.yaml")
    numbers = [args.split] if args.split else list(range(1, facts.about.splits + 1))
    walked, quarantine = FolderIndex(root), settings.quarantine(facts.name)
    for number in numbers if facts.about.splits > 1 else [None]:
        arguments = facts.video_arguments(number, None, None, whole=True)
        yield number, VideoFolder(walked.root, **arguments, quarantine=quarantine, walked=walked)


def reports(videos: VideoFolder) -> list[SplitReport]:
    """What is understood of the lists to train on and to test on. Raises DataError, of the first if it is of both."""
    from vtbench.datasets.check.verify import read_split

    return [read_split(videos, "train"), read_split(videos, "test")]


def _line(number: int | None, report: SplitReport, videos: VideoFolder) -> dict[str, Any]:
    first = next((entry for entry in report.entries if not entry.problem), None)
    names = videos.class_names
    example = first and {
        "id": first.video_id,
        "path": str(first.file),
        "label": first.label,
        "class": names[first.label] if names else f"class {first.label}",
    }
    return {
        "official_split": number,
        "split": report.split,
        "how": report.how,
        "lists": [str(path) for path in report.lists],
        "videos": len(report.entries),
        "there": report.there,
        "missing": len(report.missing),
        "classes": report.num_classes - len(report.empty_classes),
        "example": example,
    }


def several_files(paths: Sequence[str]) -> str:
    """The first, and how many more."""
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _write(file: Path, report: SplitReport) -> None:
    rows: Sequence[tuple[str, int]] = [(str(entry.file.absolute()), entry.label) for entry in report.entries]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(("path", "label"))
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}; give another folder") from error
