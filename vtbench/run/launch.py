"""Many trainings: the graph in order, side by side in worker processes, each finished result written at once.

What there is to do is plan.py's, how one works is train.py's and evaluate.py's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vtbench.errors import SpecError, UsageError, VtbenchError, in_one_line
from vtbench.papers.roots import include, included
from vtbench.papers.spec.cells import ACCURACIES
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Measurement, Start, Training
from vtbench.results import folders, provenance
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.plan import Job, all_measurements, blockers, graph, is_trained, require_work
from vtbench.run.settings import Settings
from vtbench.scales import Scale


@dataclass
class Outcome:
    """What a run did: records written, rows that had one already, and what failed."""

    written: list[Record] = field(default_factory=list)
    already: int = 0
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A training that could not be done: its title, why, and the exit code of that kind of error."""

    title: str
    reason: str
    exit_code: int = 1


class Display:
    """What is told while jobs run. This one keeps silent; vtbench.cli.progress has the one that draws."""

    def start(self, jobs: Sequence[Job]) -> None:
        """The jobs that will run."""

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        """A job went on: epochs trained or videos tested."""

    def finish(self, key: str, records: Sequence[Record], error: str | None) -> None:
        """A job ended."""

    def stop(self) -> None:
        """All jobs ended, or the run was broken off."""


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
) -> Outcome:
    """Train and evaluate what has no record yet, and append one line per row, measurement and seed as each is done.

    `again` trains and tests everything anew, in fresh run folders; `test_again` tests anew the weights that are there.
    `workers` processes work side by side (default: the number of cores at smoke and mini scale, 1 at paper scale); the
    numbers do not depend on it. What fails is reported and the rest goes on. Raises ResultsError at once when results
    could not be written, UsageError where nothing is to be done at this scale.
    """
    display = display or Display()
    store = Store(settings.results)
    store.check()
    require_work(rows, scale)
    wanted = all_measurements(rows, scale, seeds)
    outcome = Outcome()
    fresh = again or test_again
    todo: list[Measurement] = []
    for measurement in wanted:
        newest = store.newest(measurement.row_id, measurement.name, scale, measurement.seed, given=False)
        if not fresh and newest is not None and newest.evaluation_key == measurement.evaluation.key:
            outcome.already += 1
        elif not fresh and (same := store.find(measurement.evaluation.key, scale)):
            # Another row, or an earlier command, already measured this very evaluation: a line of its own, no new run.
            outcome.written.append(_shared(same[-1], measurement))
            store.append(outcome.written[-1])
        else:
            todo.append(measurement)
    jobs = graph(todo)
    for key in [key for key, job in jobs.items() if not job.evaluations and is_trained(job, settings)]:
        del jobs[key]  # a pretraining that is there
    if jobs:
        _refuse_blocked(jobs, settings, outcome)
    if fresh:
        for key, job in jobs.items():
            if job.measurements:  # a pretraining stays: its weights are not what is measured
                if again:
                    folders.set_aside(folders.training_folder(settings.results, key))
                for evaluation in job.evaluations:
                    folders.set_aside(folders.evaluation_folder(settings.results, evaluation))
    if not jobs:
        return outcome
    for job in jobs.values():
        provenance.outside(job.roots)  # now, before somebody changes a file there while we train
    count = workers or (1 if scale == "paper" else os.cpu_count() or 1)
    display.start(list(jobs.values()))
    try:
        with _terminated_as_interrupted():
            _Pool(min(count, len(jobs)), settings, display).work(jobs, store, outcome)
    finally:
        display.stop()
    return outcome


def _shared(record: Record, measurement: Measurement) -> Record:
    root = provenance.outside(measurement.roots)
    return record.model_copy(update={"id": measurement.row_id, "measurement": measurement.name, "root": root})


def _refuse_blocked(jobs: dict[str, Job], settings: Settings, outcome: Outcome) -> None:
    """Take out the jobs that lack data or weights or whose network cannot be built, those that start from one of them,
    and the pretrainings that nobody needs then."""
    blocked: set[str] = set()
    for key, job in list(jobs.items()):
        reasons = blockers(job, settings)
        if job.needs in blocked:
            reasons.append(f"the training it starts from, {job.needs}, cannot run")
        if reasons:
            outcome.failed.append(Failure(job.title, "blocked: " + "; ".join(reasons), UsageError.exit_code))
            blocked.add(key)
            del jobs[key]
    for key, job in reversed(list(jobs.items())):  # each after those that start from it
        if not job.measurements and key not in {other.needs for other in jobs.values()}:
            del jobs[key]


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
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


class _Pool:
    """A few worker processes, each given one job at a time. One that dies fails its job, not the run."""

    def __init__(self, count: int, settings: Settings, display: Display) -> None:
        self.count, self.settings, self.display = count, settings, display
        # A worker that is ended while it reads videos leaves semaphores behind. Python's resource tracker removes them
        # and would say so on stderr, after our one line.
        os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
        # Not forked: a forked process may not use the threads that torch has started in its parent.
        self.context = multiprocessing.get_context("spawn")

    def work(self, jobs: dict[str, Job], store: Store, outcome: Outcome) -> None:
        waiting = dict(jobs)
        finished: set[str] = set()
        idle: list[_Worker] = []
        busy: dict[_Worker, Job | None] = {}  # None: making ready what a later job will read
        prepared = False
        try:
            while waiting or busy:
                for key, job in list(waiting.items()):
                    if job.needs in finished or job.needs not in jobs:
                        if not idle and len(busy) < self.count:
                            idle.append(_Worker(self.context, self.settings))
                        if not idle:
                            break
                        worker = idle.pop()
                        worker.give("run", [waiting.pop(key)])
                        busy[worker] = job
                if waiting and not prepared and len(busy) < self.count:
                    # Everything waits for one pretraining: meanwhile another process makes the synthetic videos.
                    worker = idle.pop() if idle else _Worker(self.context, self.settings)
                    worker.give("prepare", list(waiting.values()))
                    busy[worker], prepared = None, True
                if not busy:  # what is left starts from something that failed
                    for job in waiting.values():
                        self._end(
                            job, [], Failure(job.title, f"the training it starts from, {job.needs}, failed"), outcome
                        )
                    return
                pipes = {worker.pipe: worker for worker in busy}
                for worker in [pipes[pipe] for pipe in wait(list(pipes))]:
                    message, at_work = worker.receive(), busy[worker]
                    if message[0] == "progress":
                        if at_work is not None:
                            self.display.progress(at_work.key, *message[1:])
                        continue
                    del busy[worker]
                    if message[0] != "gone":
                        idle.append(worker)
                    if at_work is None:  # what could not be prepared will be told by the job that needs it
                        continue
                    if message[0] == "done":
                        finished.add(at_work.key)
                        self._end(at_work, self._append(at_work, message[1], store, outcome), None, outcome)
                    else:
                        self._end(at_work, [], Failure(at_work.title, *message[1:]), outcome)
        finally:
            for worker in [*idle, *busy]:
                worker.stop()

    def _append(self, job: Job, measured: dict[str, dict[str, Any]], store: Store, outcome: Outcome) -> list[Record]:
        records = []
        for m in job.measurements:
            line = record(m, measured[m.evaluation.key], self.settings)
            if line == store.newest(m.row_id, m.name, m.scale, m.seed):
                outcome.already += 1  # another command measured it at the same time and was first to write it
                continue
            store.append(line)
            outcome.written.append(line)
            records.append(line)
        if self.settings.wandb != "off":
            from vtbench.report import wandb as dashboard

            for line in records:
                folder = folders.evaluation_folder(self.settings.results, line.evaluation_key)
                dashboard.log_record(line, self.settings.wandb, folder)
        return records

    def _end(self, job: Job, records: list[Record], failure: Failure | None, outcome: Outcome) -> None:
        if failure is not None:
            outcome.failed.append(failure)
        self.display.finish(job.key, records, failure.reason if failure else None)


@contextlib.contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Ctrl-C waits until the block ends, and a process that is started in it waits with Ctrl-C until it has said what
    to do then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, context: Any, settings: Settings) -> None:
        self.pipe, theirs = context.Pipe()
        # Not a daemon: those may not have children, and a paper-scale training reads its videos in processes.
        self.process = context.Process(target=_serve, args=(theirs, settings, included()))
        with _ctrl_c_held():
            self.process.start()
        theirs.close()

    def give(self, verb: str, jobs: Sequence[Job]) -> None:
        self.pipe.send((verb, [(job.training, list(job.evaluations.values())) for job in jobs]))

    def receive(self) -> tuple[Any, ...]:
        try:
            message: tuple[Any, ...] = self.pipe.recv()
            return message
        except (EOFError, ConnectionError):
            self.process.join(timeout=10)
            code = self.process.exitcode
            killed = (
                f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
            )
            hint = "; out of memory? try --workers 1" if code == -signal.SIGKILL else ""
            return ("gone", f"its worker process {killed}{hint}; run again to continue after its last whole epoch")

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=5)
        if self.process.exitcode is None:  # Lightning answers SIGTERM only between batches
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, settings: Settings, folders_outside: Sequence[Path]) -> None:
    """A worker process: take a job, train and evaluate (or prepare its data), answer; until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends the workers itself
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from vtbench.run.data import make_synthetic_videos
    from vtbench.run.evaluate import evaluate
    from vtbench.run.train import train

    provenance.commit()  # now, before somebody commits while we train

    def progress(phase: str, done: int, total: int, loss: float | None) -> None:
        try:
            pipe.send(("progress", phase, done, total, loss))
        except OSError:  # the parent is gone: nobody is left to write down what comes of this
            os._exit(1)

    while True:
        try:
            verb, jobs = pipe.recv()
        except (EOFError, OSError):
            return
        measured: dict[str, dict[str, Any]] = {}
        try:
            for folder in folders_outside:
                include(folder)
            for training, evaluations in jobs:
                if verb == "prepare":
                    make_synthetic_videos(training, settings, evaluations)
                    continue
                train(training, settings, progress)
                measured |= {e.key: evaluate(e, settings, progress) for e in evaluations}
            answer: tuple[Any, ...] = ("done", measured)
        except VtbenchError as error:
            answer = ("failed", str(error), error.exit_code)
        except KeyboardInterrupt:  # SIGTERM, as Lightning tells it: the parent wants us gone
            return
        except BaseException as error:  # a mistake of ours must not take the other jobs down with it
            traceback.print_exc()
            answer = ("failed", in_one_line(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def record(measurement: Measurement, measured: dict[str, Any], settings: Settings) -> Record:
    """The line of results.csv for one row, from what `evaluate` gave and what the training's folder says."""
    evaluation = measurement.evaluation
    training = evaluation.training
    trained = folders.training_folder(settings.results, training.key)
    ours = measured["training_key"] == training.key
    done = folders.read_json(trained / folders.DONE) if ours else {}
    return Record(
        id=measurement.row_id,
        measurement=measurement.name,
        scale=training.scale,
        seed=training.seed,
        training_key=measured["training_key"],
        evaluation_key=measured["evaluation_key"],
        top1=measured["metrics"]["top1"],
        top5=measured["metrics"]["top5"],
        metrics=_own_metrics(measured["metrics"]),
        videos_expected=measured["videos_expected"],
        videos_decoded=measured["videos_decoded"],
        videos_failed=measured["videos_failed"],
        videos_silent=measured.get("videos_silent"),  # not in evaluations from before there was sound
        views=measured["views"],
        train_wall_s=done.get("wall_s"),
        eval_wall_s=measured["wall_s"],
        train_videos=done.get("videos"),
        epochs=done.get("epochs"),
        batch_size=done.get("batch_size"),
        accumulate=done.get("accumulate"),
        lr=done.get("lr"),
        init=_start(training.init, done) if ours else "given",
        selection=_selection(training) if ours else "unknown: given weights",
        data_fingerprint=measured["data_fingerprint"],
        weights_sha256=measured["weights_sha256"],
        commit=measured["commit"],
        dirty=measured["dirty"],
        root=provenance.outside(measurement.roots),
        device=measured["device"],
        threads=measured["threads"],
        versions=measured["versions"],
        finished_at=measured["finished_at"],
    )


def _own_metrics(metrics: dict[str, float]) -> str | None:
    """What was measured besides top-1 and top-5, as `name=value` joined by semicolons."""
    own = {name: value for name, value in metrics.items() if name not in ACCURACIES}
    return ";".join(f"{name}={value!r}" for name, value in own.items()) or None


def _start(start: Start, done: dict[str, Any]) -> str:
    """`scratch`, `training:<key>`, or the name of the weights and the first 8 digits of the file's SHA-256; the same of
    VGGish's weights behind it, where sound goes through them."""
    if start.training:
        began = f"training:{start.training.key}"
    else:
        began = f"{start.weights}@{done['init_sha256'][:8]}" if start.weights else "scratch"
    heard = done.get("vggish_sha256")
    return f"{began};vggish@{heard[:8]}" if heard else began


def _selection(training: Training) -> str:
    """What drove the choices behind the weights. At paper scale the recipe is the paper's own."""
    epoch = "last epoch"
    if training.train.holdout:
        epoch = f"rate by {training.train.holdout:.0%} of the training videos, held out; last epoch"
    if training.train.keep == "best_on_test":
        epoch = f"best of {training.train.epochs} epochs on the test set of {training.data.dataset}"
    if training.scale == "paper":
        return epoch if training.train.keep or training.train.holdout else f"none: {epoch}"
    return f"recipe of the small scales: {training.data.dataset} validation in sight; {epoch}"


def evaluate_checkpoint(
    rows: Sequence[Row], settings: Settings, scale: Scale, checkpoint: Path, display: Display | None = None
) -> list[Record]:
    """Each row's test protocol on the weights in `checkpoint`; one line per measurement, marked as given weights.

    Raises UsageError when no row can be tested, WeightsError when the file belongs to another network. Lines written
    before that stay.
    """
    from vtbench.run.evaluate import evaluate
    from vtbench.run.network import impossible

    provenance.commit()
    display = display or Display()
    store = Store(settings.results)
    store.check()
    require_work(rows, scale)
    jobs = [job for job in graph(all_measurements(rows, scale, [0])).values() if job.measurements]
    for job in jobs:
        provenance.outside(job.roots)
        if wrong := impossible(job.training, job.evaluations.values()):
            raise SpecError(f"{job.where}: {job.title}: {wrong}")
    written: list[Record] = []
    display.start(jobs)
    try:
        for job in jobs:

            def progress(phase: str, done: int, total: int, loss: float | None, key: str = job.key) -> None:
                display.progress(key, phase, done, total, loss)

            measured = {
                key: evaluate(evaluation, settings, progress, checkpoint=checkpoint)
                for key, evaluation in job.evaluations.items()
            }
            lines = [record(m, measured[m.evaluation.key], settings) for m in job.measurements]
            for line in lines:
                store.append(line)
            written += lines
            display.finish(job.key, lines, None)
    finally:
        display.stop()
    return written
