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
from dataclasses import dataclass
from typing import Any, Literal

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
    # With all hits or none an end is the share itself, which rounding may miss.
    low = 0.0 if share <= 0 else 100 * max(0.0, centre - half)
    return low, 100.0 if share >= 1 else 100 * min(1.0, centre + half)


def mcnemar_sides(won: int, lost: int) -> tuple[float, float]:
    """McNemar's exact test, one-sided: p that the first of two is better, and that it is worse. `won`, `lost`: videos
    that only the first got right, and only the second. Psychometrika 12 (1947) 153."""
    from scipy.special import bdtr  # scipy.stats takes half a second to import

    both = won + lost
    return (float(bdtr(lost, both, 0.5)), float(bdtr(won, both, 0.5))) if both else (1.0, 1.0)


def mcnemar(won: int, lost: int) -> float:
    """McNemar's exact test, two-sided: p of as uneven a split of the videos that only one of two got right; 1 for
    none."""
    return min(1.0, 2 * min(mcnemar_sides(won, lost)))


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two rankings of the same things, neither of which is the same for all."""
    import numpy as np

    signs = [np.sign(np.subtract.outer(ranking, ranking)) for ranking in (first, second)]
    agree, *pairs = (float((one * other).sum()) for one, other in (signs, signs[:1] * 2, signs[1:] * 2))
    return agree / math.sqrt(math.prod(pairs))


def kendall_interval(tau: float, pairs: int, confidence: float = CONFIDENCE) -> Interval:
    """Fieller's interval of Kendall's tau of five or more pairs, for a tau that is neither 1 nor -1 (Biometrika 44
    (1957) 470)."""
    half = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(0.437 / (pairs - 4))
    return math.tanh(math.atanh(tau) - half), math.tanh(math.atanh(tau) + half)


def band(printed: float, decimals: int, tolerance: float = TOLERANCE) -> Interval:
    """What counts as a number printed with so many decimals: all that round to it, and `tolerance` to either side."""
    reach = tolerance + 0.5 * 10.0**-decimals
    return printed - reach, printed + reach


def compare_to_print(measured: Interval | None, printed: float, decimals: int, tolerance: float = TOLERANCE) -> Finding:
    """Where the measured interval lies relative to a number printed with so many decimals (see the rule above). None,
    of which nothing is known, decides nothing."""
    if measured is None:
        return "inconclusive"
    low, high = band(printed, decimals, tolerance)
    if low <= measured[0] and measured[1] <= high:
        return "within"
    if measured[1] < low or high < measured[0]:
        return "outside"
    return "inconclusive"


def strictest(findings: Sequence[Finding]) -> Finding:
    """One finding for several numbers: outside if any is, else inconclusive if any is, else within."""
    return max(findings, key=("within", "inconclusive", "outside").index)


# ---- rows against each other ----------------------------------------------------------------------------------------

Direction = Literal["same", "opposite", "open"]
"""Whether the measured interval lies on the printed side of 0, on the other side, or reaches across."""


@dataclass(frozen=True)
class Difference:
    """One metric of a row minus that of the reference row, in the metric's unit."""

    metric: str
    reference: str
    """Name of the reference row."""
    printed: float | None
    measured: float | None
    interval: Interval | None
    """95 %."""
    paired: bool
    p: float | None
    """McNemar's exact p, two-sided, where the interval is paired."""
    decimals: int = 2

    @property
    def direction(self) -> Direction | None:
        """None where one of the two is not there, or the printed difference is 0."""
        if self.interval is None or not self.printed:
            return None
        low, high = self.interval
        if low <= 0 <= high:
            return "open"
        return "same" if (low > 0) == (self.printed > 0) else "opposite"

    def entry(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "row": self.reference,
            "metric": self.metric,
            "printed": self.printed,
            "measured": self.measured,
            "interval": list(self.interval) if self.interval else None,
            "paired": self.paired if self.measured is not None else None,
            "p": self.p,
            "direction": self.direction,
        }


@dataclass(frozen=True)
class Order:
    """How alike printed and measured numbers order the rows of a table."""

    metric: str
    tau: float
    interval: Interval | None
    """95 %; None for a tau of 1 or -1."""
    rows: int
    at_chance: int  # of the rows; they are tied

    def entry(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "metric": self.metric,
            "kendall_tau": self.tau,
            "interval": list(self.interval) if self.interval else None,
            "rows": self.rows,
            "at_chance": self.at_chance,
        }
