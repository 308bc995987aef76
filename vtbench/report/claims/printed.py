"""Do the papers satisfy their own claims? Claims against the printed numbers.

A printed number stands for every number that rounds to it. So `about`, `same` and `within` hold if they hold for any
such numbers; an order is of the numbers as they are printed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from vtbench.papers.claims.document import Claim
from vtbench.papers.claims.expression import Condition, decide, evaluate, names_in
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
    return Finding("supported" if holds else "contradicted", why=_reconstructed(claim), sides=sides)


def _reconstructed(claim: Claim) -> str | None:
    """The cells that are not read off the print, with where their numbers come from."""
    origins: dict[str, list[str]] = {}
    for cell in claim.cells.values():
        if cell.printed is not None and cell.printed.reconstructed:
            origins.setdefault(cell.printed.reconstructed, []).append(cell.id)
    said = [f"{', '.join(ids)} reconstructed: {origin}" for origin, ids in origins.items()]
    return "; ".join(said) or None


def printed_holds(condition: Condition, values: Mapping[str, float], halves: Mapping[str, float]) -> bool:
    """A condition for numbers of which each may be off by half of its last digit. Raises ZeroDivisionError."""
    if condition.kind == "order":
        return condition.holds(values)
    low = {name: values[name] - halves[name] for name in condition.names}
    high = {name: values[name] + halves[name] for name in condition.names}
    return extremes(condition.number, low, high)[1] > (1e-9 if any(halves.values()) else -1e-9)


def extremes(number: ast.expr, low: Mapping[str, float], high: Mapping[str, float]) -> tuple[float, float]:
    """The least and the largest value of a number where each of its cells lies between two ends. Exact where it only
    rises or only falls with each cell in between, as what is made of + - * / does over half a digit."""
    names = names_in(number)
    middle = {name: (low[name] + high[name]) / 2 for name in names}
    least, largest = {}, {}
    for name in names:
        by_value = [(evaluate(number, {**middle, name: end}), end) for end in (low[name], high[name])]
        (_, least[name]), (_, largest[name]) = sorted(by_value)
    return evaluate(number, least), evaluate(number, largest)
