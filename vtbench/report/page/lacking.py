"""Scores of single videos and training curves behind the tables, and those that a store should have but has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison
from vtbench.report.page.facts import Fact, call
from vtbench.report.page.overview import SetAside
from vtbench.report.predictions.curves import SeedCurve
from vtbench.report.predictions.tested import Tested, tested_lines
from vtbench.results.curves import may_have_curve, read_curve
from vtbench.results.scores import may_have_scores
from vtbench.scales import Scale

Scored = Mapping[Scale, Mapping[str, Sequence[Tested]]]
"""Scale -> table -> its measurements, with the scores of each seed that has them."""
Curves = Mapping[Scale, Mapping[str, Sequence[tuple[Row, Sequence[SeedCurve]]]]]
"""Scale -> table -> its rows, with the curve of each training run that has one."""


def scored_of(comparisons: Mapping[Scale, Sequence[Comparison]], results: Path) -> Scored:
    """The tables of which the store has the scores of any line that counts."""
    made: dict[Scale, dict[str, list[Tested]]] = {}
    for scale, by_table in _counted(comparisons).items():
        for table, members in by_table.items():
            if any(may_have_scores(results, record) for c in members for record in c.counted):
                lines = (tested_lines(c.row, scale, c.counted, results) for c in members)
                made.setdefault(scale, {})[table] = [one for of_row in lines for one in of_row]
    return made


def curves_of(comparisons: Mapping[Scale, Sequence[Comparison]], results: Path) -> Curves:
    """The tables of which the store has the curve of any line that counts; each training run once for a row."""
    made: dict[Scale, dict[str, list[tuple[Row, Sequence[SeedCurve]]]]] = {}
    for scale, by_table in _counted(comparisons).items():
        for table, members in by_table.items():
            if any(may_have_curve(results, record) for c in members for record in c.counted):
                made.setdefault(scale, {})[table] = [(c.row, _seed_curves(c, results)) for c in members]
    return made


def _counted(comparisons: Mapping[Scale, Sequence[Comparison]]) -> dict[Scale, dict[str, list[Comparison]]]:
    found: dict[Scale, dict[str, list[Comparison]]] = {}
    for scale, members in comparisons.items():
        for comparison in members:
            if comparison.counted and comparison.row.variant is None:
                found.setdefault(scale, {}).setdefault(comparison.table, []).append(comparison)
    return found


def _seed_curves(comparison: Comparison, results: Path) -> list[SeedCurve]:
    by_training = {record.training_key: record for record in reversed(comparison.counted)}
    return [SeedCurve(record, read_curve(results, record)) for record in reversed(by_training.values())]


def lacking(scored: Scored, curves: Curves, results: Path) -> list[SetAside]:
    """What is not on the page of a table that has scores, or curves, of other lines; given weights have no curve."""
    tests = [
        (one.row.id, may_have_scores(results, seed.record))
        for by_table in scored.values()
        for of_table in by_table.values()
        for one in of_table
        for seed in one.seeds
        if seed.scores is None
    ]
    trainings = [
        (row.id, may_have_curve(results, one.record))
        for by_table in curves.values()
        for of_table in by_table.values()
        for row, of_row in of_table
        for one in of_row
        if one.curve is None and one.record.init != "given"
    ]
    return [
        SetAside(why, Fact(str(len(ids)), call("lacking", what, state)), list(dict.fromkeys(ids)))
        for what, state, why, ids in (
            (
                "scores",
                "damaged",
                "with scores that are damaged or of another test",
                [i for i, there in tests if there],
            ),
            ("scores", "missing", "without scores", [i for i, there in tests if not there]),
            (
                "curves",
                "damaged",
                "with a learning curve that is damaged or of another training",
                [i for i, there in trainings if there],
            ),
            ("curves", "missing", "without a learning curve", [i for i, there in trainings if not there]),
        )
        if ids
    ]
