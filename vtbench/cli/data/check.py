"""`vtbench data check`: the lists of a data set against its folder, and every file decoded where that is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vtbench.cli.data.lists import add_folder, dataset_of, folders, reports, several_files
from vtbench.cli.messages import print_message
from vtbench.cli.options import Parser, add_include, add_missing, add_results, one_of, positive, settings_of
from vtbench.errors import few
from vtbench.report.printing import print_json, print_text

if TYPE_CHECKING:
    from vtbench.datasets.check.verify import SplitReport
    from vtbench.datasets.manifests import Entry, VideoFolder
    from vtbench.papers.datasets import Dataset
    from vtbench.run.settings import Settings

SUMMARY = "Hold a data set's lists against its folder; with --decode, decode every file"
EXAMPLES = ("vtbench data check ucf101 /datasets/ucf101", "vtbench data check ucf101 --decode --workers 4")

FEW = 5
"""Names that are shown of many."""


def options(parser: Parser) -> None:
    """NAME FOLDER, --split, --decode, --workers, --missing, --results, --format, --include."""
    add_folder(parser)
    parser.add_argument(
        "--decode",
        action="store_true",
        help="decode every listed video from its first frame to its last; resumes if interrupted. Files that cannot be "
        "decoded are written to a quarantine file below --results, and no training or test uses them",
    )
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes of --decode; default: 1")
    add_missing(parser)
    parser.add_argument("--format", **one_of("format", ("table", "json")), default="table", help="output format")
    add_results(parser)
    add_include(parser)


def call(args: argparse.Namespace) -> int:
    """Print what fits and what does not; exit code 1 where a training or a test would be refused."""
    facts, settings = dataset_of(args), settings_of(args)
    found = [(number, videos, reports(videos)) for number, videos in folders(facts, args, settings)]
    scanned: dict[str, Any] | None = None
    if args.decode:
        scanned = _decode(facts, [report for _, _, both in found for report in both], settings, args.workers)
        found = [(number, videos, reports(videos)) for number, videos, _ in found]  # with the quarantine as it is now
    checked = [_checked(facts, number, both, settings) for number, _, both in found]
    extra = _extra(found)
    refused = sum(len(one["refused"]) for one in checked)
    if args.format == "json":
        print_json({"data_set": facts.name, "splits": checked, "extra": extra, "decoded": scanned})
    else:
        for one in checked:
            _show(one, facts)
        print_text(f"in the folder and in no list: {len(extra)} videos{_few(extra)}")
        if scanned:
            _show_scan(scanned)
        print("nothing keeps it from being used" if not refused else f"{refused} things keep it from being used")
    return 1 if refused else 0


def _checked(facts: Dataset, number: int | None, both: Sequence[SplitReport], settings: Settings) -> dict[str, Any]:
    """What was found of an official split, in plain values."""
    from vtbench.datasets.check.verify import overlap

    train, test = both
    shared = overlap(train, test)
    refused = [
        f"{len(report.missing) + len(report.quarantined)} of {len(report.entries)} videos to {report.split} on cannot "
        f"be used, above the share of {settings.missing:g} (--missing)"
        for report in both
        if len(report.missing) + len(report.quarantined) > settings.missing * len(report.entries)
    ]
    if shared:
        refused.append(f"{len(shared)} videos are in both lists{_few(shared)}")
    if test.repeated:
        refused.append(f"{len(test.repeated)} videos to test on are listed twice{_few(test.repeated)}")
    if train.contradicting:
        refused.append(f"{len(train.contradicting)} videos to train on have two labels{_few(train.contradicting)}")
    return {
        "official_split": number,
        **{report.split: _split(report, facts) for report in both},
        "in_both": shared,
        "refused": refused,
    }


def _split(report: SplitReport, facts: Dataset) -> dict[str, Any]:
    classes = facts.classes
    empty = [classes[label] if classes else str(label) for label in report.empty_classes]
    return {
        "how": report.how,
        "lists": [str(path) for path in report.lists],
        "videos": len(report.entries),
        "known": facts.num_videos(report.split),
        "there": report.there,
        "missing": [entry.video_id for entry in report.missing],
        "quarantined": {entry.video_id: entry.problem for entry in report.quarantined},
        "classes_without_videos": empty,
        "listed_twice": report.repeated,
        "with_two_labels": report.contradicting,
    }


def _extra(found: Sequence[tuple[int | None, VideoFolder, Sequence[SplitReport]]]) -> list[str]:
    from vtbench.datasets.check.verify import extra_videos

    return extra_videos(found[0][1], [report for _, _, both in found for report in both])


def _decode(facts: Dataset, both: Sequence[SplitReport], settings: Settings, workers: int) -> dict[str, Any]:
    """Decode every listed video once, and put those that fail in quarantine."""
    from rich.console import Console
    from rich.progress import Progress

    from vtbench.datasets.check.scan import scan
    from vtbench.datasets.quarantine import Quarantined, read_quarantine

    entries: dict[str, Entry] = {entry.video_id: entry for report in both for entry in report.entries}
    file, quarantine = settings.scan(facts.name), settings.quarantine(facts.name)
    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task("decode", total=None)
        results = scan(
            list(entries.values()),
            file,
            workers=workers,
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
    bad = [Quarantined(one.file, one.size, one.changed, one.problem) for one in results if one.problem]
    read_quarantine(quarantine).with_scanned((one.file for one in results), bad).write(quarantine)
    for broken in bad[:FEW]:
        print_message(f"{broken.file}: {broken.reason}")
    codings: dict[str, int] = {}
    for one in results:
        codings[one.coding or "unknown"] = codings.get(one.coding or "unknown", 0) + 1
    return {
        "videos": len(results),
        "frames": sum(one.frames for one in results),
        "broken": {one.file: one.reason for one in bad},
        "codings": dict(sorted(codings.items(), key=lambda pair: -pair[1])),
        "quarantine": str(quarantine),
    }


# ---- as text ---------------------------------------------------------------------------------------------------------


def _few(names: Sequence[str]) -> str:
    """ " (a, b, ...)", nothing for none."""
    return f" ({few(names, most=FEW)})" if names else ""


def _show(one: dict[str, Any], facts: Dataset) -> None:
    from vtbench.report.compare import COVERAGE

    if one["official_split"]:
        print_text(f"official split {one['official_split']}")
    for split in ("train", "test"):
        part = one[split]
        lists = several_files(part["lists"])
        print_text(
            f"{split}: {part['videos']} videos in {lists} ({part['how']}); the data set has about {part['known']}"
        )
        usable = part["there"] - len(part["quarantined"])
        short = ", too few for a comparison with print" if usable < COVERAGE * part["known"] else ""
        print_text(f"there: {part['there']}; missing: {len(part['missing'])}{_few(part['missing'])}{short}", "  ")
        if part["quarantined"]:
            print_text(f"in quarantine: {len(part['quarantined'])}{_few(list(part['quarantined']))}", "  ")
        empty = part["classes_without_videos"]
        lacking = f"; none of {len(empty)}{_few(empty)}" if empty else ""
        print_text(f"classes with videos: {facts.num_classes - len(empty)} of {facts.num_classes}{lacking}", "  ")
        for key, text in (
            ("listed_twice", "listed twice"),
            ("with_two_labels", "with two labels"),
        ):
            if part[key]:
                print_text(f"{text}: {len(part[key])}{_few(part[key])}", "  ")
    print_text(f"in both lists: {len(one['in_both'])}{_few(one['in_both'])}")
    for reason in one["refused"]:
        print_text(f"refused: {reason}")


def _show_scan(found: dict[str, Any]) -> None:
    print_text(f"decoded: {found['videos']} videos, {found['frames']} frames; broken: {len(found['broken'])}")
    for coding, count in list(found["codings"].items())[:FEW]:
        print_text(f"{count} x {coding}", "  ")
    print_text(f"quarantine file: {found['quarantine']}")
