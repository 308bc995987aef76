"""`vtbench predict`: videos in, class names out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_format,
    add_include,
    add_results,
    add_scale,
    add_weights,
    one_row,
    settings_of,
    whole_number,
)
from vtbench.files import given_path
from vtbench.report.printing import print_json, print_rows, print_text

SUMMARY = "Classify video files by a row's network and test protocol"
EXAMPLES = (
    "vtbench predict msca/table2:msca-kv data/cycle-65cf127e/validation/00000.mp4",
    "vtbench predict msca/table2:msca-kv holiday.mp4 --scale paper --checkpoint msca_kv.pth",
)


def options(parser: Parser) -> None:
    """ROW, FILE ..., --scale, --seed, --checkpoint, --variant, --set, --results, --weights, --format."""
    parser.add_argument("row", metavar="ROW", help="paper/table:row, with @measurement where it has several")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video file, or a folder of numbered JPEG frames")
    add_include(parser)
    add_format(parser)
    add_scale(parser, "mini")
    parser.add_argument("--seed", type=whole_number, default=0, metavar="N", help="of the row's training; default: 0")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="weights, as `vtbench eval` takes them; default: those of the row's own training in the results folder",
    )
    add_changes(parser)
    add_results(parser)
    add_weights(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per video; 1 if any could not be read."""
    row = one_row(args.row, args.variant, args.set)
    checkpoint = given_path(args.checkpoint, "--checkpoint") if args.checkpoint else None
    from vtbench.papers.datasets import load_dataset
    from vtbench.report.predictions.tested import class_names
    from vtbench.run.predict import predict
    from vtbench.run.protocol import only_measurement_of

    measurement = only_measurement_of(row, args.scale, args.seed)
    found = predict(measurement, [Path(file) for file in args.files], settings_of(args), checkpoint)
    names = class_names(load_dataset(measurement.evaluation.data.dataset))
    entries: list[dict[str, Any]] = [
        {
            "file": str(video.file),
            "classes": [{"class": g.label, "name": names[g.label], "score": g.score} for g in video.guesses],
            "views": video.views,
            "note": video.note,
            "error": video.error,
        }
        for video in found.videos
    ]
    for entry in entries:
        if entry["error"]:
            print_message(entry["error"])
    if args.format == "json":
        print_json(entries)
    elif args.format == "csv":
        lines = [_line(entry) for entry in entries]
        print_rows(lines, tuple(lines[0]), "csv")
    elif read := [entry for entry in entries if not entry["error"]]:
        print_rows([_short(entry) for entry in read], ("file", "class", "score", "then"), args.format)
        for entry in read:
            if entry["note"]:
                print()
                print_text(f"{entry['file']}: {entry['note']}")
        of = f"{measurement.row_id}@{measurement.name}" if measurement.name != "main" else measurement.row_id
        print()
        print_text(
            f"{of} at {args.scale} scale, {read[0]['views']} views of each video; weights {found.weights} "
            f"(SHA-256 {found.weights_sha256[:8]})"
        )
    return 1 if any(entry["error"] for entry in entries) else 0


def _short(entry: dict[str, Any]) -> dict[str, str]:
    first, *others = entry["classes"]
    then = ", ".join(f"{one['name']} {one['score']:.3f}" for one in others)
    return {"file": entry["file"], "class": first["name"], "score": f"{first['score']:.3f}", "then": then}


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    from vtbench.results.scores import BEST

    line: dict[str, Any] = {"file": entry["file"]}
    for k in range(BEST):
        one = entry["classes"][k] if k < len(entry["classes"]) else {}
        line |= {f"{what}{k + 1}": one.get(what) for what in ("class", "name", "score")}
    return {**line, **{name: entry[name] for name in ("views", "note", "error")}}
