"""The networks by name. Importing this module does not import torch; `build` does."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError, unknown
from vtbench.naming import guarded, load

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

MODELS: dict[str, str] = {
    "vit": "vtbench.models.vit:ViTConfig",
    "tokenshift": "vtbench.models.tokenshift:TokenShiftConfig",
    "msca": "vtbench.models.msca:MSCAConfig",
    "msca_patch": "vtbench.models.msca:MSCAPatchConfig",
    "visformer": "vtbench.models.visformer:VisformerConfig",
    "rest": "vtbench.models.rest:ResTConfig",
    "laps_visformer": "vtbench.models.laps:LAPSVisformerConfig",
    "laps_rest": "vtbench.models.laps:LAPSResTConfig",
    "laps_vit": "vtbench.models.laps:LAPSViTConfig",
    "swin": "vtbench.models.swin:SwinConfig",
    "pst": "vtbench.models.pst:PSTConfig",
    "pst_vit": "vtbench.models.pst:PSTViTConfig",
    "mmvit": "vtbench.models.mmvit:MMViTConfig",
}
"""Name in a spec -> `module:builder`. Here a builder is a dataclass of the network's arguments with `build()`; one of
the user's may also be a function, or the network's class."""

_NAMED = {
    "vit": "vit_b16 vit_b16_base2d",
    "tokenshift": "tokenshift_b16",
    "msca": "msca_q msca_k msca_v msca_qk msca_kv msca_qv msca_qkv "
    "msca_pq msca_pk msca_pv msca_pqk msca_pkv msca_pqv msca_pqkv",
    "visformer": "visformer_s",
    "rest": "rest_s rest_b rest_l",
    "laps": "base3d_visformer_s plain_shift_visformer_s p_shift_visformer_s la_visformer_s laps_visformer_s "
    "laps_visformer_b laps_visformer_l laps_visformer_h laps_visformer_e laps_rest_s laps_rest_b laps_rest_l "
    "laps_vit_b16",
    "swin": "swin_2d_t swin_2d_b video_swin_t video_swin_b",
    "pst": "pst_t pst_t_dagger pst_b pst_b_dagger deit_s_2d deit_s_tsm deit_s_tps",
    "mmvit": "mmvit_i mmvit_ii mmvit_iii mmvit_iii_co mmvit_iii_shift_merge mmvit_iv",
}
VARIANTS: dict[str, str] = {
    name: f"vtbench.models.{module}:{name}" for module, names in _NAMED.items() for name in names.split()
}
"""Networks as the papers' tables name them -> `module:function`, which takes num_classes, num_frames and img_size.
They can be imported from here, `from vtbench.models import msca_kv`. A spec writes the arguments out, under a name of
MODELS."""

AUDIO_ENCODERS: dict[str, str] = {
    "vggish": "vtbench.models.vggish:VGGish",
    "mel": "vtbench.models.vggish:MelStatistics",
}
"""What turns log-mel patches (..., 96, 64) into features (..., 128), by name -> `module:class`."""
AUDIO_WEIGHTS: dict[str, str] = {"vggish": "vtbench.models.weights.vggish:load_vggish"}
"""Those of AUDIO_ENCODERS that need a file of weights, given under the same name -> `module:function`, which loads it:
load(encoder, path). It raises WeightsError."""


def build(name: str, **arguments: Any) -> nn.Module:
    """The network `name`, of MODELS, VARIANTS or `package.module:builder`, with the keyword arguments of its builder.

    Clips (B, T, 3, H, W) -> logits (B, num_classes). Raises UsageError for an unknown name, for a module that cannot be
    imported, for arguments that the builder does not have and for one that gives no network, ValueError for impossible
    arguments.
    """
    builder = load(name, {**VARIANTS, **MODELS}, "model")
    if not callable(builder):
        raise UsageError(f"model {name}: is no builder; name a function or a class that gives a torch.nn.Module")
    taken = inspect.signature(builder).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        for argument in arguments:
            if argument not in taken:
                raise UsageError(unknown("argument", argument, taken, of=f"{name}()"))
    with guarded(name, "model", "change the model block (of the row, or --set)"):
        network = builder(**arguments)
    if hasattr(network, "build") and not hasattr(network, "named_parameters"):
        network = network.build()
    if not hasattr(network, "named_parameters"):
        raise UsageError(f"model {name}: gave {type(network).__name__}, not a torch.nn.Module")
    built: nn.Module = network
    return built


def build_audio_encoder(name: str, weights: str | Path | None = None) -> nn.Module:
    """The audio encoder `name`, of AUDIO_ENCODERS or `package.module:class`, with the weights of a file, if one is
    given. Raises UsageError for an unknown name, WeightsError for a file that does not fit."""
    encoder: nn.Module = load(name, AUDIO_ENCODERS, "audio encoder")()
    if weights is not None:
        load(name, AUDIO_WEIGHTS, "audio encoder with weights")(encoder, weights)
    return encoder


def __getattr__(name: str) -> Any:
    """VARIANTS, imported when they are asked for."""
    if name not in VARIANTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load(name, VARIANTS, "model")


def __dir__() -> list[str]:
    return sorted({*globals(), *VARIANTS})
