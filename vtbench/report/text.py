"""Comparisons and ratios for readers: tables for a terminal of any width, and in Markdown."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement as Width
from rich.table import Table
from rich.text import Text

from vtbench.report.compare import Comparison
from vtbench.report.ratios import Ratios
from vtbench.report.sheets import LABEL, Column, Sheet, accuracy_sheets, speed_sheets, summary
from vtbench.report.statistics import TOLERANCE
from vtbench.scales import Scale

VERDICT_STYLES = {"within": "green", "outside": "red", "inconclusive": "yellow", "not-run": "dim"}


def draw(
    comparisons: Mapping[Scale, Sequence[Comparison]],
    ratios: Mapping[Scale, Sequence[Ratios]],
    *,
    tolerance: float = TOLERANCE,
    width: int = 100,
    colour: bool = False,
) -> str:
    """All tables as text that fits into `width` columns, with ANSI colours if `colour`."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )

    def print_sheets(made: Iterable[Sheet]) -> None:
        for sheet in made:
            console.print(Text(sheet.title, style="bold"))
            if sheet.warning:
                console.print(Text(sheet.warning, style="bold yellow"))
            table, left_out = _fitted(sheet, console)
            console.print(table)
            if left_out:
                names = ", ".join(" ".join(column.header).strip() for column in left_out)
                console.print(Text(f"left out at this width: {names}; --format md has every column", style="dim"))
            for note in sheet.notes:
                console.print(Text(note, style="dim"))
            console.print()

    for members in comparisons.values():
        if not members:
            continue
        print_sheets(accuracy_sheets(members))
        for line in summary(members, tolerance):
            console.print(Text(line))
        console.print()
    for measured in ratios.values():
        print_sheets(speed_sheets(measured))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"


def _fitted(sheet: Sheet, console: Console) -> tuple[Table, list[Column]]:
    """The table without as many of its less important columns as it takes to fit, and those columns."""
    unlimited = console.options.update_width(10_000)  # what a table needs is otherwise cut to what there is

    def fits(numbers: Sequence[int]) -> bool:
        return Width.get(console, unlimited, _table(sheet, numbers)).minimum <= console.width

    by_rank = sorted(range(len(sheet.columns)), key=lambda number: (sheet.columns[number].rank, number))
    kept = list(by_rank)
    while sheet.columns[kept[-1]].rank and not fits(sorted(kept)):
        kept.pop()
    for number in by_rank[len(kept) :]:  # a narrow one may fit where a wide one did not
        if fits(sorted([*kept, number])):
            kept.append(number)
    left_out = [column for number, column in enumerate(sheet.columns) if number not in kept]
    return _table(sheet, sorted(kept)), left_out


def _table(sheet: Sheet, kept: Sequence[int]) -> Table:
    least = all(sheet.columns[number].rank == 0 for number in kept)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number in kept:
        column = sheet.columns[number]
        justify: Literal["left", "right"] = "right" if column.right else "left"
        natural = max(map(len, (*column.header, *column.cells)))
        # Labels may take two lines; numbers are never broken unless nothing is left to leave out.
        may_break = least or column.header[1] == LABEL
        minimum = None if least else min(natural, 12) if may_break else natural
        header = "\n".join(column.header)
        table.add_column(header, justify=justify, overflow="fold", min_width=minimum, no_wrap=not may_break)
    for row, verdict in enumerate(sheet.verdicts):
        cells = []
        for number in kept:
            text = sheet.columns[number].cells[row]
            style = (
                VERDICT_STYLES.get(text.partition(" ")[0], "")
                if text == verdict
                else {"stale": "yellow", "not run": "dim"}.get(text)
            )
            cells.append(Text(text, style=style or ""))
        table.add_row(*cells)
    if sheet.chance:
        table.add_section()
        table.add_row("chance", *[sheet.chance[number] for number in kept[1:]], style="dim")
    return table


def as_markdown(
    comparisons: Mapping[Scale, Sequence[Comparison]],
    ratios: Mapping[Scale, Sequence[Ratios]],
    *,
    tolerance: float = TOLERANCE,
) -> str:
    """The same tables, with all columns, in GitHub's Markdown."""
    lines: list[str] = []
    for members in comparisons.values():
        if not members:
            continue
        for sheet in accuracy_sheets(members):
            lines += _markdown(sheet)
        lines += [*(f"- {line}" for line in summary(members, tolerance)), ""]
    for measured in ratios.values():
        for sheet in speed_sheets(measured):
            lines += _markdown(sheet)
    return "\n".join(lines).rstrip() + "\n"


def _markdown(sheet: Sheet) -> list[str]:
    lines = [f"### {sheet.title}", ""]
    if sheet.warning:
        lines += [sheet.warning, ""]
    lines.append(_markdown_line(" ".join(column.header).strip() for column in sheet.columns))
    lines.append(_markdown_line("---:" if column.right else "---" for column in sheet.columns))
    lines += [_markdown_line(cells) for cells in zip(*(column.cells for column in sheet.columns), strict=True)]
    if sheet.chance:
        lines.append(_markdown_line(["chance", *sheet.chance[1:]]))
    return [*lines, "", *(f"- {note}" for note in sheet.notes), *[""] * bool(sheet.notes)]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
