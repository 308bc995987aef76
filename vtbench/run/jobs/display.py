"""What is shown while jobs run. `Display` shows nothing; vtbench.cli.jobs.display draws bars and lines."""

from __future__ import annotations

from collections.abc import Sequence

from vtbench.results.record import Record
from vtbench.run.jobs.plan import Job


class Display:
    """Shows nothing. Subclasses override what they show."""

    def start(self, jobs: Sequence[Job]) -> None:
        """Called once with the jobs that will run."""

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        """Called as the job `key` advances: `phase` is `train` (counting epochs) or `test` (counting videos)."""

    def notice(self, key: str, text: str) -> None:
        """Called with a line on the job `key` that should be read, e.g. on a video that cannot be."""

    def end_job(self, key: str, records: Sequence[Record], error: str | None) -> None:
        """Called when the job `key` ends: with the lines written to results.csv, or with why it failed."""

    def stop(self) -> None:
        """Called once when all jobs have ended or the run was interrupted."""
