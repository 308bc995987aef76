"""`vtbench report`: printed and measured numbers side by side, from specs and results alone."""

from __future__ import annotations

import argparse

from vtbench.cli.options import (
    Parser,
    add_changes,
    add_format,
    add_results,
    add_selectors,
    one_of,
    selected_rows,
    settings_of,
)
from vtbench.scales import smallest_first

SUMMARY = "Compare measured numbers with the printed ones"
EXAMPLES = ("vtbench report laps/table1", "vtbench report pst --scale mini --format md")
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --with-outside, --results."""
    add_selectors(parser)
    add_format(parser)
    which = "default: every scale for json and csv, every measured one for table and md"
    parser.add_argument("--scale", **one_of("scale", smallest_first()), help=f"only this scale; {which}")
    parser.add_argument(
        "--with-outside",
        action="store_true",
        help="add, below each table, the rows of included folders that are `like` one of its rows",
    )
    parser.add_argument(
        "--with-variants",
        action="store_true",
        help="add, below each row, what was measured of it with --variant or --set",
    )
    add_results(parser)
    add_changes(parser)


def call(args: argparse.Namespace) -> int:
    """Print the report."""
    rows, settings = selected_rows(args), settings_of(args)
    from vtbench.report.report import print_report

    return print_report(
        rows, settings.results, args.scale, args.format, outside=args.with_outside, variants=args.with_variants
    )
