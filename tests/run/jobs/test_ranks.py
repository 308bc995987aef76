"""One training and its test in several processes that talk over gloo, against the same in one."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtbench.errors import DataError, RunError
from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.trainings import Evaluation, Start
from vtbench.results import folders
from vtbench.run.assemble import data_module
from vtbench.run.devices.batches import split_batch
from vtbench.run.engine import Engine
from vtbench.run.jobs.ranks import Work, measure
from vtbench.run.settings import Settings


def evaluation_of(selector: str, *changes: str, start: bool = False) -> Evaluation:
    """The first measurement of a row at smoke scale, with settings changed; from random weights unless `start`."""
    row = changed_rows(select([selector]), (), changes)[0]
    found = measurements(row, "smoke", 0)[0].evaluation
    return found if start else replace(found, training=replace(found.training, init=Start()))


@dataclass
class Ran:
    """What a run left behind."""

    losses: list[float]
    trained: dict[str, Any]
    tested: dict[str, Any]
    video_ids: list[str]
    scores: np.ndarray


def ran(evaluation: Evaluation, results: Path, *, settings: Settings = Settings(), **engine: Any) -> Ran:  # noqa: B008
    """Train and test."""
    settings = replace(settings, results=results, engine=Engine(**engine))
    measured = measure(Work(evaluation.training, {evaluation.key: evaluation}), settings, lambda *_: None)
    folder = folders.training_folder(results, evaluation.training.key)
    with (folder / folders.METRICS).open() as file:
        losses = [float(line["train_loss"]) for line in csv.DictReader(file)]
    with np.load(folders.evaluation_folder(results, evaluation.key) / folders.SCORES) as scores:
        ids, values = [str(name) for name in scores["video_ids"]], scores["scores"]
    return Ran(losses, folders.read_json(folder / folders.DONE), measured[evaluation.key], ids, values)


def children() -> set[int]:
    """Processes that this one started and that still run, but for the tracker of multiprocessing, which stays."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if (
                int(parent) == os.getpid()
                and state != "Z"
                and "resource_tracker" not in (folder / "cmdline").read_text()
            ):
                found.add(int(folder.name))
    return found


def test_two_processes_train_and_test_as_one_does(tmp_path: Path) -> None:
    """With a last batch that is smaller, and accumulation; the numbers of a machine are those of its own arithmetic."""
    evaluation = evaluation_of("msca/table2:msca-kv", "data.limit_train=14", "train.accumulate=2", "train.epochs=2")
    one, two = (ran(evaluation, tmp_path / str(count), devices=count) for count in (1, 2))
    assert two.losses == pytest.approx(one.losses, abs=1e-4)
    assert two.video_ids == one.video_ids
    assert two.scores == pytest.approx(one.scores, abs=1e-5)
    assert two.tested["metrics"] == one.tested["metrics"]
    assert one.trained["engine"] == {}
    assert two.trained["engine"] == {"devices": 2, "strategy": "ddp"}
    assert (two.trained["batch_size"], two.trained["accumulate"], two.trained["lr"]) == (2, 2, one.trained["lr"])
    assert not list((tmp_path / "2").glob("runs/*/*part*"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(
    ("selector", "changes", "apart"),
    [
        ("msca/table2:msca-kv", [], 1e-4),
        ("laps/table1:laps", ["train.sync_batchnorm=true"], 1e-3),
        ("pst/table2e:pst", [], 1e-4),
        ("mmvit/table1:mm-vit-i", [], 1e-4),
    ],
)
def test_losses_of_several_processes_are_those_of_one(
    selector: str, changes: Sequence[str], apart: float, count: int, tmp_path: Path
) -> None:
    evaluation = evaluation_of(selector, *changes, "train.epochs=3")
    one, several = ran(evaluation, tmp_path / "one"), ran(evaluation, tmp_path / "several", devices=count)
    assert several.losses == pytest.approx(one.losses, abs=apart)
    assert several.video_ids == one.video_ids
    assert len(several.scores) == len(one.scores)


@pytest.mark.slow
def test_scores_of_equal_weights_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    """Bit for bit where each process sees as many videos in a batch; there are fewer test videos than processes too."""
    evaluation = evaluation_of("msca/table2:msca-kv")
    ran(evaluation, tmp_path / "1")
    weights = folders.training_folder(tmp_path / "1", evaluation.training.key) / folders.WEIGHTS
    found = {}
    for count in (1, 2, 4, 6):
        settings = Settings(results=tmp_path / str(count), engine=Engine(devices=count))
        measured = measure(Work(evaluation.training, {evaluation.key: evaluation}, weights), settings, lambda *_: None)[
            evaluation.key
        ]
        folder = folders.evaluation_folder(settings.results, measured["evaluation_key"])
        with np.load(folder / folders.SCORES) as scores:
            found[count] = scores["video_ids"].tolist(), scores["video"].tolist(), scores["scores"]
        assert measured["videos_decoded"] == measured["videos_expected"]
    for count in (2, 4, 6):
        assert found[count][:2] == found[1][:2]
        assert found[count][2] == pytest.approx(found[1][2], abs=1e-5)
    assert np.array_equal(found[4][2], found[6][2])  # one video to a batch in both


@pytest.mark.slow
def test_batch_norm_of_each_process_is_another_network_and_recorded(tmp_path: Path) -> None:
    evaluation = evaluation_of("laps/table1:laps", "train.epochs=2")
    one, two = ran(evaluation, tmp_path / "1"), ran(evaluation, tmp_path / "2", devices=2)
    assert two.losses != pytest.approx(one.losses, abs=1e-3)
    assert two.trained["engine"] == {"devices": 2, "strategy": "ddp", "batch_norm": "per process"}


@pytest.mark.slow
def test_a_synchronised_batch_norm_does_without_videos_that_cannot_be_read(tmp_path: Path) -> None:
    """Among them all those of a process in a batch, and all of a batch: the others train as in one process."""
    evaluation = evaluation_of(
        "laps/table1:base2d", "train.sync_batchnorm=true", "train.epochs=1", "data.limit_train=16"
    )
    training, videos = evaluation.training, tmp_path / "videos"
    settings = Settings(data={training.data.dataset: videos}, missing=1.0)
    module = data_module(training, settings, split_batch(training, None))
    module.setup()
    order = [module.train_entries[index] for _, index in module.train_dataloader().order]
    assert training.train.batch_size == 4
    for entry in order[2:8]:  # those of the second process, then those of both
        assert entry.file is not None
        entry.file.write_bytes(bytes(entry.file.stat().st_size))
    one, two = (ran(evaluation, tmp_path / str(count), settings=settings, devices=count) for count in (1, 2))
    assert set(two.trained["unreadable"]) == set(one.trained["unreadable"]) == {entry.video_id for entry in order[2:8]}
    assert two.losses == pytest.approx(one.losses, abs=1e-3)


@pytest.mark.slow
def test_videos_that_several_processes_cannot_read_are_held_against_the_share_together(tmp_path: Path) -> None:
    """Each of them finds one, which alone would do."""
    evaluation = evaluation_of("msca/table2:msca-kv", "train.epochs=1", "data.limit_train=16")
    training, videos = evaluation.training, tmp_path / "videos"
    settings = Settings(data={training.data.dataset: videos}, missing=1 / 16)
    module = data_module(training, settings, split_batch(training, None))
    module.setup()
    order = [module.train_entries[index] for _, index in module.train_dataloader().order]
    for entry in (order[0], order[2]):
        assert entry.file is not None
        entry.file.write_bytes(bytes(entry.file.stat().st_size))
    for count in (1, 2):
        with pytest.raises(DataError, match=r"2 of 16 videos to train on cannot be used, above the share of 0\.0625"):
            ran(evaluation, tmp_path / str(count), settings=settings, devices=count)
        folder = folders.training_folder(tmp_path / str(count), training.key)
        assert not (folder / folders.CHECKPOINT).exists() and not (folder / folders.DONE).exists()
    assert len(ran(evaluation, tmp_path / "3", settings=replace(settings, missing=0.125), devices=2).losses) == 1


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_and_the_run_resumes(tmp_path: Path) -> None:
    evaluation = evaluation_of("msca/table2:msca-kv", "train.epochs=400")
    work = Work(evaluation.training, {evaluation.key: evaluation})
    settings = Settings(results=tmp_path, engine=Engine(devices=2))
    before, killed = children(), []

    def kill(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 2 and not killed:
            killed.append(max(children() - before))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(RunError, match=r"^process 2 of 2 was killed by signal 9; out of memory\? .*; run again"):
        measure(work, settings, kill)
    assert children() == before
    folder = folders.training_folder(tmp_path, evaluation.training.key)
    assert (folder / folders.CHECKPOINT).exists()
    assert not (folder / folders.DONE).exists()


@pytest.mark.slow
def test_sigterm_reaches_the_processes_which_write_a_checkpoint_and_end(tmp_path: Path) -> None:
    evaluation = evaluation_of("msca/table2:msca-kv", "train.epochs=400")
    work = Work(evaluation.training, {evaluation.key: evaluation})
    before, at = children(), []

    def stop(phase: str, done: int, total: int, loss: float | None) -> None:
        at.append(done)
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        measure(work, Settings(results=tmp_path, engine=Engine(devices=2)), stop)
    assert children() == before
    assert max(at) < 400
    assert (folders.training_folder(tmp_path, evaluation.training.key) / folders.CHECKPOINT).exists()


@pytest.mark.slow
def test_two_processes_that_are_stopped_inside_an_epoch_resume_bit_for_bit(tmp_path: Path) -> None:
    evaluation = evaluation_of("msca/table2:msca-kv", "data.limit_train=24", "train.epochs=3", "train.accumulate=2")
    whole = ran(evaluation, tmp_path / "whole", devices=2)
    results, stopped = tmp_path / "stopped", []

    def stop(phase: str, done: int, total: int, loss: float | None) -> None:
        if (phase, done, loss) == ("train", 1, None) and not stopped:  # the second epoch starts
            stopped.append(done)
            os.kill(os.getpid(), signal.SIGTERM)

    work = Work(evaluation.training, {evaluation.key: evaluation})
    with pytest.raises(KeyboardInterrupt):
        measure(work, Settings(results=results, engine=Engine(devices=2)), stop)
    last = folders.training_folder(results, evaluation.training.key) / folders.CHECKPOINT
    position = torch.load(last, weights_only=True)["callbacks"]["EpochCheckpoint"]["position"]
    assert 0 < position["batches"] < 6
    assert len(position["processes"]) == 2
    with pytest.raises(
        RunError, match=r"an epoch of 2 clips a pass x 2 x 2 devices, .*: continue with --devices 2 and"
    ):
        measure(work, Settings(results=results, batch_size=2), lambda *_: None)
    resumed = ran(evaluation, results, devices=2)
    assert resumed.losses == whole.losses
    assert resumed.trained["weights_sha256"] == whole.trained["weights_sha256"]
