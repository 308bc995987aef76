"""What all rooms need of files: the path that a user gave, the hash of a file, and the time as files write it."""

from __future__ import annotations

import datetime
import errno
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
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


class NotRegular(OSError):
    """A path that is no regular file; `strerror` says what it is: "is a named pipe"."""


def regular(path: Path) -> Path:
    """The path itself, to be opened. Raises FileNotFoundError or NotRegular for what is no regular file, before a pipe
    or a device has the reader wait for ever."""
    if why := why_no_file(path):
        raise FileNotFoundError(errno.ENOENT, why) if why == "no such file" else NotRegular(errno.EINVAL, why)
    return path


def open_regular(path: Path, flags: int) -> int:
    """The descriptor of a regular file, as os.open gives it; one that O_CREAT makes has the mode 0o666. Raises OSError,
    and NotRegular for a pipe, a device or a folder, which is not waited for."""
    if path.exists() and (why := why_no_file(path)):
        raise NotRegular(errno.EINVAL, why, str(path))
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)  # it may have become a pipe by now
    except BlockingIOError:  # a regular file on which another program, an NFS server for example, has a lease
        descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "is no regular file", str(path))
    return descriptor


def copy_synced(source: str, target: str) -> None:
    """Copy a file, with its times, so that it outlives a loss of power. Raises OSError."""
    shutil.copy2(regular(Path(source)), target)
    with Path(target).open("rb") as file:
        os.fsync(file.fileno())


def numbered(path: Path, ending: str) -> Iterator[Path]:
    """The names of what is set aside of a path, without end: for `.damaged-`, `done.json.damaged-1` and so on."""
    return (path.with_name(f"{path.name}{ending}{number}") for number in itertools.count(1))


def free_name(path: Path, ending: str) -> Path:
    """The first of these that nothing has."""
    return next(itertools.dropwhile(os.path.lexists, numbered(path, ending)))


def sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file, 64 hexadecimal digits. Raises OSError."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def utc_now() -> str:
    """The time as 2026-01-31T23:59:59Z."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
