"""MM-ViT from the weights of a ViT: arXiv:2108.09322 Section 4.1 starts from "ViT-B/16 pretrained on ImageNet-21K".

How is not said. Here it is TimeSformer's way (arXiv:2102.05095, which MM-ViT's blocks extend): every added attention
begins with the weights of the one over space, behind a linear layer that is zero. The embedding of a picture serves
every modality that has its three channels, its positions motion vectors too; what else a modality needs keeps
its random values.

From a ViT of timm (`vit_base_patch16_224`) to this network; `space` is `joint` in variant I:
- `cls_token` + `pos_embed[:, :1]` -> `cls_token`; `pos_embed[0, 1:]` -> `pos_embed.<modality>` of each visual modality
- `patch_embed.proj` -> `patch_embed.iframe` and `patch_embed.residual`, which have its three channels; motion vectors
  (two channels) and audio have no counterpart
- `blocks.<i>.norm1` -> `blocks.<i>.space.norm`, `.attn.qkv` in three -> `.space.q`, `.k`, `.v`, `.attn.proj` ->
  `.space.proj`; the same four again for `.time` and `.modality`, as TimeSformer starts its attention over time
  (shift-merge has `norm`, `v` and `proj` of them)
- `blocks.<i>.norm2` -> `blocks.<i>.mlp.norm`, `.mlp.fc1` and `.mlp.fc2` as they are; `norm` as it is
- new: `time_embed`, `blocks.<i>.{time,modality}.fc`, `blocks.<i>.modality.merged_norm`, `blocks.<i>.conv`, `head`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from vtbench.weights import Foreign

_BLOCK = re.compile(r"(blocks\.\d+)\.(norm1|attn\.qkv|attn\.proj|norm2|mlp\.fc1|mlp\.fc2)\.(weight|bias)")
_ATTENTIONS = ("joint", "space", "time", "modality")
_OF_PICTURES = ("patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed")
_NEW = re.compile(
    r"time_embed\..+|patch_embed\.(motion|audio)\..+|blocks\.\d+\.((time|modality)\.fc|modality\.merged_norm|conv)\..+"
)
"""The parameters of an MM-ViT that have no counterpart in a ViT."""


def from_vit(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """What an MM-ViT takes from a ViT in timm's names; None for the state dict of another network.

    Keys of the ViT that serve nothing keep their names; of the embedding and positions of pictures, which a network may
    have no modality for, they are left out.
    """
    if "blocks.0.attn.qkv.weight" not in state:
        return None
    expanded: dict[str, Tensor] = {}
    served: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    for key, tensor in state.items():
        made = {name: part for name, part in _targets(key, tensor, state) if name in wanted}
        if not made and key in _OF_PICTURES:
            left_out[key] = "no modality for it"
            continue
        expanded |= made or {key: tensor}
        if made and tuple(made) != (key,):
            served[key] = tuple(made)
    return Foreign("timm", expanded, served, left_out, lacks=tuple(filter(_NEW.fullmatch, wanted)))


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
