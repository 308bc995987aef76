"""Clips and views are put together to the same numbers, in the same order in memory, however it is done."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vtbench.datasets.clips import _collate, views_of


@pytest.mark.parametrize("side_by_side", [False, True])
def test_views_are_the_crops_of_each_clip_in_turn(side_by_side: bool) -> None:
    crops = torch.arange(3 * 5 * 3 * 4 * 4, dtype=torch.float32).reshape(3, 5, 3, 4, 4)
    if side_by_side:  # channels, as of decoded frames
        crops = crops.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    which = np.array([[0, 2], [4, 4]])
    views = views_of(crops, which)
    assert views.shape == (6, 2, 3, 4, 4) and views.is_contiguous()
    for view in range(6):
        for t in range(2):
            assert torch.equal(views[view, t], crops[view % 3, which[view // 3, t]])


class Clips(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        clip = torch.arange(2 * 6 * 6 * 3, dtype=torch.float32).reshape(2, 6, 6, 3) + index
        return clip.permute(0, 3, 1, 2), index


def test_batches_of_a_worker_are_those_of_this_process() -> None:
    here, there = (list(DataLoader(Clips(), batch_size=2, collate_fn=_collate, num_workers=n)) for n in (0, 1))
    for (clips, labels, _), (others, same, _) in zip(here, there, strict=True):  # type: ignore[misc]
        assert torch.equal(clips, others) and torch.equal(labels, same)
        assert clips.shape == (2, 2, 3, 6, 6)
        assert clips.is_contiguous() and others.is_contiguous()
