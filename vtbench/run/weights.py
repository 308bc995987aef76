"""The files of weights that a training needs: what it starts from, and those of its audio encoder."""

from __future__ import annotations

from pathlib import Path

from vtbench.errors import WeightsError
from vtbench.models import AUDIO_WEIGHTS
from vtbench.papers.releases import other_release, releases
from vtbench.papers.trainings import Start
from vtbench.results import folders
from vtbench.run.settings import Settings
from vtbench.weights import hosted_file, sha256_of


def start_file(start: Start, settings: Settings) -> Path | None:
    """What a training starts from: the weights of another training, or named ones; None for random weights."""
    if start.training is not None:
        path = folders.training_folder(settings.results, start.training.key) / folders.WEIGHTS
        if not path.is_file():
            raise WeightsError(f"{path}: not there; train what this row starts from first, as `vtbench run` does")
        return path
    return None if start.weights is None else weights_file(start.weights, settings)


def audio_weights_file(encoder: str | None, settings: Settings) -> Path | None:
    """The weights of an audio encoder, given under its own name; None for none, or for one that has no weights."""
    return weights_file(encoder, settings) if encoder in AUDIO_WEIGHTS else None


def weights_file(name: str, settings: Settings) -> Path:
    """The file of named weights: the one given, else downloaded where the name has a pinned release.

    Raises WeightsError, with the option to give, when there is neither, and for a given file that is not the release
    unless the settings allow it.
    """
    release = releases().get(name)
    if name in settings.weights:
        path = settings.weights[name]
        if release and release.sha256 and not settings.allow_other_weights:
            sha256 = sha256_of(path)
            if wanted := other_release(name, sha256):
                raise WeightsError(
                    f"{path}: has SHA-256 {sha256[:8]}..., the weights '{name}' are {wanted}... ({release.url}); give "
                    "that file, or --allow-other-weights to use this one and record it"
                )
        return path
    if release and release.url and release.sha256:
        return hosted_file(name, release.url, release.sha256)
    source = f" ({release.url})" if release and release.url else " (`vtbench show` says which the paper used)"
    raise WeightsError(
        f"the weights '{name}' have no file: give --weights {name}=FILE{source}, or weights: {{{name}: FILE}} in "
        "vtbench.yaml"
    )
