"""Accuracy by class and confused pairs: over seeds, never over different copies, and said where scores are missing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scored import write_curve, write_right, write_scores

from vtbench.cli import main
from vtbench.papers import Row, select
from vtbench.papers.datasets import load_dataset
from vtbench.report.predictions.classes import confusion, per_class
from vtbench.report.predictions.curves import curves
from vtbench.results.export import export_scores
from vtbench.results.store import Store

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"
NAMES = load_dataset("cycle").classes


def row_of(name: str) -> Row:
    return select([name])[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_accuracy_by_class_is_the_mean_over_the_seeds(store: Store) -> None:
    write_right(store, KV, [True, True, True, True, False, True, True, False])  # labels 0 1 2 3 0 1 2 3
    write_right(store, KV, [True, True, True, True, True, True, False, False], seed=1)
    (found,) = per_class(row_of(KV), "mini", store)
    assert [(c.label, c.name, c.videos) for c in found.classes] == [(n, NAMES[n], 2) for n in range(4)]
    assert [c.accuracy for c in found.classes] == [75, 100, 75, 50]
    assert [c.sd for c in found.classes] == pytest.approx([35.355, 0, 35.355, 0], abs=1e-3)


def test_a_video_that_could_not_be_read_is_a_miss_of_its_class_and_in_no_pair(store: Store) -> None:
    scores = np.zeros((2, 1, 4))
    scores[:, 0, 1] = 1.0
    write_scores(store, KV, scores, [0, 1, 1], failures={"lost": "no such file"})
    (found,) = per_class(row_of(KV), "mini", store)
    assert [(c.label, c.videos, c.accuracy, c.sd) for c in found.classes] == [(0, 1, 0, None), (1, 2, 50, None)]
    (table,) = confusion(row_of(KV), "mini", store)
    assert table.unreadable == 1 and table.matrix.sum() == 2
    assert table.matrix[0, 1] == table.matrix[1, 1] == 1


def test_confused_pairs_are_counted_over_all_seeds_the_most_first(store: Store) -> None:
    write_right(store, KV, [False, True, True, True] * 2)  # a wrong one is taken for the class after the next
    write_right(store, KV, [False, False, True, True] * 2, seed=1)
    (found,) = confusion(row_of(KV), "mini", store)
    pairs = found.pairs()
    taken = [(p.label, p.predicted, p.count, p.share) for p in pairs]
    assert [pair[0] for pair in taken] == [0, 1] and [pair[2:] for pair in taken] == [(4, 100.0), (2, 50.0)]
    assert all(p.name == NAMES[p.label] and p.predicted_name == NAMES[p.predicted] for p in pairs)
    assert found.pairs(1) == pairs[:1]


def test_seeds_on_different_copies_of_the_videos_are_never_averaged(store: Store) -> None:
    write_right(store, KV, [True] * 4)
    write_right(store, KV, [False] * 4, seed=1, data_fingerprint="beef")
    found = per_class(row_of(KV), "mini", store)
    assert sorted((one.tested.fingerprint, one.classes[0].accuracy) for one in found) == [
        ("beef", 0.0),
        ("f00d", 100.0),
    ]
    assert {one.tested.copies for one in found} == {2} and all(one.classes[0].sd is None for one in found)


def test_splits_that_are_one_evaluation_are_one_entry(store: Store) -> None:
    """At mini scale the three splits of UCF101 are one test."""
    record = write_right(store, "mmvit/table2:tsm", [True, False], classes=16)
    for name in ("split2", "split3"):
        store.append(type(record)(**{**record.as_dict(), "measurement": name}))
    (found,) = per_class(row_of("mmvit/table2:tsm"), "mini", store)
    assert found.tested.measurement == "split1, split2, split3"


def test_a_row_without_scores_says_how_to_get_them(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_right(store, KV, [True, False])
    write_right(store, VIT, [True, False])
    shutil.rmtree(store.folder / "runs" / f"eval-{record.evaluation_key}")
    for option in ("--per-class", "--confusion"):
        assert main(["report", KV, VIT, option, "--results", str(store.folder)]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert f"{VIT} (mini), cycle, seed 0" in text
        assert f"{KV} (mini): {store.folder} has no scores of the videos of seed 0; bring its run folder or" in text
        assert f"`vtbench run {KV} --scale mini --seeds 0 --test-again`" in text


def test_an_exported_file_of_another_test_is_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    record = write_right(store, KV, [True, False])
    (path,) = export_scores(store.folder, [record]).written
    shutil.rmtree(store.folder / "runs")
    store.append(dataclasses.replace(record, weights_sha256="other"))
    assert main(["report", KV, "--per-class", "--results", str(store.folder)]) == 0
    assert f"({path.name} is damaged or of another test)" in " ".join(capsys.readouterr().out.split())


def test_by_class_in_json_and_csv_is_the_same(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write_right(store, KV, [True, False, True, True])
    command = ["report", KV, "--per-class", "--results", str(store.folder), "--format"]
    assert main([*command, "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["id"] == KV and entry["seeds"] == [0] and entry["lacking"] == []
    assert entry["classes"][1] == {"label": 1, "name": NAMES[1], "videos": 1, "accuracy": 0.0, "sd": None}
    assert main([*command, "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "id,variant,measurement,scale,data_fingerprint,seeds,class,label,videos,top1,sd"
    assert lines[2] == f"{KV},,main,mini,f00d,1,{NAMES[1]},1,1,0,"


def test_the_lowest_classes_are_named_where_classes_differ(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write_right(store, KV, [True, False, True, True])
    write_right(store, VIT, [True] * 4)
    assert main(["report", KV, VIT, "--per-class", "--results", str(store.folder)]) == 0
    summaries = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mean over")]
    assert summaries == ["mean over 4 classes 100.00", f"mean over 4 classes 75.00; lowest: {NAMES[1]} 0.0"]


def test_rows_behind_confusion_are_not_taken_for_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--confusion", "msca/table2"]) == 2
    error = capsys.readouterr().err
    assert "give the rows before --confusion, as `vtbench report msca/table2 --confusion`" in error
    assert main(["report", "--confusion", "0"]) == 2
    assert "'0' is not a whole number above 0; see" in capsys.readouterr().err


def test_confusion_takes_the_number_of_pairs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    write_right(store, KV, [False] * 8)
    command = ["report", KV, "--results", str(store.folder), "--format", "json", "--confusion"]
    assert main([*command, "3"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert len(entry["pairs"]) == 3 and (entry["wrong"], entry["read"], entry["unreadable"]) == (8, 8, 0)


def test_classes_are_not_drawn_in_latex(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", KV, "--per-class", "--format", "latex"]) == 2
    assert "--format latex is for tables" in capsys.readouterr().err


def test_curves_of_a_row_are_those_of_its_seeds(store: Store) -> None:
    for seed, loss in ((0, "1.5"), (1, "2.5")):
        record = write_right(store, KV, [True], seed=seed, weights_sha256=f"w{seed}")
        write_curve(store, record, f"epoch,train_loss\n1,{loss}\n")
    write_right(store, KV, [True], seed=2)
    found = curves(row_of(KV), "mini", store)
    assert [one.record.seed for one in found] == [0, 1, 2]
    assert [one.curve and one.curve.values["train_loss"] for one in found] == [(1.5,), (2.5,), None]
