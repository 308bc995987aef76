"""Weights to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn


def save_network(network: nn.Module, path: Path) -> None:
    """The state dict as safetensors; weights that are shared are written under each of their names."""
    save_state(network.state_dict(), path)


def save_state(state: Mapping[str, Tensor], path: Path) -> None:
    """As `save_network`, of a state dict."""
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in stored:
            tensor = tensor.clone()
        stored.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path)
    if path.stat().st_mode != mode:  # safetensors leaves one that only its owner can read
        path.chmod(mode)
