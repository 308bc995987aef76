"""Rows of plain values as a table that fits the terminal, JSON, CSV or Markdown."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vtbench.report.columns import Column, drawing, fitted, hidden_note, in_colour, plain_lines, screen_width

FORMATS = ("table", "json", "csv", "md")


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    form: str,
    *,
    hide: Sequence[str] = (),
    all_in: str = "--format csv",
) -> None:
    """Print `rows` to stdout: all of them as one JSON array, or their `columns` in one of the other FORMATS.

    A table on a terminal hides what does not fit, and names it: first the columns of `hide`, in this order, then the
    others from the last one; the first column stays. `all_in` is the option that the note says has every column.
    """
    if form == "json":
        print_json(rows)
        return
    cells = [[cell_text(row.get(column)) for column in columns] for row in rows]
    if form == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(cells)
    elif form == "md":
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in cells]
        for line in ([*columns], ["---"] * len(columns), *escaped):
            print("| " + " | ".join(line) + " |")
    else:
        kept_longest = [*(name for name in columns if name not in hide), *reversed(hide)]
        print_table(
            [
                text_column(name, [line[number] for line in cells], rank=kept_longest.index(name))
                for number, name in enumerate(columns)
            ],
            all_in=all_in,
        )


def text_column(name: str, cells: Sequence[str], *, rank: int, group: str = "") -> Column:
    """A column of these cells: numbers are set to the right, texts of several words may take several lines. `group`
    stands above the name."""
    numbers = any(cells) and all(re.fullmatch(r"[-+]?\d[\d.,]*(e[-+]?\d+)?|-?", cell) for cell in cells)
    return Column((group, name), rank, right=numbers, wraps=any(" " in cell for cell in cells), cells=list(cells))


def print_table(columns: Sequence[Column], *, all_in: str) -> None:
    """Print columns: on a terminal those that fit, and a note on the others; elsewhere all of them, a line per row."""
    width = screen_width()
    if width is None:
        for line in plain_lines(columns):
            print(line)
        return
    # A column of nothing is not worth its place.
    shown = [column for column in columns if any(column.cells) or not column.cells]
    table, hidden = fitted(shown, width)
    console, out = drawing(width, colour=in_colour())
    console.print(table)
    if hidden:
        console.print(hidden_note(hidden, all_in), style="dim")
    write("".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines()))


def print_text(text: str, indent: str = "", first: str | None = None) -> None:
    """Print a text in the terminal's width, in lines of at most 120 characters, all of them behind `indent` but the
    first, which is behind `first` where that is given."""
    width = max(min(screen_width() or 120, 120), len(indent) + 10)
    lead = indent if first is None else first
    print(textwrap.fill(text, width, initial_indent=lead, subsequent_indent=indent, break_on_hyphens=False))


def write(text: str) -> None:
    """Write text to stdout. What the terminal's encoding lacks, as ± or lines, is a "?"."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))


def plural(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def setting_text(value: Any) -> str:
    """A setting of a recipe: lists in brackets, a pretraining in words, what is not there as "not set"."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(cell_text, value))}]"
    if isinstance(value, dict):  # a pretraining; the rest of it is in the recipe of what is started from
        return f"{value['model']} on {value['dataset']}"
    return cell_text(value) or "not set"


def cell_text(value: Any) -> str:
    """A value in one cell: lists joined by blanks, nothing for None, numbers at six digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{name} {cell_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(cell_text(inner) for inner in value)
    return str(value)
