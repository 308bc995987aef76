"""`variants` of paper.yaml: the alternatives that decisions name, and whole recipes of official codes, as blocks that
lie on top of a row's.

    variants:
      laps-best-epoch: {train: {keep: best_on_test}}             # the alternative of the decision of this name
      official-code:
        why: the recipe of the authors' code
        layers:
          - {eval: {clips: 10}}
          - {when: {model.name: laps_rest}, model: {loop: stage}}

A layer holds for the rows whose recipe has the values of `when`. An argument that a row's network or method does not
have, and a block that the row does not have, are passed over.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vtbench.fields import key, writable
from vtbench.papers.spec.document import Node, Problems, build, described
from vtbench.papers.spec.layers import Blocks, BlocksFile, RowRecipe, raw, read_blocks
from vtbench.papers.spec.recipe import BLOCKS, Train, check_keys

__all__ = ["Part", "Variant", "read_variants"]


@dataclass(frozen=True, kw_only=True)
class _PartFile(BlocksFile):
    when: Node | None = key(
        "dotted key -> the value, or a list of values, with which this holds", default=None, read=raw
    )


@dataclass(frozen=True, kw_only=True)
class _VariantFile(BlocksFile):
    decision: str | None = key("the decision whose alternative it is; not set: the one of its name", default=None)
    why: str | None = key("what it is, where no decision says so", default=None)
    left_out: str | None = key("what of the alternative it does not have", default=None)
    layers: Node | None = key("blocks that lie on each other, each maybe with `when`", default=None, read=raw)


@dataclass(frozen=True, eq=False)
class Part:
    """Blocks, and with which values of a recipe they hold."""

    blocks: Blocks
    when: Mapping[str, tuple[Any, ...]]

    def holds(self, leaves: Mapping[str, Any]) -> bool:
        """Whether a recipe at paper scale has the values."""
        return all(leaves.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True, eq=False)
class Variant:
    """One variant of a paper's rows."""

    name: str
    decision: str | None
    why: str | None
    left_out: str | None
    parts: tuple[Part, ...]

    def blocks_for(self, spec: RowRecipe) -> dict[str, dict[str, Node]]:
        """What it changes in a recipe at paper scale: block -> key -> value; empty if nothing."""
        recipe, builders = spec.recipe, spec.builders
        leaves = recipe.leaves()
        found: dict[str, dict[str, Node]] = {}
        for part in self.parts:
            for block, values in part.blocks.items() if part.holds(leaves) else ():
                if getattr(recipe, block) is None:
                    continue
                known: set[str] | None = None
                if block == "model":
                    known = {"name", *builders.signature(recipe.model.name)}
                elif block == "train" and recipe.train is not None:
                    signature = builders.method(Node(recipe.train.method, "", 1, ""))
                    known = None if signature is None else {*writable(Train), *signature}
                taken = {name: node for name, node in values.items() if known is None or name in known}
                found.setdefault(block, {}).update(taken)
        changed = {
            block: {
                name: node for name, node in values.items() if node.plain() != _plain(leaves.get(f"{block}.{name}"))
            }
            for block, values in found.items()
        }
        return {block: values for block, values in changed.items() if values}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def read_variants(node: Node) -> dict[str, Variant]:
    """What `variants` of paper.yaml holds. Raises SpecError with everything that does not fit."""
    if not isinstance(node.value, dict):
        node.fail(f"must be names of variants with their blocks, not {described(node)}")
    problems = Problems()
    found = {}
    for name, inner in node.value.items():
        with problems.collected():
            found[name] = _read_variant(name, inner, problems)
    problems.refuse()
    return found


def _read_variant(name: str, node: Node, problems: Problems) -> Variant:
    if not isinstance(node.value, dict):
        node.fail(f"must be blocks, as {{train: {{keep: best_on_test}}}}, not {described(node)}")
    file = build(_VariantFile, node, problems=problems)
    own = {key: inner for key, inner in node.value.items() if key in (*BLOCKS, "model")}
    places = [Node(own, node.file, node.line, node.key)] if own else []
    given = node.value.get("layers")
    if given is not None:
        if not isinstance(given.value, list) or not given.value:
            given.fail(f"must be a list of blocks, not {described(given)}")
        places += given.value
    if not places:
        node.fail("changes nothing; give it blocks, as {train: {keep: best_on_test}}")
    return Variant(
        name=name,
        decision=file.decision,
        why=file.why,
        left_out=file.left_out,
        parts=tuple(_read_part(place, problems) for place in places),
    )


def _read_part(node: Node, problems: Problems) -> Part:
    if not isinstance(node.value, dict):
        node.fail(f"must be blocks, not {described(node)}")
    build(_PartFile, node, problems=problems)
    blocks = read_blocks(node, problems)
    for name, values in blocks.items():
        with problems.collected():
            check_keys(name, values)
    when = node.value.get("when")
    wanted: dict[str, tuple[Any, ...]] = {}
    for name, inner in when.value.items() if when is not None and isinstance(when.value, dict) else ():
        plain = inner.plain()
        wanted[name] = tuple(plain) if isinstance(plain, list) else (plain,)
    return Part(blocks, wanted)
