"""What Weights & Biases draws its dashboards from: a run per training, one per row and seed, linked by the training.

Names, groups and tags are made so that a dashboard groups by paper, table and row. A training's run is named after its
network and key and tagged with its scale, network and data set. An evaluation's run is called `paper/table:row seed N`;
its group is `paper/table`, its tags are paper, table, row and scale, and its config names the training's run. This
module and wandb are imported only when asked for.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vtbench.errors import RunError, first_line

if TYPE_CHECKING:
    from vtbench.results.record import Record

PROJECT = "vtbench"
Mode = Literal["online", "offline"]


def train_run_id(training_key: str) -> str:
    """The W&B id of a training's run: a resumed training continues the same run."""
    return f"train-{training_key}"


def log_record(record: Record, mode: Mode, folder: Path) -> None:
    """One run for one line of results.csv, with its metrics as the run's summary and a link to the training's run."""
    paper, _, inside = record.id.partition("/")
    table, _, row = inside.partition(":")
    run = start_run(
        mode,
        folder,
        id=f"eval-{record.evaluation_key}-{zlib.crc32((record.id + record.measurement).encode())}",
        name=f"{record.id} seed {record.seed}" + ("" if record.measurement == "main" else f" {record.measurement}"),
        group=f"{paper}/{table}",
        job_type="eval",
        tags=[paper, f"{paper}/{table}", record.id, record.scale, record.measurement, f"seed {record.seed}"],
        config={**record.as_dict(), "paper": paper, "table": table, "row": row}
        | {"train_run": train_run_id(record.training_key)},
    )
    run.log({**record.all_measured(), "videos_failed": record.videos_failed})
    run.finish()


def start_run(mode: Mode, folder: Path, **run: Any) -> Any:
    """The W&B run with these arguments of `wandb.init`, continued where it is there already; its files lie in `folder`.

    Raises RunError where none can start, a missing login for example: before an epoch is spent.
    """
    try:
        import wandb

        quiet = wandb.Settings(silent=True, console="off")  # vtbench draws its own progress
        return wandb.init(project=PROJECT, dir=folder, mode=mode, resume="allow", settings=quiet, **run)
    except Exception as error:
        raise RunError(
            f"W&B ({mode}) cannot start: {first_line(error)}; use --wandb offline or off, or log in"
        ) from error
