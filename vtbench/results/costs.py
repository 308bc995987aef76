"""cost.csv: what `vtbench cost --record` counted, so that nobody has to count again to show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vtbench.fields import key
from vtbench.results.lines.line import Line, csv_line
from vtbench.results.lines.reading import Words
from vtbench.results.store import LineFile
from vtbench.scales import Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRecord(Line):
    """One line of cost.csv: one network under one counting convention."""

    network: str = key("name of the network: of vtbench.models.MODELS, or package.module:builder")
    arguments: str = key("hash of the name and every argument that it is built with")
    convention: str = key("how it was counted; vtbench.cost says what each convention leaves out")
    params: int | None = key("parameters; empty for a convention of multiply-adds alone", at_least=0)
    macs: int | None = key("multiply-adds of one clip; empty for a convention of parameters alone", at_least=0)
    scale: str = key("the scale of the rows")
    rows: str = key("the rows whose network it is, joined by semicolons")

    @property
    def title(self) -> str:
        """The line in messages: network and convention."""
        return f"{self.network} ({self.arguments}, {self.convention})"


@dataclass(frozen=True)
class Cost:
    """What one network costs, by convention."""

    params: dict[str, int]
    macs: dict[str, int]
    """Of one clip."""


class CostStore(LineFile[CostRecord]):
    """`cost.csv`: rewritten as a whole, a line per network and convention."""

    name = "cost.csv"
    record = CostRecord
    words = Words(
        recovery="`vtbench cost --record` counts it again", rewritten="`vtbench cost --record` counts them again"
    )
    kept = "and nothing of it was written"

    def write(self, records: Iterable[CostRecord]) -> None:
        """Replace the file, in the order of rows, scales and conventions. Raises ResultsError if it cannot be
        written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [csv_line(CostRecord.columns()), *(record.to_line() for record in records)]
        self._replace("".join(lines))


class CostBook:
    """What is known of costs: lines of one or more cost.csv, later ones before earlier ones."""

    def __init__(self, records: Sequence[CostRecord]) -> None:
        self._costs: dict[str, Cost] = {}
        self._builders: dict[str, str] = {}
        self._keys: dict[tuple[str, str], set[str]] = {}
        for record in records:
            cost = self._costs.setdefault(record.arguments, Cost({}, {}))
            self._builders[record.arguments] = record.network
            if record.params is not None:
                cost.params[record.convention] = record.params
            if record.macs is not None:
                cost.macs[record.convention] = record.macs
            for row in record.rows.split(";"):
                self._keys.setdefault((row, record.scale), set()).add(record.arguments)

    @classmethod
    def read(cls, *folders: Path) -> CostBook:
        """The book of some results folders; one without a cost.csv says nothing. Raises ResultsError for a file that is
        not in order."""
        files = [CostStore(folder).path for folder in dict.fromkeys(folder.resolve() for folder in folders)]
        return _book(tuple((file.parent, _stamp(file)) for file in files))

    def find(self, arguments: str) -> Cost | None:
        """What the network with this hash costs; None if it was not counted."""
        return self._costs.get(arguments)

    def builder(self, arguments: str) -> str | None:
        """The name of the network with this hash; None if it was not counted."""
        return self._builders.get(arguments)

    def is_stale(self, row: str, scale: Scale, arguments: str) -> bool:
        """Whether a row was counted at a scale with another network than it has now."""
        return arguments not in self._costs and bool(self._keys.get((row, scale)))


@lru_cache(maxsize=4)
def _book(folders: tuple[tuple[Path, tuple[int, ...]], ...]) -> CostBook:
    """The book of folders whose files were last changed then: a report asks for it more than once."""
    return CostBook([record for folder, _ in folders for record in CostStore(folder).read()])


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
