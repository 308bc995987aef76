"""LAPS's training recipe: Zhang et al., "Long-term Leap Attention, Short-term Periodic Shift for Video Classification",
Sections 4.1 and 4.4.

The paper gives epochs, milestones and augmentation; the optimiser, learning rates, label smoothing and the gradient
norm are the official code's (https://github.com/VideoNetworks/LAPS-transformer at bf1a249, `main_tokshift.py` and the
configs of its version 1), which also measures the statistics of batch norm afresh before every test ("precise BN"). The
numbers stand in benchmarks/laps/, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn
from torch.optim.swa_utils import update_bn

from vtbench.errors import UsageError
from vtbench.methods import processes
from vtbench.methods.base import ScheduledClassifier


class LAPS(ScheduledClassifier):
    """Base2D, Base3D and LAPS on Visformer, ResT and ViT: one optimiser, one parameter group, one schedule for all."""

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        precise_bn: Annotated[int, Ge(1)] | None = None,
        **recipe: Any,
    ) -> None:
        """
        - precise_bn: batches of training clips over which the mean and variance of every batch norm are averaged when
          the training is over and before a validation; None leaves the running averages of the training
        - recipe: the arguments of ScheduledClassifier
        """
        super().__init__(network, **recipe)
        self.precise_bn = precise_bn

    def on_validation_start(self) -> None:
        """Statistics first: they are what the epoch is judged with."""
        super().on_validation_start()
        self._measure_batch_norm()

    def on_fit_end(self) -> None:
        """Statistics of the final weights, which the running averages of the last steps only come near to. Not
        `on_train_end`: Lightning leaves that out where a run resumes after its last epoch."""
        if not self.keep:
            self._measure_batch_norm()

    @torch.no_grad()
    def _measure_batch_norm(self) -> None:
        if self.precise_bn is None:
            return
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        loader: Any = self.trainer.train_dataloader if data is None else data.train_dataloader()
        if loader is None:
            raise UsageError("precise_bn needs training clips; validate with a data module that has them")
        sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler.sampler
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(self.epochs + self.current_epoch)  # clips that no epoch of the training draws
        readable = (batch for batch in loader if batch[0] is not None)
        update_bn(islice(readable, self.precise_bn), self.network, device=self.device)
        processes.averaged(list(self.network.buffers()))  # each has seen its share of every batch
