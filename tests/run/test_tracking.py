"""Loggers of training runs: they get curves by the step, and change no number."""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lab import with_train
from lightning.pytorch.loggers import Logger

from vtbench.errors import UsageError
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Training
from vtbench.report.wandb.target import Target
from vtbench.results import finished, folders
from vtbench.run import tracking
from vtbench.run.settings import Settings
from vtbench.run.tracking import require_loggers
from vtbench.run.train import train

pytestmark = [pytest.mark.filterwarnings("ignore:.*:UserWarning"), pytest.mark.usefixtures("one_working_folder")]


class Kept(Logger):
    """A logger of the user's, which keeps what it is given."""

    made: list[Kept] = []  # noqa: RUF012

    def __init__(self, save_dir: Path, version: str) -> None:
        super().__init__()
        self.save_dir_given, self.version_given = save_dir, version
        self.lines: list[tuple[int | None, dict[str, float]]] = []
        self.hyperparameters: dict[str, Any] = {}
        Kept.made.append(self)

    @property
    def name(self) -> str:
        return "kept"

    @property
    def version(self) -> str:
        return self.version_given

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.lines.append((step, dict(metrics)))

    def log_hyperparams(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self.hyperparameters |= params

    def over(self, name: str) -> list[float]:
        return [values[name] for _, values in self.lines if name in values]


def no_logger(save_dir: Path) -> str:
    return "no logger"


def broken_logger(save_dir: Path) -> Logger:
    raise KeyError("where")


def smoke(row: str = "msca/table2:msca-kv", **changed: Any) -> Training:
    training = measurements(select([row])[0], "smoke", 0)[0].evaluation.training
    return with_train(dataclasses.replace(training, init=dataclasses.replace(training.init, training=None)), **changed)


def trained(training: Training, results: Path, *loggers: str, log_every: int = 10, **more: Any) -> dict[str, Any]:
    """done.json of a training run."""
    folder = train(training, Settings(results=results, loggers=loggers, log_every=log_every, **more))
    done: dict[str, Any] = folders.read_json(folder / folders.DONE)
    return done


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("row", ["msca/table2:msca-kv", "laps/table1:p-shift"])
def test_weights_and_metrics_are_the_same_bit_for_bit_with_and_without_a_logger(row: str, tmp_path: Path) -> None:
    training = smoke(row, epochs=2)
    without, logged = trained(training, tmp_path / "a"), trained(training, tmp_path / "b", "csv", log_every=1)
    assert without["weights_sha256"] == logged["weights_sha256"]
    lines = [lines_of(folders.training_folder(tmp_path / name, training.key) / folders.METRICS) for name in "ab"]
    for line in (*lines[0], *lines[1]):
        del line["elapsed_s"]
    assert lines[0] == lines[1]


def test_the_csv_logger_writes_into_the_run_folder(tmp_path: Path) -> None:
    training = smoke(epochs=2)
    trained(training, tmp_path, "csv", log_every=1)
    folder = folders.training_folder(tmp_path, training.key) / "csv" / "version_0"
    lines = lines_of(folder / "metrics.csv")
    assert [line["step/epoch"] for line in lines if line["step/loss"]] == ["0.5", "1.0", "1.5", "2.0"]
    assert [line["epoch"] for line in lines if line["train_loss"]] == ["1.0", "2.0"]
    assert f"training_key: {training.key}" in (folder / "hparams.yaml").read_text()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file as a module by its name, as a logger of the user's is."""
    monkeypatch.setitem(sys.modules, "my_logger", sys.modules[Kept.__module__])


def test_a_checkpoint_inside_an_epoch_is_neither_work_nor_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = L.Trainer.save_checkpoint

    def save_slowly(*given: Any) -> None:
        time.sleep(0.7)
        save(*given)

    monkeypatch.setattr(L.Trainer, "save_checkpoint", save_slowly)
    Kept.made.clear()
    trained(smoke(), tmp_path, "my_logger:Kept", log_every=1, checkpoint_minutes=1e-9)
    (logger,) = Kept.made
    _, second = logger.over("step/clips_per_s")
    assert second > 4 / 0.7, "4 clips, and a checkpoint before them"


def test_a_logger_of_the_users_gets_what_a_step_was(tmp_path: Path) -> None:
    Kept.made.clear()
    training = smoke(epochs=2, clip_grad_norm=1e-4)
    trained(training, tmp_path, "my_logger:Kept", log_every=1)
    (logger,) = Kept.made
    assert logger.save_dir_given == folders.training_folder(tmp_path, training.key)
    assert logger.hyperparameters["training_key"] == logger.version == training.key
    assert len(logger.over("step/loss")) == 4
    assert all(value > 1e-3 for value in logger.over("step/grad_norm"))  # before it is clipped
    assert all(value > 0 for value in logger.over("step/clips_per_s"))
    assert all(0 < value < 1 for value in logger.over("step/data_wait"))
    assert all(0.05 < value < 100 for value in logger.over("step/memory_gb"))
    left = logger.over("step/remaining_s")
    assert left[-1] == 0 and all(value > 0 for value in left[:-1])
    losses, by_epoch = logger.over("step/loss"), logger.over("train_loss")
    assert [sum(losses[:2]) / 2, sum(losses[2:]) / 2] == pytest.approx(by_epoch, rel=1e-5)
    top1s = logger.over("step/top1")
    assert [sum(top1s[:2]) / 2, sum(top1s[2:]) / 2] == pytest.approx(logger.over("train_top1"))
    assert logger.over("epoch") == [1, 1, 2, 2]
    assert len(logger.over("epoch_s")) == 2


def test_a_point_is_logged_every_few_steps_and_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    Kept.made.clear()
    training = smoke(epochs=3, batch_size=2)  # four steps an epoch
    trained(training, tmp_path, "my_logger:Kept", log_every=3)
    (logger,) = Kept.made
    assert [step for step, values in logger.lines if "step/loss" in values] == [2, 3, 5, 7, 8, 11]
    assert logger.over("step/epoch") == [0.75, 1.0, 1.5, 2.0, 2.25, 3.0]


def test_steps_of_several_batches_are_counted_as_one(tmp_path: Path) -> None:
    Kept.made.clear()
    trained(smoke(epochs=2, batch_size=2, accumulate=2), tmp_path, "my_logger:Kept", log_every=1)
    (logger,) = Kept.made
    assert logger.over("step/epoch") == [0.5, 1.0, 1.5, 2.0]
    losses = logger.over("step/loss")
    assert sum(losses[:2]) / 2 == pytest.approx(logger.over("train_loss")[0], rel=1e-5)


def test_a_validation_is_logged_with_its_epoch(tmp_path: Path) -> None:
    Kept.made.clear()
    trained(smoke(epochs=2, keep="best_on_test"), tmp_path, "my_logger:Kept")
    (logger,) = Kept.made
    validated = [values for _, values in logger.lines if "val_top1" in values]
    assert [values["epoch"] for values in validated] == [1, 2]


def test_a_resumed_training_run_counts_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Kept.made.clear()
    training = smoke(epochs=3)
    settings = Settings(results=tmp_path, loggers=("my_logger:Kept",))

    def stop(phase: str, done: int, total: int, loss: float | None) -> None:
        if done == 1 and loss is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(training, settings, stop)
    train(training, settings)
    first, second = Kept.made
    assert first.over("step/epoch") == [1.0]
    assert [values["epoch"] for _, values in second.lines if "train_loss" in values] == [2, 3]
    assert second.over("step/remaining_s")[-1] == 0
    assert all(math.isfinite(value) for value in second.over("remaining_s"))


def test_without_a_logger_nothing_is_metered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(every: int) -> None:
        raise AssertionError("metered")

    monkeypatch.setattr("vtbench.run.train.Metering", refuse)
    trained(smoke(), tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "tensorbord",
            "--logger tensorbord: no logger 'tensorbord'; did you mean 'tensorboard'? (or give one as",
        ),
        ("mlflow", "--logger mlflow needs the package mlflow: pip install mlflow"),
        ("tensorboard", "--logger tensorboard needs the package tensorboard: pip install tensorboard"),
        ("nowhere:Logger", "logger nowhere:Logger: no module 'nowhere'; add its folder with --include DIR, or install"),
    ],
)
def test_a_logger_that_is_not_there_is_one_line_before_anything_is_trained(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UsageError) as error:
        require_loggers(Settings(loggers=(name,)))
    assert str(error.value).startswith(words)


def test_what_is_no_logger_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--logger my_logger:no_logger: gives a str, not a Lightning logger$"):
        trained(smoke(), tmp_path, "my_logger:no_logger")
    with pytest.raises(UsageError, match=r"^--logger my_logger:broken_logger: making it raised KeyError"):
        trained(smoke(), tmp_path, "my_logger:broken_logger")


def test_a_training_run_goes_on_where_wandb_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        raise TimeoutError("the server does not answer")

    monkeypatch.setattr("wandb.init", refuse)
    notices: list[str] = []
    training = smoke()
    folder = train(training, Settings(results=tmp_path, wandb=Target("online")), notice=notices.append)
    assert finished.is_trained(folder)
    assert notices == [
        "W&B vtbench (online) cannot start a run: the server does not answer; trains without it, and `vtbench wandb "
        "sync` makes up for it"
    ]
    assert not (tmp_path / "wandb" / "pushed.jsonl").exists()
