"""The processes that share one training or one test, each with a device of its own: torch.distributed in few words.

Without `begin` there is one process, and every function here does what that one needs: nothing.
Plain values travel over gloo, so that one process may keep the others waiting, e.g. for a lock; only tensors of a step
travel between GPUs.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")

PATIENCE = datetime.timedelta(days=30)
"""How long processes wait for a value of another one. One that dies is found out at once, whatever this is."""

_plain: dist.ProcessGroup | None = None
_store: dist.Store | None = None


def begin(backend: str) -> None:
    """Join the process group that the environment describes (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)."""
    global _plain, _store
    _store, rank, size = next(dist.rendezvous("env://"))
    dist.init_process_group(backend, store=_store, rank=rank, world_size=size)
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert not isinstance(group, int)  # what a process outside the group would get
    _plain = group


def end() -> None:
    """Leave the process group, if there is one."""
    global _plain, _store
    if dist.is_initialized():
        dist.destroy_process_group()
    _plain = _store = None


def store() -> dist.Store:
    """Where one process can leave word for the others, who look when they like. After `begin`."""
    assert _store is not None
    return _store


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """In the block this process is the only one."""
    global _plain
    before, _plain = _plain, None
    try:
        yield
    finally:
        _plain = before


def number() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _plain is not None else 1


def this() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if number() > 1 else 0


def first() -> bool:
    """Whether this process is the first one: it alone writes files and reports."""
    return this() == 0


def from_first(value: Value) -> Value:
    """The value of the first process, in all of them."""
    if number() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0, group=_plain)
    return values[0]


def of_all(value: Value) -> list[Value]:
    """The values of all processes in their order, in all of them."""
    if number() == 1:
        return [value]
    values: list[Any] = [None] * number()
    dist.all_gather_object(values, value, group=_plain)
    return values


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes, on its device."""
    if number() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def averaged(tensors: list[Tensor]) -> None:
    """Put the mean over all processes into each of these tensors; those of whole numbers stay."""
    for tensor in tensors:
        if number() > 1 and tensor.is_floating_point():
            tensor.copy_(summed(tensor) / number())


def copied_from_first(tensors: list[Tensor]) -> None:
    """Put what the first process has into each of these tensors."""
    for tensor in tensors:
        if number() > 1:
            dist.broadcast(tensor, src=0)


def mean_weight(here: int, device: torch.device) -> float | Tensor:
    """What to multiply the mean over the `here` clips of this process by, so that the mean over processes of the
    products is the mean over all clips: 1 where each has as many."""
    if number() == 1:
        return 1.0
    count = torch.tensor(float(here), device=device)
    return here * number() / summed(count).clamp(min=1)
