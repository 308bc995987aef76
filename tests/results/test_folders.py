from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vtbench.errors import ResultsError
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
    with pytest.raises(ResultsError, match=r"none\.json: No such file"):
        read_json(tmp_path / "none.json")
