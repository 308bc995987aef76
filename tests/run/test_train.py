"""One training and one evaluation: repeatable, continued where broken off, honest about what could not be read."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import with_train

from vtbench.datasets.frames import DecodedFrames
from vtbench.errors import DataError, RunError, SpecError, WeightsError
from vtbench.evaluation.multiview import ViewScores
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Evaluation, Training
from vtbench.report.counted import agrees
from vtbench.results import finished, folders
from vtbench.run import assemble as assembling
from vtbench.run import callbacks, session
from vtbench.run.assemble import assemble, data_module
from vtbench.run.callbacks import ScoreParts
from vtbench.run.devices.batches import Batches, split_batch
from vtbench.run.engine import Engine
from vtbench.run.evaluate import evaluate
from vtbench.run.measuring.cost import clip_macs, cost
from vtbench.run.recording import to_record
from vtbench.run.reporting import Progress, no_progress
from vtbench.run.settings import Settings
from vtbench.run.train import _fit, train
from vtbench.run.weights import weights_file

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]


def smoke(row: str = "msca/table2:msca-kv", **changed: Any) -> Training:
    """The smoke training of a row, from random weights so that it is one training and not two."""
    training = measurements(select([row])[0], "smoke", 0)[0].evaluation.training
    start = dataclasses.replace(training.init, training=None)
    return with_train(dataclasses.replace(training, init=start), **changed)


ROW_WITH_NORMS = "laps/table1:p-shift"
"""A network with batch norm, and the method that measures it anew."""


def test_of(training: Training) -> Evaluation:
    evaluation = measurements(select(["msca/table2:msca-kv"])[0], "smoke", 0)[0].evaluation
    return dataclasses.replace(evaluation, training=training)


test_of.__test__ = False  # type: ignore[attr-defined]


def weights_hash(results: Path, training: Training) -> str:
    done = folders.read_json(folders.training_folder(results, training.key) / folders.DONE)
    return str(done["weights_sha256"])


def test_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others(tmp_path: Path) -> None:
    training = smoke()
    for name in ("a", "b"):
        train(training, Settings(results=tmp_path / name))
    assert weights_hash(tmp_path / "a", training) == weights_hash(tmp_path / "b", training)
    other = dataclasses.replace(training, seed=1)
    train(other, Settings(results=tmp_path / "a"))
    assert weights_hash(tmp_path / "a", other) != weights_hash(tmp_path / "a", training)


def test_clips_of_the_whole_video_and_their_augmentation_train_repeatably_and_are_tested(tmp_path: Path) -> None:
    training = smoke()
    newer = {"crop": "resized", "auto_augment": "imagenet", "erasing": 0.25}
    older = dict.fromkeys(("color", "brightness", "saturation", "gamma", "hue"))
    training = dataclasses.replace(
        training,
        data=dataclasses.replace(training.data, stride=None, sampling="segments"),
        augment=dataclasses.replace(training.augment, **newer, **older),
    )
    for name in ("a", "b"):
        train(training, Settings(results=tmp_path / name))
    assert weights_hash(tmp_path / "a", training) == weights_hash(tmp_path / "b", training)
    test = test_of(training)
    one_clip = dataclasses.replace(test, data=training.data, eval=dataclasses.replace(test.eval, clips=1))
    done = evaluate(one_clip, Settings(results=tmp_path / "a"))
    assert (done["views"], done["videos_failed"]) == (3, 0)


def test_a_training_broken_off_goes_on_and_ends_as_if_it_had_not(tmp_path: Path) -> None:
    training = smoke(epochs=3)
    whole, broken = Settings(results=tmp_path / "whole"), Settings(results=tmp_path / "broken")
    train(training, whole)

    def stop_in_the_second_epoch(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 1 and loss is None:
            raise RunError("the power went out")

    with pytest.raises(RunError, match="power"):
        train(training, broken, stop_in_the_second_epoch)
    folder = folders.training_folder(broken.results, training.key)
    assert not finished.is_done(folder)
    assert len(list(csv.DictReader((folder / folders.METRICS).open()))) == 1
    epochs: list[int] = []
    train(training, broken, lambda phase, done, total, loss: epochs.append(done) if loss else None)
    assert epochs == [2, 3], "the first epoch is not trained again"
    assert weights_hash(broken.results, training) == weights_hash(whole.results, training)
    rows = {
        name: list(csv.DictReader((folders.training_folder(s.results, training.key) / folders.METRICS).open()))
        for name, s in (("whole", whole), ("broken", broken))
    }
    for a, b in zip(rows["whole"], rows["broken"], strict=True):
        assert {k: v for k, v in a.items() if k != "elapsed_s"} == {k: v for k, v in b.items() if k != "elapsed_s"}


def test_the_best_epoch_on_the_test_set_is_kept_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the training is interrupted after it: the second of three epochs is best here."""
    top1 = iter([10.0, 30.0, 20.0])
    monkeypatch.setattr("vtbench.methods.base.measure", lambda *_, **__: {"top1": next(top1)})
    training, last = smoke(ROW_WITH_NORMS, epochs=3, keep="best_on_test"), smoke(ROW_WITH_NORMS, epochs=3)

    def stop_in_the_third_epoch(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 2 and loss is None:
            raise RunError("the power went out")

    with pytest.raises(RunError, match="power"):
        train(training, Settings(results=tmp_path), stop_in_the_third_epoch)
    folder = folders.training_folder(tmp_path, training.key)
    second = (folder / folders.BEST.format(2)).read_bytes()
    train(training, Settings(results=tmp_path))
    done = folders.read_json(folder / folders.DONE)
    assert (done["kept_epoch"], done["kept_top1"]) == (2, 30.0)
    assert (folder / folders.WEIGHTS).read_bytes() == second and not list(folder.glob("best*"))
    assert [line["val_top1"] for line in csv.DictReader((folder / folders.METRICS).open())] == ["10.0", "30.0", "20.0"]
    train(last, Settings(results=tmp_path))
    assert weights_hash(tmp_path, last) != weights_hash(tmp_path, training)
    assert "kept_epoch" not in folders.read_json(folders.training_folder(tmp_path, last.key) / folders.DONE)


def test_no_epoch_is_chosen_on_test_videos_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, index: int) -> dict[str, Any]:
        entry = self.entries[index]
        return {"video_id": entry.video_id, "label": entry.label, "error": "not a video"}

    monkeypatch.setattr("vtbench.datasets.clips.TestVideos.__getitem__", refuse)
    training = smoke(ROW_WITH_NORMS, keep="best_on_test")
    with pytest.raises(
        RunError, match="no test video could be read, so no epoch can be chosen; the first: not a video"
    ):
        train(training, Settings(results=tmp_path))
    assert not finished.is_done(folders.training_folder(tmp_path, training.key))


def test_batch_norm_is_measured_also_when_only_that_was_left(tmp_path: Path) -> None:
    """A training whose epochs are all done, interrupted before its weights were written."""
    training, whole, broken = smoke(ROW_WITH_NORMS), Settings(results=tmp_path / "a"), Settings(results=tmp_path / "b")
    train(training, whole)

    def stop_at_the_end(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == total:
            raise RunError("the power went out")

    with pytest.raises(RunError, match="power"):
        train(training, broken, stop_at_the_end)
    train(training, broken)
    assert weights_hash(broken.results, training) == weights_hash(whole.results, training)
    without = smoke(ROW_WITH_NORMS, precise_bn=None)
    train(without, whole)
    assert weights_hash(whole.results, without) != weights_hash(whole.results, training)


def test_a_training_is_not_continued_on_other_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, settings = smoke(epochs=2), Settings(results=tmp_path)

    def stop_after_the_first_epoch(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 1 and loss is None:
            raise RunError("stop")

    with pytest.raises(RunError, match="stop"):
        train(training, settings, stop_after_the_first_epoch)
    with monkeypatch.context() as patch:
        patch.setattr("vtbench.datasets.module.VideoData.fingerprint", lambda self, split: "another")
        with pytest.raises(
            RunError, match=r"was started with other training videos .*, now another\); bring them back"
        ):
            train(training, settings)
    train(training, settings)


def test_a_test_broken_off_goes_on_and_ends_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, settings = smoke(), Settings(results=tmp_path)
    train(training, settings)
    read_frames = DecodedFrames.__call__
    monkeypatch.setattr(DecodedFrames, "__call__", lambda *given: (*read_frames(*given)[:2], "remarkable"))
    evaluation = test_of(training)
    whole = evaluate(evaluation, settings)
    assert list(whole["remarks"].values()) == 4 * ["remarkable"]
    folder = folders.evaluation_folder(tmp_path, evaluation.key)
    first = ViewScores.load(folder / folders.SCORES)
    shutil.rmtree(folder)

    monkeypatch.setattr(callbacks, "PART_EVERY", 0.0)
    monkeypatch.setattr(assembling, "data_module", lambda *a, **k: _one_by_one(data_module(*a, **k)))

    def stop_after(count: int) -> Progress:
        def progress(phase: str, done: int, total: int, loss: float | None) -> None:
            if phase != "test":
                return
            seen.append(done)
            if done == count:
                raise RunError("the power went out")

        return progress

    seen: list[int] = []
    for count in (1, 3):
        with pytest.raises(RunError, match="power"):
            evaluate(evaluation, settings, stop_after(count))
    assert len(list(folder.glob("scores.part-*.npz"))) == 3
    assert len(ScoreParts(folder, folders.read_json(folder / folders.CONFIG), 4, no_progress).labels) == 3
    again = evaluate(evaluation, settings, stop_after(99))
    assert seen == [1, 2, 3, 4], "no video is tested twice"
    changing = ("wall_s", "finished_at")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in whole.items() if k not in changing
    }
    scores, labels = ViewScores.load(folder / folders.SCORES)
    assert labels == first[1]
    assert torch.equal(scores.video_scores(6)[1], first[0].video_scores(6)[1])
    assert list(folder.glob("*.part*")) == []


def test_a_test_does_not_resume_from_scores_of_other_weights(tmp_path: Path) -> None:
    part = ViewScores()
    part.add("v", 0, torch.zeros(4))
    part.save(tmp_path / folders.SCORES_PART.format("0000"), labels={"v": 1})
    folders.write_json(tmp_path / folders.CONFIG, {"weights_sha256": "old", "data_fingerprint": "same"})
    parts = ScoreParts(tmp_path, {"weights_sha256": "old", "data_fingerprint": "same"}, 1, no_progress)
    assert parts.labels == {"v": 1} and not parts.all_notes  # as older versions left it
    folders.write_json(tmp_path / folders.NOTES_PART.format(""), {"v": "silent"})
    parts = ScoreParts(tmp_path, {"weights_sha256": "old", "data_fingerprint": "same"}, 1, no_progress)
    assert not parts.all_notes  # nor as those after them
    remarks = {"notes": {"v": "silent"}, "distinct_views": {"v": 1}}
    folders.write_json(tmp_path / folders.NOTES_PART.format(""), remarks)
    parts = ScoreParts(tmp_path, {"weights_sha256": "old", "data_fingerprint": "same"}, 1, no_progress)
    assert parts.all_notes and parts.notes == {"v": "silent"}
    parts = ScoreParts(tmp_path, {"weights_sha256": "new", "data_fingerprint": "same"}, 1, no_progress)
    assert parts.labels == {} and list(tmp_path.glob("*.part*")) == [] and parts.all_notes


def test_remarks_of_a_process_outlive_its_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes after the first do not know them when they write their own."""
    tested = {"weights_sha256": "same"}
    folders.write_json(tmp_path / folders.CONFIG, tested)

    def write(process: int, name: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("vtbench.run.callbacks.processes.this", lambda: process)
            patch.setattr("vtbench.run.callbacks.processes.first", lambda: process == 0)
            patch.setattr("vtbench.run.callbacks.processes.from_first", lambda value: value)
            parts = ScoreParts(tmp_path, tested, 2, no_progress)
            parts.labels[name], parts.notes[name], parts.distinct_views[name] = 1, "silent", 3
            parts._unsaved.add(name, 0, torch.zeros(4))
            parts._write_part()

    write(1, "a")
    ScoreParts(tmp_path, tested, 2, no_progress)  # the first process of the run that resumes; it is killed early
    write(1, "b")
    found = ScoreParts(tmp_path, tested, 2, no_progress)
    assert found.all_notes
    assert (found.notes, found.distinct_views) == ({"a": "silent", "b": "silent"}, {"a": 3, "b": 3})


@pytest.mark.parametrize(
    ("what", "changed"),
    [("engine", {"engine": Engine(precision="bf16-mixed")}), ("code", {}), ("device", {})],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_test_does_not_resume_from_scores_that_were_computed_otherwise(
    what: str, changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, settings = smoke(), Settings(results=tmp_path)
    train(training, settings)
    monkeypatch.setattr(callbacks, "PART_EVERY", 0.0)
    monkeypatch.setattr(assembling, "data_module", lambda *a, **k: _one_by_one(data_module(*a, **k)))

    def stop(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 3:
            raise RunError("the power went out")

    with pytest.raises(RunError, match="power"):
        evaluate(test_of(training), settings, stop)
    if what == "code":
        monkeypatch.setattr("vtbench.results.provenance.code", lambda: "0123456789ab")
    if what == "device":
        here = session.environment
        monkeypatch.setattr("vtbench.run.evaluate.environment", lambda **given: here(**given) | {"device": "abacus"})
    seen: list[int] = []
    said: list[str] = []
    settings = dataclasses.replace(settings, **changed)
    done = evaluate(test_of(training), settings, lambda _, at, *rest: seen.append(at), said.append)
    assert seen == [0, 1, 2, 3, 4], "from the start, and none is left out"
    folder = folders.evaluation_folder(tmp_path, test_of(training).key)
    assert said == [f"{folder}: scores of another {what} are dropped, and their videos tested again"]
    assert done["engine"] == ({"precision": "bf16-mixed"} if changed else {})


def _one_by_one(data: Any) -> Any:
    data.loading = dataclasses.replace(data.loading, eval_batch_size=1)
    return data


def test_ctrl_c_in_a_test_is_ctrl_c(tmp_path: Path) -> None:
    training, settings = smoke(), Settings(results=tmp_path)
    train(training, settings)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(test_of(training), settings, interrupt)


def test_a_missing_test_list_is_told_before_the_training(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path / "r", data={"kinetics400": tmp_path / "k"})
    (tmp_path / "k" / "train").mkdir(parents=True)
    (tmp_path / "k" / "train" / "v.mp4").write_bytes(b"a")
    (tmp_path / "k" / "train.csv").write_text("path,label\ntrain/v.mp4,0\n")
    training = smoke()
    training = dataclasses.replace(training, data=dataclasses.replace(training.data, dataset="kinetics400"))
    with pytest.raises(DataError, match=r"no list of the videos to test on: neither validation\.csv"):
        train(training, settings)


def test_a_data_set_that_forbids_mirroring_is_never_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtbench.papers.datasets.Dataset.flip_allowed", False)
    with pytest.raises(SpecError, match=r"augment\.flip is 0\.5: a mirrored video of cycle has no label; set"):
        train(smoke(), Settings(results=tmp_path))


def test_a_finished_training_and_evaluation_are_not_done_again(tmp_path: Path) -> None:
    training, settings = smoke(), Settings(results=tmp_path)
    calls: list[str] = []

    def note(phase: str, done: int, total: int, loss: float | None) -> None:
        calls.append(phase)

    train(training, settings, note)
    first = evaluate(test_of(training), settings, note)
    assert set(calls) == {"start", "train", "test"}
    calls.clear()
    train(training, settings, note)
    assert evaluate(test_of(training), settings, note) == first
    assert calls == []
    (folders.training_folder(tmp_path, training.key) / folders.WEIGHTS).unlink()
    assert evaluate(test_of(training), settings, note) == first, "what was measured needs no weights"


def test_last_checkpoint_is_gone_when_done_and_no_half_file_is_left(tmp_path: Path) -> None:
    folder = train(smoke(), Settings(results=tmp_path))
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [".lock", folders.CONFIG, folders.DONE, folders.METRICS, folders.WEIGHTS]
    )


def broken_set(tmp_path: Path, split: str) -> Settings:
    """A cycle set of which the second video of `split` is text."""
    training = smoke()
    train(training, Settings(results=tmp_path / "made"))  # generates the set
    made = next(Path("data").glob("cycle-*"))
    root = tmp_path / "cycle"
    shutil.copytree(made, root)
    (root / split / "00001.mp4").write_text("this is no video")
    return Settings(results=tmp_path / "results", data={"cycle": root})


@pytest.fixture
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that the user gave holds the whole set; here the whole set is the smoke set."""
    monkeypatch.setattr(
        "vtbench.papers.datasets.Dataset.num_videos", lambda self, split, limit=None: {"train": 8, "test": 4}[split]
    )


@pytest.mark.usefixtures("small_numbers")
def test_an_unreadable_test_video_is_a_miss_and_is_named(tmp_path: Path) -> None:
    settings, training = broken_set(tmp_path, "validation"), smoke()
    train(training, settings)
    measured = evaluate(test_of(training), settings)
    assert (measured["videos_expected"], measured["videos_decoded"], measured["videos_failed"]) == (4, 3, 1)
    assert measured["metrics"]["top5"] == 75.0, "top-5 of 4 classes misses only what could not be read"
    ((name, reason),) = measured["failures"].items()
    assert name == "validation/00001.mp4" and "00001.mp4" in reason


@pytest.mark.usefixtures("small_numbers")
def test_a_test_set_of_which_nothing_can_be_read_gives_no_result(tmp_path: Path) -> None:
    settings, training = broken_set(tmp_path, "validation"), smoke()
    train(training, settings)
    root = settings.data["cycle"]
    for video in (root / "validation").glob("*.mp4"):
        video.write_bytes(b"no video")
    with pytest.raises(RunError, match=rf"{root}: none of 4 test videos could be read.*--data cycle=PATH"):
        evaluate(test_of(training), settings)
    assert not finished.is_done(folders.evaluation_folder(settings.results, test_of(training).key))


@pytest.mark.usefixtures("small_numbers")
def left_out(folder: Path) -> list[list[str]]:
    with (folder / folders.LEFT_OUT).open(newline="") as file:
        return [row[:2] for row in csv.reader(file)][1:]


def test_an_unreadable_training_video_above_the_quota_ends_the_training_and_is_named(
    tmp_path: Path, small_numbers: None
) -> None:
    settings = broken_set(tmp_path, "train")
    with pytest.raises(
        DataError, match=r"1 of 8 videos to train on .*train/00001\.mp4: invalid data .* --missing 0\.125"
    ):
        train(smoke(), settings)
    folder = folders.training_folder(settings.results, smoke().key)
    assert not finished.is_done(folder) and left_out(folder) == [["train", "train/00001.mp4"]]


def test_under_the_quota_a_training_does_without_videos_and_the_record_says_so(
    tmp_path: Path, small_numbers: None
) -> None:
    settings = dataclasses.replace(broken_set(tmp_path, "train"), missing=0.25, batch_size=1)
    (settings.data["cycle"] / "train" / "00002.mp4").unlink()
    (settings.data["cycle"] / "validation" / "00003.mp4").unlink()
    notices: list[str] = []
    folder = train(smoke(), settings, notice=notices.append)
    assert [line.partition(":")[0] for line in notices] == [
        "trains without 1 of 8 listed videos, which are missing or in quarantine",
        "will be tested with, as misses, 1 of 4 listed videos, which are missing or in quarantine",
        "trains without train/00001.mp4",
        "trained without 1 videos that cannot be read",
    ]
    assert left_out(folder) == [
        ["train", "train/00002.mp4"],
        ["train", "train/00001.mp4"],
        ["test", "validation/00003.mp4"],
    ]
    measured = evaluate(test_of(smoke()), settings)
    measurement = dataclasses.replace(
        measurements(select(["msca/table2:msca-kv"])[0], "smoke", 0)[0], evaluation=test_of(smoke())
    )
    record = to_record(measurement, measured, settings)
    assert (record.train_videos, record.train_missing, record.train_unreadable) == (7, 1, 1)
    assert (record.videos_expected, record.videos_decoded, record.videos_failed) == (4, 3, 1)
    assert record.top1 is not None and record.top1_decoded == pytest.approx(record.top1 / 0.75)
    assert record.train_fingerprint and record.train_fingerprint != record.data_fingerprint


def test_given_weights_are_tested_under_a_key_of_their_own(tmp_path: Path) -> None:
    training, settings = smoke(), Settings(results=tmp_path)
    folder = train(training, settings)
    ours = evaluate(test_of(training), settings)
    given = evaluate(test_of(training), settings, checkpoint=folder / folders.WEIGHTS)
    assert given["metrics"] == ours["metrics"]
    assert given["evaluation_key"] != ours["evaluation_key"]
    assert given["training_key"] == f"file:{ours['weights_sha256'][:12]}"


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path)
    folder = train(smoke(), settings)
    wider = smoke()
    wider = dataclasses.replace(
        wider, model=dataclasses.replace(wider.model, arguments={**wider.model.arguments, "embed_dim": 96})
    )
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        evaluate(test_of(wider), settings, checkpoint=folder / folders.WEIGHTS)
    assert list((tmp_path / "runs").glob("eval-*")) == [], "nothing was begun"


def test_missing_data_and_weights_name_the_option_to_give(tmp_path: Path) -> None:
    training = measurements(select(["msca/table2:vit"])[0], "paper", 0)[0].evaluation.training
    with pytest.raises(DataError, match="--data kinetics400=PATH"):
        train(training, Settings(results=tmp_path))
    with pytest.raises(WeightsError, match=r"--weights own=FILE"):
        weights_file("own", Settings())
    assert weights_file("own", Settings(weights={"own": tmp_path})) == tmp_path


def test_given_weights_are_the_release_of_their_name_unless_others_are_allowed(tmp_path: Path) -> None:
    (file := tmp_path / "mine.pth").write_bytes(b"weights")
    name = "deit_small_patch16_224.fb_in1k"
    differs = rf"mine.pth: has SHA-256 9a129038\.\.\., the weights '{name}' are cd65a155\.\.\. \(https.*\)"
    with pytest.raises(WeightsError, match=rf"{differs}; give that file, or --allow-other-weights"):
        weights_file(name, Settings(weights={name: file}))
    assert weights_file(name, Settings(weights={name: file}, allow_other_weights=True)) == file
    unpinned = "swin_tiny_patch4_window7_224.ms_in1k"
    assert weights_file(unpinned, Settings(weights={unpinned: file})) == file
    with pytest.raises(WeightsError, match=rf"--weights {unpinned}=FILE \(https://github.com/SwinTransformer"):
        weights_file(unpinned, Settings())


def test_micro_batches_keep_the_effective_batch_or_scale_the_rate_linearly() -> None:
    training = measurements(select(["msca/table2:vit"])[0], "paper", 0)[0].evaluation.training
    assert split_batch(training, None) == Batches(42, 10, 0.1)
    assert split_batch(training, 21) == Batches(21, 20, 0.1)
    batches = split_batch(training, 64)
    assert batches.batch_size * batches.accumulate == 448
    assert batches.lr == pytest.approx(0.1 * 448 / 420)


def test_cost_of_one_network_counts_it_once_and_matches_its_own_convention() -> None:
    rows = select(["msca/table1:msca-kv-2", "msca/table2:msca-kv"])
    first, second = cost(rows)
    assert first["params_by_convention"] == second["params_by_convention"]
    assert first["params_m"] == pytest.approx(86.106256)
    assert first["gmacs"]["fvcore"] == pytest.approx(140.658, abs=1e-3)
    assert first["cells"] == {}, "MSCA prints no cost"


def test_a_printed_number_agrees_when_rounded_or_cut() -> None:
    from vtbench.papers.spec.cells import Published

    assert agrees(134.784, Published("134.7"))  # cut
    assert agrees(39.074, Published("39.1"))  # rounded
    assert not agrees(38.309, Published("39.3"))
    assert agrees(172.841, Published("173.0", precision=0))
    assert not agrees(172.841, Published("173.0"))


def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_over(tmp_path: Path) -> None:
    settings, training = Settings(results=tmp_path), smoke()
    last = folders.training_folder(tmp_path, training.key) / folders.CHECKPOINT
    last.parent.mkdir(parents=True)
    last.write_bytes(b"junk" * 100)
    said: list[str] = []
    assert finished.is_trained(train(training, settings, notice=said.append))
    assert said == [f"{last}: cannot be read; it is last.ckpt.damaged-1 now, and what it was for is repeated"]
    assert (last.parent / "last.ckpt.damaged-1").read_bytes() == b"junk" * 100


def test_a_training_whose_weights_were_removed_is_trained_again(tmp_path: Path) -> None:
    settings, training = Settings(results=tmp_path), smoke()
    folder = train(training, settings)
    first = weights_hash(tmp_path, training)
    (folder / folders.WEIGHTS).unlink()
    train(training, settings)
    assert weights_hash(tmp_path, training) == first
    assert (folder / folders.WEIGHTS).is_file()


def test_arguments_that_do_not_go_together_are_an_error_of_the_spec(tmp_path: Path) -> None:
    training = smoke()
    wrong = {**training.model.arguments, "backward_heads": 13}
    training = dataclasses.replace(training, model=dataclasses.replace(training.model, arguments=wrong))
    with pytest.raises(SpecError, match="backward_heads=13"):
        clip_macs(training.network)


def test_cost_names_the_row_whose_arguments_do_not_go_together(edit: Any) -> None:
    line = edit("msca/table2.yaml", "- id: msca-kv\n", "- id: msca-kv\n    # here\n")
    edit("msca/table2.yaml", "shifted: kv, backward_heads: 1", "shifted: kv, backward_heads: 13")
    with pytest.raises(SpecError, match=rf"benchmarks/msca/table2\.yaml:{line}: model msca: backward_heads=13"):
        cost(select(["msca/table2"]))


def test_two_processes_share_one_training(tmp_path: Path) -> None:
    """The second waits for the first and finds it done."""
    settings, training = Settings(results=tmp_path), smoke()
    folder = folders.training_folder(tmp_path, training.key)
    trained: list[str] = []

    def note(phase: str, done: int, total: int, loss: float | None) -> None:
        trained.append(phase)

    with folders.locked(folder):
        other = threading.Thread(target=train, args=(training, settings, note))
        other.start()
        other.join(timeout=1)
        assert other.is_alive() and trained == []
        _fit(assemble(training, settings), settings, no_progress, folder)
    other.join(timeout=60)
    assert not other.is_alive() and trained == []


def test_a_training_is_not_continued_with_another_batch_size(tmp_path: Path) -> None:
    training = smoke(epochs=2)

    def stop_after_the_first_epoch(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 1 and loss is None:
            raise RunError("stop")

    with pytest.raises(RunError, match="stop"):
        train(training, Settings(results=tmp_path), stop_after_the_first_epoch)
    with pytest.raises(RunError, match="continue without --batch-size"):
        train(training, Settings(results=tmp_path, batch_size=3))
    train(training, Settings(results=tmp_path))


def test_the_traceback_of_a_failure_goes_with_the_next_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training, settings = smoke(epochs=1), Settings(results=tmp_path)
    evaluation = test_of(training)

    def fail(*_: object, **__: object) -> None:
        raise ValueError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr("lightning.Trainer.fit", fail)
        with pytest.raises(RunError, match="ValueError: out of luck"):
            train(training, settings)
    log = folders.training_folder(tmp_path, training.key) / "error.txt"
    assert "out of luck" in log.read_text()
    train(training, settings)
    assert not log.exists()
    with monkeypatch.context() as patch:
        patch.setattr("lightning.Trainer.test", fail)
        with pytest.raises(RunError, match="ValueError: out of luck"):
            evaluate(evaluation, settings)
    log = folders.evaluation_folder(tmp_path, evaluation.key) / "error.txt"
    assert "out of luck" in log.read_text()
    evaluate(evaluation, settings)
    assert not log.exists()
