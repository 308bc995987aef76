"""A row, a scale and a seed to trainings and evaluations: what `init` names is followed to its beginning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.papers.datasets import load_dataset
from vtbench.papers.document import Node, convert
from vtbench.papers.layers import Layer, RowRecipe, merge, read_recipe, reason, setter
from vtbench.papers.recipe import Recipe, pretraining_blocks
from vtbench.papers.roots import roots_of_module
from vtbench.papers.schema import Row
from vtbench.papers.select import select
from vtbench.papers.signatures import called
from vtbench.papers.trainings import Evaluation, Measurement, Start, Training
from vtbench.scales import Scale, layered

PRETRAINING_SEED = 0
"""One pretraining serves all seeds, as one ImageNet checkpoint does."""

SINGLE_FRAMES = {
    "num_frames": 1,
    "stride": 1,
    **dict.fromkeys(("sampling", "split", "limit_train", "limit_test", "modalities", "motion", "audio_encoder")),
}
"""What a pretraining sees of a video, and what it does not take from the row's `data` (None)."""


@dataclass(frozen=True)
class Change:
    """One setting that differs from paper scale. None stands for a key that is not set."""

    key: str
    paper: Any
    now: Any
    why: str


def recipe_at(row: Row, measurement: str, scale: Scale) -> Recipe:
    """The recipe of a row's measurement at a scale, with what `--set` changed. Raises SpecError for what does not
    fit."""
    return row.recipes[measurement].at(scale, row.changed)


def changes_at(row: Row, measurement: str, scale: Scale) -> list[Change]:
    """What differs from paper scale, in the order of the recipe, each with the reason that the file gives."""
    spec = row.recipes[measurement]
    paper, now = spec.recipe.leaves(), recipe_at(row, measurement, scale).leaves()
    layers = [*spec.layers_at(scale), *([row.changed] if row.changed else [])]
    return [
        Change(key, paper.get(key), now.get(key), _why(layers, key))
        for key in [*paper, *(key for key in now if key not in paper)]
        if paper.get(key) != now.get(key)
    ]


def _why(layers: Sequence[Layer], key: str) -> str:
    """The reason for a setting, as the files give it; empty where they do not."""
    if setter(layers, key) is None:
        return "the network's default"
    found = reason(layers, key)
    if found is None:
        return ""
    text, layer = found
    return f"{text} (like {layer.like})" if layer.like else text


# ---- from rows to trainings ------------------------------------------------------------------------------------------


def measurements(row: Row, scale: Scale = "mini", seed: int = 0) -> list[Measurement]:
    """The measurements of a row that are asked for, at one scale, in the order of the file; none for a row with nothing
    to train. Raises SpecError naming what cannot be resolved."""
    if row.status != "runnable":
        return []
    made = []
    for name, spec in row.asked_recipes.items():
        if scale not in spec.scales:
            continue
        training, recipe = _training(row, name, scale, seed, ())
        assert recipe.eval is not None
        evaluation = Evaluation(training, recipe.data, recipe.eval)
        names, datasets = list(recipe.eval.metrics or ()), []
        for one in (*training.ancestors(), training):
            names += [one.model.name, one.train.method]
            datasets.append(one.data.dataset)
        outside = folders_behind(row, names, datasets)
        made.append(Measurement(row.id, name, scale, seed, evaluation, row.where, outside))
    return made


def weight_names() -> list[str]:
    """The names of weights that any row asks for, which `--weights NAME=FILE` can give."""
    trainings = (m.evaluation.training for row in select() for m in measurements(row, "paper"))
    return sorted({name for training in trainings for name in training.weights})


def folders_behind(row: Row, names: Iterable[str], datasets: Iterable[str] = ()) -> tuple[Path, ...]:
    """The folders outside vtbench that a row, the data sets and what it names (`package.module:name`) come from."""
    found = [row.root]
    modules = [name.partition(":")[0] for name in names if ":" in name]
    for name in dict.fromkeys(datasets):
        dataset = load_dataset(name)
        found.append(dataset.root)
        modules += [dataset.module.partition(":")[0]] if ":" in dataset.module else []
    found += [root for module in dict.fromkeys(modules) for root in roots_of_module(module)]
    return tuple(sorted({root.folder for root in found if not root.own}))


def _training(row: Row, measurement: str, scale: Scale, seed: int, below: tuple[str, ...]) -> tuple[Training, Recipe]:
    spec = row.recipes[measurement]
    recipe = recipe_at(row, measurement, scale)
    assert recipe.augment is not None and recipe.init is not None and recipe.train is not None
    below = (*below, f"{row.id}@{measurement}")
    start = Start(weights=recipe.init.weights)
    if recipe.init.measurement:
        start = Start(training=_start_from_own(row, recipe.init.measurement, scale, seed, below))
    elif recipe.init.row:
        start = Start(training=_start_from(row, recipe.init.row, scale, seed, below))
    elif recipe.init.pretraining:
        start = Start(training=_pretraining(row, spec, recipe, scale))
    return Training(scale, seed, recipe.data, recipe.augment, recipe.model, start, recipe.train), recipe


def _start_from_own(row: Row, measurement: str, scale: Scale, seed: int, below: tuple[str, ...]) -> Training:
    """The training for another measurement of the same row."""
    if measurement not in row.recipes:
        raise SpecError(
            f"{row.where}: init.measurement{_at(scale)}: '{measurement}' is no measurement of {row.id}"
            f"{did_you_mean(measurement, row.recipes)}"
        )
    if scale not in row.recipes[measurement].scales:
        raise SpecError(f"{row.where}: init.measurement: '{measurement}' of {row.id} does not exist at {scale} scale")
    _refuse_circle(row, f"{row.id}@{measurement}", "init.measurement", below)
    return _training(row, measurement, scale, seed, below)[0]


def _start_from(row: Row, selector: str, scale: Scale, seed: int, below: tuple[str, ...]) -> Training:
    def fail(what: str) -> SpecError:
        return SpecError(f"{row.where}: {row.id}: init.row{_at(scale)} {what}")

    if ":" not in selector:
        raise fail(f"must name one row as paper/table:row, not {selector!r}")
    try:
        (found,) = select([selector])
    except UsageError as error:
        raise fail(str(error)) from error
    if found.status != "runnable":
        raise fail(f"{selector} is {found.status}, there is nothing to start from")
    name = next(iter(found.asked_recipes))
    _refuse_circle(row, f"{found.id}@{name}", "init.row", below)
    return _training(found, name, scale, seed, below)[0]


def _refuse_circle(row: Row, following: str, key: str, below: tuple[str, ...]) -> None:
    if following in below:
        chain = " -> ".join([*below, following]).replace("@main", "")
        raise SpecError(f"{row.where}: {row.id}: {key} goes in a circle: {chain}")


def _at(scale: Scale) -> str:
    return "" if scale == "paper" else f" at {scale} scale"


def _pretraining(row: Row, spec: RowRecipe, recipe: Recipe, scale: Scale) -> Training:
    """The network of single frames that a row starts from, trained by the row's recipe at the scale that names it, but
    for what `init.pretraining` says; scales below that one lie on top, as they do for the row."""
    layers = [*spec.layers_at(scale), *([row.changed] if row.changed else [])]
    named_by = setter(layers, "init.pretraining")
    assert named_by is not None
    here = named_by.blocks["init"]["pretraining"]
    said = pretraining_blocks(here)
    frames = {name: _node(here, f"data.{name}", value) for name, value in SINGLE_FRAMES.items()}
    fixed = {name: said["data"].get(name, frames[name]) for name in frames if not name.startswith("limit_")}
    upto = layered(named_by.scale)
    stack = [
        *(layer for layer in layers if layer.scale in upto),
        Layer("paper", {"data": frames}),
        Layer("paper", said),
        *(layer for layer in layers if layer.scale not in upto),
        # Whatever lies on top, what is seen stays single frames of the pretraining's data set.
        Layer("paper", {"data": {**fixed, "dataset": said["data"]["dataset"]}}),
    ]
    blocks = merge((_without_network(layer) for layer in stack), spec.builders)
    model = _shared_arguments(row, spec, recipe, said["model"], scale) | said["model"]
    blocks["model"] = {name: given for name, given in model.items() if given.value is not None}
    at = f" of the pretraining{_at(scale)}"
    made = read_recipe(blocks, here, complete=False, builders=spec.builders, at=at, defaults=False)
    assert made.augment is not None and made.train is not None
    return Training(scale, PRETRAINING_SEED, made.data, made.augment, made.model, Start(), made.train)


def _shared_arguments(
    row: Row, spec: RowRecipe, recipe: Recipe, said: Mapping[str, Node], scale: Scale
) -> dict[str, Node]:
    """The arguments that the row's network and the one of single frames both have."""
    known = spec.builders.network(said["name"])
    shared = {}
    for name, value in recipe.model.arguments.items():
        if name not in known or name in said or value is None:
            continue
        shared[name] = _node(spec.row, f"model.{name}", value)
        try:
            convert(shared[name], known[name].hint)
        except SpecError as error:
            start = f"{scale}: {{init: {{scratch: true}}}}"
            raise SpecError(
                f"{row.where}: {row.id}: init.pretraining{_at(scale)}: {said['name'].value}() cannot have the {name} "
                f"of {called(recipe.model.name)}(), {value!r}; give the row a start of its own, as {start}"
            ) from error
    return shared


def _without_network(layer: Layer) -> Layer:
    kept = {name: values for name, values in layer.blocks.items() if name in ("data", "augment", "train")}
    return dataclasses.replace(layer, blocks=kept)


def _node(here: Node, key: str, value: Any) -> Node:
    """A value as if it stood in a file, beside `here`."""
    if isinstance(value, tuple):
        value = [_node(here, f"{key}[{number}]", item) for number, item in enumerate(value)]
    return Node(value, here.file, here.line, f"{here.key}.{key}")
