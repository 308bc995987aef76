from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vtbench.errors import ResultsError
from vtbench.results import folders
from vtbench.results.folders import evaluation_folder, read_json, training_folder, write_json


def test_folders_are_named_by_key(tmp_path: Path) -> None:
    assert training_folder(tmp_path, "abc") == tmp_path / "runs" / "train-abc"
    assert evaluation_folder(tmp_path, "abc") == tmp_path / "runs" / "eval-abc"


def test_a_full_disk_leaves_the_old_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    write_json(path, {"old": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match=r"config\.json: cannot be written: No space left on device; free space"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_not_a_number_is_refused_rather_than_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "config.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_broken_json_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"half": ')
    with pytest.raises(ResultsError, match=r"config\.json: not readable as JSON .*remove the folder"):
        read_json(tmp_path / "config.json")
    with pytest.raises(ResultsError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_folder_at_work_is_not_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "train-0123456789ab"
    says = r"train-0123456789ab: another run is at work in it since .*, pid \d+, host"
    with folders.locked(folder), pytest.raises(ResultsError, match=says):
        folders.set_aside(folder)
    assert folders.set_aside(folder) == [folder.with_name("train-0123456789ab.1")]
    assert folders.set_aside(folder) == [] and not folder.exists()


def test_what_was_set_aside_is_found_also_before_the_run_is_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "train-x"
    for _ in range(2):
        folder.mkdir()
        folders.set_aside(folder)
    assert [one.name for one in folders.with_those_aside(folder)] == ["train-x.1", "train-x.2"]
    folder.mkdir()
    assert [one.name for one in folders.with_those_aside(folder)] == ["train-x", "train-x.1", "train-x.2"]


def test_of_several_folders_all_are_set_aside_or_none(tmp_path: Path) -> None:
    train, test = tmp_path / "train-x", tmp_path / "eval-x"
    train.mkdir()
    with folders.locked(test), pytest.raises(ResultsError, match="eval-x: another run is at work"):
        folders.set_aside(train, test)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval-x", "train-x"]
    folders.set_aside(train, test, tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval-x.1", "train-x.1"]


def test_a_folder_is_set_aside_under_the_next_free_name(tmp_path: Path) -> None:
    folder = tmp_path / "eval-0123456789ab"
    for number in (1, 2):
        folder.mkdir()
        (folder / "done.json").write_text(str(number))
        (aside,) = folders.set_aside(folder)
        assert (aside / "done.json").read_text() == str(number)


@pytest.mark.parametrize("act", ["locked", "set_aside"])
def test_a_lock_that_is_a_folder_is_named(tmp_path: Path, act: str) -> None:
    (tmp_path / "run" / ".lock").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"run/\.lock: cannot be written: it is a folder, where a file is wanted"):
        if act == "set_aside":
            folders.set_aside(tmp_path / "run")
        with folders.locked(tmp_path / "run"):
            pass


def test_new_folders_and_renamed_ones_are_synced(tmp_path: Path, synced: list[Path]) -> None:
    folder = tmp_path / "runs" / "train-x"
    with folders.locked(folder):
        pass
    assert {tmp_path, tmp_path / "runs"} <= set(synced), "both folders are new"
    synced.clear()
    folders.set_aside(folder)
    assert synced == [tmp_path / "runs"]


def test_what_a_killed_process_left_half_written_is_removed_by_the_next_that_holds_the_folder(tmp_path: Path) -> None:
    def killed(half: Path) -> None:
        half.write_bytes(b"half of it")
        os.link(half, half.with_name(".last.ckpt.123456"))  # as its process would have left it

    folders.replace_file(tmp_path / "last.ckpt", killed)
    (tmp_path / ".kept").write_text("")
    with folders.locked(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".lock")) == [
            ".kept",
            "last.ckpt",
        ]
