"""Columns of a table, and what is drawn of them in a width: text takes more lines, the least important columns are
hidden, and the hidden ones are named."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from vtbench.errors import escaped
from vtbench.fields import whole_number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LEAST_TEXT = 16
"""Characters that a column of text keeps at least, if it has as many, before another column is hidden."""


Holds = Literal[
    "row", "text", "printed", "counted", "measured", "seeds", "difference", "delta", "alike", "verdict", "over",
    "printed ratio", "ratio",
]  # fmt: skip
"""What a column holds. `difference` is to the reference row, `over` the row that a ratio is to."""


@dataclass
class Column:
    """A column: a heading of two lines, and cells from top to bottom."""

    header: tuple[str, str]
    rank: int
    """Where the width does not suffice, the columns with the highest rank are hidden first; those of 0 never are."""
    right: bool = True
    wraps: bool = False
    """Text, which may take more than one line, broken between words."""
    cells: list[str] = field(default_factory=list)
    footer: str = ""
    """Below the cells, if any column of the table has one."""
    holds: Holds = "text"
    pair: str = ""
    """Columns that name the same pair are hidden together: a number says little without the one it is held against."""
    of: str = ""
    """Of a measured or counted number the name under which the row prints it, of a printed cell its heading, of a
    difference `printed` or `measured`."""

    @property
    def name(self) -> str:
        """The heading in one line."""
        return " ".join(self.header).strip()

    @property
    def natural(self) -> int:
        """Its characters if no cell is wrapped."""
        return max(map(len, (*self.header, *self.cells, self.footer)))

    @property
    def least(self) -> int:
        """The fewest characters that break no number and no word."""
        if not self.wraps:
            return self.natural
        words = (word for text in (*self.header, *self.cells) for word in text.split())
        return max(min(self.natural, LEAST_TEXT), *map(len, words), 0)


def screen_width() -> int | None:
    """Characters in a line: those of the variable COLUMNS, else of the terminal. None for a pipe or a file, which get
    everything."""
    wanted = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty() or whole_number(wanted):
        return shutil.get_terminal_size((100, 24)).columns
    return None


def in_colour() -> bool:
    """Whether stdout is a terminal that may be sent colours: not a dumb one, and NO_COLOR is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def drawing(width: int, *, colour: bool) -> tuple[Console, io.StringIO]:
    """A console of this width, and the text that it fills."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        legacy_windows=False,
    )
    return console, out


def fitted(
    columns: Sequence[Column],
    width: int,
    *,
    style_of: Callable[[int, str], str] = lambda row, text: "",
) -> tuple[Table, list[Column]]:
    """The columns that fit into `width` as a rich table, and the hidden ones. `style_of` gives the style of a cell, of
    the number of its row and its text."""
    columns = [_printable(column) for column in columns]
    groups: dict[str | int, list[int]] = {}
    for number, column in enumerate(columns):
        groups.setdefault(column.pair or number, []).append(number)
    by_rank = sorted(groups.values(), key=lambda group: min(columns[number].rank for number in group))

    def fits(kept: Sequence[Sequence[int]]) -> bool:
        return takes([columns[number] for group in kept for number in group]) <= width

    kept = list(by_rank)
    while columns[kept[-1][0]].rank and not fits(kept):
        kept.pop()
    for group in by_rank[len(kept) :]:  # a narrow one may fit where a wide one did not
        if fits([*kept, group]):
            kept.append(group)
    shown = sorted(number for group in kept for number in group)
    hidden = [column for number, column in enumerate(columns) if number not in shown]
    return _table([columns[number] for number in shown], fits(kept), style_of), hidden


def _printable(column: Column) -> Column:
    """A column without what would move the cursor or hide what is beside it."""
    one, other = map(escaped, column.header)
    return replace(column, header=(one, other), cells=list(map(escaped, column.cells)), footer=escaped(column.footer))


def takes(columns: Sequence[Column]) -> int:
    """The fewest characters in which columns fit, three blanks apart."""
    return sum(column.least for column in columns) + 3 * (len(columns) - 1)


def _table(columns: Sequence[Column], fits: bool, style_of: Callable[[int, str], str]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    headings = _headings(columns)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(
            "\n".join(column.header[number] for number in headings),
            justify=justify,
            overflow="fold",  # where not even the columns that are never hidden fit, words are broken
            min_width=column.least if fits else None,
            no_wrap=fits and not column.wraps,
        )
    for row in range(len(columns[0].cells)):
        cells = [column.cells[row] for column in columns]
        table.add_row(*[Text(text, style=style_of(row, text)) for text in cells])
    if any(column.footer for column in columns):
        table.add_section()
        table.add_row(*[Text(column.footer, style="dim") for column in columns])
    return table


def _headings(columns: Sequence[Column]) -> tuple[int, ...]:
    """Which lines of the headings are not empty."""
    return (0, 1) if any(column.header[0] for column in columns) else (1,)


def hidden_note(hidden: Sequence[Column], all_in: str) -> str:
    """ "2 columns hidden: label, seeds; --format csv has all"; `all_in` is the option that shows every column."""
    count = f"{len(hidden)} column{'' if len(hidden) == 1 else 's'}"
    return f"{count} hidden: {', '.join(column.name for column in hidden)}; {all_in} has all"


def plain_lines(columns: Sequence[Column]) -> list[str]:
    """All columns side by side, a line per row, below one or two lines of headings."""
    columns = [_printable(column) for column in columns]
    lines = [[column.header[number] for column in columns] for number in _headings(columns)]
    lines += [list(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    widths = [column.natural for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]
