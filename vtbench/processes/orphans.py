"""No process outlives the one that started it, even if that one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

__all__ = ["end_with_parent"]


def end_with_parent(patience_s: float = 0.0) -> None:
    """In a process that multiprocessing started: end it when its parent is gone, even if that is so already.

    patience_s: SIGTERM comes first, and this process has that long to end by itself, as a training that writes a
    checkpoint; 0: it ends at once.

    Elsewhere than in such a process this does nothing.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()  # waits for the end of a pipe that the parent holds: there is no moment in which it can be missed
        if patience_s > 0:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(patience_s)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
