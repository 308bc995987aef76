"""A training run that is interrupted inside an epoch ends bit for bit as one that is not, wherever it was interrupted,
and a test keeps the scores it has."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import with_train

from vtbench.datasets.frames import DecodedFrames
from vtbench.datasets.module import VideoData
from vtbench.errors import RunError, VideoError
from vtbench.methods.base import VideoClassifier
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Training
from vtbench.results import folders
from vtbench.run import assemble as assembling
from vtbench.run.assemble import data_module
from vtbench.run.evaluate import evaluate
from vtbench.run.resuming.epochs import EpochCheckpoint
from vtbench.run.resuming.stopping import StopSignals
from vtbench.run.settings import Settings
from vtbench.run.train import train

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]

ROWS: dict[str, dict[str, Any]] = {
    "msca/table2:tokenshift": {},
    "laps/table1:p-shift": {"keep": "best_on_test"},  # batch norm, measured before each validation
    "mmvit/table3:all": {"schedule": "plateau", "gamma": 0.1, "patience": 1, "holdout": 0.2},
}
"""A row of each method and what is changed in it."""


def small(row: str, *, videos: int = 14) -> Training:
    """Two epochs of a row on a few videos: with forward passes of 2 clips, 7 of them and 3 steps an epoch, the last of
    one pass. A step is three passes."""
    training = measurements(select([row])[0], "smoke", 0)[0].evaluation.training
    held_out = 4 if "holdout" in ROWS[row] else 0
    return with_train(
        dataclasses.replace(
            training,
            init=dataclasses.replace(training.init, training=None),
            data=dataclasses.replace(training.data, limit_train=videos + held_out),
        ),
        epochs=2,
        batch_size=6,
        **ROWS[row],
    )


def settings(results: Path, **changed: Any) -> Settings:
    return Settings(results=results, batch_size=2, **changed)


def end(results: Path, training: Training) -> tuple[bytes, list[dict[str, str]]]:
    """The weights, and the lines of metrics.csv without the seconds."""
    folder = folders.training_folder(results, training.key)
    lines = list(csv.DictReader((folder / folders.METRICS).open()))
    for line in lines:
        del line["elapsed_s"]
    return (folder / folders.WEIGHTS).read_bytes(), lines


class Steps:
    """Counts the passes and validated batches of a training run, and calls `act` in those named: `train3` is the third
    pass of this class's life, `val1` its first validated batch. Every pass draws from the global generator, as dropout
    does, and logs what it drew by epoch, as a method of a user's may."""

    def __init__(self, patch: pytest.MonkeyPatch, act: Callable[[], None] = lambda: None, *at: str) -> None:
        self.trained = self.validated = self.acted = 0
        train_step, validate = VideoClassifier.training_step, VideoClassifier.validation_step

        def training_step(module: Any, batch: Any, batch_idx: int) -> Any:
            self.trained += 1
            if f"train{self.trained}" in at:
                self.acted += 1
                act()
            drawn = torch.rand(())
            module.log("drawn", drawn, on_step=False, on_epoch=True, batch_size=len(batch[1]))
            return train_step(module, batch, batch_idx) * (0.5 + drawn)

        def validation_step(module: Any, batch: Any, batch_idx: int) -> Any:
            self.validated += 1
            if f"val{self.validated}" in at:
                self.acted += 1
                act()
            return validate(module, batch, batch_idx)

        patch.setattr(VideoClassifier, "training_step", training_step)
        patch.setattr(VideoClassifier, "validation_step", validation_step)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def lose_power() -> None:
    raise RunError("the power went out")


def run_to_the_end(training: Training, given: Settings) -> int:
    """Run again after every interruption; gives how many there were."""
    for interruptions in range(20):
        try:
            train(training, given)
        except (KeyboardInterrupt, RunError) as error:
            assert isinstance(error, KeyboardInterrupt) or "power" in str(error), error
        else:
            return interruptions
    raise AssertionError("no end")


def read_by(workers: int, patch: pytest.MonkeyPatch) -> None:
    """Read videos in this many processes, and validate on two at a time."""

    def with_workers(*given: Any, **named: Any) -> VideoData:
        data = data_module(*given, **named)
        data.loading = dataclasses.replace(data.loading, num_workers=workers, eval_batch_size=2)
        return data

    patch.setattr(assembling, "data_module", with_workers)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_stopped_inside_its_epochs_ends_as_one_that_was_not_and_repeats_no_step(
    row: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first pass, in the middle of a step, in a step's last pass, in the epoch's last pass, in a validation."""
    read_by(workers, monkeypatch)
    training = small(row)
    with monkeypatch.context() as patch:
        Steps(patch)
        train(training, settings(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        steps = Steps(patch, terminate, "train1", "train5", "train7", "val2", "val4", "train9", "train14")
        interruptions = run_to_the_end(training, settings(tmp_path / "broken"))
    validates = steps.validated > 0
    # What arrives after train5 (and train9) is answered at the step's end; train7 is the last of the epoch.
    assert interruptions == (7 if validates else 5)
    assert steps.trained == 14
    assert end(tmp_path / "broken", training) == end(tmp_path / "whole", training)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(
    "at", [("train1",), ("train4", "train6"), ("train7",), ("train8", "train20"), ("val1",), ("val2", "val5"), ()]
)
def test_a_run_whose_power_fails_resumes_from_its_last_step(
    row: str, at: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint after every step. Without a place: between the validation and the checkpoint of the epoch."""
    read_by(0, monkeypatch)
    training = small(row)
    with monkeypatch.context() as patch:
        Steps(patch)
        train(training, settings(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        steps = Steps(patch, lose_power, *at)
        if not at:
            _fail_once(patch, "on_train_epoch_end")
        interruptions = run_to_the_end(training, settings(tmp_path / "broken", checkpoint_minutes=1e-9))
    assert interruptions == (steps.acted if at else 1)
    assert end(tmp_path / "broken", training) == end(tmp_path / "whole", training)


def _fail_once(patch: pytest.MonkeyPatch, hook: str) -> None:
    original = getattr(EpochCheckpoint, hook)
    failed: list[bool] = []

    def fail(*given: Any) -> None:
        if not failed:
            failed.append(True)
            lose_power()
        original(*given)

    patch.setattr(EpochCheckpoint, hook, fail)


def test_a_test_that_is_asked_to_stop_keeps_the_scores_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measurement = measurements(select(["msca/table2:tokenshift"])[0], "smoke", 0)[0]
    training = small("msca/table2:tokenshift", videos=4)
    evaluation = dataclasses.replace(measurement.evaluation, training=training)
    read_by(0, monkeypatch)
    train(training, settings(tmp_path))
    score, asked = VideoClassifier.test_step, 0

    def test_step(module: Any, batch: Any, batch_idx: int) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return score(module, batch, batch_idx)

    monkeypatch.setattr(VideoClassifier, "test_step", test_step)
    with pytest.raises(KeyboardInterrupt):
        evaluate(evaluation, settings(tmp_path))
    folder = folders.evaluation_folder(tmp_path, evaluation.key)
    assert [path.name for path in folder.glob("*.npz")] == [folders.SCORES_PART.format("0000")]
    assert evaluate(evaluation, settings(tmp_path))["videos_decoded"] == 4
    assert asked == 2, "two videos each time, none twice"


def test_a_second_sigterm_ends_at_once_but_not_one_that_comes_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("vtbench.run.resuming.stopping.time.monotonic", lambda: clock[0])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    stop = StopSignals()
    try:
        stop.catch()
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop.received
        clock[0] += 6
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_videos_that_could_not_be_read_are_remembered_where_a_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing of the last epoch is left to train."""
    read = DecodedFrames.__call__

    def refuse(source: Any, file: Path, choose: Any) -> Any:
        if file.name == "00003.mp4" and "train" in file.parts:
            raise VideoError(file, "no video")
        return read(source, file, choose)

    monkeypatch.setattr(DecodedFrames, "__call__", refuse)
    training = dataclasses.replace(small("msca/table2:tokenshift"), seed=3)
    given = settings(tmp_path, missing=0.5)
    with monkeypatch.context() as patch:
        Steps(patch, terminate, "train14")
        assert run_to_the_end(training, given) == 1
    done = folders.read_json(folders.training_folder(tmp_path, training.key) / folders.DONE)
    assert list(done["unreadable"]) == ["train/00003.mp4"]
