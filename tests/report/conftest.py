"""A results folder that is filled from the real specs with numbers chosen by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.spec import Measurement, select

Measure = Callable[..., None]


def record_of(measurement: Measurement, top1: float, **changes: Any) -> Record:
    return Record(
        **{
            "id": measurement.row_id,
            "measurement": measurement.name,
            "scale": measurement.scale,
            "seed": measurement.seed,
            "training_key": measurement.evaluation.training.key,
            "evaluation_key": measurement.evaluation.key,
            "top1": top1,
            "top5": None,
            "videos_expected": 20_000,
            "videos_decoded": 20_000,
            "videos_failed": 0,
            "views": 30,
            "train_wall_s": 1.0,
            "eval_wall_s": 1.0,
            "epochs": 12,
            "batch_size": 42,
            "accumulate": 10,
            "lr": 0.1,
            "init": "scratch",
            "selection": "none: last epoch",
            "data_fingerprint": "f00d",
            "weights_sha256": "beef",
            "commit": "277b510",
            "dirty": False,
            "device": "cpu",
            "threads": 1,
            "versions": "torch=2.8.0",
            "finished_at": "2026-01-31T23:59:59Z",
            **changes,
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def measure(store: Store) -> Measure:
    """measure("msca/table2:vit", "paper", 75.0, 75.5): one line per value, for seeds 0, 1, ..."""

    def append(row_id: str, scale: str, *values: float, measurement: str = "main", **changes: Any) -> None:
        (row,) = select([row_id])
        for seed, top1 in enumerate(values):
            (wanted,) = (m for m in row.measurements(scale, seed) if m.name == measurement)
            store.append(record_of(wanted, top1, **changes))

    return append
