"""What tells the rows of a table apart: each row's difference to the table's reference row, measured against printed;
the order of the rows; and how many rows a tolerance around a printed number cannot tell from it.

The measured difference is that of the means over the seeds, its interval that of vtbench.report.spread, as for claims:
seeds and test videos in quadrature, with one seed of each row the videos alone. Where the store has the scores of every
test video of both rows for the same seeds, it is paired: seed by seed, and video by video. Two rows with one seed and
one test set are also compared by McNemar's exact test; over several seeds its pairs are not independent. Otherwise the
interval is unpaired, and says so: Welch's over two or more seeds of each row, and two independent shares of the videos.

The order is compared by Kendall's tau-b of printed and measured numbers of five rows or more, with Fieller's interval
(Biometrika 44 (1957) 470). Rows at chance are tied: which of them has more hits is luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison, Estimate, at_chance, seed_means
from vtbench.report.spread import Spread, seeds_variance, share_variance, videos_variance
from vtbench.report.statistics import (
    CONFIDENCE,
    TOLERANCE,
    Difference,
    Interval,
    Order,
    band,
    kendall_interval,
    kendall_tau,
    mcnemar,
)
from vtbench.results.record import Record

if TYPE_CHECKING:
    import numpy as np

Hits = dict[str, Mapping[str, bool] | None]
"""What was read of the scores in a store, by evaluation, weights, videos and outcome: see `hits_of`."""


def leading_metric(row: Row, measured: Mapping[str, Estimate]) -> str | None:
    """The metric whose difference is shown: the first top-1 that the row prints, else the first that was measured."""
    names = [name for name in row.published if name.endswith("top1")] or [n for n in measured if n.endswith("top1")]
    return names[0] if names else None


def difference(comparison: Comparison, reference: Comparison, results: Path, cache: Hits) -> Difference | None:
    """A row against the reference row of its table; None where neither print nor measurement has both. `cache` keeps
    what was read of the store."""
    metric = leading_metric(reference.row, reference.measured)
    if metric is None or comparison.row.id == reference.row.id:
        return None
    cells = [one.row.published.get(metric) for one in (comparison, reference)]
    printed, decimals = None, 2
    if cells[0] is not None and cells[1] is not None:
        decimals = max(cells[0].decimals, cells[1].decimals)
        printed = round(cells[0].value - cells[1].value, decimals) + 0.0
    ours, theirs = comparison.measured.get(metric), reference.measured.get(metric)
    measured: float | None = None
    interval: Interval | None = None
    paired, p = False, None
    if ours is not None and theirs is not None:
        measured = ours.mean - theirs.mean
        pairs = _pairs(comparison, reference, metric, results, cache)
        if pairs is not None:
            interval, p = paired_interval(pairs)
            paired = True
        else:
            interval = _unpaired(comparison, reference, metric)
    if printed is None and measured is None:
        return None
    return Difference(metric, reference.row.name, printed, measured, interval, paired, p, decimals)


# ---- paired ----------------------------------------------------------------------------------------------------------


def _measurements(one: Comparison, metric: str) -> tuple[str, ...]:
    """The measurements behind a metric: one, or those whose mean the row prints."""
    row = one.row
    for name, parts in row.means_at(one.scale).items():
        if row.metric(name, "top1") == metric:
            return parts
    return tuple(name for name in row.recipes if row.metric(name, "top1") == metric)


@dataclass(frozen=True)
class PairedTest:
    """One test set on which both rows were tested, for each seed."""

    weight: float
    """Its share of the mean that the row prints."""
    difference: np.ndarray
    """int8 (seeds, videos): 1 where only the row was right, -1 where only the reference row was."""


def _pairs(
    comparison: Comparison,
    reference: Comparison,
    metric: str,
    results: Path,
    cache: Hits,
) -> list[PairedTest] | None:
    """The tests of both rows, video by video; None where a seed of either is missing in the other, the videos are not
    the same, or the store lacks the scores of one."""
    import numpy as np

    names = _measurements(comparison, metric)
    if names != _measurements(reference, metric):
        return None
    sides = [_records(one, names) for one in (comparison, reference)]
    if not sides[0] or sides[0].keys() != sides[1].keys():
        return None
    rows: dict[str, list[np.ndarray]] = {}
    for seed in sorted(sides[0]):
        ours, theirs = (side[seed] for side in sides)
        for name in names:
            if name not in ours or name not in theirs:
                return None
            found = hits_of(comparison.row, ours[name], results, cache)
            other = hits_of(reference.row, theirs[name], results, cache)
            if found is None or other is None or found.keys() != other.keys():
                return None
            right, there = ([side[video] for video in sorted(found)] for side in (found, other))
            rows.setdefault(name, []).append(np.array(right, np.int8) - np.array(there, np.int8))
    shared: dict[tuple[str, ...], list[str]] = {}  # splits that are one evaluation at a small scale are one test
    first = min(sides[0])
    for name in names:
        shared.setdefault(tuple(side[first][name].evaluation_key for side in sides), []).append(name)
    tests = []
    for together in shared.values():
        difference = rows[together[0]]
        if len({len(one) for one in difference}) > 1:
            return None
        tests.append(PairedTest(len(together) / len(names), np.stack(difference)))
    return tests


def _records(comparison: Comparison, names: Sequence[str]) -> dict[int, dict[str, Record]]:
    """Seed -> measurement -> its line."""
    found: dict[int, dict[str, Record]] = {}
    for record in comparison.counted:
        if record.measurement in names:
            found.setdefault(record.seed, {})[record.measurement] = record
    return found


def hits_of(row: Row, record: Record, results: Path, cache: Hits) -> Mapping[str, bool] | None:
    """`vtbench.results.scores.hits` of a line of a row, read once for each `cache`."""
    from vtbench.results.scores import hits

    key = f"{record.evaluation_key} {record.weights_sha256} {record.data_fingerprint} {record.top1}"
    if key not in cache:
        recipe = row.recipes[record.measurement].recipe
        cache[key] = hits(results, record, recipe.eval.average if recipe.eval else "logits")
    return cache[key]


def paired_interval(tests: Sequence[PairedTest]) -> tuple[Interval, float | None]:
    """The interval of the mean difference, in percentage points, and McNemar's p for a single test of a single seed."""
    over_videos = sum(
        videos_variance(100 * t.weight * t.difference.mean(axis=0), [100 * t.weight, -100 * t.weight]) for t in tests
    )
    by_seed = [float(value) for value in sum(100 * t.weight * t.difference.mean(axis=1) for t in tests)]
    fewest = min(t.difference.shape[1] for t in tests)
    over_seeds, p = 0.0, None
    if len(by_seed) > 1:
        over_seeds = seeds_variance(by_seed, math.hypot(*(math.sqrt(2) * _step(t) for t in tests)))
    elif len(tests) == 1:
        p = mcnemar(int((tests[0].difference > 0).sum()), int((tests[0].difference < 0).sum()))
    return _around(fmean(by_seed), Spread(over_seeds, max(1, len(by_seed) - 1), over_videos, max(1, fewest - 1))), p


def _step(test: PairedTest) -> float:
    """What one video more of one row is in the mean, in percentage points."""
    return 100 * test.weight / test.difference.shape[1]


def _around(difference: float, spread: Spread) -> Interval:
    half = spread.half(1 - CONFIDENCE)
    return max(-100.0, difference - half), min(100.0, difference + half)


# ---- unpaired --------------------------------------------------------------------------------------------------------


def _unpaired(comparison: Comparison, reference: Comparison, metric: str) -> Interval | None:
    (ours, videos), (theirs, their_videos) = (
        seed_means(one.counted, _measurements(one, metric), "top1") for one in (comparison, reference)
    )
    return unpaired_interval(ours, videos, theirs, their_videos) if ours and theirs else None


def unpaired_interval(ours: Sequence[float], videos: int, theirs: Sequence[float], their_videos: int) -> Interval:
    """The interval of the difference of two means over seeds, in percentage points; `videos`: of one test."""
    sides = ((ours, videos), (theirs, their_videos))
    over_videos = sum(100**2 * share_variance(fmean(values) / 100, number) for values, number in sides)
    over_seeds, freedom = 0.0, 1.0
    if len(ours) > 1 and len(theirs) > 1:
        parts = [(seeds_variance(values, 100 / number), len(values) - 1) for values, number in sides]
        over_seeds = sum(part for part, _ in parts)
        freedom = over_seeds**2 / sum(part**2 / of for part, of in parts)
    spread = Spread(over_seeds, freedom, over_videos, max(1, min(videos, their_videos) - 1))
    return _around(fmean(ours) - fmean(theirs), spread)


# ---- the table -------------------------------------------------------------------------------------------------------


FEWEST = 5  # rows with an order to speak of: of four, one in twelve orders has a tau of 1 or -1 by luck


class Ranked(NamedTuple):
    """A row with what orders it: the mean over its seeds is the chance level where every seed is at chance."""

    comparison: Comparison
    printed: float
    measured: float
    guessed: bool


def ranked(comparisons: Sequence[Comparison], metric: str) -> list[Ranked]:
    """The rows with a printed and a measured number, in the order given."""
    found = []
    for one in comparisons:
        if metric in one.row.published and metric in one.measured and one.row.variant is None and not one.under:
            value, chance, names = one.measured[metric].mean, one.measured[metric].chance, _measurements(one, metric)
            lines = [record for record in one.counted if record.measurement in names and record.top1 is not None]
            guessed = chance is not None and at_chance(lines, chance) == lines != []
            found.append(Ranked(one, one.row.published[metric].value, (chance or 0) if guessed else value, guessed))
    return found


def order(comparisons: Sequence[Comparison], metric: str) -> Order | None:
    """How alike print and measurement order the rows; None for fewer than FEWEST, or if either is the same for all."""
    both = ranked(comparisons, metric)
    sides = [one.printed for one in both], [one.measured for one in both]
    if len(both) < FEWEST or any(len(set(side)) == 1 for side in sides):
        return None
    tau = kendall_tau(*sides)
    interval = kendall_interval(tau, len(both)) if abs(tau) < 1 else None
    return Order(metric, tau, interval, len(both), sum(one.guessed for one in both))


def others_in_band(rows: Sequence[Row], row: Row, metric: str, tolerance: float = TOLERANCE) -> int | None:
    """How many other rows of a table print a number that a measurement of this row may have and still be `within`."""
    if metric not in row.published:
        return None
    cell = row.published[metric]
    low, high = band(cell.value, cell.decimals, tolerance)
    return sum(
        low <= other.published[metric].value <= high
        for other in rows
        if other.id != row.id and metric in other.published
    )
