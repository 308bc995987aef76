"""A row, a scale and a seed to trainings and evaluations: what `init` names is followed to its beginning."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.papers.code.outside import code_behind, folders_behind
from vtbench.papers.code.signatures import called
from vtbench.papers.load import paper_names, read_paper
from vtbench.papers.network import Network
from vtbench.papers.roots import roots
from vtbench.papers.selector import Selector
from vtbench.papers.spec.document import Node, convert
from vtbench.papers.spec.layers import Layer, Merged, RowRecipe, merge, read_recipe, reason, setter
from vtbench.papers.spec.recipe import Recipe, pretraining_blocks
from vtbench.papers.spec.schema import Row
from vtbench.papers.spec.tables import row_named
from vtbench.papers.trainings import ANY_SEED, Evaluation, Measurement, Start, Training
from vtbench.scales import Scale, at_scale, layered

PRETRAINING_SEED = 0
"""One pretraining serves all seeds, as one ImageNet checkpoint does."""

SINGLE_FRAMES = {
    "num_frames": 1,
    "stride": 1,
    **dict.fromkeys(("sampling", "starts", "frames", "split", "subset", "limit_train", "limit_test")),
    **dict.fromkeys(("modalities", "motion", "audio_encoder")),
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
    return row.recipes[measurement].at(scale)


def changes_at(row: Row, measurement: str, scale: Scale) -> list[Change]:
    """What differs from paper scale, in the order of the recipe, each with the reason that the file gives."""
    spec = row.recipes[measurement]
    paper, now = spec.recipe.leaves(), recipe_at(row, measurement, scale).leaves()
    layers = spec.layers_at(scale)
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
    asked = [name for name, spec in row.asked_recipes.items() if scale in spec.scales]
    return [_of_any_seed(row, name, scale).with_seed(seed) for name in asked]


_resolved: WeakKeyDictionary[RowRecipe, dict[Any, Measurement]] = WeakKeyDictionary()
"""What was resolved of a recipe, for all seeds: a report asks for hundreds of them."""


def _of_any_seed(row: Row, name: str, scale: Scale) -> Measurement:
    """A measurement of a row, of ANY_SEED; resolved once, as long as the folders that are included are the same."""
    known = _resolved.setdefault(row.recipes[name], {})
    place = (row.id, name, scale, row.variant, tuple(roots()))
    if place not in known:
        known[place] = _resolve(row, name, scale)
    return known[place]


def _resolve(row: Row, name: str, scale: Scale) -> Measurement:
    chain = _Chain(scale)
    training, recipe = _training(row, name, chain)
    assert recipe.eval is not None
    metrics = recipe.eval.metrics or ()
    evaluation = Evaluation(training, recipe.data, recipe.eval, code_behind(metrics))
    every = (*training.ancestors(), training)
    folders = folders_behind(
        (row.root for row in chain.rows),
        (*metrics, *(word for one in every for word in (one.model.name, one.train.method))),
        (one.data.dataset for one in every),
    )
    variant = None if row.variant is None or evaluation.key == _own_key(row, name, scale) else row.variant
    return Measurement(row.id, name, scale, ANY_SEED, evaluation, row.where, folders, variant)


def _own_key(row: Row, measurement: str, scale: Scale) -> str | None:
    """The key of the evaluation that a changed row asks for as it stands in its file; None where it does not exist."""
    own = {name: dataclasses.replace(spec, variant=None, changed=None) for name, spec in row.recipes.items()}
    unchanged = dataclasses.replace(row, recipes=own, variant=None, asked=frozenset([measurement]))
    found = measurements(unchanged, scale, ANY_SEED)
    return found[0].evaluation.key if found else None


def network_of(row: Row, scale: Scale) -> Network | None:
    """The network of a row's first measurement that exists at a scale; None for a row that is only quoted, or not at
    this scale. Raises SpecError for what does not fit at that scale."""
    for name, spec in row.asked_recipes.items():
        if scale in spec.scales:
            recipe = recipe_at(row, name, scale)
            return Network.of(recipe.data, recipe.model)
    return None


def weight_names() -> list[str]:
    """The names of weights that any row asks for at any scale, which `--weights NAME=FILE` can give. Rows that cannot
    be read are passed over."""
    papers = [paper for paper, _ in map(read_paper, paper_names()) if paper is not None]
    found = set()
    for row in (row for paper in papers for row in paper.rows if row.status == "runnable"):
        for spec in row.recipes.values():
            for scale in spec.scales:
                with contextlib.suppress(SpecError):
                    recipe = spec.at(scale)
                    found |= {recipe.data.weights, recipe.init.weights if recipe.init else None}
    return sorted(name for name in found if name)


@dataclass
class _Chain:
    """What was met on the way from a row to the weights that it starts from."""

    scale: Scale
    rows: list[Row] = field(default_factory=list)
    """Every row that has a part in it."""
    below: tuple[str, ...] = ()
    """The trainings that wait for what is being resolved."""

    def enter(self, row: Row, name: str, place: Node | None) -> None:
        """Remember a training; refuse one that waits already."""
        entered = f"{row.id}@{name}"
        if entered in self.below and place is not None:
            place.fail(f"goes in a circle: {' -> '.join([*self.below, entered]).replace('@main', '')}")
        self.below = (*self.below, entered)
        self.rows.append(row)
        selectors = dict.fromkeys(layer.like for layer in row.recipes[name].layers if layer.like)
        self.rows += [row_named(Selector.parse(text), row.recipes[name].builders) for text in selectors]


def _training(row: Row, measurement: str, chain: _Chain, place: Node | None = None) -> tuple[Training, Recipe]:
    """The training of a row's measurement, and its recipe. `place`: where another row names it as its start."""
    spec, scale = row.recipes[measurement], chain.scale
    chain.enter(row, measurement, place)
    recipe = recipe_at(row, measurement, scale)
    assert recipe.augment is not None and recipe.init is not None and recipe.train is not None
    start = Start(weights=recipe.init.weights)
    if recipe.init.pretraining:
        start = Start(training=_pretraining(row, spec, recipe, scale))
    elif recipe.init.measurement:
        given = _init_of(spec, scale, "measurement")
        start = Start(training=_start_from(row, recipe.init.measurement, chain, given))
    elif recipe.init.row:
        given = _init_of(spec, scale, "row")
        other, name = _row_of(given, spec)
        start = Start(training=_start_from(other, name, chain, given))
    train = recipe.train
    code = code_behind((recipe.model.name, train.method), (recipe.data.dataset,))
    return Training(scale, ANY_SEED, recipe.data, recipe.augment, recipe.model, start, train, code), recipe


def _init_of(spec: RowRecipe, scale: Scale, key: str) -> Node:
    """Where a key of `init` stands."""
    layer = setter(spec.layers_at(scale), f"init.{key}")
    assert layer is not None
    return layer.blocks["init"][key]


def _start_from(row: Row, measurement: str, chain: _Chain, place: Node) -> Training:
    """The training for a measurement of a row, as the start of another."""
    if measurement not in row.recipes:
        own = f"; it is like {row.like}, so give it an `init` of its own" if row.like else ""
        place.fail(unknown("measurement", measurement, () if own else row.recipes, of=row.id) + own)
    if chain.scale not in row.recipes[measurement].scales:
        place.fail(f"'{measurement}' of {row.id} does not exist at {chain.scale} scale")
    return _training(row, measurement, chain, place)[0]


def _row_of(place: Node, spec: RowRecipe) -> tuple[Row, str]:
    """The row and the measurement that `init.row` names."""
    selector = Selector.parse(place.value)
    if selector.row is None:
        place.fail(f"must name one row as paper/table:row, not {place.value!r}")
    try:
        row = row_named(selector, spec.builders)
    except (UsageError, SpecError) as error:
        place.fail(str(error))
    if row.status != "runnable":
        place.fail(f"{row.id} is {row.status}, there is nothing to start from")
    return row, selector.measurement or next(iter(row.recipes))


def _pretraining(row: Row, spec: RowRecipe, recipe: Recipe, scale: Scale) -> Training:
    """The network of single frames that a row starts from, trained by the row's recipe at the scale that names it, but
    for what `init.pretraining` says; scales below that one lie on top, as they do for the row."""
    # A change is of the row's own training: of the pretraining it changes what is seen and how it starts, no more.
    layers = [
        dataclasses.replace(
            layer, blocks={name: layer.blocks[name] for name in ("data", "init") if name in layer.blocks}
        )
        if layer in (spec.variant, spec.changed)
        else layer
        for layer in spec.layers_at(scale)
    ]
    named_by = setter(layers, "init.pretraining")
    assert named_by is not None
    place = named_by.blocks["init"]["pretraining"]
    blocks = pretraining_blocks(place)
    frames = {name: _node(place, f"data.{name}", value) for name, value in SINGLE_FRAMES.items()}
    fixed = {name: blocks["data"].get(name, frames[name]) for name in frames if not name.startswith("limit_")}
    scales = layered(named_by.scale)
    stack = [
        *(_without_network(layer) for layer in layers if layer.scale in scales),
        Layer("paper", {"data": frames}),
        Layer("paper", {name: values for name, values in blocks.items() if name != "model"}),
        *(_without_network(layer) for layer in layers if layer.scale not in scales),
        # Whatever lies on top, what is seen stays single frames of the pretraining's data set.
        Layer("paper", {"data": {**fixed, "dataset": blocks["data"]["dataset"]}}),
    ]
    merged = merge(stack, spec.builders)
    arguments = _shared_arguments(row, spec, recipe, blocks["model"], named_by.scale) | blocks["model"]
    model = {name: given for name, given in arguments.items() if given.value is not None}
    made = read_recipe(
        stack,
        place,
        complete=False,
        builders=spec.builders,
        at=f" of the pretraining{at_scale(scale)}",
        merged=Merged({**merged.blocks, "model": model}, merged.removed),
        defaults=False,
    )
    assert made.augment is not None and made.train is not None
    code = code_behind((made.model.name, made.train.method), (made.data.dataset,))
    return Training(scale, PRETRAINING_SEED, made.data, made.augment, made.model, Start(), made.train, code)


def _shared_arguments(
    row: Row, spec: RowRecipe, recipe: Recipe, given: Mapping[str, Node], named_at: Scale
) -> dict[str, Node]:
    """The arguments that the row's network and the one of single frames both have. `named_at`: the scale whose blocks
    name the pretraining."""
    known = spec.builders.network(given["name"])
    shared = {}
    for name, value in recipe.model.arguments.items():
        if name not in known or name in given or value is None:
            continue
        shared[name] = _node(spec.row, f"model.{name}", value)
        try:
            convert(shared[name], known[name].hint)
        except SpecError as error:
            frames, videos = called(given["name"].value), called(recipe.model.name)
            raise SpecError(
                f"{row.where}: {row.id}: init.pretraining{at_scale(named_at)}: {frames}() cannot have the {name} of "
                f"{videos}(), {value!r}; give the row a start of its own, as {named_at}: {{init: {{scratch: true}}}}"
            ) from error
    return shared


def _without_network(layer: Layer) -> Layer:
    kept = {name: values for name, values in layer.blocks.items() if name in ("data", "augment", "train")}
    return dataclasses.replace(layer, blocks=kept)


def _node(place: Node, key: str, value: Any) -> Node:
    """A value as if it stood in a file, beside `place`."""
    if isinstance(value, tuple | list):
        value = [_node(place, f"{key}[{number}]", item) for number, item in enumerate(value)]
    elif isinstance(value, dict):
        value = {name: _node(place, f"{key}.{name}", item) for name, item in value.items()}
    return Node(value, place.file, place.line, f"{place.key}.{key}")
