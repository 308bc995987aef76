"""What all rooms need of files: the path that a user gave, the hash of a file, and the time as files write it."""

from __future__ import annotations

import datetime
import errno
import hashlib
import stat
from pathlib import Path

from vtbench.errors import UsageError


def given_path(text: str, named_by: str) -> Path:
    """The path of an option or a setting, `~` being the home folder. Raises UsageError, beginning with `named_by`, for
    an empty one, for one with a null byte and for `~nobody`."""
    if not text:
        raise UsageError(f"{named_by}: the path is empty; give one, or leave it out")
    if "\0" in text:
        raise UsageError(f"{named_by}: {text}: no path holds a null byte; give another one")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{named_by}: {text}: no such user; give the whole path") from error


def why_no_file(path: Path) -> str | None:
    """Why a path is no regular file, in words: "no such file", "is a folder". None if it is one. What may never end, a
    pipe or a device, is not opened. Links are followed."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to a file that is not there" if path.is_symlink() else "no such file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"cannot be read: {reason[:1].lower()}{reason[1:]}"
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "is a folder"
    return "is a named pipe" if stat.S_ISFIFO(mode) else "is a device or a socket"


def regular(path: Path) -> Path:
    """The path itself, to be opened. Raises OSError for what is no regular file, before a pipe or a device has the
    reader wait for ever."""
    if why := why_no_file(path):
        raise OSError(errno.ENOENT if why == "no such file" else errno.EINVAL, why)
    return path


def sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, 64 hexadecimal digits. Raises OSError."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def utc_now() -> str:
    """The time as 2026-01-31T23:59:59Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
