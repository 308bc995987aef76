"""Where a number came from: commit, versions, device, threads."""

from __future__ import annotations

import subprocess
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
    top = Path(__file__).resolve().parent.parent
    if not (top / ".git").exists():
        return None, None
    try:
        head = _git(top, "rev-parse", "HEAD")
        changed = _git(top, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
        return head, bool(changed or _git(top, "status", "--porcelain", "--", *READ))
    except (OSError, subprocess.CalledProcessError):
        return None, None


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


def environment() -> dict[str, Any]:
    """Commit, versions, device and CPU threads of this process, under the names that results.csv uses."""
    import torch

    head, dirty = commit()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "commit": head,
        "dirty": dirty,
        "versions": versions(),
        "device": device,
        "threads": torch.get_num_threads(),
    }
