"""results.csv and speed.csv: append, read, newest per row. Lines are only ever added, whole or not at all.

The order of lines is that of `finished_at`, then that of the file: two machines that each added lines, merged by git or
by `vtbench results merge`, give the same newest line whichever comes first in the file.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from vtbench.errors import ResultsError
from vtbench.files import NotRegular, free_name, open_regular
from vtbench.processes import locks
from vtbench.results.folders import WANTED, cannot_write, make_folder, replace_file, sync
from vtbench.results.lines.line import Line, cells_of, csv_line
from vtbench.results.lines.reading import BOM, Fault, Place, Words, each_line, read_new, torn_end
from vtbench.results.record import Record, SpeedRecord
from vtbench.scales import Scale

if TYPE_CHECKING:
    import pandas as pd

L = TypeVar("L", bound=Line)

PATIENCE_S = 60.0
"""How long a process may hold the file where there is no flock: an append takes milliseconds."""


class LineFile(Generic[L]):
    """One CSV file of the results folder, a line per record.

    Several processes may append at once: each holds a lock on the file while it writes its one line. Whoever appends
    sets aside what is left of a line whose writing was cut, and says so to `notice`. A file that lacks columns, as one
    from before they existed does, is read as it is; before the next line is appended, a file with all columns takes its
    place.
    """

    name: ClassVar[str]
    record: type[L]
    words: ClassVar[Words]
    kept: ClassVar[str]
    """What becomes of a measurement whose line could not be written."""

    def __init__(self, results: str | Path, *, notice: Callable[[str], object] = lambda _: None) -> None:
        self.folder = Path(results)
        self.path = self.folder / self.name
        self.notice = notice
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
                os.close(open_regular(self.path, os.O_RDWR | os.O_APPEND))
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

    def set_torn_aside(self) -> None:
        """Take out what is left of a line whose writing was cut, as by a loss of power, before the file is read, as an
        append would. Raises ResultsError where the file cannot be read or changed."""
        with self._locked_for_reading() as descriptor:
            torn = descriptor is not None and torn_end(descriptor, self.path, self.record, self.words)
        if torn:
            with self._open_locked():
                pass

    def _take_out_torn(self, descriptor: int) -> None:
        """Move what is left of a last line into a file of its own. Raises ResultsError where there is no room for it;
        then the file is as before."""
        torn = torn_end(descriptor, self.path, self.record, self.words)
        if torn is None:
            return
        start, left = torn
        aside = free_name(self.path, ".torn-")
        replace_file(aside, lambda half: half.write_bytes(left))
        try:
            os.ftruncate(descriptor, start)
            os.fsync(descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.notice(
            f"{self.path}: the last line was cut while it was written; it is in {aside.name}; {self.words.recovery}"
        )

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
        """The file, made where there is none, locked against other processes and ready for a line of all columns: what
        is left of one whose writing was cut is taken out.

        Whoever waited for the lock while another process completed the file takes the new file.
        """
        while True:
            with contextlib.ExitStack() as opened:
                try:
                    make_folder(self.folder)
                    new = not self.path.exists()
                    descriptor = open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
                    opened.callback(os.close, descriptor)
                    if new:
                        sync(self.path.resolve().parent)
                    opened.enter_context(locks.locked(descriptor, self.path.resolve(), patience_s=PATIENCE_S))
                except OSError as error:
                    raise cannot_write(self.path, error) from error
                if not locks.is_named(descriptor, self.path):
                    continue
                self._take_out_torn(descriptor)
                if not self._complete(descriptor):
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
                with _without_collecting():
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

    def numbered(self) -> list[tuple[int, L | Fault]]:
        """Every line of the file with its number, as its record or what is wrong with it, in the order of the file.
        Raises ResultsError for columns that this version does not know."""
        with self._locked_for_reading() as descriptor:
            if descriptor is None:
                return []
            return list(each_line(descriptor, self.path, self.record, self.words))

    def append_missing(self, records: Iterable[L]) -> list[L]:
        """Add those lines that the file does not have, under one lock and in one go; gives them. Raises as `append`,
        and for any broken line."""
        with self._open_locked() as descriptor:
            self._refresh(descriptor)
            new = [record for record in dict.fromkeys(records) if not self._has(record)]
            if new:
                self._write(descriptor, new)
            return new

    def _has(self, record: L) -> bool:
        """Whether a line of those that were read is the very same."""
        first = bisect.bisect_left(self._records, _time(record), key=_time)
        last = bisect.bisect_right(self._records, _time(record), lo=first, key=_time)
        return record in self._records[first:last]

    def frame(self) -> pd.DataFrame:
        """All lines as a pandas table, for notebooks; columns as in the file."""
        import pandas as pd

        return pd.DataFrame([record.as_dict() for record in self.read()], columns=list(self.record.columns()))

    @contextmanager
    def _locked_for_reading(self) -> Iterator[int | None]:
        try:
            descriptor = open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        except NotRegular as error:
            raise ResultsError(f"{self.path}: cannot be read: it {error.strerror}, {WANTED}") from error
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


@contextmanager
def _without_collecting() -> Iterator[None]:
    """In the block, which makes objects by the hundred thousand and no cycles, Python does not look for garbage: that
    takes a tenth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _time(record: Line) -> str:
    """What the order of lines goes by; lines of cost.csv have no time."""
    return getattr(record, "finished_at", "")


SLOT = ("id", "measurement", "scale", "seed", "variant")
"""Of two lines that share these, the newer one counts."""
_slot = attrgetter(*SLOT)
_evaluation = attrgetter("evaluation_key", "scale")


class Store(LineFile[Record]):
    """`results.csv`; what its lines were measured on is in `runs/` beside it (see vtbench.results.folders)."""

    name = "results.csv"
    record = Record
    words = Words(
        recovery="what it measured is still in its run folder",
        rewritten="finished runs are written again from their run folders, without training",
        torn="the next `vtbench run`",
    )
    kept = "and its run folder keeps what was measured"

    def __init__(self, results: str | Path, *, notice: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(results, notice=notice)
        self._indices: dict[Callable[[Record], tuple[Any, ...]], dict[tuple[Any, ...], list[Record]]] = {}
        """What the lines are found by -> them; each is made at the first search."""

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
        lines = self._indexed(_slot).get((id, measurement, scale, seed, variant), ())
        fit = (
            r for r in reversed(lines) if (given or r.init != "given") and evaluation_key in (None, r.evaluation_key)
        )
        return next(fit, None)

    def find(self, evaluation_key: str, scale: Scale) -> list[Record]:
        """Every line of one evaluation at a scale, in order: rows that share it, and re-measurements."""
        self._refresh()
        return list(self._indexed(_evaluation).get((evaluation_key, scale), ()))

    def _indexed(self, by: Callable[[Record], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Record]]:
        """The lines that were read, by `_slot` or `_evaluation`."""
        if by not in self._indices:
            self._indices[by] = {}
            with _without_collecting():
                self._index(by, self._records)
        return self._indices[by]

    def _index(self, by: Callable[[Record], tuple[Any, ...]], records: Iterable[Record]) -> None:
        index = self._indices[by]
        for record in records:
            lines = index.setdefault(by(record), [])
            if lines and record.finished_at < lines[-1].finished_at:
                bisect.insort(lines, record, key=_time)
            else:
                lines.append(record)

    def _forget(self) -> None:
        super()._forget()
        self._indices.clear()

    def _add(self, new: list[Record]) -> None:
        super()._add(new)
        for by in self._indices:
            self._index(by, new)


class SpeedStore(LineFile[SpeedRecord]):
    """`speed.csv`."""

    name = "speed.csv"
    record = SpeedRecord
    words = Words(
        recovery="`vtbench speed` measures it again",
        rewritten="`vtbench speed` measures them again",
        torn="the next `vtbench speed`",
    )
    kept = "and nothing of it was written"
