"""Videos that are not to be used, as a CSV file: `vtbench data check --decode` writes those that it cannot decode."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtbench.errors import DataError
from vtbench.fields import whole_number

if TYPE_CHECKING:
    from vtbench.datasets.manifests import Entry

__all__ = [
    "COLUMNS",
    "IN_QUARANTINE",
    "Quarantine",
    "Quarantined",
    "place_of",
    "read_quarantine",
    "same_file",
    "state_of",
]

IN_QUARANTINE = "in quarantine"
"""How the `problem` of an entry begins that is."""

COLUMNS = ("file", "size", "changed", "reason")


@dataclass(frozen=True)
class Quarantined:
    """A file, its size in bytes and its time of change in nanoseconds, and why it is in quarantine.

    It is out of it as soon as its file is another one. Another path to the file, or a copy that kept the time of
    change, is the same file.
    """

    file: str
    size: int
    changed: int
    reason: str


@dataclass(frozen=True)
class Quarantine:
    """Files that are not to be used."""

    files: tuple[Quarantined, ...]

    def applied(self, entries: list[Entry]) -> list[Entry]:
        """The entries, those in quarantine with their `problem`."""
        if not self.files:
            return entries
        known = {(Path(one.file).name, one.size, one.changed): one.reason for one in self.files}
        names = {name for name, _, _ in known}

        def checked(entry: Entry) -> Entry:
            if entry.problem or entry.file.name not in names or (state := state_of(entry.file)) is None:
                return entry
            reason = known.get((entry.file.name, *state))
            return entry if reason is None else dataclasses.replace(entry, problem=f"{IN_QUARANTINE}: {reason}")

        return [checked(entry) for entry in entries]

    def with_scanned(self, scanned: Iterable[str], bad: Iterable[Quarantined]) -> Quarantine:
        """The quarantine after some files were looked at: `bad` ones come in, the others of them go out."""
        looked_at = set(scanned)
        return Quarantine((*(one for one in self.files if one.file not in looked_at), *bad))

    def write(self, file: Path) -> None:
        """Replace a file by this quarantine. Raises DataError."""
        half = file.with_name(f".{file.name}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with half.open("w", newline="", encoding="utf-8") as opened:
                writer = csv.writer(opened, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows((one.file, one.size, one.changed, " ".join(one.reason.split())) for one in self.files)
            half.replace(file)
        except OSError as error:
            raise DataError(f"{file}: cannot be written: {error.strerror}; give another folder") from error


def state_of(file: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds; None for a file that is not there."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def place_of(file: Path) -> str:
    """The path by which a file is known, however it was given."""
    return os.path.abspath(file)  # noqa: PTH100 (it takes `..` out, and asks no disk)


def same_file(file: Path) -> Hashable:
    """What two paths share if they are links to one file; None for a file that is not there."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    # Some file systems make up the numbers of files; one with the same size and time too is no accident.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_quarantine(file: Path) -> Quarantine:
    """The file's quarantine; an empty one where it is not there. Raises DataError for a file that holds something
    else."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.reader(opened))
    except FileNotFoundError:
        return Quarantine(())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}; remove it") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        raise DataError(f"{file}:1: the header must be {','.join(COLUMNS)}; correct it, or remove the file")
    found = []
    for line, row in enumerate(rows[1:], start=2):
        size, changed = map(whole_number, row[1:3]) if len(row) == len(COLUMNS) else (None, None)
        if size is None or changed is None:
            raise DataError(f"{file}:{line}: must be {','.join(COLUMNS)}; remove the line")
        found.append(Quarantined(row[0], size, changed, row[3]))
    return Quarantine(tuple(found))
