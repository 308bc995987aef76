"""A drawn table: heading, columns of cells, and what has to be said below. `about` says what a column holds, so that a
reader of the drawing can be shown where each of its numbers comes from (vtbench.report.page)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

LABEL = "label"

Holds = Literal[
    "row", "label", "printed", "counted", "measured", "seeds", "difference", "delta", "alike", "verdict",
    "over", "printed ratio", "ratio",
]  # fmt: skip
"""What a column holds. `difference` is to the reference row, `over` the row that a ratio is to."""


@dataclass
class Column:
    """A column of the drawing. In a narrow terminal the columns with the highest `rank` are left out first."""

    header: tuple[str, str]
    rank: int
    right: bool = True
    cells: list[str] = field(default_factory=list)
    holds: Holds = "label"
    of: str = ""
    """Of a measured or counted number the name under which the row prints it, of a printed cell its heading, of a
    difference `printed` or `measured`."""


@dataclass
class Sheet:
    """One printed table at one scale: heading, columns of equally many cells, and what has to be said below."""

    title: str
    warning: str | None
    columns: list[Column]
    chance: list[str]
    verdicts: list[str]
    notes: list[str]
    place: tuple[str, str] | None = None
    """Device and precision, of measured speed and memory."""
