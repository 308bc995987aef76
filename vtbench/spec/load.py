"""benchmarks/<paper>/*.yaml to Paper, Table and Row; refuses what it does not know, with file, line and key."""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.spec.datasets import NO_SPLIT, dataset_names, load_dataset
from vtbench.spec.document import Node, build, described, key, read_yaml
from vtbench.spec.locate import data_folder, shown
from vtbench.spec.scale import MINI_SIZES
from vtbench.spec.schema import (
    ACCURACIES,
    BLOCKS,
    METRICS,
    Complexity,
    Model,
    Paper,
    PaperFile,
    PrintedAt,
    Published,
    Recipe,
    Row,
    RowRecipe,
    Scale,
    Source,
    Status,
    Table,
    read_published,
)
from vtbench.spec.signatures import Builders

_BLOCKS = (*BLOCKS, "model")
_ROW_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def _raw(node: Node) -> Node:
    return node


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """The blocks a row, a measurement or `defaults` may hold, as nodes: they are merged before they are read."""

    data: Node | None = key("see Data", default=None, read=_raw)
    augment: Node | None = key("see Augment", default=None, read=_raw)
    model: Node | None = key("name of the network and its builder's arguments", default=None, read=_raw)
    init: Node | None = key("see Init", default=None, read=_raw)
    train: Node | None = key("see Train", default=None, read=_raw)
    eval: Node | None = key("see Eval", default=None, read=_raw)


@dataclass(frozen=True, kw_only=True)
class _MeasurementFile(_Blocks):
    scales: tuple[Scale, ...] = key("the scales at which it exists", default=("smoke", "mini", "paper"))


@dataclass(frozen=True, kw_only=True)
class _DefaultsFile(_Blocks):
    measurements: Node | None = key("name -> blocks that differ from the row's", default=None, read=_raw)
    means: dict[str, tuple[str, ...]] = key("name -> the measurements whose mean is printed", default={})


@dataclass(frozen=True, kw_only=True)
class _RowFile(_DefaultsFile):
    id: str = key("the row's name in selectors")
    label: str = key("the row's label as printed")
    quoted: bool = key("true: the numbers are quoted from other work", default=False)
    status: Status | None = key("overrides the derived status", default=None)
    published: dict[str, Published] = key("printed cells by metric", default={}, read=read_published)
    printed: dict[str, str] = key("the line's other printed cells by their heading, quoted", default={})
    notes: tuple[str, ...] = key("ids of decisions that concern this row", default=())
    complexity: tuple[Complexity, ...] = key("attentions whose growth with places and frames it prints", default=())
    baseline: str | None = key("the row of this table that speed and memory are measured against", default=None)


@dataclass(frozen=True, kw_only=True)
class _TableFile:
    caption: str = key("the printed caption")
    source: PrintedAt = key("where it is printed")
    mini_size: str = key("one of the sizes of vtbench/spec/scale.py", default="grid3")
    reconstructed: str | None = key(
        "what of the whole table is lost or displaced in the text, and from where", default=None
    )
    notes: tuple[str, ...] = key("ids of decisions that concern all rows", default=())
    sources: dict[str, Source] = key(
        "sources of keys that only this table sets, or that differ from paper.yaml", default={}
    )
    defaults: Node | None = key("blocks shared by all rows", default=None, read=_raw)
    rows: Node = key("the printed lines, in order", read=_raw)


def paper_names(root: Path | None = None) -> list[str]:
    """The folders of benchmarks/, by name. Raises SpecError for one that holds tables but no paper.yaml."""
    root = root or data_folder("benchmarks")
    names = sorted({path.parent.name for path in root.glob("*/*.yaml")})
    for name in names:
        if not (root / name / "paper.yaml").is_file():
            raise SpecError(f"{shown(root / name)}: has no paper.yaml; write one, as benchmarks/README.md says")
    return names


def load_paper(name: str, root: Path | None = None, builders: Builders | None = None) -> Paper:
    """One paper. `root` is the benchmarks folder, `builders` the networks its specs may name; by default vtbench's own.

    Raises UsageError if there is no such paper, SpecError (file:line: key: ...) for anything its files may not say.
    """
    return _load_paper(name, root or data_folder("benchmarks"), builders or Builders())


def load_all() -> list[Paper]:
    """All papers, by name."""
    return [load_paper(name) for name in paper_names()]


@cache
def _load_paper(name: str, root: Path, builders: Builders) -> Paper:
    folder = root / name
    if not (folder / "paper.yaml").is_file():
        raise UsageError(f"no paper '{name}' in {shown(root)}{did_you_mean(name, paper_names(root))}")
    about = read_about(name, root)
    tables = [load_table(path, about, builders) for path in table_files(name, root)]
    return Paper(name, about, tuple(tables))


def read_about(name: str, root: Path | None = None) -> PaperFile:
    """paper.yaml of one paper."""
    return build(PaperFile, read_yaml((root or data_folder("benchmarks")) / name / "paper.yaml"))


def table_files(name: str, root: Path | None = None) -> list[Path]:
    """The table files of one paper in printed order: table1.yaml, table2a.yaml, ..., table10.yaml."""
    folder = (root or data_folder("benchmarks")) / name

    def order(path: Path) -> tuple[int, str]:
        number = re.fullmatch(r"table(\d+)([a-z]*)", path.stem)
        if not number:
            raise SpecError(f"{shown(path)}: a table's file is called like table2.yaml or table2a.yaml")
        return int(number[1]), number[2]

    return sorted((path for path in folder.glob("*.yaml") if path.stem not in ("paper", "claims")), key=order)


def load_table(path: Path, about: PaperFile, builders: Builders | None = None) -> Table:
    """One table file of the paper `about`."""
    builders = builders or Builders()
    top = read_yaml(path)
    file = build(_TableFile, top)
    if file.mini_size not in MINI_SIZES:
        top.value["mini_size"].fail(f"is {file.mini_size!r}{did_you_mean(file.mini_size, MINI_SIZES)}")
    _known_notes(top, about)
    defaults = build(_DefaultsFile, file.defaults) if file.defaults else _DefaultsFile()
    if not isinstance(file.rows.value, list) or not file.rows.value:
        file.rows.fail("must be a list of rows")
    rows: dict[str, Row] = {}
    for node in file.rows.value:
        row = _read_row(node, path, file, defaults, about, builders)
        if row.name in rows:
            node.value["id"].fail(f"'{row.name}' is already the id of the row in line {rows[row.name].line}")
        rows[row.name] = row
    _known_baselines(file.rows.value, rows)
    return Table(
        name=path.stem,
        caption=file.caption,
        source=file.source,
        reconstructed=file.reconstructed,
        mini_size=file.mini_size,
        notes=file.notes,
        sources=file.sources,
        rows=tuple(rows.values()),
    )


def _read_row(
    node: Node, path: Path, table: _TableFile, defaults: _DefaultsFile, about: PaperFile, builders: Builders
) -> Row:
    file = build(_RowFile, node)
    if not _ROW_NAME.fullmatch(file.id):
        node.value["id"].fail(f"is {file.id!r}; use small letters, digits, '.', '-' and '_'")
    _known_notes(node, about)
    accuracy = any(name.endswith(ACCURACIES) for name in file.published)
    status = file.status or ("published-only" if file.quoted else "runnable" if accuracy else "analytic")
    recipes: dict[str, RowRecipe] = {}
    if status != "published-only" or file.model:
        for name, measurement in _measurements(defaults, file).items():
            spec = build(_MeasurementFile, measurement) if measurement else _MeasurementFile()
            layers = [defaults, file, spec]
            recipes[name] = RowRecipe(_read_recipe(node, layers, status == "runnable", builders), spec.scales)
    means = {**defaults.means, **file.means} if recipes else {}
    _known_means(node, means, recipes)
    _known_metrics(node, {**recipes, **means})
    _known_starts(node, recipes)
    return Row(
        paper=path.parent.name,
        table=path.stem,
        name=file.id,
        label=file.label,
        own=not file.quoted,
        status=status,
        published=file.published,
        printed=file.printed,
        notes=(*table.notes, *file.notes),
        mini_size=table.mini_size,
        recipes=recipes,
        line=node.line,
        complexity=file.complexity,
        baseline=file.baseline,
        means=means,
    )


def _measurements(defaults: _DefaultsFile, row: _RowFile) -> dict[str, Node | None]:
    """Measurement -> its own blocks; `main` alone if the file names none."""
    named: dict[str, Node | None] = {}
    for block in (defaults.measurements, row.measurements):
        if block is not None:
            if not isinstance(block.value, dict):
                block.fail(f"must be keys and values, not {described(block)}")
            named |= block.value
    return named or {"main": None}


def _read_recipe(row: Node, layers: list[Any], complete: bool, builders: Builders) -> Recipe:
    """Merge the blocks of defaults, row and measurement key by key (an empty value removes a key), then read them."""
    merged: dict[str, dict[str, Node]] = {}
    for block in _BLOCKS:
        nodes = [getattr(layer, block) for layer in layers if getattr(layer, block) is not None]
        for node in nodes:
            if not isinstance(node.value, dict):
                node.fail(f"must be keys and values, not {described(node)}")
            if block == "init":  # one choice, not a set of keys: a later layer's replaces an earlier one's
                merged[block] = dict(node.value)
            else:
                merged.setdefault(block, {}).update(node.value)
        if block in merged:
            merged[block] = {name: node for name, node in merged[block].items() if node.value is not None}
    for block in _BLOCKS if complete else ("data", "model"):
        if not merged.get(block):
            row.fail("missing, in the row and in defaults", below=block)
    blocks: dict[str, Any] = {}
    for block, values in merged.items():
        if block == "model":
            if "name" not in values:
                row.fail("missing; it is the name of a network in vtbench.models.MODELS", below="model.name")
            given = {name: node for name, node in values.items() if name != "name"}
            blocks["model"] = Model(name=values["name"].value, arguments=builders.arguments(values["name"], given))
        elif values:
            where = Node(None, row.file, row.line, f"{row.key}.{block}")
            blocks[block] = build(BLOCKS[block], where, values)
    if "data" in blocks:
        takes = "modalities" in builders.signature(blocks["model"].name)
        if takes != (blocks["data"].modalities is not None):
            network = blocks["model"].name
            what = "needs it" if takes else "takes decoded frames alone; leave it out"
            row.fail(f"the network {network} {what}", below="data.modalities")
    if "data" in blocks and blocks["data"].dataset not in dataset_names():
        dataset = merged["data"]["dataset"]
        dataset.fail(f"no data set is called {dataset.value!r}{did_you_mean(dataset.value, dataset_names())}")
    if "train" in blocks and blocks["train"].method not in builders.methods():
        method = merged["train"]["method"]
        method.fail(f"no method is called {method.value!r}{did_you_mean(method.value, builders.methods())}")
    if "data" in blocks:
        about = load_dataset(blocks["data"].dataset).about
        if blocks["data"].split not in (range(1, about.splits + 1) if about.splits > 1 else (None,)):
            row.fail(NO_SPLIT.format(blocks["data"].split, blocks["data"].dataset, about.splits), below="data.split")
    try:
        return Recipe(**blocks)
    except ValueError as error:  # what a recipe says about blocks that do not go together
        row.fail(str(error))


def _known_notes(node: Node, about: PaperFile) -> None:
    for note in node.value["notes"].value if "notes" in node.value else ():
        if note.value not in about.decisions:
            note.fail(f"{note.value!r} is no decision of paper.yaml{did_you_mean(str(note.value), about.decisions)}")


def _known_starts(row: Node, recipes: Mapping[str, RowRecipe]) -> None:
    """`init.measurement` names one of the row's measurements, and following it ends."""
    for name, spec in recipes.items():
        seen = [name]
        while start := spec.recipe.init.measurement if spec.recipe.init else None:
            if start not in recipes:
                row.fail(f"'{start}' is no measurement of this row{did_you_mean(start, recipes)}", "init.measurement")
            if start in seen:
                row.fail(f"goes in a circle: {' -> '.join([*seen, start])}", "init.measurement")
            seen.append(start)
            spec = recipes[start]


def _known_baselines(nodes: list[Node], rows: Mapping[str, Row]) -> None:
    """`baseline` names a row of the same table that is measured against no other itself."""
    for node, (name, row) in zip(nodes, rows.items(), strict=True):
        if row.baseline is None:
            continue
        given = node.value["baseline"]
        if row.baseline == name or row.baseline not in rows:
            others = [other for other in rows if other != name]
            given.fail(f"'{row.baseline}' is no other row of this table{did_you_mean(row.baseline, others)}")
        if rows[row.baseline].baseline is not None:
            given.fail(
                f"'{row.baseline}' has a baseline itself, '{rows[row.baseline].baseline}'; name a row that has none"
            )


def _known_means(row: Node, means: Mapping[str, tuple[str, ...]], recipes: Mapping[str, RowRecipe]) -> None:
    """A mean is over two or more measurements of the row, and has the name of none."""
    for name, parts in means.items():
        if name in recipes:
            row.fail(f"'{name}' is a measurement of this row; a mean has a name of its own", below="means")
        if len(set(parts)) < max(2, len(parts)):
            row.fail(f"must be two or more measurements, each once, not {list(parts)}", below=f"means.{name}")
        for part in parts:
            if part not in recipes:
                row.fail(f"'{part}' is no measurement of this row{did_you_mean(part, recipes)}", below=f"means.{name}")


def _known_metrics(row: Node, recipes: Mapping[str, Any]) -> None:
    """A published key is a metric, or the name of a measurement or a mean and a metric ("sthv1_top1")."""
    for name, node in row.value["published"].value.items() if "published" in row.value else ():
        # The longest: "train_memory_gb" is no "memory_gb" of a measurement called "train".
        metric = max((m for m in METRICS if name == m or name.endswith(f"_{m}")), key=len, default=None)
        if metric is None:
            node.fail(f"is no metric{did_you_mean(name, METRICS)}")
        measurement = name.removesuffix(metric).removesuffix("_")
        if measurement and recipes and measurement not in recipes:
            node.fail(f"'{measurement}' is no measurement of this row{did_you_mean(measurement, recipes)}")
