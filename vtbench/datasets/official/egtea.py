"""EGTEA Gaze+: lines of a clip's name and the numbers of its action, verb and nouns, all from 1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vtbench.datasets.official.listed import Listed, lines
from vtbench.errors import DataError

_LINE = re.compile(r"(\S+-F\d+-F\d+)\s+(\d+)(?:\s+\d+)*")


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a list."""
    return _LINE.fullmatch(head.partition("\n")[0].strip()) is not None


def videos(file: Path, split: str) -> Iterator[Listed]:
    """The videos of a list; the class is the action."""
    for line, source in lines(file):
        found = _LINE.fullmatch(line)
        if found is None or found[2] == "0":
            raise DataError(f"{source}: '{line}' must be a clip and the numbers, from 1, of its action, verb and nouns")
        yield Listed(found[1], str(int(found[2]) - 1), (found[1],), source)
