"""What a command needs to know besides rows: folders, weights and machine. From options, else from vtbench.yaml."""

from __future__ import annotations

# ruff: noqa: RUF009 (key() makes a dataclasses.field)
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vtbench.errors import UsageError, did_you_mean
from vtbench.spec.datasets import dataset_names
from vtbench.spec.document import build, key, read_yaml
from vtbench.spec.select import weight_names

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
    top = read_yaml(path) if path.exists() else None
    file = build(_SettingsFile, top) if top else _SettingsFile()
    for block, known in (("data", dataset_names), ("weights", weight_names)):
        for name, node in (top.value[block].value if top and block in top.value else {}).items():
            if name not in known():
                node.fail(f"{_WHAT[block]} of that name{did_you_mean(name, known())}")
    from_file = {name: path.parent / Path(value).expanduser() for name, value in file.data.items()}
    files = {name: path.parent / Path(value).expanduser() for name, value in file.weights.items()}
    return Settings(
        results=_results(results, path.parent, file.results),
        data=from_file | _pairs("data", data, dataset_names),
        weights=files | _pairs("weights", weights, weight_names),
        batch_size=batch_size,
        num_workers=Settings.num_workers if num_workers is None else num_workers,
        wandb=wandb,
    )


def _results(option: str | None, folder: Path, in_file: str | None) -> Path:
    if option:
        return Path(option).expanduser()
    return folder / Path(in_file).expanduser() if in_file else Settings.results


_WHAT = {"data": "no data set", "weights": "no row asks for weights"}


def _pairs(option: str, given: Sequence[str], known: Callable[[], Collection[str]]) -> dict[str, Path]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"--{option} {text}: must be NAME=PATH")
        if name not in known():
            raise UsageError(f"--{option} {name}: {_WHAT[option]} of that name{did_you_mean(name, known())}")
        pairs[name] = Path(value).expanduser()
    return pairs
