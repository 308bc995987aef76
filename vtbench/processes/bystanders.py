"""Processes that only help another one, where a cluster asks all processes of a job to stop: the other one answers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

from vtbench.processes.orphans import end_with_parent

__all__ = ["stand_by"]


def stand_by(number: int = 0) -> None:
    """The first call of such a process, the `number`-th of its parent: it leaves stopping to the parent, and ends with
    it. torch's own look at the parent does not see one that is gone before the first."""
    _leave_stopping_to_parent()
    end_with_parent()


def _leave_stopping_to_parent() -> None:
    """In a process that multiprocessing started and that has nothing to write: ignore SIGUSR1 and SIGUSR2, which say
    that a job's time is nearly up, and SIGTERM unless the parent sends it.

    A cluster may send them to every process of a job. The parent needs this one until it has written a checkpoint.
    Where the system does not say who sends a signal (macOS), SIGTERM still ends this process.

    Elsewhere than in such a process this does nothing.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):
        return

    def watch() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent.pid:
            pass
        os._exit(0)

    # A handler is not told who sent the signal, and waits for C code to return, as of a file that blocks. New threads
    # inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=watch, name="end when the parent asks", daemon=True).start()
