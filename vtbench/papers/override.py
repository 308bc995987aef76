"""`--set KEY=VALUE`: rows with some of their settings changed, for weights that were made by other settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import yaml

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.fields import writable
from vtbench.papers.code.signatures import FROM_DATA
from vtbench.papers.spec.document import Node, node_of
from vtbench.papers.spec.layers import Layer, RowRecipe
from vtbench.papers.spec.recipe import BLOCKS
from vtbench.papers.spec.schema import Row

CHANGEABLE = ("data", "model", "eval")
"""The blocks that matter to given weights: how they were trained is over."""


def with_settings(rows: Sequence[Row], settings: Sequence[str]) -> list[Row]:
    """The rows that have a recipe, with "model.first=next", "eval.clips=10", ... in place of their own at every scale.

    Values are YAML. Raises UsageError, naming the setting, for a key that a row's recipe cannot have, a value it cannot
    take, or no row to change.
    """
    changeable = [row for row in rows if row.recipes]
    if not changeable:
        raise UsageError(f"--set {settings[0]}: none of these rows has settings; their numbers are quoted")
    return [_changed(row, settings) for row in changeable]


def _changed(row: Row, settings: Sequence[str]) -> Row:
    blocks: dict[str, dict[str, Node]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: must be KEY=VALUE, as in --set eval.clips=10")
        for spec in row.recipes.values():
            _refuse_unknown(row, key, spec)
        try:
            node = node_of(text, "--set", key)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {setting}: the value is not YAML") from error
        block, _, name = key.partition(".")
        for spec in row.recipes.values():  # one setting at a time, so that the message can name it
            _apply(row, spec, {block: {name: node}}, f"--set {setting}")
        blocks.setdefault(block, {})[name] = node
    layer = Layer("paper", blocks, why={"": "--set"})
    for spec in row.recipes.values():
        _apply(row, spec, blocks, f"--set {' '.join(settings)}: {row.id}", together=True)
    return dataclasses.replace(row, changed=layer)


def _apply(
    row: Row, spec: RowRecipe, blocks: dict[str, dict[str, Node]], named: str, *, together: bool = False
) -> None:
    """Refuse a value that the recipe cannot take; settings that do not go together only where all are given."""
    try:
        spec.at("paper", Layer("paper", blocks))
    except SpecError as error:
        problems = [line.removeprefix("--set:1: ") for line in error.problems]
        keys = {f"{block}.{name}" for block, values in blocks.items() for name in values}
        own = [line for line in problems if any(line.startswith((f"{key}:", f"{key}[")) for key in keys)]
        if own:
            what = own[0].partition(": ")[2]
            raise UsageError(f"{named}: {what}") from error
        if together:
            raise UsageError(f"{named}: {problems[0].removeprefix(f'{row.where}: ')}") from error


def _refuse_unknown(row: Row, key: str, spec: RowRecipe) -> None:
    block, _, name = key.partition(".")
    arguments = [n for n in spec.builders.signature(spec.recipe.model.name) if n not in FROM_DATA]
    known = {b: list(writable(BLOCKS[b])) if b != "model" else arguments for b in CHANGEABLE}
    if name not in known.get(block, ()):
        allowed = [f"{b}.{n}" for b, names in known.items() for n in names]
        raise UsageError(f"--set {key}: {unknown('setting', key, allowed, of=row.id)}")
