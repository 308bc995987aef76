"""A running training on Weights & Biases, through Lightning's logger. Imported only when asked for, as wandb is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from vtbench.papers.trainings import Training
from vtbench.report.wandb import Mode, start_run, train_run_id


def train_logger(training: Training, mode: Mode, folder: Path) -> Any:
    """A Lightning logger whose run is that of this training."""
    run = start_run(
        mode,
        folder,
        id=train_run_id(training.key),
        name=f"train {training.model.name} {training.key}",
        group=training.data.dataset,
        job_type="train",
        tags=[training.scale, training.model.name, training.data.dataset, f"seed {training.seed}"],
        config=dataclasses.asdict(training) | {"training_key": training.key},
    )
    return WandbLogger(experiment=run, save_dir=folder)
