"""The files of weights that a training needs: what it starts from, and those of its audio encoder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vtbench.errors import WeightsError
from vtbench.models import AUDIO_WEIGHTS, build_audio_encoder
from vtbench.naming import load
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run.settings import Settings
from vtbench.weights import HOSTED, hosted_file


def start_file(training: Training, settings: Settings) -> Path | None:
    """What a training starts from: the weights of another training, or named ones; None for random weights."""
    start = training.init
    if start.training is not None:
        return folders.training_folder(settings.results, start.training.key) / folders.WEIGHTS
    return None if start.weights is None else weights_file(start.weights, settings)


def audio_encoder(name: str, settings: Settings) -> tuple[nn.Module, Path | None]:
    """An audio encoder with the weights given under its own name, and their file; None for one that has none.

    Raises WeightsError for a file that is not given or does not fit.
    """
    encoder = build_audio_encoder(name)
    if name not in AUDIO_WEIGHTS:
        return encoder, None
    path = weights_file(name, settings)
    load(name, AUDIO_WEIGHTS, "audio encoder")(encoder, path)
    return encoder, path


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
