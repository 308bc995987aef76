"""What lies beside the videos of a folder: split files, rewritten to the new names, and other small text files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from vtbench.datasets.folders import files_below
from vtbench.datasets.manifests import is_manifest
from vtbench.datasets.prepare.files import written_whole
from vtbench.datasets.prepared import PREPARED
from vtbench.errors import DataError

__all__ = ["copy_texts", "read_lists", "write_lists"]

TEXT_SUFFIXES = (".csv", ".json", ".txt")
"""Annotations come in these: Kinetics' .csv, Something-Something's .json, UCF101's .txt."""

MAX_TEXT = 64 << 20
"""Bytes of the largest text file that is copied. The annotations of the data sets have less than 30 MB."""

Rows = list[list[str]]


def read_lists(source: Path) -> dict[Path, Rows]:
    """The rows of the split files below `source`, which are csv files with the header path,label.

    Raises DataError for one that cannot be read as such."""
    lists = {}
    for path in (path for path in files_below(source) if path.suffix.lower() == ".csv" and path.is_file()):
        try:
            if is_manifest(path):
                with path.open(newline="", encoding="utf-8-sig") as file:
                    lists[path] = [row for row in csv.reader(file) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            advice = "make it CSV in UTF-8, or move it away"
            raise DataError(f"{path}: cannot be read as a list of videos: {error}; {advice}") from error
    return lists


def write_lists(lists: Mapping[Path, Rows], source: Path, target: Path, renamed: Mapping[Path, Path]) -> list[Path]:
    """Write the lists with the names of the new files; lines that name no video stay as they are."""
    by_place = {old.absolute(): new for old, new in renamed.items()}
    written = []
    for manifest, rows in lists.items():
        for row in rows[1:]:
            new = by_place.get((source / row[0].strip()).absolute())
            if new is not None:
                row[0] = str(new.absolute() if Path(row[0].strip()).is_absolute() else new.relative_to(target))
        copy = target / manifest.relative_to(source)
        with written_whole(copy) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        written.append(copy)
    return written


def copy_texts(source: Path, target: Path, but: Collection[Path]) -> tuple[list[Path], list[str]]:
    """Copy the other text files to the same place below `target`, byte by byte.

    but: files that are not copied. Returns the copies, and a line for each file that was not copied, with its reason.
    """
    copies, left = [], []
    for path in (path for path in files_below(source) if path.suffix.lower() in TEXT_SUFFIXES and path.is_file()):
        if path in but or path == source / PREPARED:
            continue
        copy = target / path.relative_to(source)
        try:
            if path.stat().st_size > MAX_TEXT:
                left.append(f"{path}: is larger than {MAX_TEXT >> 20} MiB and not copied; copy it to {copy} if needed")
                continue
            with written_whole(copy) as part:
                shutil.copyfile(path, part)
            copies.append(copy)
        except OSError as error:
            left.append(f"{path}: cannot be copied to {copy}: {error.strerror or error}")
    return copies, left
