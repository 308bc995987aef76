"""The message of a name that nothing has."""

from __future__ import annotations

import pytest

from vtbench.errors import LONGEST_LINE, MOST_LISTED, did_you_mean, escaped, printable, unknown


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


def test_what_is_printed_moves_no_cursor_and_turns_no_direction() -> None:
    assert printable("a\x1b[31m\tb\n c\x07\u202ed\x9be\ud800") == r"a\x1b[31m b c\x07\u202ed\x9be\ud800"
    assert escaped("a\n\x00") == r"a\n\x00"
    assert printable("ÄΩЖ中文हिन्दी 🎬") == escaped("ÄΩЖ中文हिन्दी 🎬") == "ÄΩЖ中文हिन्दी 🎬"


def test_of_what_is_far_too_long_both_ends_are_printed() -> None:
    assert (
        printable(f"{'x' * 100_000}/end.mp4:3: missing")
        == f"{'x' * 200}...(99611 more)...{'x' * 189}/end.mp4:3: missing"
    )
    line = printable("word " * 100_000)
    assert len(line) < LONGEST_LINE + 50 and line.startswith("word word") and line.endswith("word word")
    path = "/a" * 150 + "/video.mp4"
    assert printable(path) == path
