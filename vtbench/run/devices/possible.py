"""What a machine cannot do of what an engine asks, before anything is trained; torch is imported where it has to be
asked."""

from __future__ import annotations

import importlib.util
import os

from vtbench.errors import UsageError, in_one_line
from vtbench.run.engine import Engine

PROCESSES_PER_CORE = 8
"""Of one training on a CPU; more are a slip of the finger."""


def refuse_impossible(engine: Engine, *, gpu: bool) -> None:
    """Raise UsageError for what this machine cannot do; `gpu`: whether the scale runs on GPUs, if there are any."""
    gpus = _gpus() if gpu else 0
    gpu = gpus > 0
    if gpu and engine.devices > gpus:
        raise UsageError(f"--devices {engine.devices}: this machine has {gpus}")
    if not gpu and engine.devices > (most := PROCESSES_PER_CORE * (os.cpu_count() or 1)):
        raise UsageError(f"--devices {engine.devices}: on a CPU they are processes; this one takes at most {most}")
    if engine.strategy in ("fsdp", "deepspeed") and not gpu:
        raise UsageError(f"--strategy {engine.strategy} needs GPUs, and this runs on the CPU; leave it out")
    if engine.strategy == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
        raise UsageError("--strategy deepspeed: deepspeed is not installed; `pip install deepspeed`")
    _refuse_precision(engine, gpu)
    if engine.compile:
        _refuse_compile("cuda" if gpu else "cpu")


def _gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _refuse_precision(engine: Engine, gpu: bool) -> None:
    wanted = engine.precision
    if wanted is None or wanted in ("32-true", "64-true"):
        return
    if not gpu and wanted.startswith("16"):
        raise UsageError(f"--precision {wanted}: a CPU has no such training; give bf16-mixed or 32-true")
    if not gpu:
        return
    import torch

    if wanted.startswith("bf16") and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(f"--precision {wanted}: {torch.cuda.get_device_name()} has no bfloat16; give 16-mixed")


def _refuse_compile(device: str) -> None:
    """Compile something small: what torch.compile lacks (a C++ compiler, Triton) shows before anything is trained."""
    import torch

    try:
        torch.compile(lambda x: (x * 2).relu())(torch.ones(2, device=device))
    except Exception as error:  # torch raises its own kinds, and those of what it calls
        raise UsageError(f"--compile: torch.compile does not work here: {in_one_line(error)}; leave it out") from error
