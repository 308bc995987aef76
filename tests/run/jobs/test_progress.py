"""progress.json: what it says while a job runs, when it fails, and when its process is gone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import DataError
from vtbench.files import utc_now
from vtbench.papers import select
from vtbench.results import folders
from vtbench.run.jobs import progress
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.workers import run_job
from vtbench.run.reporting import START
from vtbench.run.settings import Settings


@pytest.fixture
def job() -> Job:
    return list(graph(all_measurements(select(["pst/table2c:stage-1"]), "smoke", [1])).values())[-1]


def read(job: Job, results: Path) -> progress.State | None:
    return progress.read(folders.training_folder(results, job.key))


def begun(job: Job, results: Path) -> progress.Recorder:
    """That of a process which has the run folder."""
    recorder = progress.Recorder(job, results)
    recorder.progress(START, 0, 0, None)
    return recorder


def run(job: Job, results: Path, monkeypatch: pytest.MonkeyPatch, work: Any) -> Any:
    monkeypatch.setattr("vtbench.run.train.train", work)
    monkeypatch.setattr("vtbench.run.evaluate.evaluate", lambda *_, **__: {})
    return run_job(job, Settings(results=results), [], lambda *_: None)


def test_it_says_how_far_a_job_is_and_where_it_runs(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def train(training: Any, settings: Any, report: Any, notice: Any) -> None:
        monkeypatch.setattr(progress, "NEW_EPOCH_S", 0.0)
        assert read(job, tmp_path) is None, "it may have to wait for another run"
        report(START, 0, 0, None)
        seen.append(read(job, tmp_path))
        report("train", 1, 9, 0.5)
        seen.append(read(job, tmp_path))
        notice("a.mp4 is cut")
        report("train", 2, 9, None)
        seen.append(read(job, tmp_path))

    assert run(job, tmp_path, monkeypatch, train).error is None
    assert [(one.phase, one.done, one.total, one.loss) for one in seen if one] == [
        ("start", 0, 0, None),
        ("train", 1, 9, 0.5),
        ("train", 2, 9, 0.5),
    ]
    assert seen[2] and seen[2].notices == ("a.mp4 is cut",)
    first = seen[0]
    assert first is not None and (first.rows, first.scale, first.seed) == (("pst/table2c:stage-1",), "smoke", 1)
    assert first.pid == os.getpid() and progress.is_alive(first, tmp_path)
    assert read(job, tmp_path) is None, "it is gone when the job has succeeded"


def test_a_failure_stays_with_its_reason(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(training: Any, settings: Any, report: Any, notice: Any) -> None:
        raise DataError("no folder")

    assert run(job, tmp_path, monkeypatch, train).error == "no folder"
    found = read(job, tmp_path)
    assert found is not None and (found.error, found.exit_code) == ("no folder", 2)
    assert not progress.is_alive(found, tmp_path)


def test_it_is_not_written_more_often_than_is_read(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = progress.Recorder(job, tmp_path)
    recorder._written -= 2
    for done in range(1, 100):
        recorder.progress("train", done, 100, 1.0)
    found = read(job, tmp_path)
    assert found is not None and found.done == 1


def test_a_folder_that_cannot_be_written_is_left_to_the_job(job: Job, tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    progress.Recorder(job, tmp_path).ended("x", 1)


def test_a_process_that_is_gone_is_not_alive(job: Job, tmp_path: Path) -> None:
    script = "import sys; from vtbench.run.jobs.progress import process_start; import os; print(os.getpid(), process_start(os.getpid()))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    pid, started = map(int, done.stdout.split())
    begun(job, tmp_path)
    file = folders.training_folder(tmp_path, job.key) / progress.PROGRESS
    mine = json.loads(file.read_text())
    file.write_text(json.dumps(mine | {"pid": pid, "started": started}))
    gone = read(job, tmp_path)
    assert gone is not None and not progress.is_alive(gone, tmp_path)
    file.write_text(json.dumps(mine | {"started": mine["started"] + 1}))
    later = read(job, tmp_path)
    assert later is not None and not progress.is_alive(later, tmp_path), "another process of the same id"


def test_of_another_machine_it_counts_when_it_was_written(job: Job, tmp_path: Path) -> None:
    begun(job, tmp_path)
    file = folders.training_folder(tmp_path, job.key) / progress.PROGRESS
    mine = json.loads(file.read_text()) | {"host": "elsewhere", "pid": 1}
    for at, alive in ((utc_now(), True), ("2020-01-01T00:00:00Z", False)):
        file.write_text(json.dumps(mine | {"at": at}))
        found = read(job, tmp_path)
        assert found is not None and progress.is_alive(found, tmp_path) == alive


def test_of_another_machine_it_counts_that_it_holds_the_folder(job: Job, tmp_path: Path) -> None:
    """Inside an epoch it may write nothing for hours."""
    begun(job, tmp_path)
    folder = folders.training_folder(tmp_path, job.key)
    found = read(job, tmp_path)
    assert found is not None
    silent = dataclasses.replace(found, host="elsewhere", at="2020-01-01T00:00:00Z")
    assert not progress.is_alive(silent, folder)
    with folders.locked(folder):
        assert progress.is_alive(silent, folder)


def of_another(job: Job, results: Path, **changed: Any) -> progress.State:
    """progress.json of the process that started this one, which lives."""
    begun(job, results)
    file = folders.training_folder(results, job.key) / progress.PROGRESS
    pid = os.getppid()
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"pid": pid, "started": progress.process_start(pid)} | changed)
    )
    found = read(job, results)
    assert found is not None
    return found


def test_who_waits_for_another_process_leaves_its_file_alone(job: Job, tmp_path: Path) -> None:
    others = of_another(job, tmp_path)
    waiting = progress.Recorder(job, tmp_path)
    waiting.notice("another run is at work in it")
    waiting.ended("it was cancelled", 1)
    assert read(job, tmp_path) == others
    waiting.ended(None, 0)
    assert read(job, tmp_path) == others
    waiting.progress(START, 0, 0, None)  # now it has the folder
    found = read(job, tmp_path)
    assert found is not None and found.pid == os.getpid()
    assert found.notices == ("another run is at work in it",)


def test_what_a_process_that_is_gone_left_is_replaced_or_removed(job: Job, tmp_path: Path) -> None:
    of_another(job, tmp_path, started=1)
    progress.Recorder(job, tmp_path).ended("it was killed", 1)
    found = read(job, tmp_path)
    assert found is not None and found.error == "it was killed"
    progress.Recorder(job, tmp_path).ended(None, 0)
    assert read(job, tmp_path) is None, "the failure, too"


def test_a_job_of_slurm_that_is_over_failed_however_lately_it_wrote(job: Job, tmp_path: Path) -> None:
    others = of_another(job, tmp_path, host="n1", slurm="12_0", at=utc_now())
    progress.Recorder(job, tmp_path).ended("no", 1)
    assert read(job, tmp_path) == others
    progress.Recorder(job, tmp_path).ended("it ran into its time limit", 1, of_slurm=True)
    found = read(job, tmp_path)
    assert found is not None and found.error == "it ran into its time limit"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": 1}', '{"rows": [], "key": "x"}', "\0"])
def test_a_damaged_file_is_none(job: Job, tmp_path: Path, text: str) -> None:
    folder = folders.training_folder(tmp_path, job.key)
    folder.mkdir(parents=True)
    (folder / progress.PROGRESS).write_text(text)
    assert progress.read(folder) is None


@pytest.mark.parametrize(
    "wrong",
    [{"pid": -1, "started": None}, {"pid": 0}, {"pid": "1"}, {"loss": "x"}, {"at": "x", "host": "elsewhere"},
     {"seed": []}, {"rows": [1]}, {"since": None}],
)  # fmt: skip
def test_a_file_with_what_no_run_writes_is_none(job: Job, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """`vtbench cancel` would send SIGTERM to pid -1: every process of the user."""
    begun(job, tmp_path)
    file = folders.training_folder(tmp_path, job.key) / progress.PROGRESS
    assert progress.read(file.parent) is not None
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    assert progress.read(file.parent) is None


def test_only_the_first_of_several_processes_writes(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    begun(job, tmp_path)
    assert read(job, tmp_path) is None


def test_an_element_of_an_array_is_named_as_squeue_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert progress.own_slurm_job() == "14"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert progress.own_slurm_job() == "12_0"
