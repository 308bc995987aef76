"""Activation checkpointing: the blocks of a network are computed again in the backward pass rather than kept."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from vtbench.errors import UsageError


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network: the modules of one class, not torch's own, that stand side by side in a ModuleList or a
    Sequential. Of such lists inside each other, the outer ones."""
    found: list[nn.Module] = []
    for module in network.children():
        inside = list(module.children()) if isinstance(module, nn.ModuleList | nn.Sequential) else []
        if len({type(block) for block in inside}) == 1 and not type(inside[0]).__module__.startswith("torch."):
            found += inside
        else:
            found += blocks_of(module)
    return found


def checkpoint_blocks(network: nn.Module) -> None:
    """Have the blocks of a network compute their activations twice, in place: outputs, gradients, running statistics
    and names of weights stay as they are. Raises UsageError for a network without blocks."""
    blocks = blocks_of(network)
    if not blocks:
        raise UsageError(
            f"--grad-checkpointing: {type(network).__name__} has no list of equal blocks to checkpoint; leave it out"
        )
    for block in blocks:
        # Not where it is not needed: torch.compile warns of contexts.
        normed = any(isinstance(module, _BatchNorm) for module in block.modules())
        contexts = {"context_fn": functools.partial(_contexts, block)} if normed else {}
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False, **contexts)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What the first and the second pass through a block run in."""
    return contextlib.nullcontext(), _statistics_kept(block)


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Have every batch norm in a block leave its running statistics, which have seen this batch already."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:  # not by `track_running_stats`: as many tensors must be kept as in the first pass
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
