"""One complete config of one measurement at one scale, to be read, edited and run: `show --resolved`, `run --spec`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.papers.override import keys_of, plain_value, titled, with_changes
from vtbench.papers.resolve import recipe_at
from vtbench.papers.select import select
from vtbench.papers.spec.document import Node, described, read_yaml
from vtbench.papers.spec.layers import NAMES
from vtbench.papers.spec.schema import Row
from vtbench.scales import SCALES, Scale

HEAD = """\
# Every setting of {row} at {scale} scale. `vtbench run --spec FILE` trains and tests it: as it stands it is
# the row's own measurement; with another value, or without a key, it is a variant of it.
"""


def resolved(row: Row, scale: Scale) -> str:
    """The config of the one measurement of a row, as YAML. Raises UsageError where the row has several at this scale,
    or none."""
    names = [name for name, spec in row.asked_recipes.items() if scale in spec.scales]
    if row.status != "runnable" or not names:
        raise UsageError(f"{row.id} has nothing to train or test at {scale} scale ({row.status})")
    if len(names) > 1:
        several = ", ".join(f"{row.id}@{name}" for name in names)
        raise UsageError(f"{row.id} has {len(names)} measurements; name one of {several}")
    (name,) = names
    blocks: dict[str, dict[str, Any]] = {block: {} for block in NAMES}
    for key, value in recipe_at(row, name, scale).leaves().items():
        block, _, inner = key.partition(".")
        blocks[block][inner] = plain_value(value)
    content = {
        "row": f"{row.id}@{name}",
        "scale": scale,
        **{block: values for block, values in blocks.items() if values},
    }
    return HEAD.format(row=f"{row.id}@{name}", scale=scale) + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )


def read_spec(path: Path) -> tuple[Row, Scale]:
    """The row of a config, restricted to its measurement and changed where the config differs from the row's own, and
    the scale. Raises SpecError, with file, line and key, for what does not fit."""
    if not path.is_file():
        raise UsageError(f"--spec {path}: no such file")
    top = read_yaml(path)
    if not isinstance(top.value, dict):
        top.fail(f"must be keys and values, as `vtbench show ROW --resolved` prints, not {described(top)}")
    given: dict[str, Node] = top.value
    for name, node in given.items():
        if name not in ("row", "scale", *NAMES):
            node.fail(unknown("key", name, ("row", "scale", *NAMES)))
    for name in ("row", "scale"):
        if name not in given:
            top.fail("missing; `vtbench show ROW --resolved` writes it", below=name)
    scale = given["scale"].value
    if scale not in SCALES:
        given["scale"].fail(unknown("scale", str(scale), SCALES))
    row, measurement = _row(given["row"])
    if scale not in row.recipes[measurement].scales:
        given["scale"].fail(f"'{measurement}' of {row.id} does not exist at {scale} scale")
    for block in NAMES:
        if block not in given and getattr(recipe_at(row, measurement, scale), block) is not None:
            top.fail("missing: a config says everything; `vtbench show ROW --resolved` writes it", below=block)
    return _edited(row, measurement, scale, given), scale


def _row(node: Node) -> tuple[Row, str]:
    rows: list[Row] = []
    if not isinstance(node.value, str):
        node.fail(f"must be text, as paper/table:row@measurement, not {described(node)}")
    try:
        rows = select([node.value])
    except UsageError as error:
        node.fail(str(error))
    if len(rows) != 1 or rows[0].status != "runnable" or len(rows[0].asked_recipes) != 1:
        node.fail("must name one measurement of a row that is trained, as paper/table:row@measurement")
    return rows[0], next(iter(rows[0].asked_recipes))


def _edited(row: Row, measurement: str, scale: Scale, given: Mapping[str, Node]) -> Row:
    """The row with what the config has otherwise than the row at this scale."""
    spec = row.recipes[measurement]
    now = {key: plain_value(value) for key, value in recipe_at(row, measurement, scale).leaves().items()}
    known = keys_of(spec)
    blocks: dict[str, dict[str, Node]] = {}
    for block in NAMES:
        node = given.get(block)
        if node is None:
            continue
        if not isinstance(node.value, dict):
            node.fail(f"must be keys and values, not {described(node)}")
        name = node.value.get("name") if block == "model" else None
        if name is not None and name.value != now.get("model.name"):
            name.fail(f"the row's network is {now.get('model.name')}; write a row of your own for another")
        for key, inner in node.value.items():
            if key not in (*known.get(block, ()), *(("name",) if block == "model" else ("pretraining",))):
                inner.fail(unknown("key", f"{block}.{key}", [f"{block}.{name}" for name in known.get(block, ())]))
            if not _same(inner.plain(), now.get(f"{block}.{key}")):
                blocks.setdefault(block, {})[key] = inner
        if block == "init" and (blocks.get("init") or any(f"init.{name}" not in now for name in node.value)):
            blocks["init"] = dict(node.value)
    for key in now:
        block, _, inner_key = key.partition(".")
        node = given.get(block)
        if node is None or inner_key not in node.value:
            where = node or given["row"]
            if block == "init":  # one choice: what is left of it stands for all
                blocks[block] = dict(node.value) if node is not None and node.value else {}
                if not blocks[block]:
                    where.fail("is empty; `scratch: true` starts from random weights")
                continue
            blocks.setdefault(block, {})[inner_key] = Node(None, where.file, where.line, key)
    if not blocks:
        return row
    title = titled({f"{block}.{name}": node for block, values in blocks.items() for name, node in values.items()})
    changed = with_changes(spec, blocks, title)
    try:
        changed.at(scale)
    except SpecError as error:
        raise SpecError(str(error).removeprefix(f"{row.where}: "), error.others) from error
    place = given["row"]
    recipes = {**row.recipes, measurement: changed}
    return dataclasses.replace(row, recipes=recipes, variant=title, file=place.file, line=place.line)


def _same(ours: Any, theirs: Any) -> bool:
    """Equal, and of one type: for Python, True is 1 and 5.0 is 5."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)
    return type(ours) is type(theirs) and bool(ours == theirs)
