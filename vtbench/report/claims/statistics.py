"""Is a number above 0, within the noise of seeds and of a finite test set? And are all numbers of a formula, for all
claims of a paper? Numbers only; nothing knows of rows. docs/claims.md has the reasons and the references."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtbench.papers.claims.expression import Condition, Formula
from vtbench.report.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
"""The share of papers of which one claim or more is decided where nothing is true of any, at most."""

PSEUDO = 2.0
"""Videos added to each test set: one that every row gets right or wrong at random, each with weight 1, in expectation.
Of two rows that is half a video to each of the four outcomes (Agresti and Min 2005), of one row a hit and a miss."""


@dataclass(frozen=True)
class Outcome:
    """One condition against numbers."""

    what: str
    """The number of it that readers see: `Condition.text`."""
    value: float
    """Its value."""
    interval: Interval | None
    p_above: float
    """One-sided: how likely a value as high is if the number is not above 0."""
    p_below: float
    """One-sided: how likely a value as low is if the number is not below 0."""


@dataclass(frozen=True)
class Spread:
    """Where an estimate has its uncertainty from, in squares of its unit."""

    seeds: float
    """Variance of the mean over seeds; 0 where there is only one, or none that differ."""
    seeds_freedom: float
    videos: float
    videos_freedom: float

    def half(self, p: float) -> float:
        """Half the width of the interval that misses in a share `p`. Student's interval over the seeds and that over
        the videos, added in quadrature."""
        parts = ((self.seeds, self.seeds_freedom), (self.videos, self.videos_freedom))
        return math.hypot(*(_quantile(p, freedom) * math.sqrt(variance) for variance, freedom in parts if variance))

    def p(self, value: float) -> float:
        """Two-sided: the share `p` at which the interval around a value just reaches 0."""
        if self.seeds == 0 and self.videos == 0:
            return 1.0 if value == 0 else 0.0
        low, high = -700.0, 0.0  # of the logarithm, which is as exact for small p
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.half(math.exp(middle)) < abs(value) else (middle, high)
        return math.exp(high)


def _quantile(p: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, p / 2))


def estimated(what: str, shown: float, number: float, spread: Spread) -> Outcome:
    """A condition from an estimate of its number, and of what is shown of it."""
    p, half = spread.p(number), spread.half(1 - CONFIDENCE)
    above, below = (p / 2, 1 - p / 2) if number >= 0 else (1 - p / 2, p / 2)
    return Outcome(what, shown, (shown - half, shown + half), above, below)


def certain(what: str, value: float, holds: bool) -> Outcome:
    """A condition of exact numbers."""
    return Outcome(what, value, None, *((0.0, 1.0) if holds else (1.0, 0.0)))


def videos_variance(influence: np.ndarray, weights: Sequence[float]) -> float:
    """The variance that a test set's finite size gives an estimate, never 0.

    - influence: of each video, (videos,): what the estimate would change by if all videos were as this one
    - weights: what the estimate changes by for each row that gets a video right
    """
    centre = sum(weights) / 2  # of a pseudo-video, which each row gets right in half of all cases
    square = centre**2 + sum(weight**2 for weight in weights) / 4
    number = len(influence) + PSEUDO
    mean = (float(influence.sum()) + PSEUDO * centre) / number
    second = (float((influence**2).sum()) + PSEUDO * square) / number
    return (second - mean**2) / number


def share_variance(hits: float, videos: int) -> float:
    """The variance of a share of `hits` (0 to 1) of the videos, with a hit and a miss added."""
    number = videos + PSEUDO
    share = (hits * videos + PSEUDO / 2) / number
    return share * (1 - share) / number


# ---- many conditions, many claims ------------------------------------------------------------------------------------


def joined(formula: Formula, test: Callable[[Condition], Outcome]) -> tuple[float, float, Outcome]:
    """One-sided p that a formula holds and that it fails, and the condition that decides.

    All of several conditions hold: the largest p of them (intersection-union test, Berger 1982). One of m fails:
    m times the smallest (Bonferroni). The other way round where one has to hold.
    """
    if isinstance(formula, Condition):
        found = test(formula)
        return found.p_above, found.p_below, found
    holds, fails, decisive = zip(*(joined(part, test) for part in formula.parts), strict=True)
    if formula.every:
        return max(holds), min(1.0, len(fails) * min(fails)), decisive[holds.index(max(holds))]
    return min(1.0, len(holds) * min(holds)), max(fails), decisive[holds.index(min(holds))]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): each p as it is to be held against ALPHA, in the order given."""
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[number]))
        corrected[number] = largest
    return corrected
