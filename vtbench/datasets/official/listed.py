"""One video of an official list, and how the lists are read as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench.errors import DataError
from vtbench.files import why_no_file

__all__ = ["Listed", "lines", "read_json", "read_text", "whole_number"]


@dataclass(frozen=True)
class Listed:
    """One video of an official list.

    - video_id: its id, the same in every copy of the data set
    - label: its class, by name or by number from 0
    - names: names that its file may have, with or without suffix, the likeliest first
    - suffixes: those that its file may have, "" for a folder of frames; None: any
    - source: file and line, for messages
    """

    video_id: str
    label: str
    names: tuple[str, ...]
    source: str
    suffixes: tuple[str, ...] | None = None


def read_text(file: Path) -> str:
    """The text of a list, with or without a byte order mark. Raises DataError."""
    if why := why_no_file(file):
        raise DataError(f"{file}: {why}, a list of videos is wanted")
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as text in UTF-8: {error}; download it again") from error


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """(line, file:number) of the lines that are not empty."""
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if line.strip():
            yield line.strip(), f"{file}:{number}"


def read_json(file: Path) -> Any:
    """The content of a JSON file. Raises DataError."""
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: is not JSON: {error.msg}; download it again") from error
    except (RecursionError, ValueError) as error:  # nested by the thousand, a number of thousands of digits
        raise DataError(f"{file}: is not JSON of a list of videos: {error}; download it again") from error


def whole_number(text: str, what: str, source: str) -> int:
    """A whole number, also as `10.0`. Raises DataError."""
    try:
        if (value := float(text)).is_integer():
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{source}: the {what} is {text!r}, must be a whole number")
