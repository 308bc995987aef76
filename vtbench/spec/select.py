"""Selectors to rows: "msca", "msca/table2", "msca/table2:msca-kv"; none means all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
            raise UsageError(f"no table '{paper_name}/{table_name}'" + _nearest(f"{paper_name}/", table_name, tables))
        rows = tables[table_name].rows if slash else paper.rows
        named = [row.id for row in rows if not colon or row.name == row_name]
        if not named:
            nearest = _nearest(f"{paper_name}/{table_name}:", row_name, [row.name for row in rows])
            raise UsageError(f"no row '{selector}'{nearest}")
        wanted.update(named)
    papers.sort(key=lambda paper: paper.name)
    return [row for paper in papers for row in paper.rows if row.id in wanted]


def weight_names() -> list[str]:
    """The names of weights that any row asks for, which `--weights NAME=FILE` can give."""
    trainings = (m.evaluation.training for row in select() for m in row.measurements("paper"))
    return sorted({name for training in trainings for name in training.weights})


def _nearest(prefix: str, name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as a whole selector, so that it can be pasted."""
    hint = did_you_mean(name, known)
    return hint.replace("'", f"'{prefix}", 1) if "'" in hint else hint
