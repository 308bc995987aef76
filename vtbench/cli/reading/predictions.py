"""`vtbench predictions`: what one result says of each of its test videos."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from typing import Any

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_include,
    add_results,
    add_scale,
    one_row,
    results_of,
    whole_number,
)
from vtbench.errors import ResultsError, UsageError, escaped, printable
from vtbench.files import given_path

SUMMARY = "Write what was predicted for each test video of a row, as CSV or parquet"
EXAMPLES = (
    "vtbench predictions msca/table2:msca-kv --seed 1",
    "vtbench predictions msca/table2:msca-kv --output msca-kv.parquet",
)


def options(parser: Parser) -> None:
    """ROW, --scale, --seed, --variant, --set, --results, --output."""
    parser.add_argument("row", metavar="ROW", help="paper/table:row, with @measurement where it has several")
    add_include(parser)
    add_scale(parser, "mini")
    parser.add_argument("--seed", type=whole_number, default=0, metavar="N", help="default: 0")
    add_results(parser)
    add_changes(parser)
    parser.add_argument("--output", metavar="FILE", help="a file .csv or .parquet; default: CSV to the screen")


def call(args: argparse.Namespace) -> int:
    """Print or write one line per video."""
    target = given_path(args.output, "--output") if args.output else None
    if target is not None and target.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--output {args.output}: the name must end in .csv or .parquet")
    from vtbench.report.predictions.pair import side
    from vtbench.report.predictions.videos import COLUMNS, video_lines, write_parquet

    results = results_of(args)
    asked = side(one_row(args.row, args.variant, args.set), args.scale, results, seeds=[args.seed])
    if asked.unchanged:
        print_message(asked.unchanged)
    found = asked.tested
    if lacking := found.lacking(results):
        raise ResultsError(lacking[0])
    lines = video_lines(found, found.seeds[0])
    if target is None or target.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
        if target is None:
            sys.stdout.write("".join(f"{escaped(line)}\n" for line in text.getvalue().split("\n")[:-1]))
        else:
            target.write_text(text.getvalue(), encoding="utf-8")
    else:
        write_parquet(lines, target)
    if target is not None:
        print(printable(f"{target}: {len(lines)} videos of {found.title}, seed {args.seed}"))
    return 0


def _cell(value: Any) -> Any:
    """Truth as JSON writes it, scores at seven digits, which float32 has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.7g}" if isinstance(value, float) else value
