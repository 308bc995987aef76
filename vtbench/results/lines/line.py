"""A line of a CSV file of results: a frozen dataclass whose fields are the columns, to text and back.

A file holds far fewer different cells than cells (rows, versions, settings repeat), so reading validates each different
text of a column once and remembers what it means.
"""

from __future__ import annotations

import csv
import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from vtbench.fields import check, from_text, may_be_empty, scalar, writable

CHECKSUM = "checksum"
"""The column, where there is one, that holds a checksum of the others."""

REMEMBERED = 4096
"""Different cells of a column that a reader keeps: hashes and times differ in every line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line(ABC):
    """A line of CSV. `None` is written as an empty cell; a value of the wrong type or range is a ValueError that starts
    with the name of its column. Subclasses have slots: a file may hold 100,000 lines."""

    def __post_init__(self) -> None:
        for name in self.columns():
            # A whole number that serves as a float becomes one.
            object.__setattr__(self, name, _valid(type(self), name, getattr(self, name)))
        self.check_together()

    def check_together(self) -> None:
        """Raise ValueError for values that are right alone and wrong together."""
        return

    @property
    @abstractmethod
    def title(self) -> str:
        """What the line is of, for messages."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of the values, in order."""
        return tuple(writable(cls))

    @classmethod
    def needed_columns(cls) -> tuple[str, ...]:
        """The columns that no file may lack: those whose value is never empty."""
        return tuple(name for name, (_, hint) in writable(cls).items() if not may_be_empty(hint))

    def as_dict(self) -> dict[str, Any]:
        """The values by column: numbers, text, true and false, None."""
        return {name: getattr(self, name) for name in self.columns()}

    def to_line(self) -> str:
        """The record as one CSV line with its line end. Floats are written so that they read back exactly; a checksum
        is that of the other cells."""
        cells = {name: _cell(value) for name, value in self.as_dict().items()}
        if CHECKSUM in cells:
            cells[CHECKSUM] = checksum(_summed(name, cell) for name, cell in cells.items())
        return csv_line(list(cells.values()))

    @classmethod
    def from_cells(cls, cells: Sequence[str], columns: Sequence[str] | None = None) -> Self:
        """The record of one parsed line; see Reader."""
        return Reader(cls, columns or cls.columns()).record(cells)


L = TypeVar("L", bound=Line)


class Reader(Generic[L]):
    """Reads the lines of one file.

    - kind: what a line becomes
    - columns: those of the file; a value whose column is missing is None
    """

    def __init__(self, kind: type[L], columns: Sequence[str]) -> None:
        self.kind, self.columns = kind, tuple(columns)
        place = {name: number for number, name in enumerate(columns)}
        self._checksum = place.get(CHECKSUM)
        self._put_checksum = getattr(kind, CHECKSUM).__set__ if CHECKSUM in kind.columns() else None
        # Values are put into the slots: validated once, not again for each line.
        self._put: list[tuple[str, int | None, Callable[[Any, Any], None], dict[str, tuple[Any, str]]]] = [
            (name, place.get(name), getattr(kind, name).__set__, {}) for name in kind.columns() if name != CHECKSUM
        ]

    def record(self, cells: Sequence[str]) -> L:
        """The record of one parsed line. Raises ValueError with one line saying which column is wrong and how, or that
        the checksum is not that of the other cells."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} of {len(self.columns)} values")
        made = object.__new__(self.kind)
        summed = []
        for name, number, put, known in self._put:
            text = "" if number is None else cells[number]
            found = known.get(text)
            if found is None:
                if len(known) >= REMEMBERED:
                    known.clear()
                found = known[text] = self._read(name, text)
            put(made, found[0])
            summed.append(found[1])
        said = None if self._checksum is None else cells[self._checksum] or None
        if said is not None and said != (right := checksum(summed)):
            changed = "the line was changed after it was written"
            raise ValueError(f"{CHECKSUM}: is {said!r}, that of the other cells is '{right}': {changed}")
        if self._put_checksum is not None:
            self._put_checksum(made, said)
        made.check_together()
        return made

    def _read(self, name: str, text: str) -> tuple[Any, str]:
        """A value, and what of it goes into the checksum: the value, not its spelling (a spreadsheet writes FALSE)."""
        value = _valid(self.kind, name, from_text(text, writable(self.kind)[name][1]))
        return value, _summed(name, _cell(value))


def _valid(kind: type[Line], name: str, value: Any) -> Any:
    field, hint = writable(kind)[name]
    try:
        value = scalar(value, hint)
        check(value, field.metadata)
        if isinstance(value, str):
            _one_line(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return value


def _one_line(text: str) -> None:
    if not text or "\n" in text or "\r" in text or "\0" in text:  # one record is one line, so no value has a line end
        raise ValueError(f"is {text!r}, must be text in one line")


# ---- checksums -------------------------------------------------------------------------------------------------------


def _summed(name: str, cell: str) -> str:
    """An empty cell adds nothing, so that a column that comes later leaves old checksums alone."""
    return f"{name}={cell}\n" if cell and name != CHECKSUM else ""


def checksum(parts: Iterable[str]) -> str:
    """The first 8 hex digits of the SHA-256 over `name=value` and a line feed for each cell that is not empty, in the
    order of the columns of the class."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:8]


# ---- text ------------------------------------------------------------------------------------------------------------


def csv_line(cells: Sequence[str]) -> str:
    """Cells as one line of CSV, quoted where needed, ending in a newline."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def cells_of(line: bytes) -> list[str]:
    """The cells of one line. Raises ValueError when it is not one line of CSV in UTF-8."""
    try:
        text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    if '"' not in text:  # most lines, and quicker
        return text.split(",") if text else []
    try:
        parsed = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return parsed[0] if parsed else []


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
