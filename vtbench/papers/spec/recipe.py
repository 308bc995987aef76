"""The recipe of one measurement: its blocks (data, augment, model, init, train, eval).

Every class is frozen; a field made with `key()` can be written in a file, with the meaning, unit and range given there.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vtbench.errors import unknown
from vtbench.fields import key, writable
from vtbench.papers.code.signatures import Builders
from vtbench.papers.spec.document import Node, Problems, described

Modality = Literal["iframe", "motion", "residual", "audio"]

MODALITIES = ("iframe", "motion", "residual", "audio")
"""What a compressed video holds, in the order in which a spec names it."""

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
    starts: Literal["span", "no_last", "no_first"] | None = key(
        "the starts that training draws from: span counts (num_frames - 1) * stride + 1 frames for a clip; no_last "
        "and no_first count num_frames * stride and leave out the last start (TokenShift's code), or start 0 (LAPS's); "
        "not set: num_frames * stride, all starts",
        default=None,
    )
    frames: Literal["linspace"] | None = key(
        "the frames after a start in training: linspace spreads num_frames evenly over num_frames * stride frames, "
        "both ends included; not set: `stride` apart",
        default=None,
    )
    size: int = key("side of the square crop that the network sees", unit="pixels", at_least=1)
    split: int | None = key("number of the official split, where a data set has several", default=None, at_least=1)
    subset: str | None = key("a part of the data set: a name in `subsets` of its dataset.yaml", default=None)
    limit_train: int | None = key("train on the first so many videos only", unit="videos", default=None, at_least=1)
    limit_test: int | None = key("test on the first so many videos only", unit="videos", default=None, at_least=1)
    modalities: tuple[Modality, ...] | None = key(
        "what a clip takes from the compressed file at each of its frames: I-frame, motion vectors, residual, audio; "
        "not set: the decoded frame",
        default=None,
    )
    motion: Literal["previous", "iframe"] | None = key(
        "what motion vectors and residuals are counted from: the previous frame, or (accumulated) the I-frame",
        default=None,
    )
    audio_encoder: str | None = key(
        "what makes a vector of the second of audio around each frame, and is never trained: a name of "
        "vtbench.models.AUDIO_ENCODERS",
        default=None,
    )

    def __post_init__(self) -> None:
        if (self.stride is None) == (self.sampling is None):
            raise ValueError("data must hold exactly one of stride (a number of frames) and sampling: segments")
        if self.sampling and (self.starts or self.frames):
            raise ValueError("data.starts and data.frames are of clips with a stride; leave them out of segments")
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

    @property
    def weights(self) -> str | None:
        """The name of the file of weights that the audio encoder takes."""
        return self.audio_encoder if self.audio_encoder in Builders().audio_weights() else None


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What happens to the pixels of a training clip, and the normalisation of all clips."""

    short_side: tuple[int, int] = key("range of the random short side", unit="pixels", at_least=1)
    flip: float = key("probability of a horizontal flip", at_least=0, at_most=1)
    flip_sided: Literal["never"] | None = key(
        "clips of classes that a flip turns into others (left and right): never flipped; not set: flipped, and their "
        "label with them",
        default=None,
    )
    input_scale: Literal["coviar"] | None = key(
        "the range of motion vectors and residuals: coviar is +-0.5 and, by ImageNet's standard deviations, +-2.2; not "
        "set: +-1",
        default=None,
    )
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


FOR_MODALITIES = frozenset(("short_side", "flip", "flip_sided", "input_scale", "interpolation", "mean", "std"))
"""The keys of `augment` that modalities of compressed video can have; the others are of decoded frames."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which network: a name of vtbench.models.MODELS and its builder's arguments, defaults filled in."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """A smaller start than a file of weights: a network that sees single frames is trained on a data set first.

    It has the arguments that the row's network has too, and trains by the row's recipe at the same scale but for what
    `settings` changes.
    """

    dataset: str
    model: str
    settings: Mapping[str, Mapping[str, Any]]
    """Block (data, augment, model, train) -> key -> value that differs from the row's; None removes the key."""

    def __str__(self) -> str:
        return f"{self.model} on {self.dataset}"


PRETRAINING_BLOCKS = ("data", "augment", "model", "train")
"""What may be said of a pretraining besides its data set."""


def pretraining_blocks(node: Node) -> dict[str, dict[str, Node]]:
    """What `init.pretraining` gives: `dataset` and `model` (a name, or the block with what differs from the row's) and
    maybe the blocks data, augment and train, as blocks of nodes. Raises SpecError at the key that does not fit."""
    if not isinstance(node.value, dict):
        node.fail(f"must be keys and values, as {{dataset: NAME, model: NAME}}, not {described(node)}")
    known = ("dataset", *PRETRAINING_BLOCKS)
    blocks: dict[str, dict[str, Node]] = {"data": {}, "model": {}}
    for name, inner in node.value.items():
        if name not in known:
            inner.fail(unknown("key", name, known))
        if name == "dataset":
            blocks["data"]["dataset"] = inner
        elif name == "data" and isinstance(inner.value, dict) and "dataset" in inner.value:
            inner.value["dataset"].fail("stands beside `data`, as init.pretraining.dataset; move it there")
        elif name == "model" and isinstance(inner.value, str):
            blocks["model"]["name"] = inner
        elif not isinstance(inner.value, dict):
            inner.fail(f"must be {'a name or ' if name == 'model' else ''}keys and values, not {described(inner)}")
        else:
            check_keys(name, inner.value)
            blocks[name] = {**blocks.get(name, {}), **inner.value}
    for block, name in (("data", "dataset"), ("model", "name")):
        if name not in blocks[block]:
            node.fail(f"missing; a pretraining names its {'data set' if block == 'data' else 'network'}", name)
        if not isinstance(blocks[block][name].value, str):
            blocks[block][name].fail(f"must be a name, not {described(blocks[block][name])}")
    return blocks


def _read_pretraining(node: Node) -> Pretraining | None:
    if node.value is None:
        return None
    blocks = pretraining_blocks(node)
    settings = {block: {name: inner.plain() for name, inner in values.items()} for block, values in blocks.items()}
    dataset, model = settings["data"].pop("dataset"), settings["model"].pop("name")
    return Pretraining(
        dataset=dataset, model=model, settings={block: values for block, values in settings.items() if values}
    )


@dataclass(frozen=True, kw_only=True)
class Init:
    """What the weights are before training: exactly one of the keys."""

    scratch: bool = key("true: random weights", default=False)
    weights: str | None = key("a file of weights, given by --weights NAME=FILE", default=None)
    row: str | None = key("the weights that training another row gives, as paper/table:row", default=None)
    measurement: str | None = key("the weights that training for another measurement of this row gives", default=None)
    pretraining: Pretraining | None = key(
        "the weights that training a network of single frames on a data set gives, as {dataset: NAME, model: NAME}",
        default=None,
        read=_read_pretraining,
    )

    def __post_init__(self) -> None:
        if sum(map(bool, (self.scratch, self.weights, self.row, self.measurement, self.pretraining))) != 1:
            raise ValueError("init must hold exactly one of scratch: true, weights, row, measurement, pretraining")


@dataclass(frozen=True, kw_only=True)
class Train:
    """The recipe of one training: the method with its arguments, and what the trainer is given."""

    method: str = key("a name of vtbench.methods.METHODS, or package.module:Class; its arguments stand beside it")
    lr: float = key("initial learning rate at the effective batch below", above=0)
    epochs: int = key("passes over the training videos", unit="epochs", at_least=1)
    batch_size: int = key("clips per forward pass, over all devices", unit="clips", at_least=1)
    accumulate: int = key("forward passes per update", at_least=1)
    clip_grad_norm: float | None = key("upper limit of the gradient norm", default=None, above=0)
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = key("arithmetic, in Lightning's words")
    sync_batchnorm: bool | None = key(
        "true: where several devices train together, a batch norm sees the clips of all of them; not set: those of its "
        "own device, as in the official codes",
        default=None,
    )
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The arguments of the method that the spec gives, besides `lr` and `epochs`, which every method takes."""

    def __post_init__(self) -> None:
        if self.sync_batchnorm is False:  # the same recipe, and the same key, as without
            object.__setattr__(self, "sync_batchnorm", None)

    @property
    def effective_batch(self) -> int:
        """Clips per update."""
        return self.batch_size * self.accumulate


@dataclass(frozen=True, kw_only=True)
class Eval:
    """The test protocol: which views of a video, and how their scores become one."""

    clips: int = key("clips per video", at_least=1)
    crops: Literal[1, 3] = key("crops per clip along the longer side")
    clip_sampling: Literal["uniform", "random", "spread", "centred", "uniform_beyond"] = key(
        "where the clips start: uniform, at even parts of the video; random, as in training; spread, at even parts of "
        "the starts, short of the last one (LAPS's code); centred, in the middle of even parts of the starts (PST's); "
        "uniform_beyond, as uniform, held to one frame after the last start (TokenShift's)"
    )
    clip_seed: int | None = key("seed of random clip starts", default=None, at_least=0)
    frames: Literal["linspace"] | None = key(
        "the frames after a start: as data.frames, in testing; not set: `stride` apart", default=None
    )
    short_side: int = key("short side before the crop", unit="pixels", at_least=1)
    resize: Literal["interpolate", "mmcv"] | None = key(
        "resizing without antialiasing: interpolate, of floats, the longer side rounded down (LAPS's code); mmcv, the "
        "longer side rounded to the nearest (PST's); not set: antialiased, the longer side rounded down",
        default=None,
    )
    crop_rule: Literal["ceil", "mmaction"] | None = key(
        "ceil: offsets of centres rounded up (LAPS's code); mmaction: the third crop as far from the centre as the "
        "first (PST's); not set: rounded down, the third at the far edge",
        default=None,
    )
    average: Literal["logits", "probabilities"] = key("what is averaged over the views")
    metrics: tuple[str, ...] | None = key(
        "measured besides top-1 and top-5: names of vtbench.metrics.METRICS, or package.module:function",
        default=None,
    )

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
        frames_only = set(set_values(self.augment)) - FOR_MODALITIES if self.augment else set()
        if self.data.modalities and frames_only:
            raise ValueError(
                f"augment.{min(frames_only)} is for decoded frames, not for modalities of compressed video"
            )
        if self.augment and self.augment.input_scale and not self.data.modalities:
            raise ValueError("augment.input_scale is of modalities of compressed video, which data does not have")
        if self.data.modalities and self.eval and self.eval.resize:
            raise ValueError("eval.resize is of decoded frames, not of modalities of compressed video")
        if self.data.sampling and self.eval and self.eval.frames:
            raise ValueError("eval.frames is of clips with a stride; leave it out of data.sampling: segments")
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
                leaves |= {f"{block.name}.{name}": leaf for name, leaf in set_values(value).items()}
        return leaves


BLOCKS: dict[str, Any] = {"data": Data, "augment": Augment, "init": Init, "train": Train, "eval": Eval}
"""The blocks of a recipe that are dataclasses. `model` is checked against its builder instead, and what of `train` is
no field of Train against its method."""

OPEN_BLOCKS = ("model", "train")
"""The blocks whose keys depend on what they name."""


def set_values(block: Any) -> dict[str, Any]:
    """The keys of a block that are set."""
    unset = (None, False) if isinstance(block, Init) else (None,)
    values = {field.name: getattr(block, field.name) for field in dataclasses.fields(block)}
    values |= values.pop("arguments", {})
    return {name: value for name, value in values.items() if not any(value is empty for empty in unset)}


def check_keys(block: str, values: Mapping[str, Node]) -> None:
    """Refuse keys that a block cannot have; those of OPEN_BLOCKS are checked with what they name."""
    if block in OPEN_BLOCKS:
        return
    fields, problems = writable(BLOCKS[block]), Problems()
    for name, node in values.items():
        if name not in fields:
            with problems.collected():
                node.fail(unknown("key", name, fields))
    problems.refuse()
