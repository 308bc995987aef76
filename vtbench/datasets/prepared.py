"""How the videos of a folder were re-encoded, as `vtbench data prepare` wrote it into the folder: `prepared.json`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vtbench.errors import DataError

__all__ = ["PREPARED", "Prepared", "fingerprint", "read_prepared"]

PREPARED = "prepared.json"
"""The file's name."""


@dataclass(frozen=True)
class Prepared:
    """What `prepared.json` says. It is written at the end of a run, and removed when a run begins that changes it.

    - encoding: h264 or mpeg4
    - gop: frames from one I-frame to the next
    - crf, short_side: of h264; short_side in pixels, None where the videos keep their size
    - quantiser, size: of mpeg4; size is width and height in pixels
    - source_fingerprint: 12 hex digits of the relative paths and the sizes in bytes of all source videos
    - videos: how many there are, without those that failed
    - failed: the relative paths of the source videos that could not be re-encoded, sorted
    - vtbench: the version that wrote it
    """

    encoding: str
    gop: int
    crf: int | None
    short_side: int | None
    quantiser: int | None
    size: tuple[int, int] | None
    source_fingerprint: str
    videos: int
    failed: tuple[str, ...]
    vtbench: str

    @property
    def text(self) -> str:
        """For records: `h264 crf=18 gop=12 short_side=256 of 1a2b3c4d5e6f`; what is None is left out."""
        settings = [
            "" if self.size is None else f"{self.size[0]}x{self.size[1]}",
            *("" if value is None else f"{name}={value}" for name, value in self._numbers().items()),
        ]
        return " ".join(filter(None, [self.encoding, *settings, "of", self.source_fingerprint]))

    def _numbers(self) -> dict[str, int | None]:
        return {"crf": self.crf, "quantiser": self.quantiser, "gop": self.gop, "short_side": self.short_side}

    @property
    def json(self) -> str:
        """The content of the file."""
        return json.dumps(asdict(self), indent=2) + "\n"


_NUMBERS = {"gop", "videos"}
_TEXTS = {"encoding", "source_fingerprint", "vtbench"}


def fingerprint(videos: Iterable[tuple[str, int]]) -> str:
    """12 hex digits of (relative path with slashes, size in bytes) of videos, in any order."""
    lines = sorted(os.fsencode(path) + f"\t{size}\n".encode() for path, size in videos)
    return hashlib.sha256(b"".join(lines)).hexdigest()[:12]


def read_prepared(folder: str | Path) -> Prepared | None:
    """What `prepared.json` of a folder says, or None where there is none. Raises DataError for one that is broken."""
    path = Path(folder) / PREPARED
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read as JSON: {why}; {_REMEDY}") from error
    return _checked(path, found)


_REMEDY = "run `vtbench data prepare` again, which keeps finished videos, or remove the file"


def _checked(path: Path, found: Any) -> Prepared:
    names = [field.name for field in fields(Prepared)]
    if not isinstance(found, dict):
        raise DataError(f"{path}: must be a JSON object; {_REMEDY}")
    for name in names:
        if name not in found:
            raise DataError(f"{path}: {name} is missing; {_REMEDY}")
    for name, value in found.items():
        if name not in names:
            continue  # of a later version
        if name in _NUMBERS:
            right = type(value) is int and value >= 0
        elif name in _TEXTS:
            right = isinstance(value, str) and bool(value)
        elif name == "failed":
            right = isinstance(value, list) and all(isinstance(line, str) for line in value)
        elif name == "size":
            right = value is None or (isinstance(value, list) and [type(side) for side in value] == [int, int])
        else:
            right = value is None or type(value) is int
        if not right:
            raise DataError(f"{path}: {name} cannot be {json.dumps(value)[:60]}; {_REMEDY}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value := found[name], list) else value for name in names}
    return Prepared(**values)
