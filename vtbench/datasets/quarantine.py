"""Videos that are not to be used, as a CSV file: `vtbench data check --decode` writes those that it cannot decode."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.errors import DataError

if TYPE_CHECKING:
    from vtbench.datasets.manifests import Entry

__all__ = ["COLUMNS", "Quarantine", "read_quarantine", "state_of", "write_quarantine"]

COLUMNS = ("id", "size", "changed", "reason")
"""The id of a video, the size of its file in bytes and its time of change in nanoseconds, and why it is in quarantine.
It is out of it as soon as its file is another one."""


@dataclass(frozen=True)
class Quarantine:
    """Id of a video -> (size, time of change, reason)."""

    videos: dict[str, tuple[int, int, str]]

    def applied(self, entries: list[Entry]) -> list[Entry]:
        """The entries, those in quarantine with their `problem`."""
        if not self.videos:
            return entries
        return [self._checked(entry) if entry.video_id in self.videos else entry for entry in entries]

    def _checked(self, entry: Entry) -> Entry:
        size, changed, reason = self.videos[entry.video_id]
        if entry.problem or state_of(entry.file) != (size, changed):
            return entry
        return dataclasses.replace(entry, problem=f"in quarantine: {reason}")


def state_of(file: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds; None for a file that is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def read_quarantine(file: Path) -> Quarantine:
    """The file's videos; none where it is not there. Raises DataError for a file that holds something else."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.reader(opened))
    except FileNotFoundError:
        return Quarantine({})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}; remove it") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DataError(f"{file}:1: the header must be {','.join(COLUMNS)}; correct it, or remove the file")
    found = {}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(COLUMNS) or not (row[1].isdigit() and row[2].isdigit()):
            raise DataError(f"{file}:{line}: must be {','.join(COLUMNS)}; remove the line")
        found[row[0]] = int(row[1]), int(row[2]), row[3]
    return Quarantine(found)


def write_quarantine(file: Path, videos: Iterable[tuple[str, int, int, str]]) -> None:
    """Replace the file by one of these (id, size, time of change, reason). Raises DataError."""
    half = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with half.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((name, size, changed, " ".join(reason.split())) for name, size, changed, reason in videos)
        half.replace(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}; give another folder") from error
