"""What is left of a line whose writing was cut, as by a loss of power or the death of another host."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import ResultsError
from vtbench.results.lines.line import csv_line
from vtbench.results.record import COLUMNS, Record
from vtbench.results.store import Store

Make = Callable[..., Record]


def cut(path: Path, remove: int) -> tuple[bytes, bytes]:
    """Cut the last line short; gives the lines before it, and what there is of it."""
    whole, _, torn = path.read_bytes()[:-remove].rpartition(b"\n")
    path.write_bytes(whole + b"\n" + torn)
    return whole + b"\n", torn


@pytest.mark.parametrize("remove", [2, 15, 200])
def test_it_is_named_with_what_sets_it_aside(tmp_path: Path, record: Make, remove: int) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        store.append(record(seed=seed))
    cut(store.path, remove)
    before = store.path.read_bytes()
    for act in (store.read, store.check):
        with pytest.raises(ResultsError) as caught:
            act()
        message = str(caught.value)
        assert message.startswith(f"{store.path}:4: the last line is truncated: ") and "\n" not in message
        assert message.endswith(
            "; the next `vtbench run` into this folder sets it aside: what it measured is still in its run folder"
        )
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("remove", [2, 15, 200])
@pytest.mark.parametrize("act", ["append", "append_missing", "set_torn_aside"])
def test_it_is_set_aside_before_the_next_line(tmp_path: Path, record: Make, remove: int, act: str) -> None:
    said: list[str] = []
    store = Store(tmp_path, notice=said.append)
    store.set_torn_aside()
    assert not store.path.exists()
    for number in (1, 2):
        for seed in range(3):
            store.append(record(seed=seed))
        whole = store.path.read_bytes()
        store.set_torn_aside()
        assert len(said) == number - 1 and store.path.read_bytes() == whole
        lines, torn = cut(store.path, remove)
        new = record(seed=9)
        arguments = {"append": [new], "append_missing": [[new]], "set_torn_aside": []}
        getattr(store, act)(*arguments[act])
        assert said[number - 1 :] == [
            f"{store.path}: the last line was cut while it was written; it is in results.csv.torn-{number}; what it "
            "measured is still in its run folder"
        ]
        assert (tmp_path / f"results.csv.torn-{number}").read_bytes() == torn
        assert store.path.read_bytes() == lines + (b"" if act == "set_torn_aside" else new.to_line().encode())
        store.path.unlink()


def test_it_stays_where_there_is_no_room_to_set_it_aside(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    store = Store(tmp_path, notice=said.append)
    for seed in range(2):
        store.append(record(seed=seed))
    before = b"".join(cut(store.path, 15))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match=r"results\.csv\.torn-1: cannot be written: No space left"):
        store.append(record(seed=2))
    assert store.path.read_bytes() == before and said == []
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_it_is_set_aside_before_an_older_file_is_completed(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    line = record().to_line().rpartition(",")[0]
    store.path.write_text(csv_line(COLUMNS[:-1]) + line + "\nhalf of a li")
    store.append(record(seed=1))
    assert (tmp_path / "results.csv.torn-1").read_bytes() == b"half of a li"
    assert store.path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert store.read() == [record(), record(seed=1)]


def test_a_torn_first_write_and_a_line_of_others_are_told_apart(tmp_path: Path, record: Make) -> None:
    store = Store(tmp_path)
    store.append(record())
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:20])
    store.set_torn_aside()
    assert store.path.read_bytes() == b"" and (tmp_path / "results.csv.torn-1").read_bytes() == whole[:20]
    for content in (whole[:-1], b"other,columns", b"other,columns\n1,2", whole + 2**21 * b"x"):
        store.path.write_bytes(content)
        store.set_torn_aside()
        assert store.path.read_bytes() == content, "a line without its end, and three that are not ours"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.csv.torn-1"]
