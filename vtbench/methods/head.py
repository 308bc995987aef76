"""How a classification head starts, where a recipe says so and not the network."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from vtbench.errors import UsageError
from vtbench.methods.optimizers import known_name

HeadInit = Literal["zero", "normal", "trunc_normal"]
"""What a classification head starts from; normal and trunc_normal around 0, the latter cut at 2."""


def start_head(network: nn.Module, how: HeadInit, std: float | None) -> None:
    """Initialise the linear layer `head` of a network. Raises UsageError for a network without one."""
    known_name("head_init", how, get_args(HeadInit))
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Linear):
        raise UsageError(f"head_init needs a network whose `head` is a linear layer; {type(network).__name__} has none")
    if how == "zero":
        nn.init.zeros_(head.weight)
    elif how == "normal":
        nn.init.normal_(head.weight, std=std or 0.0)
    else:
        nn.init.trunc_normal_(head.weight, std=std or 0.0)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
