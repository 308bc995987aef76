"""Does an expression say anything? It is evaluated on made-up numbers: one that is true or false of all of them says
nothing of a paper, and neither does a statement in it of a cell that never changes whether it is true.

Independent uniform numbers would almost never satisfy `about(a - b, 1.2)` or put ten rows in order. So the `FILLINGS`
numbers of a claim are, in turn:

1. drawn independently over the range of the cell's metric
2. near one number, all within a hundredth of it to a few points
3. tied: each cell has one of two numbers
4. in order: ascending or descending in the order in which the expression names the cells
5. made to hold: cells are moved, one condition after the other, until it is satisfied
6. made to fail: the same, until one is not

A percentage is between 0 and 100; another metric between `LEAST` and `MOST`, evenly over the logarithm.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache

from vtbench.papers.claims.expression import Condition, Expression, Formula, Statement

FILLINGS = 200
LEAST, MOST = 0.1, 10_000.0

Range = tuple[float, float]
PERCENT: Range = (0.0, 100.0)
AMOUNT: Range = (LEAST, MOST)


def says_nothing(expression: Expression, ranges: Mapping[str, Range], seed: str) -> str | None:
    """What is wrong with an expression that is always true or always false, or in which a cell changes nothing, as
    `base` in `base - a < base - b`; None if all is well. `ranges`: of each cell, by its short name."""
    found = set()
    for _, holds in _filled(expression, ranges, random.Random(seed)):
        found.add(holds)
        if len(found) == 2:
            break
    if not found:
        return "divides by zero whatever the cells hold; it says nothing of the paper"
    if len(found) == 1:
        return f"is always {'true' if found.pop() else 'false'}, whatever the cells hold; it says nothing of the paper"
    for statement in expression.statements:
        if idle := _idle(statement, ranges, random.Random(seed)):
            names = " and ".join(f"'{name}'" for name in idle)
            return f"{names} cannot change whether {statement.text} is true; rewrite it, or leave the cell out of it"
    return None


def _idle(statement: Statement, ranges: Mapping[str, Range], draw: random.Random) -> tuple[str, ...]:
    """The cells of a statement that never decide whether it is true, however far each is moved alone."""
    idle = statement.names
    for cells, holds in _filled(statement, ranges, draw):
        idle = tuple(name for name in idle if not _decides(name, statement, cells, holds, ranges[name], draw))
        if not idle:
            break
    return idle


def _decides(
    name: str, statement: Statement, cells: Mapping[str, float], holds: bool, of: Range, draw: random.Random
) -> bool:
    for value in (*of, _one(of, draw)):
        try:
            if statement.holds({**cells, name: value}) != holds:
                return True
        except ZeroDivisionError:
            continue
    return False


def _filled(
    statement: Statement, ranges: Mapping[str, Range], draw: random.Random
) -> Iterator[tuple[dict[str, float], bool]]:
    """The fillings of the cells, each with whether the statement is true of it; without those that divide by zero."""
    for number in range(FILLINGS):
        try:
            cells = _filling(number % 6, statement, ranges, draw)
            holds = statement.holds(cells)
        except ZeroDivisionError:
            continue
        yield cells, holds


@cache
def is_ordering(condition: Condition) -> bool:
    """Whether it only says which numbers are larger: adding the same to all cells, or multiplying all by the same
    positive number, never changes it. Of `a - b > 0.5` and `a > 2 * b` that is not true."""
    return _unchanged(condition, most_shift=25)


@cache
def only_ratios(condition: Condition) -> bool:
    """Whether multiplying all cells by the same positive number never changes it: true of `a > 2 * b`, not of `a - b >
    0.5`."""
    return _unchanged(condition, most_shift=0)


def _unchanged(condition: Condition, most_shift: float) -> bool:
    """Seen from numbers that only just satisfy the condition, or only just do not."""
    draw = random.Random(0)
    for _ in range(32):
        cells = {name: draw.uniform(20, 50) for name in condition.names}
        factor, shift = draw.uniform(0.1, 1.5), draw.uniform(0, most_shift)
        try:
            _move_one(condition, cells, dict.fromkeys(cells, AMOUNT), draw, wanted=draw.random() < 0.5)
            before = condition.value(cells)
            after = condition.value({name: factor * value + shift for name, value in cells.items()})
        except ZeroDivisionError:
            continue
        if (before > 1e-9) != (after > 1e-9):
            return False
    return True


def _filling(kind: int, statement: Statement, ranges: Mapping[str, Range], draw: random.Random) -> dict[str, float]:
    names = statement.names
    cells = {name: _one(ranges[name], draw) for name in names}
    if kind == 1:
        base, reach = _one(ranges[names[0]], draw), 10 ** draw.uniform(-2, 1)
        cells = {name: base + reach * draw.uniform(-1, 1) for name in names}
    elif kind == 2:
        both = [cells[names[0]], cells[names[-1]]]
        cells = {name: draw.choice(both) for name in names}
    elif kind == 3:
        ordered = sorted(cells.values(), reverse=draw.random() < 0.5)
        cells = dict(zip(names, ordered, strict=True))
    elif kind > 3:
        near = draw.random() < 0.5  # else cells may have to go far beyond their range
        base = cells[names[0]]
        cells = {name: base * draw.uniform(0.95, 1.05) if near else value for name, value in cells.items()}
        _move(statement.formula, cells, ranges, draw, wanted=kind == 4)
    return {name: _within(value, ranges[name]) for name, value in cells.items()}


def _one(of: Range, draw: random.Random) -> float:
    low, high = of
    return draw.uniform(low, high) if low == 0 else low * (high / low) ** draw.random()


def _within(value: float, of: Range) -> float:
    return min(max(value, of[0]), of[1])


def _move(
    formula: Formula, cells: dict[str, float], ranges: Mapping[str, Range], draw: random.Random, *, wanted: bool
) -> None:
    """Move cells until the formula holds, or fails, as far as that is possible within their ranges."""
    for _ in range(10):
        try:
            moved = False
            for condition in _chosen(formula, draw, wanted):
                if condition.holds(cells) != wanted:
                    _move_one(condition, cells, ranges, draw, wanted=wanted)
                    moved = True
        except ZeroDivisionError:
            return
        if not moved:
            return


def _chosen(formula: Formula, draw: random.Random, wanted: bool) -> list[Condition]:
    """The conditions that are enough: all, or one of them where one does."""
    if isinstance(formula, Condition):
        return [formula]
    if formula.every == wanted:
        return [condition for part in formula.parts for condition in _chosen(part, draw, wanted)]
    return _chosen(draw.choice(formula.parts), draw, wanted)


def _move_one(
    condition: Condition, cells: dict[str, float], ranges: Mapping[str, Range], draw: random.Random, *, wanted: bool
) -> None:
    """Move one cell of a condition, by Newton's method, to where its number is just above 0 or just below."""
    name = draw.choice(condition.names)
    target = 10 ** draw.uniform(-3, -1) * (1 if wanted else -1)
    if wanted and condition.kind != "order":  # the condition of the other side leaves little room, of `same` none
        target *= 0.0 if condition.kind == "same" else 0.01
    for _ in range(5):
        value, step = condition.value(cells), 1e-6 * max(1.0, abs(cells[name]))
        slope = (condition.value({**cells, name: cells[name] + step}) - value) / step
        if slope == 0:
            return
        cells[name] = _within(cells[name] + (target - value) / slope, ranges[name])
