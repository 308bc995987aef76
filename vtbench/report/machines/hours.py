"""How long trainings take on one GPU, as an estimate: multiply-adds over a rate.

- Work: 3 forward passes per training clip, as the backward pass costs two, and one per view of a test.
- Rate, where the GPU was measured at the training's precision (16 bit of either kind counts as one): multiply-adds a
  second in the lines of speed.csv, of vtbench's own and of the results folder, for `throughput_vps`; the median over
  the networks of the same builder, where some were measured, else over all. Measured passes have 2 to 4 clips, which
  leaves the smaller networks below what larger batches reach.
- Rate, elsewhere: a stated share of the GPU's peak (vtbench.report.machines.devices).

Reading and augmenting videos is not in it: with too few processes (`--data-workers`) a GPU waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from vtbench.papers.datasets import load_dataset
from vtbench.papers.resolve import measurements
from vtbench.papers.roots import own_root
from vtbench.papers.spec.schema import Paper
from vtbench.papers.trainings import Evaluation, Measurement, Training
from vtbench.report.machines.devices import DEVICES, Device
from vtbench.results.costs import CostBook
from vtbench.results.store import SpeedStore
from vtbench.scales import SCALES, Scale

GPU = "NVIDIA H200"
"""The GPU of the estimates if no other is asked for, and of the limits of a scale."""


def multiply_adds(training: Training, evaluations: Iterable[Evaluation], one: int) -> int:
    """Of a training and its tests; `one`: of a forward pass of one clip."""
    data = training.data
    clips = 3 * training.train.epochs * load_dataset(data.dataset).num_videos("train", data.limit_train, data.subset)
    for evaluation in evaluations:
        data, views = evaluation.data, evaluation.eval.clips * evaluation.eval.crops
        clips += views * load_dataset(data.dataset).num_videos("test", data.limit_test, data.subset)
    return one * clips


@dataclass(frozen=True)
class Rate:
    """How quick a device is."""

    per_second: float
    """Multiply-adds a second."""
    origin: str
    """Where it is from, in words."""


class Rates:
    """Multiply-adds a second on a device, by precision and by the networks' builders."""

    def __init__(self, book: CostBook, device: Device = DEVICES["h200"], results: Path | None = None) -> None:
        """`results`: a results folder whose speed.csv is read besides vtbench's own."""
        self.device = device
        self._found: dict[tuple[str | None, str], list[tuple[str, float]]] = {}
        own = own_root().folder / "results"
        for folder in dict.fromkeys(path.resolve() for path in (own, results) if path is not None):
            for line in SpeedStore(folder).read():
                cost = book.find(line.network)
                if (
                    device.is_called(line.device)
                    and line.metric == "throughput_vps"
                    and SCALES[line.scale].real
                    and cost is not None
                ):
                    rate = line.device, line.value * cost.macs["matmul"]
                    for builder in (book.builder(line.network), None):
                        self._found.setdefault((builder, _arithmetic(line.precision)), []).append(rate)

    def find(self, builder: str, precision: str) -> Rate:
        """The rate of a builder's networks at a precision."""
        kind = _arithmetic(precision)
        found = self._found.get((builder, kind)) or self._found.get((None, kind))
        if found:
            names = " and ".join(dict.fromkeys(name for name, _ in found))
            return Rate(median(rate for _, rate in found), f"the speed measured on {names} (speed.csv)")
        per_second = self.device.peak(precision) * 1e12 / 2 * self.device.share(precision)
        return Rate(per_second, self.device.words(precision))

    def hours(self, training: Training, macs: int | None) -> float | None:
        """Of a training and its tests with so many multiply-adds; None if these are not known."""
        if macs is None:
            return None
        return macs / self.find(training.model.name, training.train.precision).per_second / 3600


def _arithmetic(precision: str) -> str:
    return "bf16-mixed" if precision == "16-mixed" else precision


# ---- limits of a scale -----------------------------------------------------------------------------------------------


def over_limits(paper: Paper, book: CostBook) -> list[str]:
    """What takes longer than a scale allows, one line each. Networks whose costs are not recorded are passed over."""
    rates = Rates(book)
    found = []
    for scale, limits in ((scale, about.limits) for scale, about in SCALES.items() if about.limits):
        for table in paper.tables:
            wanted = {row.where: measurements(row, scale) for row in table.rows}
            for row in table.rows:
                hours = _hours(wanted[row.where], rates, book)
                if hours > limits.row_hours:
                    found.append(f"{row.where}: row '{row.name}': {_too_long(hours, limits.row_hours, scale)}")
            hours = _hours([m for row in wanted.values() for m in row], rates, book)
            if hours > limits.table_hours:
                found.append(f"{table.file}:1: {_too_long(hours, limits.table_hours, scale)}")
    return found


def _too_long(hours: float, limit: float, scale: Scale) -> str:
    return (
        f"takes about {hours:.0f} hours on one {GPU} at {scale} scale, more than {limit:g}; give it fewer epochs or a "
        "smaller data.subset"
    )


def _hours(wanted: Iterable[Measurement], rates: Rates, book: CostBook) -> float:
    """Of the distinct trainings and tests behind measurements."""
    trainings: dict[str, tuple[Training, dict[str, Evaluation]]] = {}
    for measurement in wanted:
        evaluation = measurement.evaluation
        for training in (*evaluation.training.ancestors(), evaluation.training):
            trainings.setdefault(training.key, (training, {}))
        trainings[evaluation.training.key][1].setdefault(evaluation.key, evaluation)
    total = 0.0
    for training, tests in trainings.values():
        cost = book.find(training.network.key)
        macs = multiply_adds(training, tests.values(), cost.macs["matmul"]) if cost is not None else None
        total += rates.hours(training, macs) or 0.0
    return total
