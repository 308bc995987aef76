"""Which clips of an epoch, and which videos of a test, each of several processes takes.

A batch of all processes is cut from the order of the epoch as a single process would cut it; each takes its part.
Clips depend on (seed, epoch, index of the video) alone, so together they see what the single process sees, step by
step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from vtbench.clips import Clips, map_modalities

if TYPE_CHECKING:
    from vtbench.datasets.clips import EpochSampler

OfAll = Callable[[Any], list[Any]]
"""Gives the values that all processes call it with, in their order, to all of them."""


@dataclass(frozen=True)
class Share:
    """What one of several processes takes.

    - process: which of them it is, from 0
    - processes: how many there are
    - whole: clips of a batch of the single process that they stand for. An epoch has as many clips as whole batches of
      that size give
    """

    process: int
    processes: int
    whole: int


def batch_sizes(videos: int, batch_size: int, share: Share | None) -> list[int]:
    """Clips of each training batch of an epoch, of all processes together, where each takes `batch_size` of a full one.

    The last one of a single process is left out if it would be smaller, unless it is the only one. Several process what
    whole batches of `share.whole` give, and leave out a last one of less than a clip for each.
    """
    share = share or Share(0, 1, batch_size)
    used = videos // share.whole * share.whole or videos
    together = batch_size * share.processes
    left = used % together
    return [together] * (used // together) + ([left] if left >= share.processes else [])


class SharedBatches(Sampler[list[tuple[int, int]]]):
    """Batches of one process: `batch_size` keys of `sampler` each, fewer in the last one of an epoch.

    The last batch is shared out as evenly as it can be. Where it has less than a clip for each process it is left out.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, share: Share) -> None:
        self.sampler, self.batch_size, self.share = sampler, batch_size, share

    @property
    def _sizes(self) -> list[int]:
        return batch_sizes(len(self.sampler), self.batch_size, self.share)

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        keys, start, share = list(self.sampler), 0, self.share
        skipped = (len(self.sampler) - len(keys)) // (self.batch_size * share.processes)
        for size in self._sizes[skipped:]:
            yield keys[start : start + size][_part(size, share.process, share.processes)]
            start += size

    def part(self, number: int) -> float:
        """The size of a batch of all processes, counted from 0, as a part of a full one. The only batch of an epoch
        that is smaller than a whole one counts as full, as in a single process."""
        full = self.batch_size * self.share.processes * min(1.0, len(self.sampler) / self.share.whole)
        return self._sizes[number] / full


def shared_out_again(clips: Clips | None, labels: Tensor, share: Share, of_all: OfAll) -> tuple[Clips | None, Tensor]:
    """The batch of this process, or its part of what all processes could read where one of them could read nothing;
    None in all of them where there is less than a clip for each."""
    counts = of_all(len(labels))
    if all(counts):
        return clips, labels
    if sum(counts) < share.processes:
        return None, labels[:0]
    read = [one for one in of_all((clips, labels)) if one[0] is not None]
    part = _part(sum(counts), share.process, share.processes)
    together = map_modalities(lambda *several: torch.cat(several)[part], *(some for some, _ in read))
    return together, torch.cat([some for _, some in read])[part]


def _part(size: int, process: int, processes: int) -> slice:
    """Which of `size` clips a process takes, as evenly as can be."""
    return slice(math.ceil(process * size / processes), math.ceil((process + 1) * size / processes))
