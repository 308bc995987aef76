"""Swin transformers of other code, in the names of torchvision's SwinTransformer3d, which are ours.

Sources: timm; Microsoft's https://github.com/microsoft/Swin-Transformer; torchvision, for images and for videos; Video
Swin and PST as https://github.com/MartinXM/TPS at e913d2a has them (`mmaction/models/backbones/swin_transformer.py` and
`swin_transformer2d_tps.py`). The patch embedding of an image becomes one of tubelets of one frame; to fit it and the
tables of biases to a network is `load_weights`' part.

PST's files keep two indices of biases, which Video Swin's do not; a shift has no parameters, so they do not show which
of the networks they are of. Their weights are those of `model.key_frame=first`, the one thing that PST's code has
otherwise than `pst` by default: `vtbench eval --set model.key_frame=first`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from vtbench.weights import Foreign

BUFFERS = ("relative_position_index", "relative_position_index_old", "attn_mask")
"""Last parts of keys that hold no weights: they follow from sizes, and vtbench computes them."""

_FIRST_TABLE = "blocks.0.attn.relative_position_bias_table"
_BACKBONE = "backbone."
_HEADS = ("head.fc.", "cls_head.fc_cls.")
_EMBEDDING = {"0": "patch_embed.proj", "2": "patch_embed.norm"}
_LAYER = re.compile(r"layers\.(\d+)\.(blocks|downsample)\.(.+)")
_FEATURE = re.compile(r"features\.(\d+)\.(.+)")


def from_swin(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """The state dict of a Swin transformer in our names; None for another network's.

    Formats: "timm", "swin" (Microsoft's), "torchvision", "video-swin" and "pst" (official checkpoints with a head of
    mmaction). What none of these networks has keeps its name. Raises ValueError if two keys would have the same name.
    """
    names = {key: key.removeprefix(_BACKBONE) for key in state}
    known = set(names.values())
    if f"layers.0.{_FIRST_TABLE}" in known:
        # Patches are merged at the end of a stage; timm counts that to the next one.
        merged_late = "layers.0.downsample.reduction.weight" in known
        ours = {key: _from_layers(name, merged_late=merged_late) for key, name in names.items()}
        if any(name.endswith("relative_position_index_old") for name in known):
            format_ = "pst"
        elif any(key.startswith(_BACKBONE) for key in state):
            format_ = "video-swin"
        else:
            format_ = "swin" if merged_late else "timm"
    elif "features.1.0.attn.relative_position_bias_table" in known and "features.0.0.weight" in known:
        format_, ours = "torchvision", {key: _from_image_features(key) for key in state}
    elif "features.0.0.attn.relative_position_bias_table" in known:
        format_, ours = "torchvision", {key: key for key in state}
    else:
        return None
    left_out = {
        key: "no weight, computed from the sizes"
        for key in state
        if key.rpartition(".")[2] in BUFFERS and key not in wanted
    }
    ours = {key: name for key, name in ours.items() if key not in left_out}
    converted = {name: state[key] for key, name in ours.items()}
    if len(converted) != len(ours):
        twice, _ = Counter(ours.values()).most_common(1)[0]
        raise ValueError(f"Swin checkpoint with two tensors for {twice}")
    embedding = converted.get("patch_embed.proj.weight")
    if embedding is not None and embedding.ndim == 4:
        converted["patch_embed.proj.weight"] = embedding.unsqueeze(2)
    return Foreign(format_, converted, {key: (name,) for key, name in ours.items() if name != key}, left_out)


def _from_layers(name: str, *, merged_late: bool) -> str:
    """Our name for one of timm's, Microsoft's or mmaction's."""
    for head in _HEADS:
        if name.startswith(head):
            return f"head.{name.removeprefix(head)}"
    layer = _LAYER.fullmatch(name)
    if not layer:
        return name
    stage, part, rest = 2 * int(layer[1]), layer[2], layer[3]
    if part == "downsample":
        return f"features.{stage + 1 if merged_late else stage - 1}.{rest}"
    return f"features.{stage}.{rest.replace('mlp.fc1.', 'mlp.0.').replace('mlp.fc2.', 'mlp.3.')}"


def _from_image_features(name: str) -> str:
    """Our name for one of torchvision's SwinTransformer, whose first feature is the patch embedding."""
    feature = _FEATURE.fullmatch(name)
    if not feature:
        return name
    number, rest = int(feature[1]), feature[2]
    if number:
        return f"features.{number - 1}.{rest}"
    part, _, leaf = rest.partition(".")
    return f"{_EMBEDDING[part]}.{leaf}" if part in _EMBEDDING else name
