"""The dry run: one epoch on a few videos with all else as the recipe has it, to see that it runs, how long it takes and
how much memory it needs. Nothing of it is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L

from vtbench.errors import RunError, SpecError, UsageError, VtbenchError
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.recipe import Data
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Evaluation, Start, Training
from vtbench.results import folders
from vtbench.run.assemble import Assembly, assemble, assemble_test
from vtbench.run.devices.batches import split_batch
from vtbench.run.devices.machine import on_gpu
from vtbench.run.devices.possible import refuse_impossible
from vtbench.run.fitting import fitted
from vtbench.run.jobs.inputs import Inputs
from vtbench.run.jobs.plan import Job, graph, require_work
from vtbench.run.metering import memory_gb
from vtbench.run.network import impossible
from vtbench.run.session import errors_in_one_line
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale
from vtbench.weights import load_weights, save_network, sha256_of


@dataclass(frozen=True)
class DryRun:
    """What one training, or one of its tests, took."""

    title: str
    phase: str
    """`train` or `test`."""
    videos: int
    clips: int
    """Clips that went through the network: of a training those of one epoch, of a test all views."""
    steps: int | None
    """Updates of the weights; None for a test."""
    loss: float | None
    """Mean training loss of the epoch; None for a test."""
    top1: float
    """In percent, on these few videos: no result."""
    seconds: float
    memory_gb: float
    """The most in use in this process so far, as vtbench.run.metering measures it."""
    precision: str


def dry_run(
    rows: Sequence[Row],
    settings: Settings,
    scale: Scale,
    seed: int,
    limit: int,
    on_done: Callable[[DryRun], None] | None = None,
) -> list[DryRun]:
    """Train every distinct training behind rows for one epoch on `limit` videos, the ones that it starts from before
    it, and test it on as many; in a folder that is removed afterwards.

    `on_done` is called with each entry as soon as it is there. Raises UsageError if the rows have nothing to run at
    this scale, and the VtbenchError of what is missing or fails, naming the row.
    """
    require_work(rows, scale)
    refuse_impossible(settings.engine, gpu=SCALES[scale].real)
    wanted = [measurement for row in rows for measurement in measurements(row, scale, seed)]
    found: list[DryRun] = []
    report = on_done or (lambda one: None)
    with tempfile.TemporaryDirectory() as folder:
        # Of a few videos, one that is missing is a large share: what of them is there is tried.
        here = dataclasses.replace(settings, results=Path(folder), scans=settings.scan_folder, missing=1.0)
        small: dict[str, Training] = {}
        jobs = graph(wanted)
        inputs = Inputs(settings)
        for job in jobs.values():
            with _named(job):
                batches = split_batch(job.training, settings.batch_size, settings.engine)
                if large := inputs.large_batch(job.training, batches):
                    raise UsageError(large)
                if wrong := impossible(job.training, job.evaluations.values()):
                    raise SpecError(wrong)
        for key, job in jobs.items():
            small[key] = _limited(job.training, limit, small)
            with _named(job):
                with errors_in_one_line(None):
                    machine = _one_device(small[key], here)
                    found.append(_train(assemble(small[key], machine), job.title))
                report(found[-1])
                for evaluation in job.evaluations.values():
                    tested = dataclasses.replace(evaluation, training=small[key], data=_few(evaluation, limit))
                    with errors_in_one_line(None):
                        found.append(_test(tested, machine, job.title))
                    report(found[-1])
    return found


@contextlib.contextmanager
def _named(job: Job) -> Iterator[None]:
    """Have what is raised in the block name the job."""
    try:
        yield
    except VtbenchError as error:
        where = f"{job.where}: " if job.where else ""
        raise type(error)(f"{where}{job.title}: {error}") from error


def _one_device(training: Training, settings: Settings) -> Settings:
    """What one of several devices does of a step, for one device to do alone."""
    settings = fitted(training, settings, folders.training_folder(settings.results, training.key))
    batches, engine = split_batch(training, settings.batch_size, settings.engine), settings.engine
    if engine.processes > 1:
        engine = dataclasses.replace(engine, devices=1, num_nodes=1, strategy="auto", accumulate=batches.accumulate)
        settings = dataclasses.replace(settings, engine=engine, batch_size=batches.batch_size)
    return settings


def _limited(training: Training, limit: int, small: dict[str, Training]) -> Training:
    data = dataclasses.replace(training.data, limit_train=limit, limit_test=limit)
    start = training.init
    if start.training is not None:
        start = Start(training=small[start.training.key])
    return dataclasses.replace(training, data=data, init=start)


def _few(evaluation: Evaluation, limit: int) -> Data:
    return dataclasses.replace(evaluation.data, limit_train=limit, limit_test=limit)


def _trainer(parts: Assembly) -> L.Trainer:
    options = parts.trainer | {"max_epochs": 1, "precision": _precision(parts)}
    return L.Trainer(logger=False, default_root_dir=parts.settings.results, **options)


def _precision(parts: Assembly) -> str:
    """That of the recipe, where the device has it: a CPU has no 16 bit with scaled gradients."""
    wanted: str = parts.settings.engine.precision or parts.training.train.precision
    return "32-true" if wanted == "16-mixed" and not on_gpu(parts.training) else wanted


def _train(parts: Assembly, title: str) -> DryRun:
    folder = folders.training_folder(parts.settings.results, parts.training.key)
    folder.mkdir(parents=True, exist_ok=True)
    parts.data.setup()
    parts.load_start()
    trainer = _trainer(parts)
    started = time.monotonic()
    trainer.fit(parts.method, parts.data)
    seconds = time.monotonic() - started
    if trainer.interrupted:
        raise RunError("interrupted")
    # As run/train.py leaves it, for the trainings and the tests that load it.
    save_network(parts.network, folder / folders.WEIGHTS)
    done = dataclasses.asdict(parts.batches) | {
        "training_key": parts.training.key,
        "epochs": 1,
        "weights_sha256": sha256_of(folder / folders.WEIGHTS),
    }
    folders.write_json(folder / folders.DONE, done)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    videos = len(parts.data.train_entries)
    return DryRun(
        title=title,
        phase="train",
        videos=videos,
        clips=int(trainer.num_training_batches) * min(parts.batches.batch_size, videos),
        steps=trainer.global_step,
        loss=logged.get("train_loss"),
        top1=logged.get("train_top1", 0.0),
        seconds=seconds,
        memory_gb=memory_gb(gpu=on_gpu(parts.training)),
        precision=_precision(parts),
    )


def _test(evaluation: Evaluation, settings: Settings, title: str) -> DryRun:
    parts = assemble_test(evaluation, settings)
    weights = folders.training_folder(settings.results, evaluation.training.key) / folders.WEIGHTS
    load_weights(parts.network, weights, expect_head=True)
    trainer = _trainer(parts)
    started = time.monotonic()
    (logged,) = trainer.test(parts.method, parts.data, verbose=False)
    protocol, videos = evaluation.eval, len(parts.data.test_entries)
    return DryRun(
        title=title,
        phase="test",
        videos=videos,
        clips=videos * protocol.clips * protocol.crops,
        steps=None,
        loss=None,
        top1=float(logged.get("test_top1", 0.0)),
        seconds=time.monotonic() - started,
        memory_gb=memory_gb(gpu=on_gpu(parts.training)),
        precision=_precision(parts),
    )
