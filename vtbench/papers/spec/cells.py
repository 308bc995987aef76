"""Printed cells: the text that stands in the paper, and the number that it is. Units are in vtbench.metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vtbench.papers.spec.document import Node, described

_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?")


# ---- published cells -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """One printed cell. `text` is exactly what stands there."""

    text: str
    reconstructed: str | None = None
    """Where the text comes from if the cell is blank, displaced or lost in the scan."""
    precision: int | None = None
    """Decimals that the print really has, where it misleads ("173.0" that is a rounded integer)."""

    @property
    def value(self) -> float:
        """The cell as a number. Raises ValueError for a cell such as "10x3"."""
        return float(self.text.replace(",", ""))

    @property
    def decimals(self) -> int:
        """Digits after the point that the print vouches for."""
        return self.precision if self.precision is not None else len(self.text.partition(".")[2])


def read_published(node: Node) -> dict[str, Published]:
    """The `published` block: metric -> cell, a quoted string or {value, reconstructed, precision}."""
    if not isinstance(node.value, dict):
        node.fail(f"must be keys and values, not {described(node)}")
    return {name: _read_cell(name, cell) for name, cell in node.value.items()}


def _read_cell(name: str, node: Node) -> Published:
    parts = node.value if isinstance(node.value, dict) else {"value": node}
    for part, inner in parts.items():
        if part not in ("value", "reconstructed", "precision"):
            inner.fail("a cell has only the keys value, reconstructed and precision")
    if "value" not in parts:
        node.fail("a cell needs a value")
    text = parts["value"].value
    if not isinstance(text, str):
        parts["value"].fail(f"is {described(parts['value'])}; quote it, so that the printed precision is kept")
    if not name.endswith("views") and not _NUMBER.fullmatch(text):
        parts["value"].fail(f"{text!r} is not a number; leave out a cell that prints none")
    reconstructed, precision = (parts[p].value if p in parts else None for p in ("reconstructed", "precision"))
    if "reconstructed" in parts and (not isinstance(reconstructed, str) or not reconstructed):
        parts["reconstructed"].fail("must say from where")
    if "precision" in parts and (type(precision) is not int or precision < 0):
        parts["precision"].fail("must be a number of decimals")
    return Published(text, reconstructed, precision)
