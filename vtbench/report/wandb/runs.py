"""Runs on Weights & Biases: of one line of results.csv, and of a training run that is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError
from vtbench.papers.spec.schema import Row
from vtbench.report.wandb.content import Columns, Content, File, eval_run_id, evaluation_content, train_run_id
from vtbench.report.wandb.session import open_run
from vtbench.report.wandb.target import Pushed, Target
from vtbench.results import finished, folders
from vtbench.results.curves import Curve
from vtbench.results.record import Record

AXES = {"epoch": None, **dict.fromkeys(("train_*", "val_*", "lr"), "epoch"), "step/*": "trainer/global_step"}
"""Metrics of a training run -> what they are drawn over."""


class IncompleteError(ResultsError):
    """A run that was pushed without a part that it should have."""


def log_record(row: Row, record: Record, target: Target, results: Path) -> None:
    """The run of one line of results.csv: its numbers, tables and files. It is remembered as pushed.

    Raises RunError where W&B refuses it, ResultsError where it cannot be remembered, and IncompleteError, once the rest
    is pushed, where its scores are there and cannot be read: then it is not remembered.
    """
    content = evaluation_content(row, record, results, target.artifacts)
    with open_run(target, results, config=content.config, **content.run) as run:
        _log(run, content)
    if content.damaged:
        raise IncompleteError(
            f"{content.damaged}: does not give the scores of this line, so its run has neither tables nor scores; "
            "restore or remove the file"
        )
    Pushed(results, target).add(eval_run_id(record), record.finished_at)


def _log(run: Any, content: Content) -> None:
    import wandb

    for file in content.files:
        run.log_artifact(_artifact(file))
    tables = {name: wandb.Table(columns=list(one.columns), data=one.lines) for name, one in content.tables.items()}
    if "confusion" in tables:
        tables["confusion"] = _chart(content.tables["confusion"])
    run.log({**content.numbers, **tables})
    run.summary.update(content.texts)


def _artifact(file: File) -> Any:
    import wandb

    artifact = wandb.Artifact(file.name, type=file.kind, metadata=file.metadata)
    # Not copied into wandb's own folder; whole, as an offline run may be sent from another working folder.
    artifact.add_file(str(file.path.resolve()), policy="immutable")
    return artifact


def _chart(confusion: Columns) -> Any:
    """W&B's own chart of a confusion, with its table."""
    import wandb

    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=list(confusion.columns), data=confusion.lines),
        fields={name: name for name in confusion.columns},
        string_fields={"title": "videos by class and prediction"},
    )


# ---- training runs ---------------------------------------------------------------------------------------------------


def training_run(training_key: str, config: dict[str, Any]) -> dict[str, Any]:
    """What the run of a training run is called; `config` is its content, as in its config.json."""
    model, data = config["model"]["name"], config["data"]["dataset"]
    return {
        "id": train_run_id(training_key),
        "name": f"train {model} {training_key}",
        "group": data,
        "job_type": "train",
        "tags": [config["scale"], model, data, f"seed {config['seed']}"],
        "config": config | {"training_key": training_key},
    }


def define_axes(run: Any) -> None:
    """Draw what is logged by epoch over epochs, and what is logged by step over steps."""
    for name, axis in AXES.items():
        run.define_metric(name, step_metric=axis)


def log_training(training_key: str, config: dict[str, Any], curve: Curve, target: Target, results: Path) -> None:
    """The run of a finished training run, from what it wrote after each epoch. It is remembered as pushed.

    Raises RunError where W&B refuses it, ResultsError where it cannot be remembered.
    """
    with open_run(target, results, **training_run(training_key, config)) as run:
        define_axes(run)
        for number, epoch in enumerate(curve.epochs):
            values = {name: column[number] for name, column in curve.values.items() if column[number] is not None}
            run.log({"epoch": epoch, **values})
    Pushed(results, target).add(train_run_id(training_key), curve.weights_sha256)


def remember_training(training_key: str, target: Target, results: Path) -> None:
    """Remember a training run that was logged while it ran, once it is done."""
    done = finished.read_done(folders.training_folder(results, training_key))
    Pushed(results, target).add(train_run_id(training_key), done["weights_sha256"])
