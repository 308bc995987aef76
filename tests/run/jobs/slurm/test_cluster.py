"""A table at smoke scale on a real SLURM: a job that runs into its time limit, and in one array a job that is requeued,
one that is killed and one whose time is up, end with the weights that they have without any of it. A job of two devices
runs into its limit, and the dry run of two nodes is done once.

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
from typing import Any

import pytest
import slurm_cluster
from slurm_cluster import ask, until

from vtbench.papers import select
from vtbench.papers.override import changed_rows
from vtbench.results.store import Store
from vtbench.run.jobs import progress
from vtbench.run.jobs.plan import Job, all_measurements, graph

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

TABLE, EPOCHS = "pst/table2c", "train.epochs=100"
COMMAND = ["--scale", "smoke", "--set", EPOCHS]
LIMIT = ["--slurm-time", "1", "--slurm-signal-delay-s", "20"]
OUT_OF_TIME = "out of time: the job waits in the queue again"
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if why := slurm_cluster.lacking():
        pytest.skip(why)
    with slurm_cluster.running(tmp_path_factory.mktemp("slurm"), cpus=4, nodes=2) as variables:
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


def once_it_trains(results: Path, job: Job, after: progress.State | None = None) -> Any:
    """How far a job is, once some epochs are done; `after` an earlier run of it."""
    found: list[progress.State] = []

    def trains() -> bool:
        state = progress.read(results / "runs" / f"train-{job.key}")
        if state is not None and state.phase == "train" and state.done >= 3 and state.since != (after and after.since):
            found.append(state)
        return bool(found)

    until(trains, 300, "it does not train")
    return found[0]


def slurm_does(cluster: dict[str, str], *command: str) -> None:
    subprocess.run(command, env=os.environ | cluster, check=True)


def restarts(cluster: dict[str, str], job: str) -> int:
    """How often a job was queued again."""
    return int(ask(cluster, "scontrol", "show", "job", job).partition("Restarts=")[2].split()[0])


def test_a_job_of_two_devices_writes_a_checkpoint_when_its_time_is_nearly_up(
    vtbench: Callable[..., Command], work: Path, cluster: dict[str, str]
) -> None:
    """This SLURM signals every process of a job, those of its devices too."""
    row, changed = "mmvit/table1:mm-vit-ii@sthv2", "train.epochs=400"
    (job,) = graph(all_measurements(changed_rows(select([row]), (), [changed]), "smoke", [0])).values()
    slurm = ["--results", "two", "--engine", "slurm", "--slurm-partition", "main", "--slurm-signal-delay-s", "10"]
    vtbench("run", row, "--scale", "smoke", "--set", changed, *slurm, "--devices", "2", "--detach").ends()
    first, sent_at = once_it_trains(work / "two", job), time.time()
    slurm_does(cluster, "scancel", "--signal=USR2", first.slurm)  # the signal that comes before a limit
    until(lambda: restarts(cluster, first.slurm) == 1, 60, "it is not queued again")
    assert (work / "two" / "runs" / f"train-{job.key}" / "last.ckpt").stat().st_mtime > sent_at
    second = once_it_trains(work / "two", job, after=first)
    assert second.done >= first.done
    slurm_does(cluster, "scontrol", "update", f"JobId={first.slurm}", "TimeLimit=1")
    until(lambda: restarts(cluster, first.slurm) == 2, 150, "it does not run into its limit")
    (log,) = (work / "two" / "runs" / "slurm").glob("*_log.out")
    assert log.read_text().count(OUT_OF_TIME) == 2
    vtbench("cancel", "--all", "--results", "two").ends()
    slurm_cluster.until_quiet(cluster)


def test_disturbed_jobs_end_with_the_weights_of_undisturbed_ones(
    vtbench: Callable[..., Command], work: Path, cluster: dict[str, str], jobs: dict[str, Job]
) -> None:
    results = work / "cluster"
    _, timed, requeued, killed, last = jobs
    slurm = ["--results", "cluster", "--engine", "slurm", "--slurm-partition", "main"]

    # One row alone, with a time limit that it cannot keep, and the whole table after it, which finds that one queued.
    said = vtbench("run", timed, *COMMAND, *slurm, *LIMIT, "--detach").ends()
    assert "2 training runs at SLURM" in said
    waiting = vtbench("run", TABLE, *COMMAND, *slurm)

    array = once_it_trains(results, jobs[requeued]).slurm.partition("_")[0]
    once_it_trains(results, jobs[killed])
    assert once_it_trains(results, jobs[last]).slurm == f"{array}_2"
    # The last element of an array has the id of the whole array as well.
    assert f"JobId={array} " in ask(cluster, "scontrol", "show", "job", f"{array}_2")
    slurm_does(cluster, "scancel", "--signal=USR2", f"{array}_2")  # as when its time is nearly up
    slurm_does(cluster, "scontrol", "requeue", f"{array}_0")
    vtbench("status", TABLE, "--results", "cluster").ends()
    shown = vtbench("status", TABLE, "--results", "cluster", "--format", "json").ends()
    (line,) = (entry for entry in json.loads(shown) if entry["title"] == killed)
    assert line["state"] == "running" and line["total"] == 100 and line["where"].startswith("SLURM job ")
    assert Path(line["log"]).exists()
    os.kill(once_it_trains(results, jobs[killed]).pid, signal.SIGKILL)

    said = waiting.ends(code=1)
    assert f"vtbench: {killed}: SLURM job " in said and "was killed by signal 9" in said
    assert f"{len(jobs) - 2} results written" in said and ", 1 failed" in said
    assert [restarts(cluster, f"{array}_{number}") for number in range(3)] == [1, 0, 1]
    logs = "".join(path.read_text() for path in (results / "runs" / "slurm").glob("*.out"))
    assert logs.count(OUT_OF_TIME) >= 2

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


def test_the_dry_run_of_two_nodes_is_done_once(vtbench: Callable[..., Command], work: Path) -> None:
    slurm = ["--results", "dry", "--engine", "slurm", "--slurm-partition", "main", "--num-nodes", "2"]
    said = vtbench("run", f"{TABLE}:stage-1", "--scale", "smoke", "--limit", "2", *slurm).ends()
    assert "\n3 parts ran on one of 2 devices" in said
    (log,) = (work / "dry" / "runs" / "slurm").glob("*_log.out")
    assert log.name.endswith("_0_log.out")
