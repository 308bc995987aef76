"""What a selector says, before anything is looked up: "pst/table3:pst-t-in1k-1x1@sthv2"."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Selector:
    """A paper, and maybe one of its tables, a row of that table, a measurement of those rows."""

    paper: str
    table: str | None = None
    row: str | None = None
    measurement: str | None = None

    @classmethod
    def parse(cls, text: str) -> Selector:
        """The parts of "paper", "paper/table", "paper/table:row", each with or without "@measurement"."""
        place, at, measurement = text.partition("@")
        paper, slash, inside = place.partition("/")
        table, colon, row = inside.partition(":")
        return cls(paper, table if slash else None, row if colon else None, measurement if at else None)

    def __str__(self) -> str:
        parts = (("", self.paper), ("/", self.table), (":", self.row), ("@", self.measurement))
        return "".join(mark + part for mark, part in parts if part is not None)
