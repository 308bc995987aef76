"""What a line of results is of: the training and the evaluation that its row asks for today."""

from __future__ import annotations

import contextlib
from functools import lru_cache

from vtbench.errors import SpecError, UsageError
from vtbench.papers.load import paper_names, read_paper
from vtbench.papers.override import changed_rows, split_title
from vtbench.papers.resolve import measurements
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Evaluation
from vtbench.scales import Scale


def asked(id: str, variant: str | None, measurement: str, scale: Scale, seed: int) -> Evaluation | None:
    """The evaluation that a row, or a variant of it, asks for today under the name of one of its measurements; None
    where there is no such row, variant, measurement or scale."""
    row = _row(id, variant)
    with contextlib.suppress(SpecError):
        for one in measurements(row, scale, seed) if row is not None else ():
            if one.name == measurement:
                return one.evaluation
    return None


@lru_cache(maxsize=4096)
def _row(id: str, variant: str | None) -> Row | None:
    """A row as it stands, or changed as the title of a variant says."""
    paper = id.partition("/")[0]
    if paper not in paper_names():
        return None
    read, _ = read_paper(paper)
    row = next((row for row in read.rows if row.id == id), None) if read else None
    if row is None or variant is None:
        return row
    parts = split_title(variant)
    with contextlib.suppress(UsageError, SpecError):
        (row,) = changed_rows([row], [p for p in parts if "=" not in p], [p for p in parts if "=" in p])
        return row
    return None
