"""What `vtbench check` holds against a paper beyond its schema: sources, reasons, scales, data sets."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from vtbench.errors import DataError, SpecError, UsageError, unknown
from vtbench.papers.claims.document import check_claims
from vtbench.papers.datasets import NO_FLIP, dataset_names, load_dataset
from vtbench.papers.decisions import sources_of
from vtbench.papers.load import read_paper
from vtbench.papers.official import compare, official_settings, setting_of
from vtbench.papers.override import changed_rows, variants_of
from vtbench.papers.resolve import measurements
from vtbench.papers.roots import shown
from vtbench.papers.sources import place, source_key
from vtbench.papers.spec.document import Problems, read_yaml
from vtbench.papers.spec.layers import reason, setter
from vtbench.papers.spec.schema import Paper, Row, Table
from vtbench.papers.trainings import Measurement
from vtbench.scales import SCALES, Scale, at_scale, small_scales


@dataclass
class Findings:
    """What was found wrong, one line for each key however many rows it concerns."""

    problems: Problems
    by_key: dict[tuple[str, str, str], tuple[str, list[str]]] = field(default_factory=dict)
    """(key, what is wrong with it, what to do) -> where it is first, and the rows it is wrong in."""

    def add(self, *lines: str) -> None:
        """Problems of their own."""
        self.problems.add_lines(lines)

    def add_key(self, key: str, what: str, remedy: str, where: str, row: str) -> None:
        """A problem of a key, which other rows may have too."""
        rows = self.by_key.setdefault((key, what, remedy), (where, []))[1]
        if row not in rows:
            rows.append(row)

    def all(self) -> list[str]:
        """Every problem, one line each."""
        grouped = []
        for (key, what, remedy), (where, rows) in self.by_key.items():
            several = f" (in {len(rows)} rows)" if len(rows) > 1 else ""
            grouped.append(f"{where}: {key} {what}{several}; {remedy}")
        return [*self.problems.found, *grouped]


def check(name: str) -> tuple[Paper | None, list[str]]:
    """A paper (None if not all of it can be read), and everything that is wrong with its files, one line each with file
    and line. Where some rows cannot be read, the others are checked all the same."""
    paper, unreadable = read_paper(name)
    if paper is None:
        return None, list(unreadable)
    findings = Findings(Problems(unreadable))
    used: dict[str, set[str]] = {"paper": set(), **{table.name: set() for table in paper.tables}}
    resolved: dict[tuple[str, Scale], list[Measurement]] = {}
    for table in paper.tables:
        if table.source is None and any(row.like is None for row in table.rows):
            findings.add(f"{table.file}:1: source is missing; it says where the table is printed, as {{table: 2}}")
        if not unreadable:  # else a row that is missing might have been the one that prints it
            _columns(table, findings)
        for row in table.rows:
            _sources(paper, table, row, findings, used)
            _reasons(row, findings)
            for scale in SCALES:
                resolved[row.id, scale] = _resolved(row, scale, findings)
                _limits(row, scale, resolved[row.id, scale], findings)
            _flips(row, resolved, findings)
    if not unreadable:  # else a row that is missing might have been the one that needs the source
        _unused_sources(paper, used, findings)
    _merged_by_scale(paper, resolved, findings)
    if not unreadable:
        findings.add(*check_claims(paper))
        _official(paper, findings)
        _variants(paper, findings)
    return (None if unreadable else paper), findings.all()


def _official(paper: Paper, findings: Findings) -> None:
    """The rows have what the public codes have, or a decision says why not; a source by code has its line there."""
    with findings.problems.collected():
        settings = official_settings(paper.name)
        findings.add(*compare(paper).problems)
        for row in paper.rows if settings else ():
            for spec in row.recipes.values() if row.own and row.like is None and row.status == "runnable" else ():
                for key, source in sources_of(paper, row).items():
                    if source.code and key in spec.recipe.leaves() and setting_of(row, spec, key) is None:
                        what, remedy = "is from the code, and official.yaml has no line of it", "add it there"
                        findings.add_key(key, what, remedy, place(spec, key), row.id)


def _variants(paper: Paper, findings: Findings) -> None:
    """Every variant changes a row, fits where it does, and is explained by a decision or says what it is."""
    for variant in paper.about.variants.values():
        named = variant.decision or variant.name
        at = f"{shown(paper.root.benchmarks / paper.name / 'paper.yaml')}: variants.{variant.name}"
        if named not in paper.about.decisions and not (variant.why and variant.decision is None):
            wrong = unknown("decision", named, paper.about.decisions, of="paper.yaml")
            findings.add(f"{at}: {wrong}; or say `why`")
        touched = [row for row in paper.rows if variant.name in variants_of(row)]
        if not touched:
            findings.add(f"{at}: changes no row; remove it")
        for row in touched:
            try:
                changed_rows([row], [variant.name], [])
            except UsageError as error:
                findings.add(f"{at}: {error}")


def check_datasets() -> list[str]:
    """Everything that is wrong with the data sets of all roots, one line each."""
    problems = Problems()
    for name in dataset_names():
        try:
            load_dataset(name)
        except DataError as error:
            problems.add_lines([str(error)])
        except SpecError as error:
            problems.add(error)
    return problems.found


def _columns(table: Table, findings: Findings) -> None:
    """`columns` has everything that a row prints, each once, and nothing that no row prints."""
    if table.reference is not None and table.reference not in (
        names := [row.name for row in table.rows if row.recipes]
    ):
        findings.add(
            f"{table.file}:1: reference: {unknown('row with a recipe', table.reference, names, of='this table')}"
        )
    _curve(table, findings)
    if not table.columns:
        return  # of a paper from outside
    headings = {column.heading for column in table.columns}
    metrics = [name for column in table.columns for name in column.metrics]
    for row in table.rows:
        for name in [*(n for n in row.printed if n not in headings), *(n for n in row.published if n not in metrics)]:
            findings.add(f"{row.where}: row '{row.name}': {name} has no column; add it to `columns` of the table")
    for column in table.columns:
        if not any(column.text(row) for row in table.rows):
            findings.add(f"{table.file}:1: columns.{column.heading}: no row prints it; remove it")
    for name in dict.fromkeys(name for name in metrics if metrics.count(name) > 1):
        findings.add(f"{table.file}:1: columns: {name} stands in two of them")


def _curve(table: Table, findings: Findings) -> None:
    """`curve` is `label`, or the heading of a column with a number in every row."""
    if table.curve in (None, "label"):
        return
    headings = [column.heading for column in table.columns if not column.metrics]
    if table.curve not in headings:
        known = unknown("column of `printed`", table.curve, ["label", *headings], of="this table")
        findings.add(f"{table.file}:1: curve: {known}")
        return
    for row in table.rows:
        text = row.printed.get(table.curve, "")
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            findings.add(f"{row.where}: row '{row.name}': {table.curve} is {text!r}, no number; write `curve: label`")


def _resolved(row: Row, scale: Scale, findings: Findings) -> list[Measurement]:
    """The measurements of a row at a scale; none where a recipe does not fit, which is reported elsewhere."""
    before = len(findings.problems.found)
    for spec in row.recipes.values():
        if scale in spec.scales:
            with findings.problems.collected():
                spec.at(scale)
    if len(findings.problems.found) == before:
        with findings.problems.collected():
            return measurements(row, scale)
    return []


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
                remedy = "add it to `sources` of paper.yaml or of the table"
                findings.add_key(key, "has no source", remedy, place(spec, key), row.id)


def _reasons(row: Row, findings: Findings) -> None:
    """Every value that a small scale gives says why."""
    for spec in row.recipes.values():
        for scale in small_scales():
            if scale not in spec.scales:
                continue
            layers = spec.layers_at(scale)
            for layer in layers:
                for key, node in layer.values() if layer.scale == scale and not layer.like else ():
                    if setter(layers, key) is layer and reason(layers, key) is None:
                        what, remedy = f"has no reason{at_scale(scale)}", "add it to `why` of the block"
                        findings.add_key(key, what, remedy, f"{node.file}:{node.line}", row.id)


def _limits(row: Row, scale: Scale, found: Sequence[Measurement], findings: Findings) -> None:
    """A row of a scale with limits says how long it trains, on few videos, from weights. How many hours that takes is
    for vtbench.report.machines.hours."""
    limits = SCALES[scale].limits
    if limits is None:
        return
    for m in found:
        training, spec = m.evaluation.training, row.recipes[m.name]
        origin = setter(spec.layers_at(scale), "train.epochs")
        if origin is None or origin.scale != scale:
            what, remedy = f"are not given{at_scale(scale)}", f"add {scale}: {{train: {{epochs: N}}}} with its reason"
            findings.add_key("train.epochs", what, remedy, place(spec, "train.epochs", scale), row.id)
        videos = training.dataset.num_videos("train", training.data.limit_train, training.data.subset)
        if training.data.subset is None and videos > limits.train_videos:
            what = f"is {training.data.dataset} with {videos} training videos{at_scale(scale)}"
            remedy = f"name a data.subset, or a set of at most {limits.train_videos}"
            findings.add_key("data.dataset", what, remedy, place(spec, "data.dataset", scale), row.id)
        if training.init.weights is None:
            what, remedy = f"names no weights{at_scale(scale)}", f"add {scale}: {{init: {{weights: NAME}}}}"
            findings.add_key("init", what, remedy, place(spec, "init", scale), row.id)


def _flips(row: Row, resolved: Mapping[tuple[str, Scale], list[Measurement]], findings: Findings) -> None:
    """No training mirrors a video whose mirror image has no label."""
    for scale in SCALES:
        for m in resolved[row.id, scale]:
            for training in (*m.evaluation.training.ancestors(), m.evaluation.training):
                dataset, flip = training.data.dataset, training.augment.flip
                if flip and not load_dataset(dataset).flip_allowed:
                    what, _, remedy = NO_FLIP.format(dataset).partition("; ")
                    where = place(row.recipes[m.name], "augment.flip", scale)
                    findings.add_key("augment.flip", f"is {flip}, and {what}", remedy, where, row.id)


def _unused_sources(paper: Paper, used: Mapping[str, set[str]], findings: Findings) -> None:
    about = paper.about
    every = (("paper", about.sources), *((table.name, table.sources) for table in paper.tables))
    for name, sources in every:
        where = partial(_place_of_source, paper, name)
        for key, source in sources.items():
            if key not in used[name]:
                findings.add(f"{where(key)}: no row of the paper has this key; remove it")
            if source.decision and source.decision not in about.decisions:
                wrong = unknown("decision", source.decision, about.decisions, of="paper.yaml")
                findings.add(f"{where(key)}: {wrong}")
            if source.not_stated and source.not_stated not in about.not_stated:
                wrong = unknown("entry", source.not_stated, about.not_stated, of="not_stated")
                findings.add(f"{where(key)}: {wrong}")


def _place_of_source(paper: Paper, name: str, key: str) -> str:
    """File, line and key of a source. Read again, as this is asked only where something is wrong."""
    path = paper.root.benchmarks / paper.name / f"{name}.yaml"
    return f"{shown(path)}:{read_yaml(path).value['sources'].value[key].line}: sources.{key}"


def _merged_by_scale(paper: Paper, resolved: Mapping[tuple[str, Scale], list[Measurement]], findings: Findings) -> None:
    """Rows that are different measurements at paper scale must not become one at a smaller scale, unless they differ in
    what the small scales do not have: other data sets, official splits, other pretrained weights."""
    for scale in small_scales():
        seen: dict[tuple[Hashable, ...], tuple[str, Row]] = {}
        for row in paper.rows:
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
