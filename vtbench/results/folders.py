"""The run folders beside results.csv: one per training, one per evaluation, named by key.

    results/runs/train-<training_key>/     config.json, metrics.csv (per epoch), last.ckpt or weights,
                                           done.json
    results/runs/eval-<evaluation_key>/    config.json, scores.npz (per view, by video id; in parts until the test is
                                           done), done.json

`done.json` is written last and whole, so a folder that has it is finished and one that has not can be resumed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError

CONFIG = "config.json"
METRICS = "metrics.csv"
CHECKPOINT = "last.ckpt"
SCORES = "scores.npz"
SCORES_PART = "scores.part-{}.npz"
NOTES_PART = "remarks.part{}.json"
WEIGHTS = "weights.safetensors"
BEST = "best-{}.safetensors"
DONE = "done.json"
LEFT_OUT = "left_out.csv"


def training_folder(results: Path, training_key: str) -> Path:
    """Where a training keeps what it wrote. The folder need not exist."""
    return results / "runs" / f"train-{training_key}"


def evaluation_folder(results: Path, evaluation_key: str) -> Path:
    """Where an evaluation keeps what it wrote. The folder need not exist."""
    return results / "runs" / f"eval-{evaluation_key}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder against other processes, waiting for one that works in it. Makes the folder.

    Raises ResultsError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise cannot_write(folder, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up by the system if this process dies
        yield


def set_aside(folder: Path) -> None:
    """Rename a run folder, so that what it measured stays while the same run is repeated."""
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    try:
        folder.rename(aside)
    except OSError as error:
        raise ResultsError(f"{folder}: cannot be renamed before the run is repeated: {error.strerror}") from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is either the old one or the whole new one, never half of it.

    Makes missing parent folders. Raises ResultsError when the folder cannot be written or the disk is full.
    """
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    replace_file(path, lambda half: half.write_text(text, encoding="utf-8"))


def _sync(folder: Path) -> None:
    """Have what was renamed in a folder outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` make a file beside `path`, then rename it there: readers see the old file or the whole new one.

    Makes missing parent folders. Raises ResultsError when the folder cannot be written or the disk is full.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(half)
            with half.open("rb") as file:
                os.fsync(file.fileno())
            half.replace(path)
            _sync(path.parent)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error
    except RuntimeError as error:  # what torch makes of a full disk
        raise ResultsError(f"{path}: cannot be written: {error}; free space and run again") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ResultsError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultsError(
            f"{path}: not readable as JSON ({error}); remove the folder {path.parent} and run again"
        ) from error


def cannot_write(path: Path, error: OSError) -> ResultsError:
    """The one line for a path below the results folder that the system refuses to write, with what to do about it."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ResultsError(
            f"{path}: cannot be written: it, or what should be the folder above it, is a file; move that away or "
            "choose another folder with --results DIR"
        )
    if isinstance(error, IsADirectoryError):
        return ResultsError(
            f"{path}: cannot be written: it is a folder, where a file is wanted; move it away or choose another folder "
            "with --results DIR"
        )
    return ResultsError(
        f"{path}: cannot be written: {error.strerror or error}; "
        "free space or change its permissions, or choose another folder with --results DIR"
    )
