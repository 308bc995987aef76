"""What the files of a paper say: paper.yaml, tables and rows.

Every class is frozen; a field made with `key()` can be written in a file, with the meaning, unit and range given there.
"""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vtbench.fields import key
from vtbench.papers.roots import Root
from vtbench.papers.spec.cells import Published
from vtbench.papers.spec.document import Node, described
from vtbench.papers.spec.layers import RowRecipe
from vtbench.papers.spec.variants import Variant, read_variants
from vtbench.scales import Scale

Status = Literal["runnable", "analytic", "published-only"]

# ---- rows, tables, papers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row:
    """One printed line, or one of the user's own."""

    paper: str
    table: str
    name: str
    label: str
    own: bool
    status: Status
    published: Mapping[str, Published]
    printed: Mapping[str, str]
    notes: tuple[str, ...]
    recipes: Mapping[str, RowRecipe]
    """Measurement -> what it is, in the order of the file."""
    root: Root
    file: str
    """The table's file, as messages print it."""
    line: int
    blind: str | None = None
    """Why the scores of its network do not change when a clip is played backwards; None where they do."""
    baseline: str | None = None
    """The row of this table that its latency, throughput and memory are measured against, by name."""
    complexity: tuple[str, ...] = ()
    """Attentions of vtbench.layers.attention.ATTENTIONS whose growth with places and frames the row prints."""
    means: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """What the row prints as the mean over several of its measurements: name -> theirs."""
    like: str | None = None
    """The row that this one takes everything but its network from, as paper/table:row@measurement."""
    asked: frozenset[str] | None = None
    """The measurements that a selector asks for (`@sthv2`); None for all."""
    variant: str | None = None
    """What its recipes were changed by: names of variants, and settings as key=value."""

    @property
    def id(self) -> str:
        """ "paper/table:row"."""
        return f"{self.paper}/{self.table}:{self.name}"

    @property
    def where(self) -> str:
        """ "benchmarks/paper/table.yaml:line", for messages."""
        return f"{self.file}:{self.line}"

    @property
    def baseline_id(self) -> str | None:
        """The baseline as "paper/table:row"."""
        return f"{self.paper}/{self.table}:{self.baseline}" if self.baseline else None

    @property
    def asked_recipes(self) -> dict[str, RowRecipe]:
        """The recipes of the measurements that are asked for."""
        return {name: spec for name, spec in self.recipes.items() if self.asked is None or name in self.asked}

    def means_at(self, scale: Scale) -> dict[str, tuple[str, ...]]:
        """`means` of the measurements that exist at a scale."""
        there = {name for name, spec in self.recipes.items() if scale in spec.scales}
        found = {name: tuple(part for part in parts if part in there) for name, parts in self.means.items()}
        return {name: parts for name, parts in found.items() if parts}

    def metric(self, measurement: str, metric: str) -> str:
        """The key of `published` under which the row prints `metric` of one of its measurements or means."""
        return metric if measurement == "main" else f"{measurement}_{metric}"


@dataclass(frozen=True, kw_only=True)
class PrintedAt:
    """Where a table stands in the paper."""

    table: int = key("number of the printed table", at_least=1)
    page: int | None = key("page of the PDF, counted from 1", default=None, at_least=1)
    device: str | None = key("what its times and its memory were measured on, as printed", default=None)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a value of the recipe comes from: exactly one of paper, code, decision, not_stated."""

    paper: str | None = key("the section, equation or table that says it", default=None)
    code: str | None = key("file and setting of the official code that says it", default=None)
    decision: str | None = key("id of an entry of `decisions`", default=None)
    not_stated: str | None = key("an entry of `not_stated`: the paper leaves it out", default=None)
    why: str | None = key("one line: why this value, or what disagrees with it", default=None)

    def __post_init__(self) -> None:
        given = [name for name in ("paper", "code", "decision", "not_stated") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("a source holds exactly one of paper, code, decision, not_stated")
        if given[0] in ("decision", "not_stated") and not self.why:
            raise ValueError(f"a source by {given[0]} says why")

    def __str__(self) -> str:
        given = {"paper": self.paper, "code": self.code, "decision": self.decision, "not stated": self.not_stated}
        text = next(f"{name}: {value}" for name, value in given.items() if value)
        return f"{text} ({self.why})" if self.why else text


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a contradiction or an ambiguity of the paper was settled."""

    where: str = key("the places in the paper")
    what: str = key("what they say, in one line")
    decision: str = key("what vtbench does")
    why: str = key("the reason")


@dataclass(frozen=True, kw_only=True)
class Code:
    """The authors' (or, where there is none, the closest) code."""

    url: str = key("the repository")
    commit: str = key("40 hex digits")
    note: str | None = key("what this code is to the paper", default=None)


def _sha256(text: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{8,64}", text):
        raise ValueError(f"is {text!r}, must be the first 8 or more hex digits of a SHA-256")


@dataclass(frozen=True, kw_only=True)
class Release:
    """The file that a name of weights stands for."""

    url: str | None = key("where it can be had; not set: nowhere by name", default=None)
    sha256: str | None = key(
        "the first 8 or more digits of its SHA-256: it is downloaded where no file is given, and a given file that "
        "differs is refused; not set: none is published",
        default=None,
        check=_sha256,
    )
    size_mb: int | None = key(
        "about how large it is, in 1e6 bytes: 4 bytes a parameter", default=None, unit="MB", at_least=1
    )
    note: str | None = key("what it is", default=None)

    def __post_init__(self) -> None:
        if self.sha256 and not self.url:
            raise ValueError("a release with a sha256 says its url")


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """How a paper counts what its networks cost: the conventions that reproduce most of its printed cells."""

    params_m: Literal["all", "no_bn_affine", "no_head", "thop"] = key("which parameters", default="all")
    gflops: Literal["fvcore", "matmul", "thop"] = key("which multiply-adds", default="fvcore")


@dataclass(frozen=True, kw_only=True)
class PaperFile:
    """paper.yaml."""

    title: str = key("the title of the paper")
    authors: tuple[str, ...] = key("authors, in order", default=())
    venue: str | None = key("where it appeared", default=None)
    year: int | None = key("year of the venue", default=None)
    arxiv: str | None = key("arXiv id", default=None)
    code: Code | None = key("official code", default=None)
    bibtex: str | None = key("BibTeX entry", default=None)
    counted: Conventions = key("how the paper counts parameters and multiply-adds", default=Conventions())
    weights: dict[str, Release] = key("name in init.weights, or of an audio encoder -> its file", default={})
    decisions: dict[str, Decision] = key("contradictions and ambiguities, settled", default={})
    variants: dict[str, Variant] = key(
        "name -> blocks that lie on top of a row's: alternatives of decisions, recipes of official codes",
        default={},
        read=read_variants,
    )
    not_stated: dict[str, str] = key("what the paper leaves out -> how it is settled", default={})
    sources: dict[str, Source] = key("dotted key of the recipe -> where its value comes from", default={})


@dataclass(frozen=True)
class PrintedColumn:
    """One column of a printed table."""

    heading: str
    metrics: tuple[str, ...]
    """The keys of `published` that it prints, joined by x where there are two; none for what is only `printed`."""

    def text(self, row: Row) -> str:
        """The cell of a row, as printed; empty where the print has nothing of its own (a cell that spans rows)."""
        if self.heading in row.printed:
            return row.printed[self.heading]
        cells = [row.published[name].text for name in self.metrics if name in row.published]
        return "x".join(cells)


def read_columns(node: Node) -> tuple[PrintedColumn, ...]:
    """`columns` of a table file: heading -> the metric that it prints, a list of two, or nothing."""
    if not isinstance(node.value, dict):
        node.fail(f"must be headings with the metrics that they print, not {described(node)}")
    found = []
    for heading, inner in node.value.items():
        names = inner.plain() if isinstance(inner.value, list) else [inner.value] if inner.value is not None else []
        if not all(isinstance(name, str) for name in names):
            inner.fail(f"must be a metric, or a list of two, not {described(inner)}")
        found.append(PrintedColumn(heading, tuple(names)))
    return tuple(found)


@dataclass(frozen=True)
class Table:
    """One printed table, rows in printed order."""

    name: str
    file: str
    """As messages print it."""
    caption: str
    source: PrintedAt | None
    """None for a table of the user's own."""
    reconstructed: str | None
    """What of the whole table is lost or displaced in the text, and from where it was put right."""
    columns: tuple[PrintedColumn, ...]
    """What is printed beside the label, in the paper's order."""
    reference: str | None
    """The row that the others are compared with, by name."""
    notes: tuple[str, ...]
    sources: Mapping[str, Source]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Paper:
    """One folder of benchmarks/."""

    name: str
    root: Root
    about: PaperFile
    tables: tuple[Table, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows, in printed order."""
        return [row for table in self.tables for row in table.rows]
