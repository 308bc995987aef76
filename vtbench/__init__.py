"""vtbench: every results table of four video-transformer papers as something that runs.

The names below are imported when they are first used: `import vtbench` alone imports no torch. Type checkers read
`__init__.pyi`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "CompressedReader": "vtbench.video.compressed",
    "VideoData": "vtbench.datasets",
    "VideoReader": "vtbench.video.decode",
    "assemble": "vtbench.run.protocol",
    "build": "vtbench.models",
    "build_data": "vtbench.datasets",
    "build_method": "vtbench.methods",
    "evaluate": "vtbench.run.protocol",
    "include": "vtbench.papers",
    "load_paper": "vtbench.papers",
    "measurements": "vtbench.papers",
    "read_results": "vtbench.results.table",
    "select": "vtbench.papers",
}
"""Name -> the module that it comes from."""

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'vtbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
