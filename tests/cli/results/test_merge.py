"""`vtbench results merge`: the results of several machines in one folder, each counted once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scored import write_curve, write_right, write_trained

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
        "1 run folder left there (--with-runs copies); "
        f"1 run folder left there, as {a.folder / 'runs'} has the same with other weights\n"
    )


def test_run_folders_are_copied_when_asked_and_those_that_are_there_stay(
    stores: tuple[Store, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = stores
    unfinished = b.folder / "runs" / "train-0123456789ab"
    unfinished.mkdir()
    into = tmp_path / "all"
    assert merge(a.folder, b.folder, "--with-runs", into=into) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].endswith(f"1 run folder left there, as {into / 'runs'} has the same with other weights")
    assert "left there" not in said[0]
    assert {path.name for path in (into / "runs").iterdir()} == {
        path.name for store in stores for path in (store.folder / "runs").iterdir() if path != unfinished
    }
    shared = folders.evaluation_folder(into, a.read()[-1].evaluation_key)
    assert folders.read_json(shared / folders.DONE)["weights_sha256"] == "a", "the first that was given"


def test_of_a_run_folder_what_a_process_holds_or_has_half_written_is_not_copied(tmp_path: Path) -> None:
    a = machine(tmp_path / "a", (KV, 0, 0.5, LATER))
    (folder,) = (a.folder / "runs").iterdir()
    for name in (".lock", ".lock.held", ".last.ckpt.4711"):
        (folder / name).write_text("")
    (folder / "logs").mkdir()
    (folder / "logs" / "version_0").write_text("kept")
    assert merge(a.folder, "--with-runs", into=tmp_path / "all") == 0
    copied = tmp_path / "all" / "runs" / folder.name
    found = {path.relative_to(copied).as_posix() for path in copied.rglob("*")}
    assert found == {"config.json", "done.json", "scores.npz", "logs", "logs/version_0"}


def test_what_is_copied_is_on_disk_before_it_has_its_name(tmp_path: Path, synced: list[Path]) -> None:
    a = machine(tmp_path / "a", (KV, 0, 0.5, LATER))
    (folder,) = (a.folder / "runs").iterdir()
    assert merge(a.folder, "--with-runs", into=tmp_path / "all") == 0
    half = tmp_path / "all" / "runs" / f".{folder.name}.part"
    assert {half, *(half / path.name for path in folder.iterdir())} <= set(synced)
    assert synced[-1] == half.parent


def test_an_unfinished_run_folder_in_the_place_of_a_finished_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = machine(tmp_path / "a", (KV, 0, 0.5, LATER))
    (folder,) = (a.folder / "runs").iterdir()
    target = tmp_path / "all" / "runs" / folder.name
    target.mkdir(parents=True)
    for words in ((), ("--with-runs",)):
        assert merge(a.folder, *words, into=tmp_path / "all") == 0
        out, err = capsys.readouterr()
        assert "run folder" not in out
        assert err == (
            f"vtbench: {target}: unfinished, in the place of what is finished in {a.folder}; `vtbench run` finishes "
            "it, or move it away and merge again with --with-runs\n"
        )
    assert list(target.iterdir()) == []


def test_a_training_run_without_its_weights_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, into = machine(tmp_path / "a", (KV, 0, 0.5, LATER)), tmp_path / "all"
    gone, whole = write_trained(a.folder, "0123456789ab"), write_trained(a.folder, "ba9876543210")
    (gone / folders.WEIGHTS).unlink()
    assert merge(a.folder, "--with-runs", into=into) == 0
    assert {path.name for path in (into / "runs").glob("train-*")} == {whole.name}
    (into / "runs" / whole.name / folders.WEIGHTS).unlink()
    capsys.readouterr()
    assert merge(a.folder, "--with-runs", into=into) == 0
    assert f"{into / 'runs' / whole.name}: unfinished" in capsys.readouterr().err


def test_a_pipe_in_a_run_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = machine(tmp_path / "a", (KV, 0, 0.5, LATER))
    (folder,) = (a.folder / "runs").iterdir()
    os.mkfifo(folder / "error.txt")
    assert merge(a.folder, "--with-runs", into=tmp_path / "all") == 1
    assert f"cannot be copied: {folder / 'error.txt'}: " in (err := capsys.readouterr().err)
    assert "is a named pipe; free space, or move away what is no file, and merge again" in err
    assert list((tmp_path / "all" / "runs").iterdir()) == []


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


def test_a_merge_that_was_killed_before_it_copied_scores_is_made_good(
    stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = stores
    for store in stores:
        assert main(["results", "export", "--scores", "--results", str(store.folder)]) == 0
    shared = f"scores/{a.read()[-1].evaluation_key}.parquet"
    into = tmp_path / "all"
    assert merge(b.folder, into=into) == 0
    assert (into / shared).read_bytes() == (b.folder / shared).read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vtbench.results.merge._copy_exported", killed)
    assert merge(a.folder, into=into) != 0
    monkeypatch.undo()
    assert len(Store(into).read()) == 4
    assert merge(a.folder, into=into) == 0
    assert (into / shared).read_bytes() == (a.folder / shared).read_bytes()


def test_scores_that_a_source_exported_before_its_newest_line_replace_none(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = stores
    for store in stores:
        assert main(["results", "export", "--scores", "--results", str(store.folder)]) == 0
    shared = f"scores/{a.read()[-1].evaluation_key}.parquet"
    newest = (a.folder / shared).read_bytes()
    stale = shutil.copytree(a.folder, tmp_path / "stale")
    (stale / shared).write_bytes((b.folder / shared).read_bytes())
    into = tmp_path / "all"
    for source in (a.folder, stale):
        assert merge(source, into=into) == 0
        assert (into / shared).read_bytes() == newest
    (into / shared).unlink()
    assert merge(stale, a.folder, into=into) == 0
    assert (into / shared).read_bytes() == newest


def test_curves_come_along_with_the_newest_line(tmp_path: Path) -> None:
    curve = "epoch,train_loss\n1,{}\n"
    stores = []
    for name, at in (("a", "2026-02-01T00:00:00Z"), ("b", LATER)):
        store = machine(tmp_path / name, (KV, 0, 0.5, at))
        (record,) = store.read()
        write_curve(store, record, curve.format(1.0 if name == "a" else 2.0))
        assert main(["results", "export", "--scores", "--results", str(store.folder)]) == 0
        stores.append(store)
    path = f"curves/{record.training_key}.parquet"
    into = tmp_path / "all"
    for _ in range(2):
        assert merge(*(store.folder for store in stores[::-1]), into=into) == 0
        assert (into / path).read_bytes() == (stores[1].folder / path).read_bytes()


def test_a_torn_line_of_the_target_is_set_aside_with_a_word(
    stores: tuple[Store, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = stores
    a.path.write_text(a.path.read_text()[:-30])
    assert merge(b.folder, into=a.folder) == 0
    assert f"vtbench: {a.path}: the last line was cut while it was written; it is in results.csv.torn-1; " in (
        capsys.readouterr().err
    )
    assert len(a.read()) == 3


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
