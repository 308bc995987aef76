"""Checkpoints of the official LAPS code, and image weights of the backbones that it starts from.

Source: https://github.com/VideoNetworks/LAPS-transformer at bf1a249 (`visformer/models_LAPS.py`, `Rest/rest_cyc_t.py`,
`timm/models/vit_laps.py`). Leap attention and shift have no parameters, so a file does not tell which of the networks
of one backbone it is of. Its ViT has timm's names: nothing to convert.
"""

from __future__ import annotations

from torch import Tensor


def convert_laps(state: dict[str, Tensor]) -> tuple[str, dict[str, Tensor], dict[str, str]] | None:
    """(format, state dict in our names, official key -> our key); None if it is of no network of that code.

    "laps-visformer": the Visformer of its authors, also as image weights; timm has no `.bn.` in the names of the batch
    norms and otherwise the same names and layout. "rest": ResT v1, in names that are ours too.
    """
    if "stem.1.bn.weight" in state:
        renamed = {key: key.replace(".bn.", ".") for key in state if ".bn." in key}
        return "laps-visformer", {renamed.get(key, key): tensor for key, tensor in state.items()}, renamed
    if "stem.pos.pa_conv.weight" in state:
        return "rest", state, {}
    return None
