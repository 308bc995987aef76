"""What tells the rows of a table apart: each row's difference to the table's reference row, measured against printed;
the order of the rows; and how many rows a tolerance around a printed number cannot tell from it.

The measured difference is that of the means over the seeds. Where the store has the scores of every test video of
both rows for the same seeds, its interval is paired: a bootstrap that draws videos and, as blocks, seeds (`RESAMPLES`
times, with a fixed generator; Efron and Tibshirani, An Introduction to the Bootstrap, 1993), and the two rows are
compared video by video (McNemar's exact test over the pairs of all seeds). Otherwise it is unpaired, and says so:
Welch's interval over two or more seeds of each row, else Newcombe's for two shares of the videos (Stat. Med. 17 (1998)
873, method 10).

The order is compared by Kendall's tau-b of printed and measured numbers, with Fieller's interval (Biometrika 44 (1957)
470) for five rows or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison, Estimate
from vtbench.report.statistics import TOLERANCE, Difference, Interval, Order, welch_interval, wilson_interval
from vtbench.results.record import Record

RESAMPLES = 2000


def leading_metric(row: Row, measured: Mapping[str, Estimate]) -> str | None:
    """The metric whose difference is shown: the first top-1 that the row prints, else the first that was measured."""
    names = [name for name in row.published if name.endswith("top1")] or [n for n in measured if n.endswith("top1")]
    return names[0] if names else None


def difference(
    comparison: Comparison, reference: Comparison, results: Path, cache: dict[str, Mapping[str, bool] | None]
) -> Difference | None:
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
            interval, p = _paired(pairs)
            paired = True
        else:
            interval = _unpaired(comparison, reference, metric)
    if printed is None and measured is None:
        return None
    return Difference(metric, reference.row.name, printed, measured, interval, paired, p, decimals)


# ---- paired ----------------------------------------------------------------------------------------------------------


def _measurements(row: Row, metric: str) -> tuple[str, ...]:
    """The measurements behind a metric: one, or those whose mean the row prints."""
    for name, parts in row.means.items():
        if row.metric(name, "top1") == metric:
            return parts
    return tuple(name for name in row.recipes if row.metric(name, "top1") == metric)


def _pairs(
    comparison: Comparison,
    reference: Comparison,
    metric: str,
    results: Path,
    cache: dict[str, Mapping[str, bool] | None],
) -> list[tuple[list[bool], list[bool]]] | None:
    """For each seed that both rows have, whether each of the same test videos was right in one and in the other; None
    where a seed of either is missing in the other or the store lacks the scores of one."""
    sides = [_by_seed(one, metric, results, cache) for one in (comparison, reference)]
    if sides[0] is None or sides[1] is None or not sides[0] or sides[0].keys() != sides[1].keys():
        return None
    pairs = []
    for seed, ours in sides[0].items():
        theirs = sides[1][seed]
        if ours.keys() != theirs.keys():
            return None
        pairs.append((list(ours.values()), [theirs[name] for name in ours]))
    return pairs


def _by_seed(
    comparison: Comparison, metric: str, results: Path, cache: dict[str, Mapping[str, bool] | None]
) -> dict[int, dict[tuple[str, str], bool]] | None:
    """Seed -> (measurement, id of a video) -> whether it was right; None where the store lacks the scores of one."""
    from vtbench.report.scores import hits

    wanted = _measurements(comparison.row, metric)
    found: dict[int, dict[tuple[str, str], bool]] = {}
    seen: dict[int, set[str]] = {}
    for record in comparison.counted:
        if record.measurement not in wanted:
            continue
        key = f"{record.evaluation_key} {record.finished_at}"
        if key not in cache:
            recipe = comparison.row.recipes[record.measurement].recipe
            cache[key] = hits(results, record, recipe.eval.average if recipe.eval else "logits")
        one = cache[key]
        if one is None:
            return None
        seen.setdefault(record.seed, set()).add(record.measurement)
        found.setdefault(record.seed, {}).update({(record.measurement, name): right for name, right in one.items()})
    return {seed: videos for seed, videos in found.items() if seen[seed] == set(wanted)}


def _paired(pairs: Sequence[tuple[list[bool], list[bool]]]) -> tuple[Interval, float]:
    """The interval, in percentage points, and McNemar's p. One element per seed."""
    import numpy as np
    from scipy.stats import binomtest

    ours, theirs = (np.array([pair[side] for pair in pairs], dtype=np.int8) for side in (0, 1))
    difference = ours - theirs  # (seeds, videos)
    draw = np.random.default_rng(0)
    seeds, videos = difference.shape
    means = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        blocks = draw.integers(seeds, size=seeds)
        means[number] = difference[blocks].mean(axis=0)[draw.integers(videos, size=videos)].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    p = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return (100 * float(low), 100 * float(high)), p


# ---- unpaired --------------------------------------------------------------------------------------------------------


def _values(comparison: Comparison, metric: str) -> tuple[list[float], int]:
    """The metric of each seed, and the videos of one test."""
    wanted = _measurements(comparison.row, metric)
    by_seed: dict[int, list[Record]] = {}
    for record in comparison.counted:
        if record.measurement in wanted and record.top1 is not None:
            by_seed.setdefault(record.seed, []).append(record)
    whole = [found for found in by_seed.values() if len(found) == len(wanted)]
    values = [sum(record.top1 or 0.0 for record in found) / len(found) for found in whole]
    videos = {record.evaluation_key: record.videos_expected for record in whole[0]} if whole else {}
    return values, sum(videos.values())


def _unpaired(comparison: Comparison, reference: Comparison, metric: str) -> Interval | None:
    (ours, videos), (theirs, their_videos) = (_values(one, metric) for one in (comparison, reference))
    if not ours or not theirs:
        return None
    gap = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    if len(ours) > 1 and len(theirs) > 1:
        low, high = welch_interval(ours, theirs)
        return max(-100.0, low), min(100.0, high)
    mean, their_mean = sum(ours) / len(ours), sum(theirs) / len(theirs)
    low, high = wilson_interval(mean, videos)
    their_low, their_high = wilson_interval(their_mean, their_videos)
    return (
        gap - math.hypot(mean - low, their_high - their_mean),
        gap + math.hypot(high - mean, their_mean - their_low),
    )


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
    from scipy.stats import kendalltau

    tau = float(kendalltau(*zip(*both, strict=True)).statistic)
    interval = None
    if len(both) >= 5 and abs(tau) < 1:
        half = 1.959964 * math.sqrt(0.437 / (len(both) - 4))
        interval = math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half)
    return Order(metric, tau, interval, len(both))


def others_in_band(rows: Sequence[Row], row: Row, metric: str, tolerance: float = TOLERANCE) -> int | None:
    """How many other rows of a table print a number that a measurement of this row may have and still be `within`."""
    if metric not in row.published:
        return None
    cell = row.published[metric]
    reach = tolerance + 0.5 * 10.0**-cell.decimals
    return sum(
        abs(other.published[metric].value - cell.value) <= reach
        for other in rows
        if other.id != row.id and metric in other.published
    )
