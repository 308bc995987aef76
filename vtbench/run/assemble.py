"""From what the paper side says of a training to the objects that Lightning takes: the only translator.

parts = assemble(training, settings)
parts.load_start()
lightning.Trainer(**parts.trainer).fit(parts.method, parts.data)
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from vtbench.datasets.module import VideoData
from vtbench.errors import SpecError, UsageError
from vtbench.methods import build_method
from vtbench.methods.base import VideoClassifier
from vtbench.naming import guarded
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.data import Batches, data_module, split_batch
from vtbench.run.network import build_network
from vtbench.run.settings import Settings
from vtbench.run.weights import audio_encoder, start_file
from vtbench.weights import LoadReport, load_weights, sha256_of


@dataclass(frozen=True)
class Assembly:
    """One training run, or one evaluation of it, as objects: nothing has been read or trained yet."""

    training: Training
    network: nn.Module
    method: VideoClassifier
    data: VideoData
    trainer: dict[str, Any]
    """Arguments of lightning.Trainer; callbacks, logger and folder are the caller's."""
    batches: Batches
    start: Path | None
    """The file of weights to start from; None for random ones."""
    audio_weights: Path | None
    """The file of weights of the audio encoder, which are loaded; None where there is none that has any."""

    def load_start(self) -> LoadReport | None:
        """Load what the training starts from into the network. Raises WeightsError for a file that does not fit."""
        return load_weights(self.network, self.start) if self.start is not None else None

    @property
    def start_sha256(self) -> str | None:
        """SHA-256 of the file of weights to start from."""
        return sha256_of(self.start) if self.start else None

    @property
    def audio_sha256(self) -> str | None:
        """SHA-256 of the file of weights of the audio encoder."""
        return sha256_of(self.audio_weights) if self.audio_weights else None


def assemble(
    training: Training,
    settings: Settings,
    *,
    evaluation: Evaluation | None = None,
    network: nn.Module | None = None,
) -> Assembly:
    """The network, the method, the data module and the trainer's options of a training, or of a test of it.

    - evaluation: whose data and views are tested; then the method only tests, and nothing is started from
    - network: one to use in place of the spec's, for clips of the spec's data

    Seeds everything with the training's seed first, so a network's random weights depend on it alone. Raises a
    VtbenchError that names what cannot be built or is not there.
    """
    _one_thread_below_paper_scale(training)
    L.seed_everything(training.seed, workers=True, verbose=False)
    made = build_network(training) if network is None else network
    data = evaluation.data if evaluation else training.data
    encoder, audio_weights = audio_encoder(data.audio_encoder, settings) if data.audio_encoder else (None, None)
    batches = split_batch(training, settings.batch_size)
    method: VideoClassifier
    if evaluation:
        method = VideoClassifier(made, average=evaluation.eval.average, audio_encoder=encoder)
    else:
        method = _method(training, made, batches.lr, {} if encoder is None else {"audio_encoder": encoder})
    return Assembly(
        training=training,
        network=made,
        method=method,
        data=data_module(data, training, settings, evaluation=evaluation, validation=method.validation),
        trainer=_COMMON | _device(training) | ({} if evaluation else _fitting(training, batches, method)),
        batches=batches,
        start=None if evaluation else start_file(training, settings),
        audio_weights=audio_weights,
    )


def _method(training: Training, network: nn.Module, lr: float, given: dict[str, Any]) -> VideoClassifier:
    """The method around its network. Raises SpecError for arguments that do not go together, and for those that a
    method of the user's own does not take."""
    train = training.train
    recipe = copy.deepcopy(dict(train.arguments))
    try:
        with guarded(train.method, "method", "change its __init__ or the train block"):
            return build_method(train.method, network, lr=lr, epochs=train.epochs, **recipe, **given)
    except UsageError as error:
        raise SpecError(f"train: {error}") from error


_COMMON = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
}
"""What every Trainer here has in common: vtbench draws its own progress and keeps its own checkpoints."""


def _device(training: Training) -> dict[str, Any]:
    return {"accelerator": "auto" if training.scale == "paper" else "cpu", "devices": 1}


def _fitting(training: Training, batches: Batches, method: VideoClassifier) -> dict[str, Any]:
    return {
        "max_epochs": training.train.epochs,
        "accumulate_grad_batches": batches.accumulate,
        "gradient_clip_val": training.train.clip_grad_norm,
        "precision": training.train.precision,
        "limit_val_batches": 1.0 if method.validation else 0,
    }


def _one_thread_below_paper_scale(training: Training) -> None:
    """Small networks gain nothing from threads, and with one the numbers do not depend on the machine's cores."""
    if training.scale != "paper":
        torch.set_num_threads(1)
