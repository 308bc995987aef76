"""The same row at paper, mini and smoke scale. All numbers of the small scales stand here; `vtbench show` prints them.

mini (minutes) and smoke (seconds) rest on synthetic videos and tiny networks. They say nothing about Kinetics; they
show that everything is wired as the paper has it and which variants can use time at all. A setting without a rule below
is the paper's own at every scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.spec.schema import Evaluation, Measurement, Recipe, Row, Scale, Start, Training
from vtbench.spec.signatures import Builders

# ---- the kinds of rules --------------------------------------------------------------------------------------------


UNSET = None
"""The key is left out at this scale."""
PAPER = object()
"""The setting is the paper's own."""


@dataclass(frozen=True)
class BySize:
    """A number for each mini size; a table names its own (`mini_size`)."""

    grid3: Any
    grid7: Any
    pyramid: Any
    stages: Any
    modalities: Any = PAPER


@dataclass(frozen=True)
class ByStart:
    """A number for a training from a pretraining, and one for a training that goes on from a training on videos."""

    pretrained: Any
    trained: Any


@dataclass(frozen=True)
class By:
    """A rule for each value that `key` has at paper scale (None: the setting itself), and one for all others; without
    that another value is an error."""

    key: str | None
    rules: Mapping[Any, Any]
    otherwise: Any = None


@dataclass(frozen=True)
class InProportion:
    """The number stays the same share of `to` ("depth" or "patches"), and must stay whole."""

    to: str


Rules = Mapping[str, tuple[Any, str]]
"""Dotted key -> (constant or one of the kinds above, why)."""

# ---- the numbers ---------------------------------------------------------------------------------------------------

MINI_SIZES = ("grid3", "grid7", "pyramid", "stages", "modalities")
"""3x3 patches of 8 pixels; 7x7 of 4, enough for 8 of 196 patches to be 2 of 49; where the networks of one table differ
(`pyramid`), frames as small as each allows, larger where the paper has more than 224 pixels; (`stages`) 18x18 patches
of 2, so that the maps of four stages hold 3x3 windows, the last one a single window; or (`modalities`) compressed video
with 4x4 patches of 16, the size of the blocks that motion vectors belong to."""

TINY_NETWORK = "a network that trains in minutes on two cores; the heads stay where a table counts heads"
TINY_STAGES = "a network that trains in minutes on two cores; an eighth of a head's channels stays a whole number"
SYNTHETIC_RECIPE = "tuned on training losses, with test scores of earlier recipes in sight; the same for all rows"
FINE_TUNING = SYNTHETIC_RECIPE + "; smaller and longer from weights that compare frames already"


def _by_backbone(*, vit: Any, visformer: Any, rest: Any) -> By:
    plain = {"vit": vit, "visformer": visformer, "rest": rest}
    return By("model.name", plain | {f"laps_{name}": rule for name, rule in plain.items()})


# The last maps are then 1x1 in a Visformer, 2x2 in a ResT (whose instance norm needs more than one weight).
_PYRAMID_SIZE = _by_backbone(
    vit=24,
    visformer=By("data.size", {224: 32, 320: 48, 360: 56}),
    rest=By("data.size", {224: 40, 320: 48}),
)
_PYRAMID_SHORT_SIDE = _by_backbone(
    vit=(25, 28),
    visformer=By("data.size", {224: (33, 37), 320: (50, 56), 360: (58, 65)}),
    rest=By("data.size", {224: (41, 46), 320: (50, 56)}),
)


def _or_modalities(rule: Any, modalities: Any) -> BySize:
    """`rule` at all sizes but that of compressed video."""
    return BySize(grid3=rule, grid7=rule, pyramid=rule, stages=rule, modalities=modalities)


def _swin_or_vit(swin: Any, vit: Any) -> By:
    return By("model.name", {"swin": swin, "pst": swin, "pst_vit": vit})


MINI: Rules = {
    "data.dataset": (
        _or_modalities(
            By(
                None,
                {
                    "kinetics400": "cycle",
                    "ucf101": "events",
                    "egtea": "events",
                    "sthv1": "cycle",
                    "sthv2": "cycle",
                    "diving48": "cycle",
                    "cycle": "cycle",
                    "events": "events",
                },
            ),
            By(None, {"ucf101": "bits", "kinetics600": "bits", "sthv2": "silent_bits"}),
        ),
        "synthetic videos whose label needs the order of the frames (H.264), or every modality (MPEG-4)",
    ),
    "data.limit_train": (
        BySize(grid3=UNSET, grid7=UNSET, pyramid=UNSET, stages=_swin_or_vit(512, UNSET), modalities=UNSET),
        "four stages of windows are slow on a CPU",
    ),
    "data.num_frames": (
        BySize(grid3=PAPER, grid7=PAPER, pyramid=PAPER, stages=By("model.pattern", {"d-16": 16}, otherwise=8)),
        "one frame of each of eight places; two where a pattern shifts by up to 8 frames",
    ),
    "data.sampling": (_or_modalities(UNSET, PAPER), "a clip of the synthetic sets shows almost the whole video"),
    "data.split": (UNSET, "synthetic sets have one split: other seeds stand for other splits"),
    "data.stride": (
        BySize(
            grid3=4,
            grid7=4,
            pyramid=By("data.num_frames", {8: 4, 16: 2, 32: 1}),
            stages=By("model.pattern", {"d-16": 2}, otherwise=4),
            modalities=UNSET,
        ),
        "each place of the shape is held for 4 frames, so a clip sees 8 places",
    ),
    "data.size": (
        BySize(grid3=24, grid7=28, pyramid=_PYRAMID_SIZE, stages=_swin_or_vit(36, 24), modalities=64),
        "shapes are drawn for frames this small",
    ),
    "data.audio_encoder": ("mel", "statistics of mel bands tell tones apart without pretrained weights"),
    "augment.short_side": (
        BySize(
            grid3=(25, 28),
            grid7=(29, 33),
            pyramid=_PYRAMID_SHORT_SIDE,
            stages=_swin_or_vit((37, 42), (25, 28)),
            modalities=(64, 64),
        ),
        "about the crop's size, as the shapes lie near the edge",
    ),
    "augment.crop": (UNSET, "as the shapes lie near the edge"),
    "augment.auto_augment": (UNSET, SYNTHETIC_RECIPE),
    "augment.color": (0.1, "as in the paper"),
    "augment.erasing": (UNSET, "could hide the shape"),
    "model.patch_size": (
        BySize(grid3=8, grid7=4, pyramid=_by_backbone(vit=8, visformer=16, rest=UNSET), stages=_swin_or_vit(2, 8)),
        "3x3 patches; 7x7 where a table counts patches; a Visformer's strides are the paper's; 18x18 for four stages",
    ),
    "model.tubelet_size": (1, "a token sees one frame, so that it does not see a movement"),
    "model.window_frames": (
        By(None, {1: 1, 2: 2, 8: 4, 16: 8}),
        "the same share of the frames; 1 and 2 as in the paper",
    ),
    "model.window_size": (3, "one window is the map of the last stage, as in the paper"),
    "model.init_channels": (8, TINY_STAGES),
    "model.embed_dim": (
        BySize(
            grid3=48,
            grid7=48,
            pyramid=_by_backbone(vit=48, visformer=48, rest=By(None, {64: 16, 96: 24})),
            stages=By(None, {96: 8, 128: 8, 384: 48}),
            modalities=48,
        ),
        TINY_NETWORK,
    ),
    "model.depth": (
        BySize(grid3=3, grid7=3, pyramid=4, stages=4, modalities=2),
        TINY_NETWORK + "; divisible by 3 for 4, 8 and 12 of 12 blocks, 4 where levels are looped",
    ),
    "model.num_heads": (
        BySize(
            grid3=12,
            grid7=12,
            pyramid=6,
            stages=By(None, {(3, 6, 12, 24): (1, 2, 4, 8), (4, 8, 16, 32): (1, 2, 4, 8), 6: 6}),
            modalities=4,
        ),
        "8 channels in a head, or more",
    ),
    "model.depths": (
        BySize(
            grid3=UNSET,
            grid7=UNSET,
            pyramid=By(None, {(7, 4, 4): (1, 2, 2), (2, 2, 6, 2): (1, 1, 2, 1), (2, 2, 18, 2): (1, 1, 3, 1)}),
            stages=By(None, {(2, 2, 6, 2): (2, 2, 2, 2), (2, 2, 18, 2): (2, 2, 4, 2)}),
        ),
        TINY_STAGES,
    ),
    "model.drop_path": (0.0, SYNTHETIC_RECIPE),
    "model.head_dropout": (0.0, SYNTHETIC_RECIPE),
    "model.num_msca_blocks": (InProportion("depth"), "the same share of the blocks"),
    "model.backward_patches": (InProportion("patches"), "the same share of the patches"),
    "model.forward_patches": (InProportion("patches"), "the same share of the patches"),
    "init.pretraining": ("stills", "a shared pretraining on still images of the shapes stands for ImageNet"),
    "init.scratch": (True, "learns the synthetic videos without a pretraining"),
    "init.weights": (UNSET, "see init.pretraining or init.scratch"),
    "train.optimizer": ("adamw", SYNTHETIC_RECIPE),
    "train.lr": (
        ByStart(
            pretrained=BySize(
                grid3=3e-3,
                grid7=3e-3,
                pyramid=_by_backbone(vit=1.5e-3, visformer=3e-3, rest=3e-3),
                stages=_swin_or_vit(1e-3, 1.5e-3),
                modalities=3e-3,
            ),
            trained=1e-3,
        ),
        FINE_TUNING + "; where networks differ, a ViT is slower, and a deep Swin stays at chance with more",
    ),
    "train.backbone_lr": (UNSET, SYNTHETIC_RECIPE),
    "train.momentum": (UNSET, "belongs to sgd"),
    "train.weight_decay": (0.05, SYNTHETIC_RECIPE),
    "train.epochs": (
        ByStart(
            pretrained=BySize(
                grid3=5,
                grid7=5,
                pyramid=_by_backbone(vit=30, visformer=5, rest=5),
                stages=_swin_or_vit(6, 30),
                modalities=7,
            ),
            trained=By(None, {12: 10, 15: 4, 18: 10, 30: 4, 36: 20}),
        ),
        FINE_TUNING + "; where networks differ, a ViT is slower",
    ),
    "train.warmup_epochs": (0.5, SYNTHETIC_RECIPE),
    "train.schedule": ("cosine", SYNTHETIC_RECIPE),
    "train.milestones": (UNSET, "belongs to the schedule step"),
    "train.gamma": (UNSET, "belongs to the schedules step and plateau"),
    "train.patience": (UNSET, "belongs to the schedule plateau"),
    "train.holdout": (UNSET, "belongs to the schedule plateau"),
    "train.batch_size": (
        BySize(grid3=16, grid7=16, pyramid=16, stages=_swin_or_vit(8, 16), modalities=16),
        SYNTHETIC_RECIPE,
    ),
    "train.accumulate": (1, "a batch fits into memory"),
    "train.label_smoothing": (0.0, SYNTHETIC_RECIPE),
    "train.precise_bn": (16, "a quarter of the training videos"),
    "train.precision": ("32-true", "for a CPU"),
    "eval.clips": (BySize(grid3=2, grid7=2, pyramid=2, stages=1, modalities=1), "videos are short"),
    "eval.short_side": (
        BySize(grid3=24, grid7=28, pyramid=_PYRAMID_SIZE, stages=_swin_or_vit(36, 24), modalities=64),
        "the size of the crop, as in the paper",
    ),
}

SMOKE: Rules = {
    **MINI,
    "data.limit_train": (8, "wiring only"),
    "data.limit_test": (4, "wiring only"),
    "model.embed_dim": (
        BySize(
            grid3=24,
            grid7=24,
            pyramid=MINI["model.embed_dim"][0].pyramid,
            stages=MINI["model.embed_dim"][0].stages,
            modalities=24,
        ),
        "wiring only",
    ),
    "model.depth": (BySize(grid3=3, grid7=3, pyramid=4, stages=4, modalities=2), "wiring only"),
    "train.epochs": (By(None, {12: 1, 15: 1, 18: 1, 30: 1, 36: 2}), "wiring only"),
    "train.warmup_epochs": (0.0, "wiring only"),
    "train.batch_size": (4, "wiring only"),
    "train.precise_bn": (1, "wiring only"),
}

RULES: Mapping[Scale, Rules] = {"smoke": SMOKE, "mini": MINI, "paper": {}}

PRETRAINING_NETWORK = {
    "vit": "vit",
    "tokenshift": "vit",
    "msca": "vit",
    "msca_patch": "vit",
    "visformer": "visformer",
    "rest": "rest",
    "laps_visformer": "visformer",
    "laps_rest": "rest",
    "laps_vit": "vit",
    "swin": "swin",
    "pst": "swin",
    "pst_vit": "vit",
}
"""Network of a row -> the frame-wise network with the same parameters, which the small scales pretrain on stills."""

SIZES = (
    "patch_size",
    "init_channels",
    "embed_dim",
    "depth",
    "depths",
    "num_heads",
    "tubelet_size",
    "window_size",
    "drop_path",
    "head_dropout",
)
"""The arguments of a network that its frame-wise network has too."""

PRETRAINING_MINI: Mapping[str, Any] = {
    "data.limit_train": UNSET,
    "data.num_frames": 1,
    "data.stride": 1,
    "train.epochs": 30,
    "train.batch_size": 32,
}
"""What the pretraining does not take from the small scale of the row it serves."""

PRETRAINING_SMOKE: Mapping[str, Any] = {
    **PRETRAINING_MINI,
    "data.limit_train": SMOKE["data.limit_train"][0],
    "train.epochs": 1,
    "train.batch_size": 4,
}

PRETRAINING: Mapping[Scale, Mapping[str, Any]] = {"smoke": PRETRAINING_SMOKE, "mini": PRETRAINING_MINI}

PRETRAINING_SEED = 0
"""One pretraining serves all seeds, as one ImageNet checkpoint does."""

# ---- applying them -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One setting that differs from paper scale. None stands for a key that is not set."""

    key: str
    paper: Any
    now: Any
    why: str


def at_scale(row: Row, recipe: Recipe, scale: Scale) -> tuple[Recipe, list[Change]]:
    """The paper-scale `recipe` of a row at `scale`, with what `--set` changed, and the changes of the scale.

    Raises SpecError naming the row and the key that cannot be scaled.
    """
    paper = recipe.leaves()
    leaves = dict(paper)
    for key, (rule, _) in RULES[scale].items():
        if key in ("init.pretraining", "init.scratch"):
            pretrained = recipe.model.name in PRETRAINING_NETWORK
            if "init.weights" in paper and pretrained == (key == "init.pretraining"):
                leaves[key] = rule
        elif key in paper or key.startswith(("data.limit_", "data.stride")):
            leaves[key] = _scaled(row, key, rule, paper, scale)
    leaves = {key: value for key, value in {**leaves, **row.changed}.items() if value is not UNSET}
    changes = [
        Change(key, paper.get(key), leaves.get(key), "--set" if key in row.changed else RULES[scale][key][1])
        for key in [*paper, *(key for key in leaves if key not in paper)]
        if paper.get(key) != leaves.get(key)
    ]
    try:
        return Recipe.from_leaves(leaves), changes
    except ValueError as error:
        raise SpecError(f"{row.id}: at {scale} scale: {error}; see vtbench/spec/scale.py") from error


def _scaled(row: Row, key: str, rule: Any, paper: Mapping[str, Any], scale: Scale) -> Any:
    def fail(what: str) -> NoReturn:
        raise SpecError(f"{row.id}: {key} {what} at {scale} scale; change vtbench/spec/scale.py or the row's mini_size")

    match rule:
        case _ if rule is PAPER:
            return paper[key]
        case BySize():
            return _scaled(row, key, getattr(rule, row.mini_size), paper, scale)
        case ByStart():
            trained = "init.row" in paper or "init.measurement" in paper
            return _scaled(row, key, rule.trained if trained else rule.pretrained, paper, scale)
        case By(key=other, rules=rules, otherwise=otherwise):
            value = paper.get(other or key)
            if value not in rules and otherwise is not None:
                return _scaled(row, key, otherwise, paper, scale)
            if value not in rules:
                of = f"{other} " if other else ""
                fail(f"has no rule for {of}{value!r}{did_you_mean(str(value), map(str, rules))}")
            return _scaled(row, key, rules[value], paper, scale)
        case InProportion(to=to):
            sizes = {
                name: _scaled(row, name, RULES[scale][name][0], paper, scale)
                for name in ("data.size", "model.patch_size", "model.depth")
                if name in paper
            }
            before, after = _count(to, paper), _count(to, sizes)
            number = Fraction(paper[key] * after, before)
            if number.denominator != 1:
                fail(f"{paper[key]} of {before} {to} is {float(number):g} of {after}, not a whole number,")
            return int(number)
    return rule


def _count(what: str, leaves: Mapping[str, Any]) -> int:
    if what == "depth":
        return int(leaves["model.depth"])
    return int((leaves["data.size"] // leaves["model.patch_size"]) ** 2)


# ---- from rows to trainings ----------------------------------------------------------------------------------------


def measurements(row: Row, scale: Scale, seed: int) -> list[Measurement]:
    """The measurements of a runnable row at one scale, in the order of the file; none for other rows."""
    if row.status != "runnable":
        return []
    made = []
    for name, spec in row.recipes.items():
        if scale in spec.scales:
            training, recipe = _training(row, name, scale, seed, ())
            assert recipe.eval is not None
            made.append(Measurement(row.id, name, scale, seed, Evaluation(training, recipe.data, recipe.eval)))
    return made


def _training(row: Row, measurement: str, scale: Scale, seed: int, below: tuple[str, ...]) -> tuple[Training, Recipe]:
    recipe, _ = at_scale(row, row.recipes[measurement].recipe, scale)
    assert recipe.augment is not None and recipe.init is not None and recipe.train is not None
    start = Start(weights=recipe.init.weights)
    if recipe.init.measurement:
        start = Start(training=_start_from_own(row, recipe.init.measurement, scale, seed, below))
    elif recipe.init.row:
        start = Start(training=_start_from(row, recipe.init.row, scale, seed, below))
    elif recipe.init.pretraining:
        start = Start(training=_pretraining(row, recipe, scale))
    return Training(scale, seed, recipe.data, recipe.augment, recipe.model, start, recipe.train), recipe


def _start_from_own(row: Row, measurement: str, scale: Scale, seed: int, below: tuple[str, ...]) -> Training:
    """The training for another measurement of the same row, which load.py has found in the file."""
    if scale not in row.recipes[measurement].scales:
        raise SpecError(f"{row.id}: init.measurement: '{measurement}' does not exist at {scale} scale")
    return _training(row, measurement, scale, seed, below)[0]


def _start_from(row: Row, row_id: str, scale: Scale, seed: int, below: tuple[str, ...]) -> Training:
    from vtbench.spec.select import select

    if row_id in (*below, row.id):
        chain = " -> ".join([*below, row.id, row_id])
        raise SpecError(f"{row.id}: init.row goes in a circle: {chain}")
    if ":" not in row_id:
        raise SpecError(f"{row.id}: init.row must name one row as paper/table:row, not {row_id!r}")
    try:
        found = select([row_id])
    except UsageError as error:
        raise SpecError(f"{row.id}: init.row: {error}") from error
    if found[0].status != "runnable":
        raise SpecError(f"{row.id}: init.row {row_id} is {found[0].status}, there is nothing to start from")
    return _training(found[0], next(iter(found[0].recipes)), scale, seed, (*below, row.id))[0]


def _pretraining(row: Row, recipe: Recipe, scale: Scale) -> Training:
    """The frame-wise network of a row's size, trained on stills. `recipe` is the row's at `scale`."""
    assert recipe.init is not None
    if recipe.model.name not in PRETRAINING_NETWORK:
        raise SpecError(
            f"{row.id}: model.name {recipe.model.name!r} has no network to pretrain; add it to PRETRAINING_NETWORK in "
            "vtbench/spec/scale.py"
        )
    network = PRETRAINING_NETWORK[recipe.model.name]
    known = Builders().signature(network)
    arguments = {name: value for name, value in recipe.model.arguments.items() if name in SIZES and name in known}
    if network == "vit":
        arguments["zero_head"] = False  # from random weights it would keep gradients from the rest at first
    leaves = {
        key: value for key, value in recipe.leaves().items() if key.partition(".")[0] in ("data", "augment", "train")
    }
    leaves |= {"model.name": network, **{f"model.{name}": value for name, value in arguments.items()}}
    leaves |= {"data.dataset": recipe.init.pretraining, **PRETRAINING[scale]}
    if recipe.augment is not None and recipe.augment.color is not None:
        leaves["augment.color"] = 0.0
    made = Recipe.from_leaves(leaves)
    assert made.augment is not None and made.train is not None
    return Training(scale, PRETRAINING_SEED, made.data, made.augment, made.model, Start(), made.train)
