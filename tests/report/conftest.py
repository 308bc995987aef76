"""A results folder that is filled from the real specs with numbers chosen by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import record_of

from vtbench.papers import measurements, select
from vtbench.results.store import Store

Measure = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def measure(store: Store) -> Measure:
    """measure("msca/table2:vit", "paper", 75.0, 75.5): one line per value, for seeds 0, 1, ..."""

    def append(row_id: str, scale: str, *values: float, measurement: str = "main", **changes: Any) -> None:
        (row,) = select([row_id])
        for seed, top1 in enumerate(values):
            (wanted,) = (m for m in measurements(row, scale, seed) if m.name == measurement)
            store.append(record_of(wanted, top1, **changes))

    return append
