"""Records made in one place, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from records import COMMON

from vtbench.results.record import Record


@pytest.fixture
def record() -> Callable[..., Record]:
    def make(**changes: Any) -> Record:
        return Record(
            **{
                **COMMON,
                "id": "msca/table2:msca-kv",
                "measurement": "main",
                "scale": "mini",
                "seed": 0,
                "training_key": "0123456789ab",
                "evaluation_key": "ba9876543210",
                "top1": 100 / 3,
                "top5": 100.0,
                "videos_expected": 96,
                "videos_decoded": 95,
                "videos_failed": 1,
                "videos_silent": 3,
                "train_wall_s": 12.5,
                "eval_wall_s": 0.25,
                "train_videos": 1024,
                "init": "training:aaaaaaaaaaaa",
                "threads": 2,
                "versions": "torch=2.8.0;lightning=2.5.0",
                **changes,
            }
        )

    return make
