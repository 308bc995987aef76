"""Blocks on blocks: what paper.yaml, `defaults`, a row and a measurement say, merged to one recipe at a scale.

The recipe at paper scale is `defaults`, the row and the measurement, in this order; later keys replace earlier ones. A
smaller scale lays the blocks that stand under its name (`mini:`, `smoke:`) on top: of paper.yaml, of `defaults`, of the
row and of the measurement. An empty value removes a key, and `init`, which is one choice, is replaced as a whole.

What paper.yaml and `defaults` say of a small scale is meant for many rows: there an argument that a row's network does
not have, and a block that the row does not have, are passed over. What a row says of itself must fit.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from vtbench.errors import DataError, SpecError, unknown
from vtbench.fields import broken_rules, empty_word, key, writable
from vtbench.metrics import METRICS, always_measured
from vtbench.papers.code.signatures import GIVEN_TO_METHODS, Builders
from vtbench.papers.datasets import load_dataset, wrong_split, wrong_subset
from vtbench.papers.roots import datasets
from vtbench.papers.spec.document import Node, Problems, build, described
from vtbench.papers.spec.recipe import BLOCKS, Data, Model, Recipe, Train, check_keys, set_values
from vtbench.scales import Scale, at_scale, layered, small_scales

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


# ---- reading ---------------------------------------------------------------------------------------------------------


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
    """A dataclass from a place of a file, and the layers that stand there, of the paper's own scale first.

    What does not fit goes to `problems`, and a key that is wrong is as if it were not there; None where the place holds
    no keys at all.
    """
    if not isinstance(node.value, dict):
        with problems.collected():
            node.fail(f"must be keys and values, not {described(node)}")
        return None, []
    small = small_scales()
    values = {name: inner for name, inner in node.value.items() if name not in small}
    read = build(cls, node, values, also=small, problems=problems)
    layers = [Layer("paper", read_blocks(node, problems), shared=shared)] if issubclass(cls, BlocksFile) else []
    layers += [_read_layer(s, node.value[s], problems, shared=shared) for s in small if s in node.value]
    return read, layers


def read_blocks(node: Node, problems: Problems) -> dict[str, Mapping[str, Node]]:
    """The blocks that stand in a place. Their keys are checked when they are merged."""
    blocks: dict[str, Mapping[str, Node]] = {}
    for name in NAMES:
        inner = node.value.get(name)
        if inner is None:
            continue
        if isinstance(inner.value, dict):
            blocks[name] = inner.value
        else:
            with problems.collected():
                inner.fail(f"must be keys and values, not {described(inner)}")
    return blocks


def _read_layer(scale: Scale, node: Node, problems: Problems, *, shared: bool) -> Layer:
    """The layer of a small scale: blocks, and `why`, a text or texts by block or dotted key."""
    if not isinstance(node.value, dict):
        with problems.collected():
            node.fail(f"must be blocks, as {{train: {{epochs: 5}}}}, not {described(node)}")
        return Layer(scale, {}, shared=shared)
    build(_LayerFile, node, problems=problems)
    blocks = read_blocks(node, problems)
    misspelt = set()
    for name, values in blocks.items():
        try:
            check_keys(name, values)
        except SpecError as error:
            problems.add(error)
            misspelt.add(name)
            blocks[name] = {word: node for word, node in values.items() if word in writable(BLOCKS[name])}
    layer = Layer(scale, blocks, shared=shared, why=_read_why(node.value.get("why"), problems))
    given = {dotted for dotted, _ in layer.values()} | set(blocks)
    for name in layer.why:
        if name and name not in given and name.partition(".")[0] not in misspelt:
            with problems.collected():
                node.value["why"].value[name].fail(f"the {scale} block beside it gives no value to '{name}'; remove it")
    return layer


def _read_why(node: Node | None, problems: Problems) -> dict[str, str]:
    if node is None:
        return {}
    texts = {}
    for name, text in (node.value if isinstance(node.value, dict) else {"": node}).items():
        if isinstance(text.value, str) and text.value:
            texts[name] = text.value
            continue
        with problems.collected():
            text.fail(f"must be the reason for a value, as text, not {described(text)}")
    return texts


# ---- merging ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Merged:
    """One set of blocks from several layers."""

    blocks: dict[str, dict[str, Node]]
    removed: dict[str, dict[str, Node]]
    """The keys that an empty value took away."""


def merge(layers: Iterable[Layer], builders: Builders) -> Merged:
    """Blocks from layers in their order. Raises SpecError for a block that a row gives to a small scale but not to the
    paper's, and for an empty value of a key that does not exist."""
    merged: dict[str, dict[str, Node]] = {}
    given: dict[str, set[str]] = {}
    for layer in layers:
        for block, values in layer.blocks.items():
            given.setdefault(block, set()).update(name for name, node in values.items() if node.value is not None)
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
                known = builders.network(name) if name else {}
                taken = {word: node for word, node in values.items() if word == "name" or word in known}
                merged[block].update(taken)
            else:
                merged.setdefault(block, {}).update(values)
    kept: dict[str, dict[str, Node]] = {}
    removed: dict[str, dict[str, Node]] = {}
    for block, values in merged.items():
        kept[block] = {name: node for name, node in values.items() if node.value is not None}
        if len(kept[block]) < len(values):
            removed[block] = {name: node for name, node in values.items() if node.value is None}
    for block, values in removed.items():
        _check_removed(block, values, kept, given[block], builders)
    return Merged(kept, removed)


def _check_removed(
    block: str, values: Mapping[str, Node], kept: Blocks, given: Collection[str], builders: Builders
) -> None:
    """Refuse to remove what cannot be there. `given`: the keys of the block that any layer gives a value."""
    if block == "model":
        name = kept[block].get("name")
        arguments = builders.network(name) if name else {}
        for word, node in values.items():
            if name and word != "name":
                builders.check_argument(name.value, word, node, arguments)
    elif block == "train":
        method = kept[block].get("method")
        signature = builders.method(method) if method else None
        for word, node in values.items():
            if signature is not None and word not in {*signature, *writable(Train), *given}:
                known = [name for name in (*writable(Train), *signature) if name not in GIVEN_TO_METHODS]
                node.fail(unknown("key", word, known))
    else:
        check_keys(block, values)


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
    origin = setter(layers, dotted)
    if origin is None:
        return None
    names = (dotted, dotted.partition(".")[0])
    below = [one for one in layers[: layers.index(origin)] if (one.scale, one.like) == (origin.scale, origin.like)]
    for layer in (origin, *reversed(below)):
        for name in (*names, "") if layer is origin else names:
            if name in layer.why:
                return layer.why[name], layer
    return None


# ---- reading what was merged -----------------------------------------------------------------------------------------


def read_recipe(
    layers: Sequence[Layer],
    row: Node,
    *,
    complete: bool,
    builders: Builders,
    at: str = "",
    merged: Merged | None = None,
    defaults: bool = True,
) -> Recipe:
    """The recipe that layers make.

    - row: where a missing key is reported
    - complete: all blocks are needed, not only data and model
    - at: which recipe it is, for messages (" at mini scale")
    - merged: what the layers come to, where it is known
    - defaults: whether arguments of the network that no block gives are filled in

    Raises SpecError with everything that does not fit.
    """
    merged = merged or merge(layers, builders)
    blocks = merged.blocks
    problems = Problems()
    read: dict[str, Any] = {}

    def together(what: str) -> NoReturn:
        """Keys that do not go together are reported at the last of them that the file sets."""
        _place(what, layers, row).fail(f"{what}{at}")

    for block in NAMES if complete else BELOW_PAPER:
        if not blocks.get(block):
            with problems.collected():
                for node in merged.removed.get(block, {}).values():
                    node.fail(f"is removed here{at}, and nothing of the block is left")
                row.fail(f"missing{at}, in the row and in defaults", below=block)
    for block, values in blocks.items():
        with problems.collected():
            if block == "model" and values:
                if "name" not in values:
                    if removed := merged.removed.get("model", {}).get("name"):
                        removed.fail(f"is removed here{at}, and cannot be missing; it is the name of a network")
                    row.fail(f"missing{at}; it is the name of a network", below="model.name")
                given = {name: node for name, node in values.items() if name != "name"}
                arguments = builders.arguments(values["name"], given, defaults=defaults)
                read["model"] = Model(name=values["name"].value, arguments=arguments)
            elif values:
                where = Node(None, row.file, row.line, f"{row.key}.{block}")
                gone = merged.removed.get(block, {})
                fields = writable(BLOCKS[block])
                others = {word: node for word, node in values.items() if word not in fields} if block == "train" else {}
                own = {word: node for word, node in values.items() if word not in others}
                read[block] = build(BLOCKS[block], where, own, removed=gone, together=together)
                if block == "train":
                    arguments = builders.method_arguments(values["method"], others, gone, at)
                    read[block] = dataclasses.replace(read[block], arguments=arguments)
                    _check_together(read[block], builders, together)
    if "metrics" in blocks.get("eval", {}):
        with problems.collected():
            _check_metrics(blocks["eval"]["metrics"], builders)
    if "data" in read:
        with problems.collected():
            _check_data(read["data"], blocks["data"], builders, at)
    if "data" in read and "model" in read:
        takes = "modalities" in builders.signature(read["model"].name)
        if takes != (read["data"].modalities is not None):
            what = "needs it" if takes else "takes decoded frames alone; leave it out"
            with problems.collected():
                (blocks["data"].get("modalities") or blocks["model"]["name"]).fail(
                    f"data.modalities: the network {read['model'].name} {what}{at}"
                )
    problems.refuse()
    try:
        return Recipe(**read)
    except ValueError as error:  # what a recipe says about blocks that do not go together
        together(str(error))


def _place(what: str, layers: Sequence[Layer], row: Node) -> Node:
    """Of the keys that a message names, the one that the last layer sets; else what the last layer says of the block
    that it names; else the row."""
    named = re.findall(r"\b(data|augment|model|init|train|eval)\.(\w+)", what)
    for layer in reversed(layers):
        for block, name in named:
            if name in layer.blocks.get(block, {}):
                return layer.blocks[block][name]
    block = what.partition(".")[0].partition(" ")[0]
    for layer in reversed(layers):
        if layer.blocks.get(block):
            first = next(iter(layer.blocks[block].values()))
            return Node(None, first.file, first.line, first.key.rpartition(".")[0])
    return row


def _check_data(data: Data, block: Mapping[str, Node], builders: Builders, at: str) -> None:
    """The data set exists, and has the official split that is asked for; so does the audio encoder."""
    known, encoders = datasets(), builders.audio_encoders()
    if data.audio_encoder is not None and data.audio_encoder not in encoders:
        block["audio_encoder"].fail(unknown("audio encoder", data.audio_encoder, encoders))
    dataset = block["dataset"]
    if data.dataset not in known:
        dataset.fail(unknown("data set", data.dataset, known))
    try:
        facts = load_dataset(data.dataset)
    except (DataError, SpecError) as error:
        dataset.fail(str(error))
    for name, wrong in (("split", wrong_split(facts, data.split)), ("subset", wrong_subset(facts, data.subset))):
        if wrong:
            block.get(name, dataset).fail(f"data.{name} {wrong}{at}")


def _check_metrics(metrics: Node, builders: Builders) -> None:
    """Each exists, and is published under a name of its own."""
    problems = Problems()
    names: dict[str, str] = {}
    for item in metrics.value if isinstance(metrics.value, list) else ():
        with problems.collected():
            if item.value in always_measured():
                item.fail("is measured in every test; leave it out")
            name = builders.metric(item)
            if name in METRICS and name != item.value:
                item.fail(f"'{name}' is a metric of vtbench; give the function another name")
            if name in names:
                item.fail(f"'{name}' is the name of {names[name]} too; give one of them another name")
            names[name] = item.value
    problems.refuse()


def _check_together(train: Train, builders: Builders, fail: Callable[[str], NoReturn]) -> None:
    """An argument that another one needs is there, and one that it has no use for is not."""
    values = set_values(train)
    needs, forbids = (builders.rules(train.method, kind) for kind in ("needs", "forbids"))
    for name, other, needing in broken_rules(needs, forbids, values):
        if not needing:
            fail(f"train.{name} is {values[name]}, must be {empty_word(values[name])} with the {other} {values[other]}")
        one = f"the {other} {needing[0]}, which needs it"
        several = f"the {other}s {' and '.join(needing)}, which need it"
        fail(f"train.{name} belongs to {one if len(needing) == 1 else several}")


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
    variant: Layer | None = None
    """What `--variant` changes of the paper's scale: a value that a small scale has of its own stays."""
    changed: Layer | None = None
    """What `--set` or a spec file of the user's lays on top, at every scale."""
    _read: dict[Scale, Recipe] = field(default_factory=dict, init=False, repr=False, compare=False)

    def layers_at(self, scale: Scale) -> list[Layer]:
        """The layers of a scale, the paper's first, with what was changed."""
        layers = layers_at(self.layers, scale)
        if self.variant is not None:
            layers.insert(sum(layer.scale == "paper" for layer in layers), self.variant)
        return [*layers, self.changed] if self.changed is not None else layers

    def at(self, scale: Scale) -> Recipe:
        """The recipe at a scale. Raises SpecError for what does not fit."""
        if scale == "paper" and self.variant is None and self.changed is None:
            return self.recipe
        if scale not in self._read:  # a report asks for the recipe of each row many times
            self._read[scale] = read_recipe(
                self.layers_at(scale), self.row, complete=self.complete, builders=self.builders, at=at_scale(scale)
            )
        return self._read[scale]


def layers_at(layers: Sequence[Layer], scale: Scale) -> list[Layer]:
    """Of all layers those that make up a scale, the paper's first."""
    return [layer for part in layered(scale) for layer in layers if layer.scale == part]
