"""How long a pass of a network takes, measured so that networks can be compared.

The networks take turns in one process. Every round measures each of them once, in a random order in one round and in
the reverse order in the next. A slow spell of the machine then affects all alike, a ratio can be taken within its
round, and no network always follows a large one, which slows down the next. A turn is one untimed block of passes (to
clear what the network before left in caches and allocators), then timed blocks for at least `TURN_S` seconds.
torch.utils.benchmark sizes the blocks, synchronises the accelerator and sets the threads. Before the first round every
network runs for `WARM_UP_S`.
"""

from __future__ import annotations

import gc
import logging
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vtbench.cost.passes import why_it_failed

TURN_S = 0.1
"""Least seconds of one turn; a slow pass takes longer."""
WARM_UP_S = 0.3
"""Least seconds that every network runs before the first round."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    median: float
    q1: float
    q3: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, q1, q3)


def time_in_turns(
    makers: Mapping[str, Callable[[], Callable[[], object]]],
    rounds: int,
    *,
    threads: int = 1,
    on_round: Callable[[int], None] = lambda finished: None,
    clock: Callable[[], float] | None = None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds per pass of several networks, one number per round, measured in turns (see above).

    - `makers`: by name, what makes the function that takes one pass (see passes.build_pass)
    - `on_round`: called after each round with the number of finished rounds
    - `clock`: gives the time in seconds; by default torch's benchmark timer, which waits for the GPU

    A network that cannot be made or run is left out of the first dict; the second names it with the reason. The others
    are still measured.
    """
    # Where there is a CUDA compiler and no GPU, torch's benchmark warns on import, by way of what it compiles C++ with.
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from torch.utils.benchmark import Timer
    finally:
        logger.setLevel(level)

    options: dict[str, Any] = {"num_threads": threads} if clock is None else {"num_threads": threads, "timer": clock}
    timers: dict[str, Timer] = {}
    seconds: dict[str, list[float]] = {}
    failed: dict[str, str] = {}

    def take_turn(name: str, min_run_time: float) -> None:
        try:
            if name not in timers:
                timers[name] = Timer("take_pass()", globals={"take_pass": makers[name]()}, **options)
            taken = timers[name].blocked_autorange(min_run_time=min_run_time)
        except Exception as error:  # of any kind: the other networks are still to be measured
            failed[name] = why_it_failed(error)
            timers.pop(name, None)
            seconds.pop(name, None)
            _release()
        else:
            seconds.setdefault(name, []).append(taken.median)

    for name in makers:
        take_turn(name, WARM_UP_S)
    for measured in seconds.values():
        measured.clear()
    for finished, names in enumerate(orders(list(makers), rounds), start=1):
        for name in names:
            if name not in failed:
                take_turn(name, TURN_S)
        on_round(finished)
    timers.clear()
    _release()
    return seconds, failed


def _release() -> None:
    """Free what deleted networks held on the GPU, where other processes will measure memory."""
    gc.collect()
    torch.cuda.empty_cache()


def orders(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """The order of each round: that of the names, its reverse, then random ones, each followed by its reverse. The same
    in every run."""
    rng = random.Random(0)
    order = list(names)
    for turn in range(rounds):
        if turn and turn % 2 == 0:
            rng.shuffle(order)
        yield order[::-1] if turn % 2 else list(order)
