"""What several test folders share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import encoded
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of benchmarks/ (with data_manifests/ beside it) that the spec side reads instead of the real one."""
    for name in ("benchmarks", "data_manifests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for module in ("locate", "load", "schema", "checks", "datasets"):
        monkeypatch.setattr(f"vtbench.spec.{module}.data_folder", lambda name: tmp_path / name)
    return tmp_path / "benchmarks"


@pytest.fixture
def edit(benchmarks: Path) -> Callable[[str, str, str], int]:
    """Replace text that occurs in a file of the copy ("msca/table2.yaml", old, new); gives the line it begins in."""

    def replace(file: str, old: str, new: str) -> int:
        path = benchmarks / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    return replace


@pytest.fixture(scope="session")
def two_second_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with AAC sound, 50 frames whose pixels carry their number (`encoded.read_number`)."""
    path = tmp_path_factory.mktemp("clip") / "two_seconds.mp4"
    return encoded.encode(path, encoded.numbered(50), options=encoded.x264(250, "bframes=3"), rate=25, sound=True)
