"""Measurements of rows with the scores of their videos, seed by seed. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vtbench.errors import few
from vtbench.papers.datasets import Dataset, load_dataset
from vtbench.papers.override import split_title
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.report.compare import compare_rows
from vtbench.results.record import Record
from vtbench.results.scores import VideoScores, exported_file, read_scores
from vtbench.results.store import Store
from vtbench.scales import Scale


@dataclass(frozen=True, eq=False)
class Seed:
    """One line of results.csv, with its scores if the store has them."""

    record: Record
    scores: VideoScores | None


@dataclass(frozen=True, eq=False)
class Tested:
    """A measurement of a row at a scale, over the seeds that were tested on the same copy of the test videos."""

    row: Row
    scale: Scale
    measurement: str
    """Its name; of several that are one evaluation at this scale, all of them: `split1, split2, split3`."""
    dataset: str
    class_names: tuple[str, ...]
    """By label; numbers where the names come with the user's own lists."""
    fingerprint: str
    """`data_fingerprint` of the test videos."""
    copies: int
    """On how many different copies the seeds of this measurement were tested. They are never averaged."""
    seeds: tuple[Seed, ...]

    @property
    def title(self) -> str:
        """The row, with its measurement where it has several, scale, and copy of the videos where there are several."""
        of = "" if self.measurement == "main" else f"@{self.measurement}"
        changed = f" + {self.row.variant}" if self.row.variant else ""
        copy = f", test videos {self.fingerprint}" if self.copies > 1 else ""
        return f"{self.row.id}{of}{changed} ({self.scale}{copy})"

    @property
    def scored(self) -> list[Seed]:
        """The seeds whose scores are there."""
        return [seed for seed in self.seeds if seed.scores is not None]

    @property
    def scores(self) -> list[VideoScores]:
        """The scores that are there, seed by seed."""
        return [seed.scores for seed in self.seeds if seed.scores is not None]

    def lacking(self, results: Path) -> list[str]:
        """A line for the seeds whose scores are not there, with the remedy; none where all are."""
        lacking = [seed.record for seed in self.seeds if seed.scores is None]
        if not lacking:
            return []
        seeds = ",".join(str(record.seed) for record in lacking)
        again = f"{run_command(self.row, self.scale, [record.seed for record in lacking])} --test-again"
        how = "test the weights with `vtbench eval` again" if lacking[0].init == "given" else f"`{again}`"
        files = [exported_file(results, record.evaluation_key) for record in lacking]
        there = [path.name for path in files if path.exists()]
        other = f" ({few(there)} is damaged or of another test)" if there else ""
        return [
            f"{self.title}: {results} has no scores of the videos of seed {seeds}{other}; bring its run folder or "
            f"scores/{few(path.name for path in files)}, or {how}"
        ]


def tested(
    rows: Sequence[Row], scale: Scale, results: Path | Store, seeds: Collection[int] | None = None
) -> list[Tested]:
    """The measurements of the rows that have lines which count, in the order of the rows; seeds that were tested on
    different copies of the videos stand apart. `seeds`: only these.

    Raises ResultsError when results.csv is not in order.
    """
    store = results if isinstance(results, Store) else Store(results)
    found: list[Tested] = []
    for comparison in compare_rows(rows, store, scale):
        lines = (*comparison.counted, *comparison.apart)
        records = [record for record in lines if seeds is None or record.seed in seeds]
        found += tested_lines(comparison.row, scale, records, store.folder)
    return found


def tested_lines(row: Row, scale: Scale, records: Sequence[Record], results: Path) -> list[Tested]:
    """Lines of a row at a scale, one per measurement and seed, by measurement and copy of the test videos."""
    found = []
    lines: dict[str, list[Record]] = {}
    for record in records:
        lines.setdefault(record.measurement, []).append(record)
    together: dict[tuple[str, ...], list[str]] = {}
    for name, of_name in lines.items():
        together.setdefault(tuple(sorted(record.evaluation_key for record in of_name)), []).append(name)
    datasets = {m.name: m.evaluation.data.dataset for m in measurements(row, scale)}
    for names in together.values():
        copies: dict[str, list[Record]] = {}
        for record in lines[names[0]]:
            copies.setdefault(record.data_fingerprint, []).append(record)
        dataset = load_dataset(datasets[names[0]])
        for fingerprint, of_copy in copies.items():
            of_copy.sort(key=lambda record: record.seed)
            seeds = tuple(Seed(record, read_scores(results, record)) for record in of_copy)
            classes = _names(dataset, seeds)
            name = ", ".join(names)
            found.append(Tested(row, scale, name, dataset.name, classes, fingerprint, len(copies), seeds))
    return found


def run_command(row: Row, scale: Scale, seeds: Sequence[int] = ()) -> str:
    """The `vtbench run` that measures a row, or a variant of it; without seeds, those that `run` takes by itself."""
    changes = [
        f"{'--set' if '=' in part else '--variant'} {shlex.quote(part)}"
        for part in split_title(row.variant or "")
        if part
    ]
    of = [f"--seeds {','.join(map(str, seeds))}"] if seeds else []
    return " ".join(["vtbench run", row.id, "--scale", scale, *of, *changes])


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """The classes of a data set by label; numbers where their names come with the user's own lists."""
    return dataset.classes or tuple(str(label) for label in range(dataset.num_classes))


def _names(dataset: Dataset, seeds: Sequence[Seed]) -> tuple[str, ...]:
    """The classes, and numbers for those that only an older version of the data set had."""
    names = class_names(dataset)
    highest = max(
        (int(array.max()) for s in seeds if s.scores for array in (s.scores.labels, s.scores.classes)), default=0
    )
    return (*names, *map(str, range(len(names), highest + 1)))
