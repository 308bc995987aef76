"""`vtbench results merge`: the results of other folders, of other machines for example, added to those of one.

A line is what it says: one that is there already is not added again, whichever machine wrote it. All others stay, as
the newest line of a row counts wherever it stands. cost.csv is left out: what is counted depends on no machine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from vtbench.errors import ResultsError, UsageError
from vtbench.files import copy_synced
from vtbench.results import curves, finished, folders, scores
from vtbench.results.record import Record
from vtbench.results.store import SpeedStore, Store


@dataclass
class Merged:
    """What one folder gave."""

    source: Path
    added: dict[str, int] = field(default_factory=dict)
    """File -> lines that are new."""
    there: dict[str, int] = field(default_factory=dict)
    """File -> lines that were there already."""
    exported: int = 0
    """Exported files of scores and curves that were copied."""
    runs: list[Path] = field(default_factory=list)
    """Finished run folders that were copied."""
    left: list[Path] = field(default_factory=list)
    """Finished run folders that were not."""
    other: list[Path] = field(default_factory=list)
    """Finished run folders of `into` in whose place the source has others, with other weights."""
    blocked: list[Path] = field(default_factory=list)
    """Unfinished run folders in whose place finished ones would be."""


def merge(
    sources: Iterable[Path], into: Path, *, runs: bool = False, notice: Callable[[str], object] = lambda _: None
) -> list[Merged]:
    """Add the lines of some results folders to those of `into`, with exported scores and curves. Every source is read
    before the first line is written.

    - `runs`: copy the finished run folders that it lacks, too
    - `notice`: called with a line on what is left of one whose writing was cut, which is set aside

    Raises UsageError for a source without results, ResultsError for a file that is not in order or cannot be written.
    """
    read = [(source, *_read(source, into)) for source in sources]
    found = []
    for source, records, speeds in read:
        merged = Merged(source)
        store, speed_store = Store(into, notice=notice), SpeedStore(into, notice=notice)
        new = store.append_missing(records) if records else []
        new_speeds = speed_store.append_missing(speeds) if speeds else []
        for name, added, of in ((store.name, new, records), (speed_store.name, new_speeds, speeds)):
            merged.added[name], merged.there[name] = len(added), len(of) - len(added)
        _copy_exported(source, into, store.read(), set(records), merged)
        _copy_runs(source, into, runs, merged)
        found.append(merged)
    return found


def _read(source: Path, into: Path) -> tuple[list[Record], list]:
    stores = Store(source), SpeedStore(source)
    if not any(store.path.exists() for store in stores):
        raise UsageError(f"{source}: has neither {Store.name} nor {SpeedStore.name}; give a folder of results")
    if source.resolve() == into.resolve():
        raise UsageError(f"{source}: is the folder that it would be merged into; --results DIR names that one")
    return stores[0].read(), stores[1].read()


def _copy_exported(source: Path, into: Path, lines: list[Record], records: set[Record], merged: Merged) -> None:
    """Copy the exported scores and curves of the newest lines where these are the source's, also of lines that an
    earlier merge added: it may have been killed before it came to this. What the source exported before its newest line
    was measured stays there."""
    newest: dict[Path, Record] = {}
    for record in lines:
        newest[scores.exported_file(source, record.evaluation_key)] = record
        newest[curves.exported_file(source, record.training_key)] = record
    for path, record in newest.items():
        target = into / path.relative_to(source)
        if record not in records or not path.is_file():
            continue
        content = path.read_bytes()
        if target.is_file() and (target.read_bytes() == content or scores.is_of(path, record) is False):
            continue
        folders.replace_file(target, lambda half, content=content: half.write_bytes(content))  # type: ignore[misc]
        merged.exported += 1


def _copy_runs(source: Path, into: Path, wanted: bool, merged: Merged) -> None:
    for folder in sorted((source / "runs").glob("*")):
        target = into / "runs" / folder.name
        # Nobody can start from a training without its weights.
        is_finished = finished.is_trained if folder.name.startswith("train-") else finished.is_done
        if not is_finished(folder):
            continue
        if is_finished(target):
            if len({finished.read_done(one)["weights_sha256"] for one in (target, folder)}) > 1:
                merged.other.append(target)
            continue
        if os.path.lexists(target):  # a run may be at work there
            merged.blocked.append(target)
            continue
        if not wanted:
            merged.left.append(folder)
            continue
        half = target.with_name(f".{target.name}.part")
        try:
            folders.make_folder(target.parent)
            shutil.rmtree(half, ignore_errors=True)
            # Locks and what was being written have names that begin with a dot.
            shutil.copytree(folder, half, ignore=shutil.ignore_patterns(".*"), copy_function=copy_synced)
            for below in (half, *(path for path in half.rglob("*") if path.is_dir())):
                folders.sync(below)
            half.rename(target)
            folders.sync(target.parent)
        except OSError as error:  # also shutil.Error, which has all of them
            shutil.rmtree(half, ignore_errors=True)
            first = error.args[0][0] if isinstance(error, shutil.Error) else (folder, target, error.strerror or error)
            remedy = "free space, or move away what is no file, and merge again"
            raise ResultsError(f"{target}: cannot be copied: {first[0]}: {first[2]}; {remedy}") from error
        merged.runs.append(target)
