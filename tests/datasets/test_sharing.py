"""Several processes see together, batch by batch, what one sees."""

from __future__ import annotations

import pytest

from vtbench.datasets.clips import EpochSampler
from vtbench.datasets.sharing import Share, SharedBatches


def batches_of(videos: int, size: int, processes: int, whole: int, skip: int = 0) -> list[list[list[tuple[int, int]]]]:
    """Of each process, its batches."""
    found = []
    for process in range(processes):
        sampler = EpochSampler(videos, seed=3)
        sampler.skip = skip
        batches = SharedBatches(sampler, size, Share(process, processes, whole))
        found.append(list(batches))
        assert len(batches) == len(found[-1]) + skip // (size * processes)
    return found


@pytest.mark.parametrize(
    ("videos", "size", "processes", "whole"), [(23, 2, 2, 4), (24, 1, 4, 4), (23, 4, 2, 4), (3, 2, 2, 4), (50, 6, 4, 8)]
)
def test_the_batches_of_all_processes_are_those_of_one(videos: int, size: int, processes: int, whole: int) -> None:
    order = list(EpochSampler(videos, seed=3))
    used = order[: videos // whole * whole] if videos >= whole else order
    steps = zip(*batches_of(videos, size, processes, whole), strict=True)
    together = [[key for part in parts for key in part] for parts in steps]
    assert [key for batch in together for key in batch] == used
    assert all(len(batch) == size * processes for batch in together[:-1])


@pytest.mark.parametrize("videos", [16, 20, 21, 23])
def test_every_process_has_a_part_of_the_last_batch(videos: int) -> None:
    found = batches_of(videos, size=3, processes=4, whole=1)
    last = [len(batches[-1]) for batches in found]
    assert min(last) >= 1
    assert max(last) - min(last) <= 1


def test_a_last_batch_of_less_than_a_clip_for_each_is_left_out() -> None:
    found = batches_of(11, size=2, processes=4, whole=1)
    assert [len(batches) for batches in found] == [1, 1, 1, 1]


def test_a_smaller_batch_counts_as_its_part_of_a_full_one() -> None:
    def parts(videos: int, whole: int) -> list[float]:
        batches = SharedBatches(EpochSampler(videos, seed=0), 4, Share(0, 2, whole))
        return [batches.part(number) for number in range(len(batches))]

    assert parts(22, 4) == [1.0, 1.0, 0.5]
    assert parts(24, 8) == [1.0, 1.0, 1.0]
    assert parts(5, 8) == [1.0], "the only batch of an epoch, as in one process"


def test_an_epoch_is_taken_up_again_after_whole_batches_of_all() -> None:
    whole = batches_of(22, size=2, processes=2, whole=2)
    resumed = batches_of(22, size=2, processes=2, whole=2, skip=8)
    assert [batches[2:] for batches in whole] == resumed
