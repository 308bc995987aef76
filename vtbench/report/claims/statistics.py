"""Is a number above 0, within the noise of seeds and of a finite test set? And are all numbers of a formula, for all
claims of a paper? Numbers only; nothing knows of rows. docs/claims.md has the reasons and the references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtbench.papers.claims.expression import Condition, Formula
from vtbench.report.spread import Spread
from vtbench.report.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    pass

ALPHA = 0.05
"""The share of papers of which one claim or more is decided where nothing is true of any, at most."""


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


def estimated(what: str, shown: float, number: float, spread: Spread) -> Outcome:
    """A condition from an estimate of its number, and of what is shown of it."""
    p, half = spread.p(number), spread.half(1 - CONFIDENCE)
    above, below = (p / 2, 1 - p / 2) if number >= 0 else (1 - p / 2, p / 2)
    return Outcome(what, shown, (shown - half, shown + half), above, below)


def certain(what: str, value: float, holds: bool) -> Outcome:
    """A condition of exact numbers."""
    return Outcome(what, value, None, *((0.0, 1.0) if holds else (1.0, 0.0)))


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
