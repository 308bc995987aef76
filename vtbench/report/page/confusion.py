"""Which classes were taken for which, of the rows whose scores of single videos the store has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vtbench.report.page.facts import Fact, call, label_of
from vtbench.report.predictions.classes import Confusion, confused
from vtbench.report.predictions.tested import Tested

FEW = 12
"""Classes up to which all of them are shown against each other."""

MOST = 10
"""Pairs of classes that are shown where there are more."""


@dataclass(frozen=True)
class Taken:
    """Videos of a class that were taken for a class."""

    count: Fact
    percent: int
    """Of the class, for its colour."""
    right: bool


@dataclass(frozen=True)
class Pair:
    """Videos of one class that were taken for another."""

    label: str
    predicted: str
    count: Fact


@dataclass(frozen=True)
class ConfusionPart:
    """One measurement of a row: all classes against each other if they are few, else the pairs most confused."""

    row_id: str
    label: Fact
    measurement: str
    seeds: Fact
    """Those that have scores, of all: "2 of 3"."""
    classes: list[Fact]
    matrix: list[list[Taken]]
    pairs: list[Pair]


def confusions(tested: Mapping[str, Sequence[Tested]]) -> dict[str, list[ConfusionPart]]:
    """Table -> its measurements that have scores."""
    found = {table: [_part(confused(one)) for one in lines if one.scored] for table, lines in tested.items()}
    return {table: parts for table, parts in found.items() if parts}


def _part(confusion: Confusion) -> ConfusionPart:
    one = confusion.tested
    # Of measurements that are one evaluation at this scale the first stands for all.
    place = (one.row.id, one.scale, one.measurement.partition(", ")[0])
    names = one.class_names
    matrix: list[list[Taken]] = []
    pairs: list[Pair] = []
    if len(names) <= FEW:
        totals = confusion.matrix.sum(axis=1)
        for label, counts in enumerate(confusion.matrix.tolist()):
            matrix.append(
                [
                    Taken(
                        Fact(str(count), call("hits", *place, label, predicted)),
                        round(100 * count / max(1, int(totals[label]))),
                        label == predicted,
                    )
                    for predicted, count in enumerate(counts)
                ]
            )
    else:
        pairs = [
            Pair(
                pair.name, pair.predicted_name, Fact(str(pair.count), call("hits", *place, pair.label, pair.predicted))
            )
            for pair in confusion.pairs(MOST)
        ]
    classes = [Fact(name, call("class", one.dataset, number)) for number, name in enumerate(names)] if matrix else []
    seeds = Fact(f"{len(one.scored)} of {len(one.seeds)}", f"{call('scored', *place)} {call('tested', *place)}")
    return ConfusionPart(one.row.id, label_of(one.row), one.measurement, seeds, classes, matrix, pairs)
