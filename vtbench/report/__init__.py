"""Published and measured numbers side by side, from specs and results alone. No torch.

- `statistics`: intervals, and the rule that makes a verdict of them
- `compare`: rows and records to comparisons
- `terminal`: comparisons drawn for a terminal, as Markdown, CSV or JSON
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from vtbench.report.compare import compare
from vtbench.report.statistics import TOLERANCE
from vtbench.report.terminal import as_csv, as_json, as_markdown, draw
from vtbench.results.store import Store
from vtbench.spec.schema import Row, Scale

SCALES: tuple[Scale, ...] = ("smoke", "mini", "paper")


def report(
    rows: Sequence[Row],
    results: Path,
    scale: Scale | None = None,
    form: str = "table",
    *,
    tolerance: float = TOLERANCE,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Rows against the results folder as text. `form` is `table`, `md`, `csv` or `json`.

    Without a `scale`, `json` and `csv` have every scale, `table` and `md` those with results (mini if there are none).
    `width` and `colour` are the terminal's, for `table`. Raises ResultsError when results.csv is not in order.
    """
    store = Store(results)
    if scale is not None:
        scales: tuple[Scale, ...] = (scale,)
    elif form in ("json", "csv"):
        scales = SCALES
    else:
        ids = {row.id for row in rows}
        present = {record.scale for record in store.read() if record.id in ids}
        scales = tuple(scale for scale in SCALES if scale in present) or ("mini",)
    comparisons = {scale: compare(rows, store, scale, tolerance) for scale in scales}
    if form == "json":
        return as_json([one for scale in scales for one in comparisons[scale]])
    if form == "csv":
        return as_csv([one for scale in scales for one in comparisons[scale]])
    if form == "md":
        return as_markdown(comparisons, tolerance=tolerance)
    return draw(comparisons, tolerance=tolerance, width=width, colour=colour)


def print_report(rows: Sequence[Row], results: Path, scale: Scale | None = None, form: str = "table") -> int:
    """`report`, printed for the terminal at hand; gives the exit code."""
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns
    text = report(rows, results, scale, form, width=width, colour=on_terminal)
    encoding = sys.stdout.encoding or "utf-8"  # a terminal without ± and lines shall show "?", not a traceback
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    return 0
