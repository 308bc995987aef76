"""The sections of the page that look over tables: the papers, all rows, costs, and what was set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vtbench.metrics import METRICS, always_measured
from vtbench.papers.load import load_paper, paper_names
from vtbench.papers.spec.schema import PaperFile, Row
from vtbench.report.compare import Comparison, distinct_evaluations
from vtbench.report.page.facts import Fact, call, counted_origin, keys_behind, label_of
from vtbench.report.page.tables import TablePart, kind_of
from vtbench.results.record import Record
from vtbench.scales import SCALES, Scale

VERDICTS = ("within", "outside", "inconclusive", "not-comparable", "not-run")


@dataclass(frozen=True)
class AtScale:
    """How much of a paper was measured at a scale."""

    scale: Scale
    rows: Fact
    evaluations: Fact


@dataclass(frozen=True)
class PaperPart:
    """One paper."""

    name: str
    about: PaperFile
    year: Fact
    rows: Fact
    own: Fact
    runnable: Fact
    measured: list[AtScale]
    verdicts: list[tuple[str, Fact]]
    """At paper scale, where anything was measured there."""
    tables: list[TablePart]


@dataclass(frozen=True)
class IndexLine:
    """A row among all rows."""

    row_id: str
    paper: str
    table: str
    label: Fact
    kind: str
    metric: str
    printed: Fact
    measured: list[tuple[Scale, Fact]]
    verdict: str


@dataclass(frozen=True)
class CostLine:
    """One printed cost beside the counted one."""

    row_id: str
    label: Fact
    metric: str
    unit: str
    printed: Fact
    counted: Fact
    convention: str
    agrees: str
    """yes, no, stale, or not counted."""


@dataclass(frozen=True)
class SetAside:
    """Lines of results.csv that count nowhere, and why."""

    why: str
    lines: Fact
    which: list[str]


def paper_part(name: str, comparisons: Mapping[Scale, Sequence[Comparison]], tables: list[TablePart]) -> PaperPart:
    """A paper with those of its rows that the comparisons are of."""
    of_paper = {s: [c for c in cs if c.row.paper == name and c.row.variant is None] for s, cs in comparisons.items()}
    rows = list({c.row.id: c.row for members in of_paper.values() for c in members}.values())
    measured = [
        AtScale(
            scale,
            Fact(str(run), call("measured_rows", name, scale)),
            Fact(str(len(distinct_evaluations(members))), call("evaluations", name, scale)),
        )
        for scale, members in of_paper.items()
        if (run := sum(bool(c.measured) for c in members))
    ]
    found: Counter[str] = Counter(c.verdict for c in of_paper.get("paper", ()) if c.row.status == "runnable")
    verdicts = [(v, Fact(str(found[v]), call("verdicts", name, v))) for v in VERDICTS if found[v]]
    about = load_paper(name).about
    return PaperPart(
        name,
        about,
        Fact(_venue(about), call("venue", name)),
        Fact(str(len(rows)), call("rows", name)),
        Fact(str(sum(row.own for row in rows)), call("own_rows", name)),
        Fact(str(sum(row.status == "runnable" for row in rows)), call("runnable_rows", name)),
        measured,
        verdicts if any(c.measured for c in of_paper.get("paper", ())) else [],
        tables,
    )


def _venue(about: PaperFile) -> str:
    """Venue and year, once where the venue names the year."""
    venue, year = about.venue or "", str(about.year or "")
    return venue if year in venue else f"{venue} {year}".strip()


def index_of(comparisons: Mapping[Scale, Sequence[Comparison]]) -> list[IndexLine]:
    """Every row with its leading number, printed and as measured at each scale."""
    top = always_measured()[0]
    by_row: dict[str, list[Comparison]] = {}
    for members in comparisons.values():
        for comparison in members:
            if comparison.row.variant is None:
                by_row.setdefault(comparison.row.id, []).append(comparison)
    made = []
    for members in by_row.values():
        row = members[0].row
        names = [name for name in row.published if name.endswith(top)]
        names += [name for c in members for name in c.measured if name.endswith(top)]
        name = names[0] if names else ""
        cell = row.published.get(name)
        measured = [(c.scale, measured_fact(c, name)) for c in members if name in c.measured]
        verdict = next((c.verdict for c in members if c.scale == "paper"), "not-run")
        if verdict == "not-run" and measured:
            verdict = "not-comparable"
        made.append(
            IndexLine(
                row.id,
                row.paper,
                members[0].table,
                label_of(row),
                "outside" if members[0].under else kind_of(row),
                name,
                Fact(cell.text, call("spec", row.id, name)) if cell else Fact(""),
                measured,
                verdict if row.status == "runnable" else "",
            )
        )
    return made


def measured_fact(comparison: Comparison, name: str) -> Fact:
    """A measured mean, with its spread over seeds."""
    found = comparison.measured[name]
    metric, keys = keys_behind(comparison, name)
    text, origin = f"{found.mean:.2f}", call("mean", comparison.row.id, metric, keys)
    if found.sd is None:
        return Fact(text, origin)
    return Fact(f"{text} ± {found.sd:.2f}", f"{origin} {call('sd', comparison.row.id, metric, keys)}")


def ledger_of(comparisons: Iterable[Comparison]) -> list[CostLine]:
    """Every printed cost, beside the counted one."""
    made = []
    for comparison in comparisons:
        row = comparison.row
        for name, cell in row.published.items():
            metric = next((m for m in ("params_m", "gflops", "tflops") if name.endswith(m)), None)
            if metric is None or row.variant is not None:
                continue
            found = comparison.counted_costs.get(name)
            shown, agrees = Fact(""), "stale" if comparison.costs_stale else "not counted"
            if found is not None and not comparison.costs_stale:
                shown = Fact(f"{found.measured:.{max(cell.decimals, 1)}f}", counted_origin(comparison, name))
                agrees = "yes" if found.agrees else "no"
            made.append(
                CostLine(
                    row.id,
                    label_of(row),
                    name,
                    METRICS[metric].unit,
                    Fact(cell.text, call("spec", row.id, name)),
                    shown,
                    found.convention if found else "",
                    agrees,
                )
            )
    return made


def set_aside(records: Sequence[Record], comparisons: Mapping[Scale, Sequence[Comparison]]) -> list[SetAside]:
    """What results.csv holds that counts nowhere on a page: lines of rows that no spec has, lines of an older spec,
    lines of changed rows."""
    known = {row.id for row in _all_rows()}
    unknown = [record for record in records if record.id not in known]
    stale = [record for members in comparisons.values() for c in members for record in c.stale]
    apart = [record for members in comparisons.values() for c in members for record in c.apart]
    changed = [r for r in records if r.variant is not None and r.id in known]
    found = [
        ("of rows that no spec has: a row was renamed or removed, or its folder is not included", "unknown", unknown),
        ("of an older spec: run the rows again", "stale", stale),
        (
            "of another copy of the test videos than the newest: not the same test, so no mean is over both",
            "apart",
            apart,
        ),
        ("of rows with --variant or --set, which are results of their own", "variant", changed),
    ]
    return [
        SetAside(why, Fact(str(len(lines)), call("set_aside", kind)), list(dict.fromkeys(r.id for r in lines)))
        for why, kind, lines in found
        if lines
    ]


def _all_rows() -> list[Row]:
    return [row for name in paper_names() for row in load_paper(name).rows]


def scale_in_words(scale: Scale) -> str:
    """What a scale's numbers are for."""
    if scale == "paper":
        return "the papers' own recipe and data: comparable with the printed numbers"
    return (
        "real data, fewer videos: orders and differences only"
        if SCALES[scale].real
        else "small networks on synthetic videos: orders only"
    )
