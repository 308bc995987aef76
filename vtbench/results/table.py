"""The results as one table, for a notebook."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vtbench.results.record import read_metrics
from vtbench.results.store import Store


def read_results(folder: str | Path = "results") -> pd.DataFrame:
    """Every line of results.csv in `folder`, in order: its columns, and each further metric as a column of its own.

    Raises ResultsError, with file and line, for a file that is not as it should be. A folder without results gives a
    table without rows.
    """
    frame = Store(folder).frame()
    further = [read_metrics(cell) for cell in frame["metrics"].fillna("")]
    return frame.join(pd.DataFrame(further, index=frame.index))
