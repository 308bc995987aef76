"""Several processes see together, batch by batch, what one sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from vtbench.datasets.clips import EpochSampler
from vtbench.datasets.sharing import Share, SharedBatches, shared_out_again


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


def again(counts: Sequence[int], modalities: bool = False) -> list[list[int] | None]:
    """What each process has after it has read so many clips, which are numbered through."""
    numbers = iter(range(100))
    batches: list[Any] = []
    for count in counts:
        labels = torch.tensor([next(numbers) for _ in range(count)], dtype=torch.int64)
        clips = labels[:, None, None].float()
        batches.append(((({"motion": clips} if modalities else clips) if count else None), labels))
    found: list[list[int] | None] = []
    for process, (clips, labels) in enumerate(batches):
        share = Share(process, len(counts), 4)
        given = shared_out_again(clips, labels, share, lambda mine: [*counts] if isinstance(mine, int) else batches)
        frames = given[0]["motion"] if isinstance(given[0], dict) else given[0]
        found.append(None if frames is None else given[1].tolist())
        assert frames is None or torch.equal(frames[:, 0, 0], given[1].float())
    return found


@pytest.mark.parametrize("modalities", [False, True])
def test_clips_are_shared_out_again_where_a_process_could_read_none(modalities: bool) -> None:
    assert again([2, 1], modalities) == [[0, 1], [2]], "each has one: nothing changes"
    assert again([3, 0], modalities) == [[0, 1], [2]]
    assert again([0, 1, 2], modalities) == [[0], [1], [2]]
    assert again([0, 1], modalities) == [None, None], "less than a clip for each"
    assert again([0, 0], modalities) == [None, None]
