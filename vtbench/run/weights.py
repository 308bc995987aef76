"""The weights that a training starts from, and those of the encoder of sound: the files, and loading them."""

from __future__ import annotations

from pathlib import Path

import torch

from vtbench.errors import WeightsError
from vtbench.models.weights.vggish import load_vggish
from vtbench.papers.spec.recipe import Data
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run.network import build_audio_encoder
from vtbench.run.settings import Settings
from vtbench.weights import HOSTED, hosted_file, load_weights, sha256_of


def initialise(network: torch.nn.Module, training: Training, settings: Settings) -> str | None:
    """Load what the training starts from; gives the SHA-256 of that file, None for random weights."""
    start = training.init
    if start.training is not None:
        path = folders.training_folder(settings.results, start.training.key) / folders.WEIGHTS
    elif start.weights is not None:
        path = weights_file(start.weights, settings)
    else:
        return None
    load_weights(network, path)
    return sha256_of(path)


def audio_encoder(data: Data, settings: Settings) -> torch.nn.Module | None:
    """What turns the sound of clips into features, where they have any, with the weights given as `vggish` where it is
    VGGish. It is never trained. Raises WeightsError."""
    encoder = build_audio_encoder(data)
    if encoder is not None and data.audio_encoder == "vggish":
        load_vggish(encoder, weights_file(data.audio_encoder, settings))
    return encoder


def vggish_sha256(data: Data, settings: Settings) -> str | None:
    return sha256_of(weights_file("vggish", settings)) if data.audio_encoder == "vggish" else None


def weights_file(name: str, settings: Settings) -> Path:
    """The file of named weights: the one given, else downloaded where the name has a pinned release.

    Raises WeightsError, with the option to give, when there is neither.
    """
    if name in settings.weights:
        return settings.weights[name]
    if name in HOSTED:
        return hosted_file(name)
    raise WeightsError(
        f"the weights '{name}' have no file: give --weights {name}=FILE (`vtbench show` says which the paper used), "
        f"or weights: {{{name}: FILE}} in vtbench.yaml"
    )


def can_download(name: str) -> bool:
    """Whether the named weights need no file of the user's."""
    return name in HOSTED
