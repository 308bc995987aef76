"""HMDB51: for each class and split a file `<class>_test_split<n>.txt` with lines of `video.avi 1`: 1 is to train on, 2
to test on, 0 is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, lines
from vtbench.errors import DataError

ONE_A_CLASS = True
"""Each list is of one class."""

_LINE = re.compile(r"(.+\.avi)\s+([012])")
_FILE = re.compile(r"(.+)_test_split\d\.txt")


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    return _LINE.fullmatch(head.partition("\n")[0].strip()) is not None


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list; its name says the class."""
    named = _FILE.fullmatch(file.name)
    if named is None:
        raise DataError(f"{file}: must be called <class>_test_split<n>.txt")
    for line, source in lines(file):
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{source}: '{line}' must be video.avi and 0, 1 or 2")
        if found[2] == {"train": "1", "test": "2"}[split]:
            path = f"{named[1]}/{found[1]}"
            yield Listed(path, named[1], (path,), source)
