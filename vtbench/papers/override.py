"""`--variant NAME`, `--set KEY=VALUE` and `--init ROW=FILE`: rows with some of their settings changed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.fields import writable
from vtbench.papers.code.signatures import FROM_DATA, GIVEN_TO_METHODS
from vtbench.papers.load import load_paper
from vtbench.papers.spec.document import Node, node_of
from vtbench.papers.spec.layers import NAMES, Layer, RowRecipe
from vtbench.papers.spec.recipe import BLOCKS, Pretraining
from vtbench.papers.spec.schema import Row
from vtbench.papers.spec.variants import Variant
from vtbench.scales import Scale, at_scale

Changes = Mapping[str, Mapping[str, Node]]
"""Block -> key -> value."""


def changed_rows(rows: Sequence[Row], variants: Sequence[str], settings: Sequence[str]) -> list[Row]:
    """The rows that have a recipe, with variants of their papers and then settings ("model.first=next", ...) in place
    of their own at every scale. Rows that lack one of the variants are left out.

    Values are YAML; an empty one removes the key. Raises UsageError, naming the setting, for a key that a row's recipe
    cannot have, a value it cannot take, a variant that no row has, and no row to change.
    """
    changeable = [row for row in rows if row.recipes]
    if not changeable:
        option = f"--set {settings[0]}" if settings else f"--variant {variants[0]}"
        raise UsageError(f"{option}: none of these rows has settings; their numbers are quoted")
    for name in variants:
        changeable = _having(changeable, name)
    return [_changed(row, variants, settings) for row in changeable]


def with_starts(rows: Sequence[Row], starts: Mapping[str, str], scale: Scale) -> list[Row]:
    """The rows, those measurements that start at this scale from one of the rows in `starts` starting from weights of a
    name in its place.

    - starts: paper/table:row, or paper/table:row@measurement -> the name

    Raises UsageError for one that no measurement starts from.
    """
    left, known = dict(starts), set()
    changed = []
    for row in rows:
        recipes, names = dict(row.recipes), []
        for measurement, spec in row.asked_recipes.items():
            start = _start_of(row, spec, scale)
            known |= {start} - {None}
            given = next((one for one in (start, start and start.partition("@")[0]) if one in starts), None)
            if given is None:
                continue
            left.pop(given, None)
            node = node_of(starts[given], "--init", "weights")
            before = spec.changed.blocks if spec.changed else {}
            recipes[measurement] = with_changes(spec, {**before, "init": {"weights": node}}, f"--init {given}=FILE")
            names.append(titled({"init.weights": node}))
        if names:
            title = ";".join(dict.fromkeys([*([row.variant] if row.variant else []), *names]))
            row = dataclasses.replace(row, recipes=recipes, variant=title)
        changed.append(row)
    if left:
        they = f"; they start from {', '.join(sorted(filter(None, known)))}" if known else ""
        raise UsageError(f"--init {next(iter(left))}: none of these rows starts from it{at_scale(scale)}{they}")
    return changed


def _start_of(row: Row, spec: RowRecipe, scale: Scale) -> str | None:
    """The row or measurement that a recipe starts from, as its file names it; None where it starts from weights."""
    if scale not in spec.scales or row.status != "runnable":
        return None
    init = spec.at(scale).init
    if init is None:
        return None
    return f"{row.id}@{init.measurement}" if init.measurement else init.row


def split_title(title: str) -> list[str]:
    """The variants and settings that the title of a changed row names. A semicolon may stand inside a value."""
    parts: list[str] = []
    for part in title.split(";"):
        if parts and "=" in parts[-1] and not re.match(r"\w+\.\w+=|[\w-]+$", part):
            parts[-1] += f";{part}"
        else:
            parts.append(part)
    return parts


# ---- variants --------------------------------------------------------------------------------------------------------


def variants_of(row: Row) -> dict[str, Variant]:
    """The variants of its paper that change something in the row."""
    return {
        name: variant
        for name, variant in load_paper(row.paper).about.variants.items()
        if any(variant.blocks_for(spec) for spec in row.recipes.values())
    }


def _having(rows: Sequence[Row], name: str) -> list[Row]:
    """Those of the rows that have a variant."""
    having = [row for row in rows if name in variants_of(row)]
    if having:
        return having
    known = list(dict.fromkeys(variant for row in rows for variant in variants_of(row)))
    which = rows[0].id if len(rows) == 1 else "this selection"
    raise UsageError(f"--variant {name}: {unknown('variant', name, known, of=which)}")


# ---- rows ------------------------------------------------------------------------------------------------------------


def _changed(row: Row, variants: Sequence[str], settings: Sequence[str]) -> Row:
    named = load_paper(row.paper).about.variants if variants else {}
    given = dict(_settings(row, settings))
    why = " ".join([*(f"--variant {name}" for name in variants), *(f"--set {setting}" for setting in settings)])
    recipes = {}
    for measurement, spec in row.recipes.items():
        of_variants: dict[str, dict[str, Node]] = {}
        for name in variants:
            _lay(of_variants, named[name].blocks_for(spec))
        on_top: dict[str, dict[str, Node]] = {}
        for key, node in given.values():
            block, _, name = key.partition(".")
            _lay(on_top, {block: {name: node}})
        made = with_changes(spec, on_top, why) if on_top else spec
        if of_variants:
            made = dataclasses.replace(made, variant=Layer("paper", of_variants, why={"": why}))
        recipes[measurement] = made
        option = f"--set {' '.join(settings)}" if settings else f"--variant {' '.join(variants)}"
        _apply(row, made, f"{option}: {row.id}", together=True)
    title = ";".join([*variants, *([titled(dict(given.values()))] if given else [])])
    return dataclasses.replace(row, recipes=recipes, variant=title)


def titled(settings: Mapping[str, Node]) -> str:
    """What settings by dotted key are called in results.csv."""
    return ";".join(f"{key}={_text(settings[key])}" for key in sorted(settings))


def with_changes(spec: RowRecipe, blocks: Changes, why: str) -> RowRecipe:
    """A recipe with blocks on top."""
    return dataclasses.replace(spec, changed=Layer("paper", blocks, why={"": why}))


def _lay(blocks: dict[str, dict[str, Node]], upon: Changes) -> None:
    """`upon` on top of blocks. `init` is one choice: it is replaced as a whole."""
    for block, values in upon.items():
        if block == "init":
            blocks[block] = dict(values)
        else:
            blocks.setdefault(block, {}).update(values)


def _settings(row: Row, settings: Sequence[str]) -> Iterator[tuple[str, tuple[str, Node]]]:
    """Each setting by its key, as key and value, once it is known that each of the row's recipes can take it."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: must be KEY=VALUE, as in --set eval.clips=10")
        for spec in row.recipes.values():
            _refuse_unknown(row, key, spec)
        try:
            node = node_of(text, "--set", key)
        except (yaml.YAMLError, UnicodeError) as error:
            raise UsageError(f"--set {setting}: the value is not YAML") from error
        except SpecError as error:
            what = str(error).removeprefix("--set:1: ").removeprefix(f"{key}: ")
            raise UsageError(f"--set {setting}: {what}") from error
        block, _, name = key.partition(".")
        for spec in row.recipes.values():  # one setting at a time, so that the message can name it
            _apply(row, with_changes(spec, {block: {name: node}}, ""), f"--set {setting}")
        yield key, (key, node)


def _apply(row: Row, spec: RowRecipe, named: str, *, together: bool = False) -> None:
    """Refuse a value that the recipe cannot take; settings that do not go together only where all are given."""
    try:
        spec.at("paper")
    except SpecError as error:
        problems = [line.removeprefix("--set:1: ") for line in error.problems]
        layers = (layer for layer in (spec.variant, spec.changed) if layer is not None)
        keys = {key for layer in layers for key, _ in layer.values()}
        own = [line for line in problems if any(line.startswith((f"{key}:", f"{key}[")) for key in keys)]
        if own:
            what = own[0].partition(": ")[2]
            raise UsageError(f"{named}: {what}") from error
        if together:
            raise UsageError(f"{named}: {problems[0].removeprefix(f'{row.where}: ')}") from error


def _refuse_unknown(row: Row, key: str, spec: RowRecipe) -> None:
    known = {block: list(names) for block, names in keys_of(spec).items()}
    block, _, name = key.partition(".")
    if name not in known.get(block, ()):
        allowed = [f"{b}.{n}" for b, names in known.items() for n in names]
        raise UsageError(f"--set {key}: {unknown('setting', key, allowed, of=row.id)}")


def keys_of(spec: RowRecipe) -> dict[str, list[str]]:
    """Block -> the keys that it can have in a recipe, for the blocks that the recipe has."""
    recipe, builders = spec.recipe, spec.builders
    known = {}
    for block in NAMES:
        if getattr(recipe, block) is None:
            continue
        if block == "model":
            known[block] = [name for name in builders.signature(recipe.model.name) if name not in FROM_DATA]
            continue
        known[block] = [name for name in writable(BLOCKS[block]) if name != "pretraining"]
        if block == "train" and recipe.train is not None:
            signature = builders.method(Node(recipe.train.method, "", 1, "")) or {}
            known[block] += [name for name in signature if name not in (*GIVEN_TO_METHODS, *known[block])]
    return known


def _text(node: Node) -> str:
    """A value as YAML in one line."""
    value: Any = node.plain()
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n")
    return text.strip()


def plain_value(value: Any) -> Any:
    """A setting as a spec file writes it."""
    if isinstance(value, Pretraining):
        blocks = {block: dict(values) for block, values in value.settings.items()}
        model = {"name": value.model, **blocks.pop("model", {})}
        return {"dataset": value.dataset, "model": model if len(model) > 1 else value.model, **plain_value(blocks)}
    if isinstance(value, Mapping):
        return {name: plain_value(inner) for name, inner in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value
