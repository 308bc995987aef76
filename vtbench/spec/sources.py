"""Where each value of a row's recipe comes from, and what a paper's sources lack or hold in vain (`vtbench check`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from vtbench.errors import DataError, did_you_mean
from vtbench.spec.locate import data_folder, shown
from vtbench.spec.manifests import load_dataset
from vtbench.spec.scale import at_scale
from vtbench.spec.schema import METRICS, Paper, Recipe, Row, Scale, Source, Table

SCALES: tuple[Scale, ...] = ("smoke", "mini", "paper")


def source_key(key: str, recipe: Recipe, sources: Mapping[str, Source]) -> str | None:
    """The key of `sources` for a dotted key of a recipe: model.<name>.<argument> before model.<argument>."""
    candidates = [key]
    if key.startswith("model."):
        candidates.insert(0, f"model.{recipe.model.name}.{key.removeprefix('model.')}")
    return next((candidate for candidate in candidates if candidate in sources), None)


def row_sources(paper: Paper, row: Row, recipe: Recipe) -> dict[str, Source | None]:
    """The source of every value of a row's paper-scale recipe; None where there is none."""
    table = next(table for table in paper.tables if table.name == row.table)
    sources = {**paper.about.sources, **table.sources}
    keys = {key: source_key(key, recipe, sources) for key in recipe.leaves()}
    return {key: sources[found] if found else None for key, found in keys.items()}


def problems(paper: Paper) -> Iterator[str]:
    """What is wrong with a paper beyond its schema, one line each; nothing if all is well."""
    folder = shown(data_folder("benchmarks") / paper.name)
    used: dict[str, set[str]] = {"paper": set(), **{table.name: set() for table in paper.tables}}
    for table in paper.tables:
        for row in table.rows:
            where = f"{folder}/{table.name}.yaml:{row.line}: row '{row.name}'"
            yield from _unsourced(paper, table, row, where, used)
            yield from _unscalable(row, where)
            yield from _datasets(row, where)
    for name, sources in (("paper", paper.about.sources), *((table.name, table.sources) for table in paper.tables)):
        for key, source in sources.items():
            if key not in used[name]:
                yield f"{folder}/{name}.yaml: sources.{key}: no row of the paper has this key; remove it"
            if source.decision and source.decision not in paper.about.decisions:
                near = did_you_mean(source.decision, paper.about.decisions)
                yield f"{folder}/{name}.yaml: sources.{key}: no decision '{source.decision}'{near}"
            if source.not_stated and source.not_stated not in paper.about.not_stated:
                near = did_you_mean(source.not_stated, paper.about.not_stated)
                yield f"{folder}/{name}.yaml: sources.{key}: no entry '{source.not_stated}' in not_stated{near}"
    yield from _merged_by_scale(paper, folder)


def _unsourced(paper: Paper, table: Table, row: Row, where: str, used: dict[str, set[str]]) -> Iterator[str]:
    for spec in row.recipes.values():
        if "paper" not in spec.scales:
            continue
        for key in spec.recipe.leaves():
            for name, sources in ((table.name, table.sources), ("paper", paper.about.sources)):
                found = source_key(key, spec.recipe, sources)
                if found:
                    used[name].add(found)
                    break
            else:
                yield f"{where}: {key} has no source; add it to `sources` of paper.yaml or of this table"


def _unscalable(row: Row, where: str) -> Iterator[str]:
    """Resolving raises SpecError for what cannot be scaled, and for a circle of `init.row`."""
    for scale in SCALES:
        row.measurements(scale)
        for spec in row.recipes.values():
            at_scale(row, spec.recipe, scale)
    for name in row.published:
        if name.endswith("_" + METRICS[0]) and not row.recipes:
            yield f"{where}: published.{name}: the row has no measurements"


def _datasets(row: Row, where: str) -> Iterator[str]:
    named = {m.evaluation.data.dataset for scale in SCALES for m in row.measurements(scale)}
    for dataset in sorted(named):
        try:
            load_dataset(dataset)
        except DataError as error:
            yield f"{where}: data.dataset: {error}"


def _merged_by_scale(paper: Paper, folder: str) -> Iterator[str]:
    """Rows that are different trainings at paper scale must not become one at a smaller scale."""
    for scale in SCALES[:2]:
        seen: dict[tuple[str, str], tuple[str, Row]] = {}
        for row in paper.rows:
            at_paper = {m.name: m.evaluation.training.key for m in row.measurements("paper")}
            for m in row.measurements(scale):
                if m.name not in at_paper:
                    continue
                key = (m.name, m.evaluation.training.key)
                before, other = seen.setdefault(key, (at_paper[m.name], row))
                if before != at_paper[m.name]:
                    yield (
                        f"{folder}/{row.table}.yaml:{row.line}: row '{row.name}': is the training of {other.id} at "
                        f"{scale} scale but not at paper scale; see vtbench/spec/scale.py"
                    )


def files(paper: Paper) -> list[Path]:
    """The files that a paper was read from."""
    folder = data_folder("benchmarks") / paper.name
    return [folder / "paper.yaml", *(folder / f"{table.name}.yaml" for table in paper.tables)]
