"""Which decisions concern which rows, and how their alternatives are run."""

from __future__ import annotations

from collections.abc import Mapping

from vtbench.papers.sources import source_key
from vtbench.papers.spec.schema import Decision, Paper, Row, Source


def decisions_of(paper: Paper, row: Row) -> dict[str, Decision]:
    """The decisions that concern a row, in the order of paper.yaml: those that its notes name, and those that a source
    of one of its settings cites."""
    named = cited(paper, row)
    return {name: decision for name, decision in paper.about.decisions.items() if name in named}


def cited(paper: Paper, row: Row) -> set[str]:
    """The ids of the decisions that concern a row."""
    return {*row.notes, *(s.decision for s in sources_of(paper, row).values() if s.decision is not None)}


def sources_of(paper: Paper, row: Row) -> dict[str, Source]:
    """Dotted key -> the source of its value at paper scale, of all measurements of a row."""
    table = next((table for table in paper.tables if table.name == row.table), None)
    sources: Mapping[str, Source] = {**paper.about.sources, **(table.sources if table else {})}
    found: dict[str, Source] = {}
    for spec in row.recipes.values():
        for key in spec.recipe.leaves() if row.like is None else ():
            named = source_key(key, spec.recipe, sources)
            if named:
                found[key] = sources[named]
    return found


def unsaid(paper: Paper, row: Row) -> dict[str, str]:
    """What the paper leaves out of the settings of a row, and how it is settled: entries of `not_stated`."""
    named = dict.fromkeys(s.not_stated for s in sources_of(paper, row).values() if s.not_stated is not None)
    return {name: paper.about.not_stated[name] for name in named if name in paper.about.not_stated}


def variants_of_decision(paper: Paper, name: str) -> list[str]:
    """The variants that are a decision's alternatives."""
    return [v.name for v in paper.about.variants.values() if (v.decision or v.name) == name]


def rows_touched(paper: Paper) -> dict[str, list[str]]:
    """Decision -> the ids of the rows that it concerns."""
    found: dict[str, list[str]] = {name: [] for name in paper.about.decisions}
    for row in paper.rows:
        for name in cited(paper, row):
            if name in found:
                found[name].append(row.id)
    return found


def in_short(ids: list[str], paper: Paper) -> list[str]:
    """Rows as selectors, as few as say the same: all rows of the paper or of a table that have a recipe as one."""
    rows = [row for row in paper.rows if row.id in set(ids)]
    trained = [row for row in paper.rows if row.recipes and row.status != "published-only"]
    if trained and {row.id for row in trained} == {row.id for row in rows}:
        return [paper.name]
    short: list[str] = []
    for table in paper.tables:
        here = [row.id for row in rows if row.table == table.name]
        every = [row.id for row in trained if row.table == table.name]
        short += [f"{paper.name}/{table.name}"] if here and set(here) == set(every) else here
    return short
