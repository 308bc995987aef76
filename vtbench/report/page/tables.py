"""The tables of the page: every printed table at each scale, with its speeds, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from vtbench.papers.decisions import decisions_of, unsaid
from vtbench.papers.load import load_paper
from vtbench.papers.spec.schema import Paper, Row, Table
from vtbench.report.claims.finding import notes as claim_notes
from vtbench.report.compare import Comparison, distinct_evaluations
from vtbench.report.page.facts import Fact, call, cell_of, chance_cell, label_of, speed_cell
from vtbench.report.ratios import Ratios, printed_on
from vtbench.report.sheets import Sheet, accuracy_sheets
from vtbench.report.speed_sheets import speed_sheets
from vtbench.results.record import Record
from vtbench.scales import Scale


@dataclass(frozen=True)
class Heading:
    """One column's heading."""

    text: Fact
    numeric: bool
    kind: str
    """What the column holds, for its style."""


@dataclass(frozen=True)
class Line:
    """One row of a table at one scale."""

    anchor: str
    """The id of its element; of the first scale that shows it, the row's own id."""
    row_id: str
    name: str
    label: Fact
    kind: str
    """own, quoted, analytic or outside."""
    measured: bool
    verdict: str
    cells: list[Fact]


@dataclass(frozen=True)
class SheetPart:
    """One printed table at one scale."""

    anchor: str
    title: Fact
    scale: Scale
    warning: Fact | None
    groups: list[tuple[str, int]]
    """Heading over several columns -> how many."""
    headings: list[Heading]
    lines: list[Line]
    chance: list[Fact] | None
    notes: list[Fact]
    place: Fact | None = None
    """Device and precision of measured speeds."""
    printed_on: Fact | None = None
    """What the printed speeds are of."""


@dataclass(frozen=True)
class Evaluation:
    """One line of results.csv behind a row: its origin, and the values of RECORD_COLUMNS."""

    scale: Scale
    origin: str
    values: list[str]


@dataclass(frozen=True)
class Provenance:
    """Everything behind a row's numbers."""

    row: Row
    label: Fact
    evaluations: list[Evaluation]
    stale: list[Evaluation]
    apart: list[Evaluation]
    versions: list[Fact]
    decisions: list[str]
    unsaid: list[Fact]
    reconstructed: list[Fact]


@dataclass(frozen=True)
class TablePart:
    """One printed table."""

    id: str
    place: Fact
    caption: Fact
    sheets: list[SheetPart]
    speeds: list[SheetPart]
    provenance: list[Provenance]


RECORD_COLUMNS = (
    *("seed", "measurement", "top1", "top5", "training_key", "evaluation_key", "weights_sha256", "data_fingerprint"),
    *("videos_decoded", "videos_expected", "views", "device", "commit", "dirty", "finished_at"),
)
"""The columns of results.csv that are shown of an evaluation."""


def tables_of(
    paper: Paper, comparisons: Mapping[Scale, Sequence[Comparison]], ratios: Mapping[Scale, Sequence[Ratios]]
) -> list[TablePart]:
    """The tables of a paper that any of the comparisons is of, in printed order."""
    made = []
    for table in paper.tables:
        name = f"{paper.name}/{table.name}"
        at = {scale: [c for c in members if c.table == name] for scale, members in comparisons.items()}
        at = {scale: members for scale, members in at.items() if members}
        speeds = {
            scale: [s for s in members if f"{s.row.paper}/{s.row.table}" == name] for scale, members in ratios.items()
        }
        if at:
            made.append(_table(name, table, at, speeds))
    return made


def _table(
    name: str, table: Table, at: Mapping[Scale, list[Comparison]], speeds: Mapping[Scale, list[Ratios]]
) -> TablePart:
    filled = {scale: sum(bool(c.measured or c.stale) for c in members) for scale, members in at.items()}
    # What may be compared with the print comes first, else what has most results.
    in_order = sorted(at, key=lambda scale: (scale != "paper" or not filled[scale], -filled[scale]))
    sheets, seen = [], set[str]()
    for scale in in_order:
        (sheet,) = accuracy_sheets(at[scale])
        sheets.append(_sheet(name, sheet, scale, at[scale], seen))
    drawn: list[SheetPart] = []
    for scale, members in speeds.items():
        drawn += [_speeds(name, sheet, scale, members, number) for number, sheet in enumerate(speed_sheets(members))]
    source = table.source
    place = Fact(f"Table {table.name.removeprefix('table')}" if source else name, call("place", name))
    every = [c for scale in in_order for c in at[scale]]
    return TablePart(name, place, Fact(table.caption, call("caption", name)), sheets, drawn, _provenance(every))


def _sheet(table: str, sheet: Sheet, scale: Scale, members: Sequence[Comparison], seen: set[str]) -> SheetPart:
    kept = [column for column in sheet.columns if column.header[1] not in ("row", "label")]
    groups = [(key, len(list(found))) for key, found in groupby(column.header[0] for column in kept)]
    lines = []
    for number, comparison in enumerate(members):
        row = comparison.row
        anchor = row.id if row.id not in seen else f"{row.id}@{scale}"
        seen.add(row.id)
        lines.append(
            Line(
                anchor,
                row.id,
                comparison.name,
                label_of(row),
                "outside" if comparison.under else kind_of(row),
                bool(comparison.measured),
                comparison.verdict,
                [cell_of(column, number, comparison) for column in kept],
            )
        )
    headings = [
        Heading(Fact(c.header[1], call("heading", table, c.holds, c.of)), c.right, c.holds.replace(" ", "-"))
        for c in kept
    ]
    chance = [chance_cell(column, members) for column in kept] if any(column.footer for column in kept) else None
    origin = (table, scale)
    of_claims = claim_notes([judged for comparison in members for judged in comparison.claims], scale)
    return SheetPart(
        f"{table}@{scale}",
        Fact(sheet.title.partition(":")[0], call("title", *origin)),
        scale,
        Fact(sheet.warning, call("warning", *origin)) if sheet.warning else None,
        groups,
        headings,
        lines,
        chance,
        [Fact(note, call("note", *origin, n)) for n, note in enumerate(sheet.notes) if note not in of_claims],
    )


def kind_of(row: Row) -> str:
    """Of what kind the numbers of a row are: its paper's own, quoted, or of an analysis."""
    return "quoted" if not row.own else "analytic" if row.status == "analytic" else "own"


def _speeds(table: str, sheet: Sheet, scale: Scale, members: Sequence[Ratios], number: int) -> SheetPart:
    by_name = {speed.row.name: speed for speed in members}
    names = next(column.cells for column in sheet.columns if column.holds == "row")
    kept = [column for column in sheet.columns if column.header[1] not in ("row", "label")]
    groups = [(key, len(list(found))) for key, found in groupby(column.header[0] for column in kept)]
    lines = []
    for line, name in enumerate(names):
        row = by_name[name].row
        cells = [speed_cell(column, line, by_name[name], sheet) for column in kept]
        lines.append(Line("", row.id, name, label_of(row), kind_of(row), True, "", cells))
    return SheetPart(
        f"{table}@{scale}/speed{number + 1}",
        Fact(sheet.title, call("speed_title", table, scale, number)),
        scale,
        Fact(sheet.warning, call("speed_warning", table, scale, number)) if sheet.warning else None,
        groups,
        [Heading(Fact(c.header[1]), c.right, c.holds.replace(" ", "-")) for c in kept],
        lines,
        None,
        [Fact(note, call("speed_note", table, scale, number, n)) for n, note in enumerate(sheet.notes)],
        Fact(", ".join(sheet.place), call("measured_on", *sheet.place)) if sheet.place else None,
        Fact(printed_on(table), call("printed_on", table)),
    )


# ---- where it comes from ---------------------------------------------------------------------------------------------


def _provenance(comparisons: Sequence[Comparison]) -> list[Provenance]:
    """Of each row, in the order in which they first come."""
    by_row: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        if comparison.row.variant is None:
            by_row.setdefault(comparison.row.id, []).append(comparison)
    return [_of_row(members[0].row, members) for members in by_row.values()]


def _of_row(row: Row, members: Sequence[Comparison]) -> Provenance:
    paper = load_paper(row.paper)
    counted = [(c.scale, record) for c in members for record in c.counted]
    versions = dict.fromkeys(
        Fact(record.versions, call("record", row.id, record.measurement, record.evaluation_key, "versions"))
        for _, record in {record.versions: (scale, record) for scale, record in reversed(counted)}.values()
    )
    missing = [Fact(f"{name}: {text}", call("unsaid", row.id, name)) for name, text in unsaid(paper, row).items()]
    rebuilt = [
        Fact(f"{name}: {cell.reconstructed}", call("reconstructed", row.id, name))
        for name, cell in row.published.items()
        if cell.reconstructed
    ]
    return Provenance(
        row,
        label_of(row),
        [_evaluation(record) for _, record in counted],
        [_evaluation(record) for c in members for record in c.stale],
        [_evaluation(record) for c in members for record in c.apart],
        list(versions),
        list(decisions_of(paper, row)),
        missing,
        rebuilt,
    )


def _evaluation(record: Record) -> Evaluation:
    values = [_shown(getattr(record, column)) for column in RECORD_COLUMNS]
    return Evaluation(record.scale, call("line", record.id, record.measurement, record.evaluation_key), values)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def shared_rows(comparisons: Sequence[Comparison]) -> dict[str, list[str]]:
    """Row -> the other rows that one of its evaluations counts in too."""
    found: dict[str, dict[str, None]] = {}
    for members in distinct_evaluations(comparisons).values():
        ids = list(dict.fromkeys(c.row.id for c in members))
        for one in ids:
            found.setdefault(one, {}).update(dict.fromkeys(other for other in ids if other != one))
    return {row: list(others) for row, others in found.items() if others}
