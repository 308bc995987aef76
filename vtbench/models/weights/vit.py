"""What a ViT can start from but timm's weights: checkpoints of the official TokenShift code, Google's own files, which
that code starts from, and DeiT with a distillation token.

TokenShift: https://github.com/VideoNetworks/TokShift-Transformer at a7abb7e (`vit_models/modeling_tokshift.py`,
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


# ---- Google's files -------------------------------------------------------------------------------------------------

_GOOGLE = {
    "cls": "cls_token",
    "Transformer/posembed_input/pos_embedding": "pos_embed",
    "Transformer/encoder_norm": "norm",
    "embedding": "patch_embed.proj",
    "head": "head",
    "pre_logits": "pre_logits.fc",
}
_GOOGLE_BLOCK_PARTS = {
    "LayerNorm_0": "norm1",
    "LayerNorm_2": "norm2",
    "MlpBlock_3/Dense_0": "mlp.fc1",
    "MlpBlock_3/Dense_1": "mlp.fc2",
    "MultiHeadDotProductAttention_1/query": "attn.qkv",
    "MultiHeadDotProductAttention_1/key": "attn.qkv",
    "MultiHeadDotProductAttention_1/value": "attn.qkv",
    "MultiHeadDotProductAttention_1/out": "attn.proj",
}
_GOOGLE_BLOCK = re.compile(r"Transformer/encoderblock_(\d+)/(.+)")
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def from_google(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """The arrays of Google's `.npz` files of ViT (github.com/google-research/vision_transformer, Flax) in timm's names;
    None for another.

    Kernels are (inputs, outputs) there, with the heads as an axis of their own in attentions, and (height, width,
    inputs, outputs) in the patch embedding. Raises ValueError for a broken attention.
    """
    if "Transformer/encoderblock_0/LayerNorm_0/scale" not in state:
        return None
    converted: dict[str, Tensor] = {}
    renamed: dict[str, tuple[str, ...]] = {}
    thirds: dict[str, dict[str, Tensor]] = {}
    for key, array in state.items():
        name, part = _from_google_name(key)
        if name is None:
            converted[key] = array
            continue
        renamed[key] = (name,)
        if key.endswith("/kernel"):
            inputs = array.ndim - 1 if part == "out" else 1  # the output projection takes (heads, width of a head)
            array = array.permute(3, 2, 0, 1) if array.ndim == 4 else array.flatten(inputs).flatten(0, inputs - 1).T
        elif part in ("query", "key", "value"):
            array = array.flatten()
        if part in ("query", "key", "value"):
            thirds.setdefault(name, {})[part] = array
        else:
            converted[name] = array.contiguous()
    for name, parts in thirds.items():
        try:
            converted[name] = torch.cat([parts["query"], parts["key"], parts["value"]])
        except (KeyError, RuntimeError) as e:
            raise ValueError(f"Google's checkpoint with a broken attention ({e})") from e
    return Foreign("google", converted, renamed)


def _from_google_name(key: str) -> tuple[str | None, str]:
    """timm's name for one of Google's (None if there is none), and the last part of its module."""
    if key in _GOOGLE:
        return _GOOGLE[key], ""
    module, _, leaf = key.rpartition("/")
    part = module.rpartition("/")[2]
    if leaf not in _LEAVES:
        return None, part
    if block := _GOOGLE_BLOCK.fullmatch(module):
        number, inner = block.groups()
        known = _GOOGLE_BLOCK_PARTS.get(inner)
        return known and f"blocks.{number}.{known}.{_LEAVES[leaf]}", part
    return (f"{_GOOGLE[module]}.{_LEAVES[leaf]}" if module in _GOOGLE else None), part


# ---- DeiT -----------------------------------------------------------------------------------------------------------


def from_distilled(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """A distilled DeiT (github.com/facebookresearch/deit, models.py) for a network without its distillation token: that
    token, its position (the second) and its head are left out. None for another."""
    if "dist_token" not in state or "dist_token" in wanted:
        return None
    left_out = {key: "of the distillation token" for key in state if key.split(".")[0] in ("dist_token", "head_dist")}
    kept = {key: tensor for key, tensor in state.items() if key not in left_out}
    if (positions := kept.get("pos_embed")) is not None and positions.ndim == 3:
        kept["pos_embed"] = torch.cat([positions[:, :1], positions[:, 2:]], dim=1)
    return Foreign("deit", kept, left_out=left_out)
