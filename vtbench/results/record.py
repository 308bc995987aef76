"""One line of results.csv (Record: what one evaluation measured for one row of a table) and of speed.csv (SpeedRecord:
one latency, throughput or memory of a row's network), each with where it came from.

The fields stand in the order of the columns and are validated as vtbench.fields says; results/README.md explains each
column to a reader who has only the file. A column whose value may be empty may be missing from a file: an older one.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vtbench.fields import from_text, key, not_one_of
from vtbench.metrics import METRICS, accuracies, speed_metrics
from vtbench.results.lines.line import Line
from vtbench.scales import SCALES, Scale


def _scale(text: str) -> None:
    if text not in SCALES:
        raise ValueError(not_one_of(text, SCALES))


def _instant(text: str) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text):
        raise ValueError(f"is {text!r}, must be UTC as 2026-01-31T23:59:59Z")


def _speed(text: str) -> None:
    if text not in (known := speed_metrics()):
        raise ValueError(not_one_of(text, known))


def read_metrics(text: str | None) -> dict[str, float]:
    """The metrics in a cell, `name=value` joined by semicolons. Raises ValueError for anything else."""
    found = {}
    for name, equals, value in (part.partition("=") for part in text.split(";")) if text else ():
        number = from_text(value, float)
        if not equals or not name.isidentifier() or not isinstance(number, float) or not math.isfinite(number):
            raise ValueError(f"is {text!r}, must be metrics as name=value, joined by semicolons")
        if name in METRICS and METRICS[name].unit == "%" and not 0 <= number <= 100:
            raise ValueError(f"holds {name}={value}, must be in percent")
        found[name] = number
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Record(Line):
    """One line of results.csv."""

    id: str = key("the row of the printed table, as `paper/table:row`")
    measurement: str = key("which of the row's measurements: `main`, or the name of a second one")
    scale: Scale = key("size of the experiment; only `paper` may be compared with the printed number", check=_scale)
    seed: int = key("seed of the training and of everything drawn at random in the evaluation", at_least=0)
    training_key: str = key("hash of what fixed the weights: data, model, recipe, seed and what they started from")
    evaluation_key: str = key(
        "hash of the training together with the test data and protocol; lines that share it are one evaluation"
    )
    top1: float | None = key(METRICS["top1"].what, unit="%", at_least=0, at_most=100)
    top5: float | None = key(METRICS["top5"].what, unit="%", at_least=0, at_most=100)
    top1_decoded: float | None = key(
        "top1 of the videos that could be read alone; empty in older lines",
        unit="%",
        at_least=0,
        at_most=100,
        default=None,
    )
    top5_decoded: float | None = key(
        "top5 of the videos that could be read alone; empty in older lines",
        unit="%",
        at_least=0,
        at_most=100,
        default=None,
    )
    metrics: str | None = key(
        "the metrics without a column of their own, as `mean_class_accuracy=71.25;...`, in each metric's own unit",
        default=None,
        check=read_metrics,
    )
    videos_expected: int = key("videos of the test split", unit="videos", at_least=0)
    videos_decoded: int = key("videos that could be read, and so were scored", unit="videos", at_least=0)
    videos_failed: int = key(
        "videos that could not be read: each is a miss in top1 and top5", unit="videos", at_least=0
    )
    videos_silent: int | None = key(
        "videos that were read but have no audio track, taken as silence; empty where no audio is asked for",
        unit="videos",
        at_least=0,
    )
    views: int = key("views per video (clips times crops) whose scores were averaged", unit="views", at_least=1)
    distinct_views: float | None = key(
        "how many of these differ, in frames or pixels, on average over the videos; empty in older lines",
        unit="views",
        at_least=0,
        default=None,
    )
    train_top1: float | None = key(
        "top-1 on the training clips of the epoch that the weights are of, as they were trained on; empty in older "
        "lines and for given weights",
        unit="%",
        at_least=0,
        at_most=100,
        default=None,
    )
    train_wall_s: float | None = key(
        "wall time of the training, without that of the one it started from; empty for given weights",
        unit="s",
        at_least=0,
    )
    eval_wall_s: float | None = key("wall time of the evaluation", unit="s", at_least=0)
    train_videos: int | None = key(
        "videos of the training split that were there to train on; empty for given weights", unit="videos", at_least=0
    )
    train_missing: int | None = key(
        "videos of the training split that were missing or in quarantine; empty for given weights and in older lines",
        unit="videos",
        at_least=0,
        default=None,
    )
    train_unreadable: int | None = key(
        "of train_videos, those that could not be read: no clip of them was trained on; empty as train_missing",
        unit="videos",
        at_least=0,
        default=None,
    )
    epochs: int | None = key("epochs trained; empty for given weights", unit="epochs", at_least=0)
    batch_size: int | None = key(
        "clips per forward pass of each device; a step has batch_size times accumulate times the devices, of all "
        "machines, that `engine` names",
        unit="clips",
        at_least=0,
    )
    accumulate: int | None = key(
        "forward passes of each device whose gradients were added up for one step", unit="passes", at_least=0
    )
    lr: float | None = key("learning rate at the start, after any scaling with the batch", at_least=0)
    init: str = key(
        "what the weights started from: `scratch`, `training:` and its key, or a name of weights, each with `@` and "
        "the first 8 digits of the file's SHA-256; older lines have the key alone"
    )
    selection: str = key("the split that drove any choice of epoch or setting; `none: last epoch` when none did")
    data_fingerprint: str = key("hash of ids, labels and sizes of the videos of the test split")
    train_fingerprint: str | None = key(
        "the same of the training split; empty for given weights and in older lines", default=None
    )
    data_files: str | None = key(
        "codec, size and frames per second of a sample of the videos, as `h264 340x256 30: 64`; empty for synthetic "
        "videos and in older lines",
        default=None,
    )
    data_encoding: str | None = key(
        "how `vtbench data prepare` made the videos, and of what; empty for videos that it did not make", default=None
    )
    weights_sha256: str = key("SHA-256 of the weights that were evaluated")
    commit: str | None = key("git commit of vtbench; empty outside a checkout")
    dirty: bool | None = key("whether the checkout held changes that are not in the commit; empty outside a checkout")
    root: str | None = key(
        "the folders outside vtbench that papers, data sets and modules came from, each with its commit or the SHA-256 "
        "of its papers, data sets and Python files, as `lab@1a2b3c4d5e6f;toy@sha256:5d6e7f809a1b`; empty where there "
        "are none",
        default=None,
    )
    variant: str | None = key(
        "what was changed in the row's spec, names of variants and settings as key=value, joined by semicolons, which "
        "makes it another result than the row's own; empty for that",
        default=None,
    )
    device: str = key("what computed it, for example `cpu` or the name of the GPU")
    threads: int = key(
        "CPU threads torch was given; on CPU the numbers repeat bit for bit only with as many", at_least=1
    )
    engine: str | None = key(
        "how the training and the test ran where that is not one process as the recipe says, as "
        "`devices=2;strategy=ddp;precision=bf16-mixed`; empty for that and in older lines",
        default=None,
    )
    versions: str = key("versions of the libraries, as `torch=2.8.0;lightning=2.5.0`")
    begun: str | None = key(
        "what the training was begun or continued with, where that is not what it ended with: commits, versions, "
        "devices, threads, what `engine` names, batch_size and accumulate, as name=value, joined by semicolons; empty "
        "otherwise and in older lines",
        default=None,
    )
    finished_at: str = key("when the evaluation ended: UTC, as `2026-01-31T23:59:59Z`", check=_instant)
    checksum: str | None = key(  # the last column, so that a truncated line shows
        "first 8 hex digits of a SHA-256 over the line's other cells; empty in older lines",
        default=None,
        compare=False,
    )

    def check_together(self) -> None:
        """Raise ValueError for counts that do not add up and for a top-1 above the top-5."""
        if self.videos_decoded + self.videos_failed != self.videos_expected:
            raise ValueError("videos_decoded and videos_failed do not add up to videos_expected")
        if (self.videos_silent or 0) > self.videos_decoded:
            raise ValueError("videos_silent is above videos_decoded")
        if self.train_unreadable and self.train_unreadable > (self.train_videos or 0):
            raise ValueError("train_unreadable is above train_videos")
        if self.top1 is not None and self.top5 is not None and self.top1 > self.top5:
            raise ValueError("top1 is above top5")

    def all_measured(self) -> dict[str, float | None]:
        """Every metric by name, those with a column of their own first."""
        columns = self.columns()
        return {name: getattr(self, name) for name in accuracies() if name in columns} | read_metrics(self.metrics)

    def measured(self, metric: str) -> float | None:
        """One metric by name; None for what was not measured."""
        known = METRICS.get(metric)
        if known is not None and known.function and metric in COLUMNS:
            return getattr(self, metric)
        return read_metrics(self.metrics).get(metric)

    @property
    def title(self) -> str:
        """The line in messages: row, measurement, scale and seed."""
        changed = f", {self.variant}" if self.variant else ""
        return f"{self.id} ({self.measurement}, {self.scale}, seed {self.seed}{changed})"


COLUMNS: tuple[str, ...] = Record.columns()


def metric_cells(measured: Mapping[str, float]) -> dict[str, Any]:
    """Metrics by name as the values of a Record that hold them: `top1`, `top5`, and the others in `metrics`."""
    own = {name: measured.get(name) for name in accuracies() if name in COLUMNS}
    others = [f"{name}={value!r}" for name, value in measured.items() if name not in own]
    return {**own, "metrics": ";".join(others) or None}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRecord(Line):
    """One line of speed.csv: one metric of the network of one row, as one command measured it."""

    id: str = key("the row of the printed table, as `paper/table:row`")
    scale: Scale = key(
        "size of the network and of its clips; only `paper` may be compared with the printed ratio", check=_scale
    )
    metric: str = key("what was measured, one of those that vtbench.metrics gives `vtbench speed`", check=_speed)
    batch: int = key("clips per pass; lower than asked for where memory did not suffice", unit="clips", at_least=1)
    value: float = key("in the metric's unit, the median over the rounds", at_least=0)
    q1: float | None = key("lower quartile over the rounds; empty for a single one", at_least=0)
    q3: float | None = key("upper quartile over the rounds; empty for a single one", at_least=0)
    against: str | None = key("the row that it was measured side by side with; empty for one without a baseline")
    ratio: float | None = key(
        "the metric divided by that row's of the same round, the median over the rounds; empty without a baseline, or "
        "where the batches differ",
        at_least=0,
    )
    ratio_q1: float | None = key("lower quartile of the ratio over the rounds; empty for a single one", at_least=0)
    ratio_q3: float | None = key("upper quartile of the ratio over the rounds; empty for a single one", at_least=0)
    rounds: int = key(
        "how often each network had its turn; of memory, in how many processes it was measured",
        unit="rounds",
        at_least=1,
    )
    network: str = key("hash of what the network is built from")
    against_network: str | None = key("the same of the row it was measured against")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = key("arithmetic, in Lightning's words")
    device: str = key("`cpu`, or the name of the GPU")
    threads: int = key("CPU threads torch was given", at_least=1)
    commit: str | None = key("git commit of vtbench; empty outside a checkout")
    dirty: bool | None = key("whether the checkout held changes that are not in the commit; empty outside a checkout")
    root: str | None = key(
        "the folders outside vtbench that the row and its network came from, as in results.csv", default=None
    )
    versions: str = key("versions of the libraries, as `torch=2.8.0;lightning=2.5.0`")
    finished_at: str = key(  # the last column, so that a truncated line shows
        "when it was measured: UTC, as `2026-01-31T23:59:59Z`", check=_instant
    )

    @property
    def title(self) -> str:
        """The line in messages: row, metric and scale."""
        return f"{self.id} ({self.metric}, {self.scale})"
