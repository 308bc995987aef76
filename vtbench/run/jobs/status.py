"""What runs where, waits, failed or stopped: from the run folders of a results folder, and from SLURM."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import socket
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtbench.errors import RunError
from vtbench.results import finished, folders
from vtbench.run.jobs import progress
from vtbench.run.jobs.slurm import queue
from vtbench.run.jobs.slurm.engine import SUBMITTED, Submitted, folder_of, submitted


@dataclass(frozen=True, kw_only=True)
class Status:
    """One training run that is not done."""

    state: Literal["running", "queued", "failed", "stopped"]
    """`stopped`: it was interrupted or killed, and the same command resumes it."""
    training: str
    """Its key."""
    title: str
    rows: tuple[str, ...] = ()
    scale: str = ""
    seed: int | None = None
    phase: str = ""
    """`train` or `test`."""
    done: int | None = None
    """Epochs trained, or videos tested."""
    total: int | None = None
    loss: float | None = None
    """The last one reported."""
    since: str = ""
    """UTC: when its process began it, or when it was submitted."""
    where: str = ""
    """Machine and process, or job of SLURM."""
    log: str = ""
    reason: str = ""
    """Why it failed or waits, in one line."""
    pid: int | None = None
    """Of a process of this machine that runs it."""
    job: str | None = None
    """Id of the job of SLURM that it is."""


def statuses(results: Path, rows: Collection[str] | None = None) -> list[Status]:
    """Every training run of a results folder that runs, waits, failed or stopped, those at work first; of these rows
    alone if they are given."""
    queued: dict[str, queue.Queued] | None = None
    if any((results / "runs").glob(f"train-*/{SUBMITTED}")):
        with contextlib.suppress(OSError):
            queued = queue.jobs()
    order = ("running", "queued", "failed", "stopped")
    found = [one for folder in _folders(results) if (one := _status(folder, results, queued)) is not None]
    wanted = [one for one in found if rows is None or set(one.rows) & set(rows)]
    return sorted(wanted, key=lambda one: (order.index(one.state), one.since, one.title))


def cancel(found: Iterable[Status], results: Path) -> Iterator[tuple[Status, str | None]]:
    """End training runs that run or wait; gives each, with why it could not be ended, or None. What runs may first
    write a checkpoint."""
    for one in found:
        error = None
        if one.job is not None:
            try:
                queue.cancel([one.job])
                (folders.training_folder(results, one.training) / SUBMITTED).unlink(missing_ok=True)
                (folder_of(results) / f"{one.job}_submitted.pkl").unlink(missing_ok=True)
            except (RunError, OSError) as refused:
                error = str(refused)
        elif one.pid is None:
            error = f"it runs elsewhere ({one.where}); cancel it there"
        else:
            try:
                os.kill(one.pid, signal.SIGTERM)
            except OSError as refused:
                error = f"process {one.pid}: {refused.strerror}"
        yield one, error


def _folders(results: Path) -> Iterator[Path]:
    """Run folders of training runs, without those that were set aside."""
    for folder in (results / "runs").glob("train-*"):
        if re.fullmatch("train-[0-9a-f]+", folder.name) and folder.is_dir():
            yield folder


def _status(folder: Path, results: Path, queued: dict[str, queue.Queued] | None) -> Status | None:
    key = folder.name.removeprefix("train-")
    sent, state = submitted(results, key), progress.read(folder)
    if sent is not None and (state is None or state.slurm == sent.id or not progress.is_alive(state, folder)):
        return _at_slurm(key, sent, state if state and state.slurm == sent.id else None, queued, results)
    if state is not None:
        return _of_process(folder, state)
    if finished.is_trained(folder) or not (folder / folders.CONFIG).exists():
        return None
    return Status(state="stopped", training=key, title=key)  # of a version that wrote no progress


def _at_slurm(
    key: str,
    sent: Submitted,
    state: progress.State | None,
    queued: dict[str, queue.Queued] | None,
    results: Path,
) -> Status | None:
    job = queued.get(sent.id) if queued is not None else None
    about = Status(
        state="queued",
        training=key,
        title=sent.title,
        rows=sent.rows,
        scale=sent.scale,
        seed=sent.seed,
        since=sent.at,
        where=f"SLURM job {sent.id}" + (f" on {job.node}" if job and job.node else ""),
        log=sent.log,
        job=sent.id,
    )
    if queued is None:
        return _replace(about, state, reason="squeue does not answer")
    if job is not None and job.state in queue.WAITING:
        reason = f"{job.state.lower()}: {job.reason}"
        return _replace(about, state, reason=reason)
    if job is not None and not job.ended:
        return _replace(about, state, status="running")
    if state is None and finished.is_trained(folders.training_folder(results, key)):
        return None  # done, and its line is written by the next `run`
    reason = state.error if state and state.error else queue.why_it_ended(sent.id, Path(sent.log), results)
    return _replace(about, state, status="failed", reason=reason)


def _of_process(folder: Path, state: progress.State) -> Status:
    alive = progress.is_alive(state, folder)
    here = state.host == socket.gethostname()
    reason = state.error or ""
    about = Status(
        state="running" if alive else "failed" if reason else "stopped",
        training=state.key,
        title=state.title,
        rows=state.rows,
        scale=state.scale,
        seed=state.seed,
        since=state.since,
        where=f"{state.host}, pid {state.pid}" if alive else "",
        log=next((str(path) for name in (folders.ERROR, folders.METRICS) if (path := folder / name).exists()), ""),
        reason=reason,
        pid=state.pid if alive and here else None,
    )
    return _replace(about, state)


def _replace(about: Status, state: progress.State | None, *, status: str = "", reason: str = "") -> Status:
    """With how far it is, if that is known."""
    changed: dict[str, object] = {}
    if state is not None and state.total:
        changed = {"phase": state.phase, "done": state.done, "total": state.total, "loss": state.loss}
        changed["since"] = state.since
    if status:
        changed["state"] = status
    if reason:
        changed["reason"] = reason
    return dataclasses.replace(about, **changed)  # type: ignore[arg-type]
