"""`vtbench list`: the rows, what is printed for them, and the keys of the training runs behind them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_scale, add_selectors, selected_rows
from vtbench.report.printing import print_rows
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.papers import Row

SUMMARY = "List rows with their printed numbers and the keys of their training runs"


def options(parser: Parser) -> None:
    """SEL, --format, --scale."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "paper")


def call(args: argparse.Namespace) -> int:
    """Print one line per row."""
    entries = [list_entry(row, args.scale) for row in selected_rows(args)]
    print_rows(entries, ("id", "label", "own", "status", "published", "trainings"), args.format)
    if args.format == "table":
        trainings = {key for entry in entries for key in entry["trainings"]}
        print(f"\n{len(entries)} rows, {len(trainings)} distinct training runs at {args.scale} scale")
    return 0


def list_entry(row: Row, scale: Scale) -> dict[str, Any]:
    """The row's entry in `vtbench list --format json`."""
    from vtbench.papers import measurements

    return {
        "id": row.id,
        "paper": row.paper,
        "table": row.table,
        "row": row.name,
        "label": row.label,
        "own": row.own,
        "published": {name: cell.text for name, cell in row.published.items()},
        "trainings": list(dict.fromkeys(m.evaluation.training.key for m in measurements(row, scale))),
        "status": row.status,
    }
