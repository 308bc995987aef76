"""Where the numbers of a row come from: lines of results.csv, counting conventions, the decisions that touch it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vtbench.papers.decisions import decisions_of
from vtbench.papers.load import load_paper, paper_names
from vtbench.papers.spec.schema import Decision, Row
from vtbench.report.compare import Comparison
from vtbench.results.record import Record
from vtbench.results.store import Store

OF_A_LINE = (
    *("seed", "measurement", "training_key", "evaluation_key", "weights_sha256", "init", "selection", "variant"),
    *("data_fingerprint", "train_fingerprint", "videos_expected", "videos_decoded", "train_videos"),
    *("commit", "dirty", "root", "device", "versions", "finished_at"),
)
"""What JSON has of a line of results.csv: all that says where its numbers come from."""


def origin_entry(comparison: Comparison) -> dict[str, Any]:
    """What `vtbench report --format json` says of the origin of a row's numbers."""
    return {
        "records": [_line(record) for record in comparison.counted],
        "apart": [_line(record) for record in comparison.apart],
        "stale": [_line(record) for record in comparison.stale],
        "decisions": {name: decision.decision for name, decision in decisions(comparison).items()},
    }


def _line(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in OF_A_LINE}


def decisions(comparison: Comparison) -> dict[str, Decision]:
    """The decisions that touch a row, in the order of paper.yaml."""
    return decisions_of(load_paper(comparison.row.paper), comparison.row)


def decision_notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """One line on the decisions that touch the rows of a table; none where there are none."""
    names = {name for one in comparisons if one.row.variant is None for name in decisions(one)}
    if names:
        verb = "decision touches" if len(names) == 1 else "decisions touch"
        yield f"{len(names)} {verb} these rows: vtbench decisions {comparisons[0].table}"


def cost_notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """One line on the convention under which each printed cost was counted: that of most rows, and the rows of
    another."""
    by_cost: dict[str, dict[str, list[str]]] = {}
    for one in comparisons:
        for name, cell in one.counted_costs.items():
            by_cost.setdefault(name, {}).setdefault(cell.convention, []).append(one.name)
    said = []
    for name, rows_of in by_cost.items():
        usual, *others = sorted(rows_of, key=lambda convention: -len(rows_of[convention]))
        but = "; ".join(f"{', '.join(rows_of[other])} by {other}" for other in others)
        said.append(f"{name} by {usual}" + (f" ({but})" if but else ""))
    if said:
        yield f"counted: {', '.join(said)} (docs/conventions.md)"


def same_evaluation(comparison: Comparison) -> list[str]:
    """What to say of measurements of the row that are one evaluation at this scale."""
    together: dict[str, list[str]] = {}
    for record in comparison.counted:
        names = together.setdefault(record.evaluation_key, [])
        if record.measurement not in names:
            names.append(record.measurement)
    groups = dict.fromkeys(tuple(names) for names in together.values() if len(names) > 1)
    return [f"{', '.join(names)} are one and the same evaluation at this scale" for names in groups]


def of_no_row(rows: Sequence[Row], store: Store) -> list[str]:
    """The ids in results.csv that no spec has, of the papers of these rows and of papers that are not there: rows that
    were renamed or removed, or whose folder is not included."""
    papers, known = {row.paper for row in rows}, paper_names()
    ids = {row.id for paper in papers for row in load_paper(paper).rows}
    found = []
    for record in store.read():
        paper = record.id.partition("/")[0]
        if record.id not in ids and (paper in papers or paper not in known):
            found.append(record.id)
    return list(dict.fromkeys(found))
