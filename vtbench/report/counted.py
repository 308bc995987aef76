"""Printed costs beside counted ones: which counting convention reproduces a printed number, from what `vtbench cost
--record` wrote; nothing is counted here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench.papers.load import load_paper
from vtbench.papers.resolve import network_of
from vtbench.papers.roots import own_root
from vtbench.papers.spec.cells import Published
from vtbench.papers.spec.schema import Row
from vtbench.results.costs import Cost, CostBook
from vtbench.scales import Scale

METRICS = ("params_m", "gflops", "tflops")


@dataclass(frozen=True)
class Counted:
    """One printed cost of a row and the count of its network."""

    measured: float
    convention: str
    agrees: bool
    """Whether it is the printed number, rounded or cut to the printed digits."""

    def entry(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"measured": self.measured, "convention": self.convention, "agrees": self.agrees}


def recorded_costs(results: Path) -> CostBook:
    """The costs recorded in a results folder, before those of vtbench's own rows."""
    return CostBook.read(own_root().folder / "results", results)


def counted_cells(row: Row, book: CostBook, scale: Scale = "paper") -> dict[str, Counted]:
    """Name of a printed cost -> the count, for a row whose network was recorded."""
    network = network_of(row, scale)
    cost = book.find(network.key) if network is not None else None
    return cells_of(row, cost) if cost is not None else {}


def is_stale(row: Row, book: CostBook, scale: Scale = "paper") -> bool:
    """Whether the row was counted with another network than it has now."""
    network = network_of(row, scale)
    return network is not None and book.is_stale(row.id, scale, network.key)


def cells_of(row: Row, cost: Cost) -> dict[str, Counted]:
    """Name of a printed cost -> the count, under the convention that reproduces it."""
    paper = load_paper(row.paper).about.counted
    params = {name: count / 1e6 for name, count in cost.params.items()}
    gmacs = {name: count / 1e9 for name, count in cost.macs.items()}
    measured: dict[str, tuple[Mapping[str, float], str]] = {
        "params_m": (params, paper.params_m),
        "gflops": (gmacs, paper.gflops),
        "tflops": ({name: count / 1e3 for name, count in gmacs.items()}, paper.gflops),
    }
    return {
        name: _counted(cell, *measured[metric])
        for name, cell in row.published.items()
        for metric in METRICS
        if name.endswith(metric)
    }


def _counted(cell: Published, measured: Mapping[str, float], convention: str) -> Counted:
    """The count under the paper's own convention if that agrees with the printed digits (rounded or cut), else under
    the nearest one that agrees, else under its own."""
    agreeing = [name for name, value in measured.items() if agrees(value, cell)]
    if agreeing and convention not in agreeing:
        convention = min(agreeing, key=lambda name: abs(measured[name] - cell.value))
    return Counted(measured[convention], convention, bool(agreeing))


def agrees(measured: float, cell: Published) -> bool:
    """Whether `measured`, rounded or cut to the printed digits, is the printed number."""
    unit = 10.0**-cell.decimals
    return abs(measured - cell.value) <= 0.5 * unit * (1 + 1e-9) or 0 <= measured - cell.value < unit
