"""Reading a CSV file of results: only what was added since the last time, and one clear message for what is wrong.

The messages name file and line, and say what to do.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from vtbench.errors import ResultsError, few, printable
from vtbench.results.lines.line import Line, Reader, cells_of, csv_line

L = TypeVar("L", bound=Line)

BOM = b"\xef\xbb\xbf"
"""What some spreadsheets put in front of a text file."""

LONGEST = 1 << 20
"""Bytes of a line; lines of results have about 500."""

TAIL = 4096
"""Bytes before the end of what was read that must be the same for what follows them to be all that is new."""

MERGE = "take one side and merge the other with `vtbench results merge`, as results/README.md says"
"""The remedy for what git made of two files."""

SHOWN = 200
"""Characters of a wrong cell that a message shows."""


@dataclass(frozen=True)
class Words:
    """What messages about a file of results say of getting lines back."""

    recovery: str
    """How a line that was deleted comes back."""
    rewritten: str
    """How the lines of a file that was moved away come back."""
    torn: str | None = None
    """What sets a line aside whose writing was cut; None for a file that is written as a whole."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one line."""

    kind: Literal["broken", "torn", "no line end", "merge"]
    """Only broken lines are to be deleted: what git merged badly has lines that are whole under other columns."""
    text: str
    """With file and line."""
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"


@dataclass(frozen=True)
class Place(Generic[L]):
    """How far a file was read."""

    file: tuple[int, int]
    """Device and inode."""
    end: int
    """Bytes."""
    lines: int
    changed_ns: int
    tail: bytes
    """What stands before the end, at most TAIL bytes."""
    reader: Reader[L]


def read_new(
    descriptor: int, path: Path, kind: type[L], words: Words, before: Place[L] | None
) -> tuple[Place[L] | None, list[L], bool]:
    """Where the file ends now, the records of its lines, and whether they follow what was read up to `before`: of a
    file that only grew, the new lines alone are read. None for an empty file.

    Raises ResultsError with file:line for columns that this version does not know and for a broken line.
    """
    stat = os.fstat(descriptor)
    file = (stat.st_dev, stat.st_ino)
    if before and (file, stat.st_size, stat.st_mtime_ns) == (before.file, before.end, before.changed_ns):
        return before, [], True
    follows = before is not None and file == before.file and before.end <= stat.st_size
    if before is None or not follows or _tail(descriptor, before.end) != before.tail:
        before = None
    read_to, lines, reader = (before.end, before.lines, before.reader) if before else (0, 0, None)
    records: list[L] = []
    for number, end, made in _parsed(descriptor, path, kind, words, read_to, lines, reader):
        read_to, lines = end, number
        if isinstance(made, Fault):
            raise ResultsError(str(made))
        if isinstance(made, Reader):
            reader = made
        else:
            records.append(made)
    if reader is None:
        return None, [], False
    place = Place(file, read_to, lines, stat.st_mtime_ns, _tail(descriptor, read_to), reader)
    return place, records, before is not None


def each_line(descriptor: int, path: Path, kind: type[L], words: Words) -> Iterator[tuple[int, L | Fault]]:
    """Every line of a file but the first with its number: its record, or what is wrong with it. Raises ResultsError for
    columns that this version does not know."""
    for number, _, made in _parsed(descriptor, path, kind, words, 0, 0, None):
        if not isinstance(made, Reader):
            yield number, made


def _parsed(
    descriptor: int, path: Path, kind: type[L], words: Words, end: int, number: int, reader: Reader[L] | None
) -> Iterator[tuple[int, int, L | Reader[L] | Fault]]:
    """The lines from a place on: number, end in bytes, and the record; of the first line what reads the others."""
    for line, length in _lines(descriptor, end):
        number, end = number + 1, end + length
        if reader is None:
            reader = Reader(kind, columns_of(line, path, kind, words))
            yield number, end, reader
        else:
            try:
                if length > len(line):
                    raise ValueError(f"more than {LONGEST} bytes")
                yield number, end, reader.record(cells_of(line))
            except ValueError as error:
                yield number, end, _fault(path, number, line, reader.columns, str(error), words)
                continue
        if not line.endswith(b"\n"):
            text = f"{path}:{number}: the last line is whole but has no line end"
            yield number, end, Fault("no line end", text, f"add it: echo >> {path}")


def _tail(descriptor: int, end: int) -> bytes:
    return os.pread(descriptor, min(TAIL, end), max(0, end - TAIL))


def torn_end(descriptor: int, path: Path, kind: type[Line], words: Words) -> tuple[int, bytes] | None:
    """Where the last line begins, in bytes, and what there is of it, if its writing was cut. None for a last line that
    is whole, also one that lacks its line end alone, and for one that is none of ours: reading says what to do."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return None
    tail = os.pread(descriptor, min(LONGEST, size), max(0, size - LONGEST))
    last = tail[tail.rfind(b"\n") + 1 :]
    start = size - len(last)
    if start == 0:
        return (start, last) if csv_line(kind.columns()).encode().startswith(last) else None
    if len(last) == LONGEST:
        return None
    header = os.pread(descriptor, min(LONGEST, start), 0).partition(b"\n")[0]
    try:
        Reader(kind, columns_of(header, path, kind, words)).record(cells_of(last))
    except ValueError:
        return start, last
    except ResultsError:
        pass
    return None


def _lines(descriptor: int, start: int) -> Iterator[tuple[bytes, int]]:
    """The lines from a place on, and their lengths in bytes; of one that is too long its beginning."""
    with os.fdopen(os.dup(descriptor), "rb", buffering=1 << 16) as file:
        file.seek(start)
        while line := file.readline(LONGEST):
            part, length = line, len(line)
            while len(part) == LONGEST and not part.endswith(b"\n"):
                part = file.readline(LONGEST)
                length += len(part)
            yield line, length


def columns_of(header: bytes, path: Path, kind: type[Line], words: Words) -> tuple[str, ...]:
    """The columns of a file, by its first line. Raises ResultsError for unknown ones, for one that stands there twice,
    and where one is missing whose value is never empty."""
    try:
        found = cells_of(header.removeprefix(BOM))
    except ValueError as error:
        found = [str(error)]
    known = set(kind.columns())
    wrong = {
        "missing": [name for name in kind.needed_columns() if name not in set(found)],
        "unknown": [printable(name)[:SHOWN] for name in found if name not in known],
        "twice": [name for name, count in Counter(found).items() if count > 1 and name in known],
    }
    if said := [f"{what}: {few(names, most=10)}" for what, names in wrong.items() if names]:
        raise ResultsError(
            f"{path}:1: the columns are not those of this version of vtbench ({'; '.join(said)}); keep the "
            f"file under another name (mv -n {path} {path.with_suffix('.old.csv')}) and run again: {words.rewritten}"
        )
    return tuple(found)


def _fault(path: Path, number: int, line: bytes, columns: Sequence[str], error: str, words: Words) -> Fault:
    """What is wrong with a line that cannot be read: what git left there, if that is it."""
    place = f"{path}:{number}"
    if line.startswith((b"<<<<<<< ", b"=======", b">>>>>>> ", b"||||||| ")):
        return Fault("merge", f"{place}: git left a conflict there", MERGE)
    if line.rstrip() == csv_line(columns).rstrip().encode() or line.startswith(b"id,"):
        return Fault("merge", f"{place}: a second header, of a git merge with a file of other columns", MERGE)
    why = printable(error)
    why = why if len(why) <= SHOWN else f"{why[: SHOWN // 2]} ... {why[-SHOWN // 2 :]}"
    if words.torn and not line.endswith(b"\n") and len(line) < LONGEST:
        remedy = f"{words.torn} into this folder sets it aside: {words.recovery}"
        return Fault("torn", f"{place}: the last line is truncated: {why}", remedy)
    remedy = f"`vtbench results verify --results {path.parent}` says how to delete such lines: {words.recovery}"
    return Fault("broken", f"{place}: the line is broken: {why}", remedy)
