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
from collections.abc import Generator, Iterator, Mapping

from vtbench.errors import VtbenchError
from vtbench.methods import processes
from vtbench.run.engine import Launched
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.ranks import Measured, Work, free_port, supervise
from vtbench.run.jobs.workers import JobResult, OnNotice, OnProgress, after_failure, no_notice_of
from vtbench.run.reporting import Notice, Progress, no_notice, no_progress
from vtbench.run.settings import Settings


class Together:
    """This process as one of those that torchrun or srun started."""

    def __init__(self, launched: Launched) -> None:
        self.launched = launched
        self._number = 0

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Meet the others; in the end the first process has them end too."""
        os.environ |= self.launched.environment()
        processes.begin("gloo")
        try:
            yield
        finally:
            if self.launched.rank == 0:
                processes.from_first(None)
            processes.end()

    def follow(self, settings: Settings) -> None:
        """In the other processes: take part in every job of the first one. What fails is its to report."""
        while (job := processes.from_first(None)) is not None:
            with contextlib.suppress(VtbenchError):
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
        """In the first process: as `workers.run_jobs`, one after the other on all devices."""
        failed: set[str] = set()
        for key, job in jobs.items():
            if job.needs in failed:
                failed.add(key)
                yield after_failure(job)
                continue

            def progress(phase: str, done: int, total: int, loss: float | None, key: str = key) -> None:
                on_progress(key, phase, done, total, loss)

            def notice(text: str, key: str = key) -> None:
                on_notice(key, text)

            begun = Work(job.training, job.evaluations), free_port()
            processes.from_first(begun)
            try:
                yield JobResult(key, self._take_part(*begun, settings, progress, notice))
            except VtbenchError as error:
                failed.add(key)
                yield JobResult(key, error=str(error), exit_code=error.exit_code)

    def _take_part(
        self, work: Work, port: int, settings: Settings, on_progress: Progress, on_notice: Notice
    ) -> Measured:
        """Run the child of this process. Raises what failed first, in whichever process."""
        self._number += 1
        place = dataclasses.replace(self.launched, port=port)
        sign = f"vtbench: job {self._number} failed"

        def check() -> None:
            if processes.store().check([sign]):
                raise _FailedElsewhere

        measured: Measured = {}
        failure: tuple[float, VtbenchError] | None = None
        try:
            measured = supervise(work, settings, [place], on_progress, on_notice, check)
        except _FailedElsewhere:
            pass
        except VtbenchError as error:
            failure = time.time(), error
            processes.store().set(sign, "")
        failures = [found for found in processes.of_all(failure) if found]
        if failures:
            raise min(failures, key=lambda found: found[0])[1]
        return measured


class _FailedElsewhere(Exception):
    """Another of the processes had its child fail."""
