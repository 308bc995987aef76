"""Published and measured numbers side by side, from specs and results alone, as text in one of the formats."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vtbench.papers.load import paper_names, read_paper
from vtbench.papers.selector import Selector
from vtbench.papers.spec.schema import Row
from vtbench.report.compare import compare_rows
from vtbench.report.machine import as_csv, as_json
from vtbench.report.ratios import compare_speeds
from vtbench.report.statistics import TOLERANCE
from vtbench.report.text import as_markdown, draw
from vtbench.results.record import Record, SpeedRecord
from vtbench.results.store import SpeedStore, Store
from vtbench.scales import Scale, smallest_first


def report(
    rows: Sequence[Row],
    results: Path,
    scale: Scale | None = None,
    form: str = "table",
    *,
    outside: bool = False,
    tolerance: float = TOLERANCE,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Rows against the results folder as text. `form` is `table`, `md`, `csv` or `json`. `outside` adds, below each
    table, the rows of other folders that are `like` one of its rows.

    Without a `scale`, `json` and `csv` have every scale, `table` and `md` those with results (mini if there are none;
    of speed and memory those measured, else the printed ratios). `width` and `colour` are the terminal's, for `table`.
    Raises ResultsError when results.csv or speed.csv is not in order.
    """
    store, speed_store = Store(results), SpeedStore(results)
    placed = _placed(rows, rows_outside(rows) if outside else [])
    if form in ("json", "csv"):  # an array of rows, not of tables: each once
        placed = list({row.id: (row, under) for row, under in reversed(placed)}.values())[::-1]
    rows = [row for row, _ in placed]

    def present(records: Iterable[Record | SpeedRecord], otherwise: Scale) -> tuple[Scale, ...]:
        if scale is not None:
            return (scale,)
        if form in ("json", "csv"):
            return smallest_first()
        ids = {row.id for row in rows}
        there = {record.scale for record in records if record.id in ids}
        return tuple(scale for scale in smallest_first() if scale in there) or (otherwise,)

    comparisons = {
        scale: [
            replace(comparison, under=under)
            for comparison, (_, under) in zip(compare_rows(rows, store, scale, tolerance), placed, strict=True)
        ]
        for scale in present(store.read(), "mini")
    }
    ratios = {scale: compare_speeds(rows, speed_store, scale) for scale in present(speed_store.read(), "paper")}
    if form == "json":
        return as_json(comparisons, ratios)
    if form == "csv":
        return as_csv(comparisons, ratios)
    if form == "md":
        return as_markdown(comparisons, ratios, tolerance=tolerance)
    return draw(comparisons, ratios, tolerance=tolerance, width=width, colour=colour)


def rows_outside(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The rows of any folder that are `like` one of these, maybe by way of others, each with the table (paper/table)
    that it belongs under. Papers with a problem are passed over."""
    read = [(paper, problems) for paper, problems in map(read_paper, paper_names()) if paper is not None]
    every = {row.id: row for paper, _ in read for row in paper.rows}
    asked = {row.id for row in rows}
    found = []
    for row in (row for paper, problems in read if not problems for row in paper.rows):
        printed = row
        while printed.like:
            place = Selector.parse(printed.like)
            printed = every[f"{place.paper}/{place.table}:{place.row}"]
        if printed is not row and printed.id in asked:
            found.append((row, f"{printed.paper}/{printed.table}"))
    return found


def _placed(rows: Sequence[Row], under: Sequence[tuple[Row, str]]) -> list[tuple[Row, str | None]]:
    """The rows, and behind the last one of each table those that are shown under it."""
    placed: list[tuple[Row, str | None]] = [(row, None) for row in rows]
    for row, table in under:
        tables = [shown_under or f"{other.paper}/{other.table}" for other, shown_under in placed]
        placed.insert(len(tables) - tables[::-1].index(table), (row, table))
    return placed


def print_report(
    rows: Sequence[Row], results: Path, scale: Scale | None = None, form: str = "table", *, outside: bool = False
) -> int:
    """`report`, printed for the terminal at hand; gives the exit code."""
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    text = report(rows, results, scale, form, outside=outside, width=width, colour=on_terminal)
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without ± and lines shall show "?", not a traceback
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    return 0
