"""Accuracy by class, and which classes are taken for which, over the seeds of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vtbench.papers.spec.schema import Row
from vtbench.report.predictions.tested import Tested, tested
from vtbench.report.statistics import mean_and_sd
from vtbench.results.store import Store
from vtbench.scales import Scale


@dataclass(frozen=True)
class ClassAccuracy:
    """The videos of one class."""

    label: int
    name: str
    videos: int
    """Of the class in the test split; a video that could not be read is a miss."""
    accuracy: float
    """Top-1 in percent, the mean over the seeds."""
    sd: float | None
    """Over the seeds, in percentage points; None for one."""


@dataclass(frozen=True)
class Confused:
    """Videos of one class that were taken for another."""

    label: int
    name: str
    predicted: int
    predicted_name: str
    count: int
    """Videos, of all seeds together."""
    share: float
    """Of the readable videos of the class, of all seeds together, in percent."""


@dataclass(frozen=True, eq=False)
class PerClass:
    """One measurement by class, in the order of the labels; classes without a test video are left out."""

    tested: Tested
    classes: tuple[ClassAccuracy, ...]


@dataclass(frozen=True, eq=False)
class Confusion:
    """One measurement's classes against each other."""

    tested: Tested
    matrix: np.ndarray
    """int64 (C, C): readable videos by label and predicted class, of all seeds together."""
    unreadable: int
    """Videos of all seeds together that could not be read; they are in no cell."""

    def pairs(self, most: int | None = None) -> list[Confused]:
        """The pairs of different classes with any video, those with most videos first; at most `most`."""
        wrong = self.matrix - np.diag(np.diag(self.matrix))
        sizes = self.matrix.sum(axis=1)
        cells = sorted(
            ((int(label), int(predicted)) for label, predicted in zip(*np.nonzero(wrong), strict=True)),
            key=lambda cell: (-wrong[cell], -wrong[cell] / sizes[cell[0]], cell),
        )
        names = self.tested.class_names
        return [
            Confused(
                label,
                names[label],
                predicted,
                names[predicted],
                int(wrong[label, predicted]),
                100 * float(wrong[label, predicted] / sizes[label]),
            )
            for label, predicted in cells[:most]
        ]


def per_class(row: Row, scale: Scale, results: Path | Store) -> list[PerClass]:
    """The measurements of a row by class; without classes where the store has no scores. Raises ResultsError when
    results.csv is not in order."""
    return [by_class(one) for one in tested([row], scale, results)]


def by_class(one: Tested) -> PerClass:
    """A measurement by class, over the seeds whose scores are there."""
    size = len(one.class_names)
    shares, counts = [], np.zeros(size, np.int64)
    for scores in one.scores:
        counts = np.bincount(scores.labels, minlength=size)  # the same for each seed: the copy of the videos is one
        right = np.bincount(scores.labels[scores.right], minlength=size)
        shares.append(100 * right / np.maximum(counts, 1))
    made = []
    for label in np.flatnonzero(counts).tolist():
        mean, sd = mean_and_sd([float(share[label]) for share in shares])
        made.append(ClassAccuracy(label, one.class_names[label], int(counts[label]), mean, sd))
    return PerClass(one, tuple(made))


def confusion(row: Row, scale: Scale, results: Path | Store) -> list[Confusion]:
    """The confusion of each measurement of a row; all zero where the store has no scores. Raises ResultsError when
    results.csv is not in order."""
    return [confused(one) for one in tested([row], scale, results)]


def confused(one: Tested) -> Confusion:
    """The confusion of a measurement, over the seeds whose scores are there."""
    size = len(one.class_names)
    matrix, unreadable = np.zeros((size, size), np.int64), 0
    for scores in one.scores:
        read = scores.ranks > 0
        np.add.at(matrix, (scores.labels[read], scores.classes[read, 0]), 1)
        unreadable += int((~read).sum())
    return Confusion(one, matrix, unreadable)
