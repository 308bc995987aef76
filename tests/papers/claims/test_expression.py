"""The language of claims: what it says of numbers, and what it refuses."""

from __future__ import annotations

import random
import re

import pytest

from vtbench.papers.claims.expression import Joined, conditions, parse
from vtbench.papers.claims.fillings import is_ordering, only_ratios

CELLS = {"a": 76.47, "b": 75.65, "c": 76.37, "d": 12.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > b", True),
        ("b > a", False),
        ("a >= a + 0", True),
        ("b < c < a", True),
        ("b < a < c", False),
        ("a - b > 0.5", True),
        ("a - b > 0.82", False),
        ("a - b >= 0.82", True),  # 76.47 - 75.65 is 0.8199999999999932 in floats
        ("about(a - b, 0.8)", True),
        ("about(a - b, 0.85)", False),
        ("about(a - b, 0.82)", True),
        ("about(a - b, 1)", True),
        ("about(b - a, -0.8)", True),
        ("within(a, c, 0.1)", True),
        ("within(c, a, 0.1)", True),
        ("within(a, b, 0.5)", False),
        ("same(a, a + 0)", True),
        ("same(a, c)", False),
        ("increasing(d, b, c, a)", True),
        ("increasing(d, b, a, c)", False),
        ("decreasing(a, c, b, d)", True),
        ("decreasing(a, a + 0, b)", False),  # strictly
        ("a > max(b, c, d)", True),
        ("c > max(a, b)", False),
        ("c > min(a, b)", True),
        ("min(a, c) > max(b, d)", True),
        ("abs(b - a) < 0.9", True),
        ("abs(b - a) > 0.9", False),
        ("mean(a, b) > 76", True),
        ("about(percent(d, 16 * 1), -25)", True),
        ("about(100 * (a - b) / b, 1.08)", True),
        ("a > b and c > d", True),
        ("a > b and d > c", False),
        ("b > a or c > d", True),
        ("b > a or d > c", False),
        ("a > b or (c > a and d > a)", True),
        ("a + b > 2 * c - 1", True),
        ("-b > -a", True),
        ("-a > -b", False),
    ],
)
def test_an_expression_says_of_numbers_what_it_reads_like(text: str, expected: bool) -> None:
    assert parse(text).holds(CELLS) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a >", "is no expression"),
        ("", "is no expression"),
        ("a == b", "for equal numbers write same(a, b)"),
        ("a != b", "only < <= > >= compare"),
        ("a", "a is a number, not a statement"),
        ("a - b", "a - b is a number, not a statement"),
        ("not a > b", "turn the comparison round"),
        ("mxa(a, b) > 1", "no function 'mxa'; did you mean 'max'?"),
        ("inceasing(a, b)", "no function 'inceasing'; did you mean 'increasing'?"),
        ("about(a - b, c)", "takes a number as it is printed, not c"),
        ("about(a - b, 1 + 1)", "takes a number as it is printed"),
        ("about(a - b)", "about() takes 2 numbers, not 1"),
        ("within(a, b)", "within() takes 3 numbers, not 2"),
        ("same(a)", "same() takes 2 or more numbers, not 1"),
        ("percent(a, b, c) > 1", "percent() takes 2 numbers, not 3"),
        ("max(*a) > b", "no *"),
        ("max(a, key=b) > b", "no names of arguments"),
        ("a ** b > 1", "a ** b is no number"),
        ("a % b > 1", "a % b is no number"),
        ("a.b > 1", "a.b is no number"),
        ("a[0] > 1", "a[0] is no number"),
        ("'a' > b", "'a' is no number"),
        ("True > b", "True is no number"),
        ("a > 1e400", "is too large a number"),
        ("max(a > b, c) > 1", "a > b is no number"),
        ("increasing(a, b) > 1", "increasing(a, b) is no number"),
        ("__import__('os').system('true') > a", "is no number"),
        ("(lambda: a)() > b", "is no number"),
        ("1 > 2", "names no cell"),
        ("a > b and 1 < 2", "compares constants with each other"),
        ("a > " + "b + " * 400 + "b", "at most 1000 are read"),
        ("(" * 400 + "a" + ")" * 400 + " > b", "is no expression"),
        ("-" * 600 + "a > b", "has numbers within each other more than 50 levels deep; make two claims of it"),
        ("+".join("a" * 400) + " > b", "more than 50 levels deep"),
        ("abs(" * 150 + "a" + ")" * 150 + " > b", "more than 50 levels deep"),
        ("about(a, " + "-" * 900 + "1)", "more than 50 levels deep"),
        ("(a > b) and " * 50 + "not " * 60 + "a > b", "more than 50 levels deep"),
        ("abs(" * 45 + "a" + ")" * 45 + " > b", "makes more than 300 conditions; make two claims of it"),
        ("+".join(["abs(a)"] * 40) + " > b", "makes more than 300 conditions"),
        ("same(" + ", ".join("a" * 200) + ")", "makes more than 300 conditions"),
    ],
)
def test_what_is_no_claim_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


def test_what_is_as_deep_as_may_be_is_read() -> None:
    text = "-" * 48 + "a > b"
    assert parse(text).holds({"a": 2.0, "b": 1.0}) and len(parse(text).sides) == 2
    assert parse("+".join("a" * 48) + " > b").holds({"a": 1.0, "b": 47.0})


def test_a_statement_is_what_is_written_between_and_and_or() -> None:
    written = [one.text for one in parse("a < b < c and (max(a, b) > c or about(a - d, 1.2))").statements]
    assert written == ["a < b < c", "max(a, b) > c", "about(a - d, 1.2)"]


def test_names_stand_in_the_order_in_which_they_are_written() -> None:
    assert parse("max(c, b) < a and about(percent(d, b), 1)").names == ("c", "b", "a", "d")


def test_the_best_of_several_is_a_condition_for_each_of_them() -> None:
    formula = parse("a > max(b, c, d)").formula
    assert isinstance(formula, Joined) and formula.every
    assert [one.text for one in conditions(formula)] == ["a - b", "a - c", "a - d"]
    formula = parse("max(a, b) > c").formula
    assert isinstance(formula, Joined) and not formula.every


def test_a_constant_is_left_out_of_what_is_shown() -> None:
    shown = [[one.text for one in conditions(parse(text).formula)] for text in ("a - b > 0.5", "about(a - b, 1.2)")]
    assert shown == [["a - b"], ["a - b", "a - b"]]


ORDERS = ["a > b", "b < c < a", "increasing(a, b, c)", "a > max(b, c)", "min(a, b) > c or d > a", "a - b > c - d",
          "mean(a, b) > c", "(a + b) / 2 > c", "percent(a, b) > 0", "2 * a > b + c"]  # fmt: skip
SIZES = ["a - b > 0.5", "about(a - b, 1.2)", "within(a, b, 0.5)", "a > 1.01 * b", "percent(a, b) > 10", "a > 50",
         "percent(a, b) > percent(c, d)"]  # fmt: skip


@pytest.mark.parametrize("text", ORDERS)
def test_an_order_is_the_same_of_numbers_that_are_shifted_and_scaled(text: str) -> None:
    expression = parse(text)
    assert all(is_ordering(condition) for condition in conditions(expression.formula))
    draw = random.Random(text)
    for _ in range(300):
        cells = {name: draw.uniform(1, 100) for name in expression.names}
        factor, shift = draw.uniform(0.1, 10), draw.uniform(0, 100)
        moved = {name: factor * value + shift for name, value in cells.items()}
        assert expression.holds(cells) == expression.holds(moved)


@pytest.mark.parametrize("text", SIZES)
def test_a_size_is_not(text: str) -> None:
    assert not all(is_ordering(condition) for condition in conditions(parse(text).formula))


def test_a_ratio_is_the_same_of_numbers_in_another_unit() -> None:
    assert all(map(only_ratios, conditions(parse("about(percent(a, b), 76) and a > 2 * b").formula)))
    assert not any(map(only_ratios, conditions(parse("a - b > 5 or about(a, 31)").formula)))


def test_turning_a_claim_round_turns_its_truth_round() -> None:
    draw = random.Random(1)
    for _ in range(300):
        cells = {name: draw.uniform(0, 100) for name in "abc"}
        assert parse("a > b").holds(cells) != parse("a <= b").holds(cells)
        assert parse("a > max(b, c)").holds(cells) != parse("a <= b or a <= c").holds(cells)
        assert parse("within(a, b, 20)").holds(cells) == parse("abs(a - b) <= 20").holds(cells)
        assert parse("increasing(a, b, c)").holds(cells) == parse("decreasing(c, b, a)").holds(cells)
