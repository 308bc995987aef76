"""What a spec file may say (Paper, Table, Row, blocks, published cells) and what it resolves to (Training, Evaluation).

Every class is frozen; a field made with `key()` can be written in a file, with the meaning, unit and range given there.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vtbench.spec.document import Node, described, key
from vtbench.spec.locate import data_folder, shown

Scale = Literal["smoke", "mini", "paper"]
Status = Literal["runnable", "analytic", "published-only"]
Complexity = Literal["joint", "divided", "local", "sparse", "patch_shift"]
Modality = Literal["iframe", "motion", "residual", "audio"]

MODALITIES = ("iframe", "motion", "residual", "audio")
"""What a compressed video holds, in the order in which a spec names it."""

ACCURACIES = ("top1", "top5")
SPEEDS = ("latency_ms", "throughput_vps", "memory_gb", "train_step_ms", "train_memory_gb")
"""What `vtbench speed` measures: ms per forward pass of one clip, clips per second, GB (1e9 bytes) at the peak of such
a pass, and ms and GB of one training step."""
MEMORY = ("memory_gb", "train_memory_gb")
"""Those of SPEEDS that are no times."""
METRICS = (*ACCURACIES, "params_m", "gflops", "tflops", *SPEEDS, "views")
"""Published cells by unit: percent, percent, 1e6, 1e9 and 1e12 (MACs as a rule), those of SPEEDS, a count."""

_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?")


# ---- published cells -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """One printed cell. `text` is exactly what stands there."""

    text: str
    reconstructed: str | None = None
    """Where the text comes from if the cell is blank, displaced or lost in the scan."""
    precision: int | None = None
    """Decimals that the print really has, where it misleads ("173.0" that is a rounded integer)."""

    @property
    def value(self) -> float:
        """The cell as a number. Raises ValueError for a cell such as "10x3"."""
        return float(self.text.replace(",", ""))

    @property
    def decimals(self) -> int:
        """Digits after the point that the print vouches for."""
        return self.precision if self.precision is not None else len(self.text.partition(".")[2])


def read_published(node: Node) -> dict[str, Published]:
    """The `published` block: metric -> cell, a quoted string or {value, reconstructed, precision}."""
    if not isinstance(node.value, dict):
        node.fail(f"must be keys and values, not {described(node)}")
    return {name: _read_cell(name, cell) for name, cell in node.value.items()}


def _read_cell(name: str, node: Node) -> Published:
    parts = node.value if isinstance(node.value, dict) else {"value": node}
    for part, inner in parts.items():
        if part not in ("value", "reconstructed", "precision"):
            inner.fail("a cell has only the keys value, reconstructed and precision")
    if "value" not in parts:
        node.fail("a cell needs a value")
    text = parts["value"].value
    if not isinstance(text, str):
        parts["value"].fail(f"is {described(parts['value'])}; quote it, so that the printed precision is kept")
    if not name.endswith("views") and not _NUMBER.fullmatch(text):
        parts["value"].fail(f"{text!r} is not a number; leave out a cell that prints none")
    reconstructed, precision = (parts[p].value if p in parts else None for p in ("reconstructed", "precision"))
    if "reconstructed" in parts and (not isinstance(reconstructed, str) or not reconstructed):
        parts["reconstructed"].fail("must say from where")
    if "precision" in parts and (type(precision) is not int or precision < 0):
        parts["precision"].fail("must be a number of decimals")
    return Published(text, reconstructed, precision)


# ---- the blocks of a recipe ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which clips: the data set and how frames are taken from a video."""

    dataset: str = key("the name of a folder in data_manifests/")
    num_frames: int = key("frames of a clip", unit="frames", at_least=1)
    stride: int | None = key("distance between the frames of a clip", unit="frames", default=None, at_least=1)
    sampling: Literal["segments"] | None = key(
        "one frame of each of num_frames equal segments of the whole video (drawn in it when training, its middle when "
        "testing); not set: frames `stride` apart",
        default=None,
    )
    size: int = key("side of the square crop that the network sees", unit="pixels", at_least=1)
    split: int | None = key("number of the official split, where a data set has several", default=None, at_least=1)
    limit_train: int | None = key("train on the first so many videos only", unit="videos", default=None, at_least=1)
    limit_test: int | None = key("test on the first so many videos only", unit="videos", default=None, at_least=1)
    modalities: tuple[Modality, ...] | None = key(
        "what a clip takes from the compressed file at each of its frames: I-frame, motion vectors, residual, sound; "
        "not set: the decoded frame",
        default=None,
    )
    motion: Literal["previous", "iframe"] | None = key(
        "what motion vectors and residuals are counted from: the previous frame, or (accumulated) the I-frame",
        default=None,
    )
    audio_encoder: Literal["vggish", "mel"] | None = key(
        "what makes 128 numbers of the second of sound around each frame, and is never trained: VGGish, whose weights "
        "are given as `vggish`, or (small scales) mean and standard deviation of each of its 64 mel bands",
        default=None,
    )

    def __post_init__(self) -> None:
        if (self.stride is None) == (self.sampling is None):
            raise ValueError("data must hold exactly one of stride (a number of frames) and sampling: segments")
        given = self.modalities or ()
        if self.modalities is not None and (not given or tuple(m for m in MODALITIES if m in given) != given):
            raise ValueError(
                f"data.modalities is [{', '.join(given)}]; it holds one or more of {', '.join(MODALITIES)}, each once, "
                "in this order"
            )
        if ("motion" in given or "residual" in given) != (self.motion is not None):
            raise ValueError("data.motion belongs to the modalities motion and residual, which need it")
        if ("audio" in given) != (self.audio_encoder is not None):
            raise ValueError("data.audio_encoder belongs to the modality audio, which needs it")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What happens to the pixels of a training clip, and the normalisation of all clips."""

    short_side: tuple[int, int] = key("range of the random short side", unit="pixels", at_least=1)
    flip: float = key("probability of a horizontal flip", at_least=0, at_most=1)
    crop: Literal["resized"] | None = key(
        "training crop of random area (8 to 100 %) and aspect (3/4 to 4/3), resized to data.size; not set: a square of "
        "data.size",
        default=None,
    )
    auto_augment: Literal["imagenet"] | None = key(
        "AutoAugment's policy (Cubuk et al., arXiv:1805.09501); not set: none", default=None
    )
    color: float | None = key(
        "probability of each of the four colour changes; set with their four ranges or not at all",
        default=None,
        at_least=0,
        at_most=1,
    )
    brightness: tuple[float, float] | None = key("range of the brightness factor", default=None, at_least=0)
    saturation: tuple[float, float] | None = key("range of the saturation factor", default=None, at_least=0)
    gamma: tuple[float, float] | None = key("range of the exponent of the gamma correction", default=None, above=0)
    hue: tuple[float, float] | None = key(
        "range of the hue rotation", unit="turns", default=None, at_least=-0.5, at_most=0.5
    )
    erasing: float | None = key(
        "probability of erasing one rectangle; not set: none", default=None, at_least=0, at_most=1
    )
    interpolation: Literal["bilinear", "bicubic"] = key("interpolation of every resize")
    mean: float | tuple[float, float, float] = key(
        "mean of the normalisation, pixels in [0, 1], of all channels or of red, green and blue"
    )
    std: float | tuple[float, float, float] = key("standard deviation of the normalisation, likewise", above=0)

    def __post_init__(self) -> None:
        for name in ("short_side", "brightness", "saturation", "gamma", "hue"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"augment.{name} is [{limits[0]}, {limits[1]}], the smaller number comes first")
        unset = [name for name in ("color", "brightness", "saturation", "gamma", "hue") if getattr(self, name) is None]
        if 0 < len(unset) < 5:
            raise ValueError(
                "augment.color, brightness, saturation, gamma and hue are set together or not at all; not set: "
                + ", ".join(unset)
            )


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which network: a name of vtbench.models.MODELS and its builder's arguments, defaults filled in."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Init:
    """What the weights are before training: exactly one of the keys."""

    scratch: bool = key("true: random weights", default=False)
    weights: str | None = key("a file of weights, given by --weights NAME=FILE", default=None)
    row: str | None = key("the weights that training another row gives, as paper/table:row", default=None)
    measurement: str | None = key("the weights that training for another measurement of this row gives", default=None)
    pretraining: str | None = key("weights of a frame-wise ViT trained on this still-image data set", default=None)

    def __post_init__(self) -> None:
        if sum(map(bool, (self.scratch, self.weights, self.row, self.measurement, self.pretraining))) != 1:
            raise ValueError("init must hold exactly one of scratch: true, weights, row, measurement, pretraining")


_OF_SCHEDULES = {
    "milestones": ("step",),
    "gamma": ("step", "plateau"),
    "patience": ("plateau",),
    "holdout": ("plateau",),
}
"""Key of `train` -> the schedules that need it; others do without."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """The recipe of one training."""

    method: str = key("a name of vtbench.methods.METHODS")
    optimizer: Literal["sgd", "adamw"] = key("the optimiser")
    lr: float = key("initial learning rate at the effective batch below", above=0)
    momentum: float | None = key("momentum of sgd", default=None, at_least=0, at_most=1)
    weight_decay: float = key("weight decay of all parameters", at_least=0)
    epochs: int = key("passes over the training videos", unit="epochs", at_least=1)
    warmup_epochs: float = key("linear warm-up of the learning rate from 0", unit="epochs", at_least=0)
    schedule: Literal["step", "cosine", "plateau"] = key(
        "how the learning rate falls: once per optimiser step, or on a plateau of the top-1 on held-out training videos"
    )
    milestones: tuple[int, ...] | None = key("epochs after which a step falls", unit="epochs", default=None, at_least=1)
    gamma: float | None = key("factor of each step of the schedules step and plateau", default=None, above=0)
    patience: int | None = key(
        "epochs without a new best that are borne; the rate falls after one more",
        unit="epochs",
        default=None,
        at_least=1,
    )
    holdout: float | None = key(
        "share of the training videos that the plateau is watched on, and that are not trained on",
        default=None,
        above=0,
    )
    batch_size: int = key("clips per forward pass, over all devices", unit="clips", at_least=1)
    accumulate: int = key("forward passes per update", at_least=1)
    label_smoothing: float = key("label smoothing", at_least=0, at_most=1)
    clip_grad_norm: float | None = key("upper limit of the gradient norm", default=None, above=0)
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = key("arithmetic, in Lightning's words")
    backbone_lr: float | None = key(
        "factor of the learning rate of all but the head and the tables of position biases", default=None, above=0
    )
    precise_bn: int | None = key(
        "batches of training clips from which the statistics of batch norm are measured anew when the training is over",
        default=None,
        at_least=1,
    )
    keep: Literal["best_on_test"] | None = key(
        "the epoch with the best top-1 on the test set (1 clip, 3 crops); not set: the last epoch",
        default=None,
    )

    def __post_init__(self) -> None:
        if (self.optimizer == "sgd") != (self.momentum is not None):
            raise ValueError("train.momentum belongs to the optimizer sgd, which needs it")
        for name, schedules in _OF_SCHEDULES.items():
            if (self.schedule in schedules) != (getattr(self, name) is not None):
                one = f"the schedule {schedules[0]}, which needs it"
                several = f"the schedules {' and '.join(schedules)}, which need it"
                raise ValueError(f"train.{name} belongs to {one if len(schedules) == 1 else several}")
        if self.holdout is not None and self.holdout >= 1:
            raise ValueError(f"train.holdout is {self.holdout}, must be below 1")
        if self.schedule == "plateau" and self.method != "mmvit":
            raise ValueError(f"train.schedule plateau is of the method mmvit, {self.method} does not have it")
        if self.schedule == "plateau" and self.warmup_epochs:
            raise ValueError(f"train.warmup_epochs is {self.warmup_epochs}, must be 0 with the schedule plateau")
        if self.holdout is not None and self.keep:
            raise ValueError(
                f"train.keep {self.keep} and train.holdout exclude each other: an epoch has one validation"
            )

    @property
    def effective_batch(self) -> int:
        """Clips per update."""
        return self.batch_size * self.accumulate


@dataclass(frozen=True, kw_only=True)
class Eval:
    """The test protocol: which views of a video, and how their scores become one."""

    clips: int = key("clips per video", at_least=1)
    crops: int = key("crops per clip along the longer side", at_least=1)
    clip_sampling: Literal["uniform", "random"] = key("where the clips start")
    clip_seed: int | None = key("seed of random clip starts", default=None, at_least=0)
    short_side: int = key("short side before the crop", unit="pixels", at_least=1)
    average: Literal["logits", "probabilities"] = key("what is averaged over the views")

    def __post_init__(self) -> None:
        if (self.clip_sampling == "random") != (self.clip_seed is not None):
            raise ValueError("eval.clip_seed belongs to clip_sampling: random, which needs it")


@dataclass(frozen=True)
class Recipe:
    """All blocks of one measurement at one scale. Rows with nothing to train may lack all but data and model."""

    data: Data
    model: Model
    augment: Augment | None = None
    init: Init | None = None
    train: Train | None = None
    eval: Eval | None = None

    def __post_init__(self) -> None:
        shortest = {"augment": self.augment.short_side[0]} if self.augment else {}
        shortest |= {"eval": self.eval.short_side} if self.eval else {}
        for block, pixels in shortest.items():
            if pixels < self.data.size:
                raise ValueError(f"{block}.short_side is {pixels}, a crop of data.size {self.data.size} does not fit")
        if self.data.sampling and self.eval and (self.eval.clips, self.eval.clip_sampling) != (1, "uniform"):
            raise ValueError(
                "data.sampling: segments makes one clip of the whole video; set eval.clips: 1 and eval.clip_sampling: "
                f"uniform, not {self.eval.clips} and {self.eval.clip_sampling}"
            )

    def leaves(self) -> dict[str, Any]:
        """Every value by dotted key ("train.lr", "model.depth"); keys that are not set are left out."""
        leaves: dict[str, Any] = {}
        for block in dataclasses.fields(self):
            value = getattr(self, block.name)
            if isinstance(value, Model):
                leaves["model.name"] = value.name
                leaves |= {
                    f"model.{name}": argument for name, argument in value.arguments.items() if argument is not None
                }
            elif value is not None:
                leaves |= {f"{block.name}.{name}": leaf for name, leaf in _set_values(value).items()}
        return leaves

    @classmethod
    def from_leaves(cls, leaves: Mapping[str, Any]) -> Recipe:
        """The inverse of `leaves`. Raises ValueError for blocks whose keys do not go together."""
        blocks: dict[str, dict[str, Any]] = {}
        for dotted, value in leaves.items():
            block, _, name = dotted.partition(".")
            blocks.setdefault(block, {})[name] = value
        model = blocks.pop("model")
        made = {name: BLOCKS[name](**values) for name, values in blocks.items()}
        return cls(model=Model(name=model.pop("name"), arguments=model), **made)


BLOCKS: dict[str, Any] = {"data": Data, "augment": Augment, "init": Init, "train": Train, "eval": Eval}
"""The blocks of a recipe that are dataclasses; `model` is checked against its builder instead."""


def _set_values(block: Any) -> dict[str, Any]:
    unset = (None, False) if isinstance(block, Init) else (None,)
    values = {field.name: getattr(block, field.name) for field in dataclasses.fields(block)}
    return {name: value for name, value in values.items() if not any(value is empty for empty in unset)}


# ---- what is trained and tested ------------------------------------------------------------------------------------


def digest(content: Mapping[str, Any]) -> str:
    """12 hex digits of the sha256 of plain values."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Start:
    """The weights a training starts from: a file by name, another training, or (neither) random ones."""

    weights: str | None = None
    training: Training | None = None


@dataclass(frozen=True)
class Training:
    """Everything that fixes a set of weights. Two rows that ask for the same training have equal keys and share it."""

    scale: Scale
    seed: int
    data: Data
    augment: Augment
    model: Model
    init: Start
    train: Train

    @property
    def key(self) -> str:
        """12 hex digits of the sha256 of the content.

        Batch size and accumulation enter as their product. Labels, the name of the scale and the test protocol do not
        enter, nor do keys that are not set: a key added to the schema later leaves old hashes alone.
        """
        data = _set_values(self.data)
        data.pop("limit_test", None)
        train = _set_values(self.train)
        train["effective_batch"] = train.pop("batch_size") * train.pop("accumulate")
        arguments = {name: value for name, value in self.model.arguments.items() if value is not None}
        start = self.init.training.key if self.init.training else self.init.weights
        return digest(
            {
                "seed": self.seed,
                "data": data,
                "augment": _set_values(self.augment),
                "model": {"name": self.model.name, **arguments},
                "init": start,
                "train": train,
            }
        )

    @property
    def weights(self) -> list[str]:
        """The names of the files of weights it takes: what the network starts from, and the encoder of sound."""
        encoder = "vggish" if self.data.audio_encoder == "vggish" else None
        return [name for name in (self.init.weights, encoder) if name]

    def ancestors(self) -> list[Training]:
        """The trainings this one starts from, the first one first."""
        return [*self.init.training.ancestors(), self.init.training] if self.init.training else []


@dataclass(frozen=True)
class Evaluation:
    """A training and a test protocol. `data` is what it is tested on."""

    training: Training
    data: Data
    eval: Eval

    @property
    def key(self) -> str:
        """12 hex digits of the sha256 of the content."""
        data = _set_values(self.data)
        data.pop("limit_train", None)
        return digest({"training": self.training.key, "data": data, "eval": _set_values(self.eval)})


@dataclass(frozen=True)
class Measurement:
    """One line of results.csv to be: what a row asks for under one name, at one scale, with one seed."""

    row_id: str
    name: str
    scale: Scale
    seed: int
    evaluation: Evaluation


# ---- rows, tables, papers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowRecipe:
    """What one measurement of a row is at paper scale, and the scales it exists at."""

    recipe: Recipe
    scales: tuple[Scale, ...] = ("smoke", "mini", "paper")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One printed line."""

    paper: str
    table: str
    name: str
    label: str
    own: bool
    status: Status
    published: Mapping[str, Published]
    printed: Mapping[str, str]
    notes: tuple[str, ...]
    mini_size: str
    recipes: Mapping[str, RowRecipe]
    line: int
    baseline: str | None = None
    """The row of this table that its latency, throughput and memory are measured against, by name."""
    complexity: tuple[Complexity, ...] = ()
    """Attentions of vtbench.layers.attention.ATTENTIONS whose growth with places and frames the row prints."""
    means: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """What the row prints as the mean over several of its measurements: name -> theirs."""
    changed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings by dotted key that `--set` puts in place of the file's, at every scale."""

    @property
    def id(self) -> str:
        """ "paper/table:row"."""
        return f"{self.paper}/{self.table}:{self.name}"

    @property
    def where(self) -> str:
        """ "benchmarks/paper/table.yaml:line", for messages."""
        return f"{shown(data_folder('benchmarks') / self.paper / f'{self.table}.yaml')}:{self.line}"

    @property
    def baseline_id(self) -> str | None:
        """The baseline as "paper/table:row"."""
        return f"{self.paper}/{self.table}:{self.baseline}" if self.baseline else None

    def measurements(self, scale: Scale = "mini", seed: int = 0) -> list[Measurement]:
        """What is to be measured for this row; empty for rows that are not runnable."""
        from vtbench.spec.scale import measurements

        return measurements(self, scale, seed)

    def metric(self, measurement: str, metric: str) -> str:
        """The key of `published` under which the row prints `metric` of one of its measurements or means."""
        return metric if measurement == "main" else f"{measurement}_{metric}"


@dataclass(frozen=True, kw_only=True)
class PrintedAt:
    """Where a table stands in the paper."""

    table: int = key("number of the printed table", at_least=1)
    page: int | None = key("page of the PDF, counted from 1", default=None, at_least=1)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a value of the recipe comes from: exactly one of paper, code, decision, not_stated."""

    paper: str | None = key("the section, equation or table that says it", default=None)
    code: str | None = key("file and setting of the official code that says it", default=None)
    decision: str | None = key("id of an entry of `decisions`", default=None)
    not_stated: str | None = key("an entry of `not_stated`: the paper leaves it out", default=None)
    why: str | None = key("one line: why this value, or what disagrees with it", default=None)

    def __post_init__(self) -> None:
        given = [name for name in ("paper", "code", "decision", "not_stated") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a source holds exactly one of paper, code, decision, not_stated")
        if given[0] in ("decision", "not_stated") and not self.why:
            raise ValueError(f"a source by {given[0]} says why")

    def __str__(self) -> str:
        given = {"paper": self.paper, "code": self.code, "decision": self.decision, "not stated": self.not_stated}
        text = next(f"{name}: {value}" for name, value in given.items() if value)
        return f"{text} ({self.why})" if self.why else text


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a contradiction or an ambiguity of the paper was settled."""

    where: str = key("the places in the paper")
    what: str = key("what they say, in one line")
    decision: str = key("what vtbench does")
    why: str = key("the reason")


@dataclass(frozen=True, kw_only=True)
class Code:
    """The authors' (or, where there is none, the closest) code."""

    url: str = key("the repository")
    commit: str = key("40 hex digits")
    note: str | None = key("what this code is to the paper", default=None)


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """How a paper counts what its networks cost: the conventions that reproduce most of its printed cells."""

    params_m: Literal["all", "no_bn_affine", "no_head", "thop"] = key("which parameters", default="all")
    gflops: Literal["fvcore", "matmul", "thop"] = key("which multiply-adds", default="fvcore")


@dataclass(frozen=True, kw_only=True)
class PaperFile:
    """paper.yaml."""

    title: str = key("title")
    authors: tuple[str, ...] = key("authors, in order")
    venue: str = key("where it appeared")
    year: int = key("year of the venue")
    arxiv: str | None = key("arXiv id", default=None)
    code: Code | None = key("official code", default=None)
    bibtex: str = key("BibTeX entry")
    counted: Conventions = key("how the paper counts parameters and multiply-adds", default=Conventions())
    decisions: dict[str, Decision] = key("contradictions and ambiguities, settled", default={})
    not_stated: dict[str, str] = key("what the paper leaves out -> how it is settled", default={})
    sources: dict[str, Source] = key("dotted key of the recipe -> where its value comes from", default={})


@dataclass(frozen=True)
class Table:
    """One printed table, rows in printed order."""

    name: str
    caption: str
    source: PrintedAt
    reconstructed: str | None
    """What of the whole table is lost or displaced in the text, and from where it was put right."""
    mini_size: str
    notes: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Paper:
    """One folder of benchmarks/."""

    name: str
    about: PaperFile
    tables: tuple[Table, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows, in printed order."""
        return [row for table in self.tables for row in table.rows]
