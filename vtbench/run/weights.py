"""The files of weights that a training needs: what it starts from, and those of its audio encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vtbench.errors import ResultsError, RunError, WeightsError
from vtbench.models import AUDIO_WEIGHTS
from vtbench.papers.releases import other_release, releases
from vtbench.papers.trainings import Start
from vtbench.results import finished, folders
from vtbench.run.settings import Settings
from vtbench.weights import hosted_file, sha256_of


def start_file(start: Start, settings: Settings, batches: Sequence[tuple[int, float]] = ()) -> Path | None:
    """What a training starts from: the weights of another training, or named ones; None for random weights.

    `batches`: effective batch and learning rate that another training may have had: the recipe's, and what this command
    would give it. Raises RunError for others, WeightsError for weights that are not there.
    """
    if start.training is not None:
        folder = folders.training_folder(settings.results, start.training.key)
        path = folder / folders.WEIGHTS
        if not path.is_file():
            raise WeightsError(f"{path}: not there; train what this row starts from first, as `vtbench run` does")
        done = finished.read_done(folder)
        engine = done.get("engine") or {}
        sizes = {
            "--batch-size": done["batch_size"],
            "--accumulate": done["accumulate"],
            **{f"--{name.replace('_', '-')}": int(engine.get(name, 1)) for name in ("devices", "num_nodes")},
        }
        batch, lr = math.prod(sizes.values()), done["lr"]
        if batches and not any(batch == wanted and math.isclose(lr, rate) for wanted, rate in batches):
            wanted, rate = batches[0]
            given = " ".join(f"{name} {size}" for name, size in sizes.items() if size > 1 or name == "--batch-size")
            raise RunError(
                f"{folder}: what this row starts from was trained with {batch} clips per update at a rate of {lr:g}; "
                f"the recipe has {wanted} at {rate:g}: give {given} here too, or remove the folder to train it again"
            )
        return path
    return None if start.weights is None else weights_file(start.weights, settings)


def refuse_other_weights(folder: Path, sha256: str) -> None:
    """Raise ResultsError where the weights that were loaded from the folder of a training are not those that it ended
    with. `sha256`: of what was loaded."""
    wanted = finished.read_done(folder)["weights_sha256"]
    if sha256 != wanted:
        raise ResultsError(
            f"{folder / folders.WEIGHTS}: its SHA-256 is {sha256[:12]}..., the training ended with {wanted[:12]}...; "
            "put that file back, or remove the folder to train again (--again does so for a row's own training)"
        )


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
