"""From a few measurements to an interval, and from an interval to a verdict. Numbers only; nothing knows of rows.

The rule for a printed accuracy, all in percentage points:

- The printed number stands for every number that rounds to it, and `TOLERANCE` points to either side count as
  reproduced: the band is printed ± (half of its last digit + tolerance).
- What we measured stands for an interval at 95 % confidence: over two or more seeds Student's t interval of their mean;
  with one seed, where nothing is known about the spread over seeds, the Wilson interval of that many hits among the
  videos expected. One seed of a number that is no share of the videos has no interval and decides nothing.
- `within` if the interval lies inside the band, `outside` if it misses the band, `inconclusive` if it reaches across an
  edge: then more seeds can decide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

TOLERANCE = 1.0
"""Percentage points to either side of a printed accuracy that count as reproduced."""

CONFIDENCE = 0.95

Interval = tuple[float, float]
Finding = Literal["within", "outside", "inconclusive"]


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1 in the denominator); None for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of the mean of two or more independent values, in their unit."""
    from scipy.special import stdtrit  # takes a second to import, and one seed does without

    mean, sd = mean_and_sd(values)
    if sd is None:
        raise ValueError("a t interval needs two values")
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * sd / math.sqrt(len(values))
    return mean - half, mean + half


def wilson_interval(percent: float, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval, in percent, of a share of `percent` hits among `trials`; all of [0, 100] for no trial.

    Wilson, J. Am. Stat. Assoc. 22 (1927) 209; without continuity correction.
    """
    if trials == 0:
        return 0.0, 100.0
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = percent / 100, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


def compare_to_print(measured: Interval | None, printed: float, decimals: int, tolerance: float = TOLERANCE) -> Finding:
    """Where the measured interval lies relative to a number printed with so many decimals (see the rule above). None,
    of which nothing is known, decides nothing."""
    if measured is None:
        return "inconclusive"
    reach = tolerance + 0.5 * 10.0**-decimals
    low, high = printed - reach, printed + reach
    if low <= measured[0] and measured[1] <= high:
        return "within"
    if measured[1] < low or high < measured[0]:
        return "outside"
    return "inconclusive"


def strictest(findings: Sequence[Finding]) -> Finding:
    """One finding for several numbers: outside if any is, else inconclusive if any is, else within."""
    return max(findings, key=("within", "inconclusive", "outside").index)
