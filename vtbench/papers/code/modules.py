"""Modules that specs name (`package.module:name`): where `import` would find them, without running them.

Also what code stands behind such names, as a hash: a training by a network of the user's is another one when its code
has changed.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from vtbench.errors import SpecError, did_you_mean

# ---- finding ---------------------------------------------------------------------------------------------------------


def find_spec(module: str) -> ModuleSpec | None:
    """What `import module` would find, without running the module or the packages above it."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    spec = _found(parts[0], None)
    for depth in range(2, len(parts) + 1):
        if spec is None or not (places := _folders(spec)):
            return None
        spec = _found(".".join(parts[:depth]), places)
    return spec


def _found(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        # PathFinder looks for the last part in `path`. Given the whole name of a package without __init__.py, it would
        # want the packages above it to be imported.
        asked = name.rpartition(".")[2] if finder is PathFinder else name
        spec: ModuleSpec | None = find(asked, path) if find else None
        if spec is not None:
            return spec
    return None


def _folders(spec: ModuleSpec) -> list[str]:
    """The folders of a package; none for a module."""
    places = spec.submodule_search_locations
    if places is None:
        return []
    # Of a package without __init__.py Python keeps a view that wants its parent to be imported.
    found: list[str] = list(getattr(places, "_path", places))
    return found


def module_file(module: str, home: Path | None = None) -> Path:
    """The source file of a module that a spec in the folder `home` names.

    Raises SpecError, without a place, for one that is not there, that has no source, or that is in `home` but hidden by
    another one of its name.
    """
    spec = find_spec(module)
    top = module.partition(".")[0]
    ours = PathFinder.find_spec(top, [str(home)]) if home is not None and top.isidentifier() else None
    if ours is not None and (used := find_spec(top)) is not None:
        taken = _locations(used)
        hidden = [place for place in _locations(ours) if place not in taken]
        if hidden and taken:
            raise SpecError(f"module '{top}' is {taken[0]}, which hides {hidden[0]}; rename the latter")
    if spec is None:
        near = did_you_mean(module.rpartition(".")[2], sorted(_siblings(module, home)))
        where = f" in {home} or among the installed packages" if home else " among the installed packages"
        raise SpecError(f"no module '{module}'{where}{near}")
    if not spec.origin or not spec.origin.endswith(".py"):
        raise SpecError(f"module '{module}' has no Python source to read a signature from")
    return Path(spec.origin)


def _locations(spec: ModuleSpec) -> list[Path]:
    """The folders of a package, the file of a module; links followed."""
    places = _folders(spec) or ([spec.origin] if spec.origin else [])
    return [Path(place).resolve() if Path(place).exists() else Path(place) for place in places]


def _siblings(module: str, home: Path | None) -> set[str]:
    """Names of modules that stand where `module` was looked for."""
    parent = module.rpartition(".")[0]
    spec = find_spec(parent) if parent else None
    found = set()
    for folder in map(Path, _folders(spec) if spec else [str(home)] if home else []):
        found |= {path.stem for path in folder.glob("*.py")}
        found |= {path.parent.name for path in folder.glob("*/*.py")}
    return found


# ---- the code behind names -------------------------------------------------------------------------------------------


def sources(module: str, folders: Sequence[Path]) -> list[Path]:
    """The source files of a module and of all that it imports from the same of `folders`, sorted; none for a module
    that lies in none of them."""
    return sorted(_closure(module, tuple(folders)))


@cache
def _closure(module: str, folders: tuple[Path, ...]) -> frozenset[Path]:
    found: set[Path] = set()
    waiting = [module]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])  # importing a module runs the packages above it
        spec = find_spec(name)
        file = Path(spec.origin).resolve() if spec and spec.origin and spec.origin.endswith(".py") else None
        if file is None or file in found or not any(file.is_relative_to(folder) for folder in folders):
            continue
        found.add(file)
        waiting += _imports(file, name, is_package=spec is not None and spec.submodule_search_locations is not None)
    return frozenset(found)


def _imports(file: Path, module: str, *, is_package: bool) -> Iterator[str]:
    """The modules that a file may import, at its top or anywhere in it."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return  # reported where its signature is read
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(node, module, is_package=is_package)
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """The full name of the module that `from ... import` in `module` names."""
    if not node.level:
        return node.module or ""
    package = module.split(".")
    package = package[: len(package) - node.level + is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def digest_of(files: Iterable[Path], folders: Sequence[Path]) -> str | None:
    """12 hex digits over files, each by its path from the folder that it is in and its content; None for no file."""
    digest = hashlib.sha256()
    names = {}
    for file in files:
        folder = next(folder for folder in folders if file.is_relative_to(folder))
        names[file.relative_to(folder).as_posix()] = file
    for name, file in sorted(names.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12] if names else None
