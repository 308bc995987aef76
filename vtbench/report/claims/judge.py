"""Claims against printed and measured numbers: which numbers can speak to a claim, and what they say.

docs/claims.md has the rules. In short: accuracies are those that count in the report; costs are counted of the papers'
networks, speeds are ratios on one machine; a row that is only quoted is never run; at the small scales only orders are
tested, at `smoke` nothing; Holm's correction is over the tested claims of a paper at one scale and task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vtbench.metrics import always_measured
from vtbench.papers.claims import Cell, Claim, load_claims
from vtbench.papers.claims.expression import Condition, conditions
from vtbench.papers.claims.fillings import is_ordering
from vtbench.papers.spec.schema import Row
from vtbench.report.claims.accuracy import Accuracies, Sample, Videos, further_tasks, parts_of
from vtbench.report.claims.amounts import (
    MACHINES,
    Amounts,
    Place,
    counted,
    measured_ratios,
    places_of,
    refuse_absolute,
)
from vtbench.report.claims.finding import DECIDED, Finding, Judged, NotRun, Untestable, Verdict, sides_of
from vtbench.report.claims.printed import judge_printed
from vtbench.report.claims.statistics import ALPHA, Outcome, holm, joined
from vtbench.report.compare import Comparison, at_chance, compare_rows
from vtbench.report.counted import recorded_costs
from vtbench.report.differences import Hits
from vtbench.report.ratios import Ratios, compare_speeds
from vtbench.report.statistics import TOLERANCE
from vtbench.results.costs import CostBook
from vtbench.results.store import SpeedStore, Store
from vtbench.scales import Scale, smallest_first

ONLY_WIRING = "smoke"
"""The scale whose numbers say nothing of anything."""


def judge_claims(
    papers: Sequence[str],
    results: Path | Store,
    scales: Sequence[Scale] | None = None,
    tolerance: float = TOLERANCE,
    *,
    known: Mapping[Scale, Sequence[Comparison]] | None = None,
    hits: Hits | None = None,
) -> list[Judged]:
    """The claims of papers, in the order of their files, each against printed and measured numbers.

    - scales: those to judge at; by default all
    - tolerance: percentage points that `about` and `same` allow measured accuracies besides their digits
    - known: comparisons that were made already, of these results at this tolerance
    - hits: the cache of vtbench.report.differences.hits_of, to share it

    Raises SpecError for a claims.yaml that is not in order, ResultsError for such a store.
    """
    store = results if isinstance(results, Store) else Store(results)
    evidence = Evidence(store, tolerance, known or {}, {} if hits is None else hits)
    judged: list[Judged] = []
    for paper in papers:
        claims = load_claims(paper)
        evidence.expect(row for claim in claims for row in claim.rows)
        measured: dict[str, dict[str, Finding]] = {claim.name: {} for claim in claims}
        for scale in smallest_first() if scales is None else scales:
            found = {claim.name: dict(_at_scale(claim, scale, evidence)) for claim in claims}
            for claim_name, by_task in corrected(found).items():
                measured[claim_name] |= by_task
        judged += [Judged(claim, judge_printed(claim), measured[claim.name]) for claim in claims]
    return judged


class Evidence:
    """What a results folder holds, each part read when it is first asked for."""

    def __init__(self, store: Store, tolerance: float, known: Mapping[Scale, Sequence[Comparison]], hits: Hits) -> None:
        self.tolerance = tolerance
        self.videos = Videos(store.folder, hits)
        self._store, self._speeds = store, SpeedStore(store.folder)
        self._rows: dict[str, Row] = {}
        self._comparisons: dict[Scale, dict[str, Comparison]] = {
            scale: {one.row.id: one for one in members if one.row.variant is None and one.row.asked is None}
            for scale, members in known.items()
        }
        self._ratios: dict[str, Ratios] = {}
        self._book: CostBook | None = None

    def expect(self, rows: Iterator[Row]) -> None:
        """Rows that will be asked for."""
        self._rows |= {row.id: row for row in rows}

    def comparison(self, row: Row, scale: Scale) -> Comparison:
        """What was measured of a row."""
        found = self._comparisons.setdefault(scale, {})
        if row.id not in found:
            missing = [one for name, one in self._rows.items() if name not in found]
            found |= {one.row.id: one for one in compare_rows(missing, self._store, scale, self.tolerance)}
        return found[row.id]

    def ratios(self, cells: Mapping[str, Cell]) -> dict[str, Ratios]:
        """Id of a row -> its ratios at paper scale, for the rows of some cells."""
        rows = {cell.row.id: cell.row for cell in cells.values()}
        if rows.keys() - self._ratios.keys():
            missing = [one for name, one in self._rows.items() if name not in self._ratios]
            self._ratios |= {one.row.id: one for one in compare_speeds(missing, self._speeds, "paper")}
        return {name: self._ratios[name] for name in rows}

    @property
    def book(self) -> CostBook:
        """The recorded costs."""
        if self._book is None:
            self._book = recorded_costs(self._store.folder)
        return self._book


def corrected(found: Mapping[str, Mapping[str, Finding]]) -> dict[str, dict[str, Finding]]:
    """Findings of all claims of a paper at a scale (claim -> task -> finding) with Holm's correction over those of each
    task, and the verdicts that remain."""
    result = {name: dict(by_task) for name, by_task in found.items()}
    for task in dict.fromkeys(task for by_task in found.values() for task in by_task):
        tested = [
            (n, one) for n, by_task in found.items() if (one := by_task.get(task)) is not None and one.p is not None
        ]
        for (name, one), p in zip(tested, holm([one.p for _, one in tested if one.p is not None]), strict=True):
            verdict = one.verdict if p <= ALPHA else "inconclusive"
            result[name][task] = replace(one, p_holm=p, verdict=verdict)
    return result


# ---- one claim at one scale ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kinds:
    """The cells of a claim by what they are, and its conditions likewise: each condition has cells of one kind."""

    accuracies: Mapping[str, Cell]
    costs: Mapping[str, Cell]
    speeds: Mapping[str, Cell]
    conditions: Mapping[str, Sequence[Condition]]

    @classmethod
    def of(cls, claim: Claim) -> _Kinds:
        found: dict[str, list[Condition]] = {"accuracy": [], "cost": [], "speed": []}
        for condition in conditions(claim.expression.formula):
            found[claim.cells[condition.names[0]].kind].append(condition)
        by_kind = {kind: {n: c for n, c in claim.cells.items() if c.kind == kind} for kind in found}
        return cls(by_kind["accuracy"], by_kind["cost"], by_kind["speed"], found)


def _at_scale(claim: Claim, scale: Scale, evidence: Evidence) -> Iterator[tuple[str, Finding]]:
    """The findings at one scale, before the correction: one, and one for each further task."""
    kinds = _Kinds.of(claim)
    reason = _untestable(claim, scale, kinds)
    if reason is not None:
        yield scale, Finding("cannot be tested", reason)
        return
    places: list[Place | None] = [*places_of(evidence.ratios(kinds.speeds))]
    for task in [None, *(further_tasks(list(kinds.accuracies.values()), scale) if kinds.accuracies else ())]:
        found = [_found(claim, scale, kinds, evidence, task, place) for place in places or [None]]
        yield f"{scale} ({task})" if task else scale, of_devices(found, places) if places else found[0]


def _found(
    claim: Claim, scale: Scale, kinds: _Kinds, evidence: Evidence, task: str | None, place: Place | None
) -> Finding:
    try:
        return _judge(claim, scale, kinds, evidence, task, place)
    except Untestable as error:
        return Finding("cannot be tested", str(error))
    except NotRun as error:
        return Finding("not run", str(error))
    except ZeroDivisionError:
        return Finding("cannot be tested", "divides by a measured 0")


def of_devices(found: Sequence[Finding], places: Sequence[Place | None]) -> Finding:
    """One finding of those on several devices: that of the GPUs, inconclusive where they differ. A CPU decides nothing:
    what is slow or large on it is another thing than on the GPU of the print."""
    decided = [(one, place) for one, place in zip(found, places, strict=True) if place and one.verdict in DECIDED]
    if not decided:
        return found[0]
    chosen = [(one, place) for one, place in decided if place[0] != "cpu"]
    if not chosen:
        return Finding("cannot be tested", f"measured on a CPU alone, printed of a GPU; there {decided[0][0].values}")
    first = chosen[0][0]
    others = [f"{one.verdict} on {', '.join(place)}" for one, place in decided if one is not first]
    agree = len({one.verdict for one, _ in chosen}) == 1
    why = "; ".join([*([first.why] if first.why else []), *others]) or None
    return replace(first, verdict=first.verdict if agree else "inconclusive", why=why)


def _untestable(claim: Claim, scale: Scale, kinds: _Kinds) -> str | None:
    """Why numbers of a scale say nothing of a claim, whatever they are."""
    if scale == ONLY_WIRING:
        return f"{scale} only shows that everything runs"
    if scale in claim.untestable:
        return claim.untestable[scale]
    if not kinds.accuracies and scale != "paper":
        return "costs and speeds are of the paper's own networks: see paper scale"
    if quoted := [cell for cell in kinds.accuracies.values() if _is_quoted(cell)]:
        if scale != "paper" or len(quoted) == len(kinds.accuracies):
            return f"compares with quoted rows, which are never run ({_listed([cell.row.id for cell in quoted])})"
        if unprinted := [cell.id for cell in quoted if cell.printed is None]:
            return f"quoted rows are never run, and these numbers are not printed ({_listed(unprinted)})"
    if scale != "paper" and not all(c.kind == "order" and is_ordering(c) for c in kinds.conditions["accuracy"]):
        return "how large a difference is depends on data and networks; at this scale only orders are tested"
    if missing := [c.id for c in kinds.accuracies.values() if not _is_quoted(c) and not parts_of(c, scale)]:
        return f"rows or measurements do not exist at this scale ({_listed(missing)})"
    return None


def _is_quoted(cell: Cell) -> bool:
    return cell.row.status != "runnable"


def _judge(
    claim: Claim, scale: Scale, kinds: _Kinds, evidence: Evidence, task: str | None, place: Place | None
) -> Finding:
    """A claim on one task and device. Raises Untestable, NotRun, ZeroDivisionError."""
    amounts = _amounts(kinds, evidence, place)
    samples = {name: _sample(cell, scale, task, evidence) for name, cell in kinds.accuracies.items()}
    _refuse_missing(samples, scale, task, evidence)
    _refuse_unlike(samples, scale, task, kinds.conditions["accuracy"], evidence)
    _refuse_not_converged(samples, scale, task, evidence)
    partial, remarks = _remarks(samples, scale, evidence)
    accuracies = Accuracies(samples, evidence.videos, evidence.tolerance)

    def test(condition: Condition) -> Outcome:
        cell = claim.cells[condition.names[0]]
        if cell.kind == "accuracy":
            return accuracies.test(condition)
        found = amounts[cell.metric]
        return found.test_ratio(condition) if cell.kind == "speed" else found.test(condition)

    holds, fails, decisive = joined(claim.expression.formula, test)
    values = {name: sample.mean for name, sample in samples.items()}
    decimals = dict.fromkeys(samples, 2)
    for one in amounts.values():
        values |= one.values
        decimals |= one.decimals
        remarks += one.remarks
    if any(condition.kind in ("about", "same") for condition in kinds.conditions["speed"]):
        remarks.append(f"ratios {MACHINES:.0%} apart count as equal")
    verdict: Verdict = "supported" if holds < fails else "contradicted" if fails < holds else "inconclusive"
    return Finding(
        "inconclusive" if partial else verdict,
        why="; ".join(dict.fromkeys([*partial, *remarks, *accuracies.remarks])) or None,
        sides=sides_of(claim, values, decimals),
        what=decisive.what,
        value=decisive.value,
        interval=decisive.interval,
        p=min(1.0, 2 * min(holds, fails)) if samples and not partial else None,
        method="; ".join(dict.fromkeys([*accuracies.methods, *(one.method for one in amounts.values())])) or None,
        keys=tuple(sorted({key for sample in samples.values() for key in sample.keys})),
    )


def _amounts(kinds: _Kinds, evidence: Evidence, place: Place | None) -> dict[str, Amounts]:
    """By metric."""
    found = {}
    for metric in dict.fromkeys(cell.metric for cell in kinds.costs.values()):
        found[metric] = counted(_of_metric(kinds.costs, metric), evidence.book)
    refuse_absolute(kinds.conditions["speed"])
    for metric in dict.fromkeys(cell.metric for cell in kinds.speeds.values()):
        cells = _of_metric(kinds.speeds, metric)
        found[metric] = measured_ratios(cells, evidence.ratios(cells), place)
    return found


def _of_metric(cells: Mapping[str, Cell], metric: str) -> dict[str, Cell]:
    return {name: cell for name, cell in cells.items() if cell.metric == metric}


def _sample(cell: Cell, scale: Scale, task: str | None, evidence: Evidence) -> Sample:
    if _is_quoted(cell):
        assert cell.printed is not None  # _untestable has refused it
        return Sample(cell, {}, {}, fixed=cell.printed.value)
    return Sample.of(cell, (task,) if task else parts_of(cell, scale), evidence.comparison(cell.row, scale))


def _refuse_missing(samples: Mapping[str, Sample], scale: Scale, task: str | None, evidence: Evidence) -> None:
    """Raise NotRun for rows that nothing counts of."""
    missing = [one.cell.row for one in samples.values() if one.fixed is None and not one.values]
    if not missing:
        return
    stale = [row.id for row in missing if evidence.comparison(row, scale).stale]
    of_task = f"@{task}" if task else ""
    said = f"; of an older spec: {_listed(stale)}" if stale else ""
    raise NotRun(
        f"vtbench run {' '.join(dict.fromkeys(f'{row.id}{of_task}' for row in missing))} --scale {scale}{said}"
    )


def _refuse_unlike(
    samples: Mapping[str, Sample], scale: Scale, task: str | None, tested: Sequence[Condition], evidence: Evidence
) -> None:
    """Raise Untestable for rows that were tested on different copies of a data set, that are one evaluation, or whose
    metric is 100 % for whoever guesses."""
    _refuse_copies(samples, scale)
    for condition in tested:
        same: dict[tuple[frozenset[str], str], Sample] = {}
        for sample in (samples[name] for name in condition.names if samples[name].fixed is None):
            other = same.setdefault((sample.keys, sample.cell.metric), sample)
            if other is not sample:
                raise Untestable(f"rows are one evaluation at this scale ({other.cell.id}, {sample.cell.id})")
    for sample in samples.values():
        cell = sample.cell
        key = cell.row.metric(task, cell.metric) if task else cell.key
        if sample.fixed is None and evidence.comparison(cell.row, scale).chance.get(key) == 100:
            raise Untestable(f"whoever guesses has 100 % {cell.metric} of so few classes")


def _refuse_not_converged(samples: Mapping[str, Sample], scale: Scale, task: str | None, evidence: Evidence) -> None:
    """Raise Untestable for a row at a small scale that learnt nothing in any seed though it can: its number says how
    long it was trained, not what it is. A row that is blind to the task by construction is what it is."""
    if scale == "paper":
        return
    for sample in samples.values():
        cell, top = sample.cell, always_measured()[0]
        key = cell.row.metric(task, top) if task else cell.key.removesuffix(cell.metric) + top
        chance = evidence.comparison(cell.row, scale).chance.get(key)
        records = [record for of_seed in sample.records.values() for record in of_seed]
        if cell.row.blind is None and records and at_chance(records, chance) == records:
            raise Untestable(f"a row did not converge in any seed ({cell.row.id})")


def _refuse_copies(samples: Mapping[str, Sample], scale: Scale) -> None:
    """Raise Untestable where one test set has several fingerprints."""
    of_row = [(one.cell.row, record) for one in samples.values() for found in one.records.values() for record in found]
    if len({record.data_fingerprint for _, record in of_row}) < 2:
        return
    copies: dict[str, set[str]] = {}
    for (_, name), row in {(row.id, record.measurement): row for row, record in of_row}.items():
        data = row.recipes[name].at(scale).data
        which = " ".join(str(part) for part in (data.dataset, data.split, data.subset) if part)
        found = {r.data_fingerprint for other, r in of_row if (other.id, r.measurement) == (row.id, name)}
        copies.setdefault(which, set()).update(found)
    for which, prints in copies.items():
        if len(prints) > 1:
            fingerprints = ", ".join(sorted(prints))
            raise Untestable(f"rows were tested on {len(prints)} different copies of {which} ({fingerprints})")


def _remarks(samples: Mapping[str, Sample], scale: Scale, evidence: Evidence) -> tuple[list[str], list[str]]:
    """What is missing of the data sets, and what else has to be known of what counts, in words."""
    measured = [sample for sample in samples.values() if sample.fixed is None]
    found = [evidence.comparison(sample.cell.row, scale) for sample in measured]
    partial = [f"{one.row.id}: {text}" for one in found for text in one.partial]
    remarks = []
    if printed := [sample.cell.id for sample in samples.values() if sample.fixed is not None]:
        remarks.append(f"printed, as never run: {_listed(printed)}")
    devices = dict.fromkeys(r.device for s in measured for records in s.records.values() for r in records)
    if len(devices) > 1:
        remarks.append(f"measured on {' and '.join(devices)}")
    if given := [one.row.id for one in found if one.given_weights]:
        remarks.append(f"given weights: {_listed(given)}")
    if apart := [one.row.id for one in found if one.apart]:
        remarks.append(f"seeds on another copy of the test videos are left out: {_listed(apart)}")
    if len({frozenset(sample.values) for sample in measured}) > 1:
        remarks.append("rows have different seeds")
    return partial, remarks


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
