"""What the names in a table stand for must exist: decisions, baselines, means, metrics, arguments of networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vtbench.errors import did_you_mean
from vtbench.papers.document import Node, Problems
from vtbench.papers.layers import Layer, RowRecipe
from vtbench.papers.schema import METRICS, PaperFile, Row
from vtbench.papers.signatures import Builders, called


def known_notes(node: Node, about: PaperFile | None) -> None:
    if about is None or "notes" not in node.value:
        return
    for note in node.value["notes"].value:
        if note.value not in about.decisions:
            note.fail(f"{note.value!r} is no decision of paper.yaml{did_you_mean(str(note.value), about.decisions)}")


def known_to_one(layers: Iterable[Layer], rows: Sequence[Row], builders: Builders, problems: Problems) -> None:
    """Whatever shared blocks say of a small scale, one row can use: its network has the argument, it has the block."""
    recipes = [spec.recipe for row in rows for spec in row.recipes.values()]
    if not recipes:
        return
    arguments: dict[str, Any] = {"name": None}
    for network in dict.fromkeys(recipe.model.name for recipe in recipes):
        arguments |= builders.signature(network)
    for layer in layers:
        for dotted, node in layer.values():
            block, _, name = dotted.partition(".")
            with problems.collected():
                if block == "model" and name not in arguments:
                    node.fail(f"no network of these rows has such an argument{did_you_mean(name, arguments)}")
                if all(getattr(recipe, block) is None for recipe in recipes):
                    node.fail(f"none of these rows has a block `{block}` at paper scale; remove it")


def known_baselines(nodes: list[Node], rows: Mapping[str, Row], problems: Problems) -> None:
    """`baseline` names a row of the same table that is measured against no other itself."""
    lines = {node.line: node for node in nodes}
    for name, row in rows.items():
        if row.baseline is None:
            continue
        with problems.collected():
            given = lines[row.line].value["baseline"]
            if row.baseline == name or row.baseline not in rows:
                others = [other for other in rows if other != name]
                given.fail(f"'{row.baseline}' is no other row of this table{did_you_mean(row.baseline, others)}")
            if rows[row.baseline].baseline is not None:
                given.fail(
                    f"'{row.baseline}' has a baseline itself, '{rows[row.baseline].baseline}'; name a row that has none"
                )


def known_means(row: Node, means: Mapping[str, tuple[str, ...]], recipes: Mapping[str, RowRecipe]) -> None:
    """A mean is over two or more measurements of the row, and has the name of none."""
    for name, parts in means.items():
        if name in recipes:
            row.fail(f"'{name}' is a measurement of this row; a mean has a name of its own", below="means")
        if len(set(parts)) < max(2, len(parts)):
            row.fail(f"must be two or more measurements, each once, not {list(parts)}", below=f"means.{name}")
        for part in parts:
            if part not in recipes:
                row.fail(f"'{part}' is no measurement of this row{did_you_mean(part, recipes)}", below=f"means.{name}")


def known_metrics(
    row: Node, recipes: Mapping[str, RowRecipe], means: Iterable[str], table_metrics: Node | None
) -> None:
    """A published key is a metric, or the name of a measurement or a mean and a metric ("sthv1_top1").

    `table_metrics`: the `eval.metrics` of the table's `defaults`, which a row that only quotes numbers may print too.
    """
    own = [name for spec in recipes.values() if spec.recipe.eval for name in spec.recipe.eval.metrics or ()]
    if not recipes and table_metrics is not None:
        own += [item.value for item in table_metrics.value or ()]
    known = [*METRICS, *(called(name) for name in dict.fromkeys(own))]
    measured = {*recipes, *means}
    for name, node in row.value["published"].value.items() if "published" in row.value else ():
        # The longest: "train_memory_gb" is no "memory_gb" of a measurement called "train".
        metric = max((m for m in known if name == m or name.endswith(f"_{m}")), key=len, default=None)
        if metric is None:
            node.fail(f"is no metric{did_you_mean(name, known)}")
        measurement = name.removesuffix(metric).removesuffix("_")
        if measurement and measured and measurement not in measured:
            node.fail(f"'{measurement}' is no measurement of this row{did_you_mean(measurement, sorted(measured))}")
