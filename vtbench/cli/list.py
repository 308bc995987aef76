"""`vtbench list`: the rows, what is printed for them, and the keys of the training runs behind them."""

from __future__ import annotations

import argparse
from functools import cache
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_scale, add_selectors, selected_rows
from vtbench.report.printing import print_rows
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.papers import Row
    from vtbench.results.costs import CostBook

SUMMARY = "List rows with their printed numbers and the keys of their training runs"


def options(parser: Parser) -> None:
    """SEL, --format, --scale."""
    add_selectors(parser)
    add_format(parser)
    add_scale(parser, "paper")


def call(args: argparse.Namespace) -> int:
    """Print one line per row."""
    entries = [list_entry(row, args.scale) for row in selected_rows(args)]
    print_rows(entries, ("id", "label", "own", "status", "printed", "counted", "trainings"), args.format)
    if args.format == "table":
        trainings = {key for entry in entries for key in entry["trainings"]}
        print(f"\n{len(entries)} rows, {len(trainings)} distinct training runs at {args.scale} scale")
    return 0


@cache
def book() -> CostBook:
    """The recorded costs, with the results folder of vtbench.yaml."""
    from vtbench.report.counted import recorded_costs
    from vtbench.run.settings import load_settings

    return recorded_costs(load_settings().results)


def printed_cells(row: Row) -> dict[str, str]:
    """Heading -> the row's cell, in the order of the printed table; where a table does not say its columns, what the
    row has."""
    from vtbench.papers import load_paper

    table = next(table for table in load_paper(row.paper).tables if table.name == row.table)
    if not table.columns:
        return {**row.printed, **{name: cell.text for name, cell in row.published.items()}}
    return {column.heading: text for column in table.columns if (text := column.text(row))}


def list_entry(row: Row, scale: Scale) -> dict[str, Any]:
    """The row's entry in `vtbench list --format json`."""
    from vtbench.papers import measurements
    from vtbench.report.counted import counted_cells

    return {
        "id": row.id,
        "paper": row.paper,
        "table": row.table,
        "row": row.name,
        "label": row.label,
        "own": row.own,
        "published": {name: cell.text for name, cell in row.published.items()},
        "printed": printed_cells(row),
        "counted": {name: round(found.measured, 4) for name, found in counted_cells(row, book()).items()},
        "trainings": list(dict.fromkeys(m.evaluation.training.key for m in measurements(row, scale))),
        "status": row.status,
    }
