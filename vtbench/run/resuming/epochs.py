"""What Lightning calls in every epoch of a training: a line of metrics, and checkpoints, so that an interrupted run
resumes."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vtbench.datasets import VideoData
from vtbench.errors import RunError
from vtbench.methods import processes
from vtbench.results import folders
from vtbench.run.reporting import Progress
from vtbench.run.resuming.begun import Begun
from vtbench.run.resuming.position import Position, Resumed, can_resume_inside, mark_validation_as_open, position
from vtbench.run.resuming.stopping import StopSignals

BEFORE_VALIDATION = 60.0
"""Seconds since the last checkpoint after which several processes write one before a validation."""


class EpochCheckpoint(Checkpoint):
    """After every epoch one line of metrics, and a checkpoint from which the training resumes bit for bit; the same
    inside an epoch, every `minutes` and where the process is asked to stop, which ends it then.

    Inside an epoch it is written between two optimiser steps, or in a validation, whose start it resumes from.
    Lightning's own checkpoint callback writes in place; a kill during the write would leave half a file. It calls those
    of its class Checkpoint at the end of an epoch once the method has logged its means.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        epochs: int,
        begun: Begun,
        progress: Progress,
        minutes: float = 0.0,
        training_key: str = "",
        origin: Mapping[str, Any] | None = None,
        allow_changed_code: bool = False,
        writes: bool = True,
    ) -> None:
        """
        - minutes: between two checkpoints inside an epoch; 0: none but where the process is asked to stop
        - begun: what a run that resumes must have been begun with
        - origin: commit, code, versions, device, threads and engine of this process, kept with those of the processes
          before
        - allow_changed_code: whether the code of `origin` may differ from that of the process before
        - writes: whether checkpoints are written
        """
        self.folder, self.progress = folder, progress
        self.training_key, self.origin, self.allow_changed_code = training_key, dict(origin or {}), allow_changed_code
        self.earlier: list[dict[str, Any]] = []
        """The origins of the processes before, each that differs from the one after it."""
        self.seed, self.epochs, self.writes = seed, epochs, writes
        self.begun = begun
        self.on_written: Callable[[float], object] = lambda _: None
        """Called after each checkpoint with the seconds that it took."""
        self.every_s = minutes * 60 or math.inf
        self.lines: list[dict[str, float]] = []
        self.elapsed_s = 0.0
        self.stop = StopSignals()
        self._started = self._written = 0.0
        self._rate = 0.0
        self._position: Position | None = None
        """Of the checkpoint that is being written inside an epoch."""
        self._resumed: Resumed | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs, as plain values: lines so far, seconds, where in the epoch it is, and what
        must be the same."""
        inside = 0.0 if self._position is None else time.monotonic() - self._started
        return {
            "lines": self.lines,
            "elapsed_s": self.elapsed_s + inside,
            "begun": self.begun.state(),
            "training_key": self.training_key,
            "origins": [*self.earlier, self.origin],
            "lr": self._rate,
            "position": self._position,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`. Raises RunError for a run that was begun with another batch, other training
        videos or another start and, unless that is allowed, with other code."""
        self.lines, self.elapsed_s = list(state_dict["lines"]), state_dict["elapsed_s"]
        self._rate = state_dict.get("lr", 0.0)  # missing, as the position, in checkpoints of older versions
        if found := state_dict.get("position"):
            self._resumed = Resumed(found)
        begun = state_dict.get("begun")
        if begun is None:  # older versions kept these two beside the rest
            begun = {name: state_dict[name] for name in ("batch_size", "data_fingerprint")}
        self.begun.refuse_other(begun, self.folder, inside=bool(found))
        origins = state_dict.get("origins", [])
        if origins and origins[-1] == self.origin:
            origins = origins[:-1]
        self.earlier = list(origins)
        self._refuse_changed_code(state_dict.get("origins", []))

    def _refuse_changed_code(self, origins: list[dict[str, Any]]) -> None:
        before = origins[-1] if origins else {}
        if self.allow_changed_code or before.get("code") == self.origin.get("code"):
            return
        code = f"code {before['code']}, commit {_commit(before)}" if before else "an older version of vtbench"
        raise RunError(
            f"{self.folder}: was begun by {code}; now it is code {self.origin['code']}, commit {_commit(self.origin)}: "
            "go back to that, give --allow-changed-code to continue with both recorded, or remove the folder to start "
            "over"
        )

    def train_top1(self, epoch: int) -> float | None:
        """Top-1 on the training clips of an epoch, counted from 1; None where the method does not log it."""
        return self.lines[epoch - 1].get("train_top1")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """In a validation, have it validated from the start."""
        if self._position is not None and trainer.validating:
            mark_validation_as_open(checkpoint)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Catch the signals, and get back to where an interrupted epoch was. Raises RunError where an older version
        trained it in another number of processes."""
        self.stop.catch()
        self._started = self._written = time.monotonic()
        if self._resumed is not None:
            if self._resumed.processes != trainer.world_size:
                raise RunError(
                    f"{self.folder}: was interrupted inside an epoch on {self._resumed.processes} devices; continue on "
                    f"as many, not on {trainer.world_size}, or remove the folder to start over"
                )
            self._resumed.start(trainer)
            self.progress("train", trainer.current_epoch, self.epochs, None)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed the epoch and report its start. Not called where an epoch is resumed inside."""
        # Dropout and anything else that draws from the global generator: a function of seed and epoch alone, so that a
        # training continued at epoch 7 draws what an uninterrupted one would have drawn.
        # Of several processes, each draws its own.
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch + 7_368_787 * trainer.global_rank)
        self._started = time.monotonic()
        self.progress("train", trainer.current_epoch, self.epochs, None)

    def on_train_batch_start(self, *_: Any) -> None:
        """Draw on as the interrupted run would have."""
        if self._resumed is not None:
            self._resumed.before_batch()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember the learning rate; write a checkpoint if one is due and the optimiser has just taken its step."""
        # Not at the end of the epoch, when a validation may have lowered it already.
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]
        if self._resumed is not None:
            self._resumed.after_batch(trainer)
        # After the last batch come a validation, which may write one, and the end of the epoch, which does.
        if not trainer.is_last_batch and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._write_if_due(trainer, batch_idx + 1, self.every_s)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Of several processes, write a checkpoint that spares repeating the epoch."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and trainer.world_size > 1:
            self._write_if_due(trainer, int(trainer.num_training_batches), BEFORE_VALIDATION)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Write a checkpoint if one is due; stop at once where that is asked."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            if trainer.world_size == 1:
                self._write_if_due(trainer, int(trainer.num_training_batches), self.every_s)
            elif self.stop.received:  # processes validate different numbers of videos: they cannot write together
                raise SIGTERMException

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write metrics.csv and the checkpoint. Raises RunError for a loss that is missing or not finite."""
        self.elapsed_s += time.monotonic() - self._started
        # `epoch` is there only with a logger, see vtbench.run.metering.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name != "epoch"}
        if self._resumed is not None:
            metrics, self._resumed = self._resumed.means() | metrics, None
        if "train_loss" not in metrics:
            raise RunError(
                f"{self.folder}: the method logged no train_loss; log it in training_step or, as VideoClassifier does, "
                "in on_train_epoch_end: call super's from one of your own"
            )
        if not math.isfinite(metrics["train_loss"]):
            raise RunError(
                f"{self.folder}: the loss of epoch {trainer.current_epoch + 1} is {metrics['train_loss']}; "
                "training stops here: lower train.lr or clip the gradient"
            )
        self.lines.append(
            {"epoch": trainer.current_epoch + 1, **metrics, "lr": self._rate, "elapsed_s": round(self.elapsed_s, 3)}
        )
        text = io.StringIO()
        columns = dict.fromkeys(name for line in self.lines for name in line)
        writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.lines)
        if trainer.is_global_zero:
            folders.replace_file(self.folder / folders.METRICS, lambda half: half.write_text(text.getvalue()))
        self._write(trainer)
        self.progress("train", trainer.current_epoch + 1, self.epochs, metrics["train_loss"])
        self._stop_if_asked(trainer)

    def _write_if_due(self, trainer: L.Trainer, batches: int, every_s: float) -> None:
        """Write a checkpoint after `batches` of the epoch if the last one is `every_s` old, or to stop."""
        if _any(trainer, self.stop.received or time.monotonic() - self._written > every_s):
            self._write_inside(trainer, batches)
            self._stop_if_asked(trainer)

    def _stop_if_asked(self, trainer: L.Trainer) -> None:
        if _any(trainer, self.stop.received):
            raise SIGTERMException

    def _write_inside(self, trainer: L.Trainer, batches: int) -> None:
        """Write the checkpoint after `batches` of the epoch, if it could be resumed from there."""
        if can_resume_inside(trainer):
            self._position = position(trainer, batches, self._resumed)
            try:
                self._write(trainer)
            finally:
                self._position = None

    def _write(self, trainer: L.Trainer) -> None:
        if not self.writes:
            return
        started, last = time.monotonic(), self.folder / folders.CHECKPOINT
        if isinstance(data := trainer.datamodule, VideoData):  # type: ignore[attr-defined]
            data.gather(processes.of_all)  # a checkpoint has what the first process knows
        if trainer.is_global_zero:
            folders.replace_file(last, lambda half: trainer.save_checkpoint(half))
        else:
            trainer.save_checkpoint(last)  # takes part; the first process writes
        self._written = time.monotonic()
        self.on_written(self._written - started)


def _commit(origin: Mapping[str, Any]) -> str:
    commit = origin.get("commit")
    return f"{commit[:12]}{'-dirty' if origin.get('dirty') else ''}" if commit else "unknown"


def _any(trainer: L.Trainer, decision: bool) -> bool:
    """Whether one of the processes says so."""
    return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))
