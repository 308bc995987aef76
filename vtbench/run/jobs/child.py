"""A process that works for this one, and the pipe between them: a worker of a table, or one device of a training."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from vtbench.errors import RunError
from vtbench.processes.orphans import end_with_parent
from vtbench.run.jobs import signals
from vtbench.run.settings import LESS_MEMORY

PATIENCE_S = 30.0
"""How long a child that is asked to end may take, to write a checkpoint."""


class Cancelled(RunError):
    """Somebody else had a process end: `vtbench cancel`, or whoever sends a signal to it alone."""

    def __init__(self, said: str = "it was cancelled; run again to resume") -> None:
        super().__init__(said)


class Child:
    """One process and the pipe to it."""

    def __init__(self, serve: Callable[..., None], *arguments: Any) -> None:
        """Have the process call `serve` with its end of the pipe and `arguments`."""
        # Not forked: a forked process may not use the threads that torch has started in its parent.
        context = multiprocessing.get_context("spawn")
        self.pipe, its_end = context.Pipe()
        # Not a daemon: those may not have children, and a training reads its videos in processes.
        self.process = context.Process(target=_begin, args=(serve, its_end, *arguments))
        self.process.start()
        its_end.close()

    def receive(self) -> Any:
        """The next message, or None if the process is dead."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            return None

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.exitcode is None

    @property
    def was_cancelled(self) -> bool:
        """Whether it ended since it was asked to: by the signal itself, or, where it trained or tested, with code 0."""
        self.process.join(timeout=10)
        return self.process.exitcode in (0, -signal.SIGTERM)

    def how_it_ended(self) -> str:
        """As "was killed by signal 9", with what may help."""
        self.process.join(timeout=10)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"ended with exit code {code}"
        hint = f"; out of memory? {LESS_MEMORY}" if code == -signal.SIGKILL else ""
        return f"was killed by signal {-code}{hint}"

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _begin(serve: Callable[..., None], pipe: Connection, *arguments: Any) -> None:
    signals.leave_to_parent()
    end_with_parent(PATIENCE_S)
    serve(pipe, *arguments)
    # What is left to the end of the interpreter, as threads that still send, and temporary folders of wandb's; but not
    # the seconds that it takes to take torch apart.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def send(pipe: Connection, message: Any) -> None:
    """In the child: say something to the parent. If that is gone, this process is about to end too."""
    with contextlib.suppress(OSError):
        pipe.send(message)
