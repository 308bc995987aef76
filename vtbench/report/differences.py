"""What tells the rows of a table apart: each row's difference to the table's reference row, measured against printed;
the order of the rows; and how many rows a tolerance around a printed number cannot tell from it.

The measured difference is that of the means over the seeds. Where the store has the scores of every test video of
both rows for the same seeds, its interval is paired. Test videos are drawn, each with the results of all seeds
(`RESAMPLES` times, with a fixed generator; Efron and Tibshirani, An Introduction to the Bootstrap, 1993). With two or
more seeds Student's interval of the differences seed by seed is added in quadrature: a draw of few seeds would say too
little of what another one gives. With one seed the interval is of the test videos alone, and two rows with one test set
are also compared by McNemar's exact test; over several seeds its pairs are not independent. Otherwise the interval is
unpaired, and says so: Welch's over two or more seeds of each row, else, or where no seed differs, Newcombe's for two
shares of the videos (Stat. Med. 17 (1998) 873, method 10).

The order is compared by Kendall's tau-b of printed and measured numbers, with Fieller's interval (Biometrika 44 (1957)
470) for five rows or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison, Estimate, seed_means
from vtbench.report.statistics import (
    TOLERANCE,
    Difference,
    Interval,
    Order,
    band,
    kendall_interval,
    kendall_tau,
    mcnemar,
    newcombe_interval,
    t_interval,
    welch_interval,
)
from vtbench.results.record import Record

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 2000

Hits = dict[str, Mapping[str, bool] | None]
"""What was read of the scores in a store, by evaluation and when it ended: see `hits_of`."""


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

    key = f"{record.evaluation_key} {record.finished_at}"
    if key not in cache:
        recipe = row.recipes[record.measurement].recipe
        cache[key] = hits(results, record, recipe.eval.average if recipe.eval else "logits")
    return cache[key]


def paired_interval(tests: Sequence[PairedTest]) -> tuple[Interval, float | None]:
    """The interval of the mean difference, in percentage points, and McNemar's p for a single test of a single seed."""
    import numpy as np

    draw = np.random.default_rng(0)
    means = np.zeros(RESAMPLES)
    for test in tests:
        by_video = test.difference.mean(axis=0)
        videos = len(by_video)
        means += test.weight * np.array([by_video[draw.integers(videos, size=videos)].mean() for _ in range(RESAMPLES)])
    by_seed = sum(test.weight * test.difference.mean(axis=1) for test in tests)
    mean = float(np.mean(by_seed))
    low, high = (float(end) for end in np.quantile(means, [0.025, 0.975]))
    below, above = mean - low, high - mean
    p = None
    if len(by_seed) > 1:
        half = t_interval([float(value) for value in by_seed])[1] - mean
        below, above = math.hypot(below, half), math.hypot(above, half)
    elif len(tests) == 1:
        p = mcnemar(int((tests[0].difference > 0).sum()), int((tests[0].difference < 0).sum()))
    return (100 * max(-1.0, mean - below), 100 * min(1.0, mean + above)), p


# ---- unpaired --------------------------------------------------------------------------------------------------------


def _unpaired(comparison: Comparison, reference: Comparison, metric: str) -> Interval | None:
    (ours, videos), (theirs, their_videos) = (
        seed_means(one.counted, _measurements(one, metric), "top1") for one in (comparison, reference)
    )
    return unpaired_interval(ours, videos, theirs, their_videos) if ours and theirs else None


def unpaired_interval(ours: Sequence[float], videos: int, theirs: Sequence[float], their_videos: int) -> Interval:
    """The interval of the difference of two means over seeds, in percentage points; `videos`: of one test."""
    if len(ours) > 1 and len(theirs) > 1 and (len(set(ours)) > 1 or len(set(theirs)) > 1):
        low, high = welch_interval(ours, theirs)
        return max(-100.0, low), min(100.0, high)
    return newcombe_interval(fmean(ours), videos, fmean(theirs), their_videos)


# ---- the table -------------------------------------------------------------------------------------------------------


def order(comparisons: Sequence[Comparison], metric: str) -> Order | None:
    """How alike printed and measured numbers order the rows that have both; None for fewer than three, or where one of
    the two is the same for all."""
    both = [
        (one.row.published[metric].value, one.measured[metric].mean)
        for one in comparisons
        if metric in one.row.published and metric in one.measured and one.row.variant is None and not one.under
    ]
    if len(both) < 3 or any(len(set(side)) == 1 for side in zip(*both, strict=True)):
        return None
    tau = kendall_tau(*zip(*both, strict=True))
    interval = kendall_interval(tau, len(both)) if len(both) >= 5 and abs(tau) < 1 else None
    return Order(metric, tau, interval, len(both))


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
