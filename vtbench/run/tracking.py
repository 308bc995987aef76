"""A training run on Weights & Biases, TensorBoard, MLflow or any other place that a Lightning logger writes to.

Lightning, wandb and the others are imported when a logger is made, and only then.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtbench.errors import RunError, UsageError, in_one_line, unknown
from vtbench.naming import load
from vtbench.papers.trainings import Training
from vtbench.report.wandb.runs import define_axes, remember_training, training_run
from vtbench.report.wandb.session import require_login, start_run
from vtbench.report.wandb.target import Target, target, wandb_folder
from vtbench.run.settings import Settings

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

PACKAGES: dict[str, tuple[str, ...]] = {
    "csv": (),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
}
"""Name of a logger -> the packages of which it needs one. Any other is `module:Class`."""


def wandb_target(settings: Settings) -> Target | None:
    """Where training runs go on W&B; None: nowhere."""
    return settings.wandb or (target() if "wandb" in settings.loggers else None)


def require_loggers(settings: Settings) -> None:
    """Raise UsageError, before anything is trained, for a logger that is not there, whose package is missing, or, of
    W&B, without a login."""
    for name in settings.loggers:
        if ":" in name:
            load(name, {}, "logger")
        elif name not in PACKAGES:
            raise UsageError(f"--logger {name}: {unknown('logger', name, PACKAGES)} (or give one as module:Class)")
        elif PACKAGES[name] and not any(importlib.util.find_spec(package) for package in PACKAGES[name]):
            raise UsageError(f"--logger {name} needs the package {PACKAGES[name][0]}: pip install {PACKAGES[name][0]}")
    if found := wandb_target(settings):
        require_login(found)


class Tracking:
    """The loggers of one training run."""

    def __init__(self, training: Training, settings: Settings, folder: Path, notice: Callable[[str], None]) -> None:
        """`folder` is the run folder; loggers that write files have a folder of their own there. A W&B run that cannot
        start is said by `notice`, and the training run continues without it.

        Raises UsageError for a logger that cannot be made.
        """
        self.training, self.results, self.notice = training, settings.results, notice
        self.target = wandb_target(settings)
        self.run: Any = None
        content = dataclasses.asdict(training)
        self.loggers: list[Logger] = []
        for name in settings.loggers:
            if name != "wandb":
                self.loggers.append(_logger(name, training, folder, self.results))
                self.loggers[-1].log_hyperparams(content | {"training_key": training.key})
        if self.target:
            try:
                self.run = start_run(self.target, self.results, **training_run(training.key, content))
            except RunError as error:
                notice(f"{error}; trains without it, and `vtbench wandb sync` makes up for it")
                return
            define_axes(self.run)
            from lightning.pytorch.loggers import WandbLogger

            self.loggers.append(WandbLogger(experiment=self.run, save_dir=wandb_folder(self.results)))

    def close(self, whole: bool) -> None:
        """End the W&B run, as one that failed if it is not `whole`, so that the next training run of this process has
        its own."""
        if self.run is not None:
            try:
                self.run.finish(exit_code=0 if whole else 1)
            except Exception as error:  # whatever becomes of the log, the training run is what counts
                self.notice(f"W&B: {in_one_line(error)}; `vtbench wandb sync` makes up for it")
                self.run = None

    def done(self) -> None:
        """Remember, once the training run is done, that W&B has it."""
        if self.run is not None and self.target is not None:
            remember_training(self.training.key, self.target, self.results)


def _logger(name: str, training: Training, folder: Path, results: Path) -> Logger:
    from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

    if name == "csv":
        return CSVLogger(folder, name="csv")
    if name == "tensorboard":
        return TensorBoardLogger(folder, name="tensorboard", version="")
    if name == "mlflow":
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(results / 'mlflow.db').resolve()}"
        return MLFlowLogger("vtbench", run_name=f"train {training.model.name} {training.key}", tracking_uri=uri)
    made = load(name, {}, "logger")
    given = {"save_dir": folder, "name": name.partition(":")[2], "version": training.key}
    try:
        taken = inspect.signature(made).parameters
        logger = made(**{key: value for key, value in given.items() if key in taken})
    except Exception as error:
        raise UsageError(
            f"--logger {name}: making it raised {in_one_line(error)}; it is given {', '.join(given)}"
        ) from error
    if not isinstance(logger, Logger):
        raise UsageError(f"--logger {name}: gives a {type(logger).__name__}, not a Lightning logger")
    return logger
