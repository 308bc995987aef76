"""METHODS: one LightningModule per paper family, by the name that a spec's `train.method` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError
from vtbench.naming import guarded, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from vtbench.methods.base import VideoClassifier

METHODS = {
    "msca": "vtbench.methods.msca:MSCA",
    "laps": "vtbench.methods.laps:LAPS",
    "pst": "vtbench.methods.pst:PST",
    "mmvit": "vtbench.methods.mmvit:MMViT",
}


def build_method(name: str, network: nn.Module | Mapping[str, Any], **recipe: Any) -> VideoClassifier:
    """The LightningModule `name`, of METHODS or `package.module:Class`, around `network`; `recipe` are the keyword
    arguments of its constructor.

    Raises UsageError for an unknown name, for a module that cannot be imported and for a class that is no
    VideoClassifier, TypeError for a recipe that it does not take.
    """
    found = method_class(name)
    with guarded(name, "method", "change its __init__ or the train block"):
        return found(network, **recipe)


def method_class(name: str) -> type[VideoClassifier]:
    """The class of a method. Raises UsageError as `build_method` does."""
    from vtbench.methods.base import VideoClassifier

    found = load(name, METHODS, "method")
    if not (isinstance(found, type) and issubclass(found, VideoClassifier)):
        raise UsageError(f"method {name}: must be a subclass of vtbench.methods.base.VideoClassifier")
    return found
