"""Training with weights in parts. Lightning's fsdp is for GPUs; torch's also works between processes on a CPU, where a
subclass of Lightning's, which it does not recognise, can be tried."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from vtbench.errors import UsageError
from vtbench.methods import processes
from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.trainings import Evaluation, Start
from vtbench.results import folders
from vtbench.run import assemble
from vtbench.run.devices import machine
from vtbench.run.engine import Engine
from vtbench.run.jobs.ranks import Place, free_port
from vtbench.run.settings import Settings


class OnCpu(FSDPStrategy):
    """Fully sharded, between processes on a CPU."""

    def _setup_model(self, model: nn.Module) -> nn.Module:
        return FullyShardedDataParallel(
            model, sharding_strategy=self.sharding_strategy, device_id=torch.device("cpu"), **self.kwargs
        )

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
        # torch gathers every state into one buffer and copies it from the device to the CPU, which here copies nothing.
        with mock.patch.object(torch.Tensor, "cpu", torch.Tensor.clone):
            return super().optimizer_state(optimizer)


def evaluation_of(selector: str, *changes: str) -> Evaluation:
    row = changed_rows(select([selector]), (), changes)[0]
    found = measurements(row, "smoke", 0)[0].evaluation
    return replace(found, training=replace(found.training, init=Start()))


def sharded(engine: Engine) -> dict[str, Any]:
    """As machine.devices, but on a CPU."""
    given = machine.devices(replace(engine, strategy="auto"))
    return given | ({"strategy": OnCpu()} if engine.strategy == "fsdp" else {})


def serve(place: Place, training: Any, settings: Settings, stop_after: int | None) -> None:
    """Train in one of several processes."""
    os.environ |= place.environment()
    assemble.devices = sharded  # type: ignore[assignment]
    from vtbench.run.train import train

    def progress(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == stop_after and loss is not None:
            os._exit(7)  # after an epoch, whose checkpoint is written

    torch.set_num_threads(1)
    processes.begin("gloo")
    train(training, settings, progress)
    processes.end()


def train_in_two(training: Any, settings: Settings, stop_after: int | None = None) -> list[int | None]:
    context, port = multiprocessing.get_context("spawn"), free_port()
    started = []
    for rank in range(2):
        place = Place(rank, 2, rank, 2, "127.0.0.1", port)
        started.append(context.Process(target=serve, args=(place, training, settings, stop_after)))
        started[-1].start()
    for process in started:
        process.join(timeout=120)
        process.kill()
    return [process.exitcode for process in started]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("selector", "changes"),
    [
        ("msca/table2:msca-kv", ("train.clip_grad_norm=0.5",)),
        ("pst/table2e:pst", ()),
        ("mmvit/table1:mm-vit-iii-co", ()),
    ],
)
def test_weights_in_parts_train_as_whole_ones_and_are_whole_in_the_file(
    selector: str, changes: tuple[str, ...], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    training = evaluation_of(selector, *changes, "train.epochs=2").training
    found = {}
    for strategy in ("ddp", "fsdp"):
        settings = Settings(results=tmp_path / strategy, engine=Engine(devices=2, strategy=strategy))  # type: ignore[arg-type]
        assert train_in_two(training, settings) == [0, 0]
        folder = folders.training_folder(settings.results, training.key)
        found[strategy] = load_file(folder / folders.WEIGHTS)
        assert folders.read_json(folder / folders.DONE)["engine"]["strategy"] == strategy
    assert list(found["fsdp"]) == list(found["ddp"])
    for name, tensor in found["ddp"].items():
        assert torch.allclose(found["fsdp"][name], tensor, atol=1e-4), name


@pytest.mark.slow
def test_weights_in_parts_resume_from_a_whole_checkpoint(tmp_path: Path) -> None:
    training = evaluation_of("msca/table2:msca-kv", "train.epochs=3").training
    engine = Engine(devices=2, strategy="fsdp")
    whole, stopped = (Settings(results=tmp_path / name, engine=engine) for name in ("whole", "stopped"))
    assert train_in_two(training, whole) == [0, 0]
    assert 7 in train_in_two(training, stopped, stop_after=2)
    assert (folders.training_folder(stopped.results, training.key) / folders.CHECKPOINT).is_file()
    assert train_in_two(training, stopped) == [0, 0]
    hashes = [
        folders.read_json(folders.training_folder(one.results, training.key) / folders.DONE)["weights_sha256"]
        for one in (whole, stopped)
    ]
    assert hashes[0] == hashes[1]


def test_a_network_with_batch_norm_is_not_kept_in_parts() -> None:
    training = evaluation_of("laps/table1:base2d").training
    with pytest.raises(UsageError, match=r"^--strategy fsdp is not for networks with batch norm; give --strategy ddp$"):
        assemble.assemble(training, Settings(engine=Engine(strategy="fsdp")))


def test_a_test_keeps_nothing_in_parts() -> None:
    engine = Engine(devices=2, strategy="fsdp")
    assert engine.differences(training=True)["strategy"] == "fsdp"
    assert engine.differences(training=False)["strategy"] == "ddp"
    assert engine.for_test() == Engine(devices=2)
