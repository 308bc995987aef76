"""What the run of one line of results.csv holds, as plain values. Imports no wandb."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench import files
from vtbench.papers.load import load_paper
from vtbench.papers.resolve import measurements
from vtbench.papers.sources import value_sources
from vtbench.papers.spec.schema import Row
from vtbench.report.compare import Comparison, compare_record
from vtbench.report.predictions.classes import by_class, confused
from vtbench.report.predictions.tested import Seed, Tested, class_names
from vtbench.report.wandb.target import Artifacts
from vtbench.results import finished, folders
from vtbench.results.record import Record
from vtbench.results.scores import SAME, VideoScores, damaged_scores, exported_file, read_scores

VIDEOS = ("video", "class", "predicted", "score", "score_of_class", "rank_of_class", "right", "error")
CONFUSION = ("Actual", "Predicted", "nPredictions")
"""The columns that W&B's own chart of a confusion takes."""


def train_run_id(training_key: str) -> str:
    """The W&B id of the run of a training run: a resumed one continues the same run."""
    return f"train-{training_key}"


def eval_run_id(record: Record) -> str:
    """The W&B id of the run of a line: one for each row and measurement, also of those that share an evaluation."""
    place = record.id + record.measurement + (record.variant or "")
    return f"eval-{record.evaluation_key}-{zlib.crc32(place.encode())}"


@dataclass(frozen=True)
class Columns:
    """A table."""

    columns: tuple[str, ...]
    lines: list[list[Any]]


@dataclass(frozen=True)
class File:
    """A file that goes with a run, as an artifact."""

    name: str
    kind: str
    """`model` or `scores`."""
    path: Path
    metadata: dict[str, Any]
    """Its `sha256`, and what it belongs to."""


@dataclass(frozen=True)
class Content:
    """The run of one line."""

    run: dict[str, Any]
    """Id, name, group, type and tags."""
    config: dict[str, Any]
    numbers: dict[str, float]
    texts: dict[str, str]
    tables: dict[str, Columns]
    files: list[File]
    damaged: Path | None = None
    """The file that should have its scores, for tables and artifacts, and cannot be read."""


def evaluation_content(row: Row, record: Record, results: Path, artifacts: Artifacts = "all") -> Content:
    """What the run of a line of results.csv holds; `row` is its row, with its variant if it has one.

    Numbers are those of this line alone, as its verdict is: means over seeds are the report's. Tables and files are
    those that the results folder has.
    """
    comparison = compare_record(row, record)
    scores = read_scores(results, record)
    return Content(
        _run(row, record),
        _config(row, record),
        _numbers(row, record, comparison),
        {"verdict": comparison.verdict},
        _tables(row, record, scores) if scores else {},
        [] if artifacts == "none" else [*_files(record, results, scores, weights=artifacts == "all")],
        None if scores else damaged_scores(results, record),
    )


def _run(row: Row, record: Record) -> dict[str, Any]:
    table = f"{row.paper}/{row.table}"
    changed = f" + {record.variant}" if record.variant else ""
    tags = [row.paper, table, record.id, record.scale, record.measurement, f"seed {record.seed}"]
    return {
        "id": eval_run_id(record),
        "name": f"{record.id}{changed} seed {record.seed}"
        + ("" if record.measurement == "main" else f" {record.measurement}"),
        "group": table,
        "job_type": "eval",
        "tags": [*tags, *(["variant"] if record.variant else [])],
    }


def _config(row: Row, record: Record) -> dict[str, Any]:
    paper = load_paper(row.paper)
    about = {"paper": row.paper, "table": row.table, "row": row.name, "label": row.label, "title": paper.about.title}
    found = {
        **record.as_dict(),
        **about,
        "published": {name: cell.text for name, cell in row.published.items()},
        "printed": dict(row.printed),
        "train_run": train_run_id(record.training_key),
    }
    wanted = [m for m in measurements(row, record.scale, record.seed) if m.name == record.measurement]
    # A line of given weights has another key; the protocol is the row's.
    if wanted and record.evaluation_key.startswith(wanted[0].evaluation.key):
        found["evaluation"] = dataclasses.asdict(wanted[0].evaluation)
        found["sources"] = value_sources(paper, row, record.measurement)
    return found


def _numbers(row: Row, record: Record, comparison: Comparison) -> dict[str, float]:
    """Metric -> value, and under `published/`, `delta/`, `chance/`, `low/` and `high/` what belongs to it. What a row
    prints is repeated under its table's name, for panels that show one table."""
    found: dict[str, float] = {}
    for metric, value in record.all_measured().items():
        if value is None:
            continue
        name = row.metric(record.measurement, metric)
        printed, estimate = row.published.get(name), comparison.measured.get(name)
        found[metric] = value
        if printed is not None:
            found[f"published/{metric}"] = printed.value
        if comparison.delta and name in comparison.delta:
            found[f"delta/{metric}"] = comparison.delta[name]
        if estimate and estimate.chance is not None:
            found[f"chance/{metric}"] = estimate.chance
        if estimate and estimate.interval is not None:
            found[f"low/{metric}"], found[f"high/{metric}"] = estimate.interval
        if record.variant is None:
            measured_key, published_key = table_keys(f"{row.paper}/{row.table}", name)
            found |= {measured_key: value} | ({published_key: printed.value} if printed is not None else {})
    found |= {"videos_failed": record.videos_failed, "row_number": _row_number(row), "seed": record.seed}
    return found | ({"train_top1": record.train_top1} if record.train_top1 is not None else {})


def table_keys(table: str, name: str) -> tuple[str, str]:
    """What a metric and its printed number are called in the runs of a table (paper/table), and in no others."""
    return f"{table}/{name}", f"{table}/{name}_published"


def _row_number(row: Row) -> int:
    """The place of a row in its printed table, from 1."""
    table = next(table for table in load_paper(row.paper).tables if table.name == row.table)
    return [one.name for one in table.rows].index(row.name) + 1


def _tables(row: Row, record: Record, scores: VideoScores) -> dict[str, Columns]:
    wanted = next(m for m in measurements(row, record.scale, record.seed) if m.name == record.measurement)
    dataset = wanted.evaluation.dataset
    names = class_names(dataset)
    one = Tested(
        row, record.scale, record.measurement, dataset.name, names, record.data_fingerprint, 1, (Seed(record, scores),)
    )
    classes = [[c.label, c.name, c.videos, c.accuracy] for c in by_class(one).classes]
    matrix = confused(one).matrix
    cells = [
        [names[a], names[b], int(matrix[a, b])] for a, b in zip(*(i.tolist() for i in matrix.nonzero()), strict=True)
    ]
    return {
        "per_class": Columns(("label", "class", "videos", "top1"), classes),
        "per_video": Columns(VIDEOS, list(_videos(scores, names))),
        "confusion": Columns(CONFUSION, cells),
    }


def _videos(scores: VideoScores, names: Sequence[str]) -> Iterator[list[Any]]:
    """The lines of `per_video`; of a video that could not be read, its name, its class and the reason."""
    best, score = scores.classes[:, 0].tolist(), scores.scores[:, 0].tolist()
    of_label, ranks, labels = scores.label_scores.tolist(), scores.ranks.tolist(), scores.labels.tolist()
    for n, (video, error) in enumerate(zip(scores.video_ids, scores.errors, strict=True)):
        found = [names[best[n]], score[n], of_label[n], ranks[n]] if error is None else [None] * 4
        yield [video, names[labels[n]], *found, ranks[n] == 1, error]


def _files(record: Record, results: Path, scores: VideoScores | None, *, weights: bool) -> list[File]:
    found = []
    belongs = {"evaluation_key": record.evaluation_key, "training_key": record.training_key}
    if scores is not None:
        folder = folders.evaluation_folder(results, record.evaluation_key)
        ours = all(_done(folder).get(name) == getattr(record, name) for name in SAME)
        path = folder / folders.SCORES if ours else exported_file(results, record.evaluation_key)
        if path.is_file():
            metadata = {**belongs, "sha256": files.sha256(path), "weights_sha256": record.weights_sha256}
            found.append(File(f"scores-{record.evaluation_key}", "scores", path, metadata))
    folder = folders.training_folder(results, record.training_key)
    path = folder / folders.WEIGHTS
    if weights and path.is_file() and _done(folder).get("weights_sha256") == record.weights_sha256:
        metadata = {"training_key": record.training_key, "sha256": record.weights_sha256}
        found.append(File(f"weights-{record.training_key}", "model", path, metadata))
    return found


def _done(folder: Path) -> dict[str, Any]:
    return finished.read_done(folder) if finished.is_done(folder) else {}
