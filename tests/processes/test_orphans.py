"""A process ends with the one that started it, also if that one is killed before it can look."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import vtbench

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parents[1])}
WORKER = """
import multiprocessing, os, pathlib, signal, sys, time
from vtbench.processes.orphans import end_with_parent
from vtbench.run.jobs import signals

def work(folder, stubborn):
    signals.leave_to_parent()
    def note(number, frame):
        (folder / "asked").touch()
        if not stubborn: os._exit(0)
    signal.signal(signal.SIGTERM, note)
    end_with_parent(1.0)
    (folder / "half").write_text(str(os.getpid()))
    (folder / "half").rename(folder / "pid")
    while True: time.sleep(60)

if __name__ == "__main__":
    arguments = pathlib.Path(sys.argv[1]), len(sys.argv) > 2
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    with signals.deferred(): child.start()
    child.join()
"""
READERS = """
import multiprocessing, os, pathlib, sys, time

folder = pathlib.Path(sys.argv[1])

class Videos:
    entries = []

    def __len__(self): return 8

    def __getitem__(self, index): return 0

    def __setstate__(self, state):  # a process that reads videos gets its copy; it takes long to begin
        (folder / f"{os.getpid()}.begun").touch()
        while not (folder / "go").exists(): time.sleep(0.01)

    def __getstate__(self): return {"of": "a dataset"}

if __name__ == "__main__":
    from vtbench.datasets.clips import Loading, train_loader, view_loader

    multiprocessing.set_start_method("spawn")
    loading = Loading(batch_size=2, num_workers=2)
    videos = Videos()
    if sys.argv[2] == "train":
        loader = train_loader(videos, range(8), loading, print)
    else:
        videos.entries = [type("Entry", (), {"video_id": str(n)})() for n in range(8)]
        loader = view_loader(videos, loading)
    next(iter(loader))
"""


def start(folder: Path, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    (folder / "parent.py").write_text(script)
    return subprocess.Popen([sys.executable, "parent.py", str(folder), *arguments], cwd=folder, env=ENVIRONMENT)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_worker_ends_when_its_parent_is_killed(stubborn: bool, tmp_path: Path) -> None:
    parent = start(tmp_path, WORKER, *(["stubborn"] if stubborn else []))
    wait_for(lambda: (tmp_path / "pid").exists())
    worker = int((tmp_path / "pid").read_text())
    assert is_alive(worker)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(worker))
    assert (tmp_path / "asked").exists(), "SIGTERM first, for a checkpoint"


@pytest.mark.parametrize("of", ["train", "test"])
def test_readers_end_that_are_still_starting_when_their_parent_is_killed(of: str, tmp_path: Path) -> None:
    """torch's own look at the parent remembers whom it finds at the first look, and so waits for init to end."""
    parent = start(tmp_path, READERS, of)
    wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2, 60)
    readers = [int(path.stem) for path in tmp_path.glob("*.begun")]
    parent.kill()
    parent.wait()
    assert all(map(is_alive, readers))
    (tmp_path / "go").touch()
    wait_for(lambda: not any(map(is_alive, readers)))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
