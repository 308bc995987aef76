"""`--batch-size auto`: the largest forward pass that the memory of a device holds."""

from __future__ import annotations

import dataclasses
import gc
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment

from vtbench.datasets.clips import Unreadable
from vtbench.errors import RunError
from vtbench.files import regular
from vtbench.methods import processes
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run.assemble import Assembly, assemble
from vtbench.run.devices.batches import smaller, split_batch
from vtbench.run.devices.machine import on_gpu
from vtbench.run.engine import Engine
from vtbench.run.settings import Settings


def fitted(training: Training, settings: Settings, folder: Path) -> Settings:
    """Settings with a number for `auto`: the size that the interrupted training in `folder` has, where that makes an
    update of as many clips on these devices, else the largest that fits into the memory of every device, the whole
    batch of an update first and then half as much, and so on.

    Each is tried by two steps on clips of the training; random generators are seeded when the training is assembled.
    Raises RunError where not even one clip fits.
    """
    if settings.batch_size != "auto":
        return settings
    found = processes.from_first(_size_so_far(folder / folders.CHECKPOINT, training, settings.engine))
    size = found or split_batch(training, "auto", settings.engine).batch_size
    while found is None:
        with processes.alone():
            fits = _fits(assemble(training, _with(settings, size, compile=False)))
        if all(processes.of_all(fits)):
            found = size
        elif (less := smaller(split_batch(training, size, settings.engine))) is None:
            raise RunError(
                f"{folder}: not even one clip fits into the memory; try --grad-checkpointing or --precision bf16-mixed"
            )
        else:
            size = less
    return _with(settings, found)


def _with(settings: Settings, size: int, **changed: Any) -> Settings:
    engine = dataclasses.replace(settings.engine, **changed)
    return dataclasses.replace(settings, batch_size=size, engine=engine)


def _size_so_far(checkpoint: Path, training: Training, engine: Engine) -> int | None:
    """The size of the forward passes of an interrupted training; None where there is none to resume, or where it makes
    another update on these devices."""
    if not checkpoint.exists():
        return None
    try:
        content = torch.load(regular(checkpoint), map_location="meta", weights_only=True, mmap=True)
        begun = content["callbacks"]["EpochCheckpoint"]["begun"]
        size: int = begun["batch_size"]
        update = size * begun["accumulate"] * begun["processes"]
    except Exception:  # a damaged one is set aside when the training starts
        return None
    return size if split_batch(training, size, engine).effective == update else None


def _fits(parts: Assembly) -> bool:
    """Whether two steps on a batch of the training fit into memory, with an optimiser of two states a weight."""
    try:
        _two_steps(parts)
    except (MemoryError, torch.OutOfMemoryError):
        return False
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what torch says of a CPU's
            raise
        return False
    finally:
        parts.method.cpu()
        gc.collect()
        torch.cuda.empty_cache()
    return True


def _two_steps(parts: Assembly) -> None:
    parts.data.setup("fit")
    loader = parts.data.train_dataloader()
    items = (loader.dataset[0, index] for index in range(len(parts.data.train_entries)))
    one = next((item for item in items if not isinstance(item, Unreadable)), None)
    if one is None:
        return  # the training says so
    assert loader.collate_fn is not None
    clips, labels, _ = loader.collate_fn([one] * parts.batches.batch_size)
    fabric = Fabric(
        accelerator=parts.trainer["accelerator"],
        devices=[torch.cuda.current_device()] if on_gpu(parts.training) else 1,
        precision=parts.trainer["precision"],
        plugins=[LightningEnvironment()],
    )
    method, optimizer = fabric.setup(parts.method, torch.optim.AdamW(parts.method.parameters(), lr=0.0))
    method.mark_forward_method("training_step")
    # The buckets in which gradients travel between devices.
    spare = [torch.empty_like(p) for p in parts.method.parameters()] if parts.settings.engine.processes > 1 else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*self\.log.*")
        for step in range(2):
            optimizer.zero_grad()
            fabric.backward(method.training_step(fabric.to_device((clips, labels)), step))
            optimizer.step()
    del spare
