"""Kinetics: CSV files with the columns label, youtube_id, time_start, time_end and mostly split (and is_cc)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, read_text, whole_number
from vtbench.errors import DataError

COLUMNS = ("label", "youtube_id", "time_start", "time_end")

_SPLITS = {"train": ("train", "training"), "test": ("val", "validate", "validation")}
"""What the column `split` says. The test set is the official validation list: the other one's labels came late."""


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    return "youtube_id" in head.partition("\n")[0]


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list. Files are called by id and seconds, `-3B32lodo2M_000059_000069`, as the crawlers and the
    archives have it, without zeros in front, or by the id alone."""
    reader = csv.DictReader(read_text(file).splitlines())
    lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if lacking:
        raise DataError(f"{file}:1: has no column {', '.join(lacking)}; the official list of this split has")
    for row in reader:
        if row.get("split") and row["split"].strip().lower() not in _SPLITS[split]:
            continue
        source = f"{file}:{reader.line_num}"
        if not all(row[name] and row[name].strip() for name in COLUMNS):
            raise DataError(f"{source}: a column of {', '.join(COLUMNS)} is empty")
        name, start, end = row["youtube_id"].strip(), *(whole_number(row[key], key, source) for key in COLUMNS[2:])
        video_id = f"{name}_{start:06d}_{end:06d}"
        yield Listed(video_id, row["label"].strip(), (video_id, f"{name}_{start}_{end}", name), source)
