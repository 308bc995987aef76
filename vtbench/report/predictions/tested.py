"""Measurements of rows with the scores of their videos, seed by seed. No torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vtbench.papers.datasets import Dataset, load_dataset
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
        """A line for the seeds whose scores are not there, with the remedy."""
        return [no_scores(self.row, seed.record, results) for seed in self.seeds if seed.scores is None]


def no_scores(row: Row, record: Record, results: Path) -> str:
    """What to say of a line whose scores the store does not have."""
    file = exported_file(results, record.evaluation_key)
    again = f"vtbench run {row.id} --scale {record.scale} --seed {record.seed} --test-again"
    how = "test the weights again with `vtbench eval`" if record.init == "given" else f"run `{again}`"
    return f"{record.title}: the store has no scores of its videos; bring {file} or the run folder, or {how}"


def tested(
    rows: Sequence[Row], scale: Scale, results: Path | Store, seeds: Collection[int] | None = None
) -> list[Tested]:
    """The measurements of the rows that have lines which count, in the order of the rows. `seeds`: only these.

    Raises ResultsError when results.csv is not in order.
    """
    store = results if isinstance(results, Store) else Store(results)
    found: list[Tested] = []
    for comparison in compare_rows(rows, store, scale):
        records = [record for record in comparison.counted if seeds is None or record.seed in seeds]
        found += _tested(comparison.row, scale, records, store.folder)
    return found


def _tested(row: Row, scale: Scale, records: Sequence[Record], results: Path) -> Iterable[Tested]:
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
            yield Tested(
                row, scale, ", ".join(names), dataset.name, class_names(dataset), fingerprint, len(copies), seeds
            )


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """The classes of a data set by label; numbers where their names come with the user's own lists."""
    return dataset.classes or tuple(str(label) for label in range(dataset.num_classes))
