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
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError, RunError, VtbenchError, in_one_line
from vtbench.papers.roots import include, included
from vtbench.papers.trainings import Evaluation, Training
from vtbench.results import provenance
from vtbench.run.engine import Place
from vtbench.run.jobs import signals
from vtbench.run.jobs.child import PATIENCE_S, Cancelled, Child, send
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
    traceback: str = ""
    """Of a mistake of ours, or of an error that stands in no run folder."""


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
    *,
    started: Callable[[int], None] = lambda pid: None,
    together_s: float = 0.0,
) -> Measured:
    """Start the processes of `places` on this machine, and wait until all of them are through. The first that fails
    ends the others, and its VtbenchError is raised: Cancelled where somebody else had it end.

    What asks this process to end is passed on to them: SIGTERM and SIGUSR1 as they are, Ctrl-C and SIGHUP as SIGTERM.
    It comes out as KeyboardInterrupt once they have ended, or as ResultsError where one of them could not write what
    it had. After Ctrl-C they have PATIENCE_S, and a second one ends them at once.

    - check: called once a second, until they are asked to end; what it raises ends them at once
    - started: called with the id of the first process
    - together_s: a second Ctrl-C within this time is the first one, repeated by whoever passes it on
    """
    ranks: list[_Rank] = []
    measured: dict[int, Measured] = {}
    said: set[str] = set()
    with _passed_on(ranks, together_s) as asked:
        try:
            for place in places:
                with signals.deferred():  # a process that has hardly started would say so with a traceback
                    ranks.append(_Rank(place, work, settings))
                asked.tell_late(ranks[-1])
            started(ranks[0].pid)
            while len(measured) < len(ranks):
                for rank in _with_news([rank for rank in ranks if rank.place.rank not in measured]):
                    message = rank.receive_now()
                    if message is None or isinstance(message, _Failed):
                        raise _why_they_ended(ranks, asked)
                    if isinstance(message, dict):
                        measured[rank.place.rank] = message
                    elif isinstance(message, tuple):
                        on_progress(*message)
                    elif message not in said:  # each of them may read the same broken video
                        said.add(message)
                        on_notice(message)
                asked.lose_patience()
                if not asked.came:
                    check()
            if asked.came:  # too late for them, but nothing else is to begin
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            for rank in ranks:
                rank.ask_to_end()
            _end(ranks, 0.0 if asked.hurry else PATIENCE_S)
            raise
        finally:
            _end(ranks, 0.0 if len(measured) < len(ranks) else PATIENCE_S)
    return measured[places[0].rank]


def _with_news(ranks: Sequence[_Rank]) -> list[_Rank]:
    """The processes that have something to say or have died, after a second at most."""
    ready = wait([each for rank in ranks for each in (rank.pipe, rank.process.sentinel)], timeout=1.0)
    return [rank for rank in ranks if rank.pipe in ready or rank.process.sentinel in ready]


def _why_they_ended(ranks: Sequence[_Rank], asked: _Asked) -> BaseException:
    """Why the processes ended before they were through: where one dies or ends, the others soon fail too, for want of
    it."""
    time.sleep(0.2)
    for rank in ranks:
        while rank.receive_now() is not None:
            pass
    failures = sorted((rank.failed for rank in ranks if rank.failed), key=lambda failed: failed.at)
    if asked.came:  # what fails then fails for want of one that has ended, but for a file that cannot be written
        return next((one.error for one in failures if isinstance(one.error, ResultsError)), KeyboardInterrupt())
    for rank in ranks:
        if rank.has_ended and not rank.has_said:
            return Cancelled() if rank.was_cancelled else RunError(rank.why_it_died())
    print(failures[0].traceback, end="", file=sys.stderr, flush=True)
    return failures[0].error


def _end(ranks: Sequence[_Rank], patience: float) -> None:
    """Have processes end, after `patience` seconds at most."""
    until = time.monotonic() + patience
    for rank in ranks if patience else ():
        rank.process.join(max(0.0, until - time.monotonic()))
    for rank in ranks:
        rank.kill()


class _Asked:
    """What asked this process to end, and is passed on to `ranks`."""

    def __init__(self, ranks: Sequence[_Rank], together_s: float) -> None:
        self.came: list[int] = []
        """As they are passed on."""
        self.hurry = False
        """Whether the processes are not waited for."""
        self._ranks, self._together_s = ranks, together_s
        self._interrupted: float | None = None
        """When Ctrl-C came."""

    def note(self, number: int, frame: object) -> None:
        """A signal is there."""
        if number not in SIGNALS:
            number, now = signal.SIGTERM, time.monotonic()
            if self._interrupted is not None:
                if now - self._interrupted >= self._together_s:
                    self._give_up()
                return
            self._interrupted = now
        self.came.append(number)
        for rank in self._ranks:
            rank.ask_to_end(number, again=True)

    def tell_late(self, rank: _Rank) -> None:
        """Pass on to a process what came while it was started."""
        if self.came:
            rank.ask_to_end(self.came[-1])

    def lose_patience(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was too long ago."""
        if self._interrupted is not None and time.monotonic() - self._interrupted > PATIENCE_S:
            self._give_up()

    def _give_up(self) -> None:
        self.hurry = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def _passed_on(ranks: Sequence[_Rank], together_s: float) -> Iterator[_Asked]:
    """Pass on to processes what asks this one to end, until the block ends. What is ignored stays ignored, as in a
    worker what its parent answers. Only the main thread can."""
    asked = _Asked(ranks, together_s)
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in {*SIGNALS, *signals.FROM_OUTSIDE}}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, asked.note)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class _Rank(Child):
    """One of the processes."""

    def __init__(self, place: Place, work: Work, settings: Settings) -> None:
        super().__init__(_serve, place, work, settings, included())
        self.place = place
        self.failed: _Failed | None = None
        self.has_said = False
        """Whether it said what it measured, or why it failed."""
        self._closed = self._asked = False

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None  # it was started
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._closed or not self.is_alive

    def receive_now(self) -> Any:
        """The next message; None if there is none, which of a process with news says that it is dead."""
        if not self.pipe.poll():
            return None
        message = self.receive()
        self._closed = message is None
        if isinstance(message, _Failed):
            self.failed = message
        self.has_said |= isinstance(message, _Failed | dict)
        return message

    def ask_to_end(self, number: int = signal.SIGTERM, *, again: bool = False) -> None:
        """Send it a signal; `again`: even if it was sent one before."""
        if self.is_alive and (again or not self._asked):
            self._asked = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def why_it_died(self) -> str:
        """In one line, with the remedy."""
        return f"process {self.place.rank + 1} of {self.place.size} {self.how_it_ended()}; run again to resume"


# ---- in each of the processes ----------------------------------------------------------------------------------------


def _serve(pipe: Connection, place: Place, work: Work, settings: Settings, outside: Sequence[Path]) -> None:
    """Do the work as one of several processes, and say how it went: a dict of what was measured, or _Failed."""
    for name in [name for name in os.environ if name.startswith("TORCHELASTIC_")]:
        del os.environ[name]  # torchrun's processes meet elsewhere
    os.environ |= place.environment()
    provenance.commit()  # now, before somebody commits, or edits a file, while we train or test
    provenance.code()

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
        send(pipe, _Failed(time.monotonic(), RunError(in_one_line(error)), traceback.format_exc()))


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
