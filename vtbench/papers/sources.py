"""Where each value of a row comes from: paper, official code or decision, another row, or the file itself."""

from __future__ import annotations

from collections.abc import Mapping

from vtbench.papers.load import load_paper
from vtbench.papers.selector import Selector
from vtbench.papers.spec.layers import RowRecipe, setter
from vtbench.papers.spec.recipe import Recipe
from vtbench.papers.spec.schema import Paper, Row, Source
from vtbench.scales import Scale


def source_key(key: str, recipe: Recipe, sources: Mapping[str, Source]) -> str | None:
    """The key of `sources` for a dotted key of a recipe: model.<name>.<argument> before model.<argument>, and the name
    of a block for its keys that have none of their own."""
    candidates = [key, key.partition(".")[0]]
    if key.startswith("model."):
        candidates.insert(0, f"model.{recipe.model.name}.{key.removeprefix('model.')}")
    return next((candidate for candidate in candidates if candidate in sources), None)


def value_sources(paper: Paper, row: Row, measurement: str) -> dict[str, str | None]:
    """Where every value of a row's recipe at paper scale comes from; None where the files do not say.

    A row that is `like` another cites that row's source for what it takes, and its own file for the rest.
    """
    spec = row.recipes[measurement]
    table = next(table for table in paper.tables if table.name == row.table)
    sources = {**paper.about.sources, **table.sources}
    found: dict[str, str | None] = {}
    for key in spec.recipe.leaves():
        if row.like is None:
            named = source_key(key, spec.recipe, sources)
            found[key] = str(sources[named]) if named else None
            continue
        layer = setter(spec.layers_at("paper"), key)
        if layer is not None and layer.like:
            taken = _source_of(layer.like, key)
            found[key] = f"like {layer.like}" + (f" ({taken})" if taken else "")
        else:
            found[key] = place(spec, key)
    return found


def _source_of(selector: str, key: str) -> str | None:
    """The source of a value in the row that another is like."""
    found = Selector.parse(selector)
    paper = load_paper(found.paper)
    row = next(row for row in paper.rows if (row.table, row.name) == (found.table, found.row))
    return value_sources(paper, row, str(found.measurement)).get(key)


def place(spec: RowRecipe, key: str, scale: Scale = "paper") -> str:
    """The file and line of a value; of the network's name, for an argument that it fills in itself."""
    for dotted in (key, "model.name"):
        layer = setter(spec.layers_at(scale), dotted)
        block, _, name = dotted.partition(".")
        if layer is not None and name in layer.blocks[block]:
            node = layer.blocks[block][name]
            return f"{node.file}:{node.line}"
    return f"{spec.row.file}:{spec.row.line}"
