"""What an engine asks of the machine: the options of Lightning's Trainer that spread a training over devices, and what
is done to the network for it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from torch import nn

from vtbench.errors import UsageError
from vtbench.layers.batchnorm import has_batch_norm, synchronised
from vtbench.layers.checkpointing import checkpoint_blocks
from vtbench.methods import processes
from vtbench.papers.trainings import Training
from vtbench.run.engine import Engine
from vtbench.scales import SCALES


def accelerator(training: Training) -> Literal["auto", "cpu"]:
    """What the trainings of a scale run on, in Lightning's words: the small ones on the CPU."""
    return "auto" if SCALES[training.scale].real else "cpu"


def backend(training: Training) -> str:
    """How the processes of a training exchange tensors, in torch.distributed's words."""
    return "nccl" if on_gpu(training) else "gloo"


def on_gpu(training: Training) -> bool:
    """Whether a training and its tests run on a GPU here: what `accelerator` comes to."""
    return SCALES[training.scale].real and torch.cuda.is_available()


def devices(engine: Engine) -> dict[str, Any]:
    """Arguments of lightning.Trainer for a process of a training: it is one of several that exist already, or the only
    one, also in a job of SLURM."""
    options: dict[str, Any] = {"devices": engine.devices}
    if engine.matmul_precision:
        torch.set_float32_matmul_precision(engine.matmul_precision)
    if engine.benchmark:
        options["benchmark"] = True
    if processes.number() > 1:
        options |= {
            "num_nodes": engine.num_nodes,
            "strategy": "ddp" if engine.strategy == "auto" else engine.strategy,
            "plugins": [TorchElasticEnvironment()],  # RANK and so on are set, whoever started the processes
        }
    else:
        options["devices"] = 1
        if engine.strategy in ("fsdp", "deepspeed"):
            options["strategy"] = engine.strategy
        if "SLURM_NTASKS" in os.environ:  # Lightning would requeue the job itself
            options["plugins"] = [LightningEnvironment()]
    return options


def prepare_network(network: nn.Module, engine: Engine, training: Training) -> None:
    """Do to a network, in place, what engine and recipe ask of it before it is trained. Names of weights stay. Raises
    UsageError for one without blocks that could be checkpointed."""
    if processes.number() > 1 and training.train.sync_batchnorm:
        synchronised(network, gpu=on_gpu(training))
    if engine.compile and engine.grad_checkpointing and has_batch_norm(network):
        raise UsageError(
            "--compile and --grad-checkpointing do not go together for a network with batch norm; leave one out"
        )
    if engine.strategy == "fsdp" and has_batch_norm(network):
        # Its statistics are measured outside of a step, where the weights are in parts.
        raise UsageError("--strategy fsdp is not for networks with batch norm; give --strategy ddp")
    if engine.grad_checkpointing:
        checkpoint_blocks(network)
    if engine.compile:
        network.compile()


def differences(network: nn.Module, engine: Engine, training: Training) -> dict[str, Any]:
    """What results record of the engine of a training: what is not one process as the recipe says."""
    recorded = engine.differences(training=True)
    if engine.precision == training.train.precision:
        recorded.pop("precision", None)
    if engine.processes > 1 and has_batch_norm(network):
        recorded["batch_norm"] = "synchronised" if training.train.sync_batchnorm else "per process"
    return recorded


def in_full(network: nn.Module, engine: Engine, training: Training) -> dict[str, Any]:
    """`differences` with what does not differ, to be compared with those of another process. How many passes an update
    has is said elsewhere."""
    usual = dataclasses.asdict(Engine(precision=training.train.precision, matmul_precision="highest"))
    found = usual | differences(network, engine, training)
    return {name: value for name, value in found.items() if name != "accumulate"}
