"""What a training run may be continued with: its update, its epochs and its start stay, and of the rest the record says
what changed."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from lab import with_train

from vtbench.errors import RunError
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Training
from vtbench.results import finished, folders
from vtbench.run.assemble import Assembly
from vtbench.run.devices.batches import split_batch
from vtbench.run.engine import Engine
from vtbench.run.jobs.ranks import Work, measure
from vtbench.run.resuming.begun import Begun
from vtbench.run.settings import Settings
from vtbench.run.train import train

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]


def smoke(row: str = "msca/table2:msca-kv", *, videos: int = 14, start: bool = False, **changed: Any) -> Training:
    """Two epochs of a row on a few videos; 4 clips per pass."""
    training = measurements(select([row])[0], "smoke", 0)[0].evaluation.training
    data = dataclasses.replace(training.data, limit_train=videos)
    init = training.init if start else dataclasses.replace(training.init, training=None)
    return with_train(dataclasses.replace(training, data=data, init=init), epochs=2, **changed)


def stop_after_an_epoch(phase: str, done: int, total: int, loss: float | None) -> None:
    if phase == "train" and done == 1 and loss is not None:
        raise RunError("stop")


def begin(training: Training, settings: Settings) -> None:
    """Train for the first of its epochs."""
    with pytest.raises(RunError, match="stop"):
        measure(Work(training, {}), settings, stop_after_an_epoch)


def losses(folder: Path) -> list[float]:
    with (folder / folders.METRICS).open() as file:
        return [float(line["train_loss"]) for line in csv.DictReader(file)]


# ---- the batch of an update ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results in which a run of 4 clips x 2 passes has its first epoch; for runs that are refused."""
    results = tmp_path_factory.mktemp("begun")
    begin(smoke(accumulate=2), Settings(results=results))
    return results


@pytest.mark.parametrize(
    ("batch_size", "engine", "said"),
    [
        (
            3,
            {},
            r"was begun with 8 clips per update at a rate of 0\.003 \(4 clips a pass x 2 x 1 device\), now they are 9 "
            r"at 0\.003375 \(3 clips a pass x 3 x 1 device\): continue without --batch-size, or remove the folder",
        ),
        (
            4,
            {"accumulate": 3},
            r"now they are 12 at 0\.0045 \(4 clips a pass x 3 x 1 device\): continue without --batch-size and "
            "--accumulate, or",
        ),
        (
            None,
            {"accumulate": 4},
            r"was begun with 12 clips and 2 updates an epoch \(4 clips a pass x 2 x 1 device\), now they are 14 and 2 "
            r"\(2 clips a pass x 4 x 1 device\): continue without --accumulate, or",
        ),
    ],
)
def test_another_update_rate_or_epoch_is_refused_with_both_and_the_options(
    batch_size: int | None, engine: dict[str, Any], said: str, begun: Path
) -> None:
    with pytest.raises(RunError, match=said):
        train(smoke(accumulate=2), Settings(results=begun, batch_size=batch_size, engine=Engine(**engine)))


def test_auto_looks_for_the_size_of_the_same_update(tmp_path: Path) -> None:
    """What an update of the recipe has is tried first, and that drops other clips of the epoch."""
    training = smoke(accumulate=2)
    settings = Settings(results=tmp_path, batch_size="auto")
    begin(training, settings)
    with pytest.raises(RunError, match=r"8 clips and 1 updates an epoch .* 12 and 2 .*: continue with --batch-size 8"):
        train(training, Settings(results=tmp_path))
    assert finished.read_done(train(training, settings))["begun"] is None


def of_paper(batch_size: int | None, **engine: int) -> Begun:
    """What a row of 42 clips x 10 passes is begun with."""
    training = measurements(select(["msca/table2:vit"])[0], "paper", 0)[0].evaluation.training
    batches = split_batch(training, batch_size, Engine(**engine))
    given = {"--devices": str(engine.get("devices", 1)), "--batch-size": batch_size and str(batch_size)}
    updates = 240_000 // batches.effective
    fields = {name: getattr(batches, name) for name in ("batch_size", "accumulate", "processes", "lr")}
    return Begun("videos", **fields, clips=240_000, updates=updates, options=given)


def test_devices_may_change_between_epochs_where_the_update_stays(tmp_path: Path) -> None:
    one, four = of_paper(None), of_paper(None, devices=4)
    four.refuse_other(one.state(), tmp_path, inside=False)
    one.refuse_other(four.state(), tmp_path, inside=False)
    with pytest.raises(
        RunError,
        match=r"was interrupted inside an epoch of 42 clips a pass x 10 x 1 device, now they are 35 clips a pass x 3 x "
        r"4 devices: continue with --devices 1, or remove",
    ):
        four.refuse_other(one.state(), tmp_path, inside=True)
    with pytest.raises(
        RunError,
        match=r"with 420 .* now they are 336 at 0\.08 .*: continue with --devices 1 and without --batch-s",
    ):
        of_paper(42, devices=4).refuse_other(one.state(), tmp_path, inside=False)
    with pytest.raises(RunError, match=r"336 .*, now they are 420 .*: continue with --devices 4 --batch-size 42, or"):
        one.refuse_other(of_paper(42, devices=4).state(), tmp_path, inside=False)


def test_a_batch_norm_sees_as_many_clips_as_before(tmp_path: Path) -> None:
    training = smoke("laps/table1:p-shift", videos=16)
    begin(training, Settings(results=tmp_path))
    with pytest.raises(RunError, match="begun with 4 clips to a batch norm, now they are 2: continue without --batch-"):
        train(training, Settings(results=tmp_path, batch_size=2))


def test_a_checkpoint_of_an_older_version_is_held_against_the_size_of_a_pass(tmp_path: Path) -> None:
    one = of_paper(None)
    older = {"batch_size": 42, "data_fingerprint": "videos"}
    one.refuse_other(older, tmp_path, inside=False)
    with pytest.raises(RunError, match="with 21 clips a pass, now they are 42: continue with --batch-size 21, or"):
        one.refuse_other(older | {"batch_size": 21}, tmp_path, inside=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "first", "then"), [("msca/table2:msca-kv", 1, 2), ("msca/table2:msca-kv", 2, 1), ("laps/table1:laps", 1, 2)]
)
def test_a_run_that_goes_on_on_other_devices_after_an_epoch_trains_as_one_on_one_device(
    row: str, first: int, then: int, tmp_path: Path
) -> None:
    """Also with a batch norm that is synchronised."""
    training = smoke(row, accumulate=2, **({"sync_batchnorm": True} if row.startswith("laps") else {}))
    whole = losses(train(training, Settings(results=tmp_path / "whole")))
    results = tmp_path / "parts"
    begin(training, Settings(results=results, engine=Engine(devices=first)))
    measure(Work(training, {}), Settings(results=results, engine=Engine(devices=then)), lambda *_: None)
    folder = folders.training_folder(results, training.key)
    assert losses(folder) == pytest.approx(whole, abs=1e-4)
    done = finished.read_done(folder)
    assert {k: v for k, v in done["engine"].items() if k != "batch_norm"} == (
        {"devices": 2, "strategy": "ddp"} if then == 2 else {}
    )
    said = dict(part.split("=") for part in done["begun"].split(";"))
    assert (said["devices"], said["strategy"]) == (("1", "auto") if first == 1 else ("2", "ddp"))
    assert said["batch_size"] == str(4 // first)
    assert set(said) <= {"devices", "strategy", "batch_size", "threads"}


# ---- what computes ---------------------------------------------------------------------------------------------------


def test_an_epoch_in_another_precision_is_said_of_the_whole_run(tmp_path: Path) -> None:
    training, plain = smoke(), Settings(results=tmp_path)
    begin(training, dataclasses.replace(plain, engine=Engine(precision="bf16-mixed", matmul_precision="high")))
    done = finished.read_done(train(training, plain))
    assert done["engine"] == {}
    assert done["begun"] == "precision=bf16-mixed;matmul_precision=high"
    begin(other := dataclasses.replace(training, seed=1), plain)
    done = finished.read_done(train(other, dataclasses.replace(plain, engine=Engine(precision="bf16-mixed"))))
    assert (done["engine"], done["begun"]) == ({"precision": "bf16-mixed"}, "precision=32-true")


# ---- the start -------------------------------------------------------------------------------------------------------


def test_a_run_does_not_go_on_from_another_start(tmp_path: Path) -> None:
    training = smoke(start=True)
    start, settings = training.init.training, Settings(results=tmp_path)
    assert start is not None
    before = finished.read_done(train(start, settings))["weights_sha256"]
    begin(training, settings)
    (aside,) = folders.set_aside(folders.training_folder(tmp_path, start.key))
    again = train(start, dataclasses.replace(settings, engine=Engine(precision="bf16-mixed")))
    now = finished.read_done(again)["weights_sha256"]
    assert before != now
    with pytest.raises(
        RunError,
        match=rf"was begun with other weights to start from \(SHA-256 {before[:12]}\.\.\., now {now[:12]}\.\.\.\); "
        "bring that file back, or remove the folder to start over",
    ):
        train(training, settings)
    folders.set_aside(again)
    aside.rename(again)
    assert finished.read_done(train(training, settings))["init_sha256"] == before


def test_a_run_does_not_go_on_with_another_audio_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in no checkpoint. Of the small scales none has weights from a file."""
    training, settings = smoke(), Settings(results=tmp_path)
    for sha256 in (64 * "a", 64 * "b"):
        monkeypatch.setattr(Assembly, "audio_sha256", sha256)
        if sha256.startswith("a"):
            begin(training, settings)
    with pytest.raises(
        RunError, match=r"other weights of the audio encoder \(SHA-256 aaaaaaaaaaaa\.\.\., now bbbbbbbbbbbb\.\.\.\)"
    ):
        train(training, settings)
