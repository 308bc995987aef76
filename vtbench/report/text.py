"""Comparisons and ratios for readers: tables for a terminal of any width, and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.text import Text

from vtbench.report.columns import drawing, fitted, hidden_note
from vtbench.report.compare import Comparison
from vtbench.report.ratios import Ratios
from vtbench.report.sheets import Sheet, accuracy_sheets, speed_sheets, summary
from vtbench.report.statistics import TOLERANCE
from vtbench.scales import Scale

UNLIMITED = 10_000
"""Characters in a line of a drawing without a width."""

VERDICT_STYLES = {"within": "green", "outside": "red", "inconclusive": "yellow", "not-run": "dim"}


def draw(
    comparisons: Mapping[Scale, Sequence[Comparison]],
    ratios: Mapping[Scale, Sequence[Ratios]],
    *,
    tolerance: float = TOLERANCE,
    width: int | None = 100,
    colour: bool = False,
) -> str:
    """All tables as text that fits into `width` columns, with ANSI colours if `colour`. Without a width every column
    is there, and what is said is in lines of any length."""
    room = width or UNLIMITED
    console, out = drawing(room, colour=colour)

    def print_sheets(made: Iterable[Sheet]) -> None:
        for sheet in made:
            console.print(Text(sheet.title, style="bold"))
            if sheet.warning:
                console.print(Text(sheet.warning, style="bold yellow"))
            table, hidden = fitted(sheet.columns, room, style_of=_styles(sheet))
            console.print(table)
            if hidden:
                console.print(Text(hidden_note(hidden, "--format md"), style="dim"))
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


def _styles(sheet: Sheet) -> Callable[[int, str], str]:
    """The colour of a cell: that of its verdict, or of what is missing."""

    def style_of(row: int, text: str) -> str:
        if text == sheet.verdicts[row]:
            return VERDICT_STYLES.get(text.partition(" ")[0], "")
        return {"stale": "yellow", "not run": "dim"}.get(text, "")

    return style_of


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
    lines.append(_markdown_line(column.name for column in sheet.columns))
    lines.append(_markdown_line("---:" if column.right else "---" for column in sheet.columns))
    lines += [_markdown_line(cells) for cells in zip(*(column.cells for column in sheet.columns), strict=True)]
    if any(column.footer for column in sheet.columns):
        lines.append(_markdown_line(column.footer for column in sheet.columns))
    return [*lines, "", *(f"- {note}" for note in sheet.notes), *[""] * bool(sheet.notes)]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
