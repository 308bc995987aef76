"""Where the papers, the manifests and the builders lie: inside an installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def data_folder(name: str) -> Path:
    """The folder `name` ("benchmarks", "data_manifests"): beside the modules in a wheel, one level up in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def shown(path: Path) -> str:
    """`path` as messages print it: "benchmarks/msca/table2.yaml", or what it is from the working folder."""
    for base in (data_folder("benchmarks").parent, data_folder("data_manifests").parent, Path.cwd()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return str(path)
