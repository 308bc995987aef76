"""Paths as they were given, hashes and times."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from vtbench.errors import UsageError
from vtbench.files import given_path, regular, sha256, utc_now, why_no_file


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
    with pytest.raises(OSError) as raised:
        regular(tmp_path / name)
    assert raised.value.strerror == why_no_file(tmp_path / name)
    assert isinstance(raised.value, FileNotFoundError) == (name == "gone")


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
