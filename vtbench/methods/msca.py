"""MSCA's training recipe: Hashiguchi and Tamaki, "Temporal Cross-attention for Action Recognition", Section 4.1.

The paper trains with "the same settings as" TokenShift. What it leaves out is taken from TokenShift's official code
(label smoothing 0.1, gradient norm clipped at 1.0, no warm-up); the spec beside each table names every source.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from vtbench.methods.base import OneGroup


class MSCA(OneGroup):
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
        """The defaults are Section 4.1."""
        super().__init__(
            network,
            optimizer=optimizer,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            epochs=epochs,
            warmup_epochs=warmup_epochs,
            schedule=schedule,
            milestones=milestones,
            gamma=gamma,
            label_smoothing=label_smoothing,
        )
