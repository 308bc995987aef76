"""What a training run says of itself by the step, for any Lightning logger. Nothing is measured without one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from torch import Tensor

from vtbench.cost.memory import peak_resident


def memory_gb(*, gpu: bool) -> float:
    """The most in use in this process so far, in 1e9 bytes: of what torch allocated on the GPU, where that is what
    computes, else of the resident set."""
    if gpu:
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_resident() / 1e9


@dataclass
class _Sums:
    """Over the batches since the last point, or over an epoch."""

    clips: int = 0
    waited_s: float = 0.0
    worked_s: float = 0.0
    batches: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    """Of what the method says of a batch, on its device."""

    def add(self, clips: int, waited_s: float, worked_s: float, scalars: dict[str, Tensor]) -> None:
        self.clips, self.batches = self.clips + clips, self.batches + bool(scalars)
        self.waited_s, self.worked_s = self.waited_s + waited_s, self.worked_s + worked_s
        for name, value in scalars.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def rates(self) -> dict[str, float]:
        seconds = self.waited_s + self.worked_s
        found = {"data_wait": self.waited_s / seconds} if seconds else {}
        return found | ({"clips_per_s": self.clips / seconds} if seconds and self.clips else {})

    def means(self) -> dict[str, float]:
        return {name: float(value) / self.batches for name, value in self.sums.items()}


class Metering(L.Callback):
    """Logs how a training run goes to the trainer's loggers, every few optimiser steps and at the end of each epoch.

    Every point holds the means since the last one, under `step/`:

    - `loss`, `top1` (percent): of the training clips
    - `lr`: of the first parameter group, as the step took it; `grad_norm`: of the step, before clipping
    - `clips_per_s`, and `data_wait`: the share, 0 to 1, of the time spent waiting for the data loader
    - `epoch`: how far it is, 1.5 in the middle of the second epoch; `remaining_s`: until the end, at this pace
    - `memory_gb`: see `memory_gb`

    Each epoch gives `epoch_s`, `epoch_clips_per_s`, `epoch_data_wait` and `remaining_s`. What the method logs by epoch
    goes to the loggers too, with `epoch` counted from 1, as in metrics.csv.

    The device is asked for numbers only where a point is due, and no random number is drawn: weights are the same with
    and without.
    """

    def __init__(self, every: int, *, gpu: bool) -> None:
        """
        - every: optimiser steps between two points
        - gpu: whether the training runs on a GPU
        """
        self.every, self.gpu = every, gpu
        self._lr = 0.0
        self._stepped = False
        """Whether the optimiser took a step in this batch."""
        self._norm: Tensor | None = None
        self._mark = 0.0
        """When the last batch ended."""
        self._begun = 0.0
        """When the current batch was there."""
        self._since, self._epoch = _Sums(), _Sums()
        self._started = 0.0
        self._first: float | None = None
        """Where this process began, in epochs."""
        self._epoch_started = 0.0

    def leave_out(self, seconds: float) -> None:
        """Count this time, after a batch, neither as work nor as waiting: of a checkpoint."""
        self._mark += seconds

    def _is_due(self, trainer: L.Trainer, steps: int) -> bool:
        return bool(trainer.loggers) and (steps % self.every == 0 or trainer.is_last_batch)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock; a resumed training run counts from here, also inside an epoch."""
        self._started = self._epoch_started = self._mark = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on the data loader is waited for."""
        self._epoch_started = self._mark = time.monotonic()
        self._epoch = _Sums()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch is there."""
        if self._first is None:
            self._first = trainer.current_epoch + batch_idx / trainer.num_training_batches
        self._begun, self._stepped = time.monotonic(), False

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Take the rate, and the norm of the gradient if this step makes a point; Lightning clips it after this."""
        self._lr, self._stepped = optimizer.param_groups[0]["lr"], True
        if self._is_due(trainer, trainer.global_step + 1):
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            self._norm = torch.nn.utils.get_total_norm(gradients) if gradients else None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch, and log a point if one is due."""
        if not trainer.loggers:
            return
        now = time.monotonic()
        clips = _num_clips(batch)
        scalars = getattr(pl_module, "last_step", {}) if clips else {}
        for sums in (self._since, self._epoch):
            sums.add(clips, self._begun - self._mark, now - self._begun, scalars)
        if self._stepped and self._is_due(trainer, trainer.global_step):
            done = (batch_idx + 1) / trainer.num_training_batches
            values = {**self._since.means(), "lr": self._lr, **self._since.rates()}
            values["memory_gb"] = memory_gb(gpu=self.gpu)
            if self._norm is not None:
                values["grad_norm"] = float(self._norm)
            values |= {"epoch": trainer.current_epoch + done, **self._remaining(trainer, done)}
            _log(trainer, {f"step/{name}": value for name, value in values.items()})
            self._since, self._norm = _Sums(), None
        self._mark = time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the epoch from 1."""
        _count_from_1(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the epoch from 1, and log its time."""
        _count_from_1(trainer, pl_module)
        if trainer.loggers:
            rates = {f"epoch_{name}": value for name, value in self._epoch.rates().items()}
            taken = {"epoch": trainer.current_epoch + 1.0, "epoch_s": time.monotonic() - self._epoch_started}
            _log(trainer, {**taken, **rates, **self._remaining(trainer, 1.0)})

    def _remaining(self, trainer: L.Trainer, done: float) -> dict[str, float]:
        """Seconds until the last epoch ends, at the pace of this process so far. `done`: share of the current epoch."""
        if self._first is None:  # no batch was left of the epoch that it resumed in
            return {}
        passed = trainer.current_epoch - self._first + done
        left = (trainer.max_epochs or 0) - trainer.current_epoch - done
        return {"remaining_s": left * (time.monotonic() - self._started) / passed} if passed else {}


def _count_from_1(trainer: L.Trainer, pl_module: L.LightningModule) -> None:
    if trainer.loggers:  # else Lightning would add its own count, from 0, to what is logged by epoch
        pl_module.log("epoch", float(trainer.current_epoch + 1))


def _num_clips(batch: Any) -> int:
    """Clips of a batch of clips and labels: 0 where no video of it could be read, and for what a data module of the
    user's may give instead."""
    clips, labels = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (None, None)
    return len(labels) if clips is not None and isinstance(labels, Tensor) else 0


def _log(trainer: L.Trainer, values: dict[str, float]) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(values, step=trainer.global_step - 1)  # from 0, as Lightning counts in what it logs itself
