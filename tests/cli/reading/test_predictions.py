"""`vtbench predictions`: a line per video, on the screen and in files."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored import write_scores

from vtbench.cli import main
from vtbench.papers import measurements, select
from vtbench.papers.datasets import load_dataset
from vtbench.papers.override import changed_rows
from vtbench.report.predictions.videos import COLUMNS
from vtbench.results.store import Store

KV = "msca/table2:msca-kv"
NAMES = load_dataset("cycle").classes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    scores = np.log(np.array([[[0.1, 0.2, 0.3, 0.4]], [[0.7, 0.1, 0.15, 0.05]]]))
    write_scores(store, KV, scores, [2, 0, 1], failures={"lost.mp4": "lost.mp4: no such file"})
    return store


def run(store: Store, *arguments: str) -> int:
    return main(["predictions", *arguments, "--results", str(store.folder)])


def test_a_line_has_what_the_video_is_and_what_it_was_taken_for(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, KV) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(lines[0]) == COLUMNS and [line["video"] for line in lines] == ["v0", "v1", "lost.mp4"]
    first, second, lost = lines
    assert (first["label"], first["label_name"], first["right"], first["label_rank"]) == ("2", NAMES[2], "false", "2")
    assert [first[f"name{k}"] for k in (1, 2, 3, 4)] == [NAMES[3], NAMES[2], NAMES[1], NAMES[0]]
    assert [float(first[f"score{k}"]) for k in (1, 2, 3, 4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert float(first["label_score"]) == pytest.approx(0.3) and first["class5"] == "" and first["views"] == "1"
    assert second["right"] == "true"
    assert (lost["right"], lost["class1"], lost["error"]) == ("false", "", "lost.mp4: no such file")
    (record,) = store.read()
    assert (first["row"], first["scale"], first["seed"]) == (KV, "mini", "0")
    assert first["evaluation_key"] == record.evaluation_key


def test_files_hold_what_is_printed(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, KV) == 0
    printed = capsys.readouterr().out
    for name in ("out.csv", "out.parquet"):
        assert run(store, KV, "--output", str(tmp_path / name)) == 0
        assert capsys.readouterr().out == f"{tmp_path / name}: 3 videos of {KV} (mini), seed 0\n"
    assert (tmp_path / "out.csv").read_text() == printed
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert tuple(table.columns) == COLUMNS and table.right.tolist() == [False, True, False]
    read = pd.read_csv(io.StringIO(printed))
    assert table.score1.dropna().tolist() == pytest.approx(read.score1.dropna().tolist())


def test_what_cannot_be_written_is_one_line(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, KV, "--output", "out.xlsx") == 2
    assert "--output out.xlsx: the name must end in .csv or .parquet" in capsys.readouterr().err
    for name in ("out.csv", "out.parquet"):
        assert run(store, KV, "--output", str(tmp_path / "none" / name)) == 1
        error = capsys.readouterr().err
        assert "none" in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_variant_that_changes_nothing_is_said_and_its_lines_are_the_rows_own(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short side of 224 is for real videos: no small scale has it."""
    assert run(store, KV) == 0
    own = capsys.readouterr()
    assert run(store, KV, "--variant", "msca-short-side") == 0
    out, err = capsys.readouterr()
    assert own.err == "" and out == own.out
    assert err == f"vtbench: msca-short-side changes nothing in {KV} at mini scale; this is the row's own result\n"


def test_the_last_column_is_the_variant_that_was_measured(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = changed_rows(select([KV]), (), ("train.lr=0.05",))
    wanted = measurements(row, "mini")[0]
    changed = {"evaluation_key": wanted.evaluation.key, "variant": row.variant}
    write_scores(store, KV, np.zeros((1, 1, 4)), [0], **changed)
    assert run(store, KV, "--set", "train.lr=0.05") == 0
    out, err = capsys.readouterr()
    (line,) = csv.DictReader(io.StringIO(out))
    assert err == "" and list(line.items())[-1] == ("variant", "train.lr=0.05")


def test_a_row_without_scores_is_one_line_with_the_remedy(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store.folder / "runs")
    assert run(store, KV) == 1
    error = capsys.readouterr().err
    assert f"`vtbench run {KV} --scale mini --seeds 0 --test-again`" in error and error.count("\n") == 1
    assert run(store, KV, "--seed", "3") == 2
    error = capsys.readouterr().err
    assert "has no result of msca/table2:msca-kv at mini scale for seed 3" in error
    assert f"`vtbench run {KV} --scale mini --seeds 3` measures it" in error
    assert run(store, KV, "--seed", "3", "--set", "train.lr=0.05", "--variant", "msca-window") == 2
    again = f"`vtbench run {KV} --scale mini --seeds 3 --variant msca-window --set train.lr=0.05` measures it"
    assert again in capsys.readouterr().err
