"""MSCA's training recipe: Hashiguchi and Tamaki, "Temporal Cross-attention for Action Recognition", Section 4.1.

The paper trains with "the same settings as" TokenShift. What it leaves out is taken from TokenShift's official code
(label smoothing 0.1, gradient norm clipped at 1.0, no warm-up); the spec beside each table names every source.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from vtbench.methods.base import ScheduledClassifier

SECTION_4_1: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "epochs": 12,
    "warmup_epochs": 0.0,
    "schedule": "step",
    "milestones": (10,),
    "gamma": 0.1,
    "label_smoothing": 0.1,
}
"""The arguments of ScheduledClassifier that a recipe leaves out."""


class MSCA(ScheduledClassifier):
    """Frame-wise ViT, TokenShift and MSCA: one optimiser, one parameter group, one schedule for all of them."""

    def __init__(self, network: nn.Module, **recipe: Any) -> None:
        super().__init__(network, **{**SECTION_4_1, **recipe})
