"""How runs end: signals in this process, and a worker whose parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtbench.run.jobs import signals

ROOT = Path(signals.__file__).parents[3]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of this process are as before."""
    before = {number: signal.getsignal(number) for number in signals.FROM_OUTSIDE}
    yield
    assert {number: signal.getsignal(number) for number in signals.FROM_OUTSIDE} == before


@pytest.mark.parametrize("number", signals.FROM_OUTSIDE)
def test_the_first_signal_interrupts_a_second_once_more_and_further_ones_are_ignored(number: int) -> None:
    interrupts = 0
    with signals.as_ctrl_c():
        for _ in range(4):
            try:
                os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                interrupts += 1
    assert interrupts == 2


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signals.as_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_deferred_signal_arrives_when_the_block_is_through() -> None:
    """Also where another thread, which does not hold it back, is given it by the system."""
    through, over = False, threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    with signals.as_ctrl_c(), pytest.raises(KeyboardInterrupt), signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        through = True
    assert through
    over.set()
    thread.join()


PARENT = """
import multiprocessing, os, pathlib, signal, sys, time
from vtbench.run.jobs import signals

def work(folder, stubborn):
    signals.leave_to_parent()
    def note(number, frame):
        (folder / "asked").touch()
        if not stubborn: os._exit(0)
    signal.signal(signal.SIGTERM, note)
    signals.end_with_parent(1.0)
    (folder / "half").write_text(str(os.getpid()))
    (folder / "half").rename(folder / "pid")
    while True: time.sleep(60)

if __name__ == "__main__":
    arguments = pathlib.Path(sys.argv[1]), len(sys.argv) > 2
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    with signals.deferred(): child.start()
    child.join()
"""


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_worker_ends_when_its_parent_is_killed(stubborn: bool, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script), str(tmp_path), *(["stubborn"] if stubborn else [])]
    parent = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(lambda: (tmp_path / "pid").exists())
    worker = int((tmp_path / "pid").read_text())
    assert is_alive(worker)
    parent.kill()
    parent.wait()
    wait_for(lambda: not is_alive(worker))
    assert (tmp_path / "asked").exists(), "SIGTERM first, for a checkpoint"


def wait_for(condition, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
