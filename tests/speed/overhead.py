"""What vtbench costs around a training, and what a second worker process brings.

    OMP_NUM_THREADS=1 python tests/speed/overhead.py loop [--rounds 3] [--epochs 6] [--set ...]
    OMP_NUM_THREADS=1 python tests/speed/overhead.py workers [--rounds 3] [--epochs 6]

`loop`: `vtbench.run.train` against a bare Lightning loop of the same network, optimiser and schedule on the same loader
(no checkpoint, no metric), which ends with the same weights, in one process. The two take turns by the epoch. Wall and
CPU time, from an empty folder to the weights file, as ratios within each round; at most 1.03 is aimed at. What
vtbench adds is part of a millisecond a step and a checkpoint an epoch. A network of the small scales has steps of 20
ms, so make it larger (--set model.embed_dim=192 --set model.depth=6 --set model.num_heads=3) to measure what a user of
a real one pays.

`workers`: four equal trainings by two worker processes of one thread against one, with the start of the processes; at
least 1.6 is aimed at. It means something only on a machine with two free cores.

The training is the pretraining of msca/table2:vit at mini scale, or that of another row (--row).
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from vtbench.methods.base import VideoClassifier
from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run.assemble import assemble, seed_everything
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.workers import run_jobs
from vtbench.run.session import errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.run.train import train
from vtbench.weights import save_network, sha256_of


def training_of(given: argparse.Namespace, seed: int = 0, epochs: int | None = None) -> Training:
    """What a row starts from at mini scale, or its own training if it starts from none."""
    (row,) = changed_rows(select([given.row]), (), given.set)
    own = measurements(row, "mini", seed)[0].evaluation.training
    first = next(iter(own.ancestors()), own)
    # A pretraining has the same seed for all seeds of what starts from it.
    return dataclasses.replace(first, seed=seed, train=dataclasses.replace(first.train, epochs=epochs or given.epochs))


class Bare(L.LightningModule):
    def __init__(self, method: VideoClassifier) -> None:
        super().__init__()
        self.network = method.network
        self._method = [method]  # in a list, so that torch does not see a module in it

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        clips, labels = batch[:2]
        return nn.functional.cross_entropy(self.network(clips), labels)

    def configure_optimizers(self) -> Any:
        (method,) = self._method
        method.trainer = self.trainer
        return method.configure_optimizers()


Turn = Callable[[], None]
"""Called after an epoch: it is the other's turn."""


def bare_loop(training: Training, settings: Settings, turn: Turn) -> None:
    """The same network and loader, and nothing else."""
    seed_everything(training)
    parts = assemble(training, settings)
    parts.data.setup()
    kept = ("accelerator", "devices", "max_epochs", "accumulate_grad_batches", "precision", "gradient_clip_val")
    options = {name: value for name, value in parts.trainer.items() if name in kept}
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    module = Bare(parts.method)
    with errors_in_one_line(None):
        after_epoch = L.pytorch.callbacks.LambdaCallback(on_train_epoch_end=lambda *_: turn())
        trainer = L.Trainer(**options, **quiet, callbacks=[after_epoch], num_sanity_val_steps=0, limit_val_batches=0)
        trainer.fit(module, parts.data.train_dataloader())
    save_network(parts.network, settings.results / folders.WEIGHTS)


def vtbench_loop(training: Training, settings: Settings, turn: Turn) -> None:
    """What a command runs for a training."""

    def progress(phase: str, done: int, of: int, loss: float | None) -> None:
        if loss is not None:
            turn()

    train(training, settings, progress)


class Alternating:
    """Two trainings in threads, of which one runs at a time, an epoch each: a machine whose speed drifts slows both."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.turn = threading.Condition()
        self.waiting: list[str] = []
        """Names of those that are not done, the one whose turn it is first."""
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        self.weights: dict[str, str] = {}
        self._began = (0.0, 0.0)

    def run(self, sides: Mapping[str, Callable[[Training, Settings, Turn], None]]) -> None:
        """Both in threads of their own: memory of the main thread, which is another heap, is 3 % slower."""
        self.waiting = list(sides)
        threads = [threading.Thread(target=self._train, args=side, daemon=True) for side in sides.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(self.weights) == len(sides) and len(set(self.weights.values())) == 1, self.weights

    def _train(self, name: str, side: Callable[[Training, Settings, Turn], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._await(name)
            try:
                side(self.training, Settings(results=Path(folder)), lambda: self._pass_on(name))
            finally:
                self._stop_clock(name)
                with self.turn:
                    self.waiting.remove(name)
                    self.turn.notify_all()
            (weights,) = Path(folder).rglob(folders.WEIGHTS)
            self.weights[name] = sha256_of(weights)

    def _pass_on(self, name: str) -> None:
        self._stop_clock(name)
        with self.turn:
            self.waiting.append(self.waiting.pop(0))
            self.turn.notify_all()
        self._await(name)

    def _await(self, name: str) -> None:
        with self.turn:
            self.turn.wait_for(lambda: self.waiting[0] == name)
        self._began = time.perf_counter(), time.process_time()

    def _stop_clock(self, name: str) -> None:
        self.wall[name] += time.perf_counter() - self._began[0]
        self.cpu[name] += time.process_time() - self._began[1]


def loop(given: argparse.Namespace) -> None:
    # The first time reads and keeps the videos, and whatever else happens once.
    Alternating(training_of(given, epochs=1)).run({"vtbench": vtbench_loop, "bare": bare_loop})
    ratios: dict[str, list[float]] = {"wall": [], "CPU": []}
    for _ in range(given.rounds):
        round_ = Alternating(training_of(given))
        round_.run({"vtbench": vtbench_loop, "bare": bare_loop})
        for name, taken in (("wall", round_.wall), ("CPU", round_.cpu)):
            ratios[name].append(taken["vtbench"] / taken["bare"])
        seconds = ", ".join(f"{name} {taken:.2f} s" for name, taken in round_.wall.items())
        print(f"{seconds}, wall {ratios['wall'][-1]:.3f}, CPU {ratios['CPU'][-1]:.3f}", flush=True)
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f}) of a bare loop")


def workers(given: argparse.Namespace) -> None:
    jobs = {job.key: job for job in (Job(training_of(given, seed)) for seed in range(4))}
    assert len(jobs) == 4
    ratios: list[float] = []
    for number in range(given.rounds):
        taken: dict[int, float] = {}
        for count in (1, 2) if number % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                results = list(
                    run_jobs(jobs, Settings(results=Path(folder)), workers=count, on_progress=lambda *_: None)
                )
                taken[count] = time.perf_counter() - started
            assert not [result.error for result in results if result.error]
        ratios.append(taken[1] / taken[2])
        print(f"one worker {taken[1]:.1f} s, two {taken[2]:.1f} s, {ratios[-1]:.2f} times", flush=True)
    print(f"two workers over one: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("what", choices=["loop", "workers"])
    parser.add_argument("--row", default="msca/table2:vit")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `vtbench run`")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    (loop if given.what == "loop" else workers)(given)


if __name__ == "__main__":
    main()
