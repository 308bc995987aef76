"""MSCA's training recipe: Hashiguchi and Tamaki, "Temporal Cross-attention for Action Recognition", Section 4.1.

The paper trains with "the same settings as" TokenShift. What it leaves out is taken from TokenShift's official code
(label smoothing 0.1, gradient norm clipped at 1.0, no warm-up); the spec beside each table names every source.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from vtbench.methods.base import VideoClassifier, lr_factor


class MSCA(VideoClassifier):
    """Frame-wise ViT, TokenShift and MSCA: one optimiser, one parameter group, one schedule for all of them."""

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        epochs: int = 12,
        warmup_epochs: float = 0.0,
        schedule: Literal["step", "cosine"] = "step",
        milestones: tuple[int, ...] = (10,),
        gamma: float = 0.1,
        label_smoothing: float = 0.1,
    ) -> None:
        """The defaults are Section 4.1; `lr` is for the batch in use (the caller applies the scaling rule).

        `momentum` is SGD's; AdamW, which only the mini scale uses, keeps torch's betas.
        """
        super().__init__(network, label_smoothing=label_smoothing)
        self.optimizer_name = optimizer
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.epochs, self.warmup_epochs = epochs, warmup_epochs
        self.schedule, self.milestones, self.gamma = schedule, list(milestones), gamma

    def configure_optimizers(self) -> Any:
        """The optimiser, and its schedule evaluated after every optimiser step."""
        optimizer: torch.optim.Optimizer
        if self.optimizer_name == "sgd":
            optimizer = torch.optim.SGD(
                self.parameters(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
            )
        else:
            optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps_per_epoch = max(int(self.trainer.estimated_stepping_batches) / self.epochs, 1)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: lr_factor(
                step / steps_per_epoch,
                epochs=self.epochs,
                schedule=self.schedule,
                milestones=self.milestones,
                gamma=self.gamma,
                warmup_epochs=self.warmup_epochs,
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
