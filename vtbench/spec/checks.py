"""What `vtbench check` holds against a paper beyond its schema: sources, scales, data sets."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Mapping

from vtbench.errors import DataError, SpecError, did_you_mean
from vtbench.spec.datasets import NO_FLIP, load_dataset
from vtbench.spec.load import load_paper, load_table, read_about, table_files
from vtbench.spec.locate import data_folder, shown
from vtbench.spec.schema import Measurement, Paper, Recipe, Row, Scale, Source, Table

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


def check(name: str) -> tuple[Paper | None, list[str]]:
    """A paper (None if it cannot be read) and everything that is wrong with its files, one line each."""
    wrong = []
    about = read_about(name)
    for path in table_files(name):
        try:
            load_table(path, about)
        except SpecError as error:
            wrong.append(str(error))
    if wrong:
        return None, wrong
    paper = load_paper(name)
    return paper, list(problems(paper))


def problems(paper: Paper) -> Iterator[str]:
    """What is wrong with a paper beyond its schema, one line each; nothing if all is well."""
    folder = shown(data_folder("benchmarks") / paper.name)
    used: dict[str, set[str]] = {"paper": set(), **{table.name: set() for table in paper.tables}}
    for table in paper.tables:
        for row in table.rows:
            where = f"{row.where}: row '{row.name}'"
            yield from _unsourced(paper, table, row, where, used)
            unscalable = list(_unscalable(row, where))
            yield from unscalable or _datasets(row, where)
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
    with contextlib.suppress(SpecError):  # a row that cannot be resolved is reported above
        yield from list(_merged_by_scale(paper))


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
    """What has no whole number at a small scale, and `init.row` that names no row or goes in a circle."""
    for scale in SCALES:
        try:
            row.measurements(scale)
        except SpecError as error:
            yield f"{where}: {error}"


def _datasets(row: Row, where: str) -> Iterator[str]:
    trainings = [m.evaluation.training for scale in SCALES for m in row.measurements(scale)]
    flips = {training.data.dataset: training.augment.flip for training in trainings}
    for dataset, flip in sorted(flips.items()):
        try:
            allowed = load_dataset(dataset).flip_allowed
            if flip and not allowed:
                yield f"{where}: augment.flip is {flip}: {NO_FLIP.format(dataset)}"
        except DataError as error:
            yield f"{where}: data.dataset: {error}"


def _merged_by_scale(paper: Paper) -> Iterator[str]:
    """Rows that are different measurements at paper scale must not become one at a smaller scale, unless they differ in
    what the small scales do not have: other data sets, official splits, other pretrained weights."""
    for scale in SCALES[:2]:
        seen: dict[tuple[Hashable, ...], tuple[str, Row]] = {}
        for row in paper.rows:
            at_paper = {m.name: _keys(m) for m in row.measurements("paper")}
            rooted = {
                m.name: (m.evaluation.data.dataset, m.evaluation.training.init.weights)
                for m in row.measurements("paper")
            }
            for m in row.measurements(scale):
                for kind, key in _keys(m).items() if m.name in at_paper else ():
                    before, other = seen.setdefault((*rooted[m.name], m.name, kind, key), (at_paper[m.name][kind], row))
                    if before != at_paper[m.name][kind]:
                        yield (
                            f"{row.where}: row '{row.name}': is the {kind} of {other.id} at {scale} scale but not at "
                            "paper scale; see vtbench/spec/scale.py"
                        )


def _keys(measurement: Measurement) -> dict[str, str]:
    return {"training": measurement.evaluation.training.key, "evaluation": measurement.evaluation.key}
