"""results.csv and speed.csv: append, read, newest per row. Lines are only ever added, whole or not at all."""

from __future__ import annotations

import csv
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from vtbench.errors import ResultsError
from vtbench.results.folders import cannot_write, replace_file
from vtbench.results.record import COLUMNS, Line, Record, SpeedRecord, csv_line
from vtbench.scales import Scale

if TYPE_CHECKING:
    import pandas as pd

HEADER = csv_line(COLUMNS)

L = TypeVar("L", bound=Line)


class _File(Generic[L]):
    """One CSV file of the results folder, a line per record.

    Several processes may append at once: each holds a lock on the file while it writes its one line.
    """

    name: ClassVar[str]
    record: type[L]
    kept: ClassVar[str]
    """What becomes of a measurement whose line could not be written."""
    anew: ClassVar[str]
    """Where a line that was deleted comes from again."""
    old: ClassVar[str]
    """Where the lines of a file that was set aside come from again."""

    def __init__(self, results: str | Path) -> None:
        self.folder = Path(results)
        self.path = self.folder / self.name
        self.header = csv_line(self.record.columns())
        self._seen: tuple[tuple[int, int, int], list[L]] | None = None

    def check(self) -> None:
        """Find out before hours of training whether a result could be written: makes the folder, tries to write
        there, and reads the file that is there.

        Raises ResultsError when the folder cannot be written or is full, when the file has the columns of another
        version, or when one of its lines is broken.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder, prefix=".write-test-") as file:
                os.write(file.fileno(), b"\0" * 4096)  # a file system may grant the name and refuse the block
                os.fsync(file.fileno())
            if self.path.exists():
                os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND))
        except OSError as error:
            raise cannot_write(self.folder if not self.path.exists() else self.path, error) from error
        self.read()

    def append(self, record: L) -> None:
        """Add one line, synchronised to disk when this returns; the header goes before the first.

        When the line cannot be written whole (disk full, Ctrl-C), what was written of it is cut off again and the file
        is as before. Raises ResultsError then, or when the file's header or last line is not in order.
        """
        try:
            descriptor = self._open_locked()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            size = os.fstat(descriptor).st_size
            if size:
                self._refuse_unless_appendable(
                    os.pread(descriptor, len(self.header.encode()) + 4096, 0), descriptor, size
                )
            data = (record.to_line() if size else self.header + record.to_line()).encode()
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, size)
                raise
        except OSError as error:
            raise ResultsError(
                f"{self.path}: the line of {record.title} could not be written: {error.strerror or error}; the lines "
                f"before it are whole {self.kept}: free space and give the same command again"
            ) from error
        finally:
            os.close(descriptor)  # also gives up the lock

    def _open_locked(self) -> int:
        """The file, made where there is none, and held against other processes.

        One with the columns of an older version is replaced first by one that has them all; whoever waited for the lock
        meanwhile takes the new file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                if self._is_current(descriptor):
                    head = os.pread(descriptor, len(self.header.encode()), 0).split(b"\n")[0]
                    if not self._lacks_columns(head):
                        return descriptor
                    lines = [record.to_line() for record in self._parse(os.pread(descriptor, size, 0))]
                    self._replace(self.header + "".join(lines))
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # also gives up the lock

    def _replace(self, text: str) -> None:
        target = self.path.resolve()  # of a link, the file that it leads to

        def write(half: Path) -> None:
            half.write_text(text, encoding="utf-8")
            shutil.copymode(target, half)

        replace_file(target, write)

    def _is_current(self, descriptor: int) -> bool:
        """Whether an open file is still the one of this name."""
        try:
            return self.path.stat().st_ino == os.fstat(descriptor).st_ino
        except FileNotFoundError:
            return False

    def _lacks_columns(self, header: bytes) -> bool:
        """Whether a header is that of an older version, whose lines have nothing in the columns that it lacks."""
        try:
            found = _cells(header)
        except ValueError:
            return False
        columns, optional = self.record.columns(), self.record.optional_columns()
        kept = [name for name in columns if name in found]
        return found == kept != list(columns) and all(name in optional for name in columns if name not in found)

    def read(self) -> list[L]:
        """All lines in the order they were appended, also those a newer line replaces. A missing file is no lines.

        Raises ResultsError with file:line for columns of another version and for a broken line.
        """
        with self._locked_for_reading() as descriptor:
            if descriptor is None:
                return []
            stat = os.fstat(descriptor)
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._seen is None or self._seen[0] != stamp:
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    self._seen = (stamp, self._parse(file.read()))
            return list(self._seen[1])

    def frame(self) -> pd.DataFrame:
        """All lines as a pandas table, for notebooks; columns as in the file."""
        import pandas as pd

        return pd.DataFrame([record.model_dump() for record in self.read()], columns=list(self.record.columns()))

    @contextmanager
    def _locked_for_reading(self) -> Iterator[int | None]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise ResultsError(
                f"{self.path}: cannot be read: {error.strerror}; choose the folder of the results with --results DIR"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # never sees a line that is just being written
            yield descriptor
        except OSError as error:
            raise ResultsError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        finally:
            os.close(descriptor)

    def _parse(self, content: bytes) -> list[L]:
        if not content:
            return []
        ends_whole = content.endswith(b"\n")
        lines = content.removesuffix(b"\n").split(b"\n")
        self._refuse_other_header(lines[0])
        columns = _cells(lines[0])
        records: list[L] = []
        for number, line in enumerate(lines[1:], start=2):
            last = number == len(lines)
            try:
                record = self.record.from_cells(_cells(line), columns)
            except ValueError as error:
                raise self._broken(number, last, cut=last and not ends_whole, why=str(error)) from None
            records.append(record)
        if not ends_whole:
            raise ResultsError(
                f"{self.path}:{len(lines)}: the last line is whole but has no line end; add it: echo >> {self.path}"
            )
        return records

    def _refuse_other_header(self, line: bytes) -> None:
        try:
            found = _cells(line)
        except ValueError as error:
            found = [str(error)]
        columns = self.record.columns()
        if found == list(columns) or self._lacks_columns(line):
            return
        missing = [name for name in columns if name not in found]
        unknown = [name for name in found if name not in columns]
        differences = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(
            unknown
        )
        raise ResultsError(
            f"{self.path}:1: the columns are not those of this version of vtbench "
            f"({'; '.join(differences) or 'they stand in another order'}); keep the file under another name "
            f"(mv {self.path} {self.path.with_suffix('.old.csv')}) and run again: {self.old}"
        )

    def _broken(self, number: int, last: bool, cut: bool, why: str) -> ResultsError:
        whole = number - 2
        kept = {0: "no result stands above it", 1: "the result above it is whole"}.get(
            whole, f"the {whole} results above it are whole"
        )
        return ResultsError(
            f"{self.path}:{number}: the {'last ' if last else ''}line is {'cut short' if cut else 'broken'}: {why}; "
            f"{kept}; delete the line (sed -i {number}d {self.path}) and run again: {self.anew}"
        )

    def _refuse_unless_appendable(self, head: bytes, descriptor: int, size: int) -> None:
        self._refuse_other_header(head.split(b"\n")[0])
        if os.pread(descriptor, 1, size - 1) != b"\n":
            self._parse(os.pread(descriptor, size, 0))  # raises, and says which line


class Store(_File[Record]):
    """`results.csv`; what its lines were measured on is in `runs/` beside it (see vtbench.results.folders)."""

    name = "results.csv"
    record = Record
    kept = "and its run folder keeps what was measured"
    anew = "what it measured is still in its run folder"
    old = "finished runs are written anew from their run folders, without training"

    def newest(self, id: str, measurement: str, scale: str, seed: int, *, given: bool = True) -> Record | None:
        """The last line appended for this row, measurement, scale and seed, or None; `given` False passes over lines of
        given weights. It may be stale: compare its `evaluation_key` with the one the row asks for today."""
        wanted = (id, measurement, scale, seed)
        lines = (r for r in reversed(self.read()) if given or r.init != "given")
        return next((r for r in lines if (r.id, r.measurement, r.scale, r.seed) == wanted), None)

    def find(self, evaluation_key: str, scale: Scale) -> list[Record]:
        """Every line of one evaluation at a scale, in the order they were appended: rows that share it, and
        re-measurements."""
        return [r for r in self.read() if (r.evaluation_key, r.scale) == (evaluation_key, scale)]


class SpeedStore(_File[SpeedRecord]):
    """`speed.csv`."""

    name = "speed.csv"
    record = SpeedRecord
    kept = "and nothing of it was written"
    anew = "`vtbench speed` measures it anew"
    old = "`vtbench speed` measures anew"


def _cells(line: bytes) -> list[str]:
    """The cells of one line. Raises ValueError when it is not one line of CSV in UTF-8."""
    try:
        text = line.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    try:
        parsed = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return parsed[0] if parsed else []
