"""benchmarks/<paper>/*.yaml to Paper, Table and Row; refuses what it does not know, with file, line and key.

Everything that is wrong with a paper is found in one reading: `read_paper` gives what could be read and the problems,
`load_paper` raises them.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.papers.document import Node, Problems, build, described, key, near, read_yaml
from vtbench.papers.known import known_baselines, known_means, known_metrics, known_notes, known_to_one
from vtbench.papers.layers import BlocksFile, Layer, RowRecipe, merge, raw, read_blocks, read_file, read_recipe
from vtbench.papers.roots import Root, papers, shown
from vtbench.papers.schema import (
    Paper,
    PaperFile,
    PrintedAt,
    Published,
    Row,
    Source,
    Status,
    Table,
    read_published,
)
from vtbench.papers.selector import Selector
from vtbench.papers.signatures import Builders
from vtbench.scales import SCALES, Scale, small_scales

_ROW_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class _MeasurementFile(BlocksFile):
    scales: tuple[str, ...] = key("the scales at which it exists; not set: all", default=())


@dataclass(frozen=True, kw_only=True)
class _DefaultsFile(BlocksFile):
    like: str | None = key(
        "a row, as paper/table:row@measurement, from which everything but `model` is taken", default=None
    )
    measurements: Node | None = key("name -> blocks that differ from the row's", default=None, read=raw)
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
    complexity: tuple[str, ...] = key("attentions whose growth with places and frames it prints", default=())
    baseline: str | None = key("the row of this table that speed and memory are measured against", default=None)


@dataclass(frozen=True, kw_only=True)
class _TableFile:
    caption: str = key("the printed caption")
    source: PrintedAt | None = key("where it is printed; not set: a table of one's own", default=None)
    reconstructed: str | None = key(
        "what of the whole table is lost or displaced in the text, and from where", default=None
    )
    notes: tuple[str, ...] = key("ids of decisions that concern all rows", default=())
    sources: dict[str, Source] = key(
        "sources of keys that only this table sets, or that differ from paper.yaml", default={}
    )
    defaults: Node | None = key("blocks shared by all rows", default=None, read=raw)
    rows: Node = key("the printed lines, in order", read=raw)


# ---- papers ----------------------------------------------------------------------------------------------------------


def paper_names() -> list[str]:
    """The papers of all roots, by name. Raises SpecError for a folder that holds tables but no paper.yaml, and for a
    paper that two roots define."""
    for folder in (folder for _, folder in papers().values()):
        if not (folder / "paper.yaml").is_file():
            raise SpecError(f"{shown(folder)}: has no paper.yaml; write one, as benchmarks/README.md says")
    return list(papers())


def load_paper(name: str, builders: Builders | None = None) -> Paper:
    """One paper. `builders` are the networks that its specs may name by a short name; by default vtbench's own.

    Raises UsageError if there is no such paper, SpecError (file:line: key: ...) for anything its files may not say.
    """
    paper, problems = read_paper(name, builders)
    if problems or paper is None:
        raise SpecError(problems[0], problems[1:])
    return paper


def load_all() -> list[Paper]:
    """All papers, by name."""
    return [load_paper(name) for name in paper_names()]


def read_paper(name: str, builders: Builders | None = None) -> tuple[Paper | None, tuple[str, ...]]:
    """A paper with the tables and rows that can be read (None without a readable paper.yaml), and every problem that
    was found, one line each. Raises UsageError if there is no such paper."""
    if name not in papers():
        raise UsageError(f"no paper '{name}'{did_you_mean(name, papers())}")
    return _read_paper(*papers()[name], builders or Builders())


@cache
def _read_paper(root: Root, folder: Path, builders: Builders) -> tuple[Paper | None, tuple[str, ...]]:
    problems = Problems()
    read = []
    with problems.collected():
        for path in table_files(folder):
            table, wrong = _read_table(path, root, builders)
            problems.found += wrong
            if table is not None:
                read.append(table)
    about, shared, wrong = _read_about(folder)
    problems.found[:0] = wrong
    if about is None:
        return None, tuple(problems.found)
    if not problems.found:
        known_to_one(shared, [row for table in read for row in table.rows], builders, problems)
    return Paper(folder.name, root, about, tuple(read), shared), tuple(dict.fromkeys(problems.found))


@cache
def _read_about(folder: Path) -> tuple[PaperFile | None, tuple[Layer, ...], tuple[str, ...]]:
    """paper.yaml: what it says, its layers of the small scales, and what is wrong with it."""
    problems = Problems()
    with problems.collected():
        about, layers = read_file(PaperFile, read_yaml(folder / "paper.yaml"), problems, shared=True)
        return about, tuple(layers), tuple(problems.found)
    return None, (), tuple(problems.found)


def table_files(folder: Path) -> list[Path]:
    """The table files of one paper in printed order: table1.yaml, table2a.yaml, ..., table10.yaml."""

    def order(path: Path) -> tuple[int, str]:
        number = re.fullmatch(r"table(\d+)([a-z]*)", path.stem)
        if not number:
            raise SpecError(f"{shown(path)}: a table's file is called like table2.yaml or table2a.yaml")
        return int(number[1]), number[2]

    return sorted((path for path in folder.glob("*.yaml") if path.stem not in ("paper", "claims")), key=order)


# ---- tables ----------------------------------------------------------------------------------------------------------

_being_read: list[Path] = []
"""Table files that are being read: a row that is `like` one of them would go in a circle."""


@cache
def _read_table(path: Path, root: Root, builders: Builders) -> tuple[Table | None, tuple[str, ...]]:
    """One table file with the rows that can be read, and what is wrong with it."""
    _being_read.append(path)
    problems = Problems()
    table = None
    try:
        with problems.collected():
            table = _table(path, root, builders, problems)
    finally:
        _being_read.remove(path)
    return table, tuple(problems.found)


@dataclass(frozen=True)
class _Context:
    """What the rows of a table have in common."""

    path: Path
    root: Root
    builders: Builders
    about: PaperFile | None
    """None where paper.yaml cannot be read, which is reported elsewhere."""
    file: _TableFile
    defaults: _DefaultsFile
    like: Node | None
    layers: tuple[Layer, ...]
    """What paper.yaml and `defaults` say."""


def _table(path: Path, root: Root, builders: Builders, problems: Problems) -> Table:
    top = read_yaml(path)
    for scale in small_scales():
        if scale in top.value:
            with problems.collected():
                top.value.pop(scale).fail("stands in `defaults`, a row, a measurement or paper.yaml; move it there")
    file = build(_TableFile, top)
    about, above, _ = _read_about(path.parent)
    with problems.collected():
        known_notes(top, about)
    defaults, shared = _DefaultsFile(), list[Layer]()
    if file.defaults:
        read, shared = read_file(_DefaultsFile, file.defaults, problems, shared=True)
        defaults = read or defaults
    layers: tuple[Layer, ...] = tuple(above)
    with problems.collected():
        layers = (*above, Layer("paper", _blocks(defaults), shared=True), *shared)
    if not isinstance(file.rows.value, list) or not file.rows.value:
        file.rows.fail("must be a list of rows")
    like = file.defaults.value.get("like") if file.defaults else None
    context = _Context(path, root, builders, about, file, defaults, like, layers)
    rows: dict[str, Row] = {}
    wrong = Problems()
    for node in file.rows.value:
        with wrong.collected():
            row = _read_row(node, context)
            if row.name in rows:
                node.value["id"].fail(f"'{row.name}' is already the id of the row in line {rows[row.name].line}")
            rows[row.name] = row
    problems.found += _once(wrong.found)
    known_baselines(file.rows.value, rows, problems)
    if len(rows) == len(file.rows.value):
        known_to_one(shared, list(rows.values()), builders, problems)
    return Table(
        name=path.stem,
        file=shown(path),
        caption=file.caption,
        source=file.source,
        reconstructed=file.reconstructed,
        notes=file.notes,
        sources=file.sources,
        rows=tuple(rows.values()),
        shared=tuple(shared),
    )


def _once(problems: Sequence[str]) -> list[str]:
    """What is wrong with several rows alike, as one line at the first of them."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(re.sub(r"^.*?:\d+: rows\[\d+\]\.", "", problem), []).append(problem)
    return [lines[0] + (f" (in {len(lines)} rows)" if len(lines) > 1 else "") for lines in alike.values()]


def _blocks(file: BlocksFile) -> Mapping[str, Mapping[str, Node]]:
    return read_blocks({field.name: getattr(file, field.name) for field in dataclasses.fields(BlocksFile)})


# ---- rows ------------------------------------------------------------------------------------------------------------


def _read_row(node: Node, context: _Context) -> Row:
    problems = Problems()
    file, small = read_file(_RowFile, node, problems, shared=False)
    if file is None:
        problems.refuse()
    assert file is not None
    with problems.collected():
        if not _ROW_NAME.fullmatch(file.id):
            node.value["id"].fail(f"is {file.id!r}; use small letters, digits, '.', '-' and '_'")
    with problems.collected():
        known_notes(node, context.about)
    for name in node.value["complexity"].value if file.complexity else ():
        with problems.collected():
            if name.value not in (known := context.builders.attentions()):
                name.fail(f"no attention is called {name.value!r}{did_you_mean(name.value, known)}")
    status = file.status or ("published-only" if file.quoted else "runnable")
    recipes: dict[str, RowRecipe] = {}
    like = node.value.get("like", context.like)
    with problems.collected():
        if status == "published-only" and not file.model and (small or "like" in node.value):
            what = "like" if "like" in node.value else small[0].scale
            node.value[what].fail("a row that only quotes numbers runs at no scale; remove it")
        if status != "published-only" or file.model:
            taken = _taken(like, context.builders) if like else None
            own = [Layer("paper", _blocks(file)), *small]
            measurements = _measurements(context.defaults, file, taken[0] if taken else "main")
            for name, measurement in measurements.items():
                with problems.collected():
                    recipes[name] = _row_recipe(node, measurement, own, taken, status, context)
    means = {**context.defaults.means, **file.means} if recipes else {}
    with problems.collected():
        known_means(node, means, recipes)
    with problems.collected():
        table_metrics = context.defaults.eval.value.get("metrics") if context.defaults.eval else None
        known_metrics(node, recipes, means, table_metrics)
    problems.refuse()
    return Row(
        paper=context.path.parent.name,
        table=context.path.stem,
        name=file.id,
        label=file.label,
        own=not file.quoted,
        status=status,
        published=file.published,
        printed=file.printed,
        notes=(*context.file.notes, *file.notes),
        recipes=recipes,
        root=context.root,
        file=shown(context.path),
        line=node.line,
        complexity=file.complexity,
        baseline=file.baseline,
        means=means,
        like=taken[2] if recipes and like and taken else None,
    )


def _measurements(defaults: _DefaultsFile, row: _RowFile, otherwise: str) -> dict[str, tuple[Node | None, bool]]:
    """Measurement -> its own blocks, and whether all rows of the table share them; `otherwise` alone if the file names
    none."""
    named: dict[str, tuple[Node | None, bool]] = {}
    for block, shared in ((defaults.measurements, True), (row.measurements, False)):
        if block is not None:
            if not isinstance(block.value, dict):
                block.fail(f"must be keys and values, not {described(block)}")
            named |= {name: (node, shared) for name, node in block.value.items()}
    return named or {otherwise: (None, False)}


def _row_recipe(
    row: Node,
    measurement: tuple[Node | None, bool],
    own: Sequence[Layer],
    taken: tuple[str, RowRecipe, str] | None,
    status: Status,
    context: _Context,
) -> RowRecipe:
    node, shared = measurement
    spec, small = _MeasurementFile(), list[Layer]()
    if node is not None and node.value is not None:
        problems = Problems()
        read, small = read_file(_MeasurementFile, node, problems, shared=shared)
        problems.refuse()
        spec = read or spec
        for item in node.value["scales"].value if "scales" in node.value else ():
            if item.value not in SCALES:
                item.fail(f"is {item.value!r}, must be one of {', '.join(SCALES)}{near(item.value, SCALES)}")
    layers = [
        *([dataclasses.replace(layer, shared=True, like=layer.like or taken[2], blocks=_without_model(layer))
           for layer in taken[1].layers] if taken else ()),
        *context.layers,
        *own,
        Layer("paper", _blocks(spec), shared=shared),
        *small,
    ]  # fmt: skip
    complete = status == "runnable"
    printed = [layer for layer in layers if layer.scale == "paper"]
    blocks = merge(printed, context.builders)
    try:
        recipe = read_recipe(blocks, row, complete=complete, builders=context.builders)
    except SpecError as error:
        if complete and not blocks.get("train") and "status" not in row.value:
            raise SpecError(f"{error}; a row with nothing to train says status: analytic", error.others) from error
        raise
    scales: tuple[Scale, ...] = spec.scales or (taken[1].scales if taken else tuple(SCALES))
    return RowRecipe(recipe, scales, tuple(layers), row, complete, context.builders)


def _without_model(layer: Layer) -> Mapping[str, Mapping[str, Node]]:
    return {block: values for block, values in layer.blocks.items() if block != "model"}


def _taken(like: Node, builders: Builders) -> tuple[str, RowRecipe, str]:
    """The measurement that a row is `like`: its name, what it is, and the whole selector."""
    selector = Selector.parse(str(like.value))
    try:
        if not selector.row:
            raise UsageError("must name one row, as paper/table:row or paper/table:row@measurement")
        row = _row_named(selector, builders)
        names = list(row.recipes)
        if not names or row.status != "runnable":
            raise UsageError(f"{row.id} is {row.status}, there is no recipe to take")
        if selector.measurement is None and len(names) > 1:
            raise UsageError(f"{row.id} has several measurements; choose {' or '.join(f'@{name}' for name in names)}")
        name = selector.measurement or names[0]
        if name not in names:
            raise UsageError(f"{row.id} has no measurement '{name}'{did_you_mean(name, names)}")
    except (UsageError, SpecError) as error:
        like.fail(str(error))
    return name, row.recipes[name], f"{row.id}@{name}"


def _row_named(selector: Selector, builders: Builders) -> Row:
    """One row of any root. Reads its table alone, so that a paper may take rows of its own other tables."""
    if selector.paper not in papers():
        raise UsageError(f"no paper '{selector.paper}'{did_you_mean(selector.paper, papers())}")
    root, folder = papers()[selector.paper]
    tables = {path.stem: path for path in table_files(folder)}
    if selector.table not in tables:
        raise UsageError(f"no table '{selector.paper}/{selector.table}'{did_you_mean(str(selector.table), tables)}")
    path = tables[str(selector.table)]
    if path in _being_read:
        raise UsageError(f"goes in a circle: {shown(path)} is what is being read")
    table, wrong = _read_table(path, root, builders)
    rows = {row.name: row for row in table.rows} if table else {}
    if selector.row not in rows:
        if wrong:
            raise UsageError(f"{shown(path)} has problems; see `vtbench check {selector.paper}`")
        raise UsageError(f"no row '{selector}'{did_you_mean(str(selector.row), rows)}")
    return rows[str(selector.row)]
