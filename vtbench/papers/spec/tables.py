"""One table file to Table and Row. Rows are read when they are asked for, once each, so that a row may be `like` one of
another table, or one further down in its own.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.fields import key, not_one_of
from vtbench.papers.code.signatures import Builders
from vtbench.papers.roots import Root, papers, refuse_conflict, shown
from vtbench.papers.selector import Selector
from vtbench.papers.spec.cells import Published, read_published
from vtbench.papers.spec.document import Node, Problems, build, described, read_yaml
from vtbench.papers.spec.layers import BlocksFile, Layer, RowRecipe, layers_at, merge, raw, read_file, read_recipe
from vtbench.papers.spec.recipe import Recipe
from vtbench.papers.spec.references import check_attentions, check_baselines, check_means, check_notes, check_published
from vtbench.papers.spec.schema import PaperFile, PrintedAt, PrintedColumn, Row, Source, Status, Table, read_columns
from vtbench.scales import SCALES, Scale, default_scales, layered, small_scales

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_NAMED = "use small letters, digits, '.', '-' and '_'"


@dataclass(frozen=True, kw_only=True)
class _MeasurementFile(BlocksFile):
    scales: tuple[str, ...] | None = key("the scales at which it exists; not set: all but lab", default=None)


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
    label: str = key("a short name of the row for readers; what the line prints is in `printed`")
    quoted: bool = key("true: the numbers are quoted from other work", default=False)
    status: Status | None = key("overrides the derived status", default=None)
    published: dict[str, Published] = key("printed cells by metric", default={}, read=read_published)
    printed: dict[str, str] = key("the line's other printed cells by their heading, quoted", default={})
    notes: tuple[str, ...] = key("ids of decisions that concern this row", default=())
    complexity: tuple[str, ...] = key("attentions whose growth with places and frames it prints", default=())
    blind: str | None = key(
        "why its scores do not change when a clip is played backwards, for a network of which that is true",
        default=None,
    )
    baseline: str | None = key("the row of this table that speed and memory are measured against", default=None)


@dataclass(frozen=True, kw_only=True)
class _TableFile:
    caption: str = key("the printed caption")
    source: PrintedAt | None = key("where it is printed; not set: a table of your own", default=None)
    reconstructed: str | None = key(
        "what of the whole table is lost or displaced in the text, and from where", default=None
    )
    columns: tuple[PrintedColumn, ...] = key(
        "heading of each printed column, in order -> the metric that it prints, or two joined by x; empty for one that "
        "stands in `printed`",
        default=(),
        read=read_columns,
    )
    reference: str | None = key("the row that the others are compared with, in accuracy", default=None)
    curve: str | None = key(
        "what the rows are a curve over: the heading of a printed column of numbers, or `label`, the rows in order",
        default=None,
    )
    notes: tuple[str, ...] = key("ids of decisions that concern all rows", default=())
    sources: dict[str, Source] = key(
        "sources of keys that only this table sets, or that differ from paper.yaml", default={}
    )
    defaults: Node | None = key("blocks shared by all rows", default=None, read=raw)
    rows: Node = key("the printed lines, in order", read=raw)


@cache
def read_about(folder: Path) -> tuple[PaperFile | None, tuple[Layer, ...], tuple[str, ...]]:
    """paper.yaml of a paper's folder: what it says (None if it cannot be read), its layers of the small scales, and
    what is wrong with it."""
    problems = Problems()
    path = folder / "paper.yaml"
    if not path.is_file():
        return None, (), (f"{shown(folder)}: has no paper.yaml; write one, as benchmarks/README.md says",)
    try:
        about, layers = read_file(PaperFile, read_yaml(path), problems, shared=True)
    except SpecError as error:
        return None, (), error.problems
    return None if problems.found else about, tuple(layers), tuple(problems.found)


@dataclass(frozen=True)
class _Taken:
    """What a row is `like`."""

    measurement: str
    spec: RowRecipe
    selector: str
    """The whole of it, as paper/table:row@measurement."""


class TableReader:
    """One table file. `nodes`: row -> where it stands, in printed order."""

    def __init__(self, path: Path, root: Root, builders: Builders) -> None:
        self.path, self.root, self.builders = path, root, builders
        self.problems = Problems()
        self.nodes: dict[str, Node] = {}
        self._rows: dict[str, Row | SpecError] = {}
        self._open: list[str] = []
        self._file: _TableFile | None = None
        self._defaults, self._where = _DefaultsFile(), Node({}, shown(path), 1, "defaults")
        self._layers: tuple[Layer, ...] = ()
        self._about: PaperFile | None = None
        with self.problems.collected():
            self._read(read_yaml(path))

    def _read(self, top: Node) -> None:
        """Everything but the rows."""
        for scale in small_scales():
            if scale in top.value:
                with self.problems.collected():
                    top.value.pop(scale).fail("stands in `defaults`, a row, a measurement or paper.yaml; move it there")
        self._file = build(_TableFile, top, problems=self.problems)
        self._about, above, _ = read_about(self.path.parent)
        check_notes(top, self._about, self.problems)
        own: list[Layer] = []
        if self._file.defaults is not None:
            defaults, own = read_file(_DefaultsFile, self._file.defaults, self.problems, shared=True)
            if defaults is not None:
                self._defaults, self._where = defaults, self._file.defaults
        self._layers = (*above, *own)
        rows = self._file.rows
        if rows is None:
            return  # missing, which is said already
        if not isinstance(rows.value, list) or not rows.value:
            rows.fail("must be a list of rows")
        for number, node in enumerate(rows.value):
            given = node.value.get("id") if isinstance(node.value, dict) else None
            name = given.value if given is not None and isinstance(given.value, str) else f"rows[{number}]"
            if name in self.nodes:
                with self.problems.collected():
                    first = self.nodes[name].line
                    node.value["id"].fail(f"'{name}' is already the id of the row in line {first}")
            else:
                self.nodes[name] = node

    def row(self, name: str) -> Row:
        """One of the rows in `nodes`. Raises SpecError with everything that is wrong with it, UsageError for one that
        is just being read: it is `like` itself."""
        if name in self._open:
            raise UsageError(f"goes in a circle: {' -> '.join([*self._open[self._open.index(name) :], name])}")
        if name not in self._rows:
            self._open.append(name)
            try:
                self._rows[name] = self._read_row(self.nodes[name])
            except SpecError as error:
                self._rows[name] = error
            finally:
                self._open.remove(name)
        found = self._rows[name]
        if isinstance(found, SpecError):
            raise found
        return found

    def table(self) -> tuple[Table | None, tuple[str, ...]]:
        """The table with the rows that can be read (None if it is no table at all), and everything that is wrong."""
        if self._file is None:
            return None, tuple(self.problems.found)
        rows: dict[str, Row] = {}
        problems, wrong = Problems(), Problems()
        for name in self.nodes:
            with wrong.collected():
                rows[name] = self.row(name)
        check_baselines(self.nodes, rows, problems)
        table = Table(
            name=self.path.stem,
            file=shown(self.path),
            caption=self._file.caption,
            source=self._file.source,
            reconstructed=self._file.reconstructed,
            columns=self._file.columns,
            reference=self._file.reference,
            curve=self._file.curve,
            notes=self._file.notes,
            sources=self._file.sources,
            rows=tuple(rows.values()),
        )
        return table, (*self.problems.found, *_merge_alike(wrong.found), *problems.found)

    # ---- rows --------------------------------------------------------------------------------------------------------

    def _read_row(self, node: Node) -> Row:
        problems = Problems()
        file, own = read_file(_RowFile, node, problems, shared=False)
        if file is None:
            problems.refuse()
        assert file is not None and self._file is not None
        with problems.collected():
            if isinstance(file.id, str) and not _NAME.fullmatch(file.id):
                node.value["id"].fail(f"is {file.id!r}; {_NAMED}")
        check_notes(node, self._about, problems)
        check_attentions(node, self.builders, problems)
        status: Status = file.status or ("published-only" if file.quoted else "runnable")
        recipes: dict[str, RowRecipe] = {}
        taken = None
        if status == "published-only" and file.model is None:
            self._refuse_recipe(node, own, problems)
        else:
            with problems.collected():
                like = node.value.get("like", self._where.value.get("like"))
                taken = self._taken(like) if like is not None and isinstance(like.value, str) else None
                for name, blocks in self._measurements(file, taken.measurement if taken else "main").items():
                    with problems.collected():
                        recipes[name] = self._recipe(node, name, blocks, own, taken, status)
            self._check_scales(own, recipes, problems)
        means = {**self._nodes_of(self._where, "means"), **self._nodes_of(node, "means")} if recipes else {}
        check_means(node, means, recipes, problems)
        table_metrics = self._nodes_of(self._where, "eval").get("metrics")
        check_published(node, recipes, means, table_metrics, problems)
        problems.refuse()
        return Row(
            paper=self.path.parent.name,
            table=self.path.stem,
            name=file.id,
            label=file.label,
            own=not file.quoted,
            status=status,
            published=file.published,
            printed=file.printed,
            # what is said of all rows is about their training: not of a row that only quotes numbers
            notes=file.notes if status == "published-only" and not recipes else (*self._file.notes, *file.notes),
            recipes=recipes,
            root=self.root,
            file=shown(self.path),
            line=node.line,
            complexity=file.complexity,
            baseline=file.baseline,
            blind=file.blind,
            means={**self._defaults.means, **file.means} if recipes else {},
            like=taken.selector if taken else None,
        )

    @staticmethod
    def _nodes_of(where: Node, name: str) -> Mapping[str, Node]:
        """The values of a mapping that stands in a place, none if it is not there or no mapping."""
        inner = where.value.get(name)
        found: Mapping[str, Node] = inner.value if inner is not None and isinstance(inner.value, dict) else {}
        return found

    def _refuse_recipe(self, node: Node, own: Sequence[Layer], problems: Problems) -> None:
        """A row that only quotes numbers runs at no scale."""
        for name in ("like", "measurements", *(layer.scale for layer in own if layer.scale != "paper")):
            if name in node.value:
                with problems.collected():
                    node.value[name].fail("a row that only quotes numbers runs at no scale; remove it")
        for block in (block for layer in own if layer.scale == "paper" for block in layer.blocks):
            with problems.collected():
                node.value[block].fail("a row that only quotes numbers has no recipe; remove it, or give it a model")

    def _measurements(self, file: _RowFile, otherwise: str) -> dict[str, list[tuple[Node, bool]]]:
        """Measurement -> its blocks in `defaults` and in the row, each with whether all rows share them; `otherwise`
        alone if the file names none."""
        named: dict[str, list[tuple[Node, bool]]] = {}
        for block, shared in ((self._defaults.measurements, True), (file.measurements, False)):
            if block is None or block.value is None:
                continue
            if not isinstance(block.value, dict) or not block.value:
                found = described(block) if block.value != {} else "empty"
                block.fail(f"must be names of measurements with their blocks, not {found}")
            for name, node in block.value.items():
                if not _NAME.fullmatch(name):
                    node.fail(f"'{name}' is not a name for a measurement; {_NAMED}")
                named.setdefault(name, []).append((node, shared))
        return named or {otherwise: []}

    def _recipe(
        self,
        row: Node,
        name: str,
        blocks: Sequence[tuple[Node, bool]],
        own: Sequence[Layer],
        taken: _Taken | None,
        status: Status,
    ) -> RowRecipe:
        problems = Problems()
        layers = [*(_like(taken) if taken else ()), *self._layers, *own]
        scales: tuple[Scale, ...] = default_scales()
        if taken:
            scales = tuple(scale for scale in taken.spec.scales if scale in scales)
        for node, shared in blocks:
            if node.value is None:
                continue
            spec, small = read_file(_MeasurementFile, node, problems, shared=shared)
            layers += small
            if spec is not None and spec.scales is not None:
                scales = spec.scales
                self._check_names_of_scales(node.value["scales"], problems)
        complete = status == "runnable"
        recipe: Recipe | None = None
        with problems.collected():
            recipe = self._at_paper_scale(row, layers, complete)
        made = RowRecipe(recipe, scales, tuple(layers), row, complete, self.builders)
        for scale in scales if problems.found else ():  # all that is wrong is said at once
            if scale in SCALES and scale != "paper":
                with problems.collected():
                    made.at(scale)
        problems.refuse()
        return made

    def _at_paper_scale(self, row: Node, layers: Sequence[Layer], complete: bool) -> Recipe:
        printed = layers_at(layers, "paper")
        merged = merge(printed, self.builders)
        try:
            return read_recipe(printed, row, complete=complete, builders=self.builders, merged=merged)
        except SpecError as error:
            if complete and not merged.blocks.get("train") and "status" not in row.value:
                raise SpecError(f"{error}; a row with nothing to train says status: analytic", error.others) from error
            raise

    @staticmethod
    def _check_names_of_scales(given: Node, problems: Problems) -> None:
        with problems.collected():
            if not given.value:
                given.fail(f"must name a scale or more, of {', '.join(SCALES)}")
            for item in given.value if isinstance(given.value, list) else ():
                if item.value not in SCALES:
                    item.fail(not_one_of(item.value, SCALES))

    def _check_scales(self, own: Sequence[Layer], recipes: Mapping[str, RowRecipe], problems: Problems) -> None:
        """What a row or a measurement says of a scale is of one at which it exists, or that lies on that one."""
        used = {
            name: {part for scale in spec.scales if scale in SCALES for part in layered(scale)}
            for name, spec in recipes.items()
        }
        for layer in own:
            if recipes and not any(layer.scale in scales for scales in used.values()):
                _refuse_layer(layer, "no measurement of the row exists", problems)
        for name, spec in recipes.items():
            for layer in spec.layers:
                if not layer.shared and layer not in own and layer.scale not in used[name]:
                    _refuse_layer(layer, f"the measurement '{name}' does not exist", problems)

    def _taken(self, like: Node) -> _Taken:
        """What a row is `like`."""
        try:
            selector = Selector.parse(like.value)
            if not selector.row:
                raise UsageError("must name one row, as paper/table:row or paper/table:row@measurement")
            row = row_named(selector, self.builders)
            names = list(row.recipes)
            if not names or row.status != "runnable":
                raise UsageError(f"{row.id} is {row.status}, there is no recipe to take")
            if selector.measurement is None and len(names) > 1:
                choices = " or ".join(f"@{name}" for name in names)
                raise UsageError(f"{row.id} has several measurements; choose {choices}")
            name = names[0] if selector.measurement is None else selector.measurement
            if name not in names:
                raise UsageError(unknown("measurement", name, names, of=row.id))
        except (UsageError, SpecError) as error:
            like.fail(str(error))
        return _Taken(name, row.recipes[name], f"{row.id}@{name}")


def _refuse_layer(layer: Layer, what: str, problems: Problems) -> None:
    for _, node in list(layer.values())[:1]:
        with problems.collected():
            node.fail(f"{what} at {layer.scale} scale; see `scales`")


def _like(taken: _Taken) -> list[Layer]:
    """The layers of another row, without its network."""
    return [
        dataclasses.replace(
            layer,
            shared=True,
            like=layer.like or taken.selector,
            blocks={block: values for block, values in layer.blocks.items() if block != "model"},
        )
        for layer in taken.spec.layers
    ]


def _merge_alike(problems: Sequence[str]) -> list[str]:
    """What is wrong with several rows alike, as one line at the first of them that names the lines of the others."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for problem in problems:
        found = re.match(r"^(.*?:(\d+): )rows\[\d+\]\.", problem)
        alike.setdefault(problem[found.end() :] if found else problem, []).append((problem, found[2] if found else ""))
    lines = []
    for members in alike.values():
        others = ", ".join(line for _, line in members[1:])
        lines.append(members[0][0] + (f" (also in line {others})" if others else ""))
    return lines


@cache
def reader(path: Path, root: Root, builders: Builders) -> TableReader:
    """The one reader of a table file."""
    return TableReader(path, root, builders)


def row_named(selector: Selector, builders: Builders) -> Row:
    """One row of any root, without reading others. Raises UsageError for one that is not there, SpecError for one that
    cannot be read."""
    if selector.paper not in papers():
        raise UsageError(unknown("paper", selector.paper, papers()))
    refuse_conflict("paper", selector.paper)
    root, folder = papers()[selector.paper]
    tables = {path.stem: path for path in table_files(folder)[0]}
    if selector.table is None or selector.table not in tables:
        raise UsageError(unknown("table", selector.table or "", tables, before=f"{selector.paper}/"))
    found = reader(tables[selector.table], root, builders_of(root, builders))
    if selector.row is None or selector.row not in found.nodes:
        place = f"{selector.paper}/{selector.table}:"
        raise UsageError(unknown("row", selector.row or "", found.nodes, before=place))
    return found.row(selector.row)


def builders_of(root: Root, builders: Builders) -> Builders:
    """The builders that specs of a root can name."""
    return dataclasses.replace(builders, home=None if root.own else root.folder)


def table_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The table files of one paper in printed order (table1.yaml, table2a.yaml, ..., table10.yaml), and what is wrong
    with the names of others."""
    numbered, wrong = {}, []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")):
        number = re.fullmatch(r"table(\d+)([a-z]*)", path.stem)
        if number and path.suffix == ".yaml":
            numbered[path] = int(number[1]), number[2]
        elif path.name not in ("paper.yaml", "claims.yaml", "official.yaml"):
            wrong.append(f"{shown(path)}: a table's file is called like table2.yaml or table2a.yaml; rename it")
    return sorted(numbered, key=lambda path: numbered[path]), wrong
