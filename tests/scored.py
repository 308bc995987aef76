"""Run folders with scores that the test chooses, and their lines of results.csv."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.special
from records import record_of

from vtbench.papers import measurements, select
from vtbench.results import finished, folders
from vtbench.results.record import Record
from vtbench.results.store import Store


def write_scores(
    store: Store,
    row_id: str,
    scores: np.ndarray,
    labels: Sequence[int],
    *,
    seed: int = 0,
    scale: str = "mini",
    ids: Sequence[str] | None = None,
    failures: Mapping[str, str] | None = None,
    average: str = "logits",
    **changes: Any,
) -> Record:
    """A finished evaluation of a row's first measurement, or of `row@measurement`, with its line.

    - scores: (videos that were read, views, classes)
    - labels: of those, and then of the failures
    - ids: of those; by default v0, v1, ...
    - failures: id -> why it could not be read
    - changes: other values of the line
    """
    wanted = measurements(select([row_id])[0], scale, seed)[0]
    videos, views, classes = scores.shape
    names = [*(ids or [f"v{i}" for i in range(videos)]), *(failures or {})]
    mean = (scores if average == "logits" else scipy.special.softmax(scores, axis=2)).mean(axis=1)
    right = float((mean.argmax(axis=1) == np.array(labels[:videos])).sum())
    count = {"videos_expected": len(names), "videos_decoded": videos, "videos_failed": len(names) - videos}
    record = record_of(wanted, 100 * right / len(names), **{**count, **changes})
    folder = folders.evaluation_folder(store.folder, record.evaluation_key)
    folder.mkdir(parents=True)
    np.savez(
        folder / folders.SCORES,
        video_ids=np.array(names),
        labels=np.array(labels, dtype=np.int64),
        video=np.repeat(np.arange(videos), views),
        view=np.tile(np.arange(views), videos),
        scores=scores.reshape(-1, classes).astype(np.float32),
    )
    folders.write_json(folder / folders.DONE, evaluation_done(record) | {"failures": dict(failures or {})})
    (folder / folders.CONFIG).write_text(json.dumps({"eval": {"average": average}}))
    store.append(record)
    return record


def evaluation_done(record: Record) -> dict[str, Any]:
    """done.json of the evaluation behind a line."""
    measured = {name: value for name, value in record.all_measured().items() if value is not None}
    done = {name: getattr(record, name, None) for name in finished.EVALUATION}
    return done | {"metrics": measured, "wall_s": record.eval_wall_s}


def write_right(store: Store, row_id: str, right: Sequence[bool], *, classes: int = 4, **given: Any) -> Record:
    """As `write_scores`: videos of class 0, 1, ... in turn, one view each; a wrong one is taken for the next class."""
    labels = np.arange(len(right)) % classes
    scores = np.zeros((len(right), 1, classes))
    scores[np.arange(len(right)), 0, (labels + ~np.array(right, bool)) % classes] = 2.0
    return write_scores(store, row_id, scores, labels.tolist(), **given)


NO_TENSORS = (2).to_bytes(8, "little") + b"{}"
"""A file of weights without any."""


def write_trained(results: Path, training_key: str, weights_sha256: str = 64 * "0") -> Path:
    """The folder of a finished training run whose weights are no tensors."""
    folder = folders.training_folder(results, training_key)
    done = {"epochs": 2, "batch_size": 4, "accumulate": 1, "lr": 0.1, "weights_sha256": weights_sha256}
    folders.write_json(folder / folders.DONE, done | {"training_key": training_key})
    (folder / folders.WEIGHTS).write_bytes(NO_TENSORS)
    return folder


def write_curve(store: Store, record: Record, lines: str) -> None:
    """A finished training run behind a line, with this metrics.csv."""
    folder = write_trained(store.folder, record.training_key, record.weights_sha256)
    (folder / folders.METRICS).write_text(lines)
