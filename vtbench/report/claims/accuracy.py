"""Conditions of measured accuracies: what counts of each row, and what seeds and videos leave open.

What counts is what vtbench.report.compare counts. The means over seeds are put into the condition's number. Its
variance is that over seeds, of the number computed seed by seed where all rows have the same seeds, and that over test
videos, by the delta method; where the store has the scores of the videos, with the covariance of rows that saw the same
ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from vtbench.metrics import METRICS, always_measured
from vtbench.papers.claims import Cell
from vtbench.papers.claims.expression import Condition, evaluate
from vtbench.report.claims.finding import NotRun
from vtbench.report.claims.printed import printed_holds
from vtbench.report.claims.statistics import Outcome, certain, estimated
from vtbench.report.compare import Comparison
from vtbench.report.differences import Hits, hits_of
from vtbench.report.spread import Spread, seeds_variance, share_variance, videos_variance
from vtbench.report.statistics import mcnemar_sides
from vtbench.results.record import Record
from vtbench.scales import Scale

if TYPE_CHECKING:
    import numpy as np

Parts = tuple[str, ...]
"""Measurements of a row, of which a cell is the mean."""


def parts_of(cell: Cell, scale: Scale) -> Parts:
    """The measurements of its row that a cell is of, at a scale; none where it does not exist there."""
    row = cell.row
    for name, parts in row.means_at(scale).items():
        if row.metric(name, cell.metric) == cell.key:
            return parts
    there = (name for name, spec in row.recipes.items() if scale in spec.scales)
    return tuple(name for name in there if row.metric(name, cell.metric) == cell.key)


def further_tasks(cells: Sequence[Cell], scale: Scale) -> list[str]:
    """Measurements that all rows have at this scale and not at that of the paper: further tasks for a claim whose
    accuracies are all of one and the same measurement."""
    if len({parts_of(cell, scale) for cell in cells}) > 1 or len({cell.row.id for cell in cells}) < len(cells):
        return []
    found = [
        [name for name, s in c.row.recipes.items() if scale in s.scales and "paper" not in s.scales] for c in cells
    ]
    return [name for name in found[0] if all(name in names for names in found)]


@dataclass(frozen=True)
class Sample:
    """The accuracies of one cell, in percent, by seed."""

    cell: Cell
    values: Mapping[int, float]
    records: Mapping[int, tuple[Record, ...]]
    """One for each of the cell's measurements."""
    fixed: float | None = None
    """The printed number of a row that is never run, in place of all this."""

    @property
    def mean(self) -> float:
        """Over all seeds."""
        return fmean(self.values.values()) if self.fixed is None else self.fixed

    @property
    def keys(self) -> frozenset[str]:
        """Keys of its evaluations."""
        return frozenset(record.evaluation_key for found in self.records.values() for record in found)

    def videos(self, seeds: Sequence[int]) -> int:
        """Of its tests, each once."""
        records = {record.evaluation_key: record for record in self.records[seeds[0]]}
        return sum(record.videos_expected for record in records.values())

    def step(self, seeds: Sequence[int]) -> float:
        """What one video more is in the accuracy; 0 for a metric that is no share of the videos."""
        known = METRICS.get(self.cell.metric)
        return 100 / self.videos(seeds) if known is not None and known.of_videos else 0.0

    @classmethod
    def of(cls, cell: Cell, parts: Parts, comparison: Comparison) -> Sample:
        """Of the seeds that have all the measurements."""
        records: dict[int, dict[str, Record]] = {}
        for record in comparison.counted:
            if record.measurement in parts and record.measured(cell.metric) is not None:
                records.setdefault(record.seed, {})[record.measurement] = record
        whole = {
            seed: tuple(found[part] for part in parts) for seed, found in records.items() if len(found) == len(parts)
        }
        values = {seed: fmean(record.measured(cell.metric) or 0.0 for record in found) for seed, found in whole.items()}
        return cls(cell, values, whole)


@dataclass
class Videos:
    """The per-video results of a results folder, each read once."""

    results: Path
    cache: Hits

    def hits(self, sample: Sample, seed: int) -> list[Mapping[str, bool]] | None:
        """For each measurement of a cell: id of a test video -> whether it was right. None where the store lacks the
        scores of one, and for a metric other than top-1."""
        if sample.cell.metric != always_measured()[0]:
            return None
        found = [hits_of(sample.cell.row, record, self.results, self.cache) for record in sample.records[seed]]
        known = [one for one in found if one is not None]
        return known if len(known) == len(found) else None


@dataclass(frozen=True)
class _Test:
    """One test set of one cell."""

    videos: tuple[str, ...]
    weight: float
    """Its share of the cell."""
    right: np.ndarray
    """(videos,): the share of seeds in which each was right."""


class Accuracies:
    """Tests conditions of the accuracies of one claim, and collects what has to be said of how."""

    def __init__(self, samples: Mapping[str, Sample], videos: Videos, tolerance: float) -> None:
        self.samples, self.videos, self.tolerance = samples, videos, tolerance
        self.methods: dict[str, None] = {}
        """In words, in the order in which they came."""
        self.remarks: dict[str, None] = {}

    def test(self, condition: Condition) -> Outcome:
        """One condition. Raises ZeroDivisionError."""
        samples = {name: self.samples[name] for name in condition.names}
        measured = {name: sample for name, sample in samples.items() if sample.fixed is None}
        if not measured:
            return self._printed(condition)
        seeds = _seeds(list(measured.values()))
        means: dict[str, float] = {}
        for name, sample in samples.items():
            values = [sample.values[seed] for seed in seeds.get(sample.cell.id, ())]
            means[name] = fmean(values) if sample.fixed is None else sample.fixed
        value, slopes = condition.value(means), _slopes(condition, means)
        if condition.kind in ("about", "same"):
            value += self.tolerance * max(map(abs, slopes.values()))
            self.remarks[f"within {self.tolerance:g} point counts as equal"] = None
        tests = {name: self._tests(sample, seeds[sample.cell.id]) for name, sample in measured.items()}
        if (exact := self._mcnemar(condition, measured, tests, seeds, slopes, value)) is not None:
            return exact
        over_seeds, freedom = self._over_seeds(condition, samples, seeds, slopes)
        over_videos, videos_freedom = self._over_videos(measured, tests, seeds, slopes)
        if over_seeds == over_videos == 0:
            raise NotRun("a metric that is no share of the videos needs seeds that differ: run more seeds")
        spread = Spread(over_seeds, freedom, over_videos, videos_freedom)
        return estimated(condition.text, evaluate(condition.shown, means), value, spread)

    def _printed(self, condition: Condition) -> Outcome:
        """A condition of rows that are never run."""
        values = {name: self.samples[name].mean for name in condition.names}
        cells = {name: self.samples[name].cell.printed for name in condition.names}
        halves = {name: 0.5 * 10.0**-cell.decimals for name, cell in cells.items() if cell is not None}
        return certain(condition.text, evaluate(condition.shown, values), printed_holds(condition, values, halves))

    # ---- seeds -------------------------------------------------------------------------------------------------------

    def _over_seeds(
        self,
        condition: Condition,
        samples: Mapping[str, Sample],
        seeds: Mapping[str, list[int]],
        slopes: Mapping[str, float],
    ) -> tuple[float, float]:
        """The variance of the number that comes from seeds, and its degrees of freedom."""
        measured = {name: sample for name, sample in samples.items() if sample.fixed is None}
        chosen = {name: seeds[sample.cell.id] for name, sample in measured.items()}
        first = next(iter(chosen.values()))
        if len(first) == 1 and all(len(one) == 1 for one in chosen.values()):
            self.remarks["one seed: of the test videos alone"] = None
            return 0.0, 1.0
        if all(one == first for one in chosen.values()):
            self.methods[f"{len(first)} seeds, paired (t)"] = None
            values = [
                condition.value({n: s.values[seed] if s.fixed is None else s.fixed for n, s in samples.items()})
                for seed in first
            ]
            steps = (slopes[name] * sample.step(first) for name, sample in measured.items())
            return seeds_variance(values, math.hypot(*steps)), len(values) - 1
        self.methods["seeds unpaired (Welch)"] = None
        parts = [
            (
                slopes[name] ** 2
                * seeds_variance([sample.values[seed] for seed in chosen[name]], sample.step(chosen[name])),
                len(chosen[name]) - 1,
            )
            for name, sample in measured.items()
        ]
        total = sum(part for part, _ in parts)
        return total, total**2 / sum(part**2 / freedom for part, freedom in parts) if total else 1.0

    # ---- videos ------------------------------------------------------------------------------------------------------

    def _tests(self, sample: Sample, seeds: Sequence[int]) -> list[_Test] | None:
        """The test sets of a cell, video by video; None where the store lacks the scores of one."""
        import numpy as np

        found = [self.videos.hits(sample, seed) for seed in seeds]
        by_seed = [one for one in found if one is not None]
        if len(by_seed) < len(found):
            return None
        tests: dict[str, _Test] = {}
        keys = [record.evaluation_key for record in sample.records[seeds[0]]]
        for number, key in enumerate(keys):  # splits that are one evaluation at a small scale are one test
            names = tuple(sorted(by_seed[0][number]))
            if any(len(one[number]) != len(names) or not all(name in one[number] for name in names) for one in by_seed):
                return None
            right = np.mean([[one[number][name] for name in names] for one in by_seed], axis=0)
            weight = (tests[key].weight if key in tests else 0.0) + 1 / len(keys)
            tests[key] = _Test(names, weight, right)
        return list(tests.values())

    def _over_videos(
        self,
        measured: Mapping[str, Sample],
        tests: Mapping[str, list[_Test] | None],
        seeds: Mapping[str, list[int]],
        slopes: Mapping[str, float],
    ) -> tuple[float, float]:
        """The variance of the number that comes from the test videos, and its degrees of freedom."""
        import numpy as np

        influence: dict[tuple[str, ...], np.ndarray] = {}
        weights: dict[tuple[str, ...], list[float]] = {}
        total, fewest = 0.0, float("inf")
        alone = []
        for name, sample in measured.items():
            found = tests[name]
            known = METRICS.get(sample.cell.metric)
            if found is not None:
                for test in found:
                    weight = 100 * slopes[name] * test.weight
                    influence[test.videos] = (
                        influence.get(test.videos, np.zeros(len(test.videos))) + weight * test.right
                    )
                    weights.setdefault(test.videos, []).append(weight)
            elif known is not None and known.of_videos:
                alone.append(name)
                videos = sample.videos(seeds[sample.cell.id])
                share = fmean(sample.values[seed] for seed in seeds[sample.cell.id]) / 100
                total += (100 * slopes[name]) ** 2 * share_variance(share, videos)
                fewest = min(fewest, videos)
        if influence:
            self.methods["videos paired" if max(map(len, weights.values())) > 1 else "videos"] = None
        if alone:
            self.methods["videos unpaired (binomial)"] = None
            if any(measured[name].cell.metric == always_measured()[0] for name in alone):
                self.remarks["unpaired where the store has no per-video scores"] = None
        for videos_of, by_video in influence.items():
            total += videos_variance(by_video, weights[videos_of])
            fewest = min(fewest, len(by_video))
        return total, max(1.0, fewest - 1)

    def _mcnemar(
        self,
        condition: Condition,
        measured: Mapping[str, Sample],
        tests: Mapping[str, list[_Test] | None],
        seeds: Mapping[str, list[int]],
        slopes: Mapping[str, float],
        value: float,
    ) -> Outcome | None:
        """McNemar's exact test of a difference of two rows, each with one seed, on one test set; None for all else."""
        if len(condition.names) != 2 or len(measured) != 2 or any(len(one) > 1 for one in seeds.values()):
            return None
        ours, theirs = sorted(measured, key=lambda name: -slopes[name])
        means = {name: sample.values[seeds[sample.cell.id][0]] for name, sample in measured.items()}
        pair = [one for name in (ours, theirs) for one in tests[name] or ()]
        if abs(value - (means[ours] - means[theirs])) > 1e-9 or len(pair) != 2 or pair[0].videos != pair[1].videos:
            return None
        first, second = pair
        won, lost = int((first.right > second.right).sum()), int((first.right < second.right).sum())
        above, below = mcnemar_sides(won, lost)
        spread = Spread(
            0.0, 1.0, videos_variance(100 * (first.right - second.right), [100.0, -100.0]), len(first.videos) - 1
        )
        half = estimated("", value, value, spread).interval
        self.methods["McNemar's exact test"] = None
        self.remarks["one seed: of the test videos alone"] = None
        return Outcome(condition.text, value, half, above, below)


def _seeds(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Cell -> the seeds that are taken of it: those that all have, if there are two or more; all of each, if each has
    two or more; else one of each, the same where they have one in common."""
    common = sorted(set.intersection(*(set(sample.values) for sample in samples))) if samples else []
    if len(common) >= 2:
        return {sample.cell.id: common for sample in samples}
    if all(len(sample.values) >= 2 for sample in samples):
        return {sample.cell.id: sorted(sample.values) for sample in samples}
    return {sample.cell.id: common or sorted(sample.values)[:1] for sample in samples}


def _slopes(condition: Condition, cells: Mapping[str, float]) -> dict[str, float]:
    """What the number of a condition changes by for each point of each cell."""
    step = 1e-4
    return {
        name: (
            condition.value({**cells, name: cells[name] + step}) - condition.value({**cells, name: cells[name] - step})
        )
        / (2 * step)
        for name in condition.names
    }
