"""How long a network takes and how much memory, measured so that networks can be compared.

Time: the networks take turns in one process. Every round measures each of them once, in a random order and then in its
reverse: a slow spell of the machine meets all alike, a ratio can be taken within its round, and no network always
follows a large one, which slows down the next. A turn is one untimed block of passes (what the network before left in
caches and allocators is not this one's), then timed blocks for `TURN_S` seconds at least; torch.utils.benchmark sizes
the blocks, synchronises the accelerator and sets the threads. Before the first round every network runs for
`WARM_UP_S`.

Memory: the peak of a fresh process that makes the network and takes two passes, less what the same process held before,
with everything imported and a network of two weights run. On CUDA what torch had allocated, elsewhere the resident set,
with glibc told to give freed tensors back at once: left to itself it keeps more or less of them from process to process
(2D Swin-T, one clip: 584 to 608 MB where 386.5 are needed, and the same to 0.4 MB with what ALLOCATOR has).

A pass is a forward pass in eval mode and inference mode ("infer"; "latency" is the same, waiting for the GPU after each
pass, which otherwise is sent the next one while it works), or one training step ("train": forward pass, cross entropy,
backward pass, AdamW, whose state counts in the memory; its learning rate is 0, so that every step does the same work).
Clips are random numbers. Whether products may use TF32 is as torch has it, which is how vtbench trains.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import random
import re
import resource
import signal
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from vtbench.clips import each
from vtbench.errors import RunError, first_line, in_one_line

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Work = Literal["latency", "infer", "train"]

TURN_S = 0.1
"""Seconds of one turn at least; a slow pass takes its own time."""
WARM_UP_S = 0.3

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""The environment of a process that measures memory. Other allocators than glibc's do not read it."""

OUT_OF_MEMORY = "out of memory"
"""How the reason of a failure begins that more memory would have spared."""

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


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over the rounds."""

    median: float
    q1: float
    q3: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, q1, q3)


def prepare(case: Case, work: Work, batch: int, machine: Machine) -> Callable[[], None]:
    """The network on its device, and a function that takes one pass of `batch` clips."""
    device = torch.device(machine.device)
    network = case.build().to(device).train(work == "train")
    clips = each(lambda shape: torch.randn(batch, *shape, device=device), case.clip_shape)
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


# ---- time ------------------------------------------------------------------------------------------------------------


def time_in_turns(
    makers: Mapping[str, Callable[[], Callable[[], object]]],
    rounds: int,
    *,
    threads: int = 1,
    told: Callable[[int], None] = lambda turn: None,
    clock: Callable[[], float] | None = None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds per pass of several networks, one number per round, measured in turns (see above).

    `makers` make the functions that take one pass. What cannot be made or run is left out and named in the second
    answer with the reason; the others are measured. `told` is called with the number of rounds that are finished.
    `clock` gives the time in seconds; by default it is torch's benchmark timer, which waits for the GPU.
    """
    # Where there is a CUDA compiler and no GPU, torch's benchmark warns on import, by way of what it compiles C++ with.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    options: dict[str, Any] = {"num_threads": threads} if clock is None else {"num_threads": threads, "timer": clock}
    timers: dict[str, Timer] = {}
    seconds: dict[str, list[float]] = {}
    failed: dict[str, str] = {}

    def take(name: str, min_run_time: float) -> None:
        try:
            if name not in timers:
                timers[name] = Timer("take()", globals={"take": makers[name]()}, **options)
            taken = timers[name].blocked_autorange(min_run_time=min_run_time)
        except Exception as error:  # of any kind: the other networks are still to be measured
            failed[name] = _in_words(error)
            timers.pop(name, None)
            seconds.pop(name, None)
            _release()
        else:
            seconds.setdefault(name, []).append(taken.median)

    for name in makers:
        take(name, WARM_UP_S)
    for measured in seconds.values():
        measured.clear()
    for turn, names in enumerate(orders(list(makers), rounds), start=1):
        for name in names:
            if name not in failed:
                take(name, TURN_S)
        told(turn)
    timers.clear()
    _release()
    return seconds, failed


def _release() -> None:
    """Give back what networks that are no more held on the GPU: other processes will measure memory there."""
    gc.collect()
    torch.cuda.empty_cache()


def orders(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """The order of each round: that of the names first, then random ones, always the same; each also backwards."""
    rng = random.Random(0)
    order = list(names)
    for turn in range(rounds):
        if turn and turn % 2 == 0:
            rng.shuffle(order)
        yield order[::-1] if turn % 2 else list(order)


# ---- memory ----------------------------------------------------------------------------------------------------------


def peak_memory_gb(case: Case, work: Work, batch: int, machine: Machine) -> float:
    """Peak memory of two passes in GB (1e9 bytes), the network included, the idle process not (see above).

    Raises MemoryError where it does not fit, also where the system ends the process for it, and RunError where the
    network cannot be run.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_peak, args=(theirs, case, work, batch, machine), daemon=True)
    with _environment(ALLOCATOR):
        process.start()
    theirs.close()
    try:
        kind, answer = ours.recv()
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:
            raise MemoryError(f"{OUT_OF_MEMORY} (the system killed the process)") from None
        raise RunError(f"the process that measures memory ended with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if kind == "no memory":
        raise MemoryError(answer)
    if kind == "failed":
        raise RunError(answer)
    return float(answer) / 1e9


def largest_batch(case: Case, work: Work, batch: int, machine: Machine) -> tuple[int, float]:
    """`batch`, halved until a pass fits, and its peak memory in GB. Raises MemoryError where batch 1 does not fit."""
    while True:
        try:
            return batch, peak_memory_gb(case, work, batch, machine)
        except MemoryError:
            if batch == 1:
                raise
            batch //= 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on the GPU or beside it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # What libraries below torch, and torch on the CPU, raise as plain RuntimeError.
    return isinstance(error, RuntimeError) and bool(
        re.search(r"can't allocate memory|out of memory|CU\w+_STATUS_ALLOC_FAILED", str(error))
    )


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """This process's environment, which a new process inherits, with `values` for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _measure_peak(pipe: Connection, case: Case, work: Work, batch: int, machine: Machine) -> None:
    """The fresh process: answers ("peak", bytes), ("no memory", why) or ("failed", why)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends this process itself
    try:
        torch.set_num_threads(machine.threads)
        prepare(Case(partial(nn.Linear, 1, 2), (1,)), work, 1, machine)()
        with torch.device("meta"):
            case.build()
        gc.collect()
        idle = _reset_peak(machine)
        take = prepare(case, work, batch, machine)
        # The first step makes the optimiser's state, which the activations of the second one come on top of.
        for _ in range(2):
            take()
        pipe.send(("peak", max(0, _peak(machine) - idle)))
    except Exception as error:
        pipe.send(("no memory" if is_out_of_memory(error) else "failed", _in_words(error)))


def _reset_peak(machine: Machine) -> int:
    """Bytes in use by an idle process, from where the peak counts."""
    if torch.device(machine.device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(machine.device)
        return torch.cuda.memory_allocated(machine.device)
    with contextlib.suppress(OSError):  # not Linux, or a container that does not allow it: the peak so far is the start
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
    return _peak(machine)


def _peak(machine: Machine) -> int:
    """The most bytes in use since the last reset."""
    if torch.device(machine.device).type == "cuda":
        torch.cuda.synchronize(machine.device)
        return torch.cuda.max_memory_allocated(machine.device)
    # Not ru_maxrss on Linux: there a process inherits that of the one that started it.
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(kilobytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _in_words(error: BaseException) -> str:
    """An error in one line."""
    return f"{OUT_OF_MEMORY} ({first_line(error)})" if is_out_of_memory(error) else in_one_line(error)
