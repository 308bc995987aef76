"""Jobs under torchrun or srun, which started this command several times, once for each device.

The first of these processes decides what runs, writes the results and reports; the others follow it without a word.
Each job runs in children of them all, one each, so that a job that fails ends with its children and the next one begins
with new ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping

from vtbench.errors import RunError, VtbenchError
from vtbench.methods import processes
from vtbench.run.engine import Launched
from vtbench.run.jobs.child import Cancelled
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.progress import Recorder
from vtbench.run.jobs.ranks import Measured, Work, free_port, supervise
from vtbench.run.jobs.workers import JobResult, OnNotice, OnProgress, after_failure, no_notice_of
from vtbench.run.reporting import Notice, Progress, no_notice, no_progress
from vtbench.run.resuming.stopping import TOGETHER_S
from vtbench.run.settings import Settings


class Together:
    """This process as one of those that torchrun or srun started."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self._number = 0
        self._at_work = False
        """Whether the others are in a job, or this one left it without them."""

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Meet the others; in the end the first process has them end too. Where it is interrupted inside a job, they
        are as well, or find out by its silence."""
        os.environ |= self.launched.environment()
        processes.begin("gloo")
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # of gloo: they are gone
                if self.launched.rank == 0 and not self._at_work:
                    processes.from_first(None)
                processes.end()

    def follow(self, settings: Settings) -> None:
        """In the other processes: take part in every job of the first one. What fails is its to report. Raises RunError
        if it is gone."""
        while True:
            with self._connected():
                job = processes.from_first(None)
            if job is None:
                return
            self._take_part(*job, settings, no_progress, no_notice)

    def run_jobs(
        self,
        jobs: Mapping[str, Job],
        settings: Settings,
        *,
        workers: int,
        on_progress: OnProgress,
        on_notice: OnNotice = no_notice_of,
    ) -> Generator[JobResult, None, None]:
        """In the first process: as `workers.run_jobs`, one after the other on all devices. Raises RunError if one of
        the other processes is gone."""
        failed: set[str] = set()
        for key, job in jobs.items():
            if job.needs in failed:
                failed.add(key)
                yield after_failure(job)
                continue
            recorder = Recorder(job, settings.results)

            def progress(phase: str, done: int, total: int, loss: float | None, key: str = key) -> None:
                on_progress(key, phase, done, total, loss)

            def notice(text: str, key: str = key) -> None:
                on_notice(key, text)

            begun = Work(job.training, job.evaluations), free_port()
            self._at_work = True
            with self._connected():
                processes.from_first(begun)
            measured, error = self._take_part(
                *begun, settings, recorder.progress_to(progress), recorder.notice_to(notice), recorder.runs_in
            )
            if error is None:
                result = JobResult(key, measured)
            else:
                failed.add(key)
                result = JobResult(key, error=str(error), exit_code=error.exit_code)
            recorder.ended(result.error, result.exit_code)
            yield result

    def _take_part(
        self,
        work: Work,
        port: int,
        settings: Settings,
        on_progress: Progress,
        on_notice: Notice,
        started: Callable[[int], None] = lambda pid: None,
    ) -> tuple[Measured, VtbenchError | None]:
        """Run the child of this process; gives what was measured, or what failed first, in whichever process. Raises
        RunError if another one is gone."""
        self._number += 1
        place = dataclasses.replace(self.launched, port=port)
        sign = f"vtbench: job {self._number} failed"

        def check() -> None:
            with self._connected():
                elsewhere = processes.store().check([sign])
            if elsewhere:
                raise _FailedElsewhere

        measured: Measured = {}
        failure: tuple[float, VtbenchError] | None = None
        try:
            measured = supervise(
                work, settings, [place], on_progress, on_notice, check, started=started, together_s=TOGETHER_S
            )
        except _FailedElsewhere:
            pass
        except _Gone:
            raise
        except VtbenchError as error:
            failure = time.time(), error
        try:
            with self._connected():
                if failure:
                    processes.store().set(sign, "")
                failures = [found for found in processes.of_all(failure) if found]
            self._at_work = False
        except _Gone:
            if failure is None:
                raise
            failures = [failure]  # the reason is worth more; the next job, if there is one, finds nobody
        # Where one was cancelled, the others fail for want of it.
        first = min(failures, key=lambda found: (not isinstance(found[1], Cancelled), found[0]), default=None)
        return measured, first and first[1]

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Raise _Gone where gloo has lost one of the other processes."""
        try:
            yield
        except RuntimeError as error:
            raise _Gone(
                f"another of the processes that {self.launched.by} started has ended; run the same command again to "
                "resume"
            ) from error


class _FailedElsewhere(Exception):
    """Another of the processes had its child fail."""


class _Gone(RunError):
    """Another of the processes has ended, and with it this command."""
