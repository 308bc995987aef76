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

from vtbench.errors import ResultsError, UsageError
from vtbench.results.folders import cannot_write

PROJECT = "vtbench"
NOT_IN_PROJECT, LONGEST_PROJECT = "/\\#?%:", 128
"""What W&B refuses in the name of a project, and its length in characters (`wandb.Settings.validate_project`)."""

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
    """A target from options, else from WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY; WANDB_TAGS are added to the tags.

    Raises UsageError for a name of a project that W&B does not take.
    """
    offline = os.environ.get("WANDB_MODE") in ("offline", "dryrun")
    more = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]
    name = project or os.environ.get("WANDB_PROJECT") or PROJECT
    wrong = [character for character in name if character in NOT_IN_PROJECT]
    if wrong or len(name) > LONGEST_PROJECT:
        given = "--wandb-project" if project else "WANDB_PROJECT"
        why = f"with {wrong[0]!r}" if wrong else f"of {len(name)} characters"
        most = f"without any of {' '.join(NOT_IN_PROJECT)} and of at most {LONGEST_PROJECT} characters"
        raise UsageError(f"{given} {name}: W&B takes no project {why}; give a name {most}")
    return Target(
        mode=mode or ("offline" if offline else "online"),
        project=name,
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
        found: set[tuple[str, ...]] = set()
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return found
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ResultsError(
                f"{self.path}: what was pushed cannot be read: {why}; move it away, then everything is pushed again"
            ) from error
        for line in text.splitlines():
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                found.add(tuple(json.loads(line)))
        return found
