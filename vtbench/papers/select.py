"""Selectors to rows: "msca", "msca/table2", "msca/table2:msca-kv", "all", each maybe with "@measurement"; none means
all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vtbench.errors import UsageError, unknown
from vtbench.metrics import accuracies
from vtbench.papers.load import load_all, load_paper, paper_names
from vtbench.papers.selector import Selector
from vtbench.papers.spec.schema import Row

ALL = "all"
"""The selector of every row."""


def select(selectors: Sequence[str] = ()) -> list[Row]:
    """The rows that any of the selectors names, each once, in printed order.

    `@split1` behind a paper, a table, a row or "all" keeps that measurement of the rows that have it; a row that is
    named twice keeps all that is asked of it. Raises UsageError, with the nearest name, for a selector that names
    nothing.
    """
    asked: dict[str, frozenset[str] | None] = {}
    names: set[str] = set()
    for text in selectors or [ALL]:
        selector = Selector.parse(text)
        for row in _measured(_named(selector, text), selector):
            wanted = None if selector.measurement is None else frozenset([selector.measurement])
            before = asked.get(row.id, frozenset())
            asked[row.id] = None if wanted is None or before is None else wanted | before
            names.add(row.paper)
    papers = [load_paper(name) for name in sorted(names)]
    return [_restricted(row, asked[row.id]) for paper in papers for row in paper.rows if row.id in asked]


def is_all(selector: Selector) -> bool:
    """Whether it is of all papers."""
    return selector.paper == ALL and selector.table is None


def _named(selector: Selector, text: str) -> Sequence[Row]:
    """The rows of all papers, or of a selector's paper, table or row."""
    if is_all(selector):
        return [row for paper in load_all() for row in paper.rows]
    if selector.paper not in paper_names():
        within = "" if text == selector.paper else f" (in '{text}')"
        raise UsageError(unknown("paper", selector.paper, paper_names()) + within)
    paper = load_paper(selector.paper)
    if selector.table is None:
        return paper.rows
    by_name = {table.name: table for table in paper.tables}
    if selector.table not in by_name:
        raise UsageError(unknown("table", selector.table, by_name, before=f"{selector.paper}/"))
    rows = by_name[selector.table].rows
    if selector.row is None:
        return rows
    found = [row for row in rows if row.name == selector.row]
    if not found:
        place = f"{selector.paper}/{selector.table}:"
        raise UsageError(unknown("row", selector.row, [row.name for row in rows], before=place))
    return found


def _measured(rows: Sequence[Row], selector: Selector) -> Sequence[Row]:
    """Those of the rows that have the measurement that is asked for."""
    if selector.measurement is None:
        return rows
    found = [row for row in rows if selector.measurement in row.recipes]
    if not found:
        names = list(dict.fromkeys(name for row in rows for name in row.recipes))
        place = str(dataclasses.replace(selector, measurement=None))
        if not names:
            raise UsageError(f"no measurement '{selector}': {place} has none, its numbers are quoted")
        raise UsageError(unknown("measurement", selector.measurement, names, before=f"{place}@"))
    return found


def _restricted(row: Row, asked: frozenset[str] | None) -> Row:
    """The row with the measurements that are asked for, and without the printed accuracies of the others."""
    if asked is None:
        return row
    others = [name for name in (*row.recipes, *row.means) if not asked & {name, *row.means.get(name, ())}]
    dropped = {row.metric(name, metric) for name in others for metric in accuracies()}
    published = {name: cell for name, cell in row.published.items() if name not in dropped}
    return dataclasses.replace(row, asked=asked, published=published)
