"""Times taken in turns, on networks whose cost is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from known_costs import CPU, Broken, Products, Starved

from vtbench.cost.passes import Case, Machine, build_pass
from vtbench.cost.timing import orders, spread, time_in_turns


def products(count: int) -> Callable[[], Callable[[], None]]:
    return partial(build_pass, Case(partial(Products, count), (192, 192)), "infer", 1, CPU)


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
    broken = partial(build_pass, Case(Broken, (1,)), "infer", 1, CPU)
    starved = partial(build_pass, Case(partial(Starved, 0, "error"), (1,)), "infer", 1, CPU)
    seconds, failed = time_in_turns({"broken": broken, "well": products(1), "starved": starved}, rounds=2)
    assert list(seconds) == ["well"] and len(seconds["well"]) == 2
    assert failed["broken"] == "ValueError: no such thing"
    assert failed["starved"].startswith("out of memory (CUDA out of memory. Tried")


def test_quartiles_lie_around_the_median() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.q1, found.median, found.q3) == (2.0, 3.0, 4.0)
    assert spread([7.0]).q1 == 7.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_time_is_that_of_the_kernels() -> None:
    """Without synchronisation it would be the time that it takes to queue them."""
    gpu = Machine("cuda:0")
    makers = {
        name: partial(build_pass, Case(partial(Products, count), (4096, 192)), "infer", 8, gpu)
        for name, count in (("one", 200), ("four", 800))
    }
    seconds, failed = time_in_turns(makers, rounds=5)
    assert not failed
    assert 3 < spread([a / b for a, b in zip(seconds["four"], seconds["one"], strict=True)]).median < 5
