"""UCF101: lines of `Class/v_Class_g08_c01.avi 1`, the number counting classes from 1; test lists come without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, lines
from vtbench.errors import DataError

_LINE = re.compile(r"([^/\s]+)/(\S+\.avi)(?:\s+(\d+))?")


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    return _LINE.fullmatch(head.partition("\n")[0].strip()) is not None


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list; the folder in front says the class."""
    for line, source in lines(file):
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{source}: '{line}' must be Class/video.avi, in training lists with the class's number")
        path = f"{found[1]}/{found[2]}"
        yield Listed(path, found[1], (path,), source)


def classes(file: Path) -> list[str]:
    """The names in classInd.txt, lines of `1 ApplyEyeMakeup`."""
    names: list[str] = []
    for line, source in lines(file):
        number, _, name = line.partition(" ")
        if number != str(len(names) + 1):
            raise DataError(f"{source}: '{line}' must be number {len(names) + 1} and a class")
        names.append(name.strip())
    return names
