"""Published and measured numbers side by side, from specs and results alone. No torch.

- `statistics`: intervals, and the rule that makes a verdict of them
- `compare`: rows and records to comparisons
- `speed`: rows and the lines of speed.csv to ratios of latency, throughput and memory
- `terminal`: both drawn for a terminal, as Markdown, CSV or JSON
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vtbench.papers.schema import Row
from vtbench.papers.select import select
from vtbench.papers.selector import Selector
from vtbench.report.compare import compare
from vtbench.report.speed import speeds
from vtbench.report.statistics import TOLERANCE
from vtbench.report.terminal import as_csv, as_json, as_markdown, draw
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
    under = rows_outside(rows) if outside else {}
    rows = _placed(rows, under)

    def present(records: Iterable[Record | SpeedRecord], otherwise: Scale) -> tuple[Scale, ...]:
        if scale is not None:
            return (scale,)
        if form in ("json", "csv"):
            return smallest_first()
        ids = {row.id for row in rows}
        there = {record.scale for record in records if record.id in ids}
        return tuple(scale for scale in smallest_first() if scale in there) or (otherwise,)

    comparisons = {
        scale: [replace(c, under=under.get(c.row.id)) for c in compare(rows, store, scale, tolerance)]
        for scale in present(store.read(), "mini")
    }
    measured = {scale: speeds(rows, speed_store, scale) for scale in present(speed_store.read(), "paper")}
    if form == "json":
        return as_json(comparisons, measured)
    if form == "csv":
        return as_csv(comparisons, measured)
    if form == "md":
        return as_markdown(comparisons, measured, tolerance=tolerance)
    return draw(comparisons, measured, tolerance=tolerance, width=width, colour=colour)


def rows_outside(rows: Sequence[Row]) -> dict[str, str]:
    """The rows of any folder that are `like` one of these: id -> the table (paper/table) that it belongs under."""
    ids = {row.id for row in rows}
    found = {}
    for row in select():
        place = Selector.parse(row.like or "")
        if row.like and row.id not in ids and f"{place.paper}/{place.table}:{place.row}" in ids:
            found[row.id] = f"{place.paper}/{place.table}"
    return found


def _placed(rows: Sequence[Row], under: Mapping[str, str]) -> list[Row]:
    """The rows, and behind the last one of each table those that are shown under it."""
    placed = list(rows)
    for row in select(list(under)) if under else ():
        tables = [under.get(other.id, f"{other.paper}/{other.table}") for other in placed]
        placed.insert(len(tables) - tables[::-1].index(under[row.id]), row)
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
