"""What a command needs to know besides rows: folders, weights and machine. From options, else from vtbench.yaml."""

from __future__ import annotations

# ruff: noqa: RUF009 (key() makes a dataclasses.field)
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vtbench.errors import UsageError, unknown
from vtbench.fields import key
from vtbench.files import given_path
from vtbench.papers.datasets import dataset_names
from vtbench.papers.resolve import weight_names
from vtbench.papers.roots import include
from vtbench.papers.spec.document import Node, build, read_yaml
from vtbench.report.wandb.target import Target

if TYPE_CHECKING:
    from vtbench.run.engine import Engine

FILE = "vtbench.yaml"

LESS_MEMORY = "try a smaller --batch-size, fewer --workers or --data-workers, or --grad-checkpointing"
"""What to do where memory does not suffice."""


def _one_process() -> Engine:
    from vtbench.run.engine import Engine  # late: `vtbench list` does without

    return Engine()


@dataclass(frozen=True)
class Settings:
    """Folders, weights and machine of one command."""

    results: Path = Path("results")
    data: dict[str, Path] = field(default_factory=dict)
    """Data set -> folder of its videos and lists."""
    weights: dict[str, Path] = field(default_factory=dict)
    """Name in `init.weights` -> file."""
    allow_other_weights: bool = False
    """Whether a file of weights may differ from the release that its name stands for."""
    batch_size: int | Literal["auto"] | None = None
    """Clips per forward pass of one device; None is the recipe's, auto as many as its memory holds. The effective batch
    stays the recipe's."""
    engine: Engine = field(default_factory=_one_process)
    """Devices, and what they compute in."""
    num_workers: int = 4
    """Processes that read videos, per training, at lab and paper scale."""
    missing: float = 0.01
    """Share of the listed videos of a split that may be missing or unreadable."""
    scans: Path | None = None
    """Folder of what `data check --decode` found; None: data/ in `results`."""
    wandb: Target | None = None
    """Where training runs and results are logged on Weights & Biases; None: nowhere."""
    loggers: tuple[str, ...] = ()
    """Further loggers of training runs, by name: see vtbench.run.tracking."""
    log_every: int = 10
    """Optimiser steps between two points that a training run logs."""
    checkpoint_minutes: float = 30
    """Minutes between two checkpoints inside an epoch; 0: only at its end, and where the process is asked to stop."""
    allow_changed_code: bool = False
    """Whether a training run may be continued by other code than it was begun with."""

    def quarantine(self, dataset: str) -> Path:
        """The file of videos of a data set that are not to be used; it need not be there."""
        return self.scan_folder / dataset / "quarantine.csv"

    def scan(self, dataset: str) -> Path:
        """The file of what was found when each video of a data set was decoded; it need not be there."""
        return self.scan_folder / dataset / "scan.csv"

    @property
    def scan_folder(self) -> Path:
        """The folder of what `data check --decode` found."""
        return self.scans or self.results / "data"


@dataclass(frozen=True, kw_only=True)
class _SettingsFile:
    data: dict[str, str] = key("data set -> folder", default={})
    weights: dict[str, str] = key("name of weights -> file", default={})
    results: str | None = key("folder of results.csv and of the runs", default=None)
    missing: float | None = key(
        "share of the listed videos of a split that may be missing or unreadable", default=None, at_least=0, at_most=1
    )
    slurm: dict[str, str] = key("options of sbatch by name, for --engine slurm", default={})
    include: tuple[str, ...] = key("folders with benchmarks/ or data_manifests/ of your own", default=())


def include_folders(given: Sequence[str] = (), folder: Path | None = None) -> None:
    """Add the folders that vtbench.yaml names, relative to it, and those of --include, relative to the working folder.
    Before any row is selected.

    Raises UsageError for a folder that is not there or defines nothing, SpecError for what the file may not hold.
    """
    top, file = _read(folder)
    for number, path in enumerate(file.include):
        assert top is not None
        node = top.value["include"].value[number]
        named_by = f"{node.file}:{node.line}: {node.key}"
        include((folder or Path()) / given_path(path, named_by), named_by)
    for path in given:
        include(path, f"--include {path}")


def slurm_options(folder: Path | None = None) -> dict[str, str]:
    """The options of sbatch in vtbench.yaml, by name. Raises SpecError for what the file may not hold."""
    return dict(_read(folder)[1].slurm)


def load_settings(
    *,
    results: str | None = None,
    data: Sequence[str] = (),
    weights: Sequence[str] = (),
    allow_other_weights: bool = False,
    batch_size: int | Literal["auto"] | None = None,
    engine: Engine | None = None,
    num_workers: int | None = None,
    missing: float | None = None,
    wandb: Target | None = None,
    loggers: Sequence[str] = (),
    log_every: int | None = None,
    checkpoint_minutes: float | None = None,
    allow_changed_code: bool = False,
    folder: Path | None = None,
) -> Settings:
    """Settings from options as written ("NAME=PATH"), else from vtbench.yaml in `folder` (the working folder).

    Paths in the file are relative to it. Raises UsageError for an option without "=", SpecError for what the file may
    not hold.
    """
    top, file = _read(folder)
    base = folder or Path()
    in_file = None if file.results is None else base / given_path(file.results, f"{FILE}: results")
    return Settings(
        results=in_file or Settings.results if results is None else given_path(results, "--results"),
        data=_from_file("data", top, base, dataset_names) | _pairs("data", data, dataset_names),
        weights=_from_file("weights", top, base, weight_names) | _pairs("weights", weights, weight_names),
        allow_other_weights=allow_other_weights,
        batch_size=batch_size,
        engine=engine or _one_process(),
        num_workers=Settings.num_workers if num_workers is None else num_workers,
        missing=next((share for share in (missing, file.missing) if share is not None), Settings.missing),
        wandb=wandb,
        loggers=tuple(dict.fromkeys(loggers)),
        log_every=Settings.log_every if log_every is None else log_every,
        checkpoint_minutes=Settings.checkpoint_minutes if checkpoint_minutes is None else checkpoint_minutes,
        allow_changed_code=allow_changed_code,
    )


def _read(folder: Path | None) -> tuple[Node | None, _SettingsFile]:
    path = (folder or Path()) / FILE
    # Also a link to nothing: it was meant to be read.
    top = read_yaml(path) if os.path.lexists(path) else None
    return top, build(_SettingsFile, top) if top else _SettingsFile()


_KIND = {"data": "data set", "weights": "weights of a row"}


def _from_file(block: str, top: Node | None, base: Path, known: Callable[[], Collection[str]]) -> dict[str, Path]:
    """The names and paths of a block of vtbench.yaml."""
    if top is None or block not in top.value:
        return {}
    nodes, names = top.value[block].value, known()
    for name, node in nodes.items():
        if name not in names:
            node.fail(unknown(_KIND[block], name, names))
    return {name: base / given_path(node.value, f"{node.file}:{node.line}: {node.key}") for name, node in nodes.items()}


def _pairs(option: str, given: Sequence[str], known: Callable[[], Collection[str]]) -> dict[str, Path]:
    pairs: dict[str, Path] = {}
    names = known() if given else ()
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--{option} {text}: must be NAME=PATH")
        if name not in names:
            raise UsageError(f"--{option} {name}: {unknown(_KIND[option], name, names)}")
        pairs[name] = given_path(value, f"--{option} {name}")
    return pairs
