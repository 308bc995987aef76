"""Where a training run is inside an epoch, as plain values in a checkpoint, and how it gets back there.

Lightning counts batches and steps itself. What it leaves out, so that a run that resumes inside an epoch ends with
other numbers: the position of the data loader, the random generators, the sums behind the means that are logged by
epoch, and, of a validation that was not finished, the validation. Written against Lightning 2.6, whose loops are not
public: tests/run/test_resume.py fails where a newer one counts differently.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from vtbench.datasets.clips import TrainLoader
from vtbench.methods.base import VideoClassifier
from vtbench.methods.means import ClipMeans

OLDER = {f"training_step.{name}": name for name in ("train_loss", "train_top1")}
"""In a position of an older version, the sums of Lightning's that the method keeps itself now -> their names."""

Position = dict[str, Any]
"""`batches`: consumed in this epoch. `processes`: what each process has, by rank."""


def can_resume_inside(trainer: L.Trainer) -> bool:
    """Whether a checkpoint inside an epoch can be resumed from bit for bit: not with a loader of another kind, which
    cannot be positioned, nor with what Lightning keeps of an epoch in objects of its own."""
    sums = trainer.fit_loop.epoch_loop._results.values()
    return (
        isinstance(trainer.train_dataloader, TrainLoader)
        and all(metric.is_tensor and metric.meta.is_mean_reduction for metric in sums)
        and not any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs)
    )


def position(trainer: L.Trainer, batches: int, resumed: Resumed | None) -> Position:
    """The position after `batches` batches of the epoch, between two optimiser steps; `resumed`: where this process
    began in it. All processes call it together."""
    before = resumed.sums if resumed else {}
    means = _own_means(trainer)
    own = means.state() if means else {}
    mine = {"random": _random_state(trainer), "sums": before | _sums(trainer), "own": own}
    every: list[Any] = [mine]
    if trainer.world_size > 1:
        every = [None] * trainer.world_size
        torch.distributed.all_gather_object(every, mine)
    return {"batches": batches, "processes": every}


def mark_validation_as_open(checkpoint: dict[str, Any]) -> None:
    """Have Lightning, when it resumes from this checkpoint of a validation, run the validation from its start. By
    itself it would take the epoch for validated."""
    loops = checkpoint["loops"]["fit_loop"]
    progress = loops["epoch_loop.val_loop.batch_progress"]
    for count in ("total", "current"):
        progress[count] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}  # as in the middle of its batches
    progress["is_last_batch"] = False


class Resumed:
    """A position to get back to, once."""

    def __init__(self, found: Position) -> None:
        self.batches: int = found["batches"]
        self._processes: list[Any] = found["processes"]
        self._random: dict[str, Any] | None = None
        self.sums: dict[str, Any] = {}
        """Of this process, those that are not added to Lightning's yet."""

    @property
    def processes(self) -> int:
        """How many processes the position is of."""
        return len(self._processes)

    def start(self, trainer: L.Trainer) -> None:
        """Before the first batch: have the loader leave out what was trained on, without reading it."""
        loader = trainer.train_dataloader
        if self.batches < trainer.num_training_batches:  # else there is no pass to shorten: a validation is left
            assert isinstance(loader, TrainLoader)
            loader.start_after(self.batches)
        mine = self._processes[trainer.global_rank]
        self._random, self.sums = mine["random"], dict(mine["sums"])
        if means := _own_means(trainer):
            own = mine.get("own")
            if own is None:  # written by a version whose methods left these to Lightning
                ours = type(trainer.lightning_module).training_step is VideoClassifier.training_step
                own = {name: self.sums.pop(key) for key, name in OLDER.items() if ours and key in self.sums}
            means.load(own, trainer.strategy.root_device)

    def before_batch(self) -> None:
        """Set the random generators: after the loader has started, which draws from them."""
        if self._random is not None:
            _set_random_state(self._random)
            self._random = None

    def after_batch(self, trainer: L.Trainer) -> None:
        """Add the sums of the batches before to those that Lightning has begun again; the order of two summands does
        not change a float."""
        for key, metric in trainer.fit_loop.epoch_loop._results.items() if self.sums else ():
            if before := self.sums.pop(key, None):
                metric.value = metric.value + before["value"].to(metric.value)
                metric.cumulated_batch_size = metric.cumulated_batch_size + before["clips"]

    def means(self) -> dict[str, float]:
        """By name, the means that no later batch has added to."""
        found = {}
        for key, mine in self.sums.items():
            of_all = [sums[key] for process in self._processes if key in (sums := process["sums"])]
            value = torch.stack([one["value"] for one in of_all]).sum(0)
            found[mine["name"]] = float(value / sum(one["clips"] for one in of_all))
        return found


def _own_means(trainer: L.Trainer) -> ClipMeans | None:
    """Those that the method keeps itself."""
    return getattr(trainer.lightning_module, "epoch_means", None)


def _sums(trainer: L.Trainer) -> dict[str, Any]:
    """Of each value that is logged as a mean by epoch: the sum so far, and of how many clips."""
    return {
        key: {
            "name": metric.meta.name,
            "value": metric.value.detach().cpu(),
            "clips": int(metric.cumulated_batch_size),
        }
        for key, metric in trainer.fit_loop.epoch_loop._results.items()
        if metric.meta.on_epoch and metric._update_count and not metric.has_reset
    }


def _random_state(trainer: L.Trainer) -> dict[str, Any]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if trainer.strategy.root_device.type == "cuda" else {})


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
