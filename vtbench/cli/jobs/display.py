"""What `run` and `eval` show while they work: a bar per running job, one for all jobs, and a line as each job ends."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vtbench.errors import printable
from vtbench.results.record import Record
from vtbench.run.jobs.display import Display
from vtbench.run.jobs.plan import Job

ROOM_FOR_BARS = 90
"""Characters of a line from which on bars have a place beside the names of jobs, counts and losses."""

LINE_EVERY = 30.0
"""Seconds between two lines about one job, if output goes to a file."""


class TerminalDisplay(Display):
    """Bars on a terminal. In a file or on a dumb terminal, lines: twice a minute how far a job is, and how it ended."""

    def __init__(self, console: Console | None = None) -> None:
        """`console` is where everything is drawn; by default stderr."""
        self.console = console or Console(stderr=True, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=24)] if self.console.width >= ROOM_FOR_BARS else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_interactive,
        )
        self.tasks: dict[str, TaskID] = {}
        self.titles: dict[str, str] = {}
        self.last_line: dict[str, float] = {}
        """Job's key -> when its last line was printed."""
        self.ended = 0

    def start(self, jobs: Sequence[Job]) -> None:
        """Print how many jobs there are, and draw the bar for all of them."""
        self.titles = {job.key: f"{job.title}, seed {job.training.seed}" for job in jobs}
        if jobs:
            self.console.print(f"{len(jobs)} to do")
        self.bars.start()
        self.all = self.bars.add_task("all", total=len(jobs), note="")

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        """Move the bar of one job: epochs while it trains, videos while it is tested."""
        note = phase if loss is None else f"{phase}, loss {loss:.3f}"
        if not self.console.is_interactive:
            self._print_throttled(key, f"{done}/{total} {note}")
            return
        if key not in self.tasks:
            self.tasks[key] = self.bars.add_task(self.titles.get(key, key), total=total, note=note)
        self.bars.update(self.tasks[key], completed=done, total=total, note=note)

    def notice(self, key: str, text: str) -> None:
        """Print a line on a job."""
        self._print(f"{self.titles.get(key, key)}: {text}")

    def _print_throttled(self, key: str, text: str) -> None:
        now = time.monotonic()
        if now - self.last_line.setdefault(key, now) >= LINE_EVERY:
            self.last_line[key] = now
            self._print(f"{self.titles.get(key, key)}: {text}")

    def _print(self, text: str) -> None:
        self.console.print(printable(text), markup=False, soft_wrap=True)

    def end_job(self, key: str, records: Sequence[Record], error: str | None) -> None:
        """Print one line for a job that ended: its accuracies by measurement, or that it failed."""
        if key in self.tasks:
            self.bars.remove_task(self.tasks.pop(key))
        self.ended += 1
        self.bars.update(self.all, completed=self.ended)
        results = ", ".join(dict.fromkeys(map(_accuracy, records)))
        outcome = "failed" if error else results or "trained"  # the reason is printed at the end, with the exit code
        self._print(f"[{self.ended}/{len(self.titles)}] {self.titles.get(key, key)}: {outcome}")

    def stop(self) -> None:
        """Remove the bars."""
        self.bars.stop()


def _accuracy(record: Record) -> str:
    unread = f" ({record.videos_failed} of {record.videos_expected} videos unreadable)" if record.videos_failed else ""
    silent = f" ({record.videos_silent} without audio)" if record.videos_silent else ""
    return f"{record.measurement} top-1 {record.top1:.2f}{unread}{silent}"
