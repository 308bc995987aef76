"""Names the semaphores of the process that it is loaded into ($VTBENCH_FAULT_SEMAPHORES), and kills it at a chosen
call, to hit what takes too little time to be hit by chance.

$VTBENCH_FAULT is JSON: `role` (parent or worker), `call` (fsync, replace or append), `number` (of the calls of that
kind in the process, from 1), `when` (before or after it), `fired` (a file that is made; with it, nothing is killed).
An `append` is the one write of a line to results.csv or speed.csv.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

multiprocessing.current_process()._config["semprefix"] = os.environ["VTBENCH_FAULT_SEMAPHORES"]  # type: ignore[attr-defined]
PLAN = json.loads(os.environ.get("VTBENCH_FAULT", "null"))


def watched(function: Callable[..., Any], counts: Callable[..., bool] = lambda *_: True) -> Any:
    seen = 0

    def replacement(*arguments: Any, **named: Any) -> Any:
        nonlocal seen
        role = "parent" if multiprocessing.parent_process() is None else "worker"
        hit = False
        if role == PLAN["role"] and counts(*arguments):
            seen += 1
            hit = seen == PLAN["number"] and not Path(PLAN["fired"]).exists()
        if hit and PLAN["when"] == "before":
            die()
        found = function(*arguments, **named)
        if hit:
            die()
        return found

    return replacement


def die() -> None:
    Path(PLAN["fired"]).write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def is_csv(descriptor: int, *_: Any) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name in ("results.csv", "speed.csv")


if PLAN and PLAN["call"] == "fsync":
    os.fsync = watched(os.fsync)
elif PLAN and PLAN["call"] == "replace":
    os.replace = watched(os.replace)
elif PLAN:
    os.write = watched(os.write, is_csv)
