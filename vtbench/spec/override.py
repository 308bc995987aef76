"""`--set KEY=VALUE`: rows with some of their settings changed, for weights that were made by other settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import yaml

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.spec.document import check_range, convert, node_of, writable
from vtbench.spec.schema import BLOCKS, Recipe, Row
from vtbench.spec.signatures import FROM_DATA, Builders

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
    changed: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: must be KEY=VALUE, as in --set eval.clips=10")
        for spec in row.recipes.values():
            try:
                changed[key] = _value(row, key, text, spec.recipe)
            except SpecError as error:  # at "--set:1: ", which is no place to look at
                what = str(error).removeprefix("--set:1: ").removeprefix(f"{key}: ")
                raise UsageError(f"--set {setting}: {what}") from error
    for spec in row.recipes.values():
        leaves = {key: value for key, value in {**spec.recipe.leaves(), **changed}.items() if value is not None}
        try:
            Recipe.from_leaves(leaves)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--set {' '.join(settings)}: {row.id}: {error}") from error
    return dataclasses.replace(row, changed=changed)


def _value(row: Row, key: str, text: str, recipe: Recipe) -> Any:
    block, _, name = key.partition(".")
    known: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    if block == "model":
        signature = Builders().signature(recipe.model.name)
        known = {argument: signature[argument].hint for argument in signature if argument not in FROM_DATA}
    elif block in CHANGEABLE:
        fields = writable(BLOCKS[block])
        known = {field: hint for field, (_, hint) in fields.items()}
        limits = dict(fields[name][0].metadata) if name in fields else {}
    if name not in known:
        allowed = [f"{b}.{n}" for b in CHANGEABLE for n in (writable(BLOCKS[b]) if b != "model" else known)]
        raise UsageError(f"--set {key}: {row.id} has no such setting{did_you_mean(key, allowed)}")
    try:
        node = node_of(text, "--set", key)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {key}={text}: the value is not YAML") from error
    value = convert(node, known[name])
    if limits:
        check_range(node, value, limits)
    return value
