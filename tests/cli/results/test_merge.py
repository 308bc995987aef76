"""`vtbench results merge`: the results of several machines in one folder, each counted once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scored import write_right

from vtbench.cli import main
from vtbench.results import folders
from vtbench.results.record import Record
from vtbench.results.store import Store

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"
LATER = "2026-03-01T00:00:00Z"


def machine(folder: Path, *lines: tuple[str, int, float, str]) -> Store:
    """A store of lines, each with its run folder: row, seed, share of right videos, time."""
    store = Store(folder)
    for row, seed, share, at in lines:
        write_right(
            store, row, (np.arange(64) < 64 * share).tolist(), seed=seed, finished_at=at, weights_sha256=folder.name
        )
    return store


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    """Two machines that measured seed 1 of the same row, one of them later, and other things besides."""
    at = "2026-02-01T00:00:00Z"
    a = machine(tmp_path / "a", (KV, 0, 0.5, at), (KV, 1, 0.75, LATER))
    b = machine(tmp_path / "b", (VIT, 0, 0.25, at), (KV, 1, 0.5, at))
    return a, b


def merge(*arguments: object, into: Path) -> int:
    return main(["results", "merge", *map(str, arguments), "--results", str(into)])


def test_every_line_is_there_once_however_often_and_in_which_order_it_is_merged(
    stores: tuple[Store, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = stores
    for order in ((a, b), (b, a)):
        into = tmp_path / f"all-{order[0].folder.name}"
        assert merge(*(store.folder for store in order), into=into) == 0
        assert merge(*(store.folder for store in order), into=into) == 0
        again = capsys.readouterr().out.splitlines()[-2:]
        assert all(": 0 lines of results.csv added, 2 there already; " in line for line in again)
        merged = Store(into)
        assert len(merged.read()) == 4 and set(merged.read()) == {*a.read(), *b.read()}
        newest = merged.newest(KV, "main", "mini", 1)
        assert newest is not None and newest.top1 == 75.0
        assert main(["results", "verify", "--results", str(into)]) == 0


def test_a_store_is_merged_into_one_that_has_lines(
    stores: tuple[Store, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = stores
    before = a.path.read_bytes()
    assert merge(b.folder, into=a.folder) == 0
    assert a.path.read_bytes().startswith(before) and len(a.read()) == 4
    assert capsys.readouterr().out == (
        f"{b.folder}: 2 lines of results.csv added, 0 there already; 0 lines of speed.csv added, 0 there already; "
        "1 run folder left there (--with-runs copies)\n"
    )


def test_run_folders_are_copied_when_asked_and_those_that_are_there_stay(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = stores
    unfinished = b.folder / "runs" / "train-0123456789ab"
    unfinished.mkdir()
    into = tmp_path / "all"
    assert merge(a.folder, b.folder, "--with-runs", into=into) == 0
    assert {path.name for path in (into / "runs").iterdir()} == {
        path.name for store in stores for path in (store.folder / "runs").iterdir() if path != unfinished
    }
    shared = folders.evaluation_folder(into, a.read()[-1].evaluation_key)
    assert folders.read_json(shared / folders.DONE)["weights_sha256"] == "a", "the first that was given"


def test_exported_scores_are_those_of_the_newest_line(stores: tuple[Store, Store], tmp_path: Path) -> None:
    for store in stores:
        assert main(["results", "export", "--scores", "--results", str(store.folder)]) == 0
    shared = stores[0].read()[-1].evaluation_key
    newest = (stores[0].folder / "scores" / f"{shared}.parquet").read_bytes()
    for order in (stores, stores[::-1]):
        into = tmp_path / f"all-{order[0].folder.name}"
        for _ in range(2):
            assert merge(*(store.folder for store in order), into=into) == 0
            assert (into / "scores" / f"{shared}.parquet").read_bytes() == newest
        assert len(list((into / "scores").iterdir())) == 3


def test_older_files_are_merged_by_what_they_say(stores: tuple[Store, Store], tmp_path: Path) -> None:
    a, b = stores
    text = a.path.read_text().splitlines()
    older = [line.rpartition(",")[0] for line in text]
    shutil.copytree(a.folder, tmp_path / "old")
    (tmp_path / "old" / "results.csv").write_text("\n".join(older) + "\n")
    assert merge(tmp_path / "old", a.folder, b.folder, into=tmp_path / "all") == 0
    assert len(Store(tmp_path / "all").read()) == 4


def test_nothing_is_merged_where_a_source_is_not_in_order(
    stores: tuple[Store, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = stores
    b.path.write_text(b.path.read_text()[:-30])
    assert merge(a.folder, b.folder, into=tmp_path / "all") == 1
    assert f"{b.path}:3: the last line is truncated" in capsys.readouterr().err
    assert not (tmp_path / "all").exists()
    for folder, says in (
        (tmp_path, "has neither results.csv nor speed.csv"),
        (tmp_path / "none", "has neither results.csv nor speed.csv"),
        (a.folder, "is the folder that it would be merged into"),
    ):
        assert merge(folder, into=a.folder) == 2
        assert says in capsys.readouterr().err


def test_a_line_of_the_same_slot_that_says_something_else_is_another_line(tmp_path: Path) -> None:
    a = machine(tmp_path / "a", (KV, 0, 0.5, LATER))
    (record,) = a.read()
    b = Store(tmp_path / "b")
    b.append(Record(**{**record.as_dict(), "device": "NVIDIA H100"}))
    assert merge(b.folder, into=a.folder) == 0
    assert [r.device for r in a.read()] == ["cpu", "NVIDIA H100"]
