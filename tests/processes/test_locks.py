from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vtbench.processes import locks

HOLD = """
import sys
from pathlib import Path
from vtbench.processes import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
NO_FLOCK = """
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""
EACH = """
import sys, time
from pathlib import Path
import filelock  # now, so that the first try is no later than the others
from vtbench.processes import locks
for number, folder in enumerate(sys.argv[2:]):
    while time.time() < float(sys.argv[1]) + 0.02 * number:
        pass  # all of them try at once
    with locks.hold(Path(folder) / ".lock"):
        (Path(folder) / "held").touch(exist_ok=False)
        time.sleep(0.001)
        (Path(folder) / "held").unlink()
"""


@pytest.fixture(params=["flock", "no flock"])
def before(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of file systems: what another process has to run first to be on the same one."""
    if request.param == "flock":
        return ""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    return NO_FLOCK


@contextmanager
def another(path: Path, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock until its stdin is closed."""
    command = [sys.executable, "-c", before + HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_lock_says_who_holds_it_and_only_while_it_is_held(tmp_path: Path, before: str) -> None:
    path = tmp_path / "deep" / ".lock"
    assert locks.holder(path) is None
    with another(path, before) as process:
        holder = locks.holder(path)
        assert holder is not None
        assert (holder.pid, holder.host) == (process.pid, socket.gethostname())
        assert holder.command is not None and holder.command.startswith("vtbench ")
        assert str(holder).startswith("another run is at work in it since 2")
        assert str(holder).endswith(f"Z, pid {process.pid}, host {socket.gethostname()}")
        assert locks.holder(path) == holder, "looking does not take it away"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
    assert locks.holder(path) is None
    assert [one.name for one in path.parent.iterdir()] == [".lock"]


def test_who_does_not_want_to_wait_learns_who_holds_it(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".lock"
    with (
        another(path, before) as process,
        pytest.raises(locks.Busy, match=f"since .*, pid {process.pid}, host "),
        locks.hold(path, wait=False),
    ):
        pass


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".lock"
    with another(path, before) as process:
        process.kill()
        process.wait()
        said: list[str] = []
        with locks.hold(path, waiting=said.append):
            holder = locks.holder(path)
            assert holder is not None and holder.pid == os.getpid()
        assert said == []
        assert locks.holder(path) is None


def test_a_wait_is_announced_once_and_ends_with_the_lock(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".lock"
    said: list[str] = []
    with another(path, before) as process:

        def end(text: str) -> None:
            said.append(text)
            assert process.stdin is not None
            process.stdin.close()

        with locks.hold(path, waiting=end):
            assert json.loads(path.read_text())["pid"] == os.getpid()
    assert len(said) == 1 and f"pid {process.pid}" in said[0]


def test_who_waited_while_the_folder_was_renamed_locks_the_new_one(tmp_path: Path, before: str) -> None:
    path = tmp_path / "folder" / ".lock"
    waits, has = threading.Event(), threading.Event()

    def wait() -> None:
        with locks.hold(path, waiting=lambda _: waits.set()):
            has.set()

    with locks.hold(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert waits.wait(10)
        path.parent.rename(tmp_path / "aside")
        assert before or not has.wait(0.2), "flock waits for the file; a marker is only asked for by name"
    waiter.join(10)
    assert has.is_set() and path.exists()


def test_of_the_lock_of_another_host_the_file_to_remove_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / ".lock"
    path.write_text(json.dumps({"pid": 7, "host": "node\x1b[31m3", "since": "2026-01-31T23:59:59Z", "command": "x"}))
    locks.marker(path).write_text("7\nnode3\n")  # as filelock writes it
    said: list[str] = []

    def remove(text: str) -> None:
        said.append(text)
        locks.marker(path).unlink()

    with locks.hold(path, waiting=remove):
        pass
    assert said == [
        "another run is at work in it since 2026-01-31T23:59:59Z, pid 7, host node\\x1b[31m3; "
        f"remove {locks.marker(path)} if that process is gone"
    ]


def test_the_lock_of_another_program_is_respected(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert locks.holder(path) == locks.Holder()
        with pytest.raises(locks.Busy, match=r"^another run is at work in it$"), locks.hold(path, wait=False):
            pass


def test_what_is_no_plain_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo"):
        assert locks.holder(tmp_path / name) is None
        with pytest.raises(OSError), locks.hold(tmp_path / name):
            pass


def test_an_error_of_flock_that_means_something_else_is_raised_with_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error") as caught, locks.hold(tmp_path / ".lock"):
        pass
    assert caught.value.filename == str(tmp_path / ".lock")
    assert not locks.marker(tmp_path / ".lock").exists()


def test_filelock_is_as_new_as_markers_need_it() -> None:
    """Before 3.22 a marker does not say whose it is; 3.29 still removes it by its name, whosever it is by then; with
    4.0.0 two processes may take over that of a dead one at once (the test below)."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    (floor,) = (one for one in tomllib.loads(text)["project"]["dependencies"] if one.startswith("filelock"))
    assert [int(part) for part in floor.removeprefix("filelock>=").split(".")] >= [4, 2]


@pytest.mark.slow
def test_of_several_that_find_the_marker_of_a_dead_process_one_has_the_lock(tmp_path: Path) -> None:
    with another(tmp_path / ".lock", NO_FLOCK) as process:
        process.kill()
        process.wait()
    marker = locks.marker(tmp_path / ".lock")
    folders = [tmp_path / str(number) for number in range(500)]
    for folder in folders:
        folder.mkdir()
        (folder / marker.name).write_text(marker.read_text())
    command = [sys.executable, "-c", NO_FLOCK + EACH, str(time.time() + 1), *map(str, folders)]
    takers = [subprocess.Popen(command) for _ in range(3)]
    assert [taker.wait(60) for taker in takers] == [0, 0, 0]
    assert {path.name for folder in folders for path in folder.iterdir()} == {".lock"}
