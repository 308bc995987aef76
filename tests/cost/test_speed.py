"""Times taken in turns, and peak memory of fresh processes, on networks whose cost is known beforehand."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from vtbench.cost.speed import (
    ALLOCATOR,
    Case,
    Machine,
    is_out_of_memory,
    largest_batch,
    orders,
    peak_memory_gb,
    prepare,
    spread,
    time_in_turns,
)
from vtbench.errors import RunError

CPU = Machine("cpu")


class Products(nn.Module):
    """So many products of 192 x 192 matrices."""

    def __init__(self, products: int) -> None:
        super().__init__()
        self.products = products
        self.weight = nn.Parameter(torch.eye(192))

    def forward(self, clips: Tensor) -> Tensor:
        for _ in range(self.products):
            clips = clips @ self.weight
        return clips.flatten(1)[:, :4]


class Hungry(nn.Module):
    """Holds `megabytes` per clip while it runs."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        self.megabytes = megabytes
        self.head = nn.Linear(1, 2)

    def forward(self, clips: Tensor) -> Tensor:
        held = clips.new_ones(len(clips), self.megabytes * 1_000_000 // 4)
        return self.head(clips) + held[:, :1]


class Starved(nn.Module):
    """Fails above `largest` clips in a way of its own."""

    def __init__(self, largest: int, how: str) -> None:
        super().__init__()
        self.largest, self.how = largest, how
        self.head = nn.Linear(1, 2)

    def forward(self, clips: Tensor) -> Tensor:
        if len(clips) > self.largest and self.how == "error":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        if len(clips) > self.largest:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(clips)


class Broken(nn.Module):
    def forward(self, clips: Tensor) -> Tensor:
        raise ValueError("no such thing\nas this")


def products(count: int) -> Callable[[], Callable[[], None]]:
    return partial(prepare, Case(partial(Products, count), (192, 192)), "infer", 1, CPU)


# ---- time ------------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still but while something that it times is at work."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_seconds_per_pass_are_what_the_clock_says() -> None:
    clock = Clock()
    makers = {"one": lambda: partial(clock.work, 0.01), "four": lambda: partial(clock.work, 0.04)}
    seconds, failed = time_in_turns(makers, rounds=7, clock=clock)
    assert not failed
    assert seconds == {"one": [pytest.approx(0.01)] * 7, "four": [pytest.approx(0.04)] * 7}


@pytest.mark.slow
def test_four_times_the_work_takes_four_times_as_long() -> None:
    """By the clock of this machine, so not where it has something else to do."""
    seconds, failed = time_in_turns({"one": products(8), "four": products(32)}, rounds=7)
    assert not failed
    ratios = [a / b for a, b in zip(seconds["four"], seconds["one"], strict=True)]
    assert len(ratios) == 7
    assert 2.5 < spread(ratios).median < 6


def test_every_network_has_its_turn_in_every_round_and_no_order_stays() -> None:
    found = list(orders("abcdefg", 20))
    assert all(sorted(order) == list("abcdefg") for order in found) and found == list(orders("abcdefg", 20))
    assert found[0] == list("abcdefg") and all(b == a[::-1] for a, b in zip(found[::2], found[1::2], strict=True))
    before_a = [order[order.index("a") - 1] for order in found if order[0] != "a"]
    assert len(set(before_a)) >= 5  # a large network slows down the next one, which must not always be the same
    assert list(orders([], 1)) == [[]]


def test_networks_are_measured_in_turns_not_one_after_the_other() -> None:
    calls: list[str] = []
    clock = Clock()

    def maker(name: str) -> Callable[[], None]:
        def take() -> None:
            calls.append(name)
            clock.work(0.11)

        return take

    time_in_turns({name: partial(maker, name) for name in "ab"}, rounds=3, clock=clock)
    turns = [name for number, name in enumerate(calls) if number == 0 or calls[number - 1] != name]
    # ab to warm up, then ab, ba and a third round in either order: neighbours run together.
    assert "".join(turns) in ("ababab", "abababa")


def test_slow_first_passes_are_not_counted() -> None:
    passes = iter([0.5, 0.5])
    clock = Clock()
    seconds, _ = time_in_turns(
        {"slow to start": lambda: lambda: clock.work(next(passes, 0.002))}, rounds=3, clock=clock
    )
    assert seconds["slow to start"] == [pytest.approx(0.002)] * 3


def test_what_cannot_run_is_named_and_the_others_are_measured() -> None:
    broken = partial(prepare, Case(Broken, (1,)), "infer", 1, CPU)
    starved = partial(prepare, Case(partial(Starved, 0, "error"), (1,)), "infer", 1, CPU)
    seconds, failed = time_in_turns({"broken": broken, "well": products(1), "starved": starved}, rounds=2)
    assert list(seconds) == ["well"] and len(seconds["well"]) == 2
    assert failed["broken"] == "ValueError: no such thing"
    assert failed["starved"].startswith("out of memory (CUDA out of memory. Tried")


def test_a_training_step_trains_without_changing_the_weights() -> None:
    made: list[nn.Linear] = []

    def build() -> nn.Module:
        made.append(nn.Linear(3, 2))
        return made[-1]

    step = prepare(Case(build, (3,)), "train", 2, CPU)
    before = made[0].weight.clone()
    step()
    assert made[0].training and torch.equal(made[0].weight, before)


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_the_precision_is_that_of_the_products(precision: str, dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []

    class Head(nn.Linear):
        def forward(self, clips: Tensor) -> Tensor:
            logits = super().forward(clips)
            seen.append(logits.dtype)
            return logits

    for work in ("infer", "train"):
        prepare(Case(partial(Head, 3, 2), (3,)), work, 1, Machine("cpu", precision))()
    assert seen == [dtype, dtype]


def test_quartiles_lie_around_the_median() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.q1, found.median, found.q3) == (2.0, 3.0, 4.0)
    assert spread([7.0]).q1 == 7.0


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_the_network_not_of_the_libraries_or_of_this_process() -> None:
    held = torch.ones(75_000_000)  # a process must not be charged for what the one that started it holds
    assert peak_memory_gb(Case(partial(Hungry, 200), (1,)), "infer", 1, CPU) == pytest.approx(0.2, abs=0.02)
    del held


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

    monkeypatch.setattr("vtbench.cost.speed.peak_memory_gb", peak)
    assert largest_batch(Case(Broken, (1,)), "infer", 4, CPU) == (batch, batch / 8)


def test_a_network_that_cannot_run_is_not_taken_for_too_large() -> None:
    with pytest.raises(RunError, match=r"^ValueError: no such thing$"):
        largest_batch(Case(Broken, (1,)), "infer", 4, CPU)


def test_an_allocation_that_the_system_refuses_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_time_and_memory_are_the_gpus() -> None:
    gpu = Machine("cuda:0")
    assert peak_memory_gb(Case(partial(Hungry, 500), (1,)), "infer", 1, gpu) == pytest.approx(0.5, abs=0.02)
    third = int(torch.cuda.get_device_properties(0).total_memory * 0.3 / 1e6)
    assert largest_batch(Case(partial(Hungry, third), (1,)), "infer", 4, gpu)[0] == 2
    makers = {
        name: partial(prepare, Case(partial(Products, count), (4096, 192)), "infer", 8, gpu)
        for name, count in (("one", 200), ("four", 800))
    }
    seconds, failed = time_in_turns(makers, rounds=5)
    assert not failed
    # Without synchronisation it would be the time that it takes to queue the kernels.
    assert 3 < spread([a / b for a, b in zip(seconds["four"], seconds["one"], strict=True)]).median < 5
