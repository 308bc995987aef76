"""Rows as a table, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json

import pytest

from vtbench.errors import HIDDEN
from vtbench.report.printing import aligned, cell_text, print_rows, print_text, write

ROWS = [{"id": "a", "cells": {"top1": "76.40"}, "n": None}, {"id": "b|c", "cells": ["x, y", 2], "n": 0.123456789}]


def printed(capsys: pytest.CaptureFixture[str], form: str) -> str:
    print_rows(ROWS, ("id", "cells", "n"), form)
    return capsys.readouterr().out


def test_json_holds_the_rows_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, "json")) == ROWS


def test_csv_quotes_what_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(csv.reader(io.StringIO(printed(capsys, "csv"))))
    assert lines == [["id", "cells", "n"], ["a", "top1 76.40", ""], ["b|c", "x, y 2", "0.123457"]]


def test_markdown_escapes_its_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "md").splitlines()[3] == "| b\\|c | x, y 2 | 0.123457 |"


def test_columns_of_a_table_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "table").splitlines()
    assert len({line.index(word) for line, word in zip(lines, ("cells", "top1", "x, y"), strict=True)}) == 1


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (None, ""), (3, "3"), (2.0, "2"), ((1, 2), "1 2")])
def test_values_are_written_plainly(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_on_a_terminal_a_column_of_nothing_has_no_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_rows([{"id": "a", "n": 1}, {"id": "b"}], ("id", "empty", "n"), "table")
    assert [line.split() for line in capsys.readouterr().out.splitlines()[::2]] == [["id", "n"], ["a", "1"]]
    for rows in ([], [{"id": None}]):
        print_rows(rows, ("id", "empty", "n"), "table")
        assert capsys.readouterr().out.startswith("id")


def test_the_columns_to_hide_first_are_hidden_in_that_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {name: 8 * name for name in "abcde"}
    for width, hidden in (("60", ""), ("50", "1 column hidden: c; --format md"), ("40", "2 columns hidden: b, c; ")):
        monkeypatch.setenv("COLUMNS", width)
        print_rows([row], list("abcde"), "table", hide=["c", "b"], all_in="--format md")
        out = capsys.readouterr().out
        assert (hidden in out) and ("hidden" in out) == bool(hidden)


def test_lines_of_texts_are_in_columns_and_never_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [("a.key", 40 * "v", "where it is from"), ("another.key", "v", "elsewhere")]
    monkeypatch.delenv("COLUMNS", raising=False)
    assert aligned(lines, "  ") == [
        f"  a.key        {40 * 'v'}  where it is from",
        f"  another.key  {'v':<36}  elsewhere",
    ]
    monkeypatch.setenv("COLUMNS", "60")
    assert aligned(lines, "  ") == [
        f"  a.key        {40 * 'v'}\n{28 * ' '}where it is from",
        f"  another.key  {'v':<11}  elsewhere",
    ]


HOSTILE = "a\x1b]0;title\x07\u202eb\x9b31m"


@pytest.mark.parametrize("columns", ["", "60"])
@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
def test_cells_are_printed_without_what_a_terminal_obeys(
    form: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_rows([{"id": HOSTILE, HOSTILE: 3}], ("id", HOSTILE), form)
    out = capsys.readouterr().out
    assert not HIDDEN.search(out)
    if form == "json":
        assert json.loads(out) == [{"id": HOSTILE, HOSTILE: 3}], "the text itself to whoever reads JSON"
    else:
        assert out.count(r"a\x1b]0;title\x07\u202eb\x9b31m") == 2 or columns


def test_texts_are_printed_without_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(HOSTILE)
    write(f"é\t{HOSTILE}\n")
    out = capsys.readouterr().out
    assert out == r"a\x1b]0;title\x07\u202eb\x9b31m" + "\n" + "é\t" + r"a\x1b]0;title\x07\u202eb\x9b31m" + "\n"
    assert aligned([("x", HOSTILE)]) == [r"x  a\x1b]0;title\x07\u202eb\x9b31m"]


def test_colours_are_kept_where_the_terminal_has_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtbench.report.printing.in_colour", lambda: True)
    write("\x1b[1;31mred\x1b[0m\x1b]0;title\x07\n")
    assert capsys.readouterr().out == "\x1b[1;31mred\x1b[0m\\x1b]0;title\\x07\n"
