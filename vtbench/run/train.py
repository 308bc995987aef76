"""One training run, top to bottom: assemble, load what it starts from, train, keep the weights."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L

from vtbench.datasets import VideoData
from vtbench.datasets.clips import TrainLoader
from vtbench.errors import ResultsError, RunError, UsageError, few
from vtbench.layers.batchnorm import has_batch_norm, is_synchronised
from vtbench.methods import processes
from vtbench.methods.base import VideoClassifier
from vtbench.papers.trainings import Training
from vtbench.results import finished, folders, provenance
from vtbench.run.assemble import Assembly, about_files, assemble
from vtbench.run.callbacks import BestWeights
from vtbench.run.devices.batches import too_many_clips
from vtbench.run.devices.machine import differences, in_full, on_gpu
from vtbench.run.devices.sharded import network_state
from vtbench.run.fitting import fitted
from vtbench.run.metering import Metering
from vtbench.run.reporting import START, Notice, Progress, no_notice, no_progress
from vtbench.run.resuming.begun import Begun
from vtbench.run.resuming.checkpoint import why_unusable
from vtbench.run.resuming.epochs import EpochCheckpoint
from vtbench.run.session import environment, errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.weights import save_state, sha256_of

if TYPE_CHECKING:
    from vtbench.run.tracking import Tracking


def train(training: Training, settings: Settings, progress: Progress = no_progress, notice: Notice = no_notice) -> Path:
    """Train, or resume, or do nothing if it is done; gives the run folder with the weights.

    Videos that are missing or cannot be read are left out as far as the settings allow; `notice` is called for them,
    and the folder lists them.

    An interrupted run resumes from its last checkpoint and ends with the numbers it would have had. A file of the
    folder that is damaged is set aside, with a notice, and the run repeated from the last good state. Raises a
    VtbenchError that names the file at fault.
    """
    folder = folders.training_folder(settings.results, training.key)
    provenance.code()  # now, before somebody edits a file while we train
    with folders.locked(folder, waiting=notice) if processes.first() else contextlib.nullcontext():
        for line in finished.clear_training(folder) if processes.first() else ():
            notice(line)
        if not processes.from_first(finished.is_trained(folder)):
            if not all(processes.of_all(folder.is_dir())):
                raise ResultsError(f"{folder}: not every machine sees this folder; put --results where all of them do")
            progress(START, 0, 0, None)
            with errors_in_one_line(folder):
                settings = fitted(training, settings, folder)
                _fit(assemble(training, settings), settings, progress, folder, notice)
        if processes.first():
            finished.remove_leftovers(folder)
        processes.from_first(None)  # now the weights are there
    return folder


def _fit(parts: Assembly, settings: Settings, progress: Progress, folder: Path, notice: Notice = no_notice) -> None:
    training, method, data = parts.training, parts.method, parts.data
    data.setup()  # both lists: a missing test list is an error before the training, not after it
    data.notice = notice
    if processes.number() > 1 and is_synchronised(parts.network):
        data.of_all = processes.of_all
    _refuse_large_batch(parts)
    if processes.first():
        _say_what_is_lacking(data, folder, notice)
    _refuse_few_to_validate(method, data)
    start, audio_sha256 = parts.load_start(), parts.audio_sha256
    gpu = on_gpu(training)
    passes = {"batch_size": parts.batches.batch_size, "accumulate": parts.batches.accumulate}
    engine = in_full(method.network, settings.engine, training) | passes
    origin = {**environment(gpu=gpu), "code": provenance.code(), "engine": engine}
    checkpoint = EpochCheckpoint(
        folder,
        seed=training.seed,
        epochs=training.train.epochs,
        begun=_begun(parts, start.sha256 if start else None, audio_sha256),
        progress=progress,
        minutes=settings.checkpoint_minutes,
        training_key=training.key,
        origin=origin,
        allow_changed_code=settings.allow_changed_code,
        writes=settings.engine.resumes,
    )
    keeps_best = method.validation is not None and method.validation.keep_best
    best = BestWeights(folder, data.fingerprint("test")) if keeps_best else None
    last = folder / folders.CHECKPOINT
    if processes.first() and last.exists() and (why := why_unusable(folder, method, training.key)):
        notice(finished.set_damaged_aside(last, why))
    resumes = processes.from_first(last.exists())
    if not settings.engine.resumes:
        if resumes:
            raise RunError(
                f"{folder}: has a checkpoint, which deepspeed cannot read; continue with another --strategy, or remove "
                "the folder to start over"
            )
        notice("deepspeed: no checkpoint is written, so a training run that is interrupted starts over")
    callbacks: list[L.Callback] = [checkpoint, best] if best else [checkpoint]
    if processes.first():
        folders.write_json(folder / folders.CONFIG, {**dataclasses.asdict(training), "origin": origin})
    tracking = _tracking(training, settings, folder, notice) if processes.first() else None
    loggers = tracking.loggers if tracking else []
    if loggers:
        metering = Metering(settings.log_every, gpu=gpu)
        checkpoint.on_written = metering.leave_out
        callbacks.append(metering)
    options = parts.trainer | {"enable_checkpointing": True}  # by callbacks of ours
    trainer = L.Trainer(callbacks=callbacks, logger=loggers or False, default_root_dir=folder, **options)
    whole = False
    try:
        trainer.fit(method, data, ckpt_path=str(last) if resumes else None, weights_only=True)
        whole = not trainer.interrupted
        if whole:
            data.gather(processes.of_all)
    finally:
        if isinstance(trainer.train_dataloader, TrainLoader):
            # Lightning leaves them where a validation is interrupted, and as forks they hold the folder's lock too.
            trainer.train_dataloader.close()
        if processes.first():
            _write_left_out(folder, data)
        if tracking:
            tracking.close(whole)
    if data.unreadable:
        notice(f"trained without {len(data.unreadable)} videos that cannot be read: {few(data.unreadable)}")
    if trainer.interrupted or trainer.current_epoch < training.train.epochs:
        raise RunError(
            f"{folder}: interrupted after {trainer.current_epoch} of {training.train.epochs} epochs; "
            "run again to continue"
        )
    state = network_state(trainer)
    if not processes.first():
        return
    weights = folder / folders.WEIGHTS
    folders.replace_file(weights, lambda half: shutil.copyfile(best.path, half) if best else save_state(state, half))
    folders.write_json(
        folder / folders.DONE,
        {
            "training_key": training.key,
            "epochs": training.train.epochs,
            **passes,
            "lr": parts.batches.lr,
            "engine": differences(method.network, settings.engine, training),
            "wall_s": round(checkpoint.elapsed_s, 3),
            "init_sha256": start.sha256 if start else None,
            "audio_sha256": audio_sha256,
            "selection": method.selection,
            "train_top1": checkpoint.train_top1(best.epoch if best else training.train.epochs),
            "weights_sha256": sha256_of(weights),
            "videos": len(data.train_entries),
            "missing": data.lacking("train"),
            "unreadable": data.unreadable,
            **about_files(data, data.train_entries),
            "videos_silent": data.silent_train_videos,
            "data_fingerprint": checkpoint.begun.data_fingerprint,
            **({"kept_epoch": best.epoch, "kept_top1": best.top1, "kept_failures": best.failures} if best else {}),
            **environment(gpu=gpu),
            "code": origin["code"],
            "begun": provenance.other_than(origin, checkpoint.earlier),
        },
    )
    if tracking:
        tracking.done()


def _begun(parts: Assembly, start_sha256: str | None, audio_sha256: str | None) -> Begun:
    """What the run must have been begun with if it resumes."""
    batches, sizes, engine = parts.batches, parts.data.batch_sizes, parts.settings.engine
    norm_clips = batches.batch_size * (batches.processes if is_synchronised(parts.network) else 1)
    given = {
        "--devices": engine.devices,
        "--num-nodes": engine.num_nodes if engine.num_nodes > 1 else None,
        "--batch-size": parts.settings.batch_size,
        "--accumulate": engine.accumulate,
    }
    return Begun(
        data_fingerprint=parts.data.fingerprint("train"),
        batch_size=batches.batch_size,
        accumulate=batches.accumulate,
        processes=batches.processes,
        lr=batches.lr,
        clips=sum(sizes),
        updates=math.ceil(len(sizes) / batches.accumulate),
        norm_clips=norm_clips if has_batch_norm(parts.network) else None,
        start_sha256=start_sha256,
        audio_sha256=audio_sha256,
        options={name: None if value is None else str(value) for name, value in given.items()},
    )


def _refuse_few_to_validate(method: VideoClassifier, data: VideoData) -> None:
    """Raise UsageError where there are fewer videos to validate on than processes that share them."""
    if method.validation is None or processes.number() == 1:
        return
    count = len(data.holdout_entries if method.validation.holdout else data.test_entries)
    if count < processes.number():
        raise UsageError(f"{count} videos to validate on are fewer than the {processes.number()} devices; give fewer")


def _say_what_is_lacking(data: VideoData, folder: Path, notice: Notice) -> None:
    """Before a training: the listed videos that it does without."""
    for split in ("train", "test"):
        if lacking := data.lacking(split):
            verb = "trains without" if split == "train" else "will be tested with, as misses,"
            notice(
                f"{verb} {len(lacking)} of {len(data.listed(split))} listed videos, which are missing or in "
                f"quarantine: {few(lacking)}; all of them in {folder / folders.LEFT_OUT}"
            )
    _write_left_out(folder, data)


def _write_left_out(folder: Path, data: VideoData) -> None:
    """Every video that could not be used, with the reason, as a CSV file in the run folder; none if there is none."""
    lines = [("train", name, reason) for name, reason in {**data.lacking("train"), **data.unreadable}.items()]
    lines += [("test", name, reason) for name, reason in data.lacking("test").items()]
    if not lines:
        (folder / folders.LEFT_OUT).unlink(missing_ok=True)
        return
    with (folder / folders.LEFT_OUT).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("split", "id", "reason"), *lines])


def _refuse_large_batch(parts: Assembly) -> None:
    """Raise UsageError for more clips than there are videos, of which only the training itself knows what is held
    out."""
    there = len(parts.data.train_entries)
    if why := too_many_clips(parts.batches, parts.training, parts.settings.batch_size, there, "there are"):
        raise UsageError(why)


def _tracking(training: Training, settings: Settings, folder: Path, notice: Notice) -> Tracking | None:
    if settings.wandb is None and not settings.loggers:
        return None
    from vtbench.run.tracking import Tracking

    return Tracking(training, settings, folder, notice)
