"""A number is of the weights that its line names, and of a start and a code that it names too."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from lab import with_train

from vtbench.cli import main
from vtbench.errors import ResultsError, RunError, UsageError, WeightsError
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Evaluation, Measurement, Training
from vtbench.results import finished, folders, provenance
from vtbench.run.evaluate import evaluate
from vtbench.run.recording import to_record
from vtbench.run.settings import Settings
from vtbench.run.train import train

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]


def measurement() -> Measurement:
    """One whose training starts from another."""
    return measurements(select(["msca/table2:msca-kv"])[0], "smoke", 0)[0]


def parts() -> tuple[Evaluation, Training, Training]:
    """Its evaluation, training, and what that starts from."""
    evaluation = measurement().evaluation
    start = evaluation.training.init.training
    assert start is not None
    return evaluation, evaluation.training, start


def spoil(path: Path) -> None:
    """Another last tensor; the file stays as long as it is."""
    content = bytearray(path.read_bytes())
    content[-100:] = bytes(100)
    path.write_bytes(content)


def test_weights_that_are_not_those_that_a_training_ended_with_are_neither_tested_nor_started_from(
    tmp_path: Path,
) -> None:
    evaluation, training, start = parts()
    settings = Settings(results=tmp_path)
    trained = [train(one, settings) for one in (start, training)]
    ended = [finished.read_done(folder)["weights_sha256"] for folder in trained]
    record = to_record(measurement(), evaluate(evaluation, settings), settings)
    assert record.weights_sha256 == ended[1]
    assert record.init == f"training:{start.key}@{ended[0][:8]}"
    assert record.begun is None
    folders.set_aside(folders.evaluation_folder(tmp_path, evaluation.key))
    spoil(trained[1] / folders.WEIGHTS)
    now = rf"its SHA-256 is [0-9a-f]{{12}}\.\.\., the training ended with {ended[1][:12]}\.\.\.; put that file back"
    with pytest.raises(ResultsError, match=now):
        evaluate(evaluation, settings)
    assert not folders.evaluation_folder(tmp_path, evaluation.key).exists(), "nothing was begun"
    folders.set_aside(trained[1])
    spoil(trained[0] / folders.WEIGHTS)
    with pytest.raises(ResultsError, match=rf"{trained[0].name}/weights\.safetensors: its SHA-256 is"):
        train(training, settings)


def test_scores_of_weights_that_are_gone_are_tested_again(tmp_path: Path) -> None:
    """The training was repeated, and ended with others."""
    evaluation, training, _ = parts()
    training = dataclasses.replace(training, init=dataclasses.replace(training.init, training=None))
    evaluation = dataclasses.replace(evaluation, training=training)
    settings = Settings(results=tmp_path)
    train(training, settings)
    first = evaluate(evaluation, settings)
    folder = folders.evaluation_folder(tmp_path, evaluation.key)
    folders.write_json(folder / folders.DONE, first | {"weights_sha256": 64 * "0"})
    assert evaluate(evaluation, settings)["weights_sha256"] == first["weights_sha256"]


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation, training, _ = parts()
    training = dataclasses.replace(training, init=dataclasses.replace(training.init, training=None))
    settings = Settings(results=tmp_path)
    file = train(training, settings) / folders.WEIGHTS

    def hash_then_spoil(path: Path) -> str:
        sha256 = finished.read_done(path.parent)["weights_sha256"]
        spoil(path)
        return str(sha256)

    monkeypatch.setattr("vtbench.run.evaluate.sha256_of", hash_then_spoil)
    with pytest.raises(WeightsError, match="was changed while it was read"):
        evaluate(dataclasses.replace(evaluation, training=training), settings, checkpoint=file)


def test_a_start_that_was_trained_with_another_batch_is_refused_unless_this_command_would_train_it_so(
    tmp_path: Path,
) -> None:
    _, training, start = parts()
    odd, plain = Settings(results=tmp_path, batch_size=3), Settings(results=tmp_path)
    folder = train(start, odd)
    with pytest.raises(
        RunError,
        match=rf"{folder.name}: what this row starts from was trained with 3 clips per update at a rate of 0\.00225; "
        r"the recipe has 4 at 0\.003: give --batch-size 3 here too, or remove the folder",
    ):
        train(training, plain)
    done = finished.read_done(folder)
    for passes, given in (
        ({"accumulate": 3}, "--batch-size 1 --accumulate 3"),
        ({"engine": {"devices": 3}}, "--batch-size 1 --devices 3"),
    ):
        folders.write_json(folder / folders.DONE, {**done, "batch_size": 1, **passes})
        with pytest.raises(RunError, match=f"with 3 clips per update .*: give {given} here too, or"):
            train(training, plain)
    folders.write_json(folder / folders.DONE, done)
    train(training, odd)
    other = tmp_path / "other"
    train(start, Settings(results=other, batch_size=2))  # 4 clips an update, as the recipe has it
    train(training, Settings(results=other))


def test_a_batch_above_the_number_of_training_videos_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "msca/table2:msca-kv", "--scale", "smoke", "--results", str(tmp_path / "r"), "--batch-size"]
    assert main([*command, "9"]) == 2
    said = capsys.readouterr().err
    assert "blocked: --batch-size 9: cycle has 8 videos to train on; give at most 8" in said
    for more in (["--batch-size", "4", "--accumulate", "3"], ["--batch-size", "3", "--devices", "4"]):
        assert main([*command[:-1], *more]) == 2
        said = capsys.readouterr().err
        assert "blocked: 12 clips per update (" in said
        assert "passes): cycle has 8 videos to train on; lower --batch-size, --accumulate or --devices" in said
    assert not (tmp_path / "r" / "runs").exists()
    # Of held-out videos only the training itself knows.
    row = measurements(select(["mmvit/table3:all"])[0], "smoke", 0)[0].evaluation.training
    held = with_train(row, schedule="plateau", gamma=0.1, patience=1, holdout=0.25)
    with pytest.raises(UsageError, match="--batch-size 7: there are 6 videos to train on; give at most 6"):
        train(held, Settings(results=tmp_path, batch_size=7))


def interrupted(training: Training, settings: Settings) -> None:
    """Train for one of its epochs."""

    def stop(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 1 and loss is not None:
            raise RunError("stop")

    with pytest.raises(RunError, match="stop"):
        train(training, settings, stop)


def test_a_training_is_resumed_by_other_code_only_if_that_is_allowed_and_both_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation, training, start = parts()
    training = with_train(training, epochs=2)
    settings = Settings(results=tmp_path)
    train(start, settings)
    interrupted(training, settings)
    code = provenance.code()
    monkeypatch.setattr("vtbench.results.provenance.code", lambda: "0123456789ab")
    with pytest.raises(RunError, match=rf"was begun by code {code}, .*; now it is code 0123456789ab.*--allow-changed"):
        train(training, settings)
    allowed = dataclasses.replace(settings, allow_changed_code=True)
    folder = train(training, allowed)
    assert finished.read_done(folder)["code"] == "0123456789ab"
    asked = dataclasses.replace(measurement(), evaluation=dataclasses.replace(evaluation, training=training))
    record = to_record(asked, evaluate(asked.evaluation, settings), settings)
    assert record.begun == f"code={code}"


def test_another_commit_version_device_and_number_of_threads_are_recorded_and_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = with_train(parts()[2], epochs=2)
    settings = Settings(results=tmp_path)
    before = {"commit": 40 * "a", "dirty": True, "versions": "torch=1.0;numpy=2", "device": "abacus", "threads": 7}
    with monkeypatch.context() as patch:
        patch.setattr("vtbench.run.train.environment", lambda **_: dict(before))
        interrupted(training, settings)
    now: dict[str, Any] = before | {"commit": 40 * "b", "dirty": False, "versions": "torch=2.0;numpy=2"}
    monkeypatch.setattr("vtbench.run.train.environment", lambda **_: now | {"device": "cpu", "threads": 1})
    done = finished.read_done(train(training, settings))
    assert done["begun"] == "commit=aaaaaaaaaaaa-dirty;torch=1.0;device=abacus;threads=7"


def test_what_the_engine_did_otherwise_is_said_by_name() -> None:
    end = {"versions": "torch=2.0", "engine": {"compile": False, "devices": 4}}
    before = {"versions": "torch=2.0", "engine": {"compile": True, "devices": 4}}
    assert provenance.other_than(end, [{"versions": "torch=2.0"}, before, before]) == "compile=true"
    assert provenance.other_than(before, [end]) == "compile=false"


def test_code_is_what_a_training_runs_through(tmp_path: Path) -> None:
    package = Path(provenance.__file__).parents[1]
    assert len(provenance.code()) == 12
    for name in provenance.TRAINS:
        assert (package / name).exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--throughput-batch", "999999999999"], "999999999999 clips in one pass; give at most 4096"),
        (["--train-batch", "5000"], "5000 clips in one pass; give at most 4096"),
        (["--threads", "999999999"], r"999999999 threads on \d+ cores; give at most \d+"),
    ],
)
def test_speed_refuses_a_batch_and_threads_that_no_machine_has(
    option: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speed", "msca/table2:vit", "--scale", "smoke", *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
