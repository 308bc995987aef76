"""Rows as a table, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json

import pytest

from vtbench.report.printing import cell_text, print_rows

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
