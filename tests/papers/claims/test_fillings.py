"""What `check` finds by trying made-up numbers: claims that are always true, or never."""

from __future__ import annotations

import pytest

from vtbench.papers.claims.expression import parse
from vtbench.papers.claims.fillings import AMOUNT, PERCENT, Range, says_nothing


def said(text: str, of: Range = PERCENT, seed: str = "x") -> str | None:
    expression = parse(text)
    return says_nothing(expression, dict.fromkeys(expression.names, of), seed)


@pytest.mark.parametrize(
    "text",
    [
        "a >= 0",
        "a <= 100",
        "abs(a - b) >= 0",
        "a > b or b >= a",
        "within(a, b, 100)",
        "a - b <= 100",
        "max(a, b) >= min(a, b)",
        "a + b < 201",
        "same(a, a)",
    ],
)
def test_what_is_true_of_all_accuracies_says_nothing(text: str) -> None:
    assert said(text) == "is always true, whatever the cells hold; it says nothing of the paper"


@pytest.mark.parametrize(
    "text",
    ["a > 100", "a < 0", "a > b and b > a", "about(a - b, 120)", "a > a", "increasing(a, b, a)", "a > max(a, b)"],
)
def test_what_is_true_of_no_accuracies_says_nothing(text: str) -> None:
    assert said(text) == "is always false, whatever the cells hold; it says nothing of the paper"


def test_what_divides_by_zero_says_so() -> None:
    assert said("a / (b - b) > 1") == "divides by zero whatever the cells hold; it says nothing of the paper"


@pytest.mark.parametrize(
    ("text", "idle", "where"),
    [
        ("a + b > b + 5", "'b'", "a + b > b + 5"),
        ("c - a > c - b", "'c'", "c - a > c - b"),
        ("b - b + a > b - b + 5", "'b'", "b - b + a > b - b + 5"),
        ("c + max(a, d) > b + c", "'c'", "c + max(a, d) > b + c"),
        ("a / a > b / 50", "'a'", "a / a > b / 50"),
        ("a - b > 0 and c - c >= 0", "'c'", "c - c >= 0"),
        ("a > b and c <= 100", "'c'", "c <= 100"),
        ("a > b and (c > a or c - a > c - b)", "'c'", "c - a > c - b"),
        ("c - a < c - b and c > b", "'c'", "c - a < c - b"),
        ("increasing(c + a, b + c)", "'c'", "increasing(c + a, b + c)"),
        ("within(c - a, c - b, 1)", "'c'", "within(c - a, c - b, 1)"),
        ("about(c + a - c - b + d - d, 1.2)", "'c' and 'd'", "about(c + a - c - b + d - d, 1.2)"),
        ("max(a, 100) - max(a, 100) + b > c", "'a'", "max(a, 100) - max(a, 100) + b > c"),
    ],
)
@pytest.mark.parametrize("of", [PERCENT, AMOUNT])
def test_a_cell_that_cancels_is_refused_where_it_does(text: str, idle: str, where: str, of: Range) -> None:
    if of == AMOUNT and text == "a > b and c <= 100":
        assert said(text, of) is None  # a cost may be more
    else:
        expected = f"{idle} cannot change whether {where} is true; rewrite it, or leave the cell out of it"
        assert said(text, of) == expected


NAMES = "abcdefghijkl"


@pytest.mark.parametrize(
    "text",
    [
        "a > b",
        "about(a - b, 1.2)",
        "about(a - b, 99.5)",
        "same(a, b, c, d, e)",
        f"increasing({', '.join(NAMES)})",
        f"a > max({', '.join(NAMES[1:])})",
        "min(a, b, c, d, e, f) > max(g, h, i, j, k, l)",
        "about(percent(a, b), 76) and about(percent(c, d), -50.1) and increasing(e, f, g)",
        "about(a, 78.2) and about(b, 82.5) and c > a",
        "within(a, b, 0.01) and within(b, c, 0.01) and d > a",
        "about(a / b, 9.7)",
        "a > b and c > d and e > f and g > h and i > j",
        "a >= b and b >= a",
        "abs(c - a) < abs(c - b)",
        "max(a, 99) > b and min(c, 1) > d",
        f"max({', '.join(NAMES[1:])}) - a <= 0.01",
        "c - a > c - b > 3",
        "a + b - 2 * c > 0 or a - b > 0.5",
    ],
)
@pytest.mark.parametrize("seed", [str(number) for number in range(5)])
def test_what_could_be_either_is_found_to_be(text: str, seed: str) -> None:
    """Of whatever seed: a claim must not be refused by bad luck."""
    assert said(text, seed=seed) is None


@pytest.mark.parametrize("text", ["about(percent(a, b), 76)", "same(a, b)", "about(a / b, 9.7)", "increasing(a, b, c)"])
def test_costs_have_a_range_of_their_own(text: str) -> None:
    assert said(text, AMOUNT) is None
    assert said("a > 0", AMOUNT) == "is always true, whatever the cells hold; it says nothing of the paper"


def test_a_claim_is_judged_alike_each_time() -> None:
    expression = parse("a - b > 99.9999")  # true of few numbers, so of the seed whether it is found
    found = [says_nothing(expression, {"a": PERCENT, "b": PERCENT}, "same seed") for _ in range(3)]
    assert len(set(found)) == 1
