"""claims.yaml of a paper: what its sentences say about numbers of its tables.

    - id: kv-over-vit
      quote: "is better than TokenShift by 0.1% and then ViT by 1.2%"
      source: {section: abstract, page: 1}
      cells: {kv: table2:msca-kv.top1, vit: table2:vit.top1}
      holds: about(kv - vit, 1.2)
      note: Tables give 0.82.
      untestable: {mini: why numbers of that scale say nothing of it}

A cell is TABLE:ROW.KEY; KEY is one under which the row prints or measures a number. docs/claims.md has the language of
`holds`.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from vtbench.errors import SpecError, did_you_mean, unknown
from vtbench.fields import key
from vtbench.metrics import METRICS, always_measured, speed_metrics
from vtbench.papers.claims.expression import FUNCTIONS, Expression, conditions, parse
from vtbench.papers.claims.fillings import AMOUNT, PERCENT, says_nothing
from vtbench.papers.code.signatures import called
from vtbench.papers.load import load_paper
from vtbench.papers.roots import Root
from vtbench.papers.spec.cells import Published
from vtbench.papers.spec.document import Node, Problems, build, described, read_yaml
from vtbench.papers.spec.layers import raw
from vtbench.papers.spec.schema import Paper, Row
from vtbench.scales import SCALES, Scale

FILE = "claims.yaml"
_ID = re.compile(r"[a-z0-9][a-z0-9-]*")
_CELL = re.compile(r"(?P<table>[^:]+):(?P<row>.+)\.(?P<key>[^.]+)")
COSTS = ("params_m", "gflops", "tflops")

Kind = Literal["accuracy", "cost", "speed"]


def _words(text: str) -> None:
    if not text.strip():
        raise ValueError("is empty; write what the paper says")


@dataclass(frozen=True, kw_only=True)
class SaidAt:
    """Where a sentence stands in the paper."""

    section: str = key('the section: "4.3", abstract, conclusion; quote a number', check=_words)
    page: int | None = key("page of the PDF, counted from 1", default=None, at_least=1)

    def __str__(self) -> str:
        section = f"section {self.section}" if self.section[:1].isdigit() else self.section
        return section if self.page is None else f"{section}, page {self.page}"


@dataclass(frozen=True, kw_only=True)
class _ClaimFile:
    id: str = key("its name within the paper: small letters, digits and -")
    quote: str = key("the paper's words", check=_words)
    source: SaidAt = key("where they stand")
    cells: Node = key("short name -> TABLE:ROW.KEY", read=raw)
    holds: Node = key("what they say, as an expression over the cells", read=raw)
    note: str | None = key("how the sentence was read", default=None)
    untestable: Node | None = key("scale -> why its numbers say nothing of the claim", default=None, read=raw)


@dataclass(frozen=True, eq=False)
class Cell:
    """One number of a row."""

    row: Row
    key: str
    """The name under which the row prints or measures it: "top1", "sthv1_top1", "gflops"."""
    metric: str
    """What it is, without a measurement's name: "top1"."""

    @property
    def kind(self) -> Kind:
        """What its metric is; one of the user's is an accuracy."""
        if self.metric in COSTS:
            return "cost"
        return "speed" if self.metric in METRICS and METRICS[self.metric].work else "accuracy"

    @property
    def id(self) -> str:
        """As claims.yaml writes it: "table2:vit.top1"."""
        return f"{self.row.table}:{self.row.name}.{self.key}"

    @property
    def printed(self) -> Published | None:
        """What is printed; None where nothing is."""
        return self.row.published.get(self.key)


@dataclass(frozen=True, eq=False)
class Claim:
    """One sentence of a paper."""

    paper: str
    name: str
    """Unique within the paper."""
    quote: str
    source: SaidAt
    cells: Mapping[str, Cell]
    """By short name."""
    expression: Expression
    note: str | None
    untestable: Mapping[Scale, str]
    place: str
    """File and line, for messages."""

    @property
    def id(self) -> str:
        """ "paper/name"."""
        return f"{self.paper}/{self.name}"

    @property
    def rows(self) -> list[Row]:
        """The rows that it is about, each once."""
        return list({cell.row.id: cell.row for cell in self.cells.values()}.values())

    @property
    def tables(self) -> list[str]:
        """The tables that they stand in, by name."""
        return list(dict.fromkeys(row.table for row in self.rows))


def load_claims(name: str) -> tuple[Claim, ...]:
    """The claims of a paper, in the order of its claims.yaml; none where there is no such file. Raises SpecError with
    everything that is wrong with it, and with the paper."""
    return _load(name, load_paper(name).root)


@cache
def _load(name: str, root: Root) -> tuple[Claim, ...]:  # `root` tells two folders with a paper of this name apart
    claims, problems = read_claims(load_paper(name))
    if problems:
        raise SpecError(problems[0], problems[1:])
    return tuple(claims)


def read_claims(paper: Paper) -> tuple[list[Claim], list[str]]:
    """The claims of a paper that can be read, and everything that is wrong with its claims.yaml, one line each."""
    path = paper.root.benchmarks / paper.name / FILE
    return _read(paper, path) if os.path.lexists(path) else ([], [])


def check_claims(paper: Paper) -> list[str]:
    """Everything that is wrong with claims.yaml of a paper, one line each: also expressions that say nothing, or in
    which a cell changes nothing."""
    claims, problems = read_claims(paper)
    for claim in claims:
        ranges = {name: PERCENT if cell.kind == "accuracy" else AMOUNT for name, cell in claim.cells.items()}
        if wrong := says_nothing(claim.expression, ranges, seed=claim.id):
            problems.append(f"{claim.place}: claim {claim.name}: holds: {wrong}")
    return problems


def _read(paper: Paper, path: Path) -> tuple[list[Claim], list[str]]:
    problems = Problems()
    claims: dict[str, Claim] = {}
    with problems.collected():
        for node in read_yaml(path, a_list=True).value:
            with problems.collected():
                _name(node)
                claim = _claim(paper, node)
                if claim.name in claims:
                    node.value["id"].fail(f"is already the id of the claim at {claims[claim.name].place}")
                claims[claim.name] = claim
    return list(claims.values()), problems.found


def _name(node: Node) -> None:
    """Have messages call a claim by its id."""
    given = node.value.get("id") if isinstance(node.value, dict) else None
    if given is not None and isinstance(given.value, str):
        _rename(node, node.key, f"claim {given.value}")


def _rename(node: Node, before: str, name: str) -> None:
    inside = node.key.removeprefix(before).removeprefix(".")
    node.key = f"{name}: {inside}" if inside else name
    below = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    for inner in below:
        _rename(inner, before, name)


def _claim(paper: Paper, node: Node) -> Claim:
    problems = Problems()
    file = build(_ClaimFile, node, problems=problems)
    with problems.collected():
        if isinstance(file.id, str) and not _ID.fullmatch(file.id):
            node.value["id"].fail(f"is {file.id!r}; use small letters, digits and '-'")
    cells = _cells(paper, file.cells, problems) if file.cells is not None else None
    expression = None
    if file.holds is not None:
        with problems.collected():
            expression = _expression(file, cells)
    untestable = _untestable(file.untestable, problems) if file.untestable is not None else {}
    problems.refuse()
    assert expression is not None
    found = {name: cell for name, cell in (cells or {}).items() if cell is not None}
    place = f"{node.file}:{node.line}"
    return Claim(paper.name, file.id, file.quote, file.source, found, expression, file.note, untestable, place)


def _cells(paper: Paper, node: Node, problems: Problems) -> dict[str, Cell | None] | None:
    """Short name -> cell, None for one that is wrong; None where there are no names."""
    if not isinstance(node.value, dict) or not node.value:
        with problems.collected():
            node.fail(f"must be short names with TABLE:ROW.KEY, not {described(node) if node.value else 'empty'}")
        return None
    cells: dict[str, Cell | None] = {}
    for name, inner in node.value.items():
        cells[name] = None
        with problems.collected():
            if not name.isidentifier() or keyword.iskeyword(name) or name in FUNCTIONS:
                inner.fail(f"'{name}' cannot name a cell in an expression; use letters, digits and '_', as in ours_2")
            cell = _cell(paper, inner)
            same = next((n for n, other in cells.items() if other is not None and other.id == cell.id), None)
            if same is not None:
                inner.fail(f"is the cell that '{same}' is; a cell is not compared with itself, keep one of the two")
            cells[name] = cell
    return cells


def _cell(paper: Paper, node: Node) -> Cell:
    parts = _CELL.fullmatch(node.value) if isinstance(node.value, str) else None
    if parts is None:
        node.fail(f"must be TABLE:ROW.KEY, as table2:ours.top1, not {described(node)}")
    tables = {table.name: table for table in paper.tables}
    if parts["table"] not in tables:
        node.fail(unknown("table", parts["table"], tables, before=f"{paper.name}/"))
    rows = {row.name: row for row in tables[parts["table"]].rows}
    if parts["row"] not in rows:
        node.fail(unknown("row", parts["row"], rows, before=f"{parts['table']}:"))
    row = rows[parts["row"]]
    known = {**{name: _metric(name) for name in row.published}, **_measured(row)}
    if parts["key"] not in known:
        node.fail(unknown("number", parts["key"], known, of=f"row {row.table}:{row.name}"))
    cell = Cell(row, parts["key"], known[parts["key"]])
    if cell.metric == "views":
        node.fail("views are no number to compare; name another key")
    return cell


def _metric(name: str) -> str:
    """The metric that a key ends with: "top1" of "sthv1_top1"; the key itself for a metric of the user's."""
    return max((m for m in METRICS if name == m or name.endswith(f"_{m}")), key=len, default=name)


def _measured(row: Row) -> dict[str, str]:
    """The keys of what can be measured of a row, each with its metric."""
    if not row.recipes:
        return {}
    asked = [name for spec in row.recipes.values() if spec.recipe.eval for name in spec.recipe.eval.metrics or ()]
    tested = dict.fromkeys([*always_measured(), *map(called, asked)])
    found = {row.metric(name, metric): metric for name in (*row.recipes, *row.means) for metric in tested}
    return {**found, **{name: name for name in (*COSTS, *speed_metrics())}}


def _expression(file: _ClaimFile, cells: Mapping[str, Cell | None] | None) -> Expression:
    node = file.holds
    if not isinstance(node.value, str):
        node.fail(f"must be an expression, as a - b > 0.5, not {described(node)}")
    try:
        expression = parse(node.value)
    except ValueError as error:
        node.fail(str(error))
    if cells is None:
        return expression
    for name in expression.names:
        if name not in cells:
            near = did_you_mean(name, cells)
            node.fail(f"no cell is called '{name}'{near or '; name it in `cells`'}")
    for name in cells:
        if name not in expression.names:
            file.cells.value[name].fail("is not used in `holds`; remove it")
    for condition in conditions(expression.formula):
        found = [cell for name in condition.names if (cell := cells[name]) is not None]
        metrics = dict.fromkeys(cell.kind if cell.kind == "accuracy" else cell.metric for cell in found)
        if len(metrics) > 1:
            node.fail(f"puts {' and '.join(metrics)} into one number ({condition.text}); compare each with its like")
    return expression


def _untestable(node: Node, problems: Problems) -> dict[Scale, str]:
    if not isinstance(node.value, dict):
        with problems.collected():
            node.fail(f"must be scales with the reason, not {described(node)}")
        return {}
    for name, inner in node.value.items():
        with problems.collected():
            if name not in SCALES:
                inner.fail(unknown("scale", name, SCALES))
            if not isinstance(inner.value, str) or not inner.value:
                inner.fail("must say why")
    return {name: inner.value for name, inner in node.value.items()}
