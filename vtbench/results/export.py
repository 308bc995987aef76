"""`vtbench results export`: per-video scores and training curves from the run folders to small files beside
results.csv, which a store without run folders, such as a fresh clone, is read from.

A file per evaluation (scores/<evaluation_key>.parquet) and per training run (curves/<training_key>.parquet): two stores
merge by copying files, and an export touches only what is new. The bytes depend on the content and on the version of
pyarrow alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.results import curves, scores
from vtbench.results.folders import replace_file
from vtbench.results.record import Record

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Exported:
    """What an export did."""

    written: list[Path] = field(default_factory=list)
    """Files that are new or changed."""
    kept: list[Path] = field(default_factory=list)
    """Files that were as they are."""
    without_scores: list[Record] = field(default_factory=list)
    """Lines whose scores the store does not have, neither in a run folder nor exported."""


def export_scores(results: Path, records: Iterable[Record]) -> Exported:
    """Write the scores and curves behind lines of results.csv; of lines that share an evaluation, those of the last one
    whose scores are there. What was exported before stays where the run folder is gone. Raises ResultsError for a
    folder that cannot be written."""
    found = Exported()
    by_evaluation: dict[str, list[Record]] = {}
    for record in records:
        by_evaluation.setdefault(record.evaluation_key, []).append(record)
    trained: dict[str, None] = {}
    for key, lines in by_evaluation.items():
        last_first = reversed(lines)
        both = next(((one, read) for one in last_first if (read := scores.read_scores(results, one))), None)
        if both is None:
            found.without_scores.append(lines[-1])
            continue
        record, videos = both
        _write(scores.to_table(record, videos), scores.exported_file(results, key), found)
        trained |= dict.fromkeys(filter(None, (record.training_key, _start_of(record))))
    for key in trained:
        if (curve := curves.read_curve_of(results, key)) is not None:
            _write(curves.to_table(curve), curves.exported_file(results, key), found)
    return found


def _start_of(record: Record) -> str | None:
    """The training run that the weights started from."""
    kind, _, key = record.init.partition(";")[0].partition(":")
    return key.partition("@")[0] if kind == "training" else None


def _write(table: pa.Table, path: Path, found: Exported) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # zstd halves it; statistics and Arrow's own schema would be half of so small a file.
    pq.write_table(table, sink, compression="zstd", compression_level=19, write_statistics=False, store_schema=False)
    content = sink.getvalue().to_pybytes()
    if path.is_file() and path.read_bytes() == content:
        found.kept.append(path)
        return
    replace_file(path, lambda half: half.write_bytes(content))
    found.written.append(path)
