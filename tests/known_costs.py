"""Networks whose cost is known beforehand."""

from __future__ import annotations

import os
import signal

import torch
from torch import Tensor, nn

from vtbench.cost.passes import Machine

CPU = Machine("cpu")


class Products(nn.Module):
    """So many products of 192 x 192 matrices."""

    def __init__(self, products: int) -> None:
        super().__init__()
        self.products = products
        self.weight = nn.Parameter(torch.eye(192))

    def forward(self, clips: Tensor) -> Tensor:
        for _ in range(self.products):
            clips = clips @ self.weight
        return clips.flatten(1)[:, :4]


class Hungry(nn.Module):
    """Holds `megabytes` per clip while it runs."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self.megabytes = megabytes
        self.head = nn.Linear(1, 2)

    def forward(self, clips: Tensor) -> Tensor:
        held = clips.new_ones(len(clips), self.megabytes * 1_000_000 // 4)
        return self.head(clips) + held[:, :1]


class Starved(nn.Module):
    """Fails above `largest` clips in a way of its own."""

    def __init__(self, largest: int, how: str) -> None:
        super().__init__()
        self.largest, self.how = largest, how
        self.head = nn.Linear(1, 2)

    def forward(self, clips: Tensor) -> Tensor:
        if len(clips) > self.largest and self.how == "error":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        if len(clips) > self.largest:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(clips)


class Broken(nn.Module):
    def forward(self, clips: Tensor) -> Tensor:
        raise ValueError("no such thing\nas this")
