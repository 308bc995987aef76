"""The run folders beside results.csv: one per training, one per evaluation, named by key.

    results/runs/train-<training_key>/     config.json, metrics.csv (per epoch), last.ckpt or weights,
                                           done.json
    results/runs/eval-<evaluation_key>/    config.json, scores.npz (per view, by video id; in parts until the test is
                                           done), done.json

`done.json` is written last and whole, so a folder that has it is finished and one that has not can be resumed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vtbench.errors import ResultsError
from vtbench.files import NotRegular, free_name, numbered, regular
from vtbench.processes import locks
from vtbench.processes.locks import Holder, Waiting

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
ERROR = "error.txt"
"""Traceback of an unexpected error, until the same succeeds."""
LOCK = ".lock"

WANTED = "where a file is wanted; move it away or choose another folder with --results DIR"
"""What messages say of a pipe, a device or a folder that has the name of a file of ours."""


def training_folder(results: Path, training_key: str) -> Path:
    """Where a training keeps what it wrote. The folder need not exist."""
    return results / "runs" / f"train-{training_key}"


def evaluation_folder(results: Path, evaluation_key: str) -> Path:
    """Where an evaluation keeps what it wrote. The folder need not exist."""
    return results / "runs" / f"eval-{evaluation_key}"


@contextlib.contextmanager
def locked(folder: Path, *, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold a run folder against other processes, waiting for one that works in it. Makes the folder.

    `waiting` is called once before a wait, with who is waited for. Raises ResultsError when the folder cannot be
    written.
    """
    with contextlib.ExitStack() as held:
        try:
            make_folder(folder)
            held.enter_context(locks.hold(folder / LOCK, waiting=waiting))
        except OSError as error:
            raise cannot_write(folder / LOCK, error) from error
        _remove_halves(folder)
        yield


def _remove_halves(folder: Path) -> None:
    """Remove what `replace_file` had not renamed when its process was killed, from a folder that is held: a checkpoint
    is hundreds of megabytes."""
    for path in folder.glob(".*.*"):
        if re.fullmatch(r"\.(?!lock\b).+\.\d+", path.name):
            path.unlink(missing_ok=True)


def holder(folder: Path) -> Holder | None:
    """Who works in a run folder now; None if nobody does."""
    return locks.holder(folder / LOCK)


def set_aside(*run_folders: Path) -> list[Path]:
    """Rename those of some run folders that are there, so that what they measured stays while the same runs are
    repeated; gives their new names. Raises ResultsError when another run is at work in one of them, and then renames
    none, or when one cannot be renamed."""
    with contextlib.ExitStack() as held:
        found = [folder for folder in run_folders if _held(folder, held)]
        made = [_renamed(folder) for folder in found]
    for aside in made:
        locks.marker(aside / LOCK).unlink(missing_ok=True)
    return made


def _held(folder: Path, held: contextlib.ExitStack) -> bool:
    """Hold a run folder that nobody works in; False where there is none."""
    try:
        held.enter_context(locks.hold(folder / LOCK, make=False, wait=False))
    except FileNotFoundError:
        return False
    except locks.Busy as busy:
        raise ResultsError(f"{folder}: {busy}; wait until it is done, or end it, and run again") from None
    except OSError as error:
        raise cannot_write(folder / LOCK, error) from error
    return True


def _renamed(folder: Path) -> Path:
    aside = free_name(folder, ".")
    try:
        folder.rename(aside)
        sync(folder.parent)
    except OSError as error:
        raise ResultsError(
            f"{folder}: cannot be renamed before the run is repeated: {error.strerror or error}; "
            "change the permissions of the folder above it or move it away"
        ) from error
    return aside


def with_those_aside(folder: Path) -> Iterator[Path]:
    """A run folder, if it is there, and those that `set_aside` made of it, the newest of them last."""
    if folder.exists():
        yield folder
    yield from itertools.takewhile(os.path.lexists, numbered(folder, "."))


def has_one_aside(folder: Path) -> bool:
    """Whether `set_aside` has renamed a folder of this name."""
    return os.path.lexists(next(numbered(folder, ".")))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, so that they outlive a loss of power. Raises OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync(one.parent)


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is either the old one or the whole new one, never half of it.

    Makes missing parent folders. Raises ResultsError when the folder cannot be written or the disk is full.
    """
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    replace_file(path, lambda half: half.write_text(text, encoding="utf-8"))


def sync(folder: Path) -> None:
    """Have what was made or renamed in a folder outlive a loss of power."""
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
        make_folder(path.parent)
        try:
            write(half)
            with half.open("rb") as file:
                os.fsync(file.fileno())
            half.replace(path)
            sync(path.parent)
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
        return json.loads(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also what is nested by the thousand
        raise ResultsError(
            f"{path}: not readable as JSON ({error}); remove the folder {path.parent} and run again"
        ) from error


def cannot_write(path: Path, error: OSError) -> ResultsError:
    """The one line for a path below the results folder that the system refuses to write, with what to do about it."""
    if isinstance(error, TimeoutError):  # of a lock, which says what to do
        return ResultsError(f"{path}: cannot be written: {error.strerror}")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return ResultsError(
            f"{path}: cannot be written: it, or what should be the folder above it, is a file; move that away or "
            "choose another folder with --results DIR"
        )
    if isinstance(error, IsADirectoryError | NotRegular):
        what = error.strerror if isinstance(error, NotRegular) else "is a folder"
        return ResultsError(f"{path}: cannot be written: it {what}, {WANTED}")
    return ResultsError(
        f"{path}: cannot be written: {error.strerror or error}; "
        "free space or change its permissions, or choose another folder with --results DIR"
    )
