"""progress.json of a training's run folder: how far its job is, where it runs, and why it failed if it did.

The process that does the work writes it, every few seconds, from when it holds the run folder: not one that waits for
another. `vtbench status` and whoever waits for a cluster read it. It is removed when the job has succeeded. That of a
job that was killed stays: `is_alive` tells the two apart.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from vtbench.errors import ResultsError
from vtbench.files import utc_now
from vtbench.results import folders
from vtbench.run.jobs.plan import Job
from vtbench.run.reporting import START, Notice, Progress

PROGRESS = "progress.json"

WRITE_EVERY_S = 5.0
"""Seconds between two writes; of a new phase or epoch, NEW_EPOCH_S."""

NEW_EPOCH_S = 1.0

MOST_NOTICES = 20

SILENT_S = 600.0
"""A process of another machine that has written nothing for so long is taken for gone, unless it holds the folder."""


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a job is."""

    key: str
    title: str
    rows: tuple[str, ...] = ()
    """Ids of the rows that ask for it; none for a pretraining."""
    scale: str
    seed: int
    phase: str = START
    """As reporting.Progress says it."""
    done: int = 0
    total: int = 0
    loss: float | None = None
    """The last training loss that was reported."""
    since: str
    """UTC, as 2026-01-31T23:59:59Z: when this process was given it."""
    at: str
    """UTC: when this was written."""
    pid: int
    """Of the process that SIGTERM ends with a checkpoint."""
    started: int | None
    """When the process was started, in clock ticks since the machine was: tells it from a later one of the same pid."""
    host: str
    slurm: str | None = None
    """Id of the SLURM job that runs it; None elsewhere."""
    notices: tuple[str, ...] = ()
    """Lines that whoever waits for the job should read, the first of them if there are many."""
    error: str | None = None
    """Why it failed, in one line."""
    exit_code: int = 0


class Recorder:
    """Keeps progress.json of one job up to date from the first progress on: whoever reports some holds the folder. That
    of another process at work stays. A folder that cannot be written is the job's to report, not ours."""

    def __init__(self, job: Job, results: Path) -> None:
        self.folder = folders.training_folder(results, job.key)
        self._values: dict[str, Any] = {
            "key": job.key,
            "title": job.title,
            "rows": job.rows,
            "scale": job.training.scale,
            "seed": job.training.seed,
            "since": utc_now(),
            "pid": os.getpid(),
            "started": process_start(os.getpid()),
            "host": socket.gethostname(),
            "slurm": own_slurm_job(),
        }
        self._written, self._last = -math.inf, ("", 0)
        self._begun = False

    def runs_in(self, pid: int) -> None:
        """It is this process that does the work, and ends when it is asked to."""
        self._values |= {"pid": pid, "started": process_start(pid)}

    def progress_to(self, on_progress: Progress) -> Progress:
        """Something to call with progress, which is written, and, as soon as something is counted, passed on."""

        def progress(phase: str, done: int, total: int, loss: float | None) -> None:
            self.progress(phase, done, total, loss)
            if phase != START:
                on_progress(phase, done, total, loss)

        return progress

    def notice_to(self, on_notice: Notice) -> Notice:
        """Something to call with notices, which are written, and passed on."""

        def notice(text: str) -> None:
            self.notice(text)
            on_notice(text)

        return notice

    def progress(self, phase: str, done: int, total: int, loss: float | None) -> None:
        """Write how far the job is, unless that was just done."""
        if phase == START and self._begun:  # the test after its training
            return
        last = (phase, done if phase == "train" else 0)
        if time.monotonic() - self._written >= (WRITE_EVERY_S if last == self._last else NEW_EPOCH_S):
            self._last = last
            self._write(phase=phase, done=done, total=total, **({} if loss is None else {"loss": loss}))

    def notice(self, text: str) -> None:
        """Write a line on the job; before it is begun, keep it until then."""
        if len(notices := self._values.get("notices", ())) < MOST_NOTICES:
            self._values["notices"] = (*notices, text)
            if self._begun and not self._is_anothers():
                self._write()

    def ended(self, error: str | None, exit_code: int, *, of_slurm: bool = False) -> None:
        """Write why the job failed; without an error, remove the file. Does nothing where another process is at work in
        the folder, as one that this one waited for.

        of_slurm: it was a job of SLURM, which is over, however lately it has written
        """
        if self._is_anothers(of_slurm):
            return
        if error is None:
            forget(self.folder)
        else:
            self._write(error=error, exit_code=exit_code)

    def _is_anothers(self, of_slurm: bool = False) -> bool:
        state = read(self.folder)
        if state is None or (of_slurm and state.slurm is not None):
            return False
        mine = all(getattr(state, name) == self._values[name] for name in ("pid", "started", "host"))
        return not mine and is_alive(state, self.folder)

    def _write(self, **changed: Any) -> None:
        self._values |= {**changed, "at": utc_now()}
        self._begun = True
        if not is_first_process():
            return
        self._written = time.monotonic()
        text = json.dumps(asdict(State(**self._values)), indent=2, sort_keys=True)
        half = self.folder / f".{PROGRESS}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            half.write_text(text + "\n", encoding="utf-8")
            half.replace(self.folder / PROGRESS)  # not synced to the disk: nothing depends on it after a loss of power


def read(folder: Path) -> State | None:
    """What progress.json of a run folder says; None without one, or if it cannot be read."""
    try:
        found = folders.read_json(folder / PROGRESS)
        state = State(**{**found, "rows": tuple(found["rows"]), "notices": tuple(found["notices"])})
        _check(state)
    except (ResultsError, TypeError, KeyError, ValueError):
        return None
    return state


def _check(state: State) -> None:
    """Raise TypeError or ValueError for what no run writes: `vtbench cancel` sends a signal to the pid, and one that is
    not above 0 stands for many processes."""
    for name, hint in get_type_hints(State).items():
        kind = tuple if get_origin(hint) is tuple else hint
        if not isinstance(getattr(state, name), kind):
            raise TypeError(name)
    if not all(isinstance(text, str) for text in (*state.rows, *state.notices)):
        raise TypeError
    if state.pid <= 0:
        raise ValueError
    for time_text in (state.since, state.at):
        _utc(time_text)


def _utc(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)


def forget(folder: Path) -> None:
    """Remove progress.json of a run folder, if there is one."""
    with contextlib.suppress(OSError):
        (folder / PROGRESS).unlink(missing_ok=True)


def is_alive(state: State, folder: Path) -> bool:
    """Whether the process that wrote it into a run folder still runs. Of another machine: whether it has written
    lately, or the folder is held: inside an epoch it may write nothing for hours."""
    if state.error is not None:
        return False
    if state.host == socket.gethostname():
        return process_start(state.pid) == state.started if state.started is not None else _exists(state.pid)
    silent_s = (datetime.datetime.now(datetime.UTC) - _utc(state.at)).total_seconds()
    return silent_s < SILENT_S or folders.holder(folder) is not None


def process_start(pid: int) -> int | None:
    """When a process of this machine was started, in clock ticks since the machine was; None if there is none, or the
    system does not say (it has no /proc)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before it may hold blanks
    return None if state == "Z" else int(fields[18])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def own_slurm_job() -> str | None:
    """The id of the SLURM job that this process is a part of, as squeue prints it; None outside of one.

    In an array SLURM_JOB_ID is no such id: that of one element is also the id of the whole array."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def is_first_process() -> bool:
    """Whether this is the first of the processes that share a training, or the only one."""
    return not any(os.environ.get(name, "0") != "0" for name in ("RANK", "SLURM_PROCID"))
