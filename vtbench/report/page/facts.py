"""The numbers and quoted words of the page, each with where it comes from.

An origin is one or more calls, `name(argument; argument)`, in the order of the numbers in the text. It can be computed
again from the specs and the files of a store alone; docs/page.md lists the names, and a test does it for all of a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from vtbench.papers.resolve import network_of
from vtbench.papers.select import select
from vtbench.papers.spec.schema import Row
from vtbench.report.columns import Column
from vtbench.report.compare import Comparison, metrics_of
from vtbench.report.ratios import Ratios
from vtbench.report.sheets import Sheet
from vtbench.results.record import Record

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?|(?<=\d-)\d+(?:\.\d+)?")
"""A number in a text: 3, +1.5, 2e-05, and either end of 3.30-3.55. Digits inside of a word are none."""


@dataclass(frozen=True)
class Fact:
    """A text that is shown, and its origin: of each of its numbers, or of all of its words. Without an origin it holds
    no number."""

    text: str
    origin: str = ""


def call(name: str, *arguments: object) -> str:
    """An origin: `mean(msca/table2:vit; top1; 40884bebd696)`."""
    return f"{name}({'; '.join(map(str, arguments))})"


# ---- measured numbers ------------------------------------------------------------------------------------------------


def evaluations_behind(comparison: Comparison, name: str) -> tuple[str, list[list[Record]]]:
    """The metric of a measured number, and for each seed the lines of results.csv whose mean it is."""
    row = comparison.row
    for metric in metrics_of(row):
        for mean, parts in row.means_at(comparison.scale).items():
            if row.metric(mean, metric) == name:
                return metric, _by_seed(comparison, parts, metric)
        for part in row.recipes:
            if row.metric(part, metric) == name:
                return metric, _by_seed(comparison, (part,), metric)
    return name, []


def _by_seed(comparison: Comparison, parts: tuple[str, ...], metric: str) -> list[list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in comparison.counted:
        if record.measurement in parts and record.measured(metric) is not None:
            found.setdefault(record.seed, []).append(record)
    return [lines for lines in found.values() if len(lines) == len(parts)]


def keys_behind(comparison: Comparison, name: str) -> tuple[str, str]:
    """The metric of a measured number, and the evaluation keys of its seeds: `k1 k2 k3`, each `k+k+k` where it is a
    mean over splits."""
    metric, seeds = evaluations_behind(comparison, name)
    return metric, " ".join("+".join(record.evaluation_key for record in lines) for lines in seeds)


def mean_of(comparison: Comparison, name: str) -> str:
    """The origin of a measured mean."""
    metric, keys = keys_behind(comparison, name)
    return call("mean", comparison.row.id, metric, keys)


# ---- the cells of a sheet --------------------------------------------------------------------------------------------


def cell_of(column: Column, number: int, comparison: Comparison) -> Fact:
    """One cell of a sheet of accuracies, with its origin. `comparison`: that of line `number`."""
    text = column.cells[number]
    return Fact(text, _CELLS[column.holds](column, comparison, text)) if text and column.holds in _CELLS else Fact(text)


def _printed(column: Column, comparison: Comparison, _: str) -> str:
    return call("printed", comparison.row.id, column.of)


def _counted(column: Column, comparison: Comparison, _: str) -> str:
    return counted_origin(comparison, column.of)


def counted_origin(comparison: Comparison, name: str) -> str:
    """The origin of a counted cost."""
    found = comparison.counted_costs.get(name)
    return "" if found is None else call("counted", network_key(comparison.row.id), found.convention, name)


@cache
def network_key(row_id: str) -> str | None:
    """The hash of a row's network at paper scale; None for a row that is only quoted."""
    (row,) = select([row_id])
    network = network_of(row, "paper")
    return network.key if network else None


def _measured(column: Column, comparison: Comparison, _: str) -> str:
    found = comparison.measured.get(column.of)
    if found is None:
        return ""
    metric, keys = keys_behind(comparison, column.of)
    calls = ["mean"] if found.sd is None else ["mean", "sd"]
    return " ".join(call(name, comparison.row.id, metric, keys) for name in calls)


def _seeds(column: Column, comparison: Comparison, text: str) -> str:
    behind: dict[str, str] = {}
    for name, found in comparison.measured.items():
        behind.setdefault(str(found.n), call("count", keys_behind(comparison, name)[1]))
    return " ".join(behind[n] for n in text.split("/"))


def _difference(column: Column, comparison: Comparison, text: str) -> str:
    found = comparison.difference
    assert found is not None
    if column.of == "printed":
        reference = f"{comparison.row.id.rpartition(':')[0]}:{found.reference}"
        return call("printed_gap", comparison.row.id, reference, found.metric)
    shown = ["gap", *(["low", "high"] if found.interval else []), *(["p"] if found.p is not None else [])]
    return " ".join(call(name, comparison.row.id, comparison.scale) for name in shown)


def _delta(column: Column, comparison: Comparison, _: str) -> str:
    metric, keys = keys_behind(comparison, column.of)
    return call("delta", comparison.row.id, column.of, metric, keys)


def _alike(column: Column, comparison: Comparison, _: str) -> str:
    return call("alike", comparison.row.id, comparison.scale)


def _verdict(column: Column, comparison: Comparison, text: str) -> str:
    return call("coverage", comparison.row.id, comparison.scale) if NUMBER.search(text) else ""


_CELLS: Mapping[str, Callable[[Column, Comparison, str], str]] = {
    "printed": _printed,
    "counted": _counted,
    "measured": _measured,
    "seeds": _seeds,
    "difference": _difference,
    "delta": _delta,
    "alike": _alike,
    "verdict": _verdict,
}


def chance_cell(column: Column, comparisons: Sequence[Comparison]) -> Fact:
    """What guessing gives, below a measured column."""
    of = next((c for c in comparisons if column.of in c.chance), None)
    if not column.footer or of is None or column.holds != "measured":
        return Fact("")
    return Fact(column.footer, call("chance", of.row.id, of.scale, column.of))


# ---- the cells of a sheet of speeds ----------------------------------------------------------------------------------


def speed_cell(column: Column, number: int, speed: Ratios, sheet: Sheet) -> Fact:
    """One cell of a sheet of speed and memory, with its origin."""
    text = column.cells[number]
    if text and column.holds == "over":
        return Fact(text, call("baseline", speed.row.id))
    if not text or column.holds not in ("printed ratio", "ratio"):
        return Fact(text)
    if column.holds == "printed ratio":
        return Fact(text, call("printed_ratio", speed.row.id, column.of))
    assert sheet.place is not None
    values = ["ratio"] if "(" not in text else ["ratio", "ratio_q1", "ratio_q3"]
    place = (speed.row.id, speed.scale, column.of, *sheet.place)
    return Fact(text, " ".join(call("speed", *place, value) for value in values))


# ---- rows ------------------------------------------------------------------------------------------------------------


def label_of(row: Row) -> Fact:
    """The label of a row, as its spec gives it."""
    return Fact(row.label, call("label", row.id))


def datasets_of(row: Row) -> dict[str, str]:
    """Name of a measurement or a mean of a row -> the data set of its tests at paper scale."""
    found = {name: spec.recipe.data.dataset for name, spec in row.recipes.items()}
    return found | {name: found[parts[0]] for name, parts in row.means.items() if parts[0] in found}
