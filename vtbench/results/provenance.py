"""Where a number came from: commit, versions, device, threads."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

READ = ("vtbench", "benchmarks", "data_manifests")
"""The folders of a checkout whose files are found by listing them."""

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


def software() -> dict[str, Any]:
    """Commit and versions of this process, under the names that results.csv uses."""
    head, dirty = commit()
    return {"commit": head, "dirty": dirty, "versions": versions()}
