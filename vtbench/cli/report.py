"""`vtbench report`: printed and measured numbers side by side, from specs and results alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.cli.messages import print_message
from vtbench.cli.options import (
    Parser,
    add_changes,
    add_format,
    add_results,
    add_selectors,
    one_of,
    positive,
    results_of,
    selected_rows,
)
from vtbench.errors import UsageError, few
from vtbench.report.printing import print_text
from vtbench.scales import smallest_first

if TYPE_CHECKING:
    from vtbench.papers import Row

SUMMARY = "Compare measured numbers with the printed ones"
EXAMPLES = (
    "vtbench report laps/table1",
    "vtbench report pst --scale mini --format md",
    "vtbench report msca/table2 --confusion 5",
    "vtbench report --html report.html --open",
)
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --with-outside, --with-variants, --per-class, --confusion, --html, --open, --results."""
    add_selectors(parser)
    add_format(parser, "latex")
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
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--per-class", action="store_true", help="in place of the tables, accuracy by class over the seeds of each row"
    )
    instead.add_argument(
        "--confusion",
        type=_pairs,
        nargs="?",
        const=10,
        metavar="N",
        help="in place of the tables, the N pairs of classes that each row confused most; default: 10",
    )
    instead.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="in place of the tables, one page that needs nothing but itself: tables, figures, claims, provenance",
    )
    parser.add_argument("--open", action="store_true", help="with --html: show the page in the browser")
    add_results(parser)
    add_changes(parser)


def _pairs(text: str) -> int:
    """The N of --confusion, as an argparse type: as `positive`, for which a row behind the option is taken."""
    if text[:1].isalpha():
        remedy = f"give the rows before --confusion, as `vtbench report {text} --confusion`"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pairs; {remedy}")
    return positive(text)


def call(args: argparse.Namespace) -> int:
    """Print the report."""
    if args.open and args.html is None:
        raise UsageError("--open shows a page; name its file, as --html report.html --open")
    if (args.per_class or args.confusion) and args.format == "latex":
        raise UsageError("--format latex is for tables: give table, json, csv or md for classes")
    rows, results = selected_rows(args), results_of(args)
    if args.html is not None:
        return _page(args, rows, results)
    if args.per_class or args.confusion:
        return _by_class(rows, results, args)
    from vtbench.report.origin import of_no_row
    from vtbench.report.report import print_report
    from vtbench.results.store import Store

    store = Store(results)
    if unknown := of_no_row(rows, store):
        print_message(
            f"{store.path}: has lines of {len(unknown)} rows that no spec has: {few(unknown)}; they "
            "were renamed or removed, or their folder is not included (--include DIR)"
        )
    return print_report(rows, store, args.scale, args.format, outside=args.with_outside, variants=args.with_variants)


def _page(args: argparse.Namespace, rows: Sequence[Row], results: Path) -> int:
    """Write the page, and say where it is."""
    other = {
        "--with-outside": args.with_outside,
        "--with-variants": args.with_variants,
        "--variant": args.variant,
        "--set": args.set,
        f"--format {args.format}": args.format != "table",
    }
    if given := [option for option, value in other.items() if value]:
        raise UsageError(f"{given[0]} is not for the page; leave it out, or --html")
    from vtbench.report.page.page import write_page

    size = write_page(rows, results, args.html, args.scale)
    print_text(f"{args.html}: {size / 1e6:.1f} MB, {len(rows)} rows")
    if args.open:
        import webbrowser

        webbrowser.open(args.html.resolve().as_uri())
    return 0


def _by_class(rows: Sequence[Row], results: Path, args: argparse.Namespace) -> int:
    """Print --per-class or --confusion."""
    from vtbench.report.predictions.printed import print_classes, print_confusion
    from vtbench.report.report import with_variants
    from vtbench.results.store import Store

    if args.with_variants:
        rows = with_variants(rows, Store(results))
    if args.per_class:
        return print_classes(rows, results, args.scale, args.format)
    return print_confusion(rows, results, args.scale, args.format, args.confusion)
