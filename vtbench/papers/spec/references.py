"""What the names in a table stand for must exist: decisions, baselines, means, metrics, arguments of networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vtbench.errors import SpecError, unknown
from vtbench.metrics import METRICS, accuracies, always_measured
from vtbench.papers.code.signatures import Builders, called
from vtbench.papers.spec.document import Node, Problems
from vtbench.papers.spec.layers import Layer, RowRecipe
from vtbench.papers.spec.schema import PaperFile, Row


def check_notes(node: Node, about: PaperFile | None, problems: Problems) -> None:
    """`notes` of a table or a row are decisions of paper.yaml."""
    notes = node.value.get("notes")
    if about is None or notes is None or not isinstance(notes.value, list):
        return
    for note in notes.value:
        with problems.collected():
            if isinstance(note.value, str) and note.value not in about.decisions:
                note.fail(unknown("decision", note.value, about.decisions, of="paper.yaml"))


def check_attentions(node: Node, builders: Builders, problems: Problems) -> None:
    """`complexity` names attentions whose growth can be counted."""
    given = node.value.get("complexity")
    for name in given.value if given is not None and isinstance(given.value, list) else ():
        with problems.collected():
            if name.value not in (known := builders.attentions()):
                name.fail(unknown("attention", name.value, known))


def check_baselines(nodes: Mapping[str, Node], rows: Mapping[str, Row], problems: Problems) -> None:
    """`baseline` names a row of the same table that is measured against no other itself. `nodes`: row -> where it
    stands."""
    for name, row in rows.items():
        if row.baseline is None:
            continue
        with problems.collected():
            given = nodes[name].value["baseline"]
            if row.baseline == name or row.baseline not in nodes:
                others = [other for other in nodes if other != name]
                given.fail(unknown("other row", row.baseline, others, of="this table"))
            if row.baseline in rows and rows[row.baseline].baseline is not None:
                given.fail(
                    f"'{row.baseline}' has a baseline itself, '{rows[row.baseline].baseline}'; name a row that has none"
                )


def check_means(row: Node, means: Mapping[str, Node], recipes: Mapping[str, RowRecipe], problems: Problems) -> None:
    """A mean is over two or more measurements of the row, and has the name of none. `means`: name -> where its parts
    stand."""
    for name, node in means.items():
        parts = [part.value for part in node.value] if isinstance(node.value, list) else []
        with problems.collected():
            if name in recipes:
                node.fail(f"'{name}' is a measurement of this row; a mean has a name of its own")
            if len(set(map(str, parts))) < max(2, len(parts)):
                node.fail(f"must be two or more measurements, each once, not {parts}")
            for part in node.value:
                if isinstance(part.value, str) and part.value not in recipes:
                    part.fail(unknown("measurement", part.value, recipes, of=f"row {row.value['id'].value}"))


def check_published(
    row: Node, recipes: Mapping[str, RowRecipe], means: Iterable[str], table_metrics: Node | None, problems: Problems
) -> None:
    """A published key is a metric, or the name of a measurement or a mean and a metric ("sthv1_top1").

    An accuracy that a test measures only if asked to is printed by rows that ask for it. `table_metrics`: the
    `eval.metrics` of the table's `defaults`, which a row that only quotes numbers may print too.
    """
    own = [name for spec in recipes.values() if spec.recipe.eval for name in spec.recipe.eval.metrics or ()]
    if not recipes and table_metrics is not None and isinstance(table_metrics.value, list):
        own += [item.value for item in table_metrics.value if isinstance(item.value, str)]
    asked = [called(name) for name in dict.fromkeys(own)]
    known = [*METRICS, *(name for name in asked if name not in METRICS)]
    unasked = {*accuracies()} - {*always_measured(), *asked} if recipes else set()
    measured = sorted({*recipes, *means})
    published = row.value.get("published")
    for name, node in published.value.items() if published and isinstance(published.value, dict) else ():
        with problems.collected():
            # The longest: "train_memory_gb" is no "memory_gb" of a measurement called "train".
            metric = max((m for m in known if name == m or name.endswith(f"_{m}")), key=len, default=None)
            if metric is None:
                node.fail(unknown("metric", name, known))
            if metric in unasked:
                node.fail(f"{metric} is measured where it is asked for; add it to eval.metrics")
            measurement = name.removesuffix(metric).removesuffix("_")
            if measurement and measured and measurement not in measured:
                node.fail(unknown("measurement", measurement, measured, of="this row"))


def check_shared(rows: Sequence[Row], builders: Builders, problems: Problems, *, complete: bool) -> None:
    """Whatever shared blocks say of a small scale, one of the rows below them can use: its network has the argument, it
    has the block. `complete`: the rows are all that there are; where some cannot be read, an argument is only refused
    if no network at all has it."""
    below: dict[int, tuple[Layer, list[RowRecipe]]] = {}
    for row in rows:
        for spec in row.recipes.values():
            for layer in spec.layers:
                if layer.shared and layer.scale != "paper" and not layer.like:
                    below.setdefault(id(layer), (layer, []))[1].append(spec)
    for layer, specs in below.values():
        arguments = _arguments(specs, builders, complete=complete)
        for dotted, node in layer.values():
            block, _, name = dotted.partition(".")
            with problems.collected():
                if block == "model" and name not in arguments:
                    node.fail(unknown("argument", name, arguments, of="the network of each of these rows"))
                if complete and all(getattr(spec.recipe, block) is None for spec in specs):
                    node.fail(f"none of these rows has a block `{block}` at paper scale; remove it")


def _arguments(specs: Sequence[RowRecipe], builders: Builders, *, complete: bool) -> dict[str, Any]:
    """The arguments of all networks that the rows have at any scale; of every network there is, unless `complete`."""
    names = [spec.recipe.model.name for spec in specs]
    for spec in specs:
        names += [
            layer.blocks["model"]["name"].value
            for layer in spec.layers
            if "name" in layer.blocks.get("model", {}) and isinstance(layer.blocks["model"]["name"].value, str)
        ]
    found: dict[str, Any] = {"name": None}
    for name in dict.fromkeys([*names, *(() if complete else builders.models())]):
        try:
            found |= builders.signature(name)
        except SpecError:
            continue  # reported where the name stands
    return found
