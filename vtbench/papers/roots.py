"""The folders that papers and data sets are read from: vtbench's own, and those that a user adds.

A root holds `benchmarks/` (one folder per paper), `data_manifests/` (one folder per data set), or both. There are three
ways in: the root of vtbench itself, `include` (`--include DIR`, or `include: [DIR]` in vtbench.yaml), and installed
packages that name themselves under the entry point group `vtbench.papers`.

What a spec names as `package.module:name` is looked up here too, as `import` would find it but without running it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from vtbench.errors import SpecError, UsageError, did_you_mean

PACKAGE = Path(__file__).resolve().parent.parent
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
    return {path.name: path for path in sorted({found.parent for found in parent.glob(f"*/{wanted}")})}


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
    path = Path(folder).expanduser().resolve()
    root = Root(path, named_by)
    if not path.is_dir():
        siblings = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        near = did_you_mean(path.name, siblings) if siblings else ""
        what = "is a file, a folder is wanted" if path.exists() else "no such folder"
        raise UsageError(f"{named_by}: {path}: {what}{near if 'did you mean' in near else ''}")
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

    found = []
    for entry in entry_points(group=GROUP):
        named_by = f"entry point '{entry.name}' ({GROUP})"
        spec = find_spec(entry.value)
        folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        root = Root(folders[0].resolve(), named_by) if folders else None
        if root is None or not (root.papers() or root.datasets()):
            raise SpecError(
                f"{named_by}: '{entry.value}' is no package with benchmarks/ or data_manifests/ in it; repair or "
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
    """Paper -> its root and its folder, by name. Raises SpecError where two roots define one paper."""
    return _across("paper")


def datasets() -> dict[str, tuple[Root, Path]]:
    """Data set -> its root and its folder, by name. Raises SpecError where two roots define one data set."""
    return _across("data set")


def _across(kind: str) -> dict[str, tuple[Root, Path]]:
    return _collected(kind, roots())


@cache
def _collected(kind: str, every: tuple[Root, ...]) -> dict[str, tuple[Root, Path]]:
    found: dict[str, tuple[Root, Path]] = {}
    for root in every:
        for name, folder in (root.papers() if kind == "paper" else root.datasets()).items():
            if name in found:
                other, first = found[name]
                raise SpecError(
                    f"{shown(folder)} ({root.named_by}): the {kind} '{name}' is already defined by {shown(first)} "
                    f"({other.named_by}); rename one of the two folders"
                )
            found[name] = root, folder
    return dict(sorted(found.items()))


def shown(path: Path) -> str:
    """`path` as messages print it: "benchmarks/msca/table2.yaml" for our own, else from the working folder."""
    for base in (own_root().folder, Path.cwd()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return str(path)


# ---- modules that specs name -----------------------------------------------------------------------------------------


def find_spec(module: str) -> ModuleSpec | None:
    """What `import module` would find, without running the module or the packages above it."""
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        if depth > 1 and (spec is None or spec.submodule_search_locations is None):
            return None
        path = None if depth == 1 or spec is None else list(spec.submodule_search_locations or ())
        spec = _found(".".join(parts[:depth]), path)
    return spec


def _found(name: str, path: list[str] | None) -> ModuleSpec | None:
    if not name.rpartition(".")[2].isidentifier():
        return None
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find(name, path) if find else None
        if spec is not None:
            return spec
    return None


def module_file(module: str) -> Path:
    """The source file of a module. Raises SpecError, without a place, for one that is not there, that has no source,
    or that an installed module of the same name hides."""
    spec = find_spec(module)
    top = module.partition(".")[0]
    # Of two that are called alike, the one earlier on the import path hides the other.
    local = [place for root in _included for place in _places(root.folder, top)]
    used = find_spec(top) if local else None
    taken = _locations(used) if used else []
    hidden = [place for place in local if place not in taken]
    if hidden and taken:
        raise SpecError(f"module '{top}' is {taken[0]}, which hides {hidden[0]}; rename the latter")
    if spec is None:
        near = did_you_mean(module.rpartition(".")[2], sorted(_siblings(module)))
        folders = ", ".join(str(root.folder) for root in _included)
        where = f" in {folders} or among the installed packages" if folders else " among the installed packages"
        raise SpecError(f"no module '{module}'{where}{near if 'did you mean' in near else ''}")
    if not spec.origin or not spec.origin.endswith(".py"):
        raise SpecError(f"module '{module}' has no Python source to read a signature from")
    return Path(spec.origin)


def _places(folder: Path, name: str) -> Iterator[Path]:
    if (folder / name).is_dir():
        yield folder / name
    if (folder / f"{name}.py").is_file():
        yield folder / f"{name}.py"


def _locations(spec: ModuleSpec) -> list[Path]:
    """The folders of a package, the file of a module."""
    places = list(spec.submodule_search_locations or ()) or ([spec.origin] if spec.origin else [])
    return [Path(place).resolve() if Path(place).exists() else Path(place) for place in places]


def _siblings(module: str) -> set[str]:
    """Names of modules that stand where `module` was looked for."""
    parent, _, _ = module.rpartition(".")
    spec = find_spec(parent) if parent else None
    folders = list(spec.submodule_search_locations or ()) if spec else [str(root.folder) for root in _included]
    found = set()
    for folder in map(Path, folders):
        found |= {path.stem for path in folder.glob("*.py")}
        found |= {path.parent.name for path in folder.glob("*/*.py")}
    return found


def roots_of_module(module: str) -> tuple[Root, ...]:
    """The root that a module of this name lies in, if it lies in one that is not vtbench's own."""
    spec = find_spec(module)
    file = Path(spec.origin).resolve() if spec and spec.origin else None
    return tuple(root for root in roots() if not root.own and file is not None and file.is_relative_to(root.folder))
