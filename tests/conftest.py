"""What several test folders share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import encoded
import lab
import pytest

from vtbench.papers import roots

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.pop("COLUMNS", None)  # pytest-xdist gives its workers 80; what commands print goes into a pipe
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a script; commands would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of benchmarks/ (with data_manifests/ beside it) that the paper side reads instead of the real one."""
    for name in ("benchmarks", "data_manifests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    monkeypatch.setattr(roots, "own_root", lambda: roots.Root(tmp_path))
    return tmp_path / "benchmarks"


@pytest.fixture
def include(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., roots.Root]]:
    """`include` for this test alone: folders, import path and modules of the user's are forgotten afterwards."""
    monkeypatch.setattr(roots, "_included", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)

    def forget() -> None:
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if not file.startswith((sys.prefix, sys.base_prefix)) and not name.startswith("vtbench"):
                del sys.modules[name]

    yield roots.include
    forget()


@pytest.fixture
def own_paper(tmp_path: Path, include: Callable[..., roots.Root]) -> Callable[..., Path]:
    """own_paper(rows, paper=..., defaults=...): an included folder with the paper `lab` (see lab.py); gives the
    folder."""

    def write(rows: str = lab.ROW, *, name: str = "lab", **texts: str) -> Path:
        folder = lab.write(tmp_path / name, rows, **texts)
        include(folder)
        return folder

    return write


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


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` does its jobs in this process, one after the other: for tests of what comes before and after them. A worker
    process takes seconds to start."""
    from vtbench.run.jobs import launch, workers

    def run_jobs(jobs: Any, settings: Any, *, workers: int, on_progress: Any, on_notice: Any) -> Iterator[Any]:
        failed = set()
        for key, job in jobs.items():
            if job.needs in failed:
                result = after_failure(job)
            else:
                result = run_job(job, settings, [], partial(on_progress, key), partial(on_notice, key))
            if result.error is not None:
                failed.add(key)
            yield result

    run_job, after_failure = workers.run_job, workers.after_failure
    monkeypatch.setattr(launch, "run_jobs", run_jobs)


@pytest.fixture(scope="session")
def two_second_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with AAC sound, 50 frames whose pixels carry their number (`encoded.read_number`)."""
    path = tmp_path_factory.mktemp("clip") / "two_seconds.mp4"
    return encoded.encode(path, encoded.numbered(50), options=encoded.x264(250, "bframes=3"), rate=25, sound=True)


@pytest.fixture(scope="module")
def one_working_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A working folder for all tests of a file: synthetic sets are generated below it, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        yield


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that a test synchronises to the disk, in their order."""
    found: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    return found
