"""The paper side: benchmarks/ and data_manifests/ as frozen objects. Imports no torch.

>>> from vtbench.spec import select
>>> [m.evaluation.training.key for m in select(["msca/table2:vit"])[0].measurements("mini", seed=0)]
"""

from vtbench.spec.load import load_all, load_paper, paper_names
from vtbench.spec.schema import Evaluation, Measurement, Paper, Row, Table, Training
from vtbench.spec.select import select

__all__ = [
    "Evaluation",
    "Measurement",
    "Paper",
    "Row",
    "Table",
    "Training",
    "load_all",
    "load_paper",
    "paper_names",
    "select",
]
