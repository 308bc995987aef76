"""Published and measured side by side: for each row and scale what counts, how far it is from the print, the verdict.

What counts as measured: for each seed the newest line of results.csv whose evaluation is the one the row asks for
today. A line of another evaluation (the spec has changed since) is stale: named, never counted. Lines of weights given
with `vtbench eval --checkpoint` count only where no training of ours does. Means are over seeds of one row; nothing is
ever averaged over rows, which may share an evaluation.

Metrics in percent that vtbench.metrics lists decide the verdict. Part of a data set says little about a number printed
for all of it: where fewer than `COVERAGE` of the test videos were read, or fewer of the training videos were there, the
verdict is `inconclusive` whatever the numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from vtbench.metrics import METRICS, always_measured
from vtbench.papers.code.signatures import called
from vtbench.papers.datasets import Dataset, Split, load_dataset
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.report.counted import Counted
from vtbench.report.statistics import (
    TOLERANCE,
    Difference,
    Finding,
    Interval,
    Order,
    compare_to_print,
    mean_and_sd,
    strictest,
    t_interval,
    wilson_interval,
)
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.scales import Scale

if TYPE_CHECKING:
    from vtbench.report.claims.finding import Judged

COVERAGE = 0.9
"""Share of the data set's videos (`num_videos` in data_manifests) that must have been there for a verdict. Not all, as
copies of Kinetics lose some per cent of their videos a year."""

WHOLE = 0.99
"""Share of the videos from which on a verdict is said without it."""

Verdict = Finding | Literal["not-comparable", "not-run", "variant"]


@dataclass(frozen=True)
class Estimate:
    """One metric of one row at one scale, in the metric's unit: mean over the seeds, their standard deviation (None for
    one)."""

    mean: float
    sd: float | None
    n: int
    interval: Interval | None
    """95 %: see vtbench.report.statistics. None for one seed of a metric that is no share of the videos."""
    chance: float | None
    """What guessing gives, where that is known."""
    decides: bool
    """Whether its distance from the printed number makes the verdict."""


@dataclass(frozen=True)
class Comparison:
    """One row at one scale."""

    row: Row
    scale: Scale
    measured: dict[str, Estimate]
    """By the name under which the row prints the metric: `top1`, and `events_top1` for a second measurement. What the
    row prints as a mean over measurements takes their place once all of them are there."""
    delta: dict[str, float] | None
    """Measured mean minus printed number, at the printed precision; None at any scale but paper."""
    verdict: Verdict
    counted: tuple[Record, ...]
    stale: tuple[Record, ...]
    partial: tuple[str, ...]
    """What was below COVERAGE at paper scale, in words."""
    coverage: float | None = None
    """The smallest share of a data set's videos that was there, if that is at least COVERAGE and below WHOLE, at paper
    scale."""
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Data set -> the fingerprints of its test videos in what counts."""
    difference: Difference | None = None
    """To the reference row of its table."""
    in_band: int | None = None
    """Other rows whose printed number lies within the tolerance of this row's: a verdict cannot tell them apart."""
    order: Order | None = None
    """How alike print and measurement order the rows of its table."""
    counted_costs: Mapping[str, Counted] = field(default_factory=dict)
    """Name of a printed cost -> what was counted of the paper's network."""
    costs_stale: bool = False
    claims: tuple[Judged, ...] = ()
    """The claims of the paper about this row."""
    apart: tuple[Record, ...] = ()
    """Lines that would count but for their copy of the test videos, which is another one than that of the newest line:
    not the same test, so no mean is taken over both."""
    under: str | None = None
    """The printed table (paper/table) that a row from outside is shown under."""

    @property
    def table(self) -> str:
        """The table that it is shown in, as paper/table."""
        return self.under or f"{self.row.paper}/{self.row.table}"

    @property
    def name(self) -> str:
        """What it is called in its table."""
        name = self.row.id if self.under else self.row.name
        return f"{name} + {self.row.variant}" if self.row.variant else name

    @property
    def chance(self) -> dict[str, float]:
        """What guessing gives, in percent, for each measured metric where it is known."""
        return {name: found.chance for name, found in self.measured.items() if found.chance is not None}

    @property
    def given_weights(self) -> bool:
        """Whether what counts was measured on weights that no training of ours made."""
        return any(_is_given(record) for record in self.counted)

    def entry(self) -> dict[str, Any]:
        """The row's entry in `vtbench report --format json`."""
        return {
            "id": self.row.id,
            "scale": self.scale,
            "like": self.row.like,
            "variant": self.row.variant,
            "published": {name: cell.text for name, cell in self.row.published.items()},
            "measured": {name: {"mean": m.mean, "sd": m.sd, "n": m.n} for name, m in self.measured.items()},
            "delta": self.delta,
            "verdict": self.verdict,
            "coverage": self.coverage,
            "data": {name: list(prints) for name, prints in self.copies.items()},
            "keys": {
                "training": _distinct(record.training_key for record in self.counted),
                "evaluation": _distinct(record.evaluation_key for record in self.counted),
                "stale": _distinct(record.evaluation_key for record in self.stale),
            },
            "reference": self.difference.entry() if self.difference else None,
            "in_band": self.in_band,
            "order": self.order.entry() if self.order else None,
            "costs": {name: found.entry() for name, found in self.counted_costs.items()},
            "commit": ", ".join(_distinct(map(_commit, self.counted))) or None,
            "claims": [claim.verdicts(self.scale) for claim in self.claims],
        }


def compare_rows(rows: Sequence[Row], store: Store, scale: Scale, tolerance: float = TOLERANCE) -> list[Comparison]:
    """One comparison per row, in the order given. `tolerance` is in percentage points.

    Raises ResultsError when results.csv is not in order.
    """
    by_row: dict[str, list[Record]] = {}
    for record in store.read():
        if record.scale == scale:
            by_row.setdefault(record.id, []).append(record)
    return [_compare(row, scale, _lines_of(row, scale, by_row.get(row.id, [])), tolerance) for row in rows]


def rows_measured(rows: Sequence[Row], store: Store, scale: Scale) -> set[str]:
    """The ids of the rows that a line of results.csv counts for at a scale. Quicker than comparing them."""
    by_row: dict[str, list[Record]] = {}
    for record in store.read():
        if record.scale == scale and record.variant is None:
            by_row.setdefault(record.id, []).append(record)
    return {row.id for row in rows if any(_is_current(record, row) for record in reversed(by_row.get(row.id, [])))}


def _is_current(record: Record, row: Row) -> bool:
    """Whether a line is of an evaluation that the row asks for today, maybe of given weights."""
    key = record.evaluation_key.partition("-")[0] if _is_given(record) else record.evaluation_key
    only = replace(row, asked=frozenset([record.measurement]))
    return any(m.evaluation.key == key for m in measurements(only, record.scale, record.seed))


def _lines_of(row: Row, scale: Scale, records: Sequence[Record]) -> list[Record]:
    """The lines of a row, or of a variant of it; where the variant changes nothing at this scale, the row's own too."""
    own = [record for record in records if record.variant is None]
    if row.variant is None:
        return own
    seeds = {record.seed for record in own}
    unchanged = {m.evaluation.key for seed in seeds for m in measurements(row, scale, seed) if m.variant is None}
    return [r for r in records if r.variant == row.variant or (r.variant is None and r.evaluation_key in unchanged)]


def variants_measured(rows: Sequence[Row], store: Store) -> dict[str, list[str]]:
    """Id of a row -> the variants of it that results.csv has lines of, in the order in which they came."""
    found: dict[str, list[str]] = {row.id: [] for row in rows}
    for record in store.read():
        if record.variant is not None and record.variant not in found.get(record.id, [record.variant]):
            found[record.id].append(record.variant)
    return found


def distinct_evaluations(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    """Evaluation key -> the comparisons it counts in, each once: as many independent results as there are keys."""
    found: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        for key in _distinct(record.evaluation_key for record in comparison.counted):
            found.setdefault(key, []).append(comparison)
    return found


def _compare(row: Row, scale: Scale, records: Sequence[Record], tolerance: float) -> Comparison:
    counted, apart, stale = _sort_out(row, scale, records)
    measured: dict[str, Estimate] = {}
    partial: list[str] = []
    shares: list[float] = []
    copies: dict[str, tuple[str, ...]] = {}
    classes: dict[str, int] = {}
    for measurement in measurements(row, scale, seed=0) if counted else []:
        taken = [record for record in counted if record.measurement == measurement.name]
        dataset = load_dataset(measurement.evaluation.data.dataset)
        classes[measurement.name] = dataset.num_classes
        if not dataset.synthetic:
            data = measurement.evaluation.data
            which = dataset.name + (f" split {data.split}" if data.split else "")
            which += f" subset {data.subset}" if data.subset else ""
            prints = _distinct(record.data_fingerprint for record in taken)
            copies[which] = tuple(dict.fromkeys([*copies.get(which, ()), *prints]))
        if scale == "paper":
            partial += _partial(taken, dataset, "" if measurement.name == "main" else f"{measurement.name}: ")
            shares += [min(counts) / dataset.num_videos(of) for _, of, counts in _counts(taken) if counts]
        for metric in metrics_of(row):
            values = [value for record in taken if (value := record.measured(metric)) is not None]
            if values:
                name = row.metric(measurement.name, metric)
                measured[name] = _estimate(metric, values, taken[0].videos_expected, dataset.num_classes)
    replaced: list[str] = []
    for mean_name, parts in row.means_at(scale).items():
        for metric in metrics_of(row):
            values, videos = seed_means(counted, parts, metric)
            if values:
                replaced += [row.metric(part, metric) for part in parts]
                measured[row.metric(mean_name, metric)] = _estimate(metric, values, videos, classes[parts[0]])
    for name in replaced:  # at the end, as two means may share a part
        measured.pop(name, None)
    delta: dict[str, float] = {}
    findings: list[Finding] = []
    for name, found in measured.items() if scale == "paper" else ():
        if name in row.published:
            cell = row.published[name]
            delta[name] = round(found.mean - cell.value, cell.decimals) + 0.0  # + 0.0 makes -0.0 a 0.0
            if found.decides:
                findings.append(compare_to_print(found.interval, cell.value, cell.decimals, tolerance))
    verdict: Verdict
    if scale != "paper":
        verdict = "not-comparable"
    elif not measured:
        verdict = "not-run"
    elif row.variant is not None:
        verdict = "variant"
    else:
        verdict = "not-comparable" if not findings else "inconclusive" if partial else strictest(findings)
    least = min(shares, default=1.0)
    return Comparison(
        row,
        scale,
        measured,
        delta or None,
        verdict,
        tuple(counted),
        tuple(stale),
        tuple(partial),
        coverage=least if COVERAGE <= least < WHOLE else None,
        copies=copies,
        apart=tuple(apart),
    )


def metrics_of(row: Row) -> list[str]:
    """The names of what a test of the row measures: those of every test, those that its `eval.metrics` ask for, and
    those that the users of its data sets report."""
    asked = []
    for recipe in (spec.recipe for spec in row.recipes.values()):
        asked += [*((recipe.eval and recipe.eval.metrics) or ()), *load_dataset(recipe.data.dataset).about.metrics]
    return list(dict.fromkeys([*always_measured(), *map(called, asked)]))


def _estimate(metric: str, values: Sequence[float], videos: int, classes: int) -> Estimate:
    """`values`: one per seed; `videos` and `classes`: of the test."""
    known = METRICS.get(metric)  # None for a metric of the user's
    mean, sd = mean_and_sd(values)
    interval = None
    if sd:  # seeds that all agree say nothing of how far the next one would be
        interval = t_interval(values)
    elif known and known.of_videos:
        interval = wilson_interval(mean, videos)
    chance = 100 * min(known.guesses, classes) / classes if known and known.guesses else None
    return Estimate(mean, sd, len(values), interval, chance, decides=known is not None and known.unit == "%")


def seed_means(counted: Sequence[Record], parts: Sequence[str], metric: str) -> tuple[list[float], int]:
    """The mean over `parts` for each seed that has all of them, and the videos of one such mean: those of a test set
    that several parts share (splits that fall together at a small scale) count once."""
    by_seed: dict[int, dict[str, Record]] = {}
    for record in counted:
        if record.measurement in parts and record.measured(metric) is not None:
            by_seed.setdefault(record.seed, {})[record.measurement] = record
    whole = [list(found.values()) for found in by_seed.values() if len(found) == len(parts)]
    values = [sum(record.measured(metric) or 0.0 for record in found) / len(parts) for found in whole]
    videos = {record.evaluation_key: record.videos_expected for record in whole[0]} if whole else {}
    return values, sum(videos.values())


def _counts(records: Sequence[Record]) -> tuple[tuple[str, Split, list[int]], ...]:
    """What is said of the videos of a split, the split, and how many of them there were in each record."""
    tested = [record.videos_decoded for record in records]
    trained = [r.train_videos - (r.train_unreadable or 0) for r in records if r.train_videos is not None]
    return ("read", "test", tested), ("there to train on", "train", trained)


def _partial(records: Sequence[Record], dataset: Dataset, which: str) -> Iterator[str]:
    for verb, split, counts in _counts(records):
        of = dataset.num_videos(split)
        if counts and min(counts) < COVERAGE * of:
            yield f"{which}{min(counts)} of about {of} {split} videos were {verb}"


def _sort_out(row: Row, scale: Scale, records: Sequence[Record]) -> tuple[list[Record], list[Record], list[Record]]:
    """The lines of a row that count, one per measurement and seed; those that would, of another copy of the test videos
    than the newest of their measurement; and the stale ones that stand where none counts."""
    wanted = {
        (measurement.name, seed): measurement.evaluation.key
        for seed in sorted({record.seed for record in records})
        for measurement in measurements(row, scale, seed)
    }
    ours: dict[tuple[str, int], Record] = {}
    given: dict[str, Record] = {}
    stale: dict[tuple[str, int], Record] = {}
    for record in records:  # in the order they were appended: a newer line takes the place of an older one
        slot = record.measurement, record.seed
        if slot in wanted and record.evaluation_key == wanted[slot]:
            ours[slot] = record
        elif slot in wanted and _is_given(record) and record.evaluation_key.startswith(f"{wanted[slot]}-"):
            given[record.measurement] = record
        elif not _is_given(record):  # given weights tested by other settings (eval --set) are nobody's old line
            stale[slot] = record
    measured_by_us = {name for name, _ in ours}
    newest = {r.measurement: r.data_fingerprint for r in records if ours.get((r.measurement, r.seed)) is r}
    current = [ours[slot] for slot in wanted if slot in ours]
    counted = [record for record in current if record.data_fingerprint == newest[record.measurement]]
    apart = [record for record in current if record.data_fingerprint != newest[record.measurement]]
    counted += [record for name, record in given.items() if name not in measured_by_us]
    return counted, apart, [record for slot, record in stale.items() if slot not in ours]


def _is_given(record: Record) -> bool:
    return record.init == "given"


def _commit(record: Record) -> str:
    return "" if record.commit is None else record.commit + ("-dirty" if record.dirty else "")


def _distinct(values: Iterable[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value]
