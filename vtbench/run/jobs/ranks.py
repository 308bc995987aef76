"""One training and its tests in several processes, each with a device of its own.

Lightning's launcher runs the command line again, which is not what a worker of a table was started with, and leaves its
processes behind when it is killed. So the processes are started here, as multiprocessing does it, and Lightning finds
them as it finds those of torchrun. Each of them runs the same code; the first one alone writes files and reports
(vtbench.methods.processes).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vtbench.errors import RunError, VtbenchError, in_one_line
from vtbench.papers.roots import include, included
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.engine import Place
from vtbench.run.jobs.child import PATIENCE_S, Child, send
from vtbench.run.reporting import Notice, Progress, no_notice
from vtbench.run.resuming.stopping import SIGNALS
from vtbench.run.settings import Settings

Measured = dict[str, dict[str, Any]]
"""What `evaluate` returned, by the evaluation's key."""


@dataclass(frozen=True)
class Work:
    """What the processes do: train, unless there are given weights, and test."""

    training: Training
    evaluations: Mapping[str, Evaluation]
    checkpoint: Path | None = None


@dataclass(frozen=True)
class _Failed:
    """How a process says that it failed: when, in seconds of the clock that all of this machine share, and why."""

    at: float
    error: VtbenchError


def measure(
    work: Work,
    settings: Settings,
    on_progress: Progress,
    on_notice: Notice = no_notice,
) -> Measured:
    """Do the work: in this process, or in as many as the engine has devices. Raises the VtbenchError of what fails."""
    if settings.engine.processes == 1:
        return _do(work, settings, on_progress, on_notice)
    count = settings.engine.devices
    port = free_port()
    places = [Place(rank, count, rank, count, "127.0.0.1", port) for rank in range(count)]
    return supervise(work, settings, places, on_progress, on_notice)


def _do(work: Work, settings: Settings, on_progress: Progress, on_notice: Notice) -> Measured:
    from vtbench.run.evaluate import evaluate
    from vtbench.run.train import train

    if work.checkpoint is None:
        train(work.training, settings, on_progress, on_notice)
    return {
        key: evaluate(evaluation, settings, on_progress, on_notice, checkpoint=work.checkpoint)
        for key, evaluation in work.evaluations.items()
    }


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("", 0))
        number: int = found.getsockname()[1]
        return number


# ---- in the process that starts them ---------------------------------------------------------------------------------


def supervise(
    work: Work,
    settings: Settings,
    places: Sequence[Place],
    on_progress: Progress,
    on_notice: Notice,
    check: Callable[[], None] = lambda: None,
) -> Measured:
    """Start the processes of `places` on this machine, and wait until all of them are through. The first that fails
    ends the others. SIGTERM and SIGUSR1 are passed on to them, and come out as KeyboardInterrupt once they have ended.

    `check` is called once a second; what it raises ends the processes.
    """
    ranks: list[_Rank] = []
    measured: dict[int, Measured] = {}
    said: set[str] = set()
    with _passed_on(ranks) as signalled:
        try:
            for place in places:
                ranks.append(_Rank(place, work, settings))
            while len(measured) < len(ranks):
                for rank in _with_news([rank for rank in ranks if rank.place.rank not in measured]):
                    message = rank.receive_now()
                    if message is None and signalled:
                        raise KeyboardInterrupt
                    if message is None or isinstance(message, _Failed):
                        raise _first_failure(ranks)
                    if isinstance(message, dict):
                        measured[rank.place.rank] = message
                    elif isinstance(message, tuple):
                        on_progress(*message)
                    elif message not in said:  # each of them may read the same broken video
                        said.add(message)
                        on_notice(message)
                check()
        except KeyboardInterrupt:
            _end(ranks, PATIENCE_S)
            raise
        finally:
            _end(ranks, 0.0 if len(measured) < len(ranks) else PATIENCE_S)
    return measured[places[0].rank]


def _with_news(ranks: Sequence[_Rank]) -> list[_Rank]:
    """The processes that have something to say or have died, after a second at most."""
    ready = wait([each for rank in ranks for each in (rank.pipe, rank.process.sentinel)], timeout=1.0)
    return [rank for rank in ranks if rank.pipe in ready or rank.process.sentinel in ready]


def _first_failure(ranks: Sequence[_Rank]) -> VtbenchError:
    """Why the processes failed: where one dies, the others soon fail too, for want of it."""
    time.sleep(0.2)
    for rank in ranks:
        while rank.receive_now() is not None:
            pass
        if rank.failed is None and rank.process.exitcode:
            return RunError(rank.why_it_died())
    return min((rank.failed for rank in ranks if rank.failed), key=lambda failed: failed.at).error


def _end(ranks: Sequence[_Rank], patience: float) -> None:
    """Have processes end, after `patience` seconds at most."""
    until = time.monotonic() + patience
    for rank in ranks if patience else ():
        rank.process.join(max(0.0, until - time.monotonic()))
    for rank in ranks:
        rank.kill()


@contextlib.contextmanager
def _passed_on(ranks: Sequence[_Rank]) -> Iterator[list[int]]:
    """Pass signals on to processes until the block ends; gives those that came. Only the main thread can."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def pass_on(number: int, frame: object) -> None:
        came.append(number)
        for rank in ranks:
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(rank.process.pid, number)  # type: ignore[arg-type]

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Rank(Child):
    """One of the processes."""

    def __init__(self, place: Place, work: Work, settings: Settings) -> None:
        super().__init__(_serve, place, work, settings, included())
        self.place = place
        self.failed: _Failed | None = None

    def receive_now(self) -> Any:
        """The next message; None if there is none, which of a process with news says that it is dead."""
        message = self.receive() if self.pipe.poll() else None
        if isinstance(message, _Failed):
            self.failed = message
        return message

    def why_it_died(self) -> str:
        """In one line, with the remedy."""
        return f"process {self.place.rank + 1} of {self.place.size} {self.how_it_ended()}; run again to resume"


# ---- in each of the processes ----------------------------------------------------------------------------------------


def _serve(pipe: Connection, place: Place, work: Work, settings: Settings, outside: Sequence[Path]) -> None:
    """Do the work as one of several processes, and say how it went: a dict of what was measured, or _Failed."""
    for name in [name for name in os.environ if name.startswith("TORCHELASTIC_")]:
        del os.environ[name]  # torchrun's processes meet elsewhere
    os.environ |= place.environment()

    def on_progress(phase: str, done: int, total: int, loss: float | None) -> None:
        if place.rank == 0:
            send(pipe, (phase, done, total, loss))

    try:
        for folder in outside:
            include(folder)
        with _process_group(work.training, place):
            send(pipe, _do(work, settings, on_progress, partial(send, pipe)))
    except VtbenchError as error:
        send(pipe, _Failed(time.monotonic(), error))
    except KeyboardInterrupt:
        return
    except BaseException as error:  # a mistake of ours, or one that stands in no run folder
        traceback.print_exc()
        send(pipe, _Failed(time.monotonic(), RunError(in_one_line(error))))


@contextlib.contextmanager
def _process_group(training: Training, place: Place) -> Iterator[None]:
    import torch

    from vtbench.methods import processes
    from vtbench.run.devices.machine import backend

    torch.set_num_threads(max(1, torch.get_num_threads() // place.local_size))
    how = backend(training)
    if how == "nccl":
        torch.cuda.set_device(place.local_rank)
    processes.begin(how)
    yield
    processes.end()  # not after an error: the others would be waited for
