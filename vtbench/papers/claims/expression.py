"""`holds` of a claim: from text to conditions "number > 0" that are joined by and / or. Never handed to Python's eval.

    kv - vit > 0.5                     cells by their short names, numbers, + - * /, comparisons (chained too), and, or
    about(kv - vit, 1.2)               1.2 to the digits that it is written with: between 1.15 and 1.25
    within(a, b, 0.5)                  at most 0.5 apart
    same(a, b, c)                      equal to the printed digits
    increasing(a, b, c)                each above the one before it; decreasing: below
    min, max, mean, abs, percent       numbers; percent(a, b) = 100 (a - b) / b

`max`, `min` and `abs` that are only added or subtracted become conditions of their own: `a > max(b, c)` is `a > b and
a > c`. `about` and `within` are two conditions, one for each side. So a test of each condition is all that statistics
need.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import fmean
from typing import Literal

from vtbench.errors import unknown

LONGEST = 1000
"""Characters of an expression."""
DEEPEST = 50
"""Levels of an expression: what walks over it calls itself once or more for each."""
MOST_CONDITIONS = 300
"""Conditions of an expression. Each `abs` that is added to others doubles them."""

Kind = Literal["order", "within", "about", "same"]
"""What a condition came from. An order is of the printed numbers as they stand; the others allow for what a printed
number was rounded from."""

_NUMBERS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "mean": lambda *values: fmean(values),
    "abs": abs,
    "percent": lambda a, b: 100 * (a / b - 1),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_CONDITIONS = ("about", "within", "same", "increasing", "decreasing")
FUNCTIONS = (*_CONDITIONS, *_NUMBERS)
_COUNTS = {"abs": (1, 1), "percent": (2, 2), "about": (2, 2), "within": (3, 3), "mean": (1, None)}
"""Function -> the least and the largest number of its arguments; two or more for the others."""
_COMPARISONS: dict[type[ast.cmpop], tuple[bool, bool]] = {
    ast.Gt: (True, True),
    ast.GtE: (True, False),
    ast.Lt: (False, True),
    ast.LtE: (False, False),
}
"""Operator -> whether the left side is the larger one, and strictly."""


@dataclass(frozen=True)
class Condition:
    """`number` > 0, or >= 0 where it is not strict."""

    number: ast.expr
    strict: bool
    kind: Kind
    shown: ast.expr
    """What readers see of it, which is `number` but for a constant: of `a - b > 0.5` and of `about(a - b, 1.2)` it is
    a - b."""
    names: tuple[str, ...]
    """The cells in it, each once."""

    @property
    def text(self) -> str:
        """`shown`, as it is written."""
        return ast.unparse(self.shown)

    def value(self, cells: Mapping[str, float]) -> float:
        """The number. Raises ZeroDivisionError."""
        return evaluate(self.number, cells)

    def holds(self, cells: Mapping[str, float]) -> bool:
        """Whether it does, for numbers as they stand; rounding errors of floats forgiven."""
        value, slack = self.value(cells), 1e-9 * max(1.0, *(abs(cells[name]) for name in self.names), 0.0)
        return value > slack if self.strict else value >= -slack


@dataclass(frozen=True)
class Joined:
    """Formulas of which `every` one must hold, or any."""

    every: bool
    parts: tuple[Formula, ...]


Formula = Condition | Joined


@dataclass(frozen=True)
class Statement:
    """One comparison as it is written, a chain `a < b < c` included, or one call such as about(a, 1.2)."""

    text: str
    formula: Formula
    names: tuple[str, ...]
    """The cells in it, each once."""

    def holds(self, cells: Mapping[str, float]) -> bool:
        """Whether it is true of these numbers. Raises ZeroDivisionError."""
        return decide(self.formula, lambda condition: condition.holds(cells))


@dataclass(frozen=True)
class Expression(Statement):
    """A parsed `holds`: statements that are joined by and / or."""

    statements: tuple[Statement, ...]
    sides: tuple[ast.expr, ...]
    """The numbers that it compares, without constants, each once."""


def decide(formula: Formula, holds: Callable[[Condition], bool]) -> bool:
    """A formula from what is said of each of its conditions."""
    if isinstance(formula, Condition):
        return holds(formula)
    found = (decide(part, holds) for part in formula.parts)
    return all(found) if formula.every else any(found)


def conditions(formula: Formula) -> Iterator[Condition]:
    """All conditions of a formula."""
    if isinstance(formula, Condition):
        yield formula
    else:
        for part in formula.parts:
            yield from conditions(part)


def names_in(number: ast.AST) -> tuple[str, ...]:
    """The cells in a number or a formula, in the order in which they first stand."""
    found = (node for node in ast.walk(number) if isinstance(node, ast.Name))
    called = {id(node.func) for node in ast.walk(number) if isinstance(node, ast.Call)}
    placed = sorted((node for node in found if id(node) not in called), key=lambda node: node.col_offset)
    return tuple(dict.fromkeys(node.id for node in placed))


def evaluate(number: ast.expr, cells: Mapping[str, float]) -> float:
    """A number of an expression, for values of its cells. Raises ZeroDivisionError."""
    match number:
        case ast.Constant():
            return float(number.value)  # type: ignore[arg-type]
        case ast.Name():
            return cells[number.id]
        case ast.UnaryOp():
            return -evaluate(number.operand, cells)
        case ast.BinOp():
            return _ARITHMETIC[type(number.op)](evaluate(number.left, cells), evaluate(number.right, cells))
        case ast.Call(func=ast.Name(id=name)):
            return _NUMBERS[name](*(evaluate(argument, cells) for argument in number.args))
    raise AssertionError(ast.dump(number))


# ---- parsing ---------------------------------------------------------------------------------------------------------


def parse(text: str) -> Expression:
    """An expression. Raises ValueError, with what is wrong and what to write, for anything else."""
    text = " ".join(text.split())
    if len(text) > LONGEST:
        raise ValueError(f"has {len(text)} characters, at most {LONGEST} are read; make two claims of it")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"{text!r} is no expression: {reason}; write it like a - b > 0.5") from error
    if _is_deep(tree):
        raise ValueError(f"has numbers within each other more than {DEEPEST} levels deep; make two claims of it")
    parser = _Parser(text)
    formula = parser.formula(tree)
    names = names_in(tree)
    if not names:
        raise ValueError("names no cell; name those that the sentence is about in `cells`")
    if any(not condition.names for condition in conditions(formula)):
        raise ValueError("compares constants with each other; remove that")
    sides = {ast.unparse(side): side for side in parser.sides if names_in(side)}
    return Expression(text, formula, names, tuple(parser.statements), tuple(sides.values()))


def _is_deep(tree: ast.expr) -> bool:
    """Whether a tree has more than DEEPEST levels."""
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST):
        level = [below for node in level for below in ast.iter_child_nodes(node) if isinstance(below, ast.expr)]
    return bool(level)


class _Parser:
    """Keeps the numbers that are compared, and the statements that compare them, as they are found."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sides: list[ast.expr] = []
        self.statements: list[Statement] = []
        self._conditions = 0

    def formula(self, node: ast.expr) -> Formula:
        match node:
            case ast.BoolOp():
                return Joined(isinstance(node.op, ast.And), tuple(self.formula(part) for part in node.values))
            case ast.Compare():
                return self._statement(node, self._comparison(node))
            case ast.Call(func=ast.Name(id=name)) if name in _CONDITIONS:
                return self._statement(node, self._condition(name, self._arguments(name, node)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in _NUMBERS:
            raise ValueError(unknown("function", node.func.id, FUNCTIONS))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            raise ValueError("`not` is not known; turn the comparison round")
        raise ValueError(f"{self._shown(node)} is a number, not a statement; compare it with something")

    def _statement(self, node: ast.expr, formula: Formula) -> Formula:
        self.statements.append(Statement(self._shown(node), formula, names_in(node)))
        return formula

    def _comparison(self, node: ast.Compare) -> Formula:
        terms = [self._number(term) for term in (node.left, *node.comparators)]
        self.sides += terms
        found: list[Formula] = []
        for operator, (left, right) in zip(node.ops, pairwise(terms), strict=True):
            if type(operator) not in _COMPARISONS:
                raise ValueError("only < <= > >= compare; for equal numbers write same(a, b) or about(a - b, 1.2)")
            left_is_larger, strict = _COMPARISONS[type(operator)]
            number = _minus(left, right) if left_is_larger else _minus(right, left)
            shown = left if _constant(right) is not None else right if _constant(left) is not None else number
            found.append(self._split(number, strict, "order", shown))
        return found[0] if len(found) == 1 else Joined(True, tuple(found))

    def _condition(self, name: str, arguments: Sequence[ast.expr]) -> Formula:
        if name == "about":
            number, literal = arguments
            value, half = self._written(literal)
            self.sides.append(self._number(number))
            return self._both_sides(number, ast.Constant(value), ast.Constant(half), number, "about")
        terms = [self._number(term) for term in arguments]
        if name == "within":
            self.sides += terms[:2]
            return self._both_sides(terms[0], terms[1], terms[2], _minus(terms[0], terms[1]), "within")
        self.sides += terms
        if name == "same":
            pairs = [(a, b) for i, a in enumerate(terms) for b in terms[i + 1 :]]
            parts = [
                self._split(_minus(*pair), False, "same", _minus(a, b)) for a, b in pairs for pair in ((a, b), (b, a))
            ]
        else:
            pairs = list(pairwise(terms))
            up = name == "increasing"
            numbers = [_minus(b, a) if up else _minus(a, b) for a, b in pairs]
            parts = [self._split(number, True, "order", number) for number in numbers]
        return parts[0] if len(parts) == 1 else Joined(True, tuple(parts))

    def _both_sides(self, number: ast.expr, centre: ast.expr, reach: ast.expr, shown: ast.expr, kind: Kind) -> Formula:
        """centre - reach <= number <= centre + reach."""
        above, below = _minus(number, centre), _minus(centre, number)
        return Joined(True, tuple(self._split(_plus(one, reach), False, kind, shown) for one in (above, below)))

    def _split(self, number: ast.expr, strict: bool, kind: Kind, shown: ast.expr) -> Formula:
        """`number` > 0 without a max, min or abs that is only added or subtracted."""
        found = _extreme(number, positive=True)
        if found is None:
            self._conditions += 1
            if self._conditions > MOST_CONDITIONS:
                raise ValueError(f"makes more than {MOST_CONDITIONS} conditions; make two claims of it")
            return Condition(number, strict, kind, shown, names_in(number))
        node, positive = found
        assert isinstance(node.func, ast.Name)
        options: Iterable[ast.expr] = node.args
        if node.func.id == "abs":  # the larger of x and -x
            options = (node.args[0], ast.UnaryOp(ast.USub(), node.args[0]))
        every = (node.func.id == "min") == positive
        parts = [(_replaced(number, node, option), _replaced(shown, node, option)) for option in options]
        return Joined(every, tuple(self._split(part, strict, kind, part_shown) for part, part_shown in parts))

    def _written(self, node: ast.expr) -> tuple[float, float]:
        """A literal number and half of its last digit."""
        if _constant(node) is None:
            raise ValueError(f"about(x, 1.2) takes a number as it is printed, not {self._shown(node)}")
        text = self._shown(node).replace(" ", "").replace("_", "")
        exponent = Decimal(text).as_tuple().exponent
        assert isinstance(exponent, int)
        return float(text), 0.5 * 10.0**exponent

    def _arguments(self, name: str, node: ast.Call) -> list[ast.expr]:
        least, most = _COUNTS.get(name, (2, None))
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise ValueError(f"{name}() takes numbers alone, no names of arguments and no *")
        if len(node.args) < least or (most is not None and len(node.args) > most):
            wanted = str(least) if most == least else f"{least} or more"
            raise ValueError(f"{name}() takes {wanted} numbers, not {len(node.args)}")
        return node.args

    def _number(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Name():
                return node
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                if value < 1e15:  # false for infinity too; a literal has no sign
                    return node
                raise ValueError(f"{self._shown(node)} is too large a number")
            case ast.UnaryOp(op=ast.USub()):
                self._number(node.operand)
                return node
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                self._number(node.left)
                self._number(node.right)
                return node
            case ast.Call(func=ast.Name(id=name)) if name in _NUMBERS:
                for argument in self._arguments(name, node):
                    self._number(argument)
                return node
            case ast.Call(func=ast.Name(id=name)) if name not in _CONDITIONS:
                raise ValueError(unknown("function", name, FUNCTIONS))
        raise ValueError(f"{self._shown(node)} is no number; numbers are cells, constants, + - * / and {_LISTED}")

    def _shown(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or ast.unparse(node)


_LISTED = ", ".join(_NUMBERS)


def _constant(node: ast.expr) -> float | None:
    """The value of a number without cells, if it is one literal."""
    sign = 1.0
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -sign
    return sign * node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


# ---- conditions ------------------------------------------------------------------------------------------------------


def _minus(left: ast.expr, right: ast.expr) -> ast.expr:
    return left if _constant(right) == 0 else ast.BinOp(left, ast.Sub(), right)


def _plus(left: ast.expr, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, ast.Add(), right)


def _extreme(number: ast.expr, positive: bool) -> tuple[ast.Call, bool] | None:
    """The first max, min or abs that is only added or subtracted, and whether it is added."""
    match number:
        case ast.Call(func=ast.Name(id="max" | "min" | "abs")):
            return number, positive
        case ast.UnaryOp():
            return _extreme(number.operand, not positive)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            right = positive if isinstance(number.op, ast.Add) else not positive
            return _extreme(number.left, positive) or _extreme(number.right, right)
    return None


def _replaced(number: ast.expr, old: ast.expr, new: ast.expr) -> ast.expr:
    if number is old:
        return new
    match number:
        case ast.UnaryOp():
            return ast.UnaryOp(number.op, _replaced(number.operand, old, new))
        case ast.BinOp():
            return ast.BinOp(_replaced(number.left, old, new), number.op, _replaced(number.right, old, new))
    return number
