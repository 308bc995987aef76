"""Two measurements against each other, video by video: A minus B.

Where both were tested on the same videos, the interval of the difference is paired, as vtbench.report.differences says;
each pair of seeds has McNemar's exact test of the videos that only one of the two got right. Otherwise the interval is
unpaired, and `unpaired` says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vtbench.errors import MOST_LISTED, UsageError, few
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.report.differences import PairedTest, paired_interval, unpaired_interval
from vtbench.report.predictions.tested import Tested, run_command, tested, tested_lines
from vtbench.report.printing import plural
from vtbench.report.statistics import Interval, mcnemar, mean_and_sd
from vtbench.results.record import Record
from vtbench.results.scores import VideoScores
from vtbench.results.store import Store
from vtbench.scales import Scale

SHORT = 7
"""Digits of a commit in a message."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: a measurement in a store, over its seeds."""

    tested: Tested
    results: Path
    commit: str | None
    """Where lines of one commit were asked for: what names it."""

    @property
    def title(self) -> str:
        """What it is called."""
        return self.tested.title + (f" at {self.commit}" if self.commit else "")

    @property
    def records(self) -> list[Record]:
        """Its lines, seed by seed."""
        return [seed.record for seed in self.tested.seeds]

    @property
    def of_older_spec(self) -> bool:
        """Whether any of its lines is of another evaluation than the row asks for today."""
        row, scale = self.tested.row, self.tested.scale
        return any(
            record.evaluation_key.partition("-")[0]
            not in {found.evaluation.key for found in measurements(row, scale, record.seed)}
            for record in self.records
        )

    @property
    def unchanged(self) -> str | None:
        """What is to be said where the lines are the row's own, as its variant changes nothing at this scale."""
        row, scale = self.tested.row, self.tested.scale
        if row.variant is None or any(record.variant is not None for record in self.records):
            return None
        return f"{row.variant} changes nothing in {row.id} at {scale} scale; this is the row's own result"

    @property
    def top1(self) -> list[float]:
        """In percent, seed by seed."""
        return [record.top1 or 0.0 for record in self.records]

    def entry(self) -> dict[str, Any]:
        """As JSON has it."""
        mean, sd = mean_and_sd(self.top1)
        return {
            "title": self.title,
            "row": self.tested.row.id,
            "variant": self.tested.row.variant,
            "measurement": self.tested.measurement,
            "scale": self.tested.scale,
            "results": str(self.results),
            "seeds": [record.seed for record in self.records],
            "top1": mean,
            "sd": sd,
            "dataset": self.tested.dataset,
            "data_fingerprint": self.tested.fingerprint,
            "training_keys": [record.training_key for record in self.records],
            "evaluation_keys": [record.evaluation_key for record in self.records],
            "commits": list(dict.fromkeys(record.commit for record in self.records)),
        }


@dataclass(frozen=True)
class SeedPair:
    """One seed of A and one of B."""

    seed_a: int
    seed_b: int
    a: float
    """Top-1 in percent."""
    b: float
    difference: float
    won: int | None
    """Videos that only A got right; None where the videos are not paired, as the three below."""
    lost: int | None
    """Videos that only B got right."""
    both: int | None
    neither: int | None
    p: float | None
    """McNemar's exact test, two-sided."""


@dataclass(frozen=True)
class ClassPair:
    """One class, over the seeds."""

    label: int
    name: str
    videos: int
    """Of the class in A's test videos; of the seed with most of them, where seeds differ."""
    a: float
    """Top-1 in percent, the mean over the seeds."""
    b: float
    difference: float


@dataclass(frozen=True)
class VideoPair:
    """A video that A got right in more seeds than B, or in fewer."""

    video: str
    label: str
    """The name of its class."""
    outcome: str
    """`won` or `lost`, as A has it."""
    a_right: int
    """Seeds in which A got it right."""
    b_right: int
    a: tuple[str | None, ...]
    """The class that each seed of A took it for; None where it could not be read."""
    b: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Pair:
    """A against B. Differences are A minus B, in percentage points."""

    a: Side
    b: Side
    unpaired: str | None
    """Why the videos cannot be paired; None where they are."""
    notes: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Of the means over the seeds."""
        return mean_and_sd(self.a.top1)[0] - mean_and_sd(self.b.top1)[0]

    @cached_property
    def interval(self) -> Interval:
        """At 95 %."""
        if self.unpaired is None:
            return paired_interval([PairedTest(1.0, self._right[0] - self._right[1])])[0]
        ours, theirs = self.a.records, self.b.records
        return unpaired_interval(self.a.top1, ours[0].videos_expected, self.b.top1, theirs[0].videos_expected)

    @cached_property
    def seeds(self) -> tuple[SeedPair, ...]:
        """Seed by seed."""
        made = []
        for number, (a, b) in enumerate(zip(self.a.records, self.b.records, strict=True)):
            ours, theirs = a.top1 or 0.0, b.top1 or 0.0
            counts: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
            p = None
            if self.unpaired is None:
                right, other = (side[number].astype(bool) for side in self._right)
                won, lost = int((right & ~other).sum()), int((other & ~right).sum())
                counts, p = (won, lost, int((right & other).sum()), int((~right & ~other).sum())), mcnemar(won, lost)
            made.append(SeedPair(a.seed, b.seed, ours, theirs, ours - theirs, *counts, p))
        return tuple(made)

    @cached_property
    def classes(self) -> tuple[ClassPair, ...]:
        """By class, the largest difference first; none where the scores of a side or the classes are not the same."""
        sides = [side.tested for side in (self.a, self.b)]
        if sides[0].class_names != sides[1].class_names or not all(map(_complete, sides)):
            return ()
        names = sides[0].class_names
        counts, shares = [], []
        for one in sides:
            count = np.array([np.bincount(of.labels, minlength=len(names)) for of in one.scores])  # (seeds, classes)
            right = np.array([np.bincount(of.labels[of.right], minlength=len(names)) for of in one.scores])
            counts.append(count)
            seeds_with = np.maximum((count > 0).sum(axis=0), 1)
            shares.append(100 * (right / np.maximum(count, 1)).sum(axis=0) / seeds_with)
        made = []
        for label in np.flatnonzero(counts[0].any(axis=0) & counts[1].any(axis=0)).tolist():
            ours, theirs = (float(share[label]) for share in shares)
            made.append(ClassPair(label, names[label], int(counts[0][:, label].max()), ours, theirs, ours - theirs))
        return tuple(sorted(made, key=lambda one: (-abs(one.difference), one.label)))

    @cached_property
    def videos(self) -> tuple[VideoPair, ...]:
        """The videos that were won, then those that were lost, those of most seeds first; none where unpaired."""
        if self.unpaired is not None:
            return ()
        ours, theirs = (right.sum(axis=0) for right in self._right)
        balance = ours - theirs
        guesses = self._of_videos(lambda scores: scores.classes[:, 0])
        ids, labels = sorted(self.a.tested.scores[0].video_ids), self._of_videos(lambda scores: scores.labels)[0][0]
        found = []
        for index in sorted(np.flatnonzero(balance).tolist(), key=lambda i: -abs(balance[i])):  # of equals by id
            a, b = (
                tuple(_named(side.tested, label) for label in taken_for[:, index].tolist())
                for side, taken_for in zip((self.a, self.b), guesses, strict=True)
            )
            name, outcome = self.a.tested.class_names[int(labels[index])], "won" if balance[index] > 0 else "lost"
            found.append(VideoPair(ids[index], name, outcome, int(ours[index]), int(theirs[index]), a, b))
        return tuple(sorted(found, key=lambda one: one.outcome == "lost"))

    @cached_property
    def _right(self) -> tuple[np.ndarray, np.ndarray]:
        return self._of_videos(lambda scores: scores.right.astype(np.int8))

    def _of_videos(self, values: Callable[[VideoScores], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of each side what `values` gives, (seeds, videos), in the order of the ids: a test that was resumed has its
        videos in another one."""
        a, b = (
            np.stack([values(scores)[np.argsort(np.array(scores.video_ids))] for scores in one.tested.scores])
            for one in (self.a, self.b)
        )
        return a, b

    def entry(self) -> dict[str, Any]:
        """The object of `vtbench compare --format json`."""
        return {
            "a": self.a.entry(),
            "b": self.b.entry(),
            "metric": "top1",
            "difference": self.difference,
            "interval": list(self.interval),
            "paired": self.unpaired is None,
            "unpaired": self.unpaired,
            "seeds": [dataclasses.asdict(one) for one in self.seeds],
            "classes": [dataclasses.asdict(one) for one in self.classes],
            "videos": [dataclasses.asdict(one) for one in self.videos],
            "notes": list(self.notes),
        }


def _complete(one: Tested) -> bool:
    return len(one.scores) == len(one.seeds)


def _named(one: Tested, label: int) -> str | None:
    return one.class_names[label] if label >= 0 else None


# ---- finding both sides ----------------------------------------------------------------------------------------------


def side(
    row: Row, scale: Scale, results: Path, *, seeds: Sequence[int] | None = None, commit: str | None = None
) -> Side:
    """One side of a comparison: the lines that count of a row with one measurement, or the newest ones of a commit.

    - seeds: these, in this order; by default all
    - commit: the beginning of the commit that wrote the lines, which may be of an older spec

    Raises UsageError where the row has several measurements, no such line, or seeds that were tested on different
    copies of the videos, ResultsError when results.csv is not in order.
    """
    found = measurements(row, scale)
    if not found:
        raise UsageError(f"{row.id} has nothing to train or test at {scale} scale ({row.status})")
    if len({m.evaluation.key for m in found}) > 1:
        one_of = ", ".join(f"{row.id}@{m.name}" for m in found)
        raise UsageError(f"{row.id} has {len(found)} measurements; name one of {one_of}")
    if commit is None:
        groups = tested([row], scale, results, seeds)
    else:
        lines = _lines_by(commit, _lines_of(row, scale, Store(results)))
        groups = tested_lines(row, scale, [one for one in lines if seeds is None or one.seed in seeds], results)
    there = {seed.record.seed: seed for group in groups for seed in group.seeds}
    missing = [seed for seed in seeds or () if seed not in there]
    if not there or missing:
        of_seeds = f" for seed {', '.join(map(str, missing))}" if missing else ""
        by = f" by commit {commit}" if commit else ""
        changed = f" + {row.variant}" if row.variant else ""
        raise UsageError(
            f"{Path(results) / Store.name}: has no result of {row.id}{changed} at {scale} scale{of_seeds}{by}; "
            f"{_instead(row, scale, Store(results), commit, missing)}"
        )
    if len(groups) > 1:
        copies = "; ".join(f"{g.fingerprint}: seed {', '.join(str(s.record.seed) for s in g.seeds)}" for g in groups)
        raise UsageError(
            f"{row.id}: its seeds were tested on different copies of {groups[0].dataset} ({copies}), which are never "
            "averaged; name seeds of one copy with --seeds"
        )
    order = seeds if seeds is not None else sorted(there)
    return Side(dataclasses.replace(groups[0], seeds=tuple(there[seed] for seed in order)), Path(results), commit)


def _lines_of(row: Row, scale: Scale, store: Store) -> list[Record]:
    """All lines of a row, or of a variant of it, of an older spec too."""
    names = {m.name for m in measurements(row, scale)}
    wanted = row.id, scale, row.variant
    return [r for r in store.read() if (r.id, r.scale, r.variant) == wanted and r.measurement in names]


def _lines_by(commit: str, lines: Sequence[Record]) -> list[Record]:
    """Those that a commit wrote, of each measurement and seed the newest."""
    written = (record for record in lines if (record.commit or "").startswith(commit))
    return list({(record.measurement, record.seed): record for record in written}.values())


def _instead(row: Row, scale: Scale, store: Store, commit: str | None, missing: Sequence[int]) -> str:
    """The remedy where lines of seeds, or of a commit, are not there."""
    if commit is not None:
        lines = _lines_of(row, scale, store)
        if seeds := sorted({record.seed for record in _lines_by(commit, lines)}):
            return f"that commit measured seed {', '.join(map(str, seeds))}"
        if commits := list(dict.fromkeys(record.commit[:SHORT] for record in reversed(lines) if record.commit)):
            return f"its lines are of commit {few(commits, most=MOST_LISTED)}"
    return f"`{run_command(row, scale, missing)}` measures it"


def pair(a: Side, b: Side, *, matched: bool = False) -> Pair:
    """A against B, over the seeds that both have; with `matched` seed for seed in the order given, whatever their
    numbers. Raises UsageError where no seed is on both sides, and for unlike numbers of matched seeds."""
    notes: list[str] = []
    if matched:
        if len(a.records) != len(b.records):
            count = plural(len(a.records), "seed")
            raise UsageError(f"A has {count} and B {len(b.records)}; give as many of each with --seeds")
    else:
        a, b = _common_seeds(a, b, notes)
    keys = [[record.evaluation_key for record in one.records] for one in (a, b)]
    if keys[0] == keys[1] and [r.finished_at for r in a.records] == [r.finished_at for r in b.records]:
        notes.append("A and B are one and the same evaluation")
    if a.tested.fingerprint != b.tested.fingerprint:
        notes.append(
            f"A and B were tested on different videos or copies of them: {a.tested.dataset} {a.tested.fingerprint}, "
            f"{b.tested.dataset} {b.tested.fingerprint}"
        )
    for name, one in (("A", a), ("B", b)):
        if one.unchanged:
            notes.append(f"{name}: {one.unchanged}")
        if one.of_older_spec:
            notes.append(
                f"{name} was measured by an older spec; `vtbench diff` shows what changed, classes are today's"
            )
    notes += [line for one in (a, b) for line in one.tested.lacking(one.results)]
    made = Pair(a, b, _why_unpaired(a, b), tuple(notes))
    if made.unpaired is None and not any((one.won or 0) + (one.lost or 0) for one in made.seeds):
        made = dataclasses.replace(made, notes=(*notes, f"no video of {a.records[0].videos_expected} was won or lost"))
    return made


def _common_seeds(a: Side, b: Side, notes: list[str]) -> tuple[Side, Side]:
    seeds = [{record.seed for record in one.records} for one in (a, b)]
    common = sorted(seeds[0] & seeds[1])
    if not common:
        named = [", ".join(map(str, sorted(of))) for of in seeds]
        raise UsageError(
            f"A has seed {named[0]} and B seed {named[1]}, none in common; pair them with --seeds {min(seeds[0])} "
            f"--seeds {min(seeds[1])}"
        )
    for name, of in zip("AB", seeds, strict=True):
        if left := sorted(of - set(common)):
            notes.append(f"seed {', '.join(map(str, left))} of {name} is left out: the other has none")
    return _with(a, common), _with(b, common)


def _with(one: Side, seeds: Sequence[int]) -> Side:
    kept = tuple(seed for seed in one.tested.seeds if seed.record.seed in seeds)
    return dataclasses.replace(one, tested=dataclasses.replace(one.tested, seeds=kept))


def _why_unpaired(a: Side, b: Side) -> str | None:
    if not (_complete(a.tested) and _complete(b.tested)):
        return "the scores of some seeds are not there"
    first, *others = (_labels(scores) for one in (a, b) for scores in one.tested.scores)
    for other in others:
        if first.keys() != other.keys():
            shared = len(first.keys() & other.keys())
            return f"the test videos are not the same: {len(first)} and {len(other)}, {shared} in common"
    return None if all(first == other for other in others) else "the test videos have other labels"


def _labels(scores: VideoScores) -> dict[str, int]:
    return dict(zip(scores.video_ids, scores.labels.tolist(), strict=True))
