"""What several test folders share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vtbench.spec import load as spec_load

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of benchmarks/ that the spec side reads instead of the real one, to be broken at will."""
    root = tmp_path / "benchmarks"
    shutil.copytree(REPOSITORY / "benchmarks", root)
    shutil.copytree(REPOSITORY / "data_manifests", tmp_path / "data_manifests")
    for module in ("locate", "load", "sources", "manifests"):
        monkeypatch.setattr(f"vtbench.spec.{module}.data_folder", lambda name: tmp_path / name)
    spec_load._load_paper.cache_clear()
    yield root
    spec_load._load_paper.cache_clear()
