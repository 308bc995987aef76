"""METHODS: one LightningModule per paper family, by the name that a spec's `train.method` gives."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from vtbench.methods.base import VideoClassifier

METHODS = {
    "msca": "vtbench.methods.msca:MSCA",
    "laps": "vtbench.methods.laps:LAPS",
    "pst": "vtbench.methods.pst:PST",
    "mmvit": "vtbench.methods.mmvit:MMViT",
}


def build_method(name: str, network: nn.Module, **recipe: object) -> VideoClassifier:
    """The LightningModule `name` around `network`; `recipe` are the keyword arguments of its constructor.

    Raises ValueError for a name that METHODS does not have, TypeError for a recipe it does not take.
    """
    if name not in METHODS:
        raise ValueError(f"no method '{name}'; known: {', '.join(METHODS)}")
    module, attribute = METHODS[name].split(":")
    method: VideoClassifier = getattr(import_module(module), attribute)(network, **recipe)
    return method
