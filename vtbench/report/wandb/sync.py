"""Everything that a results folder holds and that was not pushed yet: lines of results.csv that count, and the training
runs behind them. From specs and results alone, so that it works on committed results too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtbench.errors import VtbenchError
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Training
from vtbench.report.compare import compare_rows
from vtbench.report.wandb.content import eval_run_id, train_run_id
from vtbench.report.wandb.runs import IncompleteError, log_record, log_training
from vtbench.report.wandb.target import Pushed, Target
from vtbench.results.curves import Curve, read_curve_of
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.scales import Scale, smallest_first


@dataclass(frozen=True)
class Pending:
    """One run to push: of a line, or of a training run."""

    run_id: str
    content: str
    """What tells it from the same run measured again."""
    title: str
    push: Callable[[], None]


@dataclass
class Outcome:
    """What a sync did, in runs."""

    pushed: list[str] = field(default_factory=list)
    """Ids."""
    already: int = 0
    failed: list[str] = field(default_factory=list)
    """One line each."""
    incomplete: list[str] = field(default_factory=list)
    """One line for each that was pushed without its scores, as they cannot be read. The next sync repeats it."""
    stale: int = 0
    """Lines of an older spec, which are not pushed."""


def sync(
    rows: Sequence[Row],
    results: Path,
    target: Target,
    scale: Scale | None = None,
    *,
    again: bool = False,
    on_push: Callable[[str, int, int], None] = lambda title, number, of: None,
) -> Outcome:
    """Push what was not pushed to `target` yet; with `again`, everything.

    - scale: only this one; None: every scale
    - on_push: called with the title of a run before it is pushed, its number from 1, and how many there are

    What cannot be pushed is reported in the outcome, and the rest still is. Raises ResultsError when results.csv is not
    in order.
    """
    store, pushed, outcome = Store(results), Pushed(results, target), Outcome()
    wanted: dict[str, Pending] = {}
    for one in (scale,) if scale else smallest_first():
        for comparison in compare_rows(rows, store, one):
            outcome.stale += len(comparison.stale)
            for record in (*comparison.counted, *comparison.apart):
                for pending in _behind(comparison.row, record, results, target):
                    wanted.setdefault(pending.run_id, pending)
    todo = [p for p in wanted.values() if again or not pushed.holds(p.run_id, p.content)]
    outcome.already = len(wanted) - len(todo)
    for number, pending in enumerate(todo, 1):
        on_push(pending.title, number, len(todo))
        try:
            pending.push()
            outcome.pushed.append(pending.run_id)
        except IncompleteError as error:
            outcome.incomplete.append(f"{pending.title}: {error}; the next sync repeats it")
        except VtbenchError as error:
            outcome.failed.append(f"{pending.title}: {error}")
    return outcome


def missed(row: Row, record: Record, results: Path, target: Target) -> list[Pending]:
    """What `target` lacks of one line: the training runs behind it, and the line itself."""
    pushed = Pushed(results, target)
    return [p for p in _behind(row, record, results, target) if not pushed.holds(p.run_id, p.content)]


def _behind(row: Row, record: Record, results: Path, target: Target) -> Iterator[Pending]:
    """The training runs behind a line whose curves are there, and the line."""
    ours = [m for m in measurements(row, record.scale, record.seed) if m.evaluation.training.key == record.training_key]
    for training in [*ours[0].evaluation.training.ancestors(), ours[0].evaluation.training] if ours else ():
        curve = read_curve_of(results, training.key)
        if curve is not None:
            yield _of_training(training, curve, target, results)
    yield Pending(
        eval_run_id(record), record.finished_at, record.title, lambda: log_record(row, record, target, results)
    )


def _of_training(training: Training, curve: Curve, target: Target, results: Path) -> Pending:
    return Pending(
        train_run_id(training.key),
        curve.weights_sha256,
        f"training {training.key}",
        lambda: log_training(training.key, dataclasses.asdict(training), curve, target, results),
    )
