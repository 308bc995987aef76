"""Where runs go on Weights & Biases, and what is remembered of those that are there. Imports no wandb."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from vtbench.results.folders import cannot_write

PROJECT = "vtbench"
Mode = Literal["online", "offline"]
Artifacts = Literal["all", "scores", "none"]


@dataclass(frozen=True)
class Target:
    """A project on Weights & Biases, and what is sent there."""

    mode: Mode = "online"
    project: str = PROJECT
    entity: str | None = None
    """User or team; None: the user's default one."""
    tags: tuple[str, ...] = ()
    """Given to every run, besides its own."""
    artifacts: Artifacts = "all"
    """The files that go with an evaluation: weights and scores, scores alone, or none."""
    results: bool = True
    """Whether `run` logs results there; if not, training runs alone."""

    @property
    def title(self) -> str:
        """In messages: "team/vtbench (online)"."""
        return f"{self.entity}/{self.project} ({self.mode})" if self.entity else f"{self.project} ({self.mode})"


def target(
    mode: Mode | None = None,
    project: str | None = None,
    entity: str | None = None,
    tags: Sequence[str] = (),
    artifacts: Artifacts = "all",
    results: bool = True,
) -> Target:
    """A target from options, else from WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY; WANDB_TAGS are added to the tags."""
    offline = os.environ.get("WANDB_MODE") in ("offline", "dryrun")
    more = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]
    return Target(
        mode=mode or ("offline" if offline else "online"),
        project=project or os.environ.get("WANDB_PROJECT") or PROJECT,
        entity=entity or os.environ.get("WANDB_ENTITY") or None,
        tags=tuple(dict.fromkeys(tag for tag in (*tags, *more) if tag)),
        artifacts=artifacts,
        results=results,
    )


def wandb_folder(results: Path) -> Path:
    """The folder in which wandb keeps the files of its runs, and we what was pushed."""
    return results / "wandb"


class Pushed:
    """The runs that were pushed from a results folder, to any target: a line of JSON each, in a file beside wandb's.

    A run counts as pushed with the content that it had: what was measured again is pushed again. Several processes may
    add at once.
    """

    def __init__(self, results: Path, target: Target) -> None:
        self.path = wandb_folder(results) / "pushed.jsonl"
        self.place = (target.mode, target.entity or "", target.project)

    def holds(self, run_id: str, content: str) -> bool:
        """Whether a run was pushed to the target with this content. Lines that are cut off are passed over."""
        return (*self.place, run_id, content) in self._lines

    def add(self, run_id: str, content: str) -> None:
        """Remember it. Raises ResultsError when the file cannot be written."""
        line = json.dumps([*self.place, run_id, content]) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)  # one write: lines of several processes do not mix
        except OSError as error:
            raise cannot_write(self.path, error) from error

    @cached_property
    def _lines(self) -> set[tuple[str, ...]]:
        found = set()
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            with contextlib.suppress(ValueError, TypeError):
                found.add(tuple(json.loads(line)))
        return found
