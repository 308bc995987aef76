"""One pass of a network, which timing.py times and memory.py measures the memory of.

A pass is a forward pass in eval mode and inference mode ("infer"), or one training step ("train": forward pass, cross
entropy, backward pass, AdamW, whose state counts as memory; its learning rate is 0, so every step does the same work).
"latency" is "infer" that waits for the GPU after each pass; otherwise the next pass is queued while the GPU works.
Clips are random numbers. TF32 products are allowed or not as torch has it, which is how vtbench trains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from vtbench.clips import map_modalities
from vtbench.errors import first_line, in_one_line

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Work = Literal["latency", "infer", "train"]

OUT_OF_MEMORY = "out of memory"
"""How the reason of a failure begins that more memory would have prevented."""

_AUTOCAST = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class Case:
    """A network to measure. `build` makes it, must be picklable, and must work under `torch.device("meta")`; clips are
    float (B, *clip_shape), or such tensors by modality, logits (B, classes)."""

    build: Callable[[], nn.Module]
    clip_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Machine:
    """What measures: a torch device, the arithmetic in Lightning's words, and torch's CPU threads."""

    device: str = "cpu"
    precision: Precision = "32-true"
    threads: int = 1


def build_pass(case: Case, work: Work, batch: int, machine: Machine) -> Callable[[], None]:
    """Put the network on its device and return a function that takes one pass of `batch` clips."""
    device = torch.device(machine.device)
    network = case.build().to(device).train(work == "train")
    clips = map_modalities(lambda shape: torch.randn(batch, *shape, device=device), case.clip_shape)
    autocast = partial(
        torch.autocast,
        device.type,
        dtype=_AUTOCAST.get(machine.precision, torch.bfloat16),
        enabled=machine.precision in _AUTOCAST,
    )

    def infer() -> None:
        with torch.inference_mode(), autocast():
            network(clips)
        if work == "latency" and device.type == "cuda":
            torch.cuda.synchronize(device)

    if work != "train":
        return infer
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    scaler = torch.amp.GradScaler(device.type, enabled=machine.precision == "16-mixed")

    def step() -> None:
        with autocast():
            loss = nn.functional.cross_entropy(network(clips), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on the GPU or beside it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What libraries below torch, and torch on the CPU, raise as plain RuntimeError.
    return isinstance(error, RuntimeError) and bool(
        re.search(r"can't allocate memory|out of memory|CU\w+_STATUS_ALLOC_FAILED", str(error))
    )


def why_it_failed(error: BaseException) -> str:
    """An error of a pass in one line, which begins with OUT_OF_MEMORY if memory was short."""
    return f"{OUT_OF_MEMORY} ({first_line(error)})" if is_out_of_memory(error) else in_one_line(error)
