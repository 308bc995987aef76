"""What `vtbench run` shows while it works: one bar per running job and one for all, and a line for each that ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vtbench.launch import Display, Job
from vtbench.results.record import Record


class TerminalDisplay(Display):
    """Bars on a terminal; where output goes to a file, only the lines."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.titles: dict[str, str] = {}
        self.ended = 0

    def start(self, jobs: Sequence[Job]) -> None:
        """Name the jobs and draw the bar for all of them."""
        self.titles = {job.key: f"{job.title}, seed {job.training.seed}" for job in jobs}
        if jobs:
            self.console.print(f"{len(jobs)} to train and test")
        self.bars.start()
        self.all = self.bars.add_task("all", total=len(jobs), note="")

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        """Move the bar of one job: epochs while it trains, videos while it is tested."""
        note = phase if loss is None else f"{phase}, loss {loss:.3f}"
        if key not in self.tasks:
            self.tasks[key] = self.bars.add_task(self.titles.get(key, key), total=total, note=note)
        self.bars.update(self.tasks[key], completed=done, total=total, note=note)

    def finish(self, key: str, records: Sequence[Record], error: str | None) -> None:
        """One line for a job that ended: its accuracies by measurement, or what went wrong."""
        if key in self.tasks:
            self.bars.remove_task(self.tasks.pop(key))
        self.ended += 1
        self.bars.update(self.all, completed=self.ended)
        results = ", ".join(dict.fromkeys(map(_accuracy, records)))
        outcome = "failed" if error else results or "trained"  # why it failed is told at the end, with the exit code
        line = f"[{self.ended}/{len(self.titles)}] {self.titles.get(key, key)}: {outcome}"
        self.console.print(line, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the bars away."""
        self.bars.stop()


def _accuracy(record: Record) -> str:
    unread = f" ({record.videos_failed} of {record.videos_expected} videos unreadable)" if record.videos_failed else ""
    return f"{record.measurement} top-1 {record.top1:.2f}{unread}"
