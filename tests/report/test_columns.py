"""What is drawn of columns in a width: which are hidden, which are wrapped."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vtbench.report.columns import Column, drawing, fitted, hidden_note, in_colour, plain_lines, screen_width

WORDS = "a label of several words"


def column(name: str, rank: int, *cells: str, wraps: bool = False, group: str = "") -> Column:
    return Column((group, name), rank, right=False, wraps=wraps, cells=list(cells))


def drawn(columns: Sequence[Column], width: int) -> tuple[list[str], list[str]]:
    table, hidden = fitted(columns, width)
    console, out = drawing(width, colour=False)
    console.print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()], [column.name for column in hidden]


COLUMNS = [
    column("id", 0, "paper/table1:row", "paper/table1:other"),
    column("top-1", 1, "76.47", "75.65", group="printed"),
    column("label", 2, WORDS, "x", wraps=True),
    column("keys", 3, "0123456789abcdef", ""),
]


def test_everything_is_shown_where_it_fits() -> None:
    lines, hidden = drawn(COLUMNS, 100)
    assert hidden == []
    assert lines == [
        "                     printed",
        "id                   top-1     label                      keys",
        "──────────────────────────────────────────────────────────────────────────",
        "paper/table1:row     76.47     a label of several words   0123456789abcdef",
        "paper/table1:other   75.65     x",
    ]


def test_text_is_wrapped_between_words_before_a_column_is_hidden() -> None:
    lines, hidden = drawn(COLUMNS, 67)
    assert hidden == []
    assert [line[30:50].strip() for line in lines[3:]] == ["a label of", "several words", "x"]


def test_the_highest_rank_is_hidden_first_and_the_first_column_never() -> None:
    assert drawn(COLUMNS, 60)[1] == ["keys"]
    assert drawn(COLUMNS, 40)[1] == ["label", "keys"]
    assert drawn(COLUMNS, 20)[1] == ["printed top-1", "label", "keys"]
    assert drawn(COLUMNS, 10)[1] == ["printed top-1", "label", "keys"]  # broken, as there is nothing left to hide


def test_a_pair_is_hidden_or_shown_as_one() -> None:
    columns = [column("id", 0, "a"), column("wide", 1, 20 * "x"), column("n", 1, "1"), column("m", 2, "2")]
    columns[1].pair = columns[2].pair = "both"
    assert drawn(columns, 40)[1] == []
    assert drawn(columns, 29)[1] == ["m"]
    assert drawn(columns, 28)[1] == ["wide", "n"]  # n alone would fit
    assert drawn(columns, 2)[1] == ["wide", "n", "m"]


def test_a_narrow_column_takes_the_place_of_a_wide_one() -> None:
    columns = [column("id", 0, "a"), column("wide", 1, 40 * "x"), column("n", 2, "1")]
    assert drawn(columns, 20)[1] == ["wide"]


@pytest.mark.parametrize("width", range(19, 80))
def test_no_word_and_no_number_is_broken_in_any_width(width: int) -> None:
    lines, hidden = drawn(COLUMNS, width)
    text = " ".join(lines).split()
    shown = [one for one in COLUMNS if one.name not in hidden]
    assert max(map(len, lines)) <= width
    assert {word for one in shown for cell in one.cells for word in cell.split()} <= set(text)


def test_hidden_columns_are_named_with_what_shows_them() -> None:
    assert hidden_note(COLUMNS[1:3], "--format csv") == "2 columns hidden: printed top-1, label; --format csv has all"
    assert hidden_note(COLUMNS[2:3], "--format md") == "1 column hidden: label; --format md has all"


def test_a_pipe_gets_every_column_and_a_line_per_row() -> None:
    assert plain_lines(COLUMNS) == [
        "                    printed",
        "id                  top-1    label                     keys",
        "paper/table1:row    76.47    a label of several words  0123456789abcdef",
        "paper/table1:other  75.65    x",
    ]


def test_the_width_is_that_of_columns_or_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert screen_width() is None  # pytest's stdout is no terminal
    monkeypatch.setenv("COLUMNS", "72")
    assert screen_width() == 72
    for nonsense in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", nonsense)
        assert screen_width() is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_colours_are_for_terminals_that_have_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not in_colour()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert in_colour() is expected
