"""Weights to a file."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn


def save_network(network: nn.Module, path: Path) -> None:
    """The state dict as safetensors; weights that are shared are written under each of their names."""
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, value in network.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in stored:
            tensor = tensor.clone()
        stored.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    save_file(tensors, path)
