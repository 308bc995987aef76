"""How a run ends before it is done: by Ctrl-C, SIGTERM and SIGHUP alike."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run: a user's Ctrl-C, a scheduler, a terminal that closes."""


@contextlib.contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt.

    A second signal raises once more, so that whoever tidies up after the first can hurry; further ones are ignored.
    A signal that is ignored already, as SIGHUP is under nohup, stays ignored. Only the main thread may set handlers:
    elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = 0

    def interrupt(number: int, frame: object) -> None:
        nonlocal arrived
        if _held is not None:
            _held.append(number)
            return
        arrived += 1
        if arrived <= 2:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in FROM_OUTSIDE}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


_held: list[int] | None = None
"""The signals that arrived while they are held back; None while they are not."""


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold back what ends a run until the block is through. A process started in the block holds it back as well,
    until it calls `leave_to_parent`."""
    global _held
    # Python's resource tracker starts with the first process and unblocks SIGINT in this one when it does.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_OUTSIDE)
    # The mask is of this thread, and for the new process. Another thread, as that which draws progress, still takes a
    # signal, and Python then calls the handler in the main thread.
    outer, main = _held, threading.current_thread() is threading.main_thread()
    if main:
        _held = []
    try:
        yield
    finally:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # Python's own handler of Ctrl-C raises here
        finally:
            if main:
                arrived, _held = _held or [], outer
                for number in arrived:
                    signal.raise_signal(number)


def leave_to_parent() -> None:
    """In a worker process: ignore what a terminal sends to all of its processes, and SIGUSR2, by which SLURM says to
    some or all processes of a job that its time is nearly up (slurm/node.py). The parent ends its workers itself."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FROM_OUTSIDE)
