"""`vtbench list`: the tables, or their rows: what is printed, and the keys of the training runs behind them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vtbench.cli.options import Parser, add_format, add_results, add_scale, add_selectors, results_of, selected_rows
from vtbench.report.columns import Column
from vtbench.report.printing import plural, print_rows, print_table, print_text, text_column
from vtbench.scales import Scale, smallest_first

if TYPE_CHECKING:
    from vtbench.papers import Row
    from vtbench.papers.spec.schema import Table
    from vtbench.results.costs import CostBook
    from vtbench.results.store import Store

SUMMARY = "List tables, or rows with their printed numbers and the keys of their training runs"
EXAMPLES = ("vtbench list", "vtbench list msca/table1", "vtbench list all --format csv")
PAGED = True


def options(parser: Parser) -> None:
    """SEL, --format, --scale, --results."""
    add_selectors(parser, "default: a line per table in the formats table and md, all rows in json and csv")
    add_format(parser)
    add_scale(parser, "paper")
    add_results(parser)


def call(args: argparse.Namespace) -> int:
    """Print one line per row; without SEL, for readers, one per table."""
    rows = selected_rows(args)
    if not args.selectors and args.format in ("table", "md"):
        return _list_tables(rows, args)
    entries = [list_entry(row, args.scale) for row in rows]
    if args.format == "table":
        for place, members in groupby(entries, key=lambda entry: (entry["paper"], entry["table"])):
            table = _table(*place)
            print_text(f"{'/'.join(place)}: {table.caption}")
            print_table(_columns(table, list(members)), all_in="--format csv")
            print()
        trainings = {key for entry in entries for key in entry["trainings"]}
        print_text(
            f"{plural(len(entries), 'row')}, {plural(len(trainings), 'distinct training run')} at {args.scale} scale"
        )
    else:
        print_rows(entries, ("id", "label", "own", "status", "printed", "counted", "trainings"), args.format)
    return 0


# ---- tables ----------------------------------------------------------------------------------------------------------


def _list_tables(rows: Sequence[Row], args: argparse.Namespace) -> int:
    from vtbench.papers import measurements
    from vtbench.report.compare import rows_measured
    from vtbench.results.store import Store

    store = Store(results_of(args))
    measured = {scale: rows_measured(rows, store, scale) for scale in measured_scales(rows, store)}
    entries: list[dict[str, Any]] = []
    every: set[str] = set()
    for (paper, table), group in groupby(rows, key=lambda row: (row.paper, row.table)):
        members = list(group)
        keys = {m.evaluation.training.key for row in members for m in measurements(row, args.scale)}
        every |= keys
        trained = [row for row in members if row.status == "runnable"]
        entries.append(
            {
                "table": f"{paper}/{table}",
                "rows": len(members),
                "own": sum(row.own for row in members),
                "runs": len(keys),
                **{
                    scale: f"{sum(row.id in found for row in trained)}/{len(trained)}" if trained else ""
                    for scale, found in measured.items()
                },
                "caption": _table(paper, table).caption,
            }
        )
    columns = list(entries[0]) if entries else ["table"]
    print_rows(entries, columns, args.format, hide=["runs", "own"], all_in="--format md")
    if args.format == "table":
        results = f"{', '.join(measured)}: rows with results, of those that train" if measured else "no results yet"
        print()
        print_text(
            f"{plural(len(entries), 'table')}, {plural(len(rows), 'row')}; runs: distinct training runs at "
            f"{args.scale} scale, {len(every)} in all; {results}"
        )
        print_text("vtbench list TABLE shows the rows of a table, vtbench list all those of every table")
    return 0


def measured_scales(rows: Iterable[Row], store: Store) -> list[Scale]:
    """The scales at which results.csv has lines of these rows, smallest first."""
    ids = {row.id for row in rows}
    found = {record.scale for record in store.read() if record.id in ids}
    return [scale for scale in smallest_first() if scale in found]


# ---- rows ------------------------------------------------------------------------------------------------------------


def _columns(table: Table, entries: Sequence[dict[str, Any]]) -> list[Column]:
    """The rows of one table: its own columns in its own order, between what names a row and what is behind it."""
    from vtbench.metrics import always_measured

    top = always_measured()[0]
    metrics = {column.heading: column.metrics for column in table.columns}
    printed = list(dict.fromkeys(heading for entry in entries for heading in entry["printed"]))
    counted = list(dict.fromkeys(name for entry in entries for name in entry["counted"]))
    made = [text_column("id", [entry["id"] for entry in entries], rank=0)]
    made.append(text_column("label", [entry["label"] for entry in entries], rank=2))
    for heading in printed:
        cells = [entry["printed"].get(heading, "") for entry in entries]
        rank = 1 if any(name.endswith(top) for name in metrics.get(heading, (heading,))) else 3
        made.append(text_column(heading, cells, rank=rank, group="printed" if counted else ""))
    for name in counted:
        cells = [f"{entry['counted'][name]:.2f}" if name in entry["counted"] else "" for entry in entries]
        made.append(text_column(name, cells, rank=6, group="counted"))
    status = [_status(entry["status"], entry["own"]) for entry in entries]
    made.append(text_column("status", status, rank=5))
    made.append(text_column("training runs", [" ".join(entry["trainings"]) for entry in entries], rank=4))
    return made


def _status(status: str, own: bool) -> str:
    if own:
        return status
    return "quoted" if status == "published-only" else f"quoted, {status}"


def _table(paper: str, name: str) -> Table:
    from vtbench.papers import load_paper

    return next(table for table in load_paper(paper).tables if table.name == name)


@cache
def book() -> CostBook:
    """The recorded costs, with the results folder of vtbench.yaml."""
    from vtbench.report.counted import recorded_costs
    from vtbench.run.settings import load_settings

    return recorded_costs(load_settings().results)


def printed_cells(row: Row) -> dict[str, str]:
    """Heading -> the row's cell, in the order of the printed table; where a table does not say its columns, what the
    row has."""
    table = _table(row.paper, row.table)
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
