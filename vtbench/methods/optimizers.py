"""Optimisers by name, and how the learning rate changes over the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import timm.optim
import torch

from vtbench.errors import UsageError
from vtbench.fields import not_one_of

Optimizer = Literal["sgd", "adam", "adamw", "nadamw", "lamb", "lion"]
"""Names of timm's factory, which gives torch's own class where torch has one. A new one is one more name here."""

Schedule = Literal["step", "cosine", "cosine_by_epoch", "constant"]
"""See `lr_factor`."""


def build_optimizer(
    name: Optimizer, groups: Iterable[Mapping[str, Any]], *, lr: float, weight_decay: float, **options: Any
) -> torch.optim.Optimizer:
    """The optimiser `name` over parameter groups, which may have an `lr` and a `weight_decay` of their own.

    `options` that are None are left to the class: AdamW's betas are 0.9 and 0.999, SGD is without Nesterov momentum.
    """
    known_name("optimizer", name, get_args(Optimizer))
    optimizer = timm.optim.get_optimizer_class(name, bind_defaults=False)
    given = {option: value for option, value in options.items() if value is not None}
    made: torch.optim.Optimizer = optimizer(list(groups), lr=lr, weight_decay=weight_decay, **given)
    return made


def known_name(argument: str, name: str, known: Iterable[str]) -> None:
    """Raise UsageError, with the nearest right name, for a name that is not among the known ones."""
    choices = tuple(known)
    if name not in choices:
        raise UsageError(f"{argument} {not_one_of(name, choices)}")


def lr_factor(
    epoch: float,
    *,
    epochs: int,
    schedule: Schedule,
    milestones: Iterable[int] = (),
    gamma: float = 1.0,
    warmup_epochs: float = 0.0,
    warmup_start: float | None = None,
) -> float:
    """What the learning rate is multiplied by after `epoch` epochs (a fraction inside an epoch), in (0, 1].

    - step: multiplies by `gamma` at every whole epoch of `milestones`
    - cosine: falls from 1 to 0 over the epochs after the warm-up
    - cosine_by_epoch: falls from 1 towards 0 over all epochs, once an epoch, and the warm-up multiplies it (mmcv's
      CosineAnnealing by epoch)
    - constant: stays 1

    The warm-up is linear, from `warmup_start` (None: 0) to 1.
    """
    if epoch < warmup_epochs:
        start = warmup_start or 0.0
        risen = start + (1 - start) * max(epoch, 0.0 if start else 1e-3) / warmup_epochs
        return risen * (_half_cosine(math.floor(epoch) / epochs) if schedule == "cosine_by_epoch" else 1.0)
    if schedule == "cosine_by_epoch":
        return _half_cosine(math.floor(epoch) / epochs)
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return gamma ** sum(epoch >= milestone for milestone in milestones)
    progress = (epoch - warmup_epochs) / max(epochs - warmup_epochs, 1e-9)
    return _half_cosine(progress)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
