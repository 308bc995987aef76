"""Scores of single videos: from a run folder and from an export the same, and only those of the line."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.special
import torch
from scored import write_curve, write_right, write_scores

from vtbench.evaluation.multiview import average_views
from vtbench.results import folders
from vtbench.results.curves import read_curve
from vtbench.results.export import export_scores
from vtbench.results.record import Record
from vtbench.results.scores import VideoScores, damaged_scores, exported_file, read_scores
from vtbench.results.store import Store

KV = "msca/table2:msca-kv"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def equal(a: VideoScores | None, b: VideoScores | None) -> bool:
    assert a is not None and b is not None
    for field in dataclasses.fields(VideoScores):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype and one.shape == other.shape, field.name
            if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
                return False
        elif one != other:
            return False
    return True


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scores_are_what_the_evaluation_averaged(store: Store, average: str) -> None:
    draw = np.random.default_rng(0)
    views, labels = draw.normal(size=(20, 3, 8)).astype(np.float32), draw.integers(8, size=20).tolist()
    record = write_scores(store, KV, views, labels, average=average)
    found = read_scores(store.folder, record)
    assert found is not None
    for number, label in enumerate(labels):
        means = average_views(torch.from_numpy(views[number]), average).numpy()
        order = np.argsort(-means, kind="stable")
        shares = means if average == "probabilities" else scipy.special.softmax(means.astype(float))
        assert found.classes[number].tolist() == order[:5].tolist()
        assert found.scores[number] == pytest.approx(shares[order[:5]], rel=1e-6)
        assert found.ranks[number] == order.tolist().index(label) + 1
        assert found.label_scores[number] == pytest.approx(shares[label], rel=1e-6)
    assert found.right.tolist() == (found.ranks == 1).tolist() and found.views.tolist() == [3] * 20


def test_views_may_lie_in_any_order_and_number(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of an interrupted test; videos are averaged some at a time."""
    monkeypatch.setattr("vtbench.results.scores.CHUNK", 3)
    draw = np.random.default_rng(2)
    record = write_right(store, KV, [True] * 10)
    video = draw.permutation(np.repeat([0, 1, 2, 4, 5, 9], [1, 3, 2, 5, 1, 2]))  # 3, 6, 7 and 8 could not be read
    views = draw.normal(size=(len(video), 4)).astype(np.float32)
    path = folders.evaluation_folder(store.folder, record.evaluation_key) / folders.SCORES
    np.savez(path, video_ids=np.arange(10).astype(str), labels=np.zeros(10, int), video=video, scores=views)
    record = dataclasses.replace(record, videos_decoded=6, videos_failed=4, top1=None)
    found = read_scores(store.folder, record)
    assert found is not None and found.views.tolist() == [1, 3, 2, 0, 5, 1, 0, 0, 0, 2]
    for number in (0, 1, 2, 4, 5, 9):
        mean = views[video == number].astype(float).mean(axis=0)
        assert found.classes[number].tolist() == np.argsort(-mean).tolist()
        assert found.label_scores[number] == pytest.approx(scipy.special.softmax(mean)[0], rel=1e-6)


def test_of_equal_scores_the_lower_class_is_first(store: Store) -> None:
    record = write_scores(store, KV, np.array([[[1.0, 2.0, 2.0, 0.0]]]), [2])
    found = read_scores(store.folder, record)
    assert found is not None and found.classes.tolist() == [[1, 2, 0, 3]] and found.ranks.tolist() == [2]


def test_a_video_that_could_not_be_read_has_its_reason(store: Store) -> None:
    record = write_scores(store, KV, np.ones((1, 2, 4)), [0, 3], failures={"bad.mp4": "bad.mp4: it is empty"})
    found = read_scores(store.folder, record)
    assert found is not None and found.errors == (None, "bad.mp4: it is empty")
    assert found.views.tolist() == [2, 0] and found.ranks.tolist() == [1, 0] and found.right.tolist() == [True, False]
    assert found.classes[1].tolist() == [-1] * 4 and np.isnan(found.scores[1]).all()


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_an_export_reads_back_bit_for_bit(store: Store, classes: int) -> None:
    draw = np.random.default_rng(1)
    scores, labels = 5 * draw.normal(size=(30, 2, classes)), draw.integers(classes, size=31).tolist()
    record = write_scores(store, KV, scores, labels, failures={"lost": "lost: no such file"})
    before = read_scores(store.folder, record)
    done = export_scores(store.folder, [record])
    assert done.written == [exported_file(store.folder, record.evaluation_key)] and done.without_scores == []
    shutil.rmtree(store.folder / "runs")
    assert equal(before, read_scores(store.folder, record))


def test_the_same_scores_are_the_same_bytes(store: Store, tmp_path: Path) -> None:
    right = [True, False, True]
    files = []
    for folder in (store, Store(tmp_path / "other")):
        (path,) = export_scores(folder.folder, [write_right(folder, KV, right)]).written
        files.append(path.read_bytes())
    assert files[0] == files[1]
    again = export_scores(store.folder, store.read())
    assert again.written == [] and len(again.kept) == 1


def test_an_export_keeps_what_has_no_run_folder_any_more(store: Store) -> None:
    first = write_right(store, KV, [True, False])
    (path,) = export_scores(store.folder, [first]).written
    content = path.read_bytes()
    shutil.rmtree(store.folder / "runs")
    second = write_right(store, "msca/table2:vit", [True, True])
    done = export_scores(store.folder, store.read())
    assert done.kept == [path] and done.without_scores == [] and path.read_bytes() == content
    assert done.written == [exported_file(store.folder, second.evaluation_key)]


def test_an_export_takes_the_newest_line_whose_scores_are_there(store: Store) -> None:
    first = write_right(store, KV, [True, False])
    store.append(dataclasses.replace(first, id="msca/table1:msca-kv-8", finished_at="2026-02-01T00:00:00Z"))
    done = export_scores(store.folder, store.read())
    assert done.written and done.without_scores == [] and read_scores(store.folder, first) is not None


def test_lines_without_scores_are_named(store: Store) -> None:
    record = write_right(store, KV, [True])
    shutil.rmtree(store.folder / "runs")
    done = export_scores(store.folder, [record])
    assert done.without_scores == [record] and done.written == done.kept == []


def test_scores_of_a_test_that_was_repeated_are_still_found(store: Store) -> None:
    """`run --test-again` sets the run folder aside; an older line is still of it."""
    record = write_right(store, KV, [True, False])
    folders.set_aside(folders.evaluation_folder(store.folder, record.evaluation_key))
    newer = write_right(store, KV, [True, True], finished_at="2026-03-01T00:00:00Z")
    for line, right in ((record, [True, False]), (newer, [True, True])):
        found = read_scores(store.folder, line)
        assert found is not None and found.right.tolist() == right


@pytest.mark.parametrize(
    "changes",
    [
        {"weights_sha256": "other"},
        {"data_fingerprint": "other"},
        {"top1": 0.0},
        {"videos_expected": 3, "videos_decoded": 3},
        {"videos_decoded": 1, "videos_failed": 1},
    ],
)
def test_scores_of_another_test_are_not_those_of_the_line(store: Store, changes: dict[str, Any]) -> None:
    record = write_right(store, KV, [True, False])
    export_scores(store.folder, [record])
    other = dataclasses.replace(record, **changes)
    assert read_scores(store.folder, other) is None
    shutil.rmtree(store.folder / "runs")
    assert read_scores(store.folder, other) is None and read_scores(store.folder, record) is not None


def test_a_line_of_another_time_has_the_scores_of_the_evaluation_that_it_shares(store: Store) -> None:
    record = write_right(store, KV, [True, False])
    export_scores(store.folder, [record])
    shared = dataclasses.replace(record, id="msca/table1:msca-kv-2", finished_at="2025-01-01T00:00:00Z")
    assert read_scores(store.folder, shared) is not None
    shutil.rmtree(store.folder / "runs")
    assert read_scores(store.folder, shared) is not None


@pytest.mark.parametrize("change", ["cut", "ranks", "twice", "labels"])
def test_an_export_that_does_not_give_what_the_line_says_has_no_scores(store: Store, change: str) -> None:
    record = write_right(store, KV, [True, False, True, True])
    (path,) = export_scores(store.folder, [record]).written
    shutil.rmtree(store.folder / "runs")
    assert read_scores(store.folder, record) is not None
    frame = pd.read_parquet(path)
    if change == "cut":
        frame = frame[:3]
    elif change == "ranks":
        frame["label_rank"] = frame["label_rank"] * 0 + 2
    elif change == "twice":
        frame["video_id"] = "v0"
    else:
        frame["label"] = 99
    frame.to_parquet(path)
    assert read_scores(store.folder, record) is None


def test_of_equal_scores_the_evaluation_may_have_taken_the_other_class(store: Store) -> None:
    record = write_scores(store, KV, np.array([[[1.0, 1.0]], [[2.0, 0.0]], [[2.0, 0.0]]]), [1, 0, 0])
    for top1, there in ((200 / 3, True), (100.0, True), (0.0, False)):
        assert (read_scores(store.folder, dataclasses.replace(record, top1=top1)) is not None) is there


def damage_scores(folder: Path) -> None:
    (folder / folders.SCORES).write_bytes(b"PK junk")


def damage_config(folder: Path) -> None:
    (folder / folders.CONFIG).write_text("[]")


def damage_labels(folder: Path) -> None:
    with np.load(folder / folders.SCORES) as file:
        arrays = dict(file)
    np.savez(folder / folders.SCORES, **{**arrays, "labels": arrays["labels"] + 100})


def damage_packed(folder: Path) -> None:
    """As a disk does it: the archive is whole, and what is packed in it is not."""
    with np.load(folder / folders.SCORES) as file:
        arrays = dict(file)
    np.savez_compressed(folder / folders.SCORES, **arrays)
    with zipfile.ZipFile(folder / folders.SCORES) as archive:
        at = archive.getinfo("scores.npy").header_offset + 30 + len("scores.npy")
    content = bytearray((folder / folders.SCORES).read_bytes())
    content[at : at + 40] = bytes(40)
    (folder / folders.SCORES).write_bytes(content)


@pytest.mark.parametrize("damage", [damage_scores, damage_config, damage_labels, damage_packed])
def test_a_damaged_run_folder_has_no_scores(store: Store, damage: Callable[[Path], None]) -> None:
    record = write_right(store, KV, [True, False])
    folder = folders.evaluation_folder(store.folder, record.evaluation_key)
    damage(folder)
    assert read_scores(store.folder, record) is None
    assert damaged_scores(store.folder, record) == folder / folders.SCORES


@pytest.mark.parametrize("keep", [0, 4, -8])
def test_a_damaged_export_has_no_scores(store: Store, keep: int) -> None:
    record = write_right(store, KV, [True, False])
    (path,) = export_scores(store.folder, [record]).written
    shutil.rmtree(store.folder / "runs")
    path.write_bytes(path.read_bytes()[:keep])
    assert read_scores(store.folder, record) is None
    assert damaged_scores(store.folder, record) == path


def test_scores_that_are_not_kept_or_of_another_test_are_not_damaged(store: Store) -> None:
    record = write_right(store, KV, [True, False])
    (path,) = export_scores(store.folder, [record]).written
    assert damaged_scores(store.folder, dataclasses.replace(record, weights_sha256="other")) is None
    shutil.rmtree(store.folder / "runs")
    assert damaged_scores(store.folder, dataclasses.replace(record, weights_sha256="other")) is None
    path.unlink()
    assert damaged_scores(store.folder, record) is None


def test_exports_of_different_data_sets_are_one_table(store: Store) -> None:
    """As pandas or DuckDB reads the folder."""
    import pandas as pd

    write_right(store, KV, [True, False], classes=4)
    write_right(store, "msca/table2:vit", [True] * 7, classes=7)
    export_scores(store.folder, store.read())
    table = pd.read_parquet(store.folder / "scores")
    assert len(table) == 9 and table.class5.isna().sum() == 2
    assert set(table.evaluation_key) == {record.evaluation_key for record in store.read()}


# ---- curves ----------------------------------------------------------------------------------------------------------

LINES = "epoch,train_loss,train_top1,lr,val_top1\n1,1.25,50.0,0.1,\n2,0.5,75.0,0.05,61.5\n"


def test_a_curve_is_that_of_metrics_csv_before_and_after_an_export(store: Store) -> None:
    record = write_right(store, KV, [True])
    write_curve(store, record, LINES)
    for gone in (False, True):
        if gone:
            assert len(export_scores(store.folder, [record]).written) == 2
            shutil.rmtree(store.folder / "runs")
        found = read_curve(store.folder, record)
        assert found is not None and found.epochs == (1, 2)
        assert found.values == {
            "train_loss": (1.25, 0.5),
            "train_top1": (50.0, 75.0),
            "lr": (0.1, 0.05),
            "val_top1": (None, 61.5),
        }


def test_the_curve_that_a_training_started_from_is_exported_too(store: Store) -> None:
    record = write_right(store, KV, [True], init="training:aaaaaaaaaaaa@bbbbbbbb")
    start = dataclasses.replace(record, training_key="aaaaaaaaaaaa")
    write_curve(store, start, LINES)
    done = export_scores(store.folder, [record])
    assert store.folder / "curves" / "aaaaaaaaaaaa.parquet" in done.written


def curve_of_other_weights(folder: Path, record: Record) -> None:
    (folder / folders.DONE).write_text(json.dumps({"weights_sha256": "other"}))


def broken_metrics(folder: Path, record: Record) -> None:
    (folder / folders.METRICS).write_text("epoch,train_loss\n1,much\n")


def unfinished(folder: Path, record: Record) -> None:
    (folder / folders.DONE).unlink()


@pytest.mark.parametrize("change", [curve_of_other_weights, broken_metrics, unfinished])
def test_no_curve_is_given_that_is_not_of_the_weights(store: Store, change: Callable[[Path, Record], None]) -> None:
    record = write_right(store, KV, [True])
    write_curve(store, record, LINES)
    change(folders.training_folder(store.folder, record.training_key), record)
    assert read_curve(store.folder, record) is None
