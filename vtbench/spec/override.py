"""`--set KEY=VALUE`: a row with some of its settings changed, for weights that were made by other settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.spec.document import convert, field_hints, node_of
from vtbench.spec.schema import BLOCKS, Recipe, Row
from vtbench.spec.signatures import FROM_DATA, Builders

CHANGEABLE = ("data", "model", "eval")
"""The blocks that matter to given weights: how they were trained is over."""


def with_settings(row: Row, settings: Sequence[str]) -> Row:
    """`row` with "model.first=next", "eval.clips=10", ... in its paper-scale recipes; values are YAML.

    Raises UsageError, naming the setting, for a key that the row's recipe cannot have or a value it cannot take.
    """
    if not settings:
        return row
    recipes = {}
    for name, spec in row.recipes.items():
        leaves = spec.recipe.leaves()
        for setting in settings:
            key, equals, text = setting.partition("=")
            if not equals:
                raise UsageError(f"--set {setting}: must be KEY=VALUE, as in --set eval.clips=10")
            try:
                leaves[key] = _value(row, key, text, spec.recipe)
            except SpecError as error:  # at "--set:1: <key>: ", which is no place to look at
                raise UsageError(f"--set {setting}: {str(error).partition(f'{key}: ')[2]}") from error
        try:
            recipes[name] = dataclasses.replace(spec, recipe=Recipe.from_leaves(leaves))
        except ValueError as error:
            raise UsageError(f"--set {' '.join(settings)}: {error}") from error
    return dataclasses.replace(row, recipes=recipes)


def _value(row: Row, key: str, text: str, recipe: Recipe) -> Any:
    block, _, name = key.partition(".")
    known: dict[str, Any] = {}
    if block == "model":
        signature = Builders().signature(recipe.model.name)
        known = {argument: signature[argument].hint for argument in signature if argument not in FROM_DATA}
    elif block in CHANGEABLE:
        known = field_hints(BLOCKS[block])
    if name not in known:
        allowed = [f"{b}.{n}" for b in CHANGEABLE for n in (field_hints(BLOCKS[b]) if b != "model" else known)]
        raise UsageError(f"--set {key}: {row.id} has no such setting{did_you_mean(key, allowed)}")
    try:
        node = node_of(text, "--set", key)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {key}={text}: the value is not YAML") from error
    return convert(node, known[name])
