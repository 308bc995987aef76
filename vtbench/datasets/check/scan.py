"""Every video of a data set decoded once, from the first frame to the last: what it is, or why it cannot be used.

What was found of a file is written down as soon as it is known, and is good until the file's size or time of change is
another: a scan that was interrupted, or that is run again after some files were replaced, reads only the others.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vtbench.datasets.check.coding import coding_of
from vtbench.datasets.frames import open_reader
from vtbench.datasets.manifests import Entry
from vtbench.datasets.quarantine import place_of, state_of
from vtbench.errors import DataError, VideoError, in_one_line
from vtbench.fields import whole_number
from vtbench.processes.pool import in_processes
from vtbench.video.decode import VideoReader

__all__ = ["Scanned", "read_scan", "scan"]


@dataclass(frozen=True)
class Scanned:
    """What was found of one video.

    - file, size, changed: its file, that in bytes, and its time of change in nanoseconds
    - frames: how many there are; of a broken file, how many came out
    - coding: codec, size and frame rate in words (see vtbench.datasets.check.coding)
    - problem: why it cannot be decoded whole; "" if it can
    """

    file: str
    size: int
    changed: int
    frames: int
    coding: str
    problem: str


COLUMNS = tuple(field.name for field in fields(Scanned))


def read_scan(file: Path) -> dict[str, Scanned]:
    """File -> what earlier scans found, the newest of each. Raises DataError for a file that holds something else; a
    last line that was cut off is passed over."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.reader(opened))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as CSV: {error}; remove it to scan from the start") from error
    found = {}
    if rows and tuple(rows[0]) != COLUMNS:
        raise DataError(f"{file}:1: the header must be {','.join(COLUMNS)}; remove it to scan from the start")
    for row in rows[1:]:
        if len(row) == len(COLUMNS):
            size, changed, frames = map(whole_number, row[1:4])
            if size is not None and changed is not None and frames is not None:
                found[row[0]] = Scanned(row[0], size, changed, frames, row[4], row[5])
    return found


def scan(
    entries: Sequence[Entry], file: Path, *, workers: int = 1, progress: Callable[[int, int], None] = lambda *_: None
) -> list[Scanned]:
    """Decode every file of the entries that is there, once, and give what was found of each.

    `file` keeps it. `workers` processes share the files. `progress` is called with (done, all). Raises DataError where
    `file` cannot be read or written.
    """
    known = read_scan(file)
    found: dict[str, Scanned] = {}
    todo: dict[str, Entry] = {}
    for entry in entries:
        state = state_of(entry.file)
        if state is None:
            continue
        file_name = place_of(entry.file)
        before = known.get(file_name)
        if before is not None and (before.size, before.changed) == state:
            found[file_name] = before
        else:
            todo[file_name] = entry
    total = len(found) + len(todo)
    progress(len(found), total)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        written = file.read_bytes() if file.exists() else b""
        with file.open("a", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened, lineterminator="\n")
            if not written:
                writer.writerow(COLUMNS)
            elif not written.endswith(b"\n"):  # a line that was cut off
                opened.write("\n")
            for _, one in in_processes(scan_one, list(todo.values()), workers):
                writer.writerow(asdict(one).values())
                opened.flush()
                found[one.file] = one
                progress(len(found), total)
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}; give another folder as --results") from error
    places = dict.fromkeys(place_of(entry.file) for entry in entries)
    return [found[place] for place in places if place in found]


def scan_one(entry: Entry) -> Scanned:
    """Decode one video whole."""
    size, changed = state_of(entry.file) or (0, 0)
    coding, count = "", 0
    try:
        coding = coding_of(entry.file)
        with open_reader(entry.file) as reader:
            if isinstance(reader, VideoReader) and not reader.has_index:
                count = reader.num_frames  # which decodes them
            else:
                for _ in reader.sequential():
                    count += 1
                if count != reader.num_frames:
                    raise VideoError(entry.file, f"{count} of {reader.num_frames} frames decode", count)
        problem = ""
    except VideoError as error:
        problem, count = error.reason, max(count, error.frames_decoded)
    except Exception as error:  # whatever a file does, the others are scanned
        problem = in_one_line(error)
    return Scanned(place_of(entry.file), size, changed, count, coding, " ".join(problem.split()))
