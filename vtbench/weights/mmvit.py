"""MM-ViT from the weights of a ViT: arXiv:2108.09322 Section 4.1 starts from "ViT-B/16 pretrained on ImageNet-21K".

How is not said. Here it is TimeSformer's way (arXiv:2102.05095, which MM-ViT's blocks extend): every added attention
begins with the weights of the one over space, behind a linear layer that is zero. The embedding of a picture serves
every modality that has its three channels, its positions motion vectors too; what else a modality needs is drawn anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

_BLOCK = re.compile(r"(blocks\.\d+)\.(norm1|attn\.qkv|attn\.proj|norm2|mlp\.fc1|mlp\.fc2)\.(weight|bias)")
_ATTENTIONS = ("joint", "space", "time", "modality")
_OF_PICTURES = ("patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed")
_FIRST = "blocks.0.mlp.norm.weight"
"""A key that MM-ViT has and a ViT has not."""


def expand_vit(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]] | None:
    """(state dict of what the network takes from a ViT's, key of the ViT -> its keys in the network); None unless
    `state` is a ViT's in timm's names and `wanted` the state dict of an MM-ViT.

    What is in neither answer the ViT cannot give: the network keeps it as it was drawn. Keys of the ViT that serve
    nothing keep their names; of the embedding and positions of pictures, which a network may have no modality for, they
    serve () and are in no answer.
    """
    if _FIRST not in wanted or "blocks.0.attn.qkv.weight" not in state:
        return None
    expanded: dict[str, Tensor] = {}
    served: dict[str, tuple[str, ...]] = {}
    for key, tensor in state.items():
        made = {name: part for name, part in _targets(key, tensor, state) if name in wanted}
        if not made and key in _OF_PICTURES:
            served[key] = ()
            continue
        expanded |= made or {key: tensor}
        served[key] = tuple(made) or (key,)
    return expanded, served


def _targets(key: str, tensor: Tensor, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What a tensor of a ViT may become: names in the network, not all of which it need have."""
    block = _BLOCK.fullmatch(key)
    if block:
        prefix, part, kind = block.groups()
        for attention in _ATTENTIONS:
            if part == "norm1":
                yield f"{prefix}.{attention}.norm.{kind}", tensor
            elif part == "attn.proj":
                yield f"{prefix}.{attention}.proj.{kind}", tensor
            elif part == "attn.qkv":
                for name, third in zip("qkv", tensor.chunk(3), strict=True):
                    yield f"{prefix}.{attention}.{name}.{kind}", third
        if part == "norm2":
            yield f"{prefix}.mlp.norm.{kind}", tensor
        elif part.startswith("mlp."):
            yield key, tensor
    elif key.startswith("patch_embed.proj."):
        kind = key.rpartition(".")[2]
        for modality in ("iframe", "residual"):
            yield f"patch_embed.{modality}.{kind}", tensor
    elif key == "pos_embed":
        for modality in ("iframe", "motion", "residual"):
            yield f"pos_embed.{modality}", tensor[0, 1:]
    elif key == "cls_token":
        first = state.get("pos_embed")
        yield key, tensor if first is None else tensor + first[:, :1]
    else:
        yield key, tensor


def drawn_anew(name: str) -> bool:
    """Whether a parameter of an MM-ViT has no counterpart in a ViT."""
    return bool(
        re.fullmatch(
            r"time_embed\..+|patch_embed\.(motion|audio)\..+|blocks\.\d+\.((time|modality)\.fc|modality\.merged_norm|conv)\..+",
            name,
        )
    )
