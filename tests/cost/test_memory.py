"""Peak memory of fresh processes, on networks whose cost is known beforehand."""

from __future__ import annotations

import os
from functools import partial

import pytest
import torch
from known_costs import CPU, Broken, Hungry, Products, Starved
from torch import nn

from vtbench.cost.memory import ALLOCATOR, largest_batch, peak_memory_gb
from vtbench.cost.passes import Case, Machine
from vtbench.errors import RunError


def test_memory_is_that_of_the_network_not_of_the_libraries_or_of_this_process() -> None:
    held = torch.ones(75_000_000)  # a process must not be charged for what the one that started it holds
    assert peak_memory_gb(Case(partial(Hungry, 200), (1,)), "infer", 1, CPU) == pytest.approx(0.2, abs=0.02)
    del held


@pytest.mark.slow
def test_processes_that_do_the_same_need_the_same_memory() -> None:
    """With glibc left to itself the freed 8 MB tensors of this network stay or go as it happens."""
    case = Case(partial(Products, 30), (1000, 192))
    peaks = [peak_memory_gb(case, "train", 2, CPU) for _ in range(3)]
    assert max(peaks) - min(peaks) < 0.002
    assert not set(ALLOCATOR) & set(os.environ)  # this process, and what it starts otherwise, is left as it was


def test_training_memory_counts_gradients_and_the_optimiser() -> None:
    """40 MB of weights: as much again for the gradients, and twice as much for AdamW's state; a little to compute."""
    case = Case(partial(nn.Linear, 1000, 10_000, bias=False), (1000,))
    assert 0.14 < peak_memory_gb(case, "train", 1, CPU) < 0.26


def test_the_batch_halves_where_the_process_is_killed() -> None:
    batch, _ = largest_batch(Case(partial(Starved, 1, "kill"), (1,)), "infer", 2, CPU)
    assert batch == 1


def test_what_does_not_fit_at_all_says_so() -> None:
    with pytest.raises(MemoryError, match=r"out of memory \(CUDA out of memory\. Tried"):
        largest_batch(Case(partial(Starved, 0, "error"), (1,)), "infer", 1, CPU)


@pytest.mark.parametrize(("fits", "batch"), [(4, 4), (3, 2), (1, 1)])
def test_the_batch_is_the_first_half_that_fits(monkeypatch: pytest.MonkeyPatch, fits: int, batch: int) -> None:
    def peak(case: Case, work: str, batch: int, machine: Machine) -> float:
        if batch > fits:
            raise MemoryError
        return batch / 8

    monkeypatch.setattr("vtbench.cost.memory.peak_memory_gb", peak)
    assert largest_batch(Case(Broken, (1,)), "infer", 4, CPU) == (batch, batch / 8)


def test_a_network_that_cannot_run_is_not_taken_for_too_large() -> None:
    with pytest.raises(RunError, match=r"^ValueError: no such thing$"):
        largest_batch(Case(Broken, (1,)), "infer", 4, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_memory_is_what_torch_allocated_there() -> None:
    gpu = Machine("cuda:0")
    assert peak_memory_gb(Case(partial(Hungry, 500), (1,)), "infer", 1, gpu) == pytest.approx(0.5, abs=0.02)
    third = int(torch.cuda.get_device_properties(0).total_memory * 0.3 / 1e6)
    assert largest_batch(Case(partial(Hungry, third), (1,)), "infer", 4, gpu)[0] == 2
