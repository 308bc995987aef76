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
from vtbench.results.record import Line, Record, SpeedRecord, csv_line
from vtbench.scales import Scale

if TYPE_CHECKING:
    import pandas as pd

L = TypeVar("L", bound=Line)


class LineFile(Generic[L]):
    """One CSV file of the results folder, a line per record.

    Several processes may append at once: each holds a lock on the file while it writes its one line. A file that lacks
    columns, as one from before they existed does, is read as it is; before the next line is appended, a file with all
    columns takes its place.
    """

    name: ClassVar[str]
    record: type[L]
    kept: ClassVar[str]
    """What becomes of a measurement whose line could not be written."""
    recovery: ClassVar[str]
    """How a line that was deleted comes back."""
    rewritten: ClassVar[str]
    """How the lines of a file that was moved away come back."""

    def __init__(self, results: str | Path) -> None:
        self.folder = Path(results)
        self.path = self.folder / self.name
        self._seen: tuple[tuple[int, int, int], list[L]] | None = None

    def check(self) -> None:
        """Find out before hours of training whether a result could be written: makes the folder, tries to write
        there, and reads the file that is there.

        Raises ResultsError when the folder cannot be written or is full, when the file has columns that this version
        does not know, or when one of its lines is broken.
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

        When the line cannot be written whole (disk full, Ctrl-C), what was written of it is removed and the file is as
        before. Raises ResultsError then, or when the file's header or last line is not in order.
        """
        try:
            descriptor = self._open_locked()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            size = os.fstat(descriptor).st_size
            header = "" if size else csv_line(self.record.columns())
            data = (header + record.to_line()).encode()
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
        """The file, made where there is none, locked against other processes and ready for a line of all columns.

        Whoever waited for the lock while another process completed the file takes the new file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._is_current(descriptor) and not self._complete(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # also gives up the lock

    def _complete(self, descriptor: int) -> bool:
        """Replace a file that lacks columns, or has them in another order, by one with all of them, every cell as it
        was; gives whether that was necessary. Raises ResultsError for a file to which no line can be appended."""
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        if not content:
            return False
        header, *lines = content.removesuffix(b"\n").split(b"\n")
        columns, wanted = self._columns(header), self.record.columns()
        if columns == wanted and content.endswith(b"\n"):
            return False
        self._parse(content)  # raises, and says which line, where one is broken
        cells = (dict(zip(columns, _cells(line), strict=True)) for line in lines)
        completed = [wanted, *([line.get(name, "") for name in wanted] for line in cells)]
        self._replace("".join(map(csv_line, completed)))
        return True

    def _replace(self, text: str) -> None:
        target = self.path.resolve()  # of a link, the file that it leads to

        def write(half: Path) -> None:
            half.write_text(text, encoding="utf-8")
            if target.exists():
                shutil.copymode(target, half)

        replace_file(target, write)

    def _is_current(self, descriptor: int) -> bool:
        """Whether an open file is still the one of this name."""
        try:
            return self.path.stat().st_ino == os.fstat(descriptor).st_ino
        except FileNotFoundError:
            return False

    def read(self) -> list[L]:
        """All lines in the order they were appended, also those a newer line replaces. A missing file is no lines.

        A value whose column the file lacks is None. Raises ResultsError with file:line for columns that this version
        does not know and for a broken line.
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

        return pd.DataFrame([record.as_dict() for record in self.read()], columns=list(self.record.columns()))

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
        columns = self._columns(lines[0])
        records: list[L] = []
        for number, line in enumerate(lines[1:], start=2):
            last = number == len(lines)
            try:
                record = self.record.from_cells(_cells(line), columns)
            except ValueError as error:
                raise self._broken(number, last, truncated=last and not ends_whole, why=str(error)) from None
            records.append(record)
        if not ends_whole:
            raise ResultsError(
                f"{self.path}:{len(lines)}: the last line is whole but has no line end; add it: echo >> {self.path}"
            )
        return records

    def _columns(self, header: bytes) -> tuple[str, ...]:
        """The columns of the file, by its first line. Raises ResultsError for unknown ones, for one that stands there
        twice, and where one is missing whose value is never empty."""
        try:
            found = _cells(header)
        except ValueError as error:
            found = [str(error)]
        unknown = [name for name in found if name not in self.record.columns()]
        twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
        missing = [name for name in self.record.needed_columns() if name not in found]
        wrong = {"missing": missing, "unknown": unknown, "twice": twice}
        if said := [f"{what}: {', '.join(names)}" for what, names in wrong.items() if names]:
            raise ResultsError(
                f"{self.path}:1: the columns are not those of this version of vtbench ({'; '.join(said)}); keep the "
                f"file under another name (mv -n {self.path} {self.path.with_suffix('.old.csv')}) and run again: "
                f"{self.rewritten}"
            )
        return tuple(found)

    def _broken(self, number: int, last: bool, truncated: bool, why: str) -> ResultsError:
        whole = number - 2
        kept = {0: "no result stands above it", 1: "the result above it is whole"}.get(
            whole, f"the {whole} results above it are whole"
        )
        return ResultsError(
            f"{self.path}:{number}: the {'last ' if last else ''}line is {'truncated' if truncated else 'broken'}: "
            f"{why}; {kept}; delete the line (sed -i {number}d {self.path}) and run again: {self.recovery}"
        )


class Store(LineFile[Record]):
    """`results.csv`; what its lines were measured on is in `runs/` beside it (see vtbench.results.folders)."""

    name = "results.csv"
    record = Record
    kept = "and its run folder keeps what was measured"
    recovery = "what it measured is still in its run folder"
    rewritten = "finished runs are written again from their run folders, without training"

    def newest(
        self, id: str, measurement: str, scale: str, seed: int, *, given: bool = True, variant: str | None = None
    ) -> Record | None:
        """The last line appended for this row, measurement, scale, seed and variant, or None; `given` False passes over
        lines of given weights. It may be stale: its `evaluation_key` need not be the one that the row asks for
        today."""
        wanted = (id, measurement, scale, seed, variant)
        lines = (r for r in reversed(self.read()) if given or r.init != "given")
        return next((r for r in lines if (r.id, r.measurement, r.scale, r.seed, r.variant) == wanted), None)

    def find(self, evaluation_key: str, scale: Scale) -> list[Record]:
        """Every line of one evaluation at a scale, in the order they were appended: rows that share it, and
        re-measurements."""
        return [r for r in self.read() if (r.evaluation_key, r.scale) == (evaluation_key, scale)]


class SpeedStore(LineFile[SpeedRecord]):
    """`speed.csv`."""

    name = "speed.csv"
    record = SpeedRecord
    kept = "and nothing of it was written"
    recovery = "`vtbench speed` measures it again"
    rewritten = "`vtbench speed` measures them again"


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
