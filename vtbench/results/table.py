"""The results as one table, for a notebook."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vtbench.results.record import read_metrics
from vtbench.results.store import SLOT, Store


def read_results(folder: str | Path = "results", *, newest: bool = False) -> pd.DataFrame:
    """Every line of results.csv in `folder`, in the order in which they were measured: its columns, and each further
    metric as a column of its own. `newest`: of lines that measured the same again (row, variant, measurement, scale
    and seed) the last alone, as a mean over seeds wants it.

    Raises ResultsError, with file and line, for a file that is not as it should be. A folder without results gives a
    table without rows.
    """
    frame = Store(folder).frame()
    if newest:
        frame = frame.drop_duplicates(list(SLOT), keep="last")
    further = [read_metrics(cell) for cell in frame["metrics"].fillna("")]
    return frame.join(pd.DataFrame(further, index=frame.index))
