"""Weights & Biases through Lightning's logger: a run per training, one per row and seed, linked by the training.

Names, groups and tags are made so that a dashboard groups by paper, table and row. A training's run is named after its
network and key and tagged with its scale, network and data set. An evaluation's run is called `paper/table:row seed N`;
its group is `paper/table`, its tags are paper, table, row and scale, and its config names the training's run. This
module and wandb are imported only when asked for.
"""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vtbench.errors import RunError, first_line

if TYPE_CHECKING:
    from vtbench.papers.trainings import Training
    from vtbench.results.record import Record

PROJECT = "vtbench"
Mode = Literal["online", "offline"]


def train_run_id(training_key: str) -> str:
    """The W&B id of a training's run: a training that is continued goes on in the same run."""
    return f"train-{training_key}"


def train_logger(training: Training, mode: Mode, folder: Path) -> Any:
    """A Lightning logger whose run is that of this training."""
    return _logger(
        mode,
        folder,
        id=train_run_id(training.key),
        name=f"train {training.model.name} {training.key}",
        group=training.data.dataset,
        job_type="train",
        tags=[training.scale, training.model.name, training.data.dataset, f"seed {training.seed}"],
        config=dataclasses.asdict(training) | {"training_key": training.key},
    )


def log_record(record: Record, mode: Mode, folder: Path) -> None:
    """One run for one line of results.csv, with its metrics as the run's summary and a link to the training's run."""
    paper, _, inside = record.id.partition("/")
    table, _, row = inside.partition(":")
    logger = _logger(
        mode,
        folder,
        id=f"eval-{record.evaluation_key}-{zlib.crc32((record.id + record.measurement).encode())}",
        name=f"{record.id} seed {record.seed}" + ("" if record.measurement == "main" else f" {record.measurement}"),
        group=f"{paper}/{table}",
        job_type="eval",
        tags=[paper, f"{paper}/{table}", record.id, record.scale, record.measurement, f"seed {record.seed}"],
        config={**record.model_dump(), "paper": paper, "table": table, "row": row}
        | {"train_run": train_run_id(record.training_key)},
    )
    logger.log_metrics({**record.all_measured(), "videos_failed": record.videos_failed})
    logger.experiment.finish()


def _logger(mode: Mode, folder: Path, **run: Any) -> Any:
    try:
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        quiet = wandb.Settings(silent=True, console="off")  # vtbench draws its own progress
        logger = WandbLogger(
            project=PROJECT, save_dir=folder, offline=mode == "offline", resume="allow", settings=quiet, **run
        )
        _ = logger.experiment  # starts the run now, so that a missing login is told before an epoch is spent
    except Exception as error:
        raise RunError(
            f"W&B ({mode}) cannot start: {first_line(error)}; use --wandb offline or off, or log in"
        ) from error
    return logger
