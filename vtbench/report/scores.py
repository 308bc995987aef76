"""Per-video results from the run folders of a store: which test videos a measurement got right."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vtbench.errors import ResultsError
from vtbench.results import folders
from vtbench.results.record import Record


def hits(results: Path, record: Record, average: str) -> Mapping[str, bool] | None:
    """Id of a test video -> whether its label had the highest score, for the evaluation of a line of results.csv; a
    video that could not be read is a miss. None where the store does not have the scores, or other ones.

    `average`: what the row averages over the views of a video, `logits` or `probabilities`.
    """
    folder = folders.evaluation_folder(results, record.evaluation_key)
    if not (folder / folders.DONE).is_file():
        return None
    try:
        done = folders.read_json(folder / folders.DONE)
        if done.get("weights_sha256") != record.weights_sha256 or done.get("finished_at") != record.finished_at:
            return None
        with np.load(folder / folders.SCORES, allow_pickle=False) as file:
            ids, labels, video, scores = (file[name] for name in ("video_ids", "labels", "video", "scores"))
    except (OSError, KeyError, ValueError, ResultsError, zipfile.BadZipFile):
        return None
    views = scores.astype(np.float64)
    if average == "probabilities":
        views = np.exp(views - views.max(axis=1, keepdims=True))
        views /= views.sum(axis=1, keepdims=True)
    sums = np.zeros((len(ids), views.shape[1]))
    np.add.at(sums, video, views)
    scored = np.bincount(video, minlength=len(ids)) > 0
    right = scored & (sums.argmax(axis=1) == labels)
    return {str(name): bool(one) for name, one in zip(ids, right, strict=True)}
