"""SIGTERM and SIGUSR1 while Lightning trains or tests: what was done so far is written, then the process ends.

A cluster sends them before it takes a machine away (SIGUSR1 some time before the limit, SIGTERM at it), and whoever
ends a worker sends SIGTERM. Lightning would raise between any two batches, also where nothing can be resumed from; its
handler for SLURM writes a checkpoint of its own and requeues the job, which is the engine's affair here.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

TOGETHER_S = 5.0
"""SIGTERMs within this time are one: a cluster sends it to every process of a job, and so does our parent process."""


class StopSignals:
    """Whether this process was asked to stop. A second SIGTERM, some seconds after the first, is a KeyboardInterrupt at
    once."""

    def __init__(self) -> None:
        self.received = False
        self._terminated: float | None = None

    def catch(self) -> None:
        """Take the signals from here on. Call it once Lightning has set its own handlers: when it ends, it restores
        those that were there before. Only the main thread can; elsewhere nothing changes."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        if number == signal.SIGTERM:
            now = time.monotonic()
            if self._terminated is not None and now - self._terminated > TOGETHER_S:
                raise KeyboardInterrupt
            self._terminated = self._terminated or now
