"""`vtbench results export`, and a store without run folders that is read as one with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scored import write_right

from vtbench.cli import main
from vtbench.results.store import Store

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    draw = np.random.default_rng(0)
    for seed in (0, 1):
        for row, share in ((KV, 0.8), (VIT, 0.4)):
            write_right(store, row, (draw.random(64) < share).tolist(), seed=seed)
    return store


def files_of(store: Store) -> set[str]:
    return {path.stem for path in (store.folder / "scores").glob("*.parquet")}


def export(store: Store, *arguments: str) -> int:
    return main(["results", "export", *arguments, "--results", str(store.folder)])


def outputs(store: Store, capsys: pytest.CaptureFixture[str]) -> list[str]:
    found = []
    for command in (
        ["report", "msca/table2", "--format", "json"],
        ["report", "msca/table2", "--per-class"],
        ["report", "msca/table2", "--confusion", "--format", "csv"],
        ["compare", KV, VIT, "--format", "json"],
        ["predictions", KV, "--seed", "1"],
    ):
        assert main([*command, "--results", str(store.folder)]) == 0
        found.append(capsys.readouterr().out)
    return found


def test_a_clone_without_run_folders_says_the_same(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    before = outputs(store, capsys)
    assert export(store, "--scores") == 0
    assert capsys.readouterr().out.startswith("4 files written, 0 unchanged, 0.0")
    shutil.rmtree(store.folder / "runs")
    assert outputs(store, capsys) == before
    (entry,) = [one for one in json.loads(before[0]) if one["id"] == KV and one["scale"] == "mini"]
    assert entry["reference"]["paired"] is True


def test_only_the_chosen_rows_and_seeds_are_exported(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(store, KV, "--scores", "--seeds", "1", "--scale", "mini") == 0
    (wanted,) = [r.evaluation_key for r in store.read() if r.id == KV and r.seed == 1]
    assert files_of(store) == {wanted}


def test_lines_without_scores_are_said_and_what_was_exported_stays(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(store, KV, "--scores") == 0
    shutil.rmtree(store.folder / "runs")
    capsys.readouterr()
    assert export(store, "--scores") == 0
    out, err = capsys.readouterr()
    assert out.startswith("0 files written, 2 unchanged") and len(files_of(store)) == 2
    assert f"no scores of 2 evaluations, neither in a run folder nor exported: {VIT} (main, mini, seed 0)" in err
    assert export(store, VIT, "--scores") == 1


def test_what_cannot_be_exported_is_one_line(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(store) == 2
    assert "results export needs --scores" in capsys.readouterr().err
    assert export(store, "laps/table1", "--scores") == 2
    assert "has no lines of these rows" in capsys.readouterr().err
    (store.folder / "scores").write_text("in the way")
    assert export(store, "--scores") == 1
    error = capsys.readouterr().err
    assert "scores" in error and "is a file; move that away" in error and error.count("\n") == 1
