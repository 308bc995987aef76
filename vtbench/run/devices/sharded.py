"""Weights that a strategy keeps in parts, one on each device, put together."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import Tensor

_PREFIX = "network."


def network_state(trainer: L.Trainer) -> dict[str, Tensor]:
    """The state dict of the network that a trainer trains or has trained. All processes call it together; it is whole
    in the first one, which alone writes files."""
    strategy, state = trainer.strategy, trainer.strategy.lightning_module_state_dict()
    if isinstance(strategy, DeepSpeedStrategy):
        state |= _full_precision(trainer.lightning_module)
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}


def _full_precision(module: torch.nn.Module) -> dict[str, Tensor]:
    """Of the parameters of which deepspeed trains a copy in float32, that copy."""
    from deepspeed.utils import safe_get_full_fp32_param

    found: dict[str, Any] = {name: safe_get_full_fp32_param(value) for name, value in module.named_parameters()}
    return {name: value for name, value in found.items() if value is not None}
