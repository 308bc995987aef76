"""The graph of trainings behind some rows: what is done, to do or blocked, and how much work it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from vtbench.errors import SpecError, UsageError
from vtbench.papers.datasets import load_dataset
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Evaluation, Measurement, Training
from vtbench.report.counted import recorded_costs
from vtbench.report.machines.devices import DEVICES, Device
from vtbench.report.machines.hours import Rates, multiply_adds
from vtbench.results import finished, folders
from vtbench.results.costs import CostBook
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.devices.batches import split_batch
from vtbench.run.jobs.inputs import Inputs
from vtbench.run.settings import Settings
from vtbench.scales import SCALES, Scale

# ---- the graph -------------------------------------------------------------------------------------------------------


@dataclass
class Job:
    """One training and the evaluations of it."""

    training: Training
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The key of the training."""
        return self.training.key

    @property
    def needs(self) -> str | None:
        """The key of the training that it starts from, if it starts from one."""
        return self.training.init.training.key if self.training.init.training else None

    @property
    def where(self) -> str:
        """File and line of the first row that asks for it; "" for a pretraining."""
        return self.measurements[0].where if self.measurements else ""

    @property
    def rows(self) -> tuple[str, ...]:
        """The ids of the rows that ask for it; none for a pretraining."""
        return tuple(sorted({m.row_id for m in self.measurements}))

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders outside vtbench that its papers, data sets and modules come from."""
        return tuple(sorted({folder for m in self.measurements for folder in m.roots}))

    @property
    def title(self) -> str:
        """For display: the first row that asks for it, and how many others do."""
        if not self.measurements:
            return f"pretraining on {self.training.data.dataset}"
        first, rows = self.measurements[0], self.rows
        return first.title + (f" +{len(rows) - 1}" if len(rows) > 1 else "")


def graph(measurements: Iterable[Measurement]) -> dict[str, Job]:
    """The distinct trainings behind some measurements, each after the one it starts from."""
    jobs: dict[str, Job] = {}
    for measurement in measurements:
        evaluation = measurement.evaluation
        for training in (*evaluation.training.ancestors(), evaluation.training):
            jobs.setdefault(training.key, Job(training))
        job = jobs[evaluation.training.key]
        job.evaluations.setdefault(evaluation.key, evaluation)
        job.measurements.append(measurement)
    return jobs


def all_measurements(rows: Sequence[Row], scale: Scale, seeds: Sequence[int]) -> list[Measurement]:
    """Every measurement of every runnable row, seed by seed."""
    return [measurement for seed in seeds for row in rows for measurement in measurements(row, scale, seed)]


def require_work(rows: Sequence[Row], scale: Scale) -> None:
    """Raise UsageError, saying why, if none of the rows has anything to train and test at this scale."""
    if not any(scale in spec.scales for row in rows if row.status == "runnable" for spec in row.asked_recipes.values()):
        raise UsageError(nothing_to_do(rows, scale))


def nothing_to_do(rows: Sequence[Row], scale: Scale) -> str:
    """Why rows have nothing to train and test at a scale."""
    reasons = {
        "published-only": "numbers quoted from other work",
        "analytic": "nothing to train",
        "runnable": f"measured at {_scales_of(rows)} scale only",
    }
    by_status: dict[str, list[str]] = {}
    for row in rows:
        by_status.setdefault(row.status, []).append(row.id)
    why = "; ".join(f"{_few(ids)}: {reasons[status]}" for status, ids in by_status.items())
    return f"nothing to run at {scale} scale: {why}"


def _scales_of(rows: Sequence[Row]) -> str:
    found = {scale for row in rows for spec in row.asked_recipes.values() for scale in spec.scales}
    return " and ".join(scale for scale in SCALES if scale in found)


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


# ---- plan ------------------------------------------------------------------------------------------------------------


def plan(
    rows: Sequence[Row],
    settings: Settings,
    scale: Scale,
    seeds: Sequence[int],
    device: Device = DEVICES["h200"],
) -> list[dict[str, Any]]:
    """One entry per distinct training, each after the one that it starts from.

    - `training`, `needs`: its key, and the key of the training that it starts from
    - `rows`, `title`, `model`, `dataset`, `seed`, `scale`, `evaluations`: what it is for
    - `downloads`: the weights that a run would download
    - `state`: `done` (every evaluation is recorded and none half repeated, or the weights exist and nothing is left to
      evaluate), `to do`, or `blocked`, with the reasons in `blocked_by`
    - `macs`: an estimate, 3 forward passes per training clip plus the test views; None if it cannot be counted
    - `hours`: an estimate for one `device` (vtbench.report.machines.hours); None at the scales of small networks, and
      where `macs` is
    - `hours_from`: the device, and the rate that the estimate takes; None where `hours` is
    - `seconds`: an estimate from `macs` and the records of trainings of this selection and scale; None without any
    """
    store = Store(settings.results)
    records = store.read()
    recorded = {record.evaluation_key for record in records if record.scale == scale}
    jobs = graph(all_measurements(rows, scale, seeds))
    book = recorded_costs(settings.results)
    work = {key: _macs(job, book) for key, job in jobs.items()}
    rates = Rates(book, device, settings.results)
    speed = _measured_speed(records, jobs, work, scale)
    needed, inputs = _needed(jobs, recorded, settings), Inputs(settings)
    entries: list[dict[str, Any]] = []
    blocked: set[str] = set()
    for key, job in jobs.items():
        macs, reasons = work[key], blockers(job, inputs, book) if key in needed else []
        hours = rates.hours(job.training, macs) if SCALES[scale].real else None
        rate = rates.find(job.training.model.name, job.training.train.precision)
        if job.needs in blocked:
            reasons.append(f"training {job.needs}")
        if reasons:
            blocked.add(key)
        entries.append(
            {
                "training": key,
                "needs": job.needs,
                "rows": list(job.rows),
                "title": job.title,
                "model": job.training.model.name,
                "dataset": job.training.data.dataset,
                "seed": job.training.seed,
                "scale": job.training.scale,
                "state": "blocked" if reasons else "to do" if key in needed else "done",
                "blocked_by": reasons,
                "downloads": inputs.downloads(job.training.weights) if key in needed else [],
                "evaluations": sorted(job.evaluations),
                "macs": macs,
                "hours": None if hours is None else float(f"{hours:.3g}"),
                "hours_from": None if hours is None else {"device": device.title, "rate": rate.origin},
                "seconds": round(macs / speed, 1) if speed and macs is not None else None,
            }
        )
    return entries


def summary(entries: Sequence[dict[str, Any]], scale: Scale) -> list[str]:
    """What `plan` found, in words: how much is left, what is in the way, and the hours of each table."""
    states = [entry["state"] for entry in entries]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "to do", "blocked"))
    left = [entry for entry in entries if entry["state"] == "to do"]
    # What is blocked is work too, but not for now; "0 MACs to do" would say that there is none.
    wanted = [state for state in ("to do", "blocked") if state in states] or ["to do"]
    macs = {state: sum(entry["macs"] or 0 for entry in entries if entry["state"] == state) for state in wanted}
    work = ", ".join(f"{count:.3g} MACs {state}" for state, count in macs.items())
    seconds = [entry["seconds"] for entry in left if entry["seconds"] is not None]
    time = f", about {sum(seconds) / 60:.0f} min on one process" if seconds else ""
    runs = "distinct training run" + ("" if len(entries) == 1 else "s")
    lines = [f"{len(entries)} {runs} at {scale} scale: {counts}; {work}{time}"]
    reasons = Counter(reason for entry in entries for reason in entry["blocked_by"])
    lines += [f"blocked, {count} of them: {reason}" for reason, count in reasons.items()]
    lines += dict.fromkeys(f"downloads {download}" for entry in entries for download in entry["downloads"])
    return [*lines, *_hours_by_table(entries)]


def _hours_by_table(entries: Sequence[dict[str, Any]]) -> list[str]:
    """One line per table with what all its training runs take, those that they start from included, then all of them
    together and where the estimate is from; none where there is none."""
    by_key = {entry["training"]: entry for entry in entries}
    tables: dict[str, set[str]] = {}
    for entry in entries:
        chain: list[str] = []
        key: str | None = entry["training"]
        while key is not None:
            chain.append(key)
            key = by_key[key]["needs"]
        for row in entry["rows"]:
            tables.setdefault(row.partition(":")[0], set()).update(chain)
    if len(tables) > 1:
        tables["all of them, each training run once"] = set(by_key)
    lines = []
    for table, keys in tables.items():
        hours = [by_key[key]["hours"] for key in keys]
        if all(one is not None for one in hours):
            device = by_key[next(iter(keys))]["hours_from"]["device"]
            lines.append(f"{table}: about {sum(hours):.0f} hours on one {device}")
    rates = dict.fromkeys(entry["hours_from"]["rate"] for entry in entries if entry["hours_from"])
    if rates:
        lines.append(
            f"hours: multiply-adds (3 passes per training clip, one per view of a test) over {' or '.join(rates)}; "
            "reading videos is not in them"
        )
    return lines


def _needed(jobs: dict[str, Job], recorded: set[str], settings: Settings) -> set[str]:
    """The keys of trainings with something left to do: an evaluation without a record, or missing weights that another
    such training starts from."""
    needed: set[str] = set()
    for key, job in reversed(jobs.items()):
        trained = has_weights(job, settings)
        open_evaluations = any(
            evaluation not in recorded or _is_half_repeated(job, evaluation, settings) for evaluation in job.evaluations
        )
        wanted_by = [other for other in needed if jobs[other].needs == key and not has_weights(jobs[other], settings)]
        if open_evaluations or (wanted_by and not trained):
            needed.add(key)
    return needed


def _is_half_repeated(job: Job, evaluation: str, settings: Settings) -> bool:
    """Whether a run with --again was interrupted in it."""
    trained = folders.training_folder(settings.results, job.key)
    return finished.is_half_repeated(trained, folders.evaluation_folder(settings.results, evaluation))


def has_weights(job: Job, settings: Settings) -> bool:
    """Whether the training of a job is done and its weights still exist."""
    return finished.is_trained(folders.training_folder(settings.results, job.key))


def blockers(job: Job, inputs: Inputs, book: CostBook | None = None) -> list[str]:
    """Why a job cannot run: what it lacks, with the option that gives it, or what cannot work on any data. Empty if it
    can run. The lists, a sample of the files and the weights are opened. A network that is in `book` was built to be
    counted: it is not built again to find out."""
    reasons = inputs.lacking_data(job.training, job.evaluations.values())
    reasons += inputs.lacking_weights(job.training.weights)
    try:
        batches = split_batch(job.training, inputs.settings.batch_size, inputs.settings.engine)
        if large := inputs.large_batch(job.training, batches):
            reasons.append(large)
    except UsageError as error:
        reasons.append(str(error))
    if book is None or not _is_counted(job, book):
        from vtbench.run.network import impossible

        if wrong := impossible(job.training, job.evaluations.values()):
            reasons.append(f"{wrong} ({job.where})" if job.where else wrong)
    return reasons


def _is_counted(job: Job, book: CostBook) -> bool:
    """Whether the network was built before, and nothing else that a job names is the user's."""
    data = (job.training.data, *(evaluation.data for evaluation in job.evaluations.values()))
    metrics = (name for evaluation in job.evaluations.values() for name in evaluation.eval.metrics or ())
    named = (job.training.train.method, *(load_dataset(one.dataset).module for one in data), *metrics)
    return book.find(job.training.network.key) is not None and not any(":" in name for name in named)


def _macs(job: Job, book: CostBook) -> int | None:
    """Multiply-adds of a training and its tests; None if the network cannot be built or counted."""
    training = job.training
    counted = book.find(training.network.key)
    if counted is not None:
        one = counted.macs["matmul"]
    else:
        from vtbench.run.measuring.cost import clip_macs

        try:
            one = clip_macs(training.network)
        except SpecError:
            return None
    return multiply_adds(training, job.evaluations.values(), one)


def _measured_speed(
    records: Sequence[Record], jobs: dict[str, Job], work: dict[str, int | None], scale: Scale
) -> float | None:
    """Median MACs per second over the records of these trainings at this scale; None without any."""
    speeds = [
        macs / (record.train_wall_s + (record.eval_wall_s or 0))
        for record in records
        if record.scale == scale and record.train_wall_s and (macs := work.get(record.training_key))
    ]
    return median(speeds) if speeds else None
