"""The networks by name. Importing this module does not import torch; `build` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError
from vtbench.naming import load

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, str] = {
    "vit": "vtbench.models.vit:vit",
    "tokenshift": "vtbench.models.tokenshift:tokenshift",
    "msca": "vtbench.models.msca:msca",
    "msca_patch": "vtbench.models.msca:msca_patch",
    "visformer": "vtbench.models.visformer:visformer",
    "rest": "vtbench.models.rest:rest",
    "laps_visformer": "vtbench.models.laps:laps_visformer",
    "laps_rest": "vtbench.models.laps:laps_rest",
    "laps_vit": "vtbench.models.laps:laps_vit",
    "swin": "vtbench.models.swin:swin",
    "pst": "vtbench.models.pst:pst",
    "pst_vit": "vtbench.models.pst:pst_vit",
    "mmvit": "vtbench.models.mmvit:mmvit",
}
"""Name in a spec -> `module:builder`. A builder takes keyword arguments only and returns the network."""

AUDIO_ENCODERS: dict[str, str] = {
    "vggish": "vtbench.models.vggish:VGGish",
    "mel": "vtbench.models.vggish:MelStatistics",
}
AUDIO_WEIGHTS: dict[str, str] = {"vggish": "vtbench.weights.vggish:load_vggish"}


def build_audio_encoder(name: str) -> nn.Module:
    encoder: nn.Module = load(name, AUDIO_ENCODERS, "audio encoder")()
    return encoder


def build(name: str, **arguments: Any) -> nn.Module:
    """The network `name`, of MODELS or `package.module:builder`, with the keyword arguments of its builder.

    Clips (B, T, 3, H, W) -> logits (B, num_classes). Raises UsageError for an unknown name, for a module that cannot be
    imported and for a builder that gives no network, ValueError for impossible arguments and TypeError for arguments
    that the builder does not have.
    """
    builder = load(name, MODELS, "model")
    if not callable(builder):
        raise UsageError(f"model {name}: is no builder; name a function or a class that gives a torch.nn.Module")
    network: nn.Module = builder(**arguments)
    if not hasattr(network, "named_parameters"):
        raise UsageError(f"model {name}: gave {type(network).__name__}, not a torch.nn.Module")
    return network
