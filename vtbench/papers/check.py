"""What `vtbench check` holds against a paper beyond its schema: sources, reasons, scales, data sets."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from vtbench.errors import DataError, SpecError, did_you_mean
from vtbench.papers.datasets import NO_FLIP, load_dataset
from vtbench.papers.layers import RowRecipe, reason, setter
from vtbench.papers.load import load_paper, read_paper
from vtbench.papers.recipe import Recipe
from vtbench.papers.resolve import measurements
from vtbench.papers.roots import shown
from vtbench.papers.schema import Paper, Row, Source, Table
from vtbench.papers.selector import Selector
from vtbench.papers.trainings import Measurement
from vtbench.scales import SCALES, Scale

# ---- sources ---------------------------------------------------------------------------------------------------------


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
            found[key] = _place(spec, key)
    return found


def _source_of(selector: str, key: str) -> str | None:
    """The source of a value in the row that another is like."""
    place = Selector.parse(selector)
    paper = load_paper(place.paper)
    row = next(row for row in paper.rows if (row.table, row.name) == (place.table, place.row))
    return value_sources(paper, row, str(place.measurement)).get(key)


def _place(spec: RowRecipe, key: str) -> str:
    """The file and line of a value at paper scale; of the network's name, for an argument that it fills in itself."""
    for dotted in (key, "model.name"):
        layer = setter(spec.layers_at("paper"), dotted)
        block, _, name = dotted.partition(".")
        if layer is not None and name in layer.blocks[block]:
            node = layer.blocks[block][name]
            return f"{node.file}:{node.line}"
    return f"{spec.row.file}:{spec.row.line}"


# ---- check -----------------------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """What was found wrong, one line for each key however many rows it concerns."""

    lines: list[str] = field(default_factory=list)
    by_key: dict[tuple[str, str], tuple[str, list[str]]] = field(default_factory=dict)
    """(key, what is wrong with it) -> where it is first, and the rows it is wrong in."""

    def add(self, line: str) -> None:
        """A problem of its own."""
        if line not in self.lines:
            self.lines.append(line)

    def add_key(self, key: str, what: str, where: str, row: str) -> None:
        """A problem of a key, which other rows may have too."""
        rows = self.by_key.setdefault((key, what), (where, []))[1]
        if row not in rows:
            rows.append(row)

    def all(self) -> list[str]:
        """Every problem, one line each."""
        grouped = []
        for (key, what), (where, rows) in self.by_key.items():
            several = f" (in {len(rows)} rows)" if len(rows) > 1 else ""
            grouped.append(f"{where}: {key} {what.format(several=several)}")
        return [*self.lines, *grouped]


def check(name: str) -> tuple[Paper | None, list[str]]:
    """A paper (None if its paper.yaml cannot be read), and everything that is wrong with its files, one line each with
    file and line. Where some rows cannot be read, the others are checked all the same."""
    paper, unreadable = read_paper(name)
    if paper is None:
        return None, list(unreadable)
    findings = Findings(list(unreadable))
    used: dict[str, set[str]] = {"paper": set(), **{table.name: set() for table in paper.tables}}
    resolved: dict[tuple[str, Scale], list[Measurement]] = {}
    for table in paper.tables:
        if table.source is None and any(row.like is None for row in table.rows):
            findings.add(f"{table.file}:1: source is missing; it says where the table is printed, as {{table: 2}}")
        for row in table.rows:
            _sources(paper, table, row, findings, used)
            _reasons(row, findings)
            found: dict[str, str] = {}
            for scale in SCALES:
                try:
                    resolved[row.id, scale] = measurements(row, scale)
                except SpecError as error:
                    for problem in error.problems:  # once, where a smaller scale only repeats it
                        found.setdefault(problem.replace(scale, ""), problem)
            for problem in found.values():
                findings.add(problem)
            _flips(row, resolved, findings)
    if not unreadable:  # else a row that is missing might have been the one that needs the source
        _unused_sources(paper, used, findings)
    _merged_by_scale(paper, resolved, findings)
    return (None if unreadable else paper), findings.all()


def _sources(paper: Paper, table: Table, row: Row, findings: Findings, used: dict[str, set[str]]) -> None:
    for spec in row.recipes.values():
        if "paper" not in spec.scales or row.like:
            continue
        for key in spec.recipe.leaves():
            for name, sources in ((table.name, table.sources), ("paper", paper.about.sources)):
                found = source_key(key, spec.recipe, sources)
                if found:
                    used[name].add(found)
                    break
            else:
                what = "has no source{several}; add it to `sources` of paper.yaml or of the table"
                findings.add_key(key, what, _place(spec, key), row.id)


def _reasons(row: Row, findings: Findings) -> None:
    """Every value that a small scale gives says why."""
    for spec in row.recipes.values():
        for scale, below in SCALES.items():
            if below is None or scale not in spec.scales:
                continue
            layers = spec.layers_at(scale)
            for layer in layers:
                for key, node in layer.values() if layer.scale == scale and not layer.like else ():
                    if setter(layers, key) is layer and reason(layers, key) is None:
                        what = f"has no reason at {scale} scale{{several}}; add it to `why` of the block"
                        findings.add_key(key, what, f"{node.file}:{node.line}", row.id)


def _flips(row: Row, resolved: Mapping[tuple[str, Scale], list[Measurement]], findings: Findings) -> None:
    trainings = [m.evaluation.training for scale in SCALES for m in resolved.get((row.id, scale), ())]
    for dataset, flip in sorted({(training.data.dataset, training.augment.flip) for training in trainings}):
        try:
            allowed = load_dataset(dataset).flip_allowed
            if flip and not allowed:
                findings.add(f"{row.where}: row '{row.name}': augment.flip is {flip}: {NO_FLIP.format(dataset)}")
        except DataError as error:
            findings.add(f"{row.where}: row '{row.name}': data.dataset: {error}")


def _unused_sources(paper: Paper, used: Mapping[str, set[str]], findings: Findings) -> None:
    folder = shown(paper.root.benchmarks / paper.name)
    about = paper.about
    for name, sources in (("paper", about.sources), *((table.name, table.sources) for table in paper.tables)):
        for key, source in sources.items():
            where = f"{folder}/{name}.yaml: sources.{key}"
            if key not in used[name]:
                findings.add(f"{where}: no row of the paper has this key; remove it")
            if source.decision and source.decision not in about.decisions:
                findings.add(
                    f"{where}: no decision '{source.decision}'{did_you_mean(source.decision, about.decisions)}"
                )
            if source.not_stated and source.not_stated not in about.not_stated:
                near = did_you_mean(source.not_stated, about.not_stated)
                findings.add(f"{where}: no entry '{source.not_stated}' in not_stated{near}")


def _merged_by_scale(paper: Paper, resolved: Mapping[tuple[str, Scale], list[Measurement]], findings: Findings) -> None:
    """Rows that are different measurements at paper scale must not become one at a smaller scale, unless they differ in
    what the small scales do not have: other data sets, official splits, other pretrained weights."""
    for scale, below in SCALES.items():
        seen: dict[tuple[Hashable, ...], tuple[str, Row]] = {}
        for row in paper.rows if below else ():
            printed = {m.name: m for m in resolved.get((row.id, "paper"), ())}
            at_paper = {name: _keys(m) for name, m in printed.items()}
            rooted = {
                name: (m.evaluation.data.dataset, m.evaluation.training.init.weights) for name, m in printed.items()
            }
            for m in resolved.get((row.id, scale), ()):
                for kind, key in _keys(m).items() if m.name in at_paper else ():
                    before, other = seen.setdefault((*rooted[m.name], m.name, kind, key), (at_paper[m.name][kind], row))
                    if before != at_paper[m.name][kind]:
                        findings.add(
                            f"{row.where}: row '{row.name}': is the {kind} of {other.id} at {scale} scale but not at "
                            f"paper scale; give one of the two a `{scale}` block"
                        )


def _keys(measurement: Measurement) -> dict[str, str]:
    return {"training": measurement.evaluation.training.key, "evaluation": measurement.evaluation.key}
