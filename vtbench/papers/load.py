"""benchmarks/<paper>/ to Paper; refuses what it does not know, with file, line and key.

Everything that is wrong with a paper is found in one reading: `read_paper` gives what could be read and the problems,
`load_paper` raises them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vtbench.errors import SpecError, UsageError, unknown
from vtbench.papers.code.signatures import Builders
from vtbench.papers.roots import Root, papers, refuse_conflict
from vtbench.papers.spec.document import Problems
from vtbench.papers.spec.references import check_shared
from vtbench.papers.spec.schema import Paper
from vtbench.papers.spec.tables import builders_of, read_about, reader, table_files


def paper_names() -> list[str]:
    """The papers of all roots, by name."""
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
        raise UsageError(unknown("paper", name, papers()))
    try:
        refuse_conflict("paper", name)
    except SpecError as error:
        return None, error.problems
    root, folder = papers()[name]
    return _read_paper(root, folder, builders_of(root, builders or Builders()))


@cache
def _read_paper(root: Root, folder: Path, builders: Builders) -> tuple[Paper | None, tuple[str, ...]]:
    about, _, wrong = read_about(folder)
    problems = Problems(wrong)
    paths, misnamed = table_files(folder)
    problems.add_lines(misnamed)
    tables = []
    for path in paths:
        table, found = reader(path, root, builders).table()
        problems.add_lines(found)
        if table is not None:
            tables.append(table)
    rows = [row for table in tables for row in table.rows]
    check_shared(rows, builders, problems, complete=not problems.found)
    paper = None if about is None else Paper(folder.name, root, about, tuple(tables))
    return paper, tuple(problems.found)
