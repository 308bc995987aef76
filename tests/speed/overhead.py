"""What vtbench costs around a training, and what a second worker process brings.

    OMP_NUM_THREADS=1 python tests/speed/overhead.py loop [--rounds 5] [--epochs 6] [--set ...]
    OMP_NUM_THREADS=1 python tests/speed/overhead.py workers [--rounds 3] [--epochs 6]

`loop`: `vtbench.run.train` against a bare Lightning loop of the same network on the same loader (cross-entropy, AdamW,
clipping; no schedule, no checkpoint, no metric), in turns in one process. Wall and CPU time, from an empty folder to
the weights file, as ratios within each round; at most 1.03 is aimed at. What vtbench adds is a few milliseconds a step:
a network of the small scales has steps of 35 ms, so make it larger (--set model.embed_dim=192 --set model.depth=6
--set model.num_heads=3) to measure what a user of a real one pays.

`workers`: four equal trainings by two worker processes of one thread against one, with the start of the processes; at
least 1.6 is aimed at. It means something only on a machine with two free cores.

The training is the pretraining of msca/table2:vit at mini scale, or that of another row (--row).
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from torch import nn

from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.papers.trainings import Training
from vtbench.run.assemble import assemble, seed_everything
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.workers import run_jobs
from vtbench.run.session import errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.run.train import train
from vtbench.weights import save_network


def training_of(given: argparse.Namespace, seed: int = 0, epochs: int | None = None) -> Training:
    """What a row starts from at mini scale, or its own training if it starts from none."""
    (row,) = changed_rows(select([given.row]), (), given.set)
    own = measurements(row, "mini", seed)[0].evaluation.training
    first = next(iter(own.ancestors()), own)
    # A pretraining has the same seed for all seeds of what starts from it.
    return dataclasses.replace(first, seed=seed, train=dataclasses.replace(first.train, epochs=epochs or given.epochs))


class Bare(L.LightningModule):
    def __init__(self, network: nn.Module, lr: float) -> None:
        super().__init__()
        self.network, self.lr = network, lr

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        clips, labels = batch[:2]
        return nn.functional.cross_entropy(self.network(clips), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def bare_loop(training: Training, settings: Settings) -> None:
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
    module = Bare(parts.network, training.train.lr)
    with errors_in_one_line(None):
        trainer = L.Trainer(**options, **quiet, num_sanity_val_steps=0, limit_val_batches=0)
        trainer.fit(module, parts.data.train_dataloader())
    save_network(parts.network, settings.results / "weights.safetensors")


def timed(work: Callable[[Training, Settings], object], training: Training) -> tuple[float, float]:
    """Wall and CPU seconds, in an empty results folder."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        work(training, Settings(results=Path(folder)))
        return time.perf_counter() - wall, time.process_time() - cpu


def loop(given: argparse.Namespace) -> None:
    training, sides = training_of(given), (train, bare_loop)
    for side in sides:  # reads and keeps the videos, and whatever else happens once
        timed(side, training_of(given, epochs=1))
    ratios: list[tuple[float, float]] = []
    for number in range(given.rounds):
        order = sides if number % 2 == 0 else sides[::-1]
        taken = {side: timed(side, training) for side in order}
        ratios.append(tuple(a / b for a, b in zip(taken[train], taken[bare_loop], strict=True)))  # type: ignore[arg-type]
        print(
            f"vtbench {taken[train][0]:.2f} s, bare {taken[bare_loop][0]:.2f} s, ratio {ratios[-1][0]:.3f}", flush=True
        )
    for name, values in zip(("wall", "CPU"), zip(*ratios, strict=True), strict=True):
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
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    (loop if given.what == "loop" else workers)(given)


if __name__ == "__main__":
    main()
