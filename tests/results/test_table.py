"""The results as a table for a notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.results.table import read_results


@pytest.fixture
def store(tmp_path: Path, record: Callable[..., Record]) -> Store:
    made = Store(tmp_path)
    for top1, seed, variant in ((50.0, 0, None), (60.0, 1, None), (55.0, 0, None), (10.0, 0, "train.lr=1")):
        made.append(record(top1=top1, seed=seed, variant=variant))
    return made


def test_every_line_is_there_in_order(store: Store) -> None:
    assert list(read_results(store.folder).top1) == [50.0, 60.0, 55.0, 10.0]


def test_the_newest_line_takes_the_place_of_an_earlier_one_of_the_same(store: Store) -> None:
    assert list(read_results(store.folder, newest=True).top1) == [60.0, 55.0, 10.0]


def test_further_metrics_stay_with_their_lines(tmp_path: Path, record: Callable[..., Record]) -> None:
    store = Store(tmp_path)
    for value in (1.0, 2.0):
        store.append(record(metrics=f"mean_class_accuracy={value}"))
    assert list(read_results(tmp_path, newest=True).mean_class_accuracy) == [2.0]


def test_a_folder_without_results_gives_no_rows(tmp_path: Path) -> None:
    assert read_results(tmp_path, newest=True).empty
