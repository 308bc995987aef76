"""What an evaluation gave for every test video: from its run folder, else from what `results export` wrote of it.

Both give the same, to the bit: the five best classes of a video, and the rank and score of its label. Scores are those
that the row averages over the views of a video, as probabilities: the softmax of the mean logits, or the mean of the
softmaxes. N videos, C classes, K of them kept.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtbench.errors import ResultsError
from vtbench.files import regular
from vtbench.results import folders
from vtbench.results.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

SAME = ("weights_sha256", "data_fingerprint")
"""What scores have to have in common with a line besides its evaluation."""

BEST = 5
"""Classes kept of a video: what top-5 and a list of guesses need."""

CHUNK = 512
"""Videos whose views are averaged at a time."""


@dataclass(frozen=True, eq=False)
class VideoScores:
    """The test videos of one evaluation, in the order in which they were tested."""

    video_ids: tuple[str, ...]
    labels: np.ndarray
    """int64 (N,)."""
    views: np.ndarray
    """int32 (N,): views that were averaged; 0 for a video that could not be read."""
    classes: np.ndarray
    """int32 (N, K): the K = min(5, C) best classes, best first, of equals the lower number; -1 where not read."""
    scores: np.ndarray
    """float32 (N, K): their scores, 0 to 1; NaN where not read."""
    ranks: np.ndarray
    """int32 (N,): the place of the label among all C classes, from 1; 0 where not read."""
    label_scores: np.ndarray
    """float32 (N,): the score of the label; NaN where not read."""
    errors: tuple[str | None, ...]
    """Why a video could not be read."""

    @cached_property
    def right(self) -> np.ndarray:
        """bool (N,): whether the label has the highest score. A video that could not be read is a miss."""
        return self.ranks == 1


def hits(results: Path, record: Record, average: str) -> Mapping[str, bool] | None:
    """Id of a test video -> whether its label had the highest score, for the evaluation of a line of results.csv; a
    video that could not be read is a miss. None where the store does not have the scores, or other ones.

    `average`: what the row averages over the views of a video, `logits` or `probabilities`, where the run folder does
    not say.
    """
    found = read_scores(results, record, average)
    return None if found is None else dict(zip(found.video_ids, found.right.tolist(), strict=True))


def read_scores(results: Path, record: Record, average: str | None = None) -> VideoScores | None:
    """The scores behind a line of results.csv; None where the store does not have them, or other ones: those of other
    weights or videos, of a test with another outcome, or a damaged file. A line may be of another time than the test:
    rows share evaluations.

    `average`: as in `hits`; None: a run folder that does not say has no scores.
    """
    for folder in _runs_of(results, record):
        if (found := _from_run(folder, average)) is not None and _fits(found, record):
            return found
    found = _from_export(results, record)
    return found if found is not None and _fits(found, record) else None


def _fits(found: VideoScores, record: Record) -> bool:
    """Whether scores give what a line says: its videos, each once, those that could be read, and its top-1."""
    read, names = found.views > 0, found.video_ids
    if (len(names), len(set(names)), int(read.sum())) != (record.videos_expected, len(names), record.videos_decoded):
        return False
    first = (found.classes[:, 0] == found.labels)[read]
    if bool((found.labels < 0).any()) or not np.array_equal(first, found.right[read]):
        return False
    # Of two classes with the very same score, the evaluation may have taken the other one.
    tied = int((found.scores[read, 0] == found.scores[read, 1]).sum()) if found.scores.shape[1] > 1 else 0
    return record.top1 is None or abs(int(found.right.sum()) - record.top1 * len(names) / 100) < tied + 0.5


def may_have_scores(results: Path, record: Record) -> bool:
    """Whether the store has a file or a folder of this evaluation; quick, without a look into it."""
    key = record.evaluation_key
    return exported_file(results, key).is_file() or folders.evaluation_folder(results, key).is_dir()


def damaged_scores(results: Path, record: Record) -> Path | None:
    """Of a line for which `read_scores` gives None: the file that should have its scores and does not give them. None
    where there is none: the scores are not kept, or those are there that belong to other weights or videos."""
    for folder in _runs_of(results, record):
        if (folder / folders.SCORES).exists():
            return folder / folders.SCORES
    path = exported_file(results, record.evaluation_key)
    return path if path.is_file() and is_of(path, record) is not False else None


def is_of(exported: Path, record: Record) -> bool | None:
    """Whether exported scores, or a curve, are of the weights of a line, and its videos; None for a file that does not
    say."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.ParquetFile(exported).read(columns=list(SAME), use_threads=False)
        said = [name for name in SAME if name in columns.column_names]
        return all(columns[name].unique().to_pylist() == [getattr(record, name)] for name in said) if said else None
    except (OSError, KeyError, pa.ArrowException):
        return None


# ---- the run folder --------------------------------------------------------------------------------------------------


def _from_run(folder: Path, average: str | None) -> VideoScores | None:
    try:
        failures = folders.read_json(folder / folders.DONE).get("failures", {})
        config = folder / folders.CONFIG
        if average is None or config.exists():
            average = folders.read_json(config)["eval"]["average"]
        # Opened here, as numpy leaves a damaged file open.
        with regular(folder / folders.SCORES).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("video_ids", "labels", "video", "scores")}
        return _of_views(**arrays, average=average, failures=failures)
    except Exception:  # numpy, zipfile and zlib raise a dozen kinds for a damaged file
        return None


def is_whole(file: Path) -> bool:
    """Whether the scores of a run folder can be read."""
    try:
        with regular(file).open("rb") as opened, zipfile.ZipFile(opened) as packed:
            return packed.testzip() is None
    except Exception:  # zipfile and zlib raise a dozen kinds for a damaged file
        return False


def _runs_of(results: Path, record: Record) -> Iterator[Path]:
    """The run folders of a line's weights and videos: the evaluation's, and those that were set aside when the test was
    repeated."""
    for one in folders.with_those_aside(folders.evaluation_folder(results, record.evaluation_key)):
        with contextlib.suppress(ResultsError):
            done = folders.read_json(one / folders.DONE)
            if all(done.get(name) == getattr(record, name) for name in SAME):
                yield one


def _of_views(
    video_ids: np.ndarray,
    labels: np.ndarray,
    video: np.ndarray,
    scores: np.ndarray,
    average: str,
    failures: Mapping[str, str],
) -> VideoScores:
    """From the scores of every view (M, C) and the index of its video (M,)."""
    views = np.bincount(video, minlength=len(video_ids))
    seen = views > 0
    # In float32, as the evaluation has them when it ranks classes.
    means = _means(video, scores, views, average)[seen]
    order, probabilities = ranked(means, average)
    best = order[:, :BEST]
    of_label = labels[seen, None]
    count, kept = len(video_ids), best.shape[1]
    made: dict[str, np.ndarray] = {
        "classes": np.full((count, kept), -1, np.int32),
        "scores": np.full((count, kept), np.nan, np.float32),
        "ranks": np.zeros(count, np.int32),
        "label_scores": np.full(count, np.nan, np.float32),
    }
    made["classes"][seen] = best
    made["scores"][seen] = np.take_along_axis(probabilities, best, axis=1)
    made["ranks"][seen] = (order == of_label).argmax(axis=1) + 1
    made["label_scores"][seen] = np.take_along_axis(probabilities, of_label, axis=1)[:, 0]
    ids = tuple(map(str, video_ids))
    errors = tuple(
        None if read else failures.get(name, "could not be read") for name, read in zip(ids, seen.tolist(), strict=True)
    )
    return VideoScores(ids, labels.astype(np.int64), views.astype(np.int32), errors=errors, **made)


def _means(video: np.ndarray, scores: np.ndarray, views: np.ndarray, average: str) -> np.ndarray:
    """The mean over the views of each video, float32 (N, C), summed in float64; 0 for a video without any."""
    order, ends = np.argsort(video, kind="stable"), np.cumsum(views)
    means = np.zeros((len(views), scores.shape[1]), np.float32)
    for first in range(0, len(views), CHUNK):  # of all views at once, those of Kinetics take gigabytes
        of = np.arange(first, min(first + CHUNK, len(views)))
        of = of[views[of] > 0]
        if not len(of):
            continue
        starts = ends[of] - views[of]
        each = scores[order[starts[0] : ends[of[-1]]]].astype(np.float64)
        if average == "probabilities":
            each = _softmax(each)
        means[of] = np.add.reduceat(each, starts - starts[0], axis=0) / views[of, None]
    return means


def ranked(means: np.ndarray, average: str) -> tuple[np.ndarray, np.ndarray]:
    """What an evaluation averaged over the views of each video, float32 (N, C), as the classes from the best to the
    last, of equals the lower number first, and as probabilities float32 (N, C). `average`: as in `hits`."""
    shares = means if average == "probabilities" else _softmax(means.astype(np.float64)).astype(np.float32)
    return np.argsort(-means, axis=1, kind="stable"), shares


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


# ---- what was exported -----------------------------------------------------------------------------------------------


def exported_file(results: Path, evaluation_key: str) -> Path:
    """Where the exported scores of an evaluation lie. The file need not exist."""
    return results / "scores" / f"{evaluation_key}.parquet"


def to_table(record: Record, found: VideoScores) -> pa.Table:
    """One line per video, as results/README.md describes the columns."""
    import pyarrow as pa

    count, kept = found.classes.shape
    read = found.views > 0

    def optional(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, mask=~read)

    columns: dict[str, Any] = {
        name: pa.array([getattr(record, name)] * count, pa.string())
        for name in ("evaluation_key", "training_key", *SAME)
    }
    columns["video_id"] = pa.array(found.video_ids, pa.string())
    columns["label"] = pa.array(found.labels, pa.int32())
    columns["views"] = pa.array(found.views, pa.int32())
    columns["label_rank"] = optional(found.ranks, pa.int32())
    columns["label_score"] = optional(found.label_scores, pa.float32())
    for k in range(BEST):  # always as many columns, so that files of different data sets make one table
        there = k < kept
        columns[f"class{k + 1}"] = optional(found.classes[:, k], pa.int32()) if there else pa.nulls(count, pa.int32())
        columns[f"score{k + 1}"] = (
            optional(found.scores[:, k], pa.float32()) if there else pa.nulls(count, pa.float32())
        )
    columns["error"] = pa.array(found.errors, pa.string())
    return pa.table(columns)


def _from_export(results: Path, record: Record) -> VideoScores | None:
    path = exported_file(results, record.evaluation_key)
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        for name in SAME:
            if columns[name].unique().to_pylist() != [getattr(record, name)]:
                return None
        kept = [k for k in range(1, BEST + 1) if columns[f"class{k}"].null_count < len(table)]
        shape = len(kept), len(table)
        return VideoScores(
            tuple(columns["video_id"].to_pylist()),
            columns["label"].to_numpy(zero_copy_only=False).astype(np.int64),
            columns["views"].to_numpy(zero_copy_only=False),
            np.array([_filled(columns[f"class{k}"], -1, np.int32) for k in kept]).reshape(shape).T,
            np.array([_filled(columns[f"score{k}"], np.nan, np.float32) for k in kept]).reshape(shape).T,
            _filled(columns["label_rank"], 0, np.int32),
            _filled(columns["label_score"], np.nan, np.float32),
            tuple(columns["error"].to_pylist()),
        )
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):
        return None


def _filled(column: pa.Array, missing: float, kind: type) -> np.ndarray:
    values: np.ndarray = column.fill_null(missing).to_numpy(zero_copy_only=False).astype(kind)
    return values
