"""Comparisons and ratios of speed drawn: tables for a terminal of any width or in Markdown, and as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement as Width
from rich.table import Table
from rich.text import Text

from vtbench.papers.datasets import load_dataset
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.cells import ACCURACIES, MEMORY, SPEEDS
from vtbench.report.compare import COVERAGE, Comparison, distinct_evaluations, own_metrics
from vtbench.report.speed import Speed
from vtbench.report.statistics import TOLERANCE
from vtbench.results.record import SpeedRecord
from vtbench.scales import Scale

VERDICT_STYLES = {"within": "green", "outside": "red", "inconclusive": "yellow", "not-run": "dim"}
LABEL = "as printed"
CSV_COLUMNS = ("id", "scale", "metric", "published", "mean", "sd", "n", "delta", "verdict", "commit")
CSV_SPEED_COLUMNS = (
    *("value", "q1", "q3", "against", "ratio", "ratio_q1", "ratio_q3"),
    *("batch", "rounds", "device", "precision", "threads"),
)
"""Columns of speed.csv that stand behind those above and `printed_ratio`."""
Comparisons = Mapping[Scale, Sequence[Comparison]]
Speeds = Mapping[Scale, Sequence[Speed]]
"""In both, for every scale that is told, one per row."""


# ---- machine-readable ------------------------------------------------------------------------------------------------


def as_json(comparisons: Comparisons, speeds: Speeds) -> str:
    """An array with one entry per row and scale; both hold the same rows at the same scales."""
    entries = [
        {**comparison.entry(), "speed": speed.entry()}
        for scale, members in comparisons.items()
        for comparison, speed in zip(members, speeds[scale], strict=True)
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def as_csv(comparisons: Comparisons, speeds: Speeds) -> str:
    """One line per row, scale and metric, printed or measured; of speed and memory per device and precision too.
    Numbers as in the JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*CSV_COLUMNS, "printed_ratio", *CSV_SPEED_COLUMNS))
    for entry in json.loads(as_json(comparisons, speeds)):
        printed, lines = entry["speed"]["printed"], entry["speed"]["measured"]
        metrics = dict.fromkeys([*entry["published"], *entry["measured"], *(line["metric"] for line in lines)])
        for metric in metrics or [""]:
            found = entry["measured"].get(metric, {"mean": None, "sd": None, "n": 0})
            for line in [line for line in lines if line["metric"] == metric] or [{}]:
                writer.writerow(
                    [
                        *(entry["id"], entry["scale"], metric, entry["published"].get(metric)),
                        *(found["mean"], found["sd"], found["n"]),
                        *((entry["delta"] or {}).get(metric), entry["verdict"], entry["commit"]),
                        printed.get(metric, {}).get("ratio"),
                        *(line.get(column) for column in CSV_SPEED_COLUMNS),
                    ]
                )
    return out.getvalue()


# ---- one printed table at one scale, as text -------------------------------------------------------------------------


@dataclass
class Column:
    """A column of the drawing. In a narrow terminal the columns with the highest `rank` are left out first."""

    header: tuple[str, str]
    rank: int
    right: bool = True
    cells: list[str] = field(default_factory=list)


@dataclass
class Sheet:
    """One printed table at one scale: heading, columns of equally many cells, and what has to be said below."""

    title: str
    remark: str | None
    columns: list[Column]
    chance: list[str]
    verdicts: list[str]
    notes: list[str]


def sheets(comparisons: Sequence[Comparison]) -> list[Sheet]:
    """One sheet per printed table, in the order of the rows; all comparisons are of one scale."""
    tables: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        tables.setdefault(comparison.table, []).append(comparison)
    return [_sheet(table, members) for table, members in tables.items()]


def _sheet(table: str, comparisons: list[Comparison]) -> Sheet:
    scale = comparisons[0].scale
    paper, _, name_of_table = table.partition("/")
    about = next(t for t in load_paper(paper).tables if t.name == name_of_table)
    own = list(dict.fromkeys(metric for c in comparisons for metric in own_metrics(c.row)))
    chance = {name: level for comparison in comparisons for name, level in comparison.chance.items()}
    printed = [m for m in ACCURACIES if any(m in c.row.published for c in comparisons)]
    printed += [
        name
        for name in dict.fromkeys(name for c in comparisons for name in c.row.published)
        if name.endswith((*ACCURACIES, *own)) and name not in printed
    ]
    # Top-5 of at most five classes is 100 whatever was learnt.
    told = [name for name, level in chance.items() if level < 100] or ["top1"]
    told += [name for name in dict.fromkeys(n for c in comparisons for n in c.measured) if name not in chance]
    measured = [*(name for name in printed if name in told), *(name for name in told if name not in printed)]
    columns = [
        Column(("", "row"), 0, right=False, cells=[c.row.id if c.under else c.row.name for c in comparisons]),
        Column(
            ("", LABEL),
            7,
            right=False,
            cells=[c.row.label + (" (outside)" if c.under else "" if c.row.own else " (quoted)") for c in comparisons],
        ),
    ]
    for name in printed:
        cells = [c.row.published[name].text if name in c.row.published else "" for c in comparisons]
        rank = 0 if name == "top1" else 2 if name.endswith("top1") else 5
        columns.append(Column(("printed", name), rank, cells=cells))
    for name in measured:
        rank = 0 if name == "top1" else 1 if name.endswith("top1") else 4 if name in printed else 6
        columns.append(Column((scale, name), rank, cells=[_measured_cell(c, name) for c in comparisons]))
    if any(c.measured for c in comparisons):
        columns.append(Column(("", "seeds"), 3, cells=[_seeds_cell(c) for c in comparisons]))
    if scale == "paper":
        for name in printed:
            if any(name in (c.delta or {}) for c in comparisons):
                cells = [_delta_cell(c, name) for c in comparisons]
                columns.append(Column(("delta", name), 2 if name == "top1" else 6, cells=cells))
        columns.append(Column(("", "verdict"), 1, right=False, cells=[c.verdict for c in comparisons]))
    return Sheet(
        title=f"{table} at {scale} scale: {about.caption}",
        remark=None if scale == "paper" else _not_comparable(comparisons),
        columns=columns,
        chance=[_number(chance[c.header[1]]) if c.header[0] == scale and c.header[1] in chance else "" for c in columns]
        if chance
        else [],
        verdicts=[c.verdict for c in comparisons],
        notes=_notes(comparisons) + ([f"reconstructed: {about.reconstructed}"] if about.reconstructed else []),
    )


def speed_sheets(speeds: Sequence[Speed]) -> list[Sheet]:
    """One sheet per printed table, device and precision, in the order of the rows; all of one scale. A table without
    printed ratios has none until its rows are measured."""
    tables: dict[tuple[str, str], list[Speed]] = {}
    for speed in speeds:
        tables.setdefault((speed.row.paper, speed.row.table), []).append(speed)
    made = []
    for (paper, table), members in tables.items():
        places: list[tuple[str, str] | None] = []
        places += dict.fromkeys(place for speed in members for place in speed.measured)
        if places or any(speed.printed or speed.stale for speed in members):
            made += [_speed_sheet(f"{paper}/{table}", members, place) for place in places or [None]]
    return made


def _speed_sheet(table: str, speeds: Sequence[Speed], place: tuple[str, str] | None) -> Sheet:
    """One table on one device at one precision; without a `place`, what the paper prints."""
    scale = speeds[0].scale
    found = {speed: speed.measured.get(place, {}) if place else {} for speed in speeds}
    lines = [line for by_metric in found.values() for line in by_metric.values()]
    shown = [speed for speed in speeds if speed.printed or found[speed]]
    over = {speed: speed.row.baseline or "" for speed in shown}
    names = sorted(set(over.values()))
    columns = [
        Column(("", "row"), 0, right=False, cells=[speed.row.name for speed in shown]),
        Column(("", LABEL), 7, right=False, cells=[speed.row.label for speed in shown]),
    ]
    if len(names) > 1:
        columns.append(Column(("", "over"), 1, right=False, cells=[over[speed] for speed in shown]))
    # What the paper prints stays longest in a narrow terminal.
    printed = [metric for metric in SPEEDS if any(metric in speed.printed for speed in shown)]
    ranked = [*printed, *(metric for metric in SPEEDS if metric not in printed)]
    for metric in SPEEDS:
        rank = 1 + ranked.index(metric)
        name = metric.rpartition("_")[0].replace("_", " ")
        if metric in printed:
            cells = [speed.printed[metric].text if metric in speed.printed else "" for speed in shown]
            columns.append(Column(("printed", name), rank, cells=cells))
        if any(line.metric == metric and line.ratio is not None for line in lines):
            columns.append(Column((scale, name), rank, cells=[_ratio_cell(found[s].get(metric)) for s in shown]))
    notes = [f"measured on {_conditions(lines)}" if lines else f"not measured: vtbench speed {table} --scale {scale}"]
    for speed in speeds:
        metrics = [line.metric for line in speed.stale if place in (None, (line.device, line.precision))]
        if metrics:
            notes.append(
                f"{speed.row.name}: {', '.join(metrics)} stale, not counted: measured before a network changed; "
                f"measure {speed.row.id} again"
            )
    return Sheet(
        title=f"{table} at {scale} scale: speed and memory, as ratios to {' or '.join(names)}",
        remark=None if scale == "paper" else "NOT COMPARABLE with the printed ratios: small networks.",
        columns=columns,
        chance=[],
        verdicts=["" for _ in shown],
        notes=notes,
    )


def _ratio_cell(line: SpeedRecord | None) -> str:
    if line is None or line.ratio is None:
        return ""
    return f"{line.ratio:.2f}" + ("" if line.ratio_q1 is None else f" ({line.ratio_q1:.2f}-{line.ratio_q3:.2f})")


def _conditions(lines: Sequence[SpeedRecord]) -> str:
    def every(values: Iterable[int]) -> str:
        return "/".join(map(str, sorted(set(values))))

    threads = every(line.threads for line in lines)
    rounds = every(line.rounds for line in lines if line.metric not in MEMORY and line.rounds > 1)
    batches = ", ".join(
        f"{metric} {every(line.batch for line in lines if line.metric == metric)}"
        for metric in SPEEDS
        if any(line.metric == metric for line in lines)
    )
    return (
        f"{lines[0].device}, {lines[0].precision}, threads {threads}, clips per pass: {batches}"
        + (f", rounds {rounds}: median (quartiles) of the ratios within a round" if rounds else "")
        + "; the printed ratios are of the paper's own machine"
    )


def _not_comparable(comparisons: Sequence[Comparison]) -> str:
    scale = comparisons[0].scale
    rows = [c.row for c in comparisons if c.row.status == "runnable"]
    if not rows:
        return f"Numbers at {scale} scale are not comparable with the printed ones."
    printed, here = (
        {m.evaluation.data.dataset for row in rows for m in measurements(row, at)} for at in ("paper", scale)
    )
    synthetic = all(load_dataset(name).synthetic for name in here)
    instead = sorted(printed - here)
    return (
        f"NOT COMPARABLE with the printed numbers: small networks on {' and '.join(sorted(here))}"
        f"{' (synthetic videos)' if synthetic else ''}{', not ' + ' and '.join(instead) if instead else ''}."
    )


def _measured_cell(comparison: Comparison, name: str) -> str:
    found = comparison.measured.get(name)
    if found is not None:
        return _number(found.mean) + ("" if found.sd is None else f" ± {_number(found.sd)}")
    if name != "top1" or comparison.counted:
        return ""
    if comparison.stale:
        return "stale"
    return "not run" if comparison.row.status == "runnable" else "-"


def _seeds_cell(comparison: Comparison) -> str:
    return "/".join(dict.fromkeys(str(found.n) for found in comparison.measured.values()))


def _delta_cell(comparison: Comparison, name: str) -> str:
    if name not in (comparison.delta or {}):
        return ""
    assert comparison.delta is not None
    return f"{comparison.delta[name]:+.{comparison.row.published[name].decimals}f}"


def _number(percent: float) -> str:
    return f"{percent:.2f}"


def _notes(comparisons: Sequence[Comparison]) -> list[str]:
    notes = []
    for comparison in comparisons:
        name = comparison.row.name
        if comparison.stale:
            seeds = ", ".join(sorted({str(record.seed) for record in comparison.stale}))
            which = " and ".join(dict.fromkeys(record.measurement for record in comparison.stale))
            notes.append(
                f"{name}: {which} stale, not counted: measured before the spec changed (seed {seeds}); "
                f"run {comparison.row.id} again"
            )
        if comparison.given_weights:
            notes.append(f"{name}: measured on given weights, not on a training of ours")
        notes += [f"{name}: {part}; below {COVERAGE:.0%} there is no verdict" for part in comparison.partial]
        failed = max((record.videos_failed for record in comparison.counted), default=0)
        if failed:
            expected = comparison.counted[0].videos_expected
            notes.append(f"{name}: {failed} of {expected} videos could not be read; they count as misses")
        silent = max((record.videos_silent or 0 for record in comparison.counted), default=0)
        if silent:
            decoded = comparison.counted[0].videos_decoded
            notes.append(f"{name}: {silent} of {decoded} videos have no sound track; they were heard as silence")
        for metric, cell in comparison.row.published.items():
            if cell.reconstructed and metric.endswith(ACCURACIES):
                notes.append(f"{name}: printed {metric} is reconstructed: {cell.reconstructed}")
    return notes


def _summary(comparisons: Sequence[Comparison], tolerance: float) -> list[str]:
    scale = comparisons[0].scale
    evaluations = distinct_evaluations(comparisons)
    run = sum(bool(comparison.measured) for comparison in comparisons)
    plural = "" if len(evaluations) == 1 else "s"
    lines = [
        f"{scale} scale: {run} of {len(comparisons)} rows have results, from {len(evaluations)} evaluation{plural}."
    ]
    shared: dict[tuple[str, ...], None] = {}
    for members in evaluations.values():
        if len(members) > 1:
            shared[tuple(comparison.row.id for comparison in members)] = None
    lines += [f"One and the same evaluation: {', '.join(ids)}." for ids in shared]
    if any(found.sd is not None for comparison in comparisons for found in comparison.measured.values()):
        lines.append("± is the standard deviation over seeds.")
    if scale == "paper" and run:
        lines.append(
            f"within: the 95 % interval lies inside the printed number ± {tolerance:g} points (and half its last "
            "digit); outside: it misses them; inconclusive: it reaches across."
        )
    return lines


# ---- drawn -----------------------------------------------------------------------------------------------------------


def draw(
    comparisons: Comparisons,
    speeds: Speeds,
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
            if sheet.remark:
                console.print(Text(sheet.remark, style="bold yellow"))
            console.print(_fitted(sheet, console))
            for note in sheet.notes:
                console.print(Text(note, style="dim"))
            console.print()

    for members in comparisons.values():
        if not members:
            continue
        print_sheets(sheets(members))
        for line in _summary(members, tolerance):
            console.print(Text(line))
        console.print()
    for measured in speeds.values():
        print_sheets(speed_sheets(measured))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"


def _fitted(sheet: Sheet, console: Console) -> Table:
    """The table without as many of its less important columns as it takes to fit."""
    keep = max(column.rank for column in sheet.columns)
    unlimited = console.options.update_width(10_000)  # what a table needs is otherwise cut to what there is
    while True:
        table = _table(sheet, keep)
        needed = Width.get(console, unlimited, table).minimum
        if keep == 0 or needed <= console.width:
            return table
        keep -= 1


def _table(sheet: Sheet, keep: int) -> Table:
    kept = [number for number, column in enumerate(sheet.columns) if column.rank <= keep]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number in kept:
        column = sheet.columns[number]
        justify: Literal["left", "right"] = "right" if column.right else "left"
        natural = max(map(len, (*column.header, *column.cells)))
        # Labels may take two lines; numbers are never broken unless nothing is left to leave out.
        may_break = keep == 0 or column.header[1] == LABEL
        minimum = None if keep == 0 else min(natural, 12) if may_break else natural
        header = "\n".join(column.header)
        table.add_column(header, justify=justify, overflow="fold", min_width=minimum, no_wrap=not may_break)
    for row, verdict in enumerate(sheet.verdicts):
        cells = []
        for number in kept:
            text = sheet.columns[number].cells[row]
            style = VERDICT_STYLES.get(text, "") if text == verdict else {"stale": "yellow", "not run": "dim"}.get(text)
            cells.append(Text(text, style=style or ""))
        table.add_row(*cells)
    if sheet.chance:
        table.add_section()
        table.add_row("chance", *[sheet.chance[number] for number in kept[1:]], style="dim")
    return table


def as_markdown(comparisons: Comparisons, speeds: Speeds, *, tolerance: float = TOLERANCE) -> str:
    """The same tables, with all columns, in GitHub's Markdown."""
    lines: list[str] = []
    for members in comparisons.values():
        if not members:
            continue
        for sheet in sheets(members):
            lines += _markdown(sheet)
        lines += [*(f"- {line}" for line in _summary(members, tolerance)), ""]
    for measured in speeds.values():
        for sheet in speed_sheets(measured):
            lines += _markdown(sheet)
    return "\n".join(lines).rstrip() + "\n"


def _markdown(sheet: Sheet) -> list[str]:
    lines = [f"### {sheet.title}", ""]
    if sheet.remark:
        lines += [sheet.remark, ""]
    lines.append(_markdown_line(" ".join(column.header).strip() for column in sheet.columns))
    lines.append(_markdown_line("---:" if column.right else "---" for column in sheet.columns))
    lines += [_markdown_line(cells) for cells in zip(*(column.cells for column in sheet.columns), strict=True)]
    if sheet.chance:
        lines.append(_markdown_line(["chance", *sheet.chance[1:]]))
    return [*lines, "", *(f"- {note}" for note in sheet.notes), *[""] * bool(sheet.notes)]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
