"""What a job of SLURM does on its node: one training run and its tests, as a worker process does elsewhere.

It ends in one of four ways:

- done: exit code 0, and the run folders are finished
- failed: exit code 1, and progress.json says why
- out of time, or preempted with notice: SLURM sends SIGUSR2 some time before (`sbatch.SIGNAL_DELAY_S`); a checkpoint is
  written, and the job waits in the queue again, to resume
- ended by SLURM with SIGTERM, as by scancel or `scontrol requeue`: a checkpoint is written if the time suffices
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from vtbench.errors import VtbenchError
from vtbench.papers.roots import include
from vtbench.papers.spec.schema import Row
from vtbench.results import provenance
from vtbench.run.engine import launched
from vtbench.run.jobs.plan import Job
from vtbench.run.jobs.progress import is_first_process, own_slurm_job
from vtbench.run.jobs.slurm import queue
from vtbench.run.jobs.workers import JobResult, run_job
from vtbench.run.settings import Settings
from vtbench.scales import Scale

ENDED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Work:
    """One job, as submitit hands it to a node."""

    job: Job
    settings: Settings
    outside: tuple[Path, ...]
    """The included folders that the job may come from."""

    def __call__(self) -> None:
        """Do it. Ends the process with another exit code than 0 unless it was done."""
        provenance.commit()
        with _queued_again_in_time():
            result = self._run()
        if result.error is not None:
            _print(result.error)
            sys.exit(1)

    def _run(self) -> JobResult:
        at = launched()
        if at is None:
            return run_job(self.job, self.settings, self.outside, _print_progress, _print)
        from vtbench.run.jobs.together import Together

        for folder in self.outside:
            include(folder)
        together = Together(at)
        with together.joined():
            if at.rank > 0:
                together.follow(self.settings)
                return JobResult(self.job.key)
            (result,) = together.run_jobs(
                {self.job.key: self.job},
                self.settings,
                workers=1,
                on_progress=lambda key, *far: _print_progress(*far),
                on_notice=lambda key, text: _print(text),
            )
            return result


@contextmanager
def _queued_again_in_time() -> Iterator[None]:
    """Have the block end by KeyboardInterrupt when the time is nearly up, and the job wait in the queue again."""
    out_of_time = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def warn(number: int, frame: FrameType | None) -> None:
        nonlocal out_of_time
        out_of_time = True
        signal.raise_signal(signal.SIGUSR1)

    # submitit's own handlers would requeue at once, in the middle of a step. While it trains, run/train.py answers
    # SIGUSR1 and SIGTERM when a checkpoint is written.
    signal.signal(signal.SIGUSR1, interrupt)
    signal.signal(signal.SIGUSR2, warn)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    except KeyboardInterrupt:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if out_of_time and is_first_process():
            _print("out of time: the job waits in the queue again, and resumes from what it has written")
            job = own_slurm_job()
            assert job is not None
            queue.requeue(job)
        sys.exit(ENDED)


def _print(text: str) -> None:
    print(text, flush=True)


def _print_progress(phase: str, done: int, total: int, loss: float | None) -> None:
    if phase == "train":
        _print(f"{phase} {done}/{total}" + ("" if loss is None else f", loss {loss:.4g}"))


@dataclass(frozen=True)
class DryWork:
    """The dry run, as submitit hands it to a node."""

    rows: tuple[Row, ...]
    settings: Settings
    scale: Scale
    seed: int
    limit: int
    outside: tuple[Path, ...]
    out: Path
    """A line of JSON for each part that was done; the last one says that all were, or what failed."""

    def __call__(self) -> None:
        """Do it."""
        from vtbench.run.jobs.dry import dry_run

        for folder in self.outside:
            include(folder)
        try:
            dry_run(self.rows, self.settings, self.scale, self.seed, self.limit, lambda one: self._say(**asdict(one)))
            self._say(end=True)
        except VtbenchError as error:
            self._say(kind=type(error).__name__, error=str(error))

    def _say(self, **line: object) -> None:
        with self.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
