"""Locks between processes that share a folder, on one machine or several.

A lock is `flock` on an open file, which the system gives up when the process dies. Where the file system has no flock
(Lustre mounted without `-o flock`, some NFS), it is a marker file beside it, made and removed by `filelock`: that of a
process that died is taken over on the same machine; on another one it stays, and the message of whoever waits names the
file to remove.

Callers put file and remedy in front of an OSError: a lock of results and one of data are not the same to a user.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vtbench.errors import printable
from vtbench.files import open_regular, utc_now

NO_FLOCK = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What flock says on a file system that does not have it."""

PAUSES_S = (0.0, 0.02, 0.05, 0.1)
"""Before each try to get a lock without waiting: one that only looks who holds it has it for an instant, and the first
try may do no more than remove the marker of a process that died."""

Waiting = Callable[[str], object]


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; None for what its file does not say, as for a lock of another program."""

    pid: int | None = None
    host: str | None = None
    since: str | None = None
    """UTC, as 2026-01-31T23:59:59Z."""
    command: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "another run is at work in it"
        return f"another run is at work in it since {self.since}, pid {self.pid}, host {self.host}"


class Busy(Exception):
    """Another process holds the lock, and the caller does not want to wait; the message says who."""


@contextlib.contextmanager
def hold(path: Path, *, make: bool = True, wait: bool = True, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold a lock file against other processes. It says who holds it; it stays when the lock is given up.

    - make: make the folders above it
    - wait: wait for a process that holds it; else raise Busy
    - waiting: called once, with who holds it, before a wait

    The lock is on the file, not on its name: whoever waited while the folder was renamed takes the lock of the new
    folder. Raises OSError, with the file's name, where it cannot be made.
    """
    while True:
        with contextlib.ExitStack() as held:
            if make:
                path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
            held.callback(os.close, descriptor)
            try:
                if not _at_once(held, descriptor, path):
                    # The marker of a process on another host stays when that dies.
                    remedy = f"; remove {marker(path)} if that process is gone" if marker(path).exists() else ""
                    busy = f"{_read(descriptor)}{remedy}"
                    if not wait:
                        raise Busy(busy)
                    if waiting is not None:
                        waiting(busy)
                        waiting = None  # once is enough
                    held.enter_context(locked(descriptor, path))
            except FileNotFoundError:  # a marker in a folder that was renamed meanwhile
                continue
            if not is_named(descriptor, path):
                continue
            _write(descriptor, Holder(os.getpid(), os.uname().nodename, utc_now(), _command()))
            try:
                yield
            finally:
                _write(descriptor, None)
            return


def holder(path: Path) -> Holder | None:
    """Who holds a lock file now; None if nobody does, or it is not there."""
    with contextlib.ExitStack() as opened:
        try:
            descriptor = open_regular(path, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            opened.enter_context(locked(descriptor, path, shared=True, wait=False))
        except Busy:
            return _read(descriptor)
        except OSError:
            pass
    return None


@contextlib.contextmanager
def locked(
    descriptor: int, path: Path, *, shared: bool = False, wait: bool = True, patience_s: float | None = None
) -> Iterator[None]:
    """Hold an open file; `shared`: together with others that only read it. Where the file system has no flock, every
    lock is for one process alone.

    - path: its name
    - wait: wait for a process that holds it; else raise Busy
    - patience_s: without flock, how long to wait before TimeoutError; None: for ever

    Raises OSError where no kind of lock works.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise Busy from None
        if error.errno not in NO_FLOCK:
            raise OSError(error.errno, error.strerror, str(path)) from error
    else:
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked meanwhile has the descriptor too
        return
    with _marked(path, shared, wait, patience_s):
        yield


def marker(path: Path) -> Path:
    """The file that stands for the lock of `path` where the file system has no flock."""
    return path.with_name(f".{path.name.lstrip('.')}.held")


def is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        named, opened = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _at_once(held: contextlib.ExitStack, descriptor: int, path: Path) -> bool:
    for pause in PAUSES_S:
        if pause:
            time.sleep(pause)
        with contextlib.suppress(Busy):
            held.enter_context(locked(descriptor, path, wait=False))
            return True
    return False


@contextlib.contextmanager
def _marked(path: Path, shared: bool, wait: bool, patience_s: float | None) -> Iterator[None]:
    from filelock import SoftFileLock, Timeout

    lock = SoftFileLock(marker(path), timeout=-1 if patience_s is None else patience_s, blocking=wait)
    try:
        lock.acquire()
    except Timeout:
        if not wait:
            raise Busy from None
        text = f"another process has held it for {patience_s:g} s; remove {marker(path)} if that process is gone"
        raise TimeoutError(errno.ETIMEDOUT, text, str(path)) from None
    except OSError as error:
        if not shared or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        yield  # a folder that can only be read; a line is appended in one go, so at worst the last one is not there yet
        return
    try:
        yield
    finally:
        lock.release()


def _command() -> str:
    import shlex

    return shlex.join(["vtbench", *sys.argv[1:]])[:1000]


def _write(descriptor: int, mine: Holder | None) -> None:
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(descriptor, 0)
        if mine is not None:
            os.pwrite(descriptor, json.dumps(asdict(mine)).encode(), 0)


def _read(descriptor: int) -> Holder:
    try:
        found = json.loads(os.pread(descriptor, 8192, 0))
        return Holder(int(found["pid"]), **{name: printable(found[name]) for name in ("host", "since", "command")})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Holder()
