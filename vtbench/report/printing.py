"""Rows of plain values as a table that fits the terminal, JSON, CSV or Markdown."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from vtbench.errors import HIDDEN, escaped
from vtbench.report.columns import (
    LEAST_TEXT,
    Column,
    drawing,
    fitted,
    hidden_note,
    in_colour,
    plain_lines,
    screen_width,
)

FORMATS = ("table", "json", "csv", "md")

MOST = 120
"""Characters in a line of text on a terminal that has room for more."""


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
    cells = [[escaped(cell_text(row.get(column))) for column in columns] for row in rows]
    names = list(map(escaped, columns))
    if form == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(cells)
    elif form == "md":
        marked = [[cell.replace("|", "\\|") for cell in line] for line in cells]
        for line in (names, ["---"] * len(columns), *marked):
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
    shown = [column for column in columns if column.rank == 0 or any(column.cells) or not column.cells]
    table, hidden = fitted(shown, width)
    console, out = drawing(width, colour=in_colour())
    console.print(table)
    if hidden:
        console.print(hidden_note(hidden, all_in), style="dim")
    write("".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines()))


def print_text(text: str, indent: str = "", first: str | None = None) -> None:
    """Print a text: on a terminal in lines of its width, at most MOST characters, all of them behind `indent` but the
    first, which is behind `first` where that is given. Elsewhere a text is one line."""
    first = indent if first is None else first
    room = _room()
    if room is not None and room - max(len(indent), len(first)) < LEAST_TEXT:  # too narrow for it
        text, first, indent = f"{first.strip()} {text}", "", "  "
    print(_wrapped(escaped(text), first, indent, room))


def aligned(lines: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Lines of equally many texts in columns, two blanks or more apart. On a terminal the last text takes more lines in
    its column; elsewhere a line stays one. A text that is longer than its column moves what is behind it."""
    room = _room()
    lines = [[escaped(text.replace("\n", " ")) for text in line] for line in lines]
    widths = [min(max(map(len, column)), 36) for column in list(zip(*lines, strict=True))[:-1]]
    if room is not None and len(widths) > 1:  # a long value has less need of its place than a long source
        others = len(indent) + 2 * len(widths) + sum(widths[:-1])
        widths[-1] = min(widths[-1], max(room - others - 2 * LEAST_TEXT, LEAST_TEXT // 2))
    hanging = " " * (len(indent) + sum(width + 2 for width in widths))
    made = []
    for *texts, last in lines:
        lead = indent + "".join(f"{text:<{width}}  " for text, width in zip(texts, widths, strict=True))
        if room is None or len(f"{lead}{last}".rstrip()) <= room:
            made.append(f"{lead}{last}".rstrip())
        elif room - len(hanging) < LEAST_TEXT:
            made.append(_wrapped(" ".join([*texts, last]), indent, f"{indent}    ", room))
        elif room - len(lead) < LEAST_TEXT or max(map(len, last.split())) > room - len(hanging):
            below = hanging if max(map(len, last.split())) <= room - len(hanging) else f"{indent}    "
            made.append(lead.rstrip() if len(lead.rstrip()) <= room else _wrapped(lead, indent, f"{indent}    ", room))
            made[-1] += "\n" + _wrapped(last, below, below, room)
        else:
            made.append(_wrapped(last, lead, hanging, room))
    return made


def _room() -> int | None:
    """Characters in a line of text; None where it is not a terminal's."""
    width = screen_width()
    return None if width is None else min(width, MOST)


def _wrapped(text: str, first: str, indent: str, room: int | None) -> str:
    text = " ".join(text.split())
    if room is None:
        return first + text
    return textwrap.fill(text, room, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)


_HIDDEN_BUT_COLOURS = re.compile(rf"(?!\x1b\[[\d;]*m){HIDDEN.pattern}")


def write(text: str) -> None:
    """Write text to stdout: line breaks and, on a terminal that has them, colours as they are, other control characters
    as escapes. What the terminal's encoding lacks, as ± or lines, is a "?"."""
    text = (_HIDDEN_BUT_COLOURS if in_colour() else HIDDEN).sub(lambda found: escaped(found[0]), text)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))


def plural(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print plain values as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # What nobody sees is an escape, which is the same text to whoever reads JSON.
    print(re.sub(r"[^\n -~]", lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text))


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
