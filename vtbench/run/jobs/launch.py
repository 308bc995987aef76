"""Many rows at once: find what has no result yet, have it trained and evaluated, write each result at once.

plan.py knows the graph of trainings, workers.py runs its jobs, recording.py makes lines of results.csv of what they
measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vtbench.errors import UsageError, VtbenchError, in_one_line
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Measurement
from vtbench.results import folders, provenance
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.engine import Engine
from vtbench.run.jobs.display import Display
from vtbench.run.jobs.inputs import Inputs
from vtbench.run.jobs.plan import Job, all_measurements, blockers, graph, has_weights, require_work
from vtbench.run.jobs.workers import JobResult, RunJobs, run_jobs
from vtbench.run.recording import shared_record, to_record
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale


@dataclass(frozen=True)
class Failure:
    """A job that could not be done: its title, why, and the exit code of that kind of error."""

    title: str
    reason: str
    exit_code: int = 1


@dataclass
class Outcome:
    """What a run did: the lines written, how many results existed already, and what failed."""

    written: list[Record] = field(default_factory=list)
    already: int = 0
    failed: list[Failure] = field(default_factory=list)
    unlogged: list[Failure] = field(default_factory=list)
    """Results that were written but could not be logged to W&B."""


def run(
    rows: Sequence[Row],
    settings: Settings,
    scale: Scale,
    seeds: Sequence[int],
    *,
    again: bool = False,
    test_again: bool = False,
    workers: int | None = None,
    display: Display | None = None,
    engine: RunJobs | None = None,
) -> Outcome:
    """Train and evaluate what has no result yet, and append one line per row, measurement and seed as each is done.

    - `again`: train and test even if results exist, in new run folders
    - `test_again`: test even if results exist, with the weights that are there
    - `workers`: processes that run jobs side by side; by default the number of cores, 1 at lab and paper scale. The
      numbers do not depend on it.
    - `engine`: what runs the jobs, as `workers.run_jobs`, which is the default

    A failure is reported in the outcome, and the rest still runs. Raises ResultsError before any training if results
    could not be written, UsageError if the rows have nothing to run at this scale, or a logger cannot be used.
    """
    display = display or Display()
    store = Store(settings.results)
    store.check()
    require_work(rows, scale)
    if settings.wandb or settings.loggers:
        from vtbench.run.tracking import require_loggers

        require_loggers(settings)
    outcome = Outcome()
    wanted = all_measurements(rows, scale, seeds)
    repeat = again or test_again
    jobs = graph(wanted if repeat else _without_result(wanted, store, outcome))
    _log(outcome.written, rows, settings, outcome)
    for key in [key for key, job in jobs.items() if not job.evaluations and has_weights(job, settings)]:
        del jobs[key]  # a finished pretraining
    if jobs:
        if settings.engine != Engine():
            from vtbench.run.devices.machine import refuse_impossible

            refuse_impossible(settings.engine, gpu=SCALES[scale].real)
        _refuse_blocked(jobs, settings, outcome)
    if repeat:
        _set_aside(jobs, settings, trainings=again)
    if not jobs:
        return outcome
    for job in jobs.values():
        provenance.outside(job.roots)  # now, before somebody changes a file there while we train
    count = workers or (1 if SCALES[scale].real else os.cpu_count() or 1)
    display.start(list(jobs.values()))
    try:
        results = (engine or run_jobs)(
            jobs,
            settings,
            workers=min(count, len(jobs)),
            on_progress=display.progress,
            on_notice=display.notice,
        )
        with _sigterm_as_ctrl_c(), contextlib.closing(results):
            for result in results:
                job = jobs[result.key]
                records = []
                if result.error is None:
                    records = _write(job, result, store, settings, outcome)
                    _log(records, rows, settings, outcome)
                else:
                    outcome.failed.append(Failure(job.title, result.error, result.exit_code))
                display.end_job(job.key, records, result.error)
    finally:
        display.stop()
    return outcome


def _without_result(wanted: Sequence[Measurement], store: Store, outcome: Outcome) -> list[Measurement]:
    """The measurements that must run. Of the others, those whose evaluation is recorded for another row get their
    line."""
    missing: list[Measurement] = []
    for measurement in wanted:
        evaluation, scale = measurement.evaluation, measurement.scale
        place = (measurement.row_id, measurement.name, scale, measurement.seed)
        newest = store.newest(*place, given=False, variant=measurement.variant)
        if newest is not None and newest.evaluation_key == evaluation.key:
            outcome.already += 1
        elif same := store.find(evaluation.key, scale):
            outcome.written.append(shared_record(same[-1], measurement))
            store.append(outcome.written[-1])
        else:
            missing.append(measurement)
    return missing


def _refuse_blocked(jobs: dict[str, Job], settings: Settings, outcome: Outcome) -> None:
    """Remove the jobs that lack data or weights or whose network cannot be built, those that start from one of them,
    and the pretrainings that no job needs then."""
    blocked: set[str] = set()
    inputs = Inputs(settings)
    for key, job in list(jobs.items()):
        reasons = blockers(job, inputs)
        if job.needs in blocked:
            reasons.append(f"the training it starts from, {job.needs}, cannot run")
        if reasons:
            outcome.failed.append(Failure(job.title, "blocked: " + "; ".join(reasons), UsageError.exit_code))
            blocked.add(key)
            del jobs[key]
    for key, job in reversed(list(jobs.items())):  # each after those that start from it
        if not job.measurements and key not in {other.needs for other in jobs.values()}:
            del jobs[key]


def _set_aside(jobs: dict[str, Job], settings: Settings, *, trainings: bool) -> None:
    """Rename the run folders of evaluations, and of `trainings` too, so that they run again and the old ones stay."""
    for key, job in jobs.items():
        if job.measurements:  # a pretraining stays: its weights are not what is measured
            if trainings:
                folders.set_aside(folders.training_folder(settings.results, key))
            for evaluation in job.evaluations:
                folders.set_aside(folders.evaluation_folder(settings.results, evaluation))


def _write(job: Job, result: JobResult, store: Store, settings: Settings, outcome: Outcome) -> list[Record]:
    """Append the lines of a finished job; returns them."""
    records = []
    for m in job.measurements:
        record = to_record(m, result.measured[m.evaluation.key], settings)
        if record == store.newest(m.row_id, m.name, m.scale, m.seed, variant=m.variant):
            outcome.already += 1  # another command measured it at the same time and was first to write it
            continue
        store.append(record)
        outcome.written.append(record)
        records.append(record)
    return records


def _log(records: Sequence[Record], rows: Sequence[Row], settings: Settings, outcome: Outcome) -> None:
    """Log lines that were written to W&B, if that is on. What fails there is no failure of the result."""
    if settings.wandb is None or not settings.wandb.results or not records:
        return
    from vtbench.report.wandb.runs import log_record

    by_id = {(row.id, row.variant): row for row in rows}
    for record in records:
        # Where a variant changes nothing at this scale, its measurement is the row's own.
        row = by_id.get((record.id, record.variant)) or next(row for row in rows if row.id == record.id)
        try:
            log_record(row, record, settings.wandb, settings.results)
        except Exception as error:  # also a mistake of ours: the result is written, and others are to come
            reason = str(error) if isinstance(error, VtbenchError) else in_one_line(error)
            outcome.unlogged.append(Failure(record.title, reason))


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM, which schedulers send, ends the workers as Ctrl-C does. Only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
