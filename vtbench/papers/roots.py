"""The folders that papers and data sets are read from: vtbench's own, and those that a user adds.

A root holds `benchmarks/` (one folder per paper), `data_manifests/` (one folder per data set), or both. There are three
ways in: the root of vtbench itself, `include` (`--include DIR`, or `include: [DIR]` in vtbench.yaml), and installed
packages that name themselves under the entry point group `vtbench.papers`.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from vtbench.errors import SpecError, UsageError, did_you_mean
from vtbench.papers.code.modules import find_spec

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of vtbench's modules."""
GROUP = "vtbench.papers"
"""Entry point group. The value is a package whose folder is a root."""


@dataclass(frozen=True)
class Root:
    """A folder with papers or data sets."""

    folder: Path
    named_by: str = "vtbench"
    """What brought it in, for messages: `vtbench`, `--include DIR`, `vtbench.yaml:3: include[0]`, an entry point."""

    @property
    def benchmarks(self) -> Path:
        """The folder of papers."""
        return self.folder / "benchmarks"

    @property
    def data_manifests(self) -> Path:
        """The folder of data sets."""
        return self.folder / "data_manifests"

    @property
    def own(self) -> bool:
        """Whether it is vtbench's own."""
        return self.folder == own_root().folder

    def papers(self) -> dict[str, Path]:
        """Paper -> its folder, by name."""
        return _folders(self.benchmarks, "*.yaml")

    def datasets(self) -> dict[str, Path]:
        """Data set -> its folder, by name."""
        return _folders(self.data_manifests, "dataset.yaml")


def _folders(parent: Path, wanted: str) -> dict[str, Path]:
    """Folders by name, without hidden ones such as .ipynb_checkpoints."""
    found = sorted({path.parent for path in parent.glob(f"*/{wanted}")})
    return {path.name: path for path in found if not path.name.startswith((".", "_"))}


# ---- which roots there are -------------------------------------------------------------------------------------------

_included: list[Root] = []


@cache
def own_root() -> Root:
    """vtbench's own: the package in a wheel, the folder above it in a checkout."""
    return Root(PACKAGE if (PACKAGE / "benchmarks").is_dir() else PACKAGE.parent)


def roots() -> tuple[Root, ...]:
    """All roots: vtbench's own, those included, those of installed packages. No folder twice."""
    found = {root.folder: root for root in reversed((own_root(), *_included, *_installed()))}
    return tuple(reversed(found.values()))


def include(folder: str | Path, named_by: str = "include") -> Root:
    """Add a root for this process, and put its folder at the end of the import path. Adding it again changes nothing.

    Raises UsageError for a folder that does not exist or that holds neither a paper nor a data set.
    """
    try:
        path = Path(folder).expanduser().resolve()
        is_folder = path.is_dir()
    except (RuntimeError, ValueError, OSError) as error:  # ~nobody, a null byte, links in a circle, a name too long
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{named_by}: {folder}: is no path: {reason}; give a folder") from error
    root = Root(path, named_by)
    if not is_folder:
        siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        near = did_you_mean(path.name, siblings)
        what = "is a file, a folder is wanted" if path.exists() else "no such folder"
        raise UsageError(f"{named_by}: {path}: {what}{near}")
    if not root.papers() and not root.datasets():
        inside = path.name in ("benchmarks", "data_manifests")
        remedy = f"; give the folder above it, {path.parent}" if inside else "; see benchmarks/README.md"
        raise UsageError(f"{named_by}: {path}: holds no benchmarks/<paper>/ and no data_manifests/<data set>/{remedy}")
    if path not in [known.folder for known in (own_root(), *_included)]:
        _included.append(root)
        if str(path) not in sys.path:
            sys.path.append(str(path))  # last, so that it can hide no installed package
    return root


def included() -> tuple[Path, ...]:
    """The folders that were added, for another process to add."""
    return tuple(root.folder for root in _included)


@cache
def _installed() -> tuple[Root, ...]:
    """The roots of installed packages. Raises SpecError for an entry point that names no package with either folder."""
    if not _is_declared():
        return ()
    from importlib.metadata import entry_points

    try:
        entries = list(entry_points(group=GROUP))
    except Exception as error:  # a package with a broken entry_points.txt: importlib.metadata raises what comes
        raise SpecError(f"the entry points of installed packages ({GROUP}) cannot be read: {error}") from error
    found = []
    for entry in entries:
        named_by = f"entry point '{entry.name}' ({GROUP})"
        spec = find_spec(entry.value)
        folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        root = Root(folders[0].resolve(), named_by) if folders else None
        if root is None or not (root.papers() or root.datasets()):
            raise SpecError(
                f"{named_by}: '{entry.value}' is not a package with benchmarks/ or data_manifests/ in it; repair or "
                "remove the package that declares it"
            )
        found.append(root)
    return tuple(found)


def _is_declared() -> bool:
    """Whether an installed package may name the group. importlib.metadata says which, but takes as long to import as
    all papers take to read."""
    for folder in sys.path:
        for file in Path(folder or ".").glob("*-info/entry_points.txt"):  # .dist-info, .egg-info
            with contextlib.suppress(OSError):
                if GROUP.encode() in file.read_bytes():
                    return True
    return False


def papers() -> dict[str, tuple[Root, Path]]:
    """Paper -> its root and its folder, by name; the first root that defines it."""
    return _collected("paper", roots())[0]


def datasets() -> dict[str, tuple[Root, Path]]:
    """Data set -> its root and its folder, by name; the first root that defines it."""
    return _collected("data set", roots())[0]


def refuse_conflict(kind: Literal["paper", "data set"], name: str) -> None:
    """Raise SpecError, naming both, for a paper or a data set that two roots define."""
    conflict = _collected(kind, roots())[1].get(name)
    if conflict is not None:
        raise SpecError(conflict)


@cache
def _collected(kind: str, every: tuple[Root, ...]) -> tuple[dict[str, tuple[Root, Path]], dict[str, str]]:
    found: dict[str, tuple[Root, Path]] = {}
    conflicts = {}
    for root in every:
        for name, folder in (root.papers() if kind == "paper" else root.datasets()).items():
            if name in found:
                other, first = found[name]
                conflicts[name] = (
                    f"{shown(folder)} ({root.named_by}): the {kind} '{name}' is already defined by {shown(first)} "
                    f"({other.named_by}); rename one of the two folders"
                )
            else:
                found[name] = root, folder
    return dict(sorted(found.items())), conflicts


def shown(path: Path) -> str:
    """`path` as messages print it: "benchmarks/msca/table2.yaml" for our own, else from the working folder."""
    for base in (own_root().folder, Path.cwd()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return str(path)
