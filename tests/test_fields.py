"""What specs and records have in common: fields with meaning, unit and range, and single values as annotations want."""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from vtbench.fields import check, from_text, in_words, is_required, key, may_be_empty, scalar, writable


def even(number: int) -> None:
    if number % 2:
        raise ValueError(f"is {number}, must be even")


# ruff: noqa: RUF009 (key() makes a dataclasses.field)
@dataclass(frozen=True, kw_only=True)
class Thing:
    size: int = key("pixels per side", unit="pixels", at_least=2, at_most=10, check=even)
    rates: tuple[float, float] | None = key("two rates", default=None, above=0)
    options: dict[str, int] = key("by name", default={"a": 1})
    made: int = 3  # not with key(): no file can set it


def test_only_fields_made_with_key_can_be_written() -> None:
    fields = writable(Thing)
    assert list(fields) == ["size", "rates", "options"]
    assert [is_required(field) for field, _ in fields.values()] == [True, False, False]
    assert [may_be_empty(hint) for _, hint in fields.values()] == [False, True, False]
    size, hint = fields["size"]
    assert (size.metadata["doc"], size.metadata["unit"], hint) == ("pixels per side", "pixels", int)
    assert Thing(size=2).options is not Thing(size=2).options, "a default is never shared"


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (np.float64(0.1), float, 0.1),
        (True, bool, True),
        ("a", str, "a"),
        ("a", Literal["a", "b"], "a"),
        (None, int | None, None),
        (3, float | None, 3.0),
        ("b", Literal["a", "b"] | None, "b"),
    ],
)
def test_a_value_of_the_right_type_is_taken(value: Any, hint: Any, wanted: Any) -> None:
    found = scalar(value, hint)
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (True, int, "must be a whole number, not True, which is true or false"),
        (1, bool, "must be true or false, not 1, which is a whole number"),
        (3.0, int, "must be a whole number, not 3.0, which is a number"),
        (True, float, "must be a number, not True, which is true or false"),
        (None, str, "must be text, not empty"),
        (datetime.date(2020, 1, 1), str, "must be text, not 2020-01-01, which is a date"),
        (float("nan"), float, "is nan, must be a finite number"),
        (-float("inf"), float | None, "is -inf, must be a finite number"),
        (10**400, float, "is too large a number"),
        ("kv", Literal["q", "qkv"], "is 'kv', must be one of q, qkv; did you mean 'qkv'?"),
        (1, Literal["1"], "is 1, must be one of 1"),
    ],
)
def test_any_other_value_is_refused_in_words_that_follow_a_name(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        scalar(value, hint)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("", int | None, None),
        ("", str, None),
        ("12", int, 12),
        ("-12", int | None, -12),
        ("12.0", int, 12),
        ("12.5", int, 12.5),  # which scalar() refuses
        ("9007199254740993", int, 2**53 + 1),
        ("1e-3", float, 0.001),
        ("12", float, 12.0),
        ("twelve", float, "twelve"),
        ("inf", int, float("inf")),
        ("true", bool, True),
        ("False", bool | None, False),
        ("yes", bool, "yes"),
        ("12", str | None, "12"),
        ("12", Literal["12"], "12"),
    ],
)
def test_a_cell_of_text_becomes_what_it_spells(text: str, hint: Any, value: Any) -> None:
    found = from_text(text, hint)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-320, 1.7e308, -0.0, 123456789.123])
def test_a_float_reads_back_exactly(value: float) -> None:
    assert repr(from_text(repr(value), float)) == repr(value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", 0, "is 0, must be at least 2"),
        ("size", 12, "is 12, must be at most 10"),
        ("size", 5, "is 5, must be even"),
        ("rates", (0.5, 0.0), "is 0.0, must be above 0"),
    ],
)
def test_a_value_outside_its_range_is_refused(field: str, value: Any, message: str) -> None:
    metadata = writable(Thing)[field][0].metadata
    with pytest.raises(ValueError) as caught:
        check(value, metadata)
    assert str(caught.value) == message


def test_what_is_in_its_range_passes_and_none_has_no_range() -> None:
    fields = {name: field.metadata for name, (field, _) in writable(Thing).items()}
    check(10, fields["size"])
    check((0.5, 1.0), fields["rates"])
    for metadata in fields.values():
        check(None, metadata)


def test_values_are_described() -> None:
    assert [in_words(value) for value in ({}, [], None, "", "a", 2.5)] == [
        *("keys and values", "a list", "empty", "empty", "'a', which is text", "2.5, which is a number"),
    ]


def test_a_check_holds_in_a_spec_at_the_line_of_the_key(tmp_path: Any) -> None:
    from vtbench.errors import SpecError
    from vtbench.papers.spec.document import build, read_yaml

    path = tmp_path / "thing.yaml"
    path.write_text("rates: [1, 2.5]\nsize: 5\n")
    with pytest.raises(SpecError, match=r"thing\.yaml:2: size: is 5, must be even$"):
        build(Thing, read_yaml(path))
    path.write_text("rates: [1, 2.5]\nsize: 6\n")
    assert dataclasses.astuple(build(Thing, read_yaml(path))) == (6, (1.0, 2.5), {"a": 1}, 3)
