"""One measurement of one seed, a line per video: what it is, what it was taken for, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtbench.report.predictions.tested import Seed, Tested
from vtbench.results.scores import BEST

COLUMNS = (
    *("video", "label", "label_name", "right", "label_rank", "label_score"),
    *(f"{what}{k}" for k in range(1, BEST + 1) for what in ("class", "name", "score")),
    *("views", "error", "row", "scale", "seed", "evaluation_key", "variant"),
)


def video_lines(one: Tested, seed: Seed) -> list[dict[str, Any]]:
    """A line per test video, in the order in which they were tested, with COLUMNS as keys; None for what is not there:
    the classes of a video that could not be read, and those beyond the number of classes."""
    assert seed.scores is not None
    found, names, record = seed.scores, one.class_names, seed.record
    origin = {name: getattr(record, name) for name in ("scale", "seed", "evaluation_key", "variant")}
    origin["row"] = record.id
    kept = found.classes.shape[1]
    lines = []
    for number, video in enumerate(found.video_ids):
        label, read = int(found.labels[number]), bool(found.ranks[number])
        line: dict[str, Any] = dict.fromkeys(COLUMNS)
        line |= {"video": video, "label": label, "label_name": names[label], "right": bool(found.right[number])}
        if read:
            line |= {"label_rank": int(found.ranks[number]), "label_score": float(found.label_scores[number])}
        for k in range(kept if read else 0):
            predicted = int(found.classes[number, k])
            line |= {f"class{k + 1}": predicted, f"name{k + 1}": names[predicted]}
            line[f"score{k + 1}"] = float(found.scores[number, k])
        lines.append({**line, "views": int(found.views[number]), "error": found.errors[number], **origin})
    return lines


def write_parquet(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """The lines as a parquet file. Raises OSError where it cannot be written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "right": pa.bool_(),
        "label": pa.int32(),
        "label_rank": pa.int32(),
        "views": pa.int32(),
        "seed": pa.int64(),
    }
    kinds |= {name: pa.float32() for name in COLUMNS if "score" in name}
    kinds |= {f"class{k}": pa.int32() for k in range(1, BEST + 1)}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(list(lines), schema), path, compression="zstd")
