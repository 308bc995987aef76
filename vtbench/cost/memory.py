"""Peak memory of a network, measured in a fresh process so that networks can be compared.

The process builds the network and takes two passes (see passes.py). What it held before that, with everything imported
and a network of two weights run, is subtracted. On CUDA the peak is of what torch allocated, elsewhere of the resident
set, with glibc set to return freed tensors at once: by default it keeps more or fewer of them from process to process
(2D Swin-T, one clip: 584 to 608 MB where 386.5 are needed, and the same to 0.4 MB with the settings in ALLOCATOR).
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import nn

from vtbench.cost.passes import OUT_OF_MEMORY, Case, Machine, Work, build_pass, is_out_of_memory, why_it_failed
from vtbench.errors import RunError
from vtbench.processes.orphans import end_with_parent

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""The environment of a process that measures memory. Allocators other than glibc's do not read it."""


def peak_memory_gb(case: Case, work: Work, batch: int, machine: Machine) -> float:
    """Peak memory of two passes in GB (1e9 bytes): with the network, without the idle process (see above).

    Raises MemoryError if it does not fit, also if the system kills the process for it, and RunError if the network
    cannot be run.
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
    """`batch`, halved until a pass fits, and its peak memory in GB. Raises MemoryError if batch 1 does not fit."""
    while True:
        try:
            return batch, peak_memory_gb(case, work, batch, machine)
        except MemoryError:
            if batch == 1:
                raise
            batch //= 2


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which new processes inherit, and restore them afterwards."""
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
    end_with_parent()
    try:
        torch.set_num_threads(machine.threads)
        build_pass(Case(partial(nn.Linear, 1, 2), (1,)), work, 1, machine)()
        with torch.device("meta"):
            case.build()
        gc.collect()
        idle = _reset_peak(machine)
        take_pass = build_pass(case, work, batch, machine)
        # The first step makes the optimiser's state; the activations of the second one come on top of it.
        for _ in range(2):
            take_pass()
        pipe.send(("peak", max(0, _peak(machine) - idle)))
    except Exception as error:
        pipe.send(("no memory" if is_out_of_memory(error) else "failed", why_it_failed(error)))


def _reset_peak(machine: Machine) -> int:
    """Start measuring the peak here, in an idle process; returns the bytes that are in use."""
    if torch.device(machine.device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(machine.device)
        return torch.cuda.memory_allocated(machine.device)
    with contextlib.suppress(OSError):  # not Linux, or a container that forbids it: subtract the peak so far instead
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
    return _peak(machine)


def _peak(machine: Machine) -> int:
    """The most bytes in use since the last reset."""
    if torch.device(machine.device).type == "cuda":
        torch.cuda.synchronize(machine.device)
        return torch.cuda.max_memory_allocated(machine.device)
    return peak_resident()


def peak_resident() -> int:
    """The most bytes of memory that this process has had, or has had since its peak was reset."""
    # Not ru_maxrss on Linux: there a process inherits that of the one that started it.
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(kilobytes) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
