"""The tables of the report for a paper, in LaTeX with booktabs: printed and measured columns, verdicts as footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from vtbench.report.columns import Column
from vtbench.report.compare import Comparison
from vtbench.report.ratios import Ratios
from vtbench.report.sheets import Sheet, accuracy_sheets, speed_sheets, summary
from vtbench.report.statistics import TOLERANCE
from vtbench.scales import Scale

HEAD = "% From `vtbench report --format latex`. It needs \\usepackage{amssymb,booktabs,graphicx}.\n"
WIDE = 95
"""Characters in a line from which on a table is scaled to the width of the text."""

_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # behind a line break it would be taken for the break's own
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "²": "$^2$",
    "³": "$^3$",
    "·": r"$\cdot$",
    "↑": r"$\uparrow$",
    "⇒": r"$\Rightarrow$",
    "†": r"$\dagger$",
    "α": r"$\alpha$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "…": r"\dots{}",
}


def as_latex(
    comparisons: Mapping[Scale, Sequence[Comparison]],
    ratios: Mapping[Scale, Sequence[Ratios]],
    *,
    tolerance: float = TOLERANCE,
) -> str:
    """A `table` environment for each printed table and scale, with all columns, and one for each table of speed."""
    made = [HEAD]
    for scale, members in comparisons.items():
        if not members:
            continue
        sheets, tables = accuracy_sheets(members), dict.fromkeys(one.table for one in members)
        for sheet, table in zip(sheets, tables, strict=True):
            of_table = [one for one in members if one.table == table]
            made.append(_table(sheet, _label(table, scale), _origin(of_table), summary(of_table, tolerance)))
    for scale, measured in ratios.items():
        for number, sheet in enumerate(speed_sheets(measured)):
            made.append(_table(sheet, _label(f"speed-{number + 1}", scale), [], []))
    return "\n".join(made)


def escape(text: str) -> str:
    """Text as LaTeX prints it, with a minus where a hyphen stands for one."""
    signed = re.sub(r"(?<![\w.-])-(?=\d)", "−", text)
    return "".join(_SPECIAL.get(character, character) for character in signed)


def _label(table: str, scale: Scale) -> str:
    return f"tab:{table.replace('/', '-')}-{scale}"


def _origin(members: Sequence[Comparison]) -> list[str]:
    """Comments on where the numbers come from."""
    records = [record for one in members for record in one.counted]
    keys = dict.fromkeys(record.evaluation_key for record in records)
    commits = dict.fromkeys((record.commit or "no commit") + ("-dirty" if record.dirty else "") for record in records)
    data = dict.fromkeys(record.data_fingerprint for record in records)
    named = {"commits": commits, "data fingerprints": data, "evaluations": keys}
    return [f"{name}: {', '.join(values)}" for name, values in named.items() if values]


def _table(sheet: Sheet, label: str, origin: Sequence[str], said: Sequence[str]) -> str:
    columns, footnotes = _with_footnotes(sheet)
    wide = sum(column.natural + 2 for column in columns) > WIDE
    warning = f" \\textbf{{{escape(sheet.warning)}}}" if sheet.warning else ""
    tabular = [
        f"\\begin{{tabular}}{{{''.join('r' if column.right else 'l' for column in columns)}}}",
        "\\toprule",
        *_headings(columns),
        "\\midrule",
        *(_line(cells) for cells in zip(*(map(_cell, column.cells) for column in columns), strict=True)),
    ]
    if any(column.footer for column in columns):
        tabular += ["\\midrule", _line(escape(column.footer) for column in columns)]
    tabular += ["\\bottomrule", "\\end{tabular}"]
    if wide:
        tabular = ["\\resizebox{\\linewidth}{!}{%", *tabular, "}"]
    notes = [*([", ".join(footnotes)] if footnotes else []), *map(escape, (*sheet.notes, *said))]
    below = ["", "\\medskip", "\\begin{minipage}{\\linewidth}\\footnotesize"]
    below += [f"{note}\\par" for note in notes]
    return "\n".join(
        [
            *(f"% {line}" for line in origin),
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escape(sheet.title)}{warning}}}",
            f"\\label{{{label}}}",
            *tabular,
            *([*below, "\\end{minipage}"] if notes else []),
            "\\end{table}",
            "",
        ]
    )


def _with_footnotes(sheet: Sheet) -> tuple[list[Column], list[str]]:
    """The columns without that of the verdicts, which stand as letters at the measured number, and what these mean."""
    verdicts = next((column for column in sheet.columns if column.header == ("", "verdict")), None)
    leading = [column for column in sheet.columns if column.rank == 0 and column.header[0] == "paper"]
    if verdicts is None or not leading:
        return sheet.columns, []
    said = [text for text in dict.fromkeys(verdicts.cells) if text != "not-run"]
    letters = {text: chr(ord("a") + number) for number, text in enumerate(said)}
    cells = zip(leading[0].cells, verdicts.cells, strict=True)
    marked = [f"{cell}{MARK}{letters[text]}" if text in letters else cell for cell, text in cells]
    kept = []
    for column in sheet.columns:
        if column is leading[0]:
            kept.append(Column(column.header, 0, cells=marked, footer=column.footer))
        elif column is not verdicts:
            kept.append(column)
    return kept, [f"\\textsuperscript{{{letter}}} {escape(text)}" for text, letter in letters.items()]


MARK = "\0"
"""Stands before the letter of a footnote in a cell."""


def _cell(text: str) -> str:
    number, mark, letter = text.partition(MARK)
    return escape(number) + (f"\\textsuperscript{{{letter}}}" if mark else "")


def _headings(columns: Sequence[Column]) -> list[str]:
    """One line of what groups of columns are, with a rule below each, and one of their headings."""
    groups: list[tuple[str, int, int]] = []
    for number, column in enumerate(columns, start=1):
        if groups and groups[-1][0] == column.header[0]:
            groups[-1] = groups[-1][0], groups[-1][1], number
        else:
            groups.append((column.header[0], number, number))
    lines = []
    if any(name for name, _, _ in groups):
        spans = [(name, last - first + 1) for name, first, last in groups]
        over = (
            f"\\multicolumn{{{span}}}{{c}}{{{escape(name)}}}" if name else " & " * (span - 1) for name, span in spans
        )
        lines.append(_line(over))
        lines.append(" ".join(f"\\cmidrule(lr){{{first}-{last}}}" for name, first, last in groups if name))
    lines.append(_line(re.sub(r"^- ", "$-$ ", escape(column.header[1])) for column in columns))
    return lines


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
