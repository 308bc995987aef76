"""Where a number came from: commit, versions, device, threads."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

READ = ("vtbench", "benchmarks", "data_manifests")
"""The folders of a checkout whose files are found by listing them."""

TRAINS = (
    "audio",
    "clips.py",
    "datasets",
    "evaluation",
    "layers",
    "methods",
    "models",
    "naming.py",
    "run",
    "video",
    "weights",
)
"""What of this package can change what a training gives. What it is asked for stands in its key."""

LIBRARIES = ("vtbench", "torch", "torchvision", "timm", "lightning", "torchmetrics", "av", "numpy")


@cache
def commit() -> tuple[str | None, bool | None]:
    """The git commit of the checkout that this package runs from, and whether what it runs differs from it: a tracked
    file outside results/, or a new file in one of the folders that are read.

    The answer of the first call stands for the whole process, so ask before anything runs: what is loaded is what stood
    there then. (None, None) where the package is not part of a checkout, an installed wheel for example.
    """
    top = Path(__file__).resolve().parents[2]
    if not (top / ".git").exists():
        return None, None
    try:
        head = _git(top, "rev-parse", "HEAD")
        changed = _git(top, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
        return head, bool(changed or _git(top, "status", "--porcelain", "--", *READ))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def outside(roots: Sequence[Path]) -> str | None:
    """Folders outside vtbench, each as `name@commit` (with `-dirty` where a tracked file differs from the commit, or a
    paper, a data set or a Python file is new), or, where git does not track it, as `name@sha256:` and 12 digits over
    its papers, data sets and Python files; None for no folder."""
    return ";".join(_state(root) for root in roots) or None


@cache
def _state(root: Path) -> str:
    """As the folder was when it was first asked for."""
    try:
        if _git(root, "ls-files", "--", "benchmarks", "data_manifests"):
            changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
            new = _git(root, "status", "--porcelain", "--", "benchmarks", "data_manifests", "*.py")
            return f"{root.name}@{_git(root, 'rev-parse', '--short=12', 'HEAD')}{'-dirty' if changed or new else ''}"
    except (OSError, subprocess.CalledProcessError):
        pass
    digest = hashlib.sha256()
    for path in sorted({*root.glob("benchmarks/**/*"), *root.glob("data_manifests/**/*"), *root.rglob("*.py")}):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            digest.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return f"{root.name}@sha256:{digest.hexdigest()[:12]}"


def _git(top: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(top), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@cache
def versions() -> str:
    """`name=version` of the libraries that can change a number, joined by semicolons."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name}={version(name)}")
        except PackageNotFoundError:
            continue
    return ";".join(found)


@cache
def code() -> str:
    """12 hex digits over the Python files of this package that a training runs through, as they were when it was first
    asked for: also where there is no commit, and where what changed since the commit is another matter."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(file for name in TRAINS for file in (package / name, *(package / name).rglob("*.py"))):
        if path.is_file() and path.relative_to(package).parts[:2] != ("run", "jobs"):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def other_than(end: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> str | None:
    """In what a training was begun or continued, as `commit=1a2b3c4d5e6f-dirty;torch=2.9.0;device=cpu;threads=4`: what
    differs from what it ended with, each once; None if nothing does. All of them as `vtbench.run.session.environment`
    gives, with the code and, as `engine`, the name and value of all that the engine may do differently."""
    found: dict[str, None] = {}
    last = _parts(end)
    for one in earlier:
        for name, value in _parts(one).items():
            if value != last.get(name):
                found[f"{name}={value}"] = None
    return ";".join(found) or None


def _parts(origin: Mapping[str, Any]) -> dict[str, str]:
    commit, versions = origin.get("commit"), dict(part.split("=", 1) for part in origin["versions"].split(";"))
    own = {
        "commit": f"{commit[:12]}{'-dirty' if origin.get('dirty') else ''}" if commit else None,
        "code": origin.get("code"),
        **versions,
        "device": origin.get("device"),
        "threads": origin.get("threads"),
        **origin.get("engine", {}),
    }
    return {name: _cell(value) for name, value in own.items() if value is not None}


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace(";", ",")


def software() -> dict[str, Any]:
    """Commit and versions of this process, under the names that results.csv uses."""
    head, dirty = commit()
    return {"commit": head, "dirty": dirty, "versions": versions()}
