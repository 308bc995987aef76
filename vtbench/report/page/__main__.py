"""`python -m vtbench.report.page results`: REPORT.md and report.html of a results folder, from what git has of it.

Run folders are left out, so that every clone makes the same two files.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vtbench.papers import select
from vtbench.report.page.page import page
from vtbench.report.report import report

IN_GIT = ("results.csv", "speed.csv", "cost.csv", "scores", "curves")

HEADING = """# Report

Every printed table beside what was measured, as `vtbench report --format md` writes it. [report.html](report.html) has
the same with figures, claims and the provenance of each number. [README.md](README.md) says how to read both. `make
report` makes them.
"""


def build(results: Path, to: Path) -> None:
    """Write REPORT.md and report.html of a results folder into `to`. Raises ResultsError."""
    rows = select([])
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "results"
        store.mkdir()
        for name in IN_GIT:
            found = results / name
            if found.is_dir():
                shutil.copytree(found, store / name)
            elif found.is_file():
                shutil.copy(found, store / name)
        tables = report(rows, store, form="md")
        made = page(rows, store)
    (to / "REPORT.md").write_text(f"{HEADING}\n{contents(tables)}\n{tables}", encoding="utf-8")
    (to / "report.html").write_text(made, encoding="utf-8")


def contents(tables: str) -> str:
    """A list of links to the headings, a line for each paper."""
    by_paper: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^### (.*)$", tables, re.MULTILINE):
        paper, _, table = heading.partition(" at ")[0].partition("/")
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        seen[anchor] += 1
        anchor += f"-{seen[anchor] - 1}" if seen[anchor] > 1 else ""
        said = f"{table} (speed)" if ": speed and memory" in heading else table
        by_paper.setdefault(paper, []).append(f"[{said}](#{anchor})")
    return "".join(f"- {paper}: {', '.join(links)}\n" for paper, links in by_paper.items())


def main(arguments: Sequence[str]) -> int:
    """Build both in the folder that is named."""
    (folder,) = map(Path, arguments)
    build(folder, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
