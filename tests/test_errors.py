"""The message of a name that nothing has."""

from __future__ import annotations

import pytest

from vtbench.errors import MOST_LISTED, did_you_mean, unknown


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (unknown("model", "mcsa", ["vit", "msca"]), "no model 'mcsa'; did you mean 'msca'?"),
        (unknown("model", "nothing", ["vit", "msca"]), "no model 'nothing'; known: vit, msca"),
        (unknown("model", "nothing", []), "no model 'nothing'"),
        (unknown("class", 3, {"1": "", "2": ""}), "no class '3'; known: 1, 2"),
        (
            unknown("argument", "deph", ["depth"], of="vit()"),
            "vit() has no argument 'deph'; did you mean 'depth'?",
        ),
        (
            unknown("row", "vti", ["vit"], before="msca/table1:"),
            "no row 'msca/table1:vti'; did you mean 'msca/table1:vit'?",
        ),
    ],
)
def test_an_unknown_name_has_one_wording_and_one_hint(message: str, expected: str) -> None:
    assert message == expected


def test_many_known_names_are_not_listed() -> None:
    names = [f"class {number}" for number in range(MOST_LISTED + 1)]
    assert unknown("class", "x", names) == "no class 'x'"
    assert unknown("class", "x", names[1:]).endswith(f", class {MOST_LISTED}")
    assert unknown("class", "class_7", names) == "no class 'class_7'; did you mean 'class 7'?"


def test_nothing_is_meant_where_nothing_is_near() -> None:
    assert did_you_mean("x", ["vit", "msca"]) == did_you_mean("x", []) == ""
    assert did_you_mean("vti", [None, 1, "vit"]) == "; did you mean 'vit'?"
