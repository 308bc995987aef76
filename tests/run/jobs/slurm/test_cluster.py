"""A table at smoke scale on a real SLURM: a job that runs into its time limit, one that is requeued, one that is
killed, and one that is left alone end with the weights that they have without any of it.

    apt-get install slurmctld slurmd slurm-client munge
    pytest -m slurm tests/run/jobs/slurm
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import slurm_cluster
from slurm_cluster import ask, until

from vtbench.papers import select
from vtbench.papers.override import changed_rows
from vtbench.results.store import Store
from vtbench.run.jobs import progress
from vtbench.run.jobs.plan import Job, all_measurements, graph

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

TABLE, EPOCHS = "pst/table2c", "train.epochs=60"
COMMAND = ["--scale", "smoke", "--set", EPOCHS]
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if why := slurm_cluster.lacking():
        pytest.skip(why)
    with slurm_cluster.running(tmp_path_factory.mktemp("slurm"), cpus=4) as variables:
        yield variables


@pytest.fixture
def vtbench(work: Path, cluster: dict[str, str]) -> Callable[..., Command]:
    """vtbench(verb, ...): start the command in the working folder."""
    return lambda *arguments: Command(work, cluster, arguments)


class Command:
    """A command that runs, and what it has printed."""

    def __init__(self, work: Path, variables: dict[str, str], arguments: Sequence[str]) -> None:
        self.file = work / f"said-{time.monotonic_ns()}"
        environment = {**os.environ, **variables, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        with self.file.open("w") as out:
            command = [sys.executable, "-m", "vtbench", *arguments]
            self.process = subprocess.Popen(command, cwd=work, env=environment, stdout=out, stderr=out)

    def ends(self, code: int = 0) -> str:
        """Wait until it ends, with this exit code; gives what it printed."""
        found = self.process.wait(timeout=900)
        said = self.file.read_text()
        print(f"$ {shlex.join(self.process.args[2:])}\n{said}")  # type: ignore[arg-type, index]
        assert found == code
        return said


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    """The training runs of the table, by row; all of them start from one pretraining."""
    found = graph(all_measurements(changed_rows(select([TABLE]), (), [EPOCHS]), "smoke", [0]))
    return {job.measurements[0].row_id if job.measurements else "pretraining": job for job in found.values()}


def weights(results: Path, job: Job) -> str:
    """The hash of the weights of a finished training run, which its done.json names too."""
    folder = results / "runs" / f"train-{job.key}"
    sha256 = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert json.loads((folder / "done.json").read_text())["weights_sha256"] == sha256
    return sha256


def test_disturbed_jobs_end_with_the_weights_of_undisturbed_ones(
    vtbench: Callable[..., Command], work: Path, cluster: dict[str, str], jobs: dict[str, Job]
) -> None:
    results = work / "cluster"
    _, timed, requeued, killed, *_ = jobs
    slurm = ["--results", "cluster", "--engine", "slurm", "--slurm-partition", "main"]

    def state(row: str) -> progress.State | None:
        return progress.read(results / "runs" / f"train-{jobs[row].key}")

    def trains(row: str) -> bool:
        found = state(row)
        return found is not None and found.phase == "train" and found.done >= 3

    # One row alone, with a time limit that it cannot keep, and the whole table after it, which finds that one queued.
    limit = ["--slurm-time", "1", "--slurm-signal-delay-s", "10", "--detach"]
    said = vtbench("run", timed, *COMMAND, *slurm, *limit).ends()
    assert "2 training runs at SLURM" in said
    waiting = vtbench("run", TABLE, *COMMAND, *slurm)

    until(lambda: trains(requeued), 300, "it does not train")
    found = state(requeued)
    assert found is not None and found.slurm is not None
    subprocess.run(["scontrol", "requeue", found.slurm], env=os.environ | cluster, check=True)
    until(lambda: trains(killed), 300, "it does not train")
    vtbench("status", TABLE, "--results", "cluster").ends()
    shown = vtbench("status", TABLE, "--results", "cluster", "--format", "json").ends()
    (line,) = (entry for entry in json.loads(shown) if entry["title"] == killed)
    assert line["state"] == "running" and line["total"] == 60 and line["where"].startswith("SLURM job ")
    assert Path(line["log"]).exists()
    os.kill(int(state(killed).pid), signal.SIGKILL)  # type: ignore[union-attr]

    said = waiting.ends(code=1)
    assert f"vtbench: {killed}: SLURM job " in said and "was killed by signal 9" in said
    assert f"{len(jobs) - 2} results written" in said and ", 1 failed" in said
    restarts = ask(cluster, "scontrol", "show", "job", found.slurm)
    assert "Restarts=1" in restarts
    logs = "".join(path.read_text() for path in (results / "runs" / "slurm").glob("*.out"))
    assert logs.count("out of time: a checkpoint is written, the job waits in the queue again") >= 1

    said = vtbench("run", TABLE, *COMMAND, *slurm).ends()
    assert "1 results written" in said and f"{len(jobs) - 2} already there, 0 failed" in said

    vtbench("run", TABLE, *COMMAND, "--results", "undisturbed").ends()
    undisturbed = work / "undisturbed"
    assert {row: weights(results, job) for row, job in jobs.items()} == {
        row: weights(undisturbed, job) for row, job in jobs.items()
    }
    scores = [{r.id: (r.top1, r.top5) for r in Store(folder).read()} for folder in (results, undisturbed)]
    assert scores[0] == scores[1] and len(scores[0]) == len(jobs) - 1
    assert ask(cluster, "squeue", "-h") == ""
