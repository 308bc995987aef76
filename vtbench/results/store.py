"""results.csv and speed.csv: append, read, newest per row. Lines are only ever added, whole or not at all.

The order of lines is that of `finished_at`, then that of the file: two machines that each added lines, merged by git or
by `vtbench results merge`, give the same newest line whichever comes first in the file.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from vtbench.errors import ResultsError
from vtbench.processes import locks
from vtbench.results.folders import cannot_write, make_folder, replace_file, sync
from vtbench.results.line import Line, Reader, cells_of, csv_line
from vtbench.results.reading import BOM, Place, Words, columns_of, each_line, read_new, torn_end
from vtbench.results.record import Record, SpeedRecord
from vtbench.scales import Scale

if TYPE_CHECKING:
    import pandas as pd

L = TypeVar("L", bound=Line)

PATIENCE_S = 60.0
"""How long a process may hold the file where there is no flock: an append takes milliseconds."""


class LineFile(Generic[L]):
    """One CSV file of the results folder, a line per record.

    Several processes may append at once: each holds a lock on the file while it writes its one line. A file that lacks
    columns, as one from before they existed does, is read as it is; before the next line is appended, a file with all
    columns takes its place.
    """

    name: ClassVar[str]
    record: type[L]
    words: ClassVar[Words]
    kept: ClassVar[str]
    """What becomes of a measurement whose line could not be written."""

    def __init__(self, results: str | Path) -> None:
        self.folder = Path(results)
        self.path = self.folder / self.name
        self._place: Place[L] | None = None
        self._records: list[L] = []
        """What was read so far, in order."""

    def check(self) -> None:
        """Find out before hours of training whether a result could be written: makes the folder, tries to write
        there, and reads the file that is there.

        Raises ResultsError when the folder cannot be written or is full, when the file has columns that this version
        does not know, or when one of its lines is broken.
        """
        try:
            make_folder(self.folder)
            with tempfile.TemporaryFile(dir=self.folder, prefix=".write-test-") as file:  # gone with the process
                os.write(file.fileno(), b"\0" * 4096)  # a file system may grant the name and refuse the block
                os.fsync(file.fileno())
                self._check_lock(file.fileno(), self.folder / f".write-test-{os.getpid()}")
            if self.path.exists():
                os.close(os.open(self.path, os.O_WRONLY | os.O_APPEND))
        except OSError as error:
            raise cannot_write(self.folder if not self.path.exists() else self.path, error) from error
        self.read()

    def _check_lock(self, descriptor: int, path: Path) -> None:
        try:
            with locks.locked(descriptor, path, patience_s=PATIENCE_S):
                pass
        except OSError as error:
            raise ResultsError(
                f"{self.folder}: the file system has no locks ({error.strerror or error}), without which runs that "
                "share the folder would mix their results; choose another folder with --results DIR"
            ) from error

    def set_torn_aside(self) -> str | None:
        """Take out what is left of a line whose writing was cut, as by a loss of power, into a file of its own; gives a
        line on it, None where the last line is whole. Raises ResultsError where the file cannot be changed."""
        if not self._is_torn():
            return None
        try:
            with contextlib.ExitStack() as opened:
                descriptor = os.open(self.path, os.O_RDWR)
                opened.callback(os.close, descriptor)
                opened.enter_context(locks.locked(descriptor, self.path.resolve(), patience_s=PATIENCE_S))
                if not locks.is_named(descriptor, self.path) or not self._is_torn():
                    return None  # it was a line that is whole by now
                start, torn = torn_end(descriptor)
                aside = self._write_aside(torn)
                os.ftruncate(descriptor, start)
                os.fsync(descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return f"{self.path}: the last line was cut while it was written; it is in {aside.name}; {self.words.recovery}"

    def _is_torn(self) -> bool:
        """Whether the last line is not whole; of one that lacks its line end alone, reading says what to do."""
        try:
            with self.path.open("rb") as file:
                header = file.readline()
                start, last = torn_end(file.fileno())
        except OSError:
            return False  # whoever reads it says why
        if not last or start == 0:
            return start == 0 and bool(last) and csv_line(self.record.columns()).encode().startswith(last)
        try:
            columns = columns_of(header, self.path, self.record, self.words)
            Reader(self.record, columns).record(cells_of(last))
        except ResultsError:
            return False
        except ValueError:
            return True
        return False

    def _write_aside(self, content: bytes) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.torn-{number}")).exists():
            number += 1
        replace_file(aside, lambda half: half.write_bytes(content))
        return aside

    def append(self, record: L) -> None:
        """Add one line, synchronised to disk when this returns; the header goes before the first.

        When the line cannot be written whole (disk full, Ctrl-C), what was written of it is removed and the file is as
        before. Raises ResultsError then, or when the file's header or last line is not in order.
        """
        with self._open_locked() as descriptor:
            self._write(descriptor, [record])

    def _write(self, descriptor: int, records: Sequence[L]) -> None:
        size = os.fstat(descriptor).st_size
        header = "" if size else csv_line(self.record.columns())
        data = (header + "".join(record.to_line() for record in records)).encode()
        try:
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, size)
                raise
        except OSError as error:
            several = f" and {len(records) - 1} more" if len(records) > 1 else ""
            raise ResultsError(
                f"{self.path}: the line of {records[0].title}{several} could not be written: "
                f"{error.strerror or error}; the lines before it are whole {self.kept}: free space and give the same "
                "command again"
            ) from error

    @contextmanager
    def _open_locked(self) -> Iterator[int]:
        """The file, made where there is none, locked against other processes and ready for a line of all columns.

        Whoever waited for the lock while another process completed the file takes the new file.
        """
        while True:
            with contextlib.ExitStack() as opened:
                try:
                    make_folder(self.folder)
                    new = not self.path.exists()
                    descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
                    opened.callback(os.close, descriptor)
                    if new:
                        sync(self.path.resolve().parent)
                    opened.enter_context(locks.locked(descriptor, self.path.resolve(), patience_s=PATIENCE_S))
                except OSError as error:
                    raise cannot_write(self.path, error) from error
                if locks.is_named(descriptor, self.path) and not self._complete(descriptor):
                    yield descriptor
                    return

    def _complete(self, descriptor: int) -> bool:
        """Replace a file that lacks columns, or has them in another order, by one with all of them, every cell as it
        was; gives whether that was necessary. Raises ResultsError for a file to which no line can be appended."""
        size = os.fstat(descriptor).st_size
        if size == 0:
            return False
        wanted = self.record.columns()
        header = csv_line(wanted).encode()
        start = os.pread(descriptor, len(BOM) + len(header), 0)
        if start.removeprefix(BOM).startswith(header) and os.pread(descriptor, 1, size - 1) == b"\n":
            return False
        self._refresh(descriptor)  # raises, and says which line, where one is broken
        assert self._place is not None
        columns = self._place.reader.columns
        if columns == wanted:  # with other line ends
            return False
        _, *lines = os.pread(descriptor, size, 0).removesuffix(b"\n").split(b"\n")
        cells = (dict(zip(columns, cells_of(line), strict=True)) for line in lines)
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

    def read(self) -> list[L]:
        """All lines in the order in which they were measured, also those a newer line replaces. A missing file is no
        lines.

        A value whose column the file lacks is None. Raises ResultsError with file:line for columns that this version
        does not know and for a broken line.
        """
        self._refresh()
        return list(self._records)

    def _refresh(self, descriptor: int | None = None) -> None:
        """Read what was added to the file since the last time; `descriptor`: where it is open and locked already."""
        with contextlib.nullcontext(descriptor) if descriptor is not None else self._locked_for_reading() as opened:
            new: list[L] = []
            follow = False
            if opened is None:
                self._place = None
            else:
                self._place, new, follow = read_new(opened, self.path, self.record, self.words, self._place)
            if not follow:
                self._forget()
            self._add(new)

    def _forget(self) -> None:
        self._records.clear()

    def _add(self, new: list[L]) -> None:
        """Put records that follow in the file where their time is; after those of the same."""
        if self._records:
            for record in new:
                bisect.insort(self._records, record, key=_time)
        else:
            self._records.extend(sorted(new, key=_time))

    def numbered(self) -> list[tuple[int, L | ResultsError]]:
        """Every line of the file with its number, as its record or what is wrong with it, in the order of the file.
        Raises ResultsError for columns that this version does not know."""
        with self._locked_for_reading() as descriptor:
            if descriptor is None:
                return []
            return list(each_line(descriptor, self.path, self.record, self.words))

    def append_missing(self, records: Iterable[L]) -> list[L]:
        """Add those lines that the file does not have, under one lock and in one go; gives them. Raises as `append`."""
        with self._open_locked() as descriptor:
            self._refresh(descriptor)
            known = set(self._records)
            new = list(dict.fromkeys(record for record in records if record not in known))
            if new:
                self._write(descriptor, new)
            return new

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
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, descriptor)
            try:  # never sees a line that is just being written
                opened.enter_context(locks.locked(descriptor, self.path.resolve(), shared=True, patience_s=PATIENCE_S))
                yield descriptor
            except OSError as error:
                raise ResultsError(
                    f"{self.path}: cannot be read: {error.strerror or error}; copy the folder to where it can be, and "
                    "choose the copy with --results DIR"
                ) from error


def _time(record: Line) -> str:
    """What the order of lines goes by; lines of cost.csv have no time."""
    return getattr(record, "finished_at", "")


Slot = tuple[str, str, str, int, str | None]
"""Row, measurement, scale, seed and variant: of two lines that share it the newer one counts."""


class Store(LineFile[Record]):
    """`results.csv`; what its lines were measured on is in `runs/` beside it (see vtbench.results.folders)."""

    name = "results.csv"
    record = Record
    words = Words(
        recovery="what it measured is still in its run folder",
        rewritten="finished runs are written again from their run folders, without training",
    )
    kept = "and its run folder keeps what was measured"

    def __init__(self, results: str | Path) -> None:
        super().__init__(results)
        self._by_slot: dict[Slot, list[Record]] | None = None
        self._by_evaluation: dict[tuple[str, str], list[Record]] = {}

    def newest(
        self,
        id: str,
        measurement: str,
        scale: str,
        seed: int,
        *,
        given: bool = True,
        variant: str | None = None,
        evaluation_key: str | None = None,
    ) -> Record | None:
        """The newest line of this row, measurement, scale, seed and variant, or None; `given` False passes over lines
        of given weights, `evaluation_key` over those of other evaluations. Without one it may be stale: its key need
        not be the one that the row asks for today."""
        self._refresh()
        lines = self._indexed()[0].get((id, measurement, scale, seed, variant), ())
        fit = (
            r for r in reversed(lines) if (given or r.init != "given") and evaluation_key in (None, r.evaluation_key)
        )
        return next(fit, None)

    def find(self, evaluation_key: str, scale: Scale) -> list[Record]:
        """Every line of one evaluation at a scale, in order: rows that share it, and re-measurements."""
        self._refresh()
        return list(self._indexed()[1].get((evaluation_key, scale), ()))

    def append_unless_newest(self, record: Record) -> bool:
        """Add a line, unless the very same one is there: another process measured it and was first to write it. Looks
        and writes under one lock. Gives whether it was added; raises as `append`."""
        with self._open_locked() as descriptor:
            self._refresh(descriptor)
            if record in self._indexed()[0].get(_slot(record), ()):
                return False
            self._write(descriptor, [record])
            return True

    def _indexed(self) -> tuple[dict[Slot, list[Record]], dict[tuple[str, str], list[Record]]]:
        """The lines that were read, by slot and by evaluation."""
        if self._by_slot is None:
            self._by_slot, self._by_evaluation = {}, {}
            self._index(self._records)
        return self._by_slot, self._by_evaluation

    def _index(self, records: Iterable[Record]) -> None:
        assert self._by_slot is not None
        for record in records:
            for lines in (
                self._by_slot.setdefault(_slot(record), []),
                self._by_evaluation.setdefault((record.evaluation_key, record.scale), []),
            ):
                if lines and record.finished_at < lines[-1].finished_at:
                    bisect.insort(lines, record, key=_time)
                else:
                    lines.append(record)

    def _forget(self) -> None:
        super()._forget()
        self._by_slot = None

    def _add(self, new: list[Record]) -> None:
        super()._add(new)
        if self._by_slot is not None:
            self._index(new)


def _slot(record: Record) -> Slot:
    return record.id, record.measurement, record.scale, record.seed, record.variant


class SpeedStore(LineFile[SpeedRecord]):
    """`speed.csv`."""

    name = "speed.csv"
    record = SpeedRecord
    words = Words(recovery="`vtbench speed` measures it again", rewritten="`vtbench speed` measures them again")
    kept = "and nothing of it was written"
