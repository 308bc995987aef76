"""How far an estimate from seeds and test videos may be off: one method for differences of rows, pairs of results and
claims. Numbers only; docs/claims.md has the reasons and the references.

Two sources: another training (seeds), and another test set (videos). Each has a variance and degrees of freedom; the
half widths of their two Student's intervals are added in quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import variance
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PSEUDO = 2.0
"""Videos added to each test set: one that every row gets right or wrong at random, each with weight 1, in expectation.
Of two rows that is half a video to each of the four outcomes (Agresti and Min 2005), of one row a hit and a miss."""


@dataclass(frozen=True)
class Spread:
    """Where an estimate has its uncertainty from, in squares of its unit."""

    seeds: float
    """Variance of the mean over seeds; 0 where there is only one."""
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


def seeds_variance(values: Sequence[float], step: float) -> float:
    """The variance of the mean of two or more seeds. Each value is a count of videos, so at least that of rounding to
    a `step`: seeds that agree by chance are not certain."""
    return max(variance(values), step * step / 12) / len(values)


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
