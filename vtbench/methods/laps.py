"""LAPS's training recipe: Zhang et al., "Long-term Leap Attention, Short-term Periodic Shift for Video Classification",
Sections 4.1 and 4.4.

The paper gives epochs, milestones and augmentation; the optimiser, learning rates, label smoothing and the gradient
norm are the official code's (https://github.com/VideoNetworks/LAPS-transformer at bf1a249, `main_tokshift.py` and the
configs of its version 1), which also measures the statistics of batch norm anew before every test ("precise BN").
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from vtbench.methods.base import ScheduledClassifier

SECTION_4_1: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.09023,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "epochs": 18,
    "warmup_epochs": 0.0,
    "schedule": "step",
    "milestones": (10, 15),
    "gamma": 0.1,
    "label_smoothing": 0.1,
}
"""The arguments of ScheduledClassifier that a recipe leaves out, for 8 frames of 224 pixels."""


class LAPS(ScheduledClassifier):
    """Base2D, Base3D and LAPS on Visformer, ResT and ViT: one optimiser, one parameter group, one schedule for all."""

    def __init__(self, network: nn.Module, *, precise_bn: int | None = None, **recipe: Any) -> None:
        """`precise_bn`: batches of training clips over which the mean and variance of every batch norm are averaged
        when the training is over and before a validation; None leaves the running averages of the training."""
        super().__init__(network, **{**SECTION_4_1, **recipe})
        self.precise_bn = precise_bn

    def on_validation_start(self) -> None:
        """Statistics first: they are what the epoch is judged with."""
        super().on_validation_start()
        self._measure_batch_norm(self.trainer.datamodule)  # type: ignore[attr-defined]

    def finish(self, data: L.LightningDataModule, device: torch.device) -> None:
        """Statistics of the final weights, which the running averages of the last steps only come near to."""
        self.to(device)
        self._measure_batch_norm(data)

    @torch.no_grad()
    def _measure_batch_norm(self, data: L.LightningDataModule) -> None:
        if self.precise_bn is None:
            return
        loader = data.train_dataloader()
        loader.sampler.set_epoch(self.epochs + self.current_epoch)  # clips that no epoch of the training draws
        update_bn(islice(loader, self.precise_bn), self.network, device=self.device)
