"""failed.json of a training's run folder: why it, or a test of it, failed when it was last tried."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vtbench.errors import ResultsError
from vtbench.results import folders

FAILED = "failed.json"


@dataclass(frozen=True)
class Failed:
    """Why, when and where."""

    reasons: tuple[str, ...]
    """One line each, which begins with the row."""
    at: str
    """UTC, `2026-01-31T23:59:59Z`."""
    host: str
    pid: int
    """Of the process that wrote this down."""


def note(results: Path, training_key: str, reasons: Sequence[str]) -> None:
    """Write down why a job failed, or, without reasons, that it did not. A disk that is full stays as it is: the
    failure is reported anyway."""
    path = folders.training_folder(results, training_key) / FAILED
    with contextlib.suppress(ResultsError, OSError):
        if not reasons:
            path.unlink(missing_ok=True)
            return
        at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        folders.write_json(path, asdict(Failed(tuple(reasons), at, socket.gethostname(), os.getpid())))


def last_failure(results: Path, training_key: str) -> Failed | None:
    """Why a job failed when it was last tried; None if it did not, or the file cannot be read."""
    try:
        found = Failed(**folders.read_json(folders.training_folder(results, training_key) / FAILED))
        return replace(found, reasons=tuple(map(str, found.reasons)))
    except (ResultsError, TypeError):
        return None
