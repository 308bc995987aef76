"""`vtbench status` and `vtbench cancel`, over run folders of jobs that run, wait, failed and stopped."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm
from scored import write_trained

from vtbench.cli import main
from vtbench.files import utc_now
from vtbench.papers import select
from vtbench.results import folders
from vtbench.run.jobs import progress
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.slurm.engine import SUBMITTED, Submitted, folder_of


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "runs").mkdir(parents=True)
    return tmp_path / "results"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    made = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.fixture
def job() -> Job:
    return list(graph(all_measurements(select(["pst/table2c:stage-1"]), "smoke", [0])).values())[-1]


@pytest.fixture
def other() -> Job:
    return list(graph(all_measurements(select(["pst/table2c:stage-1"]), "smoke", [1])).values())[-1]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Some process, which ends by itself."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield started
    started.kill()
    started.wait()


def record(job: Job, results: Path, **changed: Any) -> Path:
    """progress.json, as a process that trains left it; gives the run folder."""
    progress.Recorder(job, results).progress("train", 0, 0, None)
    folder = folders.training_folder(results, job.key)
    state = progress.read(folder)
    assert state is not None
    state = dataclasses.replace(state, phase="train", done=3, total=9, loss=1.5, **changed)
    (folder / progress.PROGRESS).write_text(json.dumps(dataclasses.asdict(state)))
    return folder


def submit(job: Job, results: Path, number: str) -> None:
    log = str(folder_of(results) / f"{number}_0_log.out")
    sent = Submitted(
        id=number, log=log, title=job.title, rows=("pst/table2c:stage-1",), scale="smoke", seed=0, at=utc_now()
    )
    folders.write_json(folders.training_folder(results, job.key) / SUBMITTED, dataclasses.asdict(sent))


def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["status", *arguments, "--format", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_nothing_is_said_to_run_where_nothing_does(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "nothing runs, waits, failed or stopped\n"
    assert status(capsys) == []


def test_a_process_of_this_machine_runs_until_it_is_gone(
    results: Path, job: Job, process: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    record(job, results, pid=process.pid, started=progress.process_start(process.pid))
    (line,) = status(capsys)
    assert (line["state"], line["title"], line["phase"]) == ("running", "pst/table2c:stage-1", "train")
    assert (line["done"], line["total"], line["loss"], line["pid"]) == (3, 9, 1.5, process.pid)
    process.kill()
    process.wait()
    (line,) = status(capsys)
    assert (line["state"], line["done"], line["pid"]) == ("stopped", 3, None)


def test_a_failed_job_is_listed_with_its_reason(results: Path, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record(job, results, error="no folder", exit_code=2)
    (folder / "error.txt").touch()
    (line,) = status(capsys)
    assert (line["state"], line["reason"], line["log"]) == (
        "failed",
        "no folder",
        "results/runs/" + folder.name + "/error.txt",
    )
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "pst/table2c:stage-1: no folder"


def test_jobs_of_slurm_wait_run_and_end(
    results: Path, fake: FakeSlurm, job: Job, other: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(job, results, "12_0")
    submit(other, results, "12_1")
    record(other, results, slurm="12_1", host="n1")
    fake.queue("12_0|PENDING||Resources|N/A\n12_1|RUNNING|n1|None|x\n")
    running, waiting = status(capsys)
    assert (waiting["state"], waiting["where"], waiting["reason"]) == ("queued", "SLURM job 12_0", "pending: Resources")
    assert (running["state"], running["where"], running["done"]) == ("running", "SLURM job 12_1 on n1", 3)
    assert running["log"] == str(folder_of(results) / "12_1_0_log.out")
    fake.queue("12_1|RUNNING|n1|None|x\n")
    fake.job("JobState=TIMEOUT ExitCode=0:15 Reason=TimeLimit NodeList=n2")
    _, ended = status(capsys)
    assert ended["state"] == "failed" and ended["reason"].startswith("SLURM job 12_0 on n2 ran into its time limit")


def test_a_selector_leaves_out_other_rows(results: Path, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    record(job, results, started=1)
    assert [line["training"] for line in status(capsys, "pst/table2c")] == [job.key]
    assert status(capsys, "pst/table2a") == []


def test_folders_that_were_set_aside_or_are_done_are_not_listed(
    results: Path, job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(job, results, started=1)
    folders.set_aside(folder)
    assert status(capsys) == []
    folders.write_json(write_trained(results, job.key) / folders.CONFIG, {})
    assert status(capsys) == []


def test_cancel_ends_the_process_that_runs_a_row(
    results: Path, job: Job, process: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    record(job, results, pid=process.pid, started=progress.process_start(process.pid))
    assert main(["cancel", "pst/table2a"]) == 0
    assert capsys.readouterr().out == "nothing of these runs or waits\n"
    assert process.poll() is None
    assert main(["cancel", "pst/table2c:stage-1"]) == 0
    assert capsys.readouterr().out.startswith("cancelled pst/table2c:stage-1, smoke scale, seed 0 (")
    assert process.wait(timeout=10) == -signal.SIGTERM


def test_cancel_leaves_alone_a_process_that_has_taken_the_number(
    results: Path, job: Job, process: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    started = progress.process_start(process.pid)
    assert started is not None
    record(job, results, pid=process.pid, started=started - 1)
    assert main(["cancel", "--all"]) == 0
    assert capsys.readouterr().out == "nothing of these runs or waits\n"
    assert process.poll() is None


def test_cancel_says_where_it_has_to_be_called(results: Path, job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    record(job, results, host="elsewhere", pid=7)
    assert main(["cancel", "--all"]) == 1
    assert capsys.readouterr().err == (
        "vtbench: pst/table2c:stage-1: it runs elsewhere (elsewhere, pid 7); cancel it there\n"
    )


def test_cancel_takes_jobs_from_the_queue(
    results: Path, fake: FakeSlurm, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(job, results, "12_0")
    fake.queue("12_0|PENDING||Resources|N/A\n")
    assert main(["cancel", "pst"]) == 0
    assert capsys.readouterr().out == "cancelled pst/table2c:stage-1, smoke scale, seed 0 (SLURM job 12_0)\n"
    assert fake.calls("scancel") == ["--quiet 12_0"]
    assert status(capsys) == []


@pytest.mark.parametrize("arguments", [[], ["pst", "--all"]])
def test_cancel_wants_a_selector_or_all(
    results: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cancel", *arguments]) == 2
    assert capsys.readouterr().err.startswith("vtbench: cancel needs a selector, or --all")
