"""What a printed table shows at one scale: its cells, and what is said below it. vtbench.report.formats draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vtbench.metrics import METRICS, accuracies, always_measured
from vtbench.papers.datasets import load_dataset
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import PrintedColumn
from vtbench.report.claims.finding import notes as claim_notes
from vtbench.report.columns import Column
from vtbench.report.compare import COVERAGE, Comparison, at_chance, distinct_evaluations, metrics_of
from vtbench.report.origin import cost_notes, decision_notes, same_evaluation
from vtbench.report.statistics import TOLERANCE, Difference
from vtbench.results.record import COLUMNS, Record
from vtbench.scales import SCALES, Scale


@dataclass
class Sheet:
    """One printed table at one scale: heading, columns of equally many cells, and what has to be said below."""

    title: str
    warning: str | None
    columns: list[Column]
    verdicts: list[str]
    notes: list[str]
    place: tuple[str, str] | None = None
    """Device and precision, of measured speed and memory."""


def accuracy_sheets(comparisons: Sequence[Comparison]) -> list[Sheet]:
    """One sheet per printed table, in the order of the rows; all comparisons are of one scale."""
    tables: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        tables.setdefault(comparison.table, []).append(comparison)
    return [_accuracy_sheet(table, members) for table, members in tables.items()]


def _accuracy_sheet(table: str, comparisons: list[Comparison]) -> Sheet:
    scale = comparisons[0].scale
    paper, _, name_of_table = table.partition("/")
    about = next(t for t in load_paper(paper).tables if t.name == name_of_table)
    metrics = tuple(dict.fromkeys([*accuracies(), *(metric for c in comparisons for metric in metrics_of(c.row))]))
    chance = {name: level for comparison in comparisons for name, level in comparison.chance.items()}
    printed_columns = about.columns or _columns_of(comparisons, metrics)
    printed = [name for column in printed_columns for name in column.metrics if name.endswith(metrics)]
    top = always_measured()[0]
    leading = top if top in printed else next((name for name in printed if name.endswith(top)), top)
    # Top-5 of at most five classes is 100 whatever was learnt.
    shown = [name for name, level in chance.items() if level < 100] or [leading]
    shown += [name for name in dict.fromkeys(n for c in comparisons for n in c.measured) if name not in chance]
    measured = [*(name for name in printed if name in shown), *(name for name in shown if name not in printed)]
    columns = [
        Column(("", "row"), 0, right=False, cells=[c.name for c in comparisons], holds="row"),
        Column(
            ("", "label"),
            9,
            right=False,
            wraps=True,
            cells=[c.row.label + (" (outside)" if c.under else "" if c.row.own else " (quoted)") for c in comparisons],
        ),
    ]
    for column in printed_columns:
        cells = [column.text(c.row) if c.row.variant is None else "" for c in comparisons]
        name = next(iter(column.metrics), "")
        if any(cells):
            made = Column(("printed", column.heading), _rank(name, leading), cells=cells, holds="printed")
            made.right, made.of = bool(name), column.heading
            columns.append(made)
    for column in printed_columns:
        for name in column.metrics:
            if any(name in c.counted_costs for c in comparisons):
                cells = [_counted_cell(c, name) for c in comparisons]
                columns.append(Column(("counted", column.heading), 7, cells=cells, holds="counted", of=name))
    headings = {name: column.heading for column in printed_columns for name in column.metrics}
    for name in measured:
        rank = 0 if name == leading else 1 if name.endswith(top) else 4 if name in printed else 6
        cells = [_measured_cell(c, name, leading) for c in comparisons]
        columns.append(Column((scale, headings.get(name, name)), rank, cells=cells, holds="measured", of=name))
    if any(c.measured for c in comparisons):
        columns.append(Column(("", "seeds"), 3, cells=[_seeds_cell(c) for c in comparisons], holds="seeds"))
    columns += _difference_columns(comparisons, scale)
    if scale == "paper":
        for name in printed:
            if any(name in (c.delta or {}) for c in comparisons):
                cells = [_delta_cell(c, name) for c in comparisons]
                rank = 2 if name == leading else 6
                columns.append(Column(("delta", headings.get(name, name)), rank, cells=cells, holds="delta", of=name))
        cells = [_verdict_cell(c) for c in comparisons]
        columns.append(Column(("", "verdict"), 1, right=False, cells=cells, holds="verdict"))
    if chance:
        level = {headings.get(name, name): _number(value) for name, value in chance.items()}
        for made in columns:
            made.footer = level.get(made.header[1], "") if made.header[0] == scale else ""
        columns[0].footer = "chance"
    return Sheet(
        title=f"{table} at {scale} scale: {about.caption}",
        warning=None if scale == "paper" else _not_comparable(comparisons),
        columns=columns,
        verdicts=[_verdict_cell(c) for c in comparisons],
        notes=row_notes(comparisons)
        + _table_notes(comparisons)
        + ([f"reconstructed: {about.reconstructed}"] if about.reconstructed else []),
    )


def _columns_of(comparisons: Sequence[Comparison], metrics: tuple[str, ...]) -> tuple[PrintedColumn, ...]:
    """The printed accuracies of a table that does not say what its columns are."""
    names = dict.fromkeys(name for c in comparisons for name in c.row.published if name.endswith(metrics))
    first = [name for name in always_measured() if name in names]
    return tuple(PrintedColumn(name, (name,)) for name in [*first, *(name for name in names if name not in first)])


def _rank(name: str, leading: str) -> int:
    """In which order printed columns are left out of a narrow terminal: accuracies stay longest."""
    if name == leading:
        return 0
    return 2 if name.endswith(always_measured()[0]) else 5 if name.endswith(accuracies()) else 6


def _counted_cell(comparison: Comparison, name: str) -> str:
    if comparison.costs_stale:
        return "stale"
    found = comparison.counted_costs.get(name)
    if found is None:
        return ""
    decimals = comparison.row.published[name].decimals
    return f"{found.measured:.{decimals}f}" + ("" if found.agrees else " !")


def _difference_columns(comparisons: Sequence[Comparison], scale: str) -> list[Column]:
    """The difference to the reference row, printed and measured, and how many rows a verdict cannot tell from a row."""
    found = [c.difference for c in comparisons]
    reference = next((one.reference for one in found if one is not None), "")
    made = []
    if any(one is not None and one.printed is not None for one in found) and any(
        one is not None and one.measured is not None for one in found
    ):
        cells = ["" if one is None or one.printed is None else f"{one.printed:+.{one.decimals}f}" for one in found]
        made.append(Column(("printed", f"- {reference}"), 8, cells=cells, holds="difference", of="printed"))
    if any(one is not None and one.measured is not None for one in found):
        cells = [_difference_cell(one) for one in found]
        made.append(Column((scale, f"- {reference}"), 8, cells=cells, holds="difference", of="measured"))
    if scale == "paper" and any(c.in_band for c in comparisons):
        cells = ["" if c.in_band is None else str(c.in_band) for c in comparisons]
        made.append(Column(("", "alike"), 8, cells=cells, holds="alike"))
    return made


def _difference_cell(found: Difference | None) -> str:
    if found is None or found.measured is None:
        return ""
    interval = "" if found.interval is None else f" [{found.interval[0]:+.1f}, {found.interval[1]:+.1f}]"
    how = " unpaired" if not found.paired else "" if found.p is None else f" p {found.p:.2g}"
    return f"{found.measured:+.1f}{interval}{how}"


def _table_notes(comparisons: Sequence[Comparison]) -> list[str]:
    """What is to be said of the rows of a table together."""
    notes = []
    ranks = next((c.order for c in comparisons if c.order is not None), None)
    if ranks is not None:
        low_high = "" if ranks.interval is None else f" ({ranks.interval[0]:+.2f} to {ranks.interval[1]:+.2f})"
        what = f"order of {ranks.rows} rows by {ranks.metric}, print and measurement"
        low_high += f"; {ranks.at_chance} at chance, tied" if ranks.at_chance > 1 else ""
        notes.append(f"{what}: Kendall's tau {ranks.tau:+.2f}{low_high}")
    if any(c.difference is not None and c.difference.p is not None for c in comparisons):
        notes.append("p: McNemar's exact test; with one seed it and the interval are of the test videos alone")
    scale = comparisons[0].scale
    if scale == "paper" and any(c.in_band for c in comparisons):
        notes.append(
            f"alike: other rows whose printed number lies within {TOLERANCE:g} point: no verdict tells them apart"
        )
    if any(not cell.agrees for c in comparisons for cell in c.counted_costs.values()):
        notes.append("counted !: no counting convention gives the printed number")
    copies: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        for dataset, prints in comparison.copies.items():
            copies.setdefault(dataset, {}).update(dict.fromkeys(prints))
    for dataset, found in copies.items():
        if len(found) > 1:
            notes.append(
                f"{dataset}: tested on {len(found)} different copies (data_fingerprint {', '.join(found)}); rows and "
                "seeds on different ones are not the same test"
            )
    made = dict.fromkeys(r.data_encoding for c in comparisons for r in c.counted if r.data_encoding)
    notes += [f"videos re-encoded by data prepare: {text}" for text in made]
    notes += [*cost_notes(comparisons), *decision_notes(comparisons)]
    if any(c.coverage is not None for c in comparisons):
        notes.append("(%) after a verdict: the share of the data set's videos that was there")
    stale = [c.name for c in comparisons if c.costs_stale]
    if stale:
        notes.append(f"{', '.join(stale)}: counted with another network; vtbench cost --record counts again")
    return [*notes, *claim_notes([claim for c in comparisons for claim in c.claims], scale)]


def _not_comparable(comparisons: Sequence[Comparison]) -> str:
    scale = comparisons[0].scale
    rows = [c.row for c in comparisons if c.row.status == "runnable"]
    if not rows:
        return f"Numbers at {scale} scale are not comparable with the printed ones."
    sets: dict[Scale, dict[str, str]] = {"paper": {}, scale: {}}  # by row and measurement, so that they stand in pairs
    for at, found in sets.items():
        found.update({f"{m.row_id} {m.name}": m.evaluation.data.dataset for row in rows for m in measurements(row, at)})
    used = list(dict.fromkeys(sets[scale].values()))
    printed = dict.fromkeys(sets["paper"][name] for name in [*sets[scale], *sets["paper"]] if name in sets["paper"])
    if SCALES[scale].real:
        data = [m.evaluation.data for row in rows for m in measurements(row, scale)]
        parts = dict.fromkeys(f"{one.subset} of {one.dataset}" if one.subset else one.dataset for one in data)
        return (
            "NOT COMPARABLE with the printed numbers: fewer videos "
            f"({' and '.join(parts) or 'none at this scale'}) and settings of their own; these rows are of use beside "
            "each other, for orders and differences."
        )
    synthetic = all(load_dataset(name).synthetic for name in used)
    instead = [name for name in printed if name not in used]
    return (
        f"NOT COMPARABLE with the printed numbers: small networks on {' and '.join(used)}"
        f"{' (synthetic videos)' if synthetic else ''}{', not ' + ' and '.join(instead) if instead else ''}."
    )


def _measured_cell(comparison: Comparison, name: str, leading: str) -> str:
    found = comparison.measured.get(name)
    if found is not None:
        return _number(found.mean) + ("" if found.sd is None else f" ± {_number(found.sd)}")
    if name != leading or comparison.counted:
        return ""
    if comparison.stale:
        return "stale"
    return "not run" if comparison.row.status == "runnable" else "-"


def _verdict_cell(comparison: Comparison) -> str:
    """The verdict, with the share of the videos where some were missing."""
    share = "" if comparison.coverage is None else f" ({math.floor(100 * comparison.coverage)} %)"
    return f"{comparison.verdict}{share}" if comparison.measured else comparison.verdict


def _seeds_cell(comparison: Comparison) -> str:
    return "/".join(dict.fromkeys(str(found.n) for found in comparison.measured.values()))


def _delta_cell(comparison: Comparison, name: str) -> str:
    if name not in (comparison.delta or {}):
        return ""
    assert comparison.delta is not None
    return f"{comparison.delta[name]:+.{comparison.row.published[name].decimals}f}"


def _number(percent: float) -> str:
    return f"{percent:.2f}"


def row_notes(comparisons: Sequence[Comparison]) -> list[str]:
    """What is to be said of single rows, each line with the name of its row."""
    notes = []
    for comparison in comparisons:
        name = comparison.name
        if comparison.stale:
            seeds = ", ".join(sorted({str(record.seed) for record in comparison.stale}))
            which = " and ".join(dict.fromkeys(record.measurement for record in comparison.stale))
            notes.append(
                f"{name}: {which} stale, not counted: measured before the spec changed (seed {seeds}); "
                f"run {comparison.row.id} again"
            )
        if comparison.apart:
            seeds = ", ".join(sorted({str(record.seed) for record in comparison.apart}))
            copies = ", ".join(dict.fromkeys(record.data_fingerprint for record in comparison.apart))
            notes.append(
                f"{name}: seed {seeds} not counted: tested on another copy of the test videos (data_fingerprint "
                f"{copies}) than the newest line; run {comparison.row.id} again"
            )
        if comparison.given_weights:
            notes.append(f"{name}: measured on given weights, not on a training of ours")
        notes += [f"{name}: {part}; below {COVERAGE:.0%} there is no verdict" for part in comparison.partial]
        notes += [f"{name}: {said}" for said in _at_chance(comparison)]
        held = dict.fromkeys(r.selection for r in comparison.counted if "held out" in r.selection)
        notes += [f"{name}: {text}" for text in held]
        notes += [f"{name}: {said}" for said in same_evaluation(comparison)]
        failed = max((record.videos_failed for record in comparison.counted), default=0)
        if failed:
            expected = comparison.counted[0].videos_expected
            notes.append(f"{name}: {failed} of {expected} videos could not be read; they count as misses")
        lost = max(((r.train_missing or 0) + (r.train_unreadable or 0) for r in comparison.counted), default=0)
        if lost:
            notes.append(f"{name}: trained without {lost} listed videos, which were missing or could not be read")
        notes += dict.fromkeys(f"{name}: {said}" for record in comparison.counted for said in _arithmetic(record))
        silent = max((record.videos_silent or 0 for record in comparison.counted), default=0)
        if silent:
            decoded = comparison.counted[0].videos_decoded
            notes.append(f"{name}: {silent} of {decoded} videos have no audio track, which counts as silence")
        for metric, cell in comparison.row.published.items():
            if cell.reconstructed and metric.endswith(accuracies()):
                notes.append(f"{name}: printed {metric} is reconstructed: {cell.reconstructed}")
    return notes


def _arithmetic(record: Record) -> list[str]:
    """What a record computed in where that is not what the recipe says."""
    parts = dict(part.partition("=")[::2] for part in (record.engine or "").split(";"))
    verbs = {"precision": "computed", "test_precision": "tested"}
    return [f"{verbs[key]} in {parts[key]}, not in the recipe's precision" for key in verbs if key in parts]


def _at_chance(comparison: Comparison) -> list[str]:
    """Why what stands at chance does: measurements whose every seed cannot be told from guessing, and those of which
    some seeds cannot."""
    blind: list[str] = []
    said = []
    for name, found in comparison.measured.items():
        measurement = name.removesuffix("top1").removesuffix("_") or "main"
        records = [r for r in comparison.counted if r.measurement == measurement and r.top1 is not None]
        low = at_chance(records, found.chance) if name.endswith("top1") else []
        if not low:
            continue
        trained = [r.train_top1 for r in low if r.train_top1 is not None]
        seen = f" (training accuracy {_number(sum(trained) / len(trained))})" if trained else ""
        if comparison.row.blind and len(low) == len(records):
            blind.append(f"{name}{seen}")
            continue
        which = "" if len(low) == len(records) else f" in {len(low)} of {len(records)} seeds"
        unknown = "" if trained else "; its training accuracy is not in lines this old"
        said.append(f"{name} is at chance{which}: not converged{seen}{unknown}")
    if blind:
        verb = "is" if len(blind) == 1 else "are"
        said.insert(0, f"{' and '.join(blind)} {verb} at chance, blind by construction: {comparison.row.blind}")
    return said


def summary(comparisons: Sequence[Comparison], tolerance: float = TOLERANCE) -> list[str]:
    """What is to be said below all tables of one scale: how much was measured, and how to read it."""
    scale = comparisons[0].scale
    evaluations = distinct_evaluations(comparisons)
    own = [comparison for comparison in comparisons if comparison.row.variant is None]
    run = sum(bool(comparison.measured) for comparison in own)
    plural = "" if len(evaluations) == 1 else "s"
    lines = [f"{scale} scale: {run} of {len(own)} rows have results, from {len(evaluations)} evaluation{plural}."]
    shared: dict[tuple[str, ...], None] = {}
    for members in evaluations.values():
        if len(members) > 1:
            shared[tuple(comparison.row.id for comparison in members)] = None
    lines += [f"One and the same evaluation: {', '.join(ids)}." for ids in shared]
    if any(found.sd is not None for comparison in comparisons for found in comparison.measured.values()):
        lines.append("± is the standard deviation over seeds.")
    metrics = dict.fromkeys(name for comparison in comparisons for name in metrics_of(comparison.row))
    measured = {f"_{name}" for comparison in comparisons for name in comparison.measured}
    for name in metrics:
        if name in METRICS and name not in COLUMNS and any(found.endswith(f"_{name}") for found in measured):
            lines.append(f"{name}: {METRICS[name].what}; {METRICS[name].unit}, {METRICS[name].direction}.")
    if scale == "paper" and run:
        lines.append(
            f"within: the 95 % interval lies inside the printed number ± {tolerance:g} points (and half its last "
            "digit); outside: it misses them; inconclusive: it reaches across."
        )
    return lines
