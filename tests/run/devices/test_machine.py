"""What Lightning's Trainer is given, and what this machine cannot do."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vtbench.errors import RunError, UsageError
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.run.assemble import assemble
from vtbench.run.devices.machine import accelerator, differences, on_gpu, prepare_network
from vtbench.run.devices.possible import PROCESSES_PER_CORE, refuse_impossible
from vtbench.run.engine import Engine
from vtbench.run.fitting import fitted
from vtbench.run.metering import memory_gb
from vtbench.run.session import environment
from vtbench.run.settings import Settings

TRAINING = measurements(select(["msca/table1:vit"])[0], "smoke", 0)[0].evaluation.training
MOST = PROCESSES_PER_CORE * (os.cpu_count() or 1)


def test_one_process_is_given_what_it_always_was() -> None:
    trainer = assemble(TRAINING, Settings()).trainer
    assert (trainer["devices"], trainer["precision"]) == (1, "32-true")
    assert not {"strategy", "num_nodes", "benchmark"} & set(trainer)


def test_precision_and_benchmark_reach_the_trainer_and_a_precision_of_the_recipe_is_no_difference() -> None:
    engine = Engine(precision="bf16-mixed", benchmark=True)
    trainer = assemble(TRAINING, Settings(engine=engine)).trainer
    assert (trainer["precision"], trainer["benchmark"]) == ("bf16-mixed", True)
    assert differences(nn.Linear(1, 1), engine, TRAINING) == {"precision": "bf16-mixed", "benchmark": True}
    assert differences(nn.Linear(1, 1), Engine(precision="32-true"), TRAINING) == {}


def test_a_job_of_slurm_is_not_requeued_by_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    (environment,) = assemble(TRAINING, Settings()).trainer["plugins"]
    assert type(environment).__name__ == "LightningEnvironment"


def test_matmul_precision_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", given.append)
    assemble(TRAINING, Settings())
    assemble(TRAINING, Settings(engine=Engine(matmul_precision="high")))
    assert given == ["high"]


@pytest.mark.parametrize(
    ("engine", "gpus", "message"),
    [
        ({"devices": 3}, 2, "--devices 3: this machine has 2"),
        ({"devices": 10_000}, 0, f"--devices 10000: on a CPU they are processes; this one takes at most {MOST}"),
        ({"strategy": "fsdp"}, 0, "--strategy fsdp needs GPUs, and this runs on the CPU; leave it out"),
        ({"strategy": "deepspeed"}, 0, "--strategy deepspeed needs GPUs, and this runs on the CPU; leave it out"),
        ({"strategy": "deepspeed"}, 1, "--strategy deepspeed: deepspeed is not installed; `pip install deepspeed`"),
        ({"precision": "16-mixed"}, 0, "--precision 16-mixed: a CPU has no such training; give bf16-mixed or 32-true"),
        ({"precision": "bf16-mixed"}, 1, "--precision bf16-mixed: an old card has no bfloat16; give 16-mixed"),
    ],
)
def test_what_a_machine_lacks_is_one_line(
    engine: dict[str, Any], gpus: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an old card")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deepspeed" else find(name))
    with pytest.raises(UsageError) as raised:
        refuse_impossible(Engine(**engine), gpu=True)
    assert str(raised.value) == message


def test_small_scales_run_on_the_cpu_whatever_gpus_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    refuse_impossible(Engine(devices=4, precision="bf16-mixed"), gpu=False)
    with pytest.raises(UsageError, match="needs GPUs"):
        refuse_impossible(Engine(strategy="fsdp"), gpu=False)


def test_compiling_that_does_not_work_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*_: Any) -> None:
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    with pytest.raises(UsageError, match=r"^--compile: torch.compile does not work here: .*No working C\+\+ compiler"):
        refuse_impossible(Engine(compile=True), gpu=False)


COMPILED = """
import torch
from vtbench.papers import measurements, select
from vtbench.run.assemble import assemble
from vtbench.run.engine import Engine
from vtbench.run.settings import Settings

training = measurements(select(["msca/table1:vit"])[0], "smoke", 0)[0].evaluation.training
plain, compiled = (assemble(training, Settings(engine=engine)) for engine in (Engine(), Engine(compile=True)))
clips = torch.randn(2, training.data.num_frames, 3, training.data.size, training.data.size)
assert list(compiled.network.state_dict()) == list(plain.network.state_dict())
assert torch.allclose(compiled.method(clips), plain.method(clips), atol=1e-5)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"]
print("the same")
"""


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_and_keeps_the_names_of_its_weights() -> None:
    # In a process without the checks of shapes that tests add to every layer: torch cannot compile those.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr


def test_a_network_without_blocks_cannot_be_checkpointed() -> None:
    message = r"^--grad-checkpointing: Sequential has no list of equal blocks to checkpoint; leave it out"
    with pytest.raises(UsageError, match=message):
        prepare_network(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), Engine(grad_checkpointing=True), TRAINING)


def test_the_small_scales_leave_a_gpu_alone_and_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paper = measurements(select(["msca/table1:vit"])[0], "paper", 0)[0].evaluation.training
    assert not on_gpu(TRAINING)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Abacus 9")
    assert [(accelerator(one), on_gpu(one)) for one in (TRAINING, paper)] == [("cpu", False), ("auto", True)]
    assert [environment(gpu=on_gpu(one))["device"] for one in (TRAINING, paper)] == ["cpu", "Abacus 9"]
    assert memory_gb(gpu=False) > 0.05
    asked: list[tuple[Any, Any]] = []

    def fabric(**options: Any) -> None:
        asked.append((options["accelerator"], options["devices"]))
        raise MemoryError  # nothing can be computed on a GPU that is not there

    monkeypatch.setattr("vtbench.run.fitting.Fabric", fabric)
    with pytest.raises(RunError, match="not even one clip"):
        fitted(TRAINING, Settings(batch_size="auto"), tmp_path)
    assert set(asked) == {("cpu", 1)}
