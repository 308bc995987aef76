"""What Lightning calls while it trains and tests: checkpoints, so that an interrupted run resumes, and progress."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vtbench.errors import ResultsError, RunError
from vtbench.evaluation.multiview import ViewScores
from vtbench.methods import processes
from vtbench.results import folders
from vtbench.run.loop.position import Position, Resumed, can_resume_inside, mark_validation_as_open, position
from vtbench.run.loop.stopping import StopSignals
from vtbench.weights import save_network

Progress = Callable[[str, int, int, float | None], None]
"""Called with (phase, done, total, loss): phase is `train` (epochs) or `test` (videos)."""

PART_EVERY = 60.0
"""Seconds of a test after which its scores are written down."""

BEFORE_VALIDATION = 60.0
"""Seconds since the last checkpoint after which several processes write one before a validation."""

Notice = Callable[[str], None]
"""Called with a line that whoever waits should read, e.g. on a video that cannot be read."""


def no_notice(text: str) -> None:
    """Say it to nobody."""


def no_progress(phase: str, done: int, total: int, loss: float | None) -> None:
    """Report to nobody."""


class EpochCheckpoint(L.Callback):
    """After every epoch one line of metrics, and a checkpoint from which the training resumes bit for bit; the same
    inside an epoch, every `minutes` and where the process is asked to stop, which ends it then.

    Inside an epoch it is written between two optimiser steps, or in a validation, whose start it resumes from.
    Lightning's own checkpoint callback writes in place; a kill during the write would leave half a file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        epochs: int,
        batch_size: int,
        data_fingerprint: str,
        progress: Progress,
        minutes: float = 0.0,
    ) -> None:
        """`minutes`: between two checkpoints inside an epoch; 0: none but where the process is asked to stop."""
        self.folder, self.progress = folder, progress
        self.seed, self.epochs = seed, epochs
        self.batch_size, self.data_fingerprint = batch_size, data_fingerprint
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
            "batch_size": self.batch_size,
            "data_fingerprint": self.data_fingerprint,
            "lr": self._rate,
            "position": self._position,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`. Raises RunError for another batch size and for other training videos."""
        self.lines, self.elapsed_s = list(state_dict["lines"]), state_dict["elapsed_s"]
        self._rate = state_dict.get("lr", 0.0)  # missing, as the position, in checkpoints of older versions
        if found := state_dict.get("position"):
            self._resumed = Resumed(found)
        if state_dict["batch_size"] != self.batch_size:
            raise RunError(
                f"{self.folder}: was started with {state_dict['batch_size']} clips per forward pass; continue with "
                f"--batch-size {state_dict['batch_size']}, or remove the folder to start over"
            )
        if state_dict["data_fingerprint"] != self.data_fingerprint:
            raise RunError(
                f"{self.folder}: was started with other training videos (fingerprint {state_dict['data_fingerprint']}, "
                f"now {self.data_fingerprint}); bring them back, or remove the folder to start over"
            )

    def train_top1(self, epoch: int) -> float | None:
        """Top-1 on the training clips of an epoch, counted from 1; None where the method does not log it."""
        return self.lines[epoch - 1].get("train_top1")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """In a validation, have it validated from the start."""
        if self._position is not None and trainer.validating:
            mark_validation_as_open(checkpoint)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Catch the signals, and get back to where an interrupted epoch was. Raises RunError where it was trained by
        another number of processes."""
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
        torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch + 7_368_787 * processes.this())
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
        # `epoch` is there only with a logger, see vtbench.run.loop.metering.
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name != "epoch"}
        if self._resumed is not None:
            metrics, self._resumed = self._resumed.means() | metrics, None
        if "train_loss" not in metrics:
            raise RunError(
                f"{self.folder}: the method logged no train_loss; log it in training_step, as VideoClassifier does"
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
        last = self.folder / folders.CHECKPOINT
        if trainer.is_global_zero:
            folders.replace_file(last, lambda half: trainer.save_checkpoint(half))
        else:
            trainer.save_checkpoint(last)  # takes part; the first process writes
        self._written = time.monotonic()


def _any(trainer: L.Trainer, decision: bool) -> bool:
    """Whether one of the processes says so."""
    return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))


class BestWeights(L.Callback):
    """Keeps the weights of the epoch with the best `val_top1` on the test videos, the first of equals."""

    def __init__(self, folder: Path, data_fingerprint: str) -> None:
        """`data_fingerprint` is that of the test videos."""
        self.path, self.data_fingerprint = folder / folders.BEST, data_fingerprint
        self.epoch = 0
        """Counted from 1; 0 before the first validation."""
        self.top1 = -1.0
        self.failures: dict[str, str] = {}
        """Test videos that could not be read at the last validation -> why."""

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far and its top-1 (percent), as plain values."""
        return {"epoch": self.epoch, "top1": self.top1, "data_fingerprint": self.data_fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`. Raises RunError for other test videos, ResultsError if the weights are gone."""
        self.epoch, self.top1 = state_dict["epoch"], state_dict["top1"]
        if state_dict["data_fingerprint"] != self.data_fingerprint:
            raise RunError(
                f"{self.path.parent}: its best epoch was chosen on other test videos (fingerprint "
                f"{state_dict['data_fingerprint']}, now {self.data_fingerprint}); bring them back, or remove the "
                "folder to start over"
            )
        if self.epoch and not self.path.exists():
            raise ResultsError(
                f"{self.path}: the weights of epoch {self.epoch} are gone; remove the folder to start over"
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Write the weights if `val_top1` is a new best. Raises RunError if no test video could be read."""
        # Before the checkpoint of this epoch: a training interrupted between the two repeats the epoch.
        self.failures = pl_module.failures
        if len(self.failures) == len(pl_module.tested):
            raise RunError(
                f"{self.path.parent}: no test video could be read, so no epoch can be chosen; the first: "
                f"{next(iter(self.failures.values()), 'there is none')}"
            )
        top1 = float(trainer.callback_metrics["val_top1"])
        if top1 > self.top1:
            self.epoch, self.top1 = trainer.current_epoch + 1, top1
            if processes.first():
                folders.replace_file(self.path, lambda half: save_network(pl_module.network, half))


class ScoreParts(L.Callback):
    """Collects the scores of tested videos, and writes them in parts, from which an interrupted test resumes: every
    `PART_EVERY` seconds, and where the process is asked to stop, which ends it then. Videos that could not be read are
    in no part: they are tried again."""

    def __init__(self, folder: Path, tested: dict[str, str], expected: int, progress: Progress) -> None:
        """
        - tested: what is tested, in keys of config.json; parts of other weights or videos are dropped
        - expected: the number of videos to test, those in earlier parts included
        """
        self.folder, self.expected, self.progress = folder, expected, progress
        self.stop = StopSignals()
        self.scores = ViewScores()
        """Of all views, those in earlier parts included."""
        self.labels: dict[str, int] = {}
        """Of all videos tested, readable or not."""
        self.failures: dict[str, str] = {}
        """Videos that could not be read -> why."""
        self.notes: dict[str, str] = {}
        self.all_notes = True
        """Whether the notes are of all videos: parts of an older version come without."""
        self.distinct_views: dict[str, int] = {}
        """Of all videos that could be read: how many of their views differ."""
        self._unsaved = ViewScores()
        self._written: list[str] = []
        """Names of the parts that this process wrote."""
        if processes.first():
            self._take_earlier_parts(tested)
        self.tested_before = processes.from_first(dict(self.labels))
        """Videos of earlier parts -> label; of several processes, all of them leave these out."""
        self._saved = time.monotonic()

    def _take_earlier_parts(self, tested: dict[str, str]) -> None:
        config = self.folder / folders.CONFIG
        before = folders.read_json(config) if config.exists() else {}
        if {key: before.get(key) for key in tested} != tested:
            self.remove()
        for path in self._parts():
            part, labels = ViewScores.load(path)
            self.scores.update(part)
            self.labels |= labels
        remarks = [folders.read_json(path) for path in self._remarks()]
        for found in remarks:
            self.notes |= found.get("notes", {})
            self.distinct_views |= found.get("distinct_views", {})
        self.all_notes = all("notes" in found for found in remarks) and bool(remarks or not self.labels)

    def on_test_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Catch the signals."""
        self.stop.catch()

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Take a batch of scored videos; write a part if one is due."""
        for video in outputs["videos"]:
            self.labels[video["video_id"]] = video["label"]
            if "error" in video:
                self.failures[video["video_id"]] = video["error"]
            if "note" in video:
                self.notes[video["video_id"]] = video["note"]
            if "distinct_views" in video:
                self.distinct_views[video["video_id"]] = video["distinct_views"]
            for view, scores in enumerate(video.get("views", ())):
                self._unsaved.add(video["video_id"], view, scores)
        if self.stop.received or time.monotonic() - self._saved >= PART_EVERY:
            self._write_part()
        done = len(self.tested_before) + (len(self.labels) - len(self.tested_before)) * processes.number()
        self.progress("test", min(done, self.expected), self.expected, None)
        if self.stop.received:
            raise SIGTERMException

    def _write_part(self) -> None:
        labels = {name: self.labels[name] for name in self._unsaved.video_ids}
        remarks = {"notes": self.notes, "distinct_views": self.distinct_views}
        this = processes.this()
        folders.write_json(self.folder / folders.NOTES_PART.format(f"-{this}" if this else ""), remarks)
        number = len(self._parts(this))
        name = folders.SCORES_PART.format(f"{this}-{number:04d}" if this else f"{number:04d}")
        folders.replace_file(self.folder / name, lambda half: self._unsaved.save(half, labels=labels))
        self._written.append(name)
        self._merge()
        self._saved = time.monotonic()

    def gather(self, video_ids: Sequence[str]) -> None:
        """Where several processes tested: have in the first one what all of them found, in the order of `video_ids`,
        which names every video. Raises RunError for a view that two of them scored."""
        if processes.number() == 1:
            return
        everywhere = processes.of_all((self._written, self.labels, self.failures, self.notes, self.distinct_views))
        if not processes.first():
            return
        for written, labels, failures, notes, distinct_views in everywhere[1:]:
            for name in written:
                self.scores.update(ViewScores.load(self.folder / name)[0])
            self.labels |= labels
            self.failures |= failures
            self.notes |= notes
            self.distinct_views |= distinct_views
        self.scores.sort(video_ids)
        self.labels = {name: self.labels[name] for name in dict.fromkeys(video_ids) if name in self.labels}

    def on_test_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Take the scores that no part holds yet; of several processes, the first takes them from a file."""
        if processes.first():
            self._merge()
        elif self._unsaved.video_ids:
            self._write_part()

    def _merge(self) -> None:
        self.scores.update(self._unsaved)
        self._unsaved = ViewScores()

    def remove(self) -> None:
        """Remove the parts: their scores are in one file now, or are of something else."""
        for path in (*self._parts(), *self._remarks()):
            path.unlink(missing_ok=True)

    def _parts(self, process: int | None = None) -> list[Path]:
        """The parts that are there, of one process or of all."""
        wanted = {None: "*", 0: "[0-9][0-9][0-9][0-9]"}.get(process, f"{process}-*")
        return sorted(self.folder.glob(folders.SCORES_PART.format(wanted)))

    def _remarks(self) -> list[Path]:
        return sorted(self.folder.glob(folders.NOTES_PART.format("*")))
