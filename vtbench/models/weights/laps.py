"""Checkpoints of the official LAPS code, and image weights of the backbones that it starts from.

Source: https://github.com/VideoNetworks/LAPS-transformer at bf1a249 (`visformer/models_LAPS.py`, `Rest/rest_cyc_t.py`,
`timm/models/vit_laps.py`). Leap attention and shift have no parameters, so a file does not say which of the networks
of one backbone it is of. Its ViT has timm's names: nothing to convert.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vtbench.weights import Foreign


def from_laps_visformer(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """A state dict of the Visformer of its authors, also of image weights, in timm's names; None for another. timm has
    no `.bn.` in the names of the batch norms and otherwise the same names and layout."""
    if "stem.1.bn.weight" not in state:
        return None
    names = {key: key.replace(".bn.", ".") for key in state}
    renamed = {key: (name,) for key, name in names.items() if name != key}
    return Foreign("laps-visformer", {names[key]: tensor for key, tensor in state.items()}, renamed)


def from_rest(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
    """A state dict of the official ResT v1, whose names are ours too; None for another."""
    return Foreign("rest", state) if "stem.pos.pa_conv.weight" in state else None
