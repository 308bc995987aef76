"""Files that are there whole or not at all, and the seal that says of what a finished one was made.

A killed run leaves at most a file named .vtbench-*.part, which a later run removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from vtbench.errors import DataError

__all__ = ["add_seal", "is_finished", "remove_made", "remove_parts", "seal_of", "written_whole"]

_LEFT_AFTER = 86400.0  # seconds after which a file that was not renamed belongs to no run

_SEAL = re.compile(rb"free(vtbench [^\0]{1,400} source=\d+,-?\d+ sha256=[0-9a-f]{64})$")


@contextlib.contextmanager
def written_whole(new: Path) -> Iterator[Path]:
    """A file to write to, beside `new`, which becomes `new` if nothing goes wrong and is removed otherwise."""
    # Not the name of the video: several runs may be at it, and it may leave no room for more letters.
    part = new.with_name(f".vtbench-{uuid.uuid4().hex}.part")
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(new)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def remove_parts(target: Path) -> None:
    """Make the folder, and remove what runs that were killed left in it. Raises DataError."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for part in target.rglob("*.part"):
            if not (part.name.startswith(".vtbench-") or part.name.endswith(".mp4.part")):  # the latter: older versions
                continue
            with contextlib.suppress(FileNotFoundError):  # another run is done with it
                if time.time() - part.stat().st_mtime > _LEFT_AFTER:
                    part.unlink()
    except OSError as error:
        raise DataError(f"{target}: cannot be written to: {error.strerror}; give another folder") from error


def remove_made(new: Path) -> None:
    """Remove a file that `prepare` made, if there is one."""
    with contextlib.suppress(OSError):
        if seal_of(new) is not None:
            new.unlink()


def add_seal(part: Path, made_of: str) -> None:
    """Append to a file of mp4 what it was made of, and a hash of its bytes."""
    seal = _seal(part, part.stat().st_size, made_of)
    with part.open("ab") as out:
        out.write(seal)


def is_finished(new: Path, made_of: str) -> bool:
    """Whether a file ends with the seal of what it would be made of now, and has the bytes that it was sealed with."""
    if not new.is_file():
        return False
    size = new.stat().st_size - len(_seal(new, 0, made_of))
    with new.open("rb") as file:
        file.seek(max(size, 0))
        return file.read() == _seal(new, size, made_of)


def seal_of(path: Path) -> tuple[str, bool] | None:
    """What a file that `prepare` made was made of, and whether its bytes are still the same. None for any other."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 600, 0))
        found = _SEAL.search(file.read())
    if found is None:
        return None
    made_of = found[1].rpartition(b" sha256=")[0].decode(errors="replace")
    return made_of, is_finished(path, made_of)


def _seal(path: Path, size: int, made_of: str) -> bytes:
    """What ends a finished file: what it was made of, and a hash of the `size` bytes before. For players it is free
    space (ISO/IEC 14496-12, 8.1.2)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(min(1 << 20, max(size - file.tell(), 0))):
            digest.update(part)
    text = f"{made_of} sha256={digest.hexdigest()}".encode()
    return (8 + len(text)).to_bytes(4, "big") + b"free" + text
