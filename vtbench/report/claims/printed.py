"""Do the papers satisfy their own claims? Claims against the printed numbers.

A printed number stands for every number that rounds to it. So `about`, `same` and `within` hold if they hold for any
such numbers; an order is of the numbers as they are printed.
"""

from __future__ import annotations

from collections.abc import Mapping

from vtbench.papers.claims.document import Claim
from vtbench.papers.claims.expression import Condition, decide
from vtbench.report.claims.finding import Finding, sides_of


def judge_printed(claim: Claim) -> Finding:
    """A claim against what its paper prints."""
    printed = {name: cell.printed for name, cell in claim.cells.items()}
    if missing := [claim.cells[name].id for name, cell in printed.items() if cell is None]:
        return Finding("not printed", f"no printed {' or '.join(missing)}")
    values = {name: cell.value for name, cell in printed.items() if cell is not None}
    decimals = {name: cell.decimals for name, cell in printed.items() if cell is not None}
    halves = {name: 0.5 * 10.0**-places for name, places in decimals.items()}
    try:
        holds = decide(claim.expression.formula, lambda condition: printed_holds(condition, values, halves))
        sides = sides_of(claim, values, decimals)
    except ZeroDivisionError:
        return Finding("cannot be tested", "divides by a printed 0")
    return Finding("supported" if holds else "contradicted", sides=sides)


def printed_holds(condition: Condition, values: Mapping[str, float], halves: Mapping[str, float]) -> bool:
    """A condition for numbers of which each may be off by half of its last digit. Raises ZeroDivisionError."""
    return condition.holds(values) if condition.kind == "order" else highest(condition, values, halves) > 1e-9


def highest(condition: Condition, values: Mapping[str, float], halves: Mapping[str, float]) -> float:
    """The largest value that the number of a condition has where each cell may be off by its half. Exact where the
    number rises or falls with a cell throughout, as all do that are made of + - * / within half a digit."""
    best = dict(values)
    for name in condition.names:
        ends = {
            end: condition.value({**values, name: end})
            for end in (values[name] - halves[name], values[name] + halves[name])
        }
        best[name] = max(ends, key=lambda end: ends[end])
    return condition.value(best)
