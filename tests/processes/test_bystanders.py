"""What a cluster sends to all processes of a job leaves those alone that only read videos for another one."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vtbench.datasets.clips import EpochSampler, Loading, TestVideos, TrainVideos, train_loader, view_loader

VIDEOS = 12


class Slow:
    """Videos of which each takes a moment to read."""

    def __init__(self) -> None:
        self.entries = [SimpleNamespace(video_id=str(n)) for n in range(VIDEOS)]  # type: ignore[assignment]

    def __len__(self) -> int:
        return VIDEOS


class SlowTraining(Slow, TrainVideos):
    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        time.sleep(0.05)
        return torch.zeros(1), key[1]


class SlowTest(Slow, TestVideos):
    def __getitem__(self, index: int) -> dict[str, int]:
        time.sleep(0.05)
        return {"number": index}


def loader_of(kind: str) -> DataLoader[Any]:
    if kind == "train":
        loading = Loading(batch_size=1, num_workers=2)
        return train_loader(SlowTraining(), EpochSampler(VIDEOS, seed=0), loading, print)
    return view_loader(SlowTest(), Loading(eval_batch_size=1, num_workers=2))


def as_slurm_sends_it(number: signal.Signals, pids: list[int]) -> None:
    """From a process that is not their parent."""
    subprocess.run(["sh", "-c", f"kill -{number.value} {' '.join(map(str, pids))}"], check=True)


@pytest.mark.parametrize("kind", ["train", "test"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM])
def test_readers_read_on_when_all_processes_of_a_job_are_asked_to_stop(kind: str, number: signal.Signals) -> None:
    """Before it stops, the training takes the step that it is in, and whatever comes before its next checkpoint."""
    batches = iter(loader_of(kind))
    for _ in range(2):  # one of each reader, which has begun then
        next(batches)
    as_slurm_sends_it(number, [reader.pid for reader in readers(batches)])
    assert len(list(batches)) == VIDEOS - 2


def test_a_reader_ends_when_its_parent_says_so() -> None:
    """torch asks by SIGTERM those that hang; one that ignored it would be waited for for ever."""
    batches = iter(loader_of("test"))
    next(batches)
    first, second = readers(batches)
    first.terminate()
    first.join(timeout=10)
    assert first.exitcode == 0 and second.is_alive()


def readers(batches: Any) -> list[Any]:
    """The processes that read for a loader."""
    if isinstance(batches, Generator):
        batches = batches.gi_frame.f_locals["batches"]
    return list(batches._workers)
