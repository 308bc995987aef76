"""The batch of a recipe, shared out to devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vtbench.errors import UsageError
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.trainings import Training
from vtbench.run.devices.batches import Batches, smaller, split_batch
from vtbench.run.engine import Engine


@pytest.fixture
def training() -> Training:
    """42 clips per pass, 10 passes per update."""
    return measurements(select(["msca/table2:vit"])[0], "paper", 0)[0].evaluation.training


@pytest.mark.parametrize(
    ("count", "size", "accumulate"), [(2, 21, 10), (3, 14, 10), (4, 35, 3), (5, 42, 2), (10, 42, 1), (420, 1, 1)]
)
def test_devices_share_out_the_batch_and_keep_the_rate(
    training: Training, count: int, size: int, accumulate: int
) -> None:
    batches = split_batch(training, None, Engine(devices=count))
    assert batches == Batches(size, accumulate, 0.1, count, 42)
    assert batches.effective == 420


def test_machines_count_as_devices(training: Training) -> None:
    assert split_batch(training, None, Engine(devices=2, num_nodes=5)) == split_batch(
        training, None, Engine(devices=10)
    )


def test_a_batch_that_cannot_be_shared_out_is_refused_with_the_numbers_that_can(training: Training) -> None:
    message = (
        r"^--devices 8: an update of 420 clips cannot be shared out evenly to 8 passes; their number must be one of 1, "
        r"2, 3, 4, 5, 6, 7, 10, 12, .*, 420, or give --batch-size N, with which the learning rate follows$"
    )
    with pytest.raises(UsageError, match=message):
        split_batch(training, None, Engine(devices=8))
    with pytest.raises(UsageError, match=r"^--devices 4 --accumulate 2: an update of 420 clips .* to 8 passes"):
        split_batch(training, None, Engine(devices=4, accumulate=2))


def test_a_given_batch_size_is_that_of_each_device_and_the_rate_follows(training: Training) -> None:
    assert split_batch(training, 21, Engine(devices=4)) == Batches(21, 5, 0.1, 4, 42)
    batches = split_batch(training, 8, Engine(devices=8))
    assert (batches.accumulate, batches.effective, batches.whole) == (7, 448, None)
    assert batches.lr == pytest.approx(0.1 * 448 / 420)


def test_accumulation_is_taken_from_the_size_of_a_pass(training: Training) -> None:
    assert split_batch(training, None, Engine(accumulate=30)) == Batches(14, 30, 0.1)
    assert split_batch(training, None, Engine(devices=2, accumulate=30)) == Batches(7, 30, 0.1, 2, 42)
    batches = split_batch(training, 10, Engine(accumulate=21))
    assert (batches.effective, batches.lr) == (210, pytest.approx(0.05))


def test_auto_starts_with_all_clips_of_an_update_and_halves(training: Training) -> None:
    batches = split_batch(training, "auto", Engine(devices=2))
    assert (batches.batch_size, batches.accumulate) == (210, 1)
    sizes = []
    while (size := smaller(batches)) is not None:
        batches = replace(batches, batch_size=size, accumulate=210 // size)
        sizes.append(size)
        assert batches.effective == 420
    assert sizes == [105, 42, 21, 10, 5, 2, 1]
