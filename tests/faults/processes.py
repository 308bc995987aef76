"""The processes of one command, found by a mark in their environment, and what they leave in shared memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = "VTBENCH_FAULT_MARK"
SHARED = Path("/dev/shm")
SEMAPHORES = f"vtbench-fault-{os.getpid()}"
"""What the names of their semaphores begin with: those of other programs' multiprocessing are not ours to judge."""


def environment(mark: str, fault: dict[str, object] | None = None) -> dict[str, str]:
    """Of a command whose processes are found by `mark`; for `fault`, see inject/sitecustomize.py."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(HERE.parents[1]), str(HERE / "inject"))),
        "OMP_NUM_THREADS": "1",
        MARK: mark,
        "VTBENCH_FAULT": json.dumps(fault),
        "VTBENCH_FAULT_SEMAPHORES": f"/{SEMAPHORES}",
    }


def marked(mark: str) -> dict[int, str]:
    """Pid -> command line of every process that lives and carries the mark."""
    found = {}
    for folder in _numbers():
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile
            continue
    return {pid: line for pid, line in found.items() if line}  # a zombie has none


def children(pid: int, mark: str) -> list[int]:
    """Those of a process that Python's multiprocessing started, without its resource tracker."""
    workers = [child for child, line in marked(mark).items() if "spawn_main" in line]
    return [child for child in workers if _parent(child) == pid]


def seconds_until_gone(mark: str, at_most: float) -> float:
    """How long the processes of a mark lived on. AssertionError if one still does."""
    started = time.monotonic()
    while left := marked(mark):
        assert time.monotonic() - started < at_most, f"still there after {at_most} s: {left}"
        time.sleep(0.05)
    return time.monotonic() - started


def shared_memory() -> set[str]:
    return {path.name for path in SHARED.iterdir()}


def abandoned(before: set[str]) -> set[str]:
    """What is new in shared memory, and used by no process any more: other programs have theirs."""
    new = {name for name in shared_memory() - before if is_semaphore(name) or not name.startswith("sem.")}
    return new - _in_use() if new else new


def is_semaphore(name: str) -> bool:
    """Whether this is a semaphore of a command with `environment`."""
    return name.startswith(f"sem.{SEMAPHORES}")


def _in_use() -> set[str]:
    used = set()
    for folder in _numbers():
        try:
            used |= {
                line.rpartition("/")[2] for line in (folder / "maps").read_text().splitlines() if "/dev/shm/" in line
            }
            used |= {link.readlink().name for link in (folder / "fd").iterdir()}
        except OSError:
            continue
    return used


def _numbers() -> Iterator[Path]:
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
