"""The names that `vtbench` exports: what a notebook may rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vtbench

NAMES = {
    "CompressedReader", "VideoData", "VideoReader", "assemble", "build", "build_data", "build_method", "evaluate",
    "include", "load_paper", "measurements", "read_results", "select", "__version__",
}  # fmt: skip


def test_these_are_the_public_names_and_all_are_there() -> None:
    assert set(vtbench.__all__) == NAMES <= set(dir(vtbench))
    assert all(getattr(vtbench, name) is not None and getattr(vtbench, name).__doc__ for name in NAMES)
    with pytest.raises(AttributeError, match="module 'vtbench' has no attribute 'evalute'"):
        vtbench.evalute  # noqa: B018


def test_these_places_stay() -> None:
    from vtbench.datasets import build_data
    from vtbench.methods import build_method
    from vtbench.models import build
    from vtbench.video.compressed import CompressedReader
    from vtbench.video.decode import VideoReader

    assert (vtbench.build, vtbench.build_data, vtbench.build_method) == (build, build_data, build_method)
    assert (vtbench.VideoReader, vtbench.CompressedReader) == (VideoReader, CompressedReader)


def test_importing_vtbench_imports_nothing_of_it() -> None:
    code = "import sys, vtbench; assert not [m for m in sys.modules if m.startswith('vtbench.') or m == 'torch']"
    subprocess.run([sys.executable, "-c", code], check=True)
