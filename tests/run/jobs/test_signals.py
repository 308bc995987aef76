"""How runs end: signals in this process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from vtbench.run.jobs import signals
from vtbench.run.jobs.child import Child

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


def test_a_deferred_ctrl_c_of_which_python_makes_the_exception_is_over_then() -> None:
    with pytest.raises(KeyboardInterrupt), signals.deferred():
        signal.raise_signal(signal.SIGINT)
    with signals.as_ctrl_c(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def answer(pipe: Connection) -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    pipe.send("still there")


def test_a_worker_leaves_it_to_its_parent_that_the_time_of_a_job_is_nearly_up() -> None:
    """Some clusters tell every process of a job: a worker would die without a checkpoint."""
    worker = Child(answer)
    assert worker.receive() == "still there"
    worker.kill()


def wait_for(condition, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
