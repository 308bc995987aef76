"""The paper side: benchmarks/ and data_manifests/ as frozen objects, with the user's own folders. Imports no torch.

>>> from vtbench.papers import measurements, select
>>> [m.evaluation.training.key for m in measurements(select(["msca/table2:vit"])[0], "mini", seed=0)]
"""

from vtbench.papers.load import load_all, load_paper, paper_names
from vtbench.papers.resolve import measurements
from vtbench.papers.roots import include
from vtbench.papers.select import select
from vtbench.papers.spec.schema import Paper, Row, Table
from vtbench.papers.trainings import Evaluation, Measurement, Training

__all__ = [
    "Evaluation",
    "Measurement",
    "Paper",
    "Row",
    "Table",
    "Training",
    "include",
    "load_all",
    "load_paper",
    "measurements",
    "paper_names",
    "select",
]
