"""What a ViT can start from but timm's weights: checkpoints of the official TokenShift code.

Source: https://github.com/VideoNetworks/TokShift-Transformer at a7abb7e (`vit_models/modeling_tokshift.py`,
`model/video_net.py`). Its ViT and TokShift networks have the same parameters, so a file does not show which it is of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from vtbench.weights import Foreign

_PARTS = {
    "transformer.embeddings.patch_embeddings": "patch_embed.proj",
    "transformer.embeddings.position_embeddings": "pos_embed",
    "transformer.embeddings.cls_token": "cls_token",
    "transformer.encoder.encoder_norm": "norm",
    "head": "head",
}
_BLOCK_PARTS = {
    "attention_norm": "norm1",
    "ffn_norm": "norm2",
    "attn.out": "attn.proj",
    "ffn.fc1": "mlp.fc1",
    "ffn.fc2": "mlp.fc2",
}
_BLOCK = re.compile(r"transformer\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")


def from_tokshift(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """A state dict of the official TokenShift code, or of the ViT code it uses, in timm's names; None for another.

    Query, key and value are stacked to timm's `qkv`, in this order. Keys that the official network does not have keep
    their names. Raises ValueError if query, key and value cannot be stacked.
    """
    if "transformer.encoder.layer.0.attn.query.weight" not in state:
        return None
    converted: dict[str, Tensor] = {}
    renamed: dict[str, tuple[str, ...]] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        name = _timm_name(key)
        if name is None:
            converted[key] = tensor
            continue
        renamed[key] = (name,)
        if ".attn.qkv." in name:
            thirds.setdefault(name, {})[key.split(".")[-2]] = tensor
        else:
            converted[name] = tensor
    for name, parts in thirds.items():
        try:
            converted[name] = torch.cat([parts["query"], parts["key"], parts["value"]])
        except (KeyError, RuntimeError) as e:  # one of them is missing, or of another width
            raise ValueError(f"TokenShift checkpoint with a broken attention ({e})") from e
    return Foreign("tokshift", converted, renamed)


def _timm_name(key: str) -> str | None:
    """timm's name for an official key, None if the official network has no such key."""
    if block := _BLOCK.fullmatch(key):
        number, part, leaf = block.groups()
        if part in ("attn.query", "attn.key", "attn.value"):
            return f"blocks.{number}.attn.qkv.{leaf}"
        return f"blocks.{number}.{_BLOCK_PARTS[part]}.{leaf}" if part in _BLOCK_PARTS else None
    if key in _PARTS:
        return _PARTS[key]
    part, _, leaf = key.rpartition(".")
    return f"{_PARTS[part]}.{leaf}" if part in _PARTS else None
