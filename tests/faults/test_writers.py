"""Many processes on one results folder: no line is lost, doubled or torn, and no result is mixed."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import processes
import pytest

from vtbench.results.store import Store

pytestmark = [pytest.mark.fault, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
WRITERS, LINES, RUNS = 8, 1000, 4
TABLE, ROW = "msca/table2", "msca/table2:vit"


def start(mark: str, folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=processes.environment(mark),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(mark: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    return start(mark, folder, "-m", "vtbench", "run", *words, "--scale", "smoke", "--results", "results")


def end(started: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = started.communicate(timeout=900)
    return started.returncode, out + err


def test_eight_writers_and_four_runs_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    mark, shared = uuid.uuid4().hex, processes.shared_memory()
    results = str(tmp_path / "results")
    writers = [start(mark, tmp_path, str(HERE / "writer.py"), results, str(n), str(LINES)) for n in range(WRITERS)]
    runs = [run(mark, tmp_path, TABLE, "--workers", "1") for _ in range(RUNS)]
    for one in (*writers, *runs):
        code, said = end(one)
        assert code == 0, said
    lines = Store(results).read()  # raises for a torn line
    counts = Counter((r.id, r.measurement, r.scale, r.seed) for r in lines)
    assert not {place: count for place, count in counts.items() if count > 1}, "a line twice"
    rows = {r.id for r in lines if r.scale == "smoke"}
    assert len(counts) == WRITERS * LINES + len(rows) and len(rows) == 9
    for number in range(WRITERS):
        seeds = [r.seed for r in lines if r.id == f"writers/table1:{number}"]
        assert seeds == list(range(LINES)), "in the order they were appended"
    processes.seconds_until_gone(mark, 60)
    assert not processes.abandoned(shared)


def test_four_runs_that_start_over_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    code, said = end(run(mark, tmp_path, ROW))
    assert code == 0, said
    (first,) = Store(tmp_path / "results").read()
    for code, said in map(end, [run(mark, tmp_path, ROW, "--again") for _ in range(RUNS)]):
        assert code == 0 or "another run is at work in it" in said, said
        assert "Traceback" not in said, said
    lines = Store(tmp_path / "results").read()
    assert {r.weights_sha256 for r in lines} == {first.weights_sha256}, "whoever trained, these are the weights"
    assert {(r.top1, r.evaluation_key) for r in lines} == {(first.top1, first.evaluation_key)}
    assert 2 <= len(lines) <= 1 + RUNS
    last = tmp_path / "results" / "runs" / f"train-{first.training_key}"
    assert (last / "done.json").exists() and not (last / "last.ckpt").exists()
    processes.seconds_until_gone(mark, 60)
