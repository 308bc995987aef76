"""The training curves of a training run: from its run folder, else from what `results export` wrote of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.errors import ResultsError
from vtbench.files import regular
from vtbench.results import finished, folders
from vtbench.results.record import Record

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH = "epoch"


@dataclass(frozen=True)
class Curve:
    """What a training run wrote after each epoch."""

    training_key: str
    weights_sha256: str
    epochs: tuple[int, ...]
    """Counted from 1."""
    values: Mapping[str, tuple[float | None, ...]]
    """Column of metrics.csv -> its value after each epoch: `train_loss`, `train_top1`, `lr`, `elapsed_s`, `val_top1`,
    ..., None where it was not logged."""


def read_curve(results: Path, record: Record) -> Curve | None:
    """The curve of the weights behind a line of results.csv; None where the store does not have it, or that of other
    weights, or a damaged file."""
    return read_curve_of(results, record.training_key, record.weights_sha256)


def may_have_curve(results: Path, record: Record) -> bool:
    """Whether the store has a file or a folder of this training; quick, without a look into it."""
    key = record.training_key
    return exported_file(results, key).is_file() or folders.training_folder(results, key).is_dir()


def read_curve_of(results: Path, training_key: str, weights_sha256: str | None = None) -> Curve | None:
    """The curve of a training run by its key; with `weights_sha256`, only if these are the weights that it gave."""
    found = _from_run(results, training_key) or _from_export(results, training_key)
    if found is None or weights_sha256 not in (None, found.weights_sha256):
        return None
    return found


def _from_run(results: Path, training_key: str) -> Curve | None:
    folder = folders.training_folder(results, training_key)
    try:
        sha256 = finished.read_done(folder)["weights_sha256"]
        with regular(folder / folders.METRICS).open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        return _of_lines(training_key, sha256, lines)
    except (OSError, KeyError, TypeError, ValueError, csv.Error, ResultsError):
        return None


def _of_lines(training_key: str, weights_sha256: str, lines: Sequence[Mapping[str, str]]) -> Curve:
    names = [name for name in (lines[0] if lines else {}) if name != EPOCH]
    values = {name: tuple(float(line[name]) if line[name] else None for line in lines) for name in names}
    return Curve(training_key, weights_sha256, tuple(int(line[EPOCH]) for line in lines), values)


# ---- what was exported -----------------------------------------------------------------------------------------------


def exported_file(results: Path, training_key: str) -> Path:
    """Where the exported curve of a training run lies. The file need not exist."""
    return results / "curves" / f"{training_key}.parquet"


def to_table(curve: Curve) -> pa.Table:
    """One line per epoch, as results/README.md describes the columns."""
    import pyarrow as pa

    count = len(curve.epochs)
    return pa.table(
        {
            "training_key": pa.array([curve.training_key] * count, pa.string()),
            "weights_sha256": pa.array([curve.weights_sha256] * count, pa.string()),
            EPOCH: pa.array(curve.epochs, pa.int32()),
            **{name: pa.array(values, pa.float64()) for name, values in curve.values.items()},
        }
    )


def _from_export(results: Path, training_key: str) -> Curve | None:
    path = exported_file(results, training_key)
    if not path.is_file():
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = pq.ParquetFile(path).read(use_threads=False).to_pydict()
        del columns["training_key"]
        (sha256,) = set(columns.pop("weights_sha256"))
        epochs = tuple(columns.pop(EPOCH))
        return Curve(training_key, sha256, epochs, {name: tuple(values) for name, values in columns.items()})
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
