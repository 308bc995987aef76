"""Paths as they were given, hashes and times."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path

import pytest

from vtbench.errors import UsageError
from vtbench.files import (
    NotRegular,
    copy_synced,
    free_name,
    given_path,
    open_regular,
    regular,
    sha256,
    utc_now,
    why_no_file,
)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("gone")
    words = {
        "file": None,
        ".": "is a folder",
        "pipe": "is a named pipe",
        "link": "is a link to a file that is not there",
        "gone": "no such file",
        "file/x": "cannot be read: not a directory",
        "x" * 300: "cannot be read: file name too long",
    }
    assert {name: why_no_file(tmp_path / name) for name in words} == words
    assert why_no_file(Path("/dev/zero")) == "is a device or a socket"


@pytest.mark.parametrize("name", ["pipe", ".", "gone"])
def test_what_is_no_file_is_not_opened(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY, None):
        with pytest.raises(OSError) as raised:
            regular(tmp_path / name) if flags is None else open_regular(tmp_path / name, flags)
        assert isinstance(raised.value, FileNotFoundError if name == "gone" else NotRegular)
        if name != "gone":
            assert raised.value.strerror == why_no_file(tmp_path / name)


def test_a_file_is_opened_or_made_as_asked(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for flags in (os.O_RDWR | os.O_CREAT | os.O_APPEND, os.O_RDWR):
        descriptor = open_regular(tmp_path / "link", flags)
        os.write(descriptor, b"content")
        os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("vtbench.files.why_no_file", lambda path: None)  # as it was a moment before
    for flags in (os.O_RDONLY, os.O_RDWR):
        with pytest.raises(NotRegular, match="is no regular file"):
            open_regular(tmp_path / "pipe", flags)
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.readlink() == tmp_path / "pipe"]


def test_a_file_on_which_another_program_has_a_lease_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    real = os.open

    def leased(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_NONBLOCK:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        return real(path, flags, *mode)

    monkeypatch.setattr("os.open", leased)
    descriptor = open_regular(tmp_path / "file", os.O_RDONLY)
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


def test_a_free_name_is_after_those_that_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / "file.old-1").mkdir()
    (tmp_path / "file.old-2").symlink_to("gone")
    assert free_name(path, ".old-") == tmp_path / "file.old-3"
    assert free_name(path, ".") == tmp_path / "file.1"


def test_a_copy_has_the_times_of_the_file_and_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"content")
    os.utime(tmp_path / "file", (1, 2))
    synced: list[Path] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    copy_synced(str(tmp_path / "file"), str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"content" and (tmp_path / "copy").stat().st_mtime == 2
    assert synced == [tmp_path / "copy"]


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize(("text", "why"), [("", "empty"), ("a\0b", "null byte"), ("~no-such-user/a", "no such user")])
def test_a_path_that_cannot_be_is_refused_by_the_option_that_has_it(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"^--output: .*{why}"):
        given_path(text, "--output")


def test_a_path_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert given_path("~/a", "--output") == Path("/home/somebody/a")


def test_times_are_written_as_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())
