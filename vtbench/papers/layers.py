"""Blocks on blocks: what paper.yaml, `defaults`, a row and a measurement say, merged to one recipe at a scale.

The recipe at paper scale is `defaults`, the row and the measurement, in this order; later keys replace earlier ones. A
smaller scale lays the blocks that stand under its name (`mini:`, `smoke:`) on top: of paper.yaml, of `defaults`, of the
row and of the measurement. An empty value removes a key, and `init`, which is one choice, is replaced as a whole.

What paper.yaml and `defaults` say of a small scale is meant for many rows: there an argument that a row's network does
not have, and a block that the row does not have, are passed over. What a row says of itself must fit.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vtbench.errors import DataError, SpecError, did_you_mean
from vtbench.papers.datasets import NO_SPLIT, load_dataset
from vtbench.papers.document import Node, Problems, build, described, key, writable
from vtbench.papers.recipe import BLOCKS, METHOD_OPTIONS, Data, Model, Recipe, check_keys
from vtbench.papers.roots import datasets
from vtbench.papers.signatures import Builders, called
from vtbench.scales import Scale, layered, small_scales

T = TypeVar("T")

NAMES = (*BLOCKS, "model")
"""The blocks of a recipe."""

Blocks = Mapping[str, Mapping[str, Node]]
"""Block -> key -> value, with where it stands."""

BELOW_PAPER = ("data", "model")
"""The blocks that a row with nothing to train must have."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What one place of a file says of one scale."""

    scale: Scale
    blocks: Blocks
    shared: bool = False
    """Whether it is meant for several rows."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Block or dotted key -> the reason for its values; "" -> the one for all others of this layer."""
    like: str | None = None
    """The row that it is taken from, as paper/table:row@measurement, for a row that is `like` another."""

    def values(self) -> Iterator[tuple[str, Node]]:
        """Dotted key and value of everything it says."""
        for block, values in self.blocks.items():
            for name, node in values.items():
                yield f"{block}.{name}", node


def raw(node: Node) -> Node:
    """A value of a file as it stands, for blocks, which are merged before they are read."""
    return node


@dataclass(frozen=True, kw_only=True)
class BlocksFile:
    """The blocks as they may stand in a file."""

    data: Node | None = key("see Data", default=None, read=raw)
    augment: Node | None = key("see Augment", default=None, read=raw)
    model: Node | None = key("name of the network and its builder's arguments", default=None, read=raw)
    init: Node | None = key("see Init", default=None, read=raw)
    train: Node | None = key("see Train", default=None, read=raw)
    eval: Node | None = key("see Eval", default=None, read=raw)


@dataclass(frozen=True, kw_only=True)
class _LayerFile(BlocksFile):
    why: Node | None = key("the reason for all values, or reasons by block or dotted key", default=None, read=raw)


def read_file(cls: type[T], node: Node, problems: Problems, *, shared: bool) -> tuple[T | None, list[Layer]]:
    """A dataclass from a place of a file, and the layers of the small scales that stand beside its keys. What does not
    fit goes to `problems`; a key that does not exist costs no more than itself, any other mistake the dataclass."""
    if not isinstance(node.value, dict):
        with problems.collected():
            node.fail(f"must be keys and values, not {described(node)}")
        return None, []
    small, layers = small_scales(), []
    for scale in small:
        if scale in node.value:
            with problems.collected():
                layers.append(read_layer(scale, node.value[scale], shared=shared))
    values = {name: inner for name, inner in node.value.items() if name not in small}
    with problems.collected():
        return build(cls, node, values, also=small), layers
    with problems.collected():
        return build(cls, node, {name: inner for name, inner in values.items() if name in writable(cls)}), layers
    return None, layers


def read_blocks(nodes: Mapping[str, Node | None]) -> Blocks:
    """The blocks that stand in a file, those that are there. Their keys are checked when they are merged."""
    problems = Problems()
    blocks = {}
    for block, node in nodes.items():
        if node is not None and isinstance(node.value, dict):
            blocks[block] = node.value
        elif node is not None:
            with problems.collected():
                node.fail(f"must be keys and values, not {described(node)}")
    problems.refuse()
    return blocks


def read_layer(scale: Scale, node: Node, *, shared: bool) -> Layer:
    """The layer of a small scale: blocks, and `why`, a text or texts by block or dotted key. Raises SpecError."""
    if not isinstance(node.value, dict):
        node.fail(f"must be blocks, as {{train: {{epochs: 5}}}}, not {described(node)}")
    build(_LayerFile, node)  # refuses what is no block
    problems = Problems()
    for name in BLOCKS:
        if name in node.value and isinstance(node.value[name].value, dict):
            with problems.collected():
                check_keys(name, node.value[name].value)
    problems.refuse()
    layer = Layer(
        scale,
        read_blocks({name: inner for name, inner in node.value.items() if name in NAMES}),
        shared=shared,
        why=_read_why(node.value["why"]) if "why" in node.value else {},
    )
    given = {dotted for dotted, _ in layer.values()} | set(layer.blocks)
    for name in layer.why:
        if name and name not in given:
            node.value["why"].value[name].fail(f"the {scale} block beside it gives no value to '{name}'; remove it")
    return layer


def _read_why(node: Node) -> dict[str, str]:
    texts = node.value if isinstance(node.value, dict) else {"": node}
    for text in texts.values():
        if not isinstance(text.value, str) or not text.value:
            text.fail(f"must be the reason for a value, as text, not {described(text)}")
    return {name: text.value for name, text in texts.items()}


# ---- merging ---------------------------------------------------------------------------------------------------------


def merge(layers: Iterable[Layer], builders: Builders) -> dict[str, dict[str, Node]]:
    """One set of blocks from layers in their order. Raises SpecError for a block that a row gives to a small scale but
    not to the paper's."""
    merged: dict[str, dict[str, Node]] = {}
    for layer in layers:
        for block, values in layer.blocks.items():
            small = layer.scale != "paper"
            if small and block not in merged:
                if not layer.shared and values:
                    node = next(iter(values.values()))
                    node.fail(f"the row has no block `{block}` at paper scale, so nothing for {layer.scale} to change")
                continue
            if block == "init":  # one choice, not a set of keys
                merged[block] = dict(values)
            elif block == "model" and small and layer.shared:
                name = values.get("name") or merged[block].get("name")
                known = builders.signature(name.value) if name else {}
                taken = {word: node for word, node in values.items() if word == "name" or word in known}
                merged[block].update(taken)
            else:
                merged.setdefault(block, {}).update(values)
    return {
        block: {name: node for name, node in values.items() if node.value is not None}
        for block, values in merged.items()
    }


def setter(layers: Sequence[Layer], dotted: str) -> Layer | None:
    """The layer that a value of the merged recipe comes from, or that removed it; None for a builder's default."""
    block, _, name = dotted.partition(".")
    for layer in reversed(layers):
        if block in layer.blocks and (block == "init" or name in layer.blocks[block]):
            return layer
    return None


def reason(layers: Sequence[Layer], dotted: str) -> tuple[str, Layer] | None:
    """Why a value of the merged recipe is what it is, and the layer that says so: the one that it comes from, or, where
    that one is silent about it, what a layer further down says of the key or its block at the same scale. None for a
    value that no layer gives, and where nobody says."""
    here = setter(layers, dotted)
    if here is None:
        return None
    names = (dotted, dotted.partition(".")[0])
    below = [layer for layer in layers[: layers.index(here)] if layer.scale == here.scale]
    for layer in (here, *reversed(below)):
        for name in (*names, "") if layer is here else names:
            if name in layer.why:
                return layer.why[name], layer
    return None


def read_recipe(
    blocks: Mapping[str, Mapping[str, Node]],
    row: Node,
    *,
    complete: bool,
    builders: Builders,
    at: str = "",
    defaults: bool = True,
) -> Recipe:
    """The recipe of merged blocks. `row` is where a missing key is reported, `at` (" at mini scale") how. `complete`:
    all blocks are needed, not only data and model. `defaults`: whether arguments of the network that no block gives are
    filled in.

    Raises SpecError with everything that does not fit.
    """
    problems = Problems()
    read: dict[str, Any] = {}
    for block in NAMES if complete else BELOW_PAPER:
        if not blocks.get(block):
            with problems.collected():
                row.fail(f"missing{at}, in the row and in defaults", below=block)
    for block, values in blocks.items():
        with problems.collected():
            if block == "model" and values:
                if "name" not in values:
                    row.fail(f"missing{at}; it is the name of a network", below="model.name")
                given = {name: node for name, node in values.items() if name != "name"}
                arguments = builders.arguments(values["name"], given, defaults=defaults)
                read["model"] = Model(name=values["name"].value, arguments=arguments)
            elif values:
                where = Node(None, row.file, row.line, f"{row.key}.{block}")
                try:
                    read[block] = build(BLOCKS[block], where, values)
                except SpecError as error:
                    # Two keys that do not go together are found at a scale, and reported at the row.
                    here = f"{where.file}:{where.line}: {where.key}: "
                    raise SpecError(*_at(error, here, at)) from error
    if "train" in read:
        with problems.collected():
            _check_method(blocks["train"], builders)
    if "eval" in read and "metrics" in blocks["eval"]:
        for metric in blocks["eval"]["metrics"].value:
            with problems.collected():
                builders.metric(metric)
    if "data" in read and "model" in read:
        takes = "modalities" in builders.signature(read["model"].name)
        if takes != (read["data"].modalities is not None):
            what = "needs it" if takes else "takes decoded frames alone; leave it out"
            with problems.collected():
                row.fail(f"the network {read['model'].name} {what}", below="data.modalities")
    if "data" in read:
        with problems.collected():
            _check_data(read["data"], blocks["data"]["dataset"], row, at)
    problems.refuse()
    try:
        return Recipe(**read)
    except ValueError as error:  # what a recipe says about blocks that do not go together
        row.fail(f"{error}{at}")


def _check_data(data: Data, dataset: Node, row: Node, at: str) -> None:
    """The data set exists, and has the official split that is asked for."""
    known = datasets()
    if data.dataset not in known:
        dataset.fail(f"no data set is called {data.dataset!r}{did_you_mean(data.dataset, known)}")
    try:
        splits = load_dataset(data.dataset).about.splits
    except DataError as error:
        dataset.fail(str(error))
    if data.split not in (range(1, splits + 1) if splits > 1 else (None,)):
        row.fail(f"{NO_SPLIT.format(data.split, data.dataset, splits)}{at}", below="data.split")


def _at(error: SpecError, here: str, at: str) -> tuple[str, list[str]]:
    lines = [f"{line}{at}" if at and line.startswith(here) else line for line in error.problems]
    return lines[0], lines[1:]


def _check_method(train: Mapping[str, Node], builders: Builders) -> None:
    """The method exists and takes the options that are set."""
    signature = builders.method(train["method"])
    if signature is None:
        return
    for name in METHOD_OPTIONS:
        if name not in train or train[name].value is None:
            continue
        if name not in signature:
            train[name].fail(f"the method {called(train['method'].value)} has no such option; leave it out")
        builders.check_choice(train[name], signature[name])


# ---- a recipe at a scale ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RowRecipe:
    """What one measurement of a row is, at paper scale and at those below."""

    recipe: Recipe
    """At paper scale."""
    scales: tuple[Scale, ...]
    """The scales at which it exists."""
    layers: tuple[Layer, ...]
    """What its blocks at every scale are made of, in the order in which they lie on each other at one scale."""
    row: Node
    complete: bool
    builders: Builders

    def layers_at(self, scale: Scale) -> list[Layer]:
        """The layers of a scale, the paper's first."""
        return [layer for part in layered(scale) for layer in self.layers if layer.scale == part]

    def at(self, scale: Scale, changed: Layer | None = None) -> Recipe:
        """The recipe at a scale, with `changed` (what `--set` says) on top. Raises SpecError for what does not fit."""
        if scale == "paper" and changed is None:
            return self.recipe
        layers = [*self.layers_at(scale), *([changed] if changed else [])]
        at = "" if scale == "paper" else f" at {scale} scale"
        blocks = merge(layers, self.builders)
        return read_recipe(blocks, self.row, complete=self.complete, builders=self.builders, at=at)
