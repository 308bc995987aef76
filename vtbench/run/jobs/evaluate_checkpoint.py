"""A row's test protocol on given weights, which no training of ours made."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from vtbench.errors import SpecError, UsageError
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.results import provenance
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.devices.possible import refuse_impossible
from vtbench.run.jobs.display import Display
from vtbench.run.jobs.plan import all_measurements, graph, require_work
from vtbench.run.jobs.ranks import Work, measure
from vtbench.run.network import impossible
from vtbench.run.recording import to_record
from vtbench.run.reporting import START
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale
from vtbench.weights.load import read_state


def evaluate_checkpoint(
    rows: Sequence[Row], settings: Settings, scale: Scale, checkpoint: Path, display: Display | None = None
) -> list[Record]:
    """Apply each row's test protocol to the weights in `checkpoint`; one line per measurement, marked as given weights.
    A line that is there already, because the same weights were given before, is not added again.

    Rows that share an evaluation share its result. Raises UsageError if none of the rows can be tested or one of them
    asks for several trainings (weights are of one: those of one data set would count as the row's on another),
    SpecError for a network that cannot be built, WeightsError if the file belongs to another network. Lines written
    before that stay.
    """
    provenance.commit()  # now, before somebody commits while we test
    display = display or Display()
    store = Store(settings.results, notice=functools.partial(display.notice, "results"))
    store.set_torn_aside()
    store.check()
    require_work(rows, scale)
    _require_one_training(rows, scale)
    refuse_impossible(settings.engine, gpu=SCALES[scale].real)
    read_state(checkpoint)  # before a network is built and work is announced
    jobs = [job for job in graph(all_measurements(rows, scale, [0])).values() if job.measurements]
    for job in jobs:
        provenance.outside(job.roots)
        if reason := impossible(job.training, job.evaluations.values()):
            raise SpecError(f"{job.where}: {job.title}: {reason}")
    found: list[Record] = []
    display.start(jobs)
    try:
        for job in jobs:

            def on_progress(phase: str, done: int, total: int, loss: float | None, key: str = job.key) -> None:
                if phase != START:
                    display.progress(key, phase, done, total, loss)

            measured = measure(Work(job.training, job.evaluations, checkpoint), settings, on_progress)
            lines = [to_record(m, measured[m.evaluation.key], settings) for m in job.measurements]
            store.append_missing(lines)
            found += lines
            display.end_job(job.key, lines, None)
    finally:
        display.stop()
    return found


def _require_one_training(rows: Sequence[Row], scale: Scale) -> None:
    for row in rows:
        named = {m.evaluation.training.key: f"{row.id}@{m.name}" for m in measurements(row, scale)}
        if len(named) > 1:
            one_of = ", ".join(sorted(named.values()))
            raise UsageError(
                f"{row.id} is {len(named)} trainings at {scale} scale, and a file of weights is of one; name one of "
                f"{one_of}"
            )
