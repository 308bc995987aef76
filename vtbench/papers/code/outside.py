"""What of the user's own stands behind a row: folders outside vtbench, and the code and data sets in them as a hash.

A training by a network of the user's is another one when its code has changed, so the hash enters its key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from vtbench.papers.code.modules import digest_of, sources
from vtbench.papers.datasets import Dataset, load_dataset
from vtbench.papers.keys import digest
from vtbench.papers.roots import Root, roots


def code_behind(names: Iterable[str], datasets: Iterable[str] = ()) -> str | None:
    """12 hex digits over the files that `package.module:name` runs, of those in the folders outside vtbench, and over
    what such a folder says of a data set's labels and splits; None where all of it is vtbench's own."""
    folders = tuple(root.folder for root in _outside())
    return _code(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(datasets)), folders) if folders else None


@cache
def _code(names: tuple[str, ...], datasets: tuple[str, ...], folders: tuple[Path, ...]) -> str | None:
    sets = [load_dataset(name) for name in datasets]
    files = digest_of(_files(names, sets, folders), folders)
    labels = {dataset.name: _labels(dataset) for dataset in sets if not dataset.root.own}
    return digest({"files": files, "data": labels}) if files or labels else None


def folders_behind(row_roots: Iterable[Root], names: Iterable[str], datasets: Iterable[str] = ()) -> tuple[Path, ...]:
    """The folders outside vtbench that rows, the modules that they name (`package.module:name`) with all that these
    import, and their data sets come from; sorted."""
    sets = [load_dataset(name) for name in dict.fromkeys(datasets)]
    found = {root.folder for root in (*row_roots, *(dataset.root for dataset in sets)) if not root.own}
    folders = tuple(root.folder for root in _outside())
    for file in _files(names, sets, folders):
        found |= {folder for folder in folders if file.is_relative_to(folder)}
    return tuple(sorted(found))


def _outside() -> list[Root]:
    return [root for root in roots() if not root.own]


def _files(names: Iterable[str], sets: Iterable[Dataset], folders: Sequence[Path]) -> list[Path]:
    modules = [name.partition(":")[0] for name in (*names, *(dataset.module for dataset in sets)) if ":" in name]
    return sorted({file for module in dict.fromkeys(modules) for file in sources(module, folders)})


def _labels(dataset: Dataset) -> list[object]:
    """What of a data set decides which videos have which label."""
    about = dataset.about
    flip = dataclasses.asdict(about.flip) if about.flip else None
    lists = [dataclasses.asdict(about.lists)] if about.lists else []
    groups = [about.group] if about.group else []
    return [dataset.module, dataset.num_classes, about.splits, dataset.classes, flip, *lists, *groups]
