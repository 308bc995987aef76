"""Many rows at once: find what has no result yet, have it trained and evaluated, write each result at once.

plan.py knows the graph of trainings, workers.py runs its jobs, recording.py makes lines of results.csv of what they
measured.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vtbench.errors import ResultsError, UsageError, VtbenchError, in_one_line
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Measurement
from vtbench.report.counted import recorded_costs
from vtbench.results import finished, folders, provenance
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.engine import Engine
from vtbench.run.jobs import signals
from vtbench.run.jobs.display import Display
from vtbench.run.jobs.inputs import Inputs
from vtbench.run.jobs.plan import Job, all_measurements, blockers, graph, has_weights, require_work
from vtbench.run.jobs.progress import Recorder
from vtbench.run.jobs.slurm.engine import at_slurm
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
    logged: int = 0
    """Runs that W&B lacked of results that existed already."""


@signals.as_ctrl_c()
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
    here: bool = True,
) -> Outcome:
    """Train and evaluate what has no result yet, and append one line per row, measurement and seed as each is done.

    - `again`: train and test even if results exist, in new run folders
    - `test_again`: test even if results exist, with the weights that are there
    - `workers`: processes that run jobs side by side; by default the number of cores, 1 at lab and paper scale. The
      numbers do not depend on it.
    - `engine`: what runs the jobs, as `workers.run_jobs`, which is the default
    - `here`: whether that is on this machine, so that its devices are known

    A failure is reported in the outcome and written to the run folder (progress.py), and the rest still runs. Raises
    ResultsError before any training if results could not be written, UsageError if the rows have nothing to run at this
    scale, or a logger cannot be used.
    """
    display = display or Display()
    store = Store(settings.results, notice=functools.partial(display.notice, "results"))
    store.set_torn_aside()
    require_work(rows, scale)
    if settings.wandb or settings.loggers:
        from vtbench.run.tracking import require_loggers

        require_loggers(settings)
    outcome = Outcome()
    wanted = all_measurements(rows, scale, seeds)
    repeat = again or test_again
    found = _Found(missing=wanted) if repeat else _look_up(wanted, store, settings.results)
    outcome.already = len(found.present)
    jobs = graph(found.missing)
    for key in [key for key, job in jobs.items() if not job.evaluations and has_weights(job, settings)]:
        del jobs[key]  # a finished pretraining
        finished.remove_leftovers(folders.training_folder(settings.results, key))
    if jobs or found.shared:
        store.check()
    for record in found.shared:
        if store.append_missing([record]):
            outcome.written.append(record)
        else:
            outcome.already += 1
    _log(outcome.written, rows, settings, outcome)
    _log_missed(found.present, rows, settings, outcome)
    if jobs:
        if here and settings.engine != Engine():
            from vtbench.run.devices.possible import refuse_impossible

            refuse_impossible(settings.engine, gpu=SCALES[scale].real)
        _refuse_blocked(jobs, settings, outcome)
    if repeat:
        _set_aside(jobs, settings, outcome, trainings=again)
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
        lost: set[str] = set()
        with contextlib.closing(results):
            for result in results:
                job = jobs[result.key]
                records, failed = _write(job, result, store, settings, outcome)
                _log(records, rows, settings, outcome)
                if failed and job.needs not in lost:  # of one that was tried
                    reasons = (one.reason if result.error else f"{one.title}: {one.reason}" for one in failed)
                    recorder = Recorder(job, settings.results)
                    recorder.ended("; ".join(reasons), failed[0].exit_code, of_slurm=not here)
                if result.error is not None:
                    lost.add(job.key)
                outcome.failed += failed
                display.end_job(job.key, records, failed[0].reason if failed and not records else None)
    finally:
        display.stop()
    return outcome


@dataclass
class _Found:
    """What there is of some measurements: those without a result, the lines of those with one, and the lines, not
    written yet, of those whose evaluation is recorded for another row."""

    missing: list[Measurement] = field(default_factory=list)
    present: list[Record] = field(default_factory=list)
    shared: list[Record] = field(default_factory=list)


def _look_up(wanted: Sequence[Measurement], store: Store, results: Path) -> _Found:
    found = _Found()
    for measurement in wanted:
        evaluation, scale = measurement.evaluation, measurement.scale
        place = (measurement.row_id, measurement.name, scale, measurement.seed)
        newest = store.newest(*place, given=False, variant=measurement.variant, evaluation_key=evaluation.key)
        trained = folders.training_folder(results, evaluation.training.key)
        tested = folders.evaluation_folder(results, evaluation.key)
        same = [newest] if newest else store.find(evaluation.key, scale)
        if finished.is_half_repeated(trained, tested):
            found.missing.append(measurement)  # a run with --again was interrupted
        elif same and _is_newer(tested, same[-1]) and finished.is_trained(trained):
            found.missing.append(measurement)  # its line is lost, or was never written; it is all that is to be done
        elif newest is not None:
            found.present.append(newest)
        elif same:
            found.shared.append(shared_record(same[-1], measurement))
        else:
            found.missing.append(measurement)
    return found


def _is_newer(tested: Path, record: Record) -> bool:
    """Whether the test in a folder was repeated after this line of it."""
    return (finished.finished_at(tested) or "") > record.finished_at


def _refuse_blocked(jobs: dict[str, Job], settings: Settings, outcome: Outcome) -> None:
    """Remove the jobs that lack data or weights or whose network cannot be built, those that start from one of them,
    and the pretrainings that no job needs then."""
    blocked: set[str] = set()
    inputs, book = Inputs(settings), recorded_costs(settings.results)
    for key, job in list(jobs.items()):
        reasons = blockers(job, inputs, book)
        if job.needs in blocked:
            reasons.append(f"the training it starts from, {job.needs}, cannot run")
        if reasons:
            outcome.failed.append(Failure(job.title, "blocked: " + "; ".join(reasons), UsageError.exit_code))
            blocked.add(key)
            del jobs[key]
    _drop_unneeded(jobs)


def _drop_unneeded(jobs: dict[str, Job]) -> None:
    """Remove the pretrainings that no job needs."""
    for key, job in reversed(list(jobs.items())):  # each after those that start from it
        if not job.measurements and key not in {other.needs for other in jobs.values()}:
            del jobs[key]


def _set_aside(jobs: dict[str, Job], settings: Settings, outcome: Outcome, *, trainings: bool) -> None:
    """Rename the run folders of evaluations, and of `trainings` too, so that they run again and the old ones stay. A
    job in which another run is at work, or that waits at SLURM, is not repeated."""
    queued = at_slurm(settings.results, jobs) if trainings else {}
    for key, job in list(jobs.items()):
        if not job.measurements:
            continue  # a pretraining stays: its weights are not what is measured
        again = [folders.training_folder(settings.results, key)] if trainings else []
        try:
            if key in queued:
                raise ResultsError(queued[key])
            folders.set_aside(*again, *(folders.evaluation_folder(settings.results, one) for one in job.evaluations))
        except ResultsError as error:
            outcome.failed.append(Failure(job.title, str(error), error.exit_code))
            del jobs[key]
    _drop_unneeded(jobs)


def _write(
    job: Job, result: JobResult, store: Store, settings: Settings, outcome: Outcome
) -> tuple[list[Record], list[Failure]]:
    """Append the lines of a job; returns them, and what failed: the job, or some of its lines."""
    if result.error is not None:
        return [], [Failure(job.title, result.error, result.exit_code)]
    records, failed = [], []
    for m in job.measurements:
        try:
            record = to_record(m, result.measured[m.evaluation.key], settings)
            written = store.append_missing([record])
        except Exception as error:  # also a mistake of ours: other rows are to come
            failed.append(Failure(m.title, _reason(error), getattr(error, "exit_code", 1)))
            continue
        if not written:
            outcome.already += 1  # another command measured it at the same time and was first to write it
            continue
        outcome.written.append(record)
        records.append(record)
    return records, failed


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, VtbenchError) else in_one_line(error)


# ---- Weights & Biases ------------------------------------------------------------------------------------------------


def _log(records: Sequence[Record], rows: Sequence[Row], settings: Settings, outcome: Outcome) -> None:
    """Log lines that were written to W&B, if that is on. What fails there is no failure of the result."""
    if settings.wandb is None or not settings.wandb.results or not records:
        return
    from vtbench.report.wandb.runs import log_record

    for record in records:
        try:
            log_record(_row_of(record, rows), record, settings.wandb, settings.results)
        except Exception as error:  # also a mistake of ours: the result is written, and others are to come
            outcome.unlogged.append(Failure(record.title, _reason(error)))


def _log_missed(records: Sequence[Record], rows: Sequence[Row], settings: Settings, outcome: Outcome) -> None:
    """Log lines that were there before, and the training runs behind them, as far as W&B lacks them. The first that
    fails is the last: without a server each would take its time to fail."""
    if settings.wandb is None or not settings.wandb.results or not records:
        return
    from vtbench.report.wandb.sync import missed

    try:
        for record in records:
            for pending in missed(_row_of(record, rows), record, settings.results, settings.wandb):
                pending.push()
                outcome.logged += 1
    except Exception as error:
        outcome.unlogged.append(Failure(record.title, _reason(error)))


def _row_of(record: Record, rows: Sequence[Row]) -> Row:
    """The row of a line. Where a variant changes nothing at this scale, its measurement is the row's own."""
    exact = (row for row in rows if (row.id, row.variant) == (record.id, record.variant))
    return next(exact, None) or next(row for row in rows if row.id == record.id)
