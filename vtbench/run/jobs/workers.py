"""Jobs in worker processes of this machine: several at once, each after the one that it starts from.

launch.py uses `run_jobs` and `JobResult` alone: it decides what runs and writes the results down. Whatever else can
run jobs, a cluster for example (slurm/), offers the same function, and calls `run_job` where the work is done.

It is not submitit's local executor nor concurrent.futures: a job there says nothing until it ends, so that there is no
progress to show, and a worker that dies breaks the pool of concurrent.futures with every job in it.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from vtbench.errors import VtbenchError, in_one_line
from vtbench.papers.roots import include, included
from vtbench.results import provenance
from vtbench.run.jobs import signals
from vtbench.run.jobs.child import PATIENCE_S, Cancelled, Child, send
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.progress import Recorder
from vtbench.run.jobs.ranks import Work, measure
from vtbench.run.reporting import Notice, Progress, no_notice
from vtbench.run.settings import Settings

OnProgress = Callable[[str, str, int, int, float | None], None]
"""Called with (job's key, phase, done, total, loss): phase is `train` (counting epochs) or `test` (videos)."""
OnNotice = Callable[[str, str], None]
"""Called with (job's key, a line that should be read)."""


def no_notice_of(key: str, text: str) -> None:
    """Say it to nobody."""


IDLE_S = 5.0
"""How long a worker without a task may take to end."""

NOTICE_S = 5.0
"""How long nothing is said of a worker that is asked to end."""


@dataclass(frozen=True)
class JobResult:
    """How the job `key` ended: with what `evaluate` returned, by the evaluation's key, or with an error."""

    key: str
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str | None = None
    """Why it failed, in one line; None if it did not."""
    exit_code: int = 0
    """Of that kind of error; 0 if it did not fail."""


def after_failure(job: Job) -> JobResult:
    """The result of a job that starts from one that failed."""
    return JobResult(job.key, error=f"the training it starts from, {job.needs}, failed", exit_code=1)


class RunJobs(Protocol):
    """What runs jobs: `run_jobs`, or something called like it."""

    def __call__(
        self,
        jobs: Mapping[str, Job],
        settings: Settings,
        *,
        workers: int,
        on_progress: OnProgress,
        on_notice: OnNotice = ...,
    ) -> Generator[JobResult, None, None]:
        """Run jobs, and yield each result as soon as it is known."""


def run_jobs(
    jobs: Mapping[str, Job],
    settings: Settings,
    *,
    workers: int,
    on_progress: OnProgress,
    on_notice: OnNotice = no_notice_of,
) -> Generator[JobResult, None, None]:
    """Train and evaluate jobs in `workers` processes, and yield each result as soon as it is known.

    `jobs` are ordered as by plan.graph: each after the one that it starts from, if that is among them. A job that
    starts from a failed one fails too; the others still run. A worker that dies fails its own job only. Closing the
    generator ends the workers: each may first write a checkpoint, but a KeyboardInterrupt while they do ends them at
    once.
    """
    waiting = dict(jobs)
    finished: set[str] = set()
    prepared = False
    with contextlib.closing(_Pool(workers, settings, on_notice)) as pool:
        while waiting or pool.at_work:
            for key, job in list(waiting.items()):
                if pool.has_room and (job.needs in finished or job.needs not in jobs):
                    pool.start(_Task("run", (waiting.pop(key),)))
            if waiting and not prepared and pool.has_room:
                # Every job waits for one pretraining: meanwhile another process makes the synthetic videos.
                pool.start(_Task("prepare", tuple(waiting.values())))
                prepared = True
            if not pool.at_work:  # what is left starts from something that failed
                for job in waiting.values():
                    yield after_failure(job)
                return
            for task, message in pool.receive():
                if task.verb == "prepare":  # if it failed, the job that needs the videos will say so
                    continue
                if isinstance(message, JobResult):
                    if message.error is None:
                        finished.add(message.key)
                    yield message
                elif isinstance(message, str):
                    on_notice(task.jobs[0].key, message)
                else:
                    on_progress(task.jobs[0].key, *message)


@dataclass(frozen=True)
class _Task:
    """What a worker is given: `run` one job, or `prepare` the synthetic videos of several."""

    verb: str
    jobs: tuple[Job, ...]


class _Pool:
    """Up to `size` worker processes, started when they are needed, each with one task at a time."""

    def __init__(self, size: int, settings: Settings, on_notice: OnNotice) -> None:
        self.size, self.settings, self.on_notice = size, settings, on_notice
        self.idle: list[_Worker] = []
        self.at_work: dict[_Worker, _Task] = {}
        # A worker that is ended while it reads videos leaves semaphores behind. Python's resource tracker removes them
        # and would say so on stderr, after our one line.
        os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")

    @property
    def has_room(self) -> bool:
        return len(self.at_work) < self.size

    def start(self, task: _Task) -> None:
        """Give a task to an idle worker, or to a new one."""
        with signals.deferred():  # else Ctrl-C could leave a worker behind that `close` does not know of
            worker = self.idle.pop() if self.idle else _Worker(self.settings)
            self.at_work[worker] = task
        worker.send(task)

    def receive(self) -> Iterator[tuple[_Task, Any]]:
        """Wait until a worker has something to say, and give what each of them says: a JobResult, which ends its task,
        the progress of its job (phase, done, total, loss), or a line on it."""
        workers: dict[Any, _Worker] = {worker.pipe: worker for worker in self.at_work}
        for pipe in wait(list(workers)):
            worker = workers[pipe]
            task = self.at_work[worker]
            message = worker.receive()
            if message is None:
                message = JobResult(task.jobs[0].key, error=worker.why_it_died(), exit_code=1)
                del self.at_work[worker]
                worker.kill()
            elif isinstance(message, JobResult):
                del self.at_work[worker]
                self.idle.append(worker)
            yield task, message

    def close(self) -> None:
        """End every worker: each may first write a checkpoint. A KeyboardInterrupt meanwhile ends them at once."""
        workers = [*self.idle, *self.at_work]
        started = time.monotonic()
        try:
            for worker in self.idle:
                worker.pipe.close()
            for worker in self.at_work:
                worker.process.terminate()
            self._wait(started)
            for worker in self.idle:
                worker.process.join(max(0.0, started + IDLE_S - time.monotonic()))
        except KeyboardInterrupt:
            pass  # the first one is on its way up already
        finally:
            with signals.deferred():
                for worker in workers:
                    worker.kill()

    def _wait(self, since: float) -> None:
        """Until no worker is left, at most PATIENCE_S; say after NOTICE_S for which jobs."""
        for seconds in (NOTICE_S, PATIENCE_S):
            left = {worker: task for worker, task in self.at_work.items() if worker.is_alive}
            if seconds == PATIENCE_S:
                for task in left.values():
                    self.on_notice(task.jobs[0].key, "writes a checkpoint, then ends; Ctrl-C again ends it at once")
            for worker in left:
                worker.process.join(max(0.0, since + seconds - time.monotonic()))


class _Worker(Child):
    """A process that takes one task after the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_serve, settings, included())

    def send(self, task: _Task) -> None:
        with contextlib.suppress(ConnectionError):  # it died: `receive` finds out
            self.pipe.send(task)

    def why_it_died(self) -> str:
        """In one line, with the remedy."""
        if self.was_cancelled:
            return str(Cancelled())
        return f"its worker process {self.how_it_ended()}; run again to resume after its last checkpoint"


# ---- in the worker process -------------------------------------------------------------------------------------------


def _serve(pipe: Connection, settings: Settings, outside: Sequence[Path]) -> None:
    """A worker process: takes tasks and answers each with a JobResult, until the pipe closes."""
    provenance.commit()  # now, before somebody commits while we train

    def on_progress(phase: str, done: int, total: int, loss: float | None) -> None:
        send(pipe, (phase, done, total, loss))

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if task.verb == "run":
                result = run_job(task.jobs[0], settings, outside, on_progress, partial(send, pipe))
            else:
                result = _prepare(task.jobs, settings, outside)
        except KeyboardInterrupt:  # what Lightning makes of SIGTERM: the parent wants us gone
            return
        send(pipe, result)


def run_job(
    job: Job,
    settings: Settings,
    outside: Sequence[Path],
    on_progress: Progress,
    on_notice: Notice = no_notice,
) -> JobResult:
    """Train and evaluate one job in this process. Any error becomes the result's; Ctrl-C and SIGTERM do not.

    `outside` are the included folders that the job may come from (papers.roots.included() of whoever made it);
    `on_notice` is called with a line on e.g. a video that cannot be read.
    """

    def work() -> dict[str, dict[str, Any]]:
        report, notice = recorder.progress_to(on_progress), recorder.notice_to(on_notice)
        return measure(Work(job.training, job.evaluations), settings, report, notice)

    recorder = Recorder(job, settings.results)
    result = _result_of(job.key, work, outside)
    recorder.ended(result.error, result.exit_code)
    return result


def _prepare(jobs: Sequence[Job], settings: Settings, outside: Sequence[Path]) -> JobResult:
    """Make the synthetic videos that jobs will read."""

    def work() -> dict[str, dict[str, Any]]:
        from vtbench.run.assemble import make_synthetic_videos

        for job in jobs:
            make_synthetic_videos(job.training, settings, list(job.evaluations.values()))
        return {}

    return _result_of("", work, outside)


def _result_of(key: str, work: Callable[[], dict[str, dict[str, Any]]], outside: Sequence[Path]) -> JobResult:
    """What `work` returns, or its error, as the result of a job."""
    try:
        for folder in outside:
            include(folder)
        return JobResult(key, work())
    except VtbenchError as error:
        return JobResult(key, error=str(error), exit_code=error.exit_code)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a mistake of ours must not take the other jobs down with it
        traceback.print_exc()
        return JobResult(key, error=in_one_line(error), exit_code=1)
