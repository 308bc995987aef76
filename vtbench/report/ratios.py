"""Ratios of latency, throughput and memory: printed and measured side by side. Never times of one machine beside
times of another.

A printed ratio is the printed cell of a row over that of its baseline row (`baseline` in the spec). What counts as
measured: for each row, metric, device and precision the newest line of speed.csv whose two networks are those of the
spec today and whose baseline is the row's; a row without a baseline has nothing to be compared with. A line of networks
that have changed since is stale: named, never counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vtbench.metrics import speed_metrics
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import network_of
from vtbench.papers.select import select
from vtbench.papers.spec.cells import Published
from vtbench.papers.spec.schema import Row
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore
from vtbench.scales import Scale


@dataclass(frozen=True)
class PrintedRatio:
    """A printed cell over the baseline's."""

    value: float
    low: float
    """The smallest and largest quotient of numbers that the two cells can stand for, half of each last digit away."""
    high: float

    @property
    def text(self) -> str:
        """With as many decimals as the print allows: the last of them is the first that is uncertain."""
        doubt = (self.high - self.low) / 2
        return f"{self.value:.{max(0, math.ceil(-math.log10(doubt)))}f}"


def printed_ratio(cell: Published, baseline: Published) -> PrintedRatio:
    """The quotient of two printed cells: 31 ms over 29 ms is 1.07 (1.03 to 1.11)."""
    half, base_half = (0.5 * 10.0**-one.decimals for one in (cell, baseline))
    return PrintedRatio(
        cell.value / baseline.value,
        (cell.value - half) / (baseline.value + base_half),
        (cell.value + half) / (baseline.value - base_half),
    )


def device_of(table: str) -> str | None:
    """What the paper measured a table (paper/table) on; None where it does not say."""
    paper, _, name = table.partition("/")
    source = next(one for one in load_paper(paper).tables if one.name == name).source
    return source.device if source else None


def printed_on(table: str) -> str:
    """The same in words."""
    return device_of(table) or "the paper's own machine"


@dataclass(frozen=True, eq=False)
class Ratios:
    """One row at one scale: its printed ratios, and what was measured of it on each device at each precision."""

    row: Row
    scale: Scale
    printed: Mapping[str, PrintedRatio]
    """By metric; empty for a row without a baseline."""
    measured: Mapping[tuple[str, str], Mapping[str, SpeedRecord]]
    """(device, precision) -> metric -> the line that counts."""
    stale: tuple[SpeedRecord, ...]

    def entry(self) -> dict[str, Any]:
        """What stands under `speed` in `vtbench report --format json`."""
        return {
            "baseline": self.row.baseline_id,
            "printed": {
                metric: {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}
                for metric, ratio in self.printed.items()
            },
            "measured": [
                {name: value for name, value in line.as_dict().items() if name in LINE_FIELDS}
                for lines in self.measured.values()
                for line in lines.values()
            ],
            "stale": [line.metric for line in self.stale],
        }


LINE_FIELDS = (
    *("metric", "value", "q1", "q3", "against", "ratio", "ratio_q1", "ratio_q3"),
    *("batch", "rounds", "device", "precision", "threads", "commit"),
)
"""The columns of speed.csv in the JSON."""


def compare_speeds(rows: Sequence[Row], store: SpeedStore, scale: Scale) -> list[Ratios]:
    """One per row, in the order given. Raises ResultsError when speed.csv is not in order."""
    by_row: dict[str, list[SpeedRecord]] = {}
    for record in store.read():
        if record.scale == scale:
            by_row.setdefault(record.id, []).append(record)
    return [_ratios(row, scale, by_row.get(row.id, [])) for row in rows]


def _ratios(row: Row, scale: Scale, records: Sequence[SpeedRecord]) -> Ratios:
    if row.baseline is None:  # nothing that the paper prints a ratio to
        return Ratios(row, scale, {}, {}, ())
    printed: dict[str, PrintedRatio] = {}
    table = next(table for table in load_paper(row.paper).tables if table.name == row.table)
    baseline = next(other for other in table.rows if other.name == row.baseline)
    for metric in speed_metrics():
        cell, base = row.published.get(metric), baseline.published.get(metric)
        if cell and base and base.value > 0.5 * 10.0**-base.decimals:  # it stands for a number above 0
            printed[metric] = printed_ratio(cell, base)
    measured: dict[tuple[str, str], dict[str, SpeedRecord]] = {}
    stale: dict[tuple[str, str, str], SpeedRecord] = {}
    for record in records:  # in the order they were appended: a newer line takes the place of an older one
        if record.against != row.baseline_id:
            continue  # measured against another row with --against: a ratio that the paper does not print
        slot = record.device, record.precision
        if _is_current(record, row, scale):
            measured.setdefault(slot, {})[record.metric] = record
            stale.pop((*slot, record.metric), None)
        elif record.metric not in measured.get(slot, {}):
            stale[(*slot, record.metric)] = record
    return Ratios(row, scale, printed, measured, tuple(stale.values()))


def _is_current(record: SpeedRecord, row: Row, scale: Scale) -> bool:
    """Whether the networks of a line against the row's own baseline are those of the spec today."""
    (baseline,) = select([row.baseline_id or ""])
    networks = ((row, record.network), (baseline, record.against_network))
    return all((found := network_of(of, scale)) is not None and found.key == key for of, key in networks)
