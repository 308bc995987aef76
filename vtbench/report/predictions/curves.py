"""Training curves behind the measurements of a row, over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vtbench.papers.spec.schema import Row
from vtbench.report.compare import compare_rows
from vtbench.results.curves import Curve, read_curve
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.scales import Scale


@dataclass(frozen=True)
class SeedCurve:
    """The training run behind one line of results.csv that counts."""

    record: Record
    curve: Curve | None
    """None where the store does not have it; of given weights there is none."""


def curves(row: Row, scale: Scale, results: Path | Store) -> list[SeedCurve]:
    """One entry per distinct training run of the row at a scale, in the order of its measurements and seeds. Raises
    ResultsError when results.csv is not in order."""
    store = results if isinstance(results, Store) else Store(results)
    (comparison,) = compare_rows([row], store, scale)
    by_training = {record.training_key: record for record in reversed(comparison.counted)}
    return [SeedCurve(record, read_curve(store.folder, record)) for record in reversed(by_training.values())]
