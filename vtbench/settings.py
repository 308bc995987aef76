"""What a command needs to know besides rows: folders, weights and machine. From options, else from vtbench.yaml."""

from __future__ import annotations

# ruff: noqa: RUF009 (key() makes a dataclasses.field)
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vtbench.errors import UsageError, did_you_mean
from vtbench.spec.datasets import dataset_names
from vtbench.spec.document import build, key, read_yaml

FILE = "vtbench.yaml"
Wandb = Literal["off", "offline", "online"]


@dataclass(frozen=True)
class Settings:
    """Folders, weights and machine of one command."""

    results: Path = Path("results")
    data: dict[str, Path] = field(default_factory=dict)
    """Data set -> folder of its videos and lists."""
    weights: dict[str, Path] = field(default_factory=dict)
    """Name in `init.weights` -> file."""
    batch_size: int | None = None
    """Clips per forward pass; None is the recipe's. The effective batch stays the recipe's."""
    num_workers: int = 4
    """Processes that read videos, per training, at paper scale."""
    wandb: Wandb = "off"


@dataclass(frozen=True, kw_only=True)
class _SettingsFile:
    data: dict[str, str] = key("data set -> folder", default={})
    weights: dict[str, str] = key("name of weights -> file", default={})
    results: str | None = key("folder of results.csv and of the runs", default=None)


def load_settings(
    *,
    results: str | None = None,
    data: Sequence[str] = (),
    weights: Sequence[str] = (),
    batch_size: int | None = None,
    num_workers: int | None = None,
    wandb: Wandb = "off",
    folder: Path | None = None,
) -> Settings:
    """Settings from options as written ("NAME=PATH"), else from vtbench.yaml in `folder` (the working folder).

    Paths in the file are relative to it. Raises UsageError for an option without "=", SpecError for what the file may
    not hold.
    """
    path = (folder or Path()) / FILE
    file = build(_SettingsFile, read_yaml(path)) if path.exists() else _SettingsFile()
    from_file = {name: path.parent / value for name, value in file.data.items()}
    files = {name: path.parent / value for name, value in file.weights.items()}
    folders = from_file | _pairs("--data", data)
    for name in folders:
        if name not in dataset_names():
            raise UsageError(f"--data {name}: no data set of that name{did_you_mean(name, dataset_names())}")
    return Settings(
        results=Path(results) if results else path.parent / file.results if file.results else Path("results"),
        data=folders,
        weights=files | _pairs("--weights", weights),
        batch_size=batch_size,
        num_workers=Settings.num_workers if num_workers is None else num_workers,
        wandb=wandb,
    )


def _pairs(option: str, given: Sequence[str]) -> dict[str, Path]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {text}: must be NAME=PATH")
        pairs[name] = Path(value).expanduser()
    return pairs
