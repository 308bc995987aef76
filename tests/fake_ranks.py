"""Stand for the processes of one training: each does what `work` says of it, by its rank, and needs no torch."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError, RunError
from vtbench.run.engine import Place
from vtbench.run.jobs.ranks import _Failed

Work = dict[int, str]
"""By rank, one of

- measure: say what was measured
- end: train until SIGTERM, then write a checkpoint
- fail: train until SIGTERM, then fail, as for want of a process that has ended
- full: train until SIGTERM, then fail, as the disk is full
- lose: fail as soon as the first process has ended
- break: fail at once, by a mistake of ours
- stay: do not end
"""


def serve(pipe: Connection, place: Place, work: Work, settings: Any, outside: Sequence[Path]) -> None:
    """As ranks._serve. `settings.results` is where each leaves a file `ready-N`, and a checkpoint `ended-N`."""
    what, results = work[place.rank], settings.results
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    pipe.send(("train", 0, 9, None))
    (results / f"ready-{place.rank}").write_text(str(os.getpid()))
    if what == "measure":
        pipe.send({"evaluation": {"rank": place.rank}})
        return
    if what == "break":
        pipe.send(_Failed(time.monotonic(), RunError("ours"), "Traceback: ours\n"))
        return
    until = time.monotonic() + 60
    while not (asked and what != "stay") and time.monotonic() < until:
        time.sleep(0.01)
        if what == "lose" and (results / "ended-0").exists():
            asked.append(0)
    if what == "end":
        (results / f"ended-{place.rank}").touch()
        sys.exit(0)
    error = ResultsError("no space left") if what == "full" else RunError("Connection closed by peer")
    pipe.send(_Failed(time.monotonic(), error, "Traceback: for want of another\n"))
