"""One training, top to bottom: build, load what it starts from, train, keep the weights.

The paper side says what (a frozen Training), the tensor side does it (plain keyword arguments). launch.py runs many.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import lightning as L
import torch

from vtbench.errors import ResultsError, RunError
from vtbench.methods import build_method
from vtbench.methods.base import VideoClassifier
from vtbench.naming import guarded
from vtbench.papers.spec.recipe import METHOD_OPTIONS
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run.callbacks import BestEpoch, EpochJournal, Progress, no_progress, save_network
from vtbench.run.data import data_module, split_batch
from vtbench.run.network import build_network
from vtbench.run.session import ERROR, environment, errors_in_one_line, one_thread_below_paper_scale, quiet_trainer
from vtbench.run.settings import Settings
from vtbench.run.weights import audio_encoder, initialise, vggish_sha256
from vtbench.weights import load_weights, sha256_of


def train(training: Training, settings: Settings, progress: Progress = no_progress) -> Path:
    """Train, or continue, or do nothing if it is done; gives the run folder with the weights.

    A training that was broken off goes on after its last whole epoch and ends with the numbers it would have had.
    Raises a VtbenchError that names the file at fault.
    """
    folder = folders.training_folder(settings.results, training.key)
    with folders.locked(folder):
        if not folders.is_trained(folder):
            with errors_in_one_line(folder):
                _train(training, settings, progress, folder)
    return folder


def _train(training: Training, settings: Settings, progress: Progress, folder: Path) -> None:
    one_thread_below_paper_scale(training)
    folders.write_json(folder / folders.CONFIG, dataclasses.asdict(training))
    L.seed_everything(training.seed, workers=True, verbose=False)
    data = data_module(training.data, training, settings)
    data.setup()  # both lists: a test list that is not there should be told before the training, not after it
    network = build_network(training)
    init_sha256 = initialise(network, training, settings)
    batches = split_batch(training, settings.batch_size)
    recipe = dataclasses.asdict(training.train)
    options = {name: recipe[name] for name in METHOD_OPTIONS if recipe[name] is not None}
    if encoder := audio_encoder(training.data, settings):
        options["audio_encoder"] = encoder
    method = _method(training.train.method, network, {"lr": batches.lr, **options})
    journal = EpochJournal(
        folder,
        seed=training.seed,
        epochs=training.train.epochs,
        batch_size=batches.batch_size,
        data_fingerprint=data.fingerprint("train"),
        progress=progress,
    )
    best = BestEpoch(folder, data.fingerprint("test")) if training.train.keep == "best_on_test" else None
    last = folder / folders.CHECKPOINT
    logger = _train_logger(training, settings, folder)
    trainer = L.Trainer(
        max_epochs=training.train.epochs,
        accumulate_grad_batches=batches.accumulate,
        gradient_clip_val=training.train.clip_grad_norm,
        precision=training.train.precision,
        callbacks=[journal, best] if best else [journal],
        limit_val_batches=1.0 if best or data.holdout else 0,
        logger=logger,
        **quiet_trainer(training, folder),
    )
    _refuse_damaged(last)
    try:
        trainer.fit(method, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    finally:
        if logger:
            logger.experiment.finish()  # the next training of this process is a run of its own
    if trainer.interrupted or trainer.current_epoch < training.train.epochs:
        raise RunError(
            f"{folder}: broken off after {trainer.current_epoch} of {training.train.epochs} epochs; "
            "run again to continue"
        )
    if best:
        load_weights(network, best.path, expect_head=True)
    else:
        method.finish(data, trainer.strategy.root_device)
    folders.replace_file(folder / folders.WEIGHTS, lambda half: save_network(network, half))
    folders.write_json(
        folder / folders.DONE,
        {
            "training_key": training.key,
            "epochs": training.train.epochs,
            "batch_size": batches.batch_size,
            "accumulate": batches.accumulate,
            "lr": batches.lr,
            "wall_s": round(journal.elapsed_s, 3),
            "init_sha256": init_sha256,
            "vggish_sha256": vggish_sha256(training.data, settings),
            "weights_sha256": sha256_of(folder / folders.WEIGHTS),
            "videos": len(data.train_entries),
            "videos_silent": data.silent_train_videos,
            "data_fingerprint": journal.data_fingerprint,
            **({"kept_epoch": best.epoch, "kept_top1": best.top1, "kept_failures": best.failures} if best else {}),
            **environment(),
        },
    )
    last.unlink(missing_ok=True)  # optimiser state: needed to continue, and there is nothing left to continue
    (folder / folders.BEST).unlink(missing_ok=True)
    (folder / ERROR).unlink(missing_ok=True)


def _method(name: str, network: torch.nn.Module, options: dict[str, Any]) -> VideoClassifier:
    """The method around its network. Raises SpecError where a method of the user's own does not take the options."""
    with guarded(name, "method", "change its __init__ or the train block"):
        return build_method(name, network, **options)


def _refuse_damaged(checkpoint: Path) -> None:
    """ResultsError for a checkpoint that a training cannot be continued from; a missing one is in order."""
    if not checkpoint.exists():
        return
    try:
        torch.load(checkpoint, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise ResultsError(
            f"{checkpoint}: cannot be read, so the training cannot be continued; remove it to train from the start"
        ) from error


def _train_logger(training: Training, settings: Settings, folder: Path) -> Any:
    if settings.wandb == "off":
        return False
    from vtbench.run.tracking import train_logger

    return train_logger(training, settings.wandb, folder)
