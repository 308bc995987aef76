"""Selectors to rows: "msca", "msca/table2", "msca/table2:msca-kv"; none means all."""

from __future__ import annotations

from collections.abc import Sequence

from vtbench.errors import UsageError, did_you_mean
from vtbench.spec.load import load_all, load_paper, paper_names
from vtbench.spec.schema import Row


def select(selectors: Sequence[str] = ()) -> list[Row]:
    """The rows that any of the selectors names, each once, in printed order.

    Raises UsageError, with the nearest name, for a selector that names nothing.
    """
    if not selectors:
        return [row for paper in load_all() for row in paper.rows]
    wanted: set[str] = set()
    papers = []
    for selector in selectors:
        paper_name, slash, rest = selector.partition("/")
        if paper_name not in paper_names():
            raise UsageError(f"no paper '{paper_name}' (in '{selector}'){did_you_mean(paper_name, paper_names())}")
        paper = load_paper(paper_name)
        if paper not in papers:
            papers.append(paper)
        table_name, colon, row_name = rest.partition(":")
        tables = {table.name: table for table in paper.tables}
        if slash and table_name not in tables:
            nearest = did_you_mean(selector.partition(":")[0], [f"{paper_name}/{name}" for name in tables])
            raise UsageError(f"no table '{paper_name}/{table_name}' (in '{selector}'){nearest}")
        rows = tables[table_name].rows if slash else paper.rows
        named = [row.id for row in rows if not colon or row.name == row_name]
        if not named:
            raise UsageError(f"no row '{selector}'{did_you_mean(selector, [row.id for row in rows])}")
        wanted.update(named)
    papers.sort(key=lambda paper: paper.name)
    return [row for paper in papers for row in paper.rows if row.id in wanted]
