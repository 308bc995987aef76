"""The annotation files that real data sets come with, read as they were downloaded.

Each format is a module with `recognises(head)`, `videos(file, split)` and, where a file of the data set names the
classes in order, `classes(file)`. Which files of a folder are its lists is said in dataset.yaml (`official`).
"""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vtbench.datasets.official.listed import Listed
from vtbench.errors import DataError, UsageError, unknown
from vtbench.files import why_no_file

__all__ = ["FORMATS", "OfficialLists"]

FORMATS: dict[str, str] = {
    "kinetics": "vtbench.datasets.official.kinetics",
    "ucf101": "vtbench.datasets.official.ucf101",
    "hmdb51": "vtbench.datasets.official.hmdb51",
    "something": "vtbench.datasets.official.something",
    "diving48": "vtbench.datasets.official.diving48",
    "egtea": "vtbench.datasets.official.egtea",
}
"""Format of annotation files -> the module that reads them."""

_HEAD = 4096  # bytes by which a list is recognised


@dataclass(frozen=True)
class OfficialLists:
    """Which files of a folder are the official lists of a data set.

    - format: one of FORMATS
    - train, test: patterns of their names, such as `*train*.csv`; case does not matter
    - classes: patterns of the file that names the classes in order; () where there is none
    - at_most: most lines that the list of a split has, by split: with more it is of another version or data set

    Raises UsageError for an unknown format.
    """

    format: str
    train: Sequence[str]
    test: Sequence[str]
    classes: Sequence[str] = ()
    at_most: tuple[int | None, int | None] = (None, None)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(unknown("format of official lists", self.format, FORMATS))

    @property
    def _reader(self) -> Any:
        return importlib.import_module(FORMATS[self.format])

    def recognises(self, file: Path) -> bool:
        """Whether a file is written as such a list."""
        return bool(self._reader.recognises(_head(file)))

    def not_understood(self, files: Sequence[Path], split: str) -> list[Path]:
        """Those of `files` that are called as the lists of a split are, and not written so."""
        patterns = self.train if split == "train" else self.test
        return _named(files, patterns, lambda file: not self.recognises(file))

    def find(self, files: Sequence[Path], split: str, num_classes: int) -> list[Path]:
        """Those of `files` that are lists of a split: one, or one a class; none where there is none. Raises DataError
        for several lists that differ, and where some classes have none."""
        found = _named(files, self.train if split == "train" else self.test, self.recognises)
        if getattr(self._reader, "ONE_A_CLASS", False):
            by_name: dict[str, list[Path]] = {}
            for file in found:
                by_name.setdefault(file.name, []).append(file)
            if found and len(by_name) < num_classes:
                others = self.not_understood(files, split)
                which = f": {others[0]} is not written as one" if others else ""
                raise DataError(
                    f"{found[0].parent}: has lists of {len(by_name)} of {num_classes} classes{which}; get them again"
                )
            return [_only(same, split) for same in by_name.values()]
        return [_only(found, split)] if found else []

    def read(self, lists: Sequence[Path], split: str) -> Iterator[Listed]:
        """The videos that lists of a split name, in order. Raises DataError for what is not in order."""
        count, most = 0, self.at_most[0 if split == "train" else 1]
        for file in lists:
            for listed in self._reader.videos(file, split):
                count += 1
                if most is not None and count > most:
                    raise DataError(
                        f"{listed.source}: more than the {most} videos of the official list to {split} on; this list "
                        "is of another version or data set"
                    )
                yield listed
        if not count:
            raise DataError(f"{lists[0]}: lists no videos to {split} on")

    def refuse_other_classes(self, files: Sequence[Path], class_names: Sequence[str] | None) -> None:
        """Raise DataError for a file of classes that has other names than `class_names`, or another order."""
        for file in _named(files, self.classes, lambda _: True) if class_names is not None else ():
            names = self._reader.classes(file)
            for number, (name, ours) in enumerate(zip(names, class_names or (), strict=False)):
                if name != ours:
                    raise DataError(
                        f"{file}: class {number} is '{name}', and '{ours}' in the official order; this file is of "
                        "another version or data set"
                    )
            if len(names) != len(class_names or ()):
                raise DataError(f"{file}: has {len(names)} classes, the data set has {len(class_names or ())}")


def _named(files: Sequence[Path], patterns: Sequence[str], accept: Callable[[Path], bool]) -> list[Path]:
    """Those of the files that are accepted and have a name of the first pattern that any of them has."""
    for pattern in patterns:
        named = (file for file in files if fnmatch.fnmatchcase(file.name.lower(), pattern.lower()))
        found = [file for file in named if accept(file)]
        if found:
            return found
    return []


def _head(file: Path) -> str:
    if why_no_file(file):  # a pipe would have us wait
        return ""
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error


def _only(found: Sequence[Path], split: str) -> Path:
    for one, other in pairwise(found):
        if one.read_bytes() != other.read_bytes():
            raise DataError(f"{one} and {other}: both could be the list to {split} on; move one of them away")
    return found[0]
