"""`vtbench results verify`: a store held against itself, its run folders and what its rows ask for.

What is wrong is one line with file and line, what was found and what to do. What is only worth knowing (lines of older
specs, of weights that are no longer there) is counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from vtbench import files
from vtbench.errors import ResultsError, printable
from vtbench.results import finished, folders, scores
from vtbench.results.costs import CostStore
from vtbench.results.lines.reading import Fault
from vtbench.results.record import Record, SpeedRecord
from vtbench.results.store import LineFile, SpeedStore, Store

Asked = Callable[[Record], tuple[str, str] | None]
"""A line -> the keys of training and evaluation that its row asks for today; None where there is no such row."""

OF_EVALUATION = {
    **{name: name for name in ("training_key", "views", "distinct_views", "videos_silent")},
    **{name: name for name in ("videos_expected", "videos_decoded", "videos_failed")},
    **{name: name for name in ("commit", "dirty", "device", "threads", "versions")},
    "eval_wall_s": "wall_s",
}
"""Column -> where done.json of an evaluation has it."""

OF_TRAINING = {
    **{name: name for name in ("epochs", "batch_size", "accumulate", "lr", "train_top1")},
    "train_videos": "videos",
}
"""The same of a training, without its time: one that was repeated ends with the same weights at another time."""


@dataclass
class Verified:
    """What was found."""

    wrong: list[str] = field(default_factory=list)
    """One line each."""
    useless: list[tuple[LineFile[Any], list[int]]] = field(default_factory=list)
    """Files with the numbers of those of their lines that are to be deleted."""
    lines: dict[str, int] = field(default_factory=dict)
    """Of each file."""
    counts: Counter[str] = field(default_factory=Counter)
    """What is worth knowing, in words, and of how many lines."""
    hashed: int = 0
    """Files of weights."""


def verify(results: Path, asked: Asked) -> Verified:
    """Check every line of the CSV files of a results folder, and the run folders that are there. Raises ResultsError
    for a file that cannot be read at all."""
    found = Verified()
    check = _Lines(results, asked, found)
    for store, of_line in (
        (Store(results), check.record),
        (SpeedStore(results), check.speed),
        (CostStore(results), None),
    ):
        _verify_file(store, of_line, found)
    return found


def _verify_file(store: LineFile[Any], of_line: Callable[[Any], Iterator[str]] | None, found: Verified) -> None:
    lines = store.numbered()
    found.lines[store.name] = len(lines)
    kinds, useless = set(), []
    for number, line in lines:
        if isinstance(line, Fault):
            kinds.add(line.kind)
            found.wrong.append(line.text if line.kind == "broken" else str(line))
            useless += [number] if line.kind == "broken" else []
        elif of_line is not None and (texts := list(of_line(line))):
            found.wrong += [printable(f"{store.path}:{number}: {line.title}: {text}") for text in texts]
            useless.append(number)
    if useless and "merge" not in kinds:  # what is broken under one side's columns may be whole under the other's
        found.useless.append((store, useless))


class _Lines:
    """What is wrong with single lines, in words."""

    def __init__(self, results: Path, asked: Asked, found: Verified) -> None:
        self.results, self.asked, self.found = results, asked, found
        self.seen: set[Record] = set()
        self.runs = cache(self._runs)

    def record(self, line: Record) -> Iterator[str]:
        """A line of results.csv."""
        self.found.counts["with a checksum"] += line.checksum is not None
        if line in self.seen:
            self.found.counts["that is there twice, which counts once"] += 1
            return
        self.seen.add(line)
        yield from _counts(line)
        yield from self._keys(line)
        yield from self._evaluation(line)
        yield from self._training(line)

    def speed(self, line: SpeedRecord) -> Iterator[str]:
        """A line of speed.csv."""
        for low, middle, high in (("q1", "value", "q3"), ("ratio_q1", "ratio", "ratio_q3")):
            values = [value for name in (low, middle, high) if (value := getattr(line, name)) is not None]
            if values != sorted(values):
                yield f"{middle} is not between {low} and {high}; delete the line and measure it again: vtbench speed"
        if (line.against is None) != (line.against_network is None):
            yield "against and against_network do not go together; delete the line and measure it again: vtbench speed"

    def _keys(self, line: Record) -> Iterator[str]:
        given = line.init == "given"
        if given != line.training_key.startswith("file:"):
            yield f"training_key {line.training_key} does not go with init {line.init}; {_DELETE}"
        elif given and line.training_key != f"file:{line.weights_sha256[:12]}":
            yield f"training_key {line.training_key} is not that of the weights {line.weights_sha256[:12]}; {_DELETE}"
        keys = self.asked(line)
        if keys is None:
            self.found.counts["of rows, measurements or variants that no spec has"] += 1
            return
        training, evaluation = keys
        if line.evaluation_key.partition("-")[0] != evaluation:
            self.found.counts["of specs that have changed since"] += 1
        elif not given and line.training_key != training:
            yield f"training_key {line.training_key} is not {training}, which {line.evaluation_key} is of; {_DELETE}"

    def _evaluation(self, line: Record) -> Iterator[str]:
        """The line against done.json of the test that it says it is of."""
        runs = self.runs(folders.evaluation_folder(self.results, line.evaluation_key))
        same = [(folder, done) for folder, done in runs if done.get("finished_at") == line.finished_at]
        if not same:
            self.found.counts["without their run folder"] += 1
            return
        folder, done = next(
            ((folder, done) for folder, done in same if done.get("weights_sha256") == line.weights_sha256), same[0]
        )
        wanted = {name: done[key] for name, key in OF_EVALUATION.items() if key in done}
        wanted |= {name: done[name] for name in ("weights_sha256", "data_fingerprint") if name in done}
        measured = done.get("metrics")
        yield from _differing(line, wanted, folder)
        ours = {name: value for name, value in line.all_measured().items() if value is not None}
        if isinstance(measured, Mapping) and ours != measured:
            yield f"its metrics are {ours}, those of {folder / folders.DONE} {dict(measured)}; {_DELETE}"

    def _training(self, line: Record) -> Iterator[str]:
        """The line against done.json of its training, and that against the weights beside it."""
        if line.init == "given":
            return
        runs = self.runs(folders.training_folder(self.results, line.training_key))
        same = [(folder, done) for folder, done in runs if done.get("weights_sha256") == line.weights_sha256]
        if not same:
            self.found.counts["whose weights are not there"] += 1
            return
        folder, done = same[0]
        wanted = {name: done[key] for name, key in OF_TRAINING.items() if key in done}
        yield from _differing(line, wanted, folder)
        start = line.init.partition(";")[0]
        if start.startswith("training:"):
            key, _, sha8 = start.removeprefix("training:").partition("@")
            runs = self.runs(folders.training_folder(self.results, key))
            if not any(str(done.get("weights_sha256")).startswith(sha8) for _, done in runs):
                self.found.counts["that started from weights which are not there"] += 1

    def _runs(self, folder: Path) -> list[tuple[Path, Mapping[str, Any]]]:
        """A run folder and those that were set aside, each that is done with its done.json. Says what is damaged."""
        found: list[tuple[Path, Mapping[str, Any]]] = []
        for one in folders.with_those_aside(folder):
            if not (one / folders.DONE).exists():
                continue
            try:
                done = finished.read_done(one)
            except ResultsError as error:
                self.found.wrong.append(printable(str(error)))
                continue
            if os.path.lexists(weights := one / folders.WEIGHTS) and (wrong := self._damaged(weights, done)):
                self.found.wrong.append(printable(wrong))
            if os.path.lexists(file := one / folders.SCORES) and not scores.is_whole(file):
                self.found.wrong.append(printable(f"{file}: is damaged; {finished.repeats(one)}"))
            found.append((one, done))
        return found

    def _damaged(self, weights: Path, done: Mapping[str, Any]) -> str | None:
        self.found.hashed += 1
        try:
            sha256 = files.sha256(weights)
        except OSError as error:
            return f"{weights}: cannot be read: {error.strerror or error}; {finished.repeats(weights.parent)}"
        said = str(done.get("weights_sha256"))
        if sha256 == said:
            return None
        return (
            f"{weights}: its SHA-256 begins with {sha256[:12]}, that in {folders.DONE} beside it with {said[:12]}: it "
            f"was changed after the training; put the file back, or remove {weights.parent} and run its row with "
            "--again"
        )


_DELETE = "delete the line and run again"


def _counts(line: Record) -> Iterator[str]:
    """Shares of videos are whole numbers of videos, and failed videos are misses."""
    for name, videos, other in (
        ("top1", line.videos_expected, line.top1_decoded),
        ("top5", line.videos_expected, line.top5_decoded),
    ):
        share = getattr(line, name)
        if share is None:
            continue
        right = share * videos / 100
        slack = 1e-3 + 2e-7 * videos  # float32 has 24 bits
        if abs(right - round(right)) > slack:
            yield f"{name} {share} of {videos} videos is {right:.3f} videos, no whole number; {_DELETE}"
        elif other is not None and abs((of_decoded := other * line.videos_decoded / 100) - right) > slack:
            yield f"{name} is {right:.0f} right videos, {name}_decoded {of_decoded:.3f}; {_DELETE}"


def _differing(line: Record, wanted: Mapping[str, Any], folder: Path) -> Iterator[str]:
    for name, value in wanted.items():
        ours = getattr(line, name)
        if ours not in (None, value):  # None in a line from before the column
            yield f"{name} is {ours}, {folder / folders.DONE} says {value}; {_DELETE}"
