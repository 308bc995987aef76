"""PST's training recipe: Xiang et al., "Spatiotemporal Self-attention Modeling with Temporal Patch Shift for Action
Recognition", Section 4.2.

The paper gives optimiser, rates, epochs, weight decay and batch size; the factors of the parameter groups and the label
smoothing are the official code's (https://github.com/MartinXM/TPS at e913d2a, configs/recognition/tps/). The numbers
stand in benchmarks/pst/, each with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Gt
from torch import nn

from vtbench.methods.base import ScheduledClassifier

TABLES = "relative_position_bias_table"


class PST(ScheduledClassifier):
    """2D and video Swin, PST and DeiT: one optimiser, three parameter groups, one schedule for all of them."""

    validation_crops: ClassVar[int] = 1

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        backbone_lr: Annotated[float, Gt(0)] | None = None,
        **recipe: Any,
    ) -> None:
        """`backbone_lr`: factor of the learning rate of everything but the head and the tables of position biases;
        None is 1. `recipe`: the arguments of ScheduledClassifier."""
        super().__init__(network, **recipe)
        self.backbone_lr = 1.0 if backbone_lr is None else backbone_lr

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Head, parameters without weight decay, and the rest.

        In the code the tables of position biases have the full rate and no weight decay, and the rest, norms included,
        a tenth of the rate with weight decay: of its keys `relative_position_bias_table`, `backbone` and `norm`, mmcv
        takes the longest that is in a parameter's name, and no other (pst-lr-groups). `no_decay` of None is the tables.
        """
        undecayed = (TABLES,) if self.no_decay is None else tuple(self.no_decay)
        head: list[nn.Parameter] = []
        tables: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            is_table = name.endswith(undecayed)
            (head if name.startswith("head.") else tables if is_table else rest).append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": head},
            {"params": tables, "weight_decay": 0.0},
            {"params": rest, "lr": self.lr * self.backbone_lr},
        ]
        return [group for group in groups if group["params"]]
