"""Lines of results.csv for tests, from a measurement of the real specs and a number that the test chooses."""

from __future__ import annotations

from typing import Any

from vtbench.papers import Measurement
from vtbench.results.record import Record

COMMON: dict[str, Any] = {
    "views": 30,
    "epochs": 12,
    "batch_size": 42,
    "accumulate": 10,
    "lr": 0.1,
    "selection": "none: last epoch",
    "data_fingerprint": "f00d",
    "weights_sha256": "beef",
    "commit": "277b510",
    "dirty": False,
    "device": "cpu",
    "finished_at": "2026-01-31T23:59:59Z",
}
"""What the made-up lines of all tests have in common."""


def record_of(measurement: Measurement, top1: float, **changes: Any) -> Record:
    return Record(
        **{
            **COMMON,
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
            "videos_silent": None,
            "train_wall_s": 1.0,
            "eval_wall_s": 1.0,
            "train_videos": 246_000,
            "init": "scratch",
            "threads": 1,
            "versions": "torch=2.8.0",
            **changes,
        }
    )
