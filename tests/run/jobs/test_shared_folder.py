"""Several runs on one results folder: who waits says for whom, and nobody's run folder is renamed under him."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from scored import write_trained

from vtbench.papers import measurements, select
from vtbench.results import folders
from vtbench.run.jobs import launch, progress
from vtbench.run.jobs.plan import graph
from vtbench.run.jobs.workers import run_job
from vtbench.run.settings import Settings
from vtbench.run.train import train

VIT = "msca/table2:vit"


def test_again_does_not_touch_a_folder_that_another_run_is_at_work_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (measurement,) = measurements(select([VIT])[0], "smoke")
    trained = folders.training_folder(tmp_path, measurement.evaluation.training.key)
    tested = folders.evaluation_folder(tmp_path, measurement.evaluation.key)
    trained.mkdir(parents=True)
    for at_work in (trained, tested):
        with folders.locked(at_work):
            outcome = launch.run(select([VIT]), Settings(results=tmp_path), "smoke", [0], again=True, workers=1)
        (failure,) = [one for one in outcome.failed if one.title == VIT]
        assert failure.reason.startswith(f"{at_work}: another run is at work in it since ")
        assert failure.exit_code == 1
        assert {path.name for path in (tmp_path / "runs").glob(f"{trained.name}*")} == {trained.name}


def test_a_training_that_waits_for_another_run_says_for_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    training = measurements(select([VIT])[0], "smoke")[0].evaluation.training
    folder = folders.training_folder(tmp_path, training.key)
    said: list[str] = []
    waits = threading.Event()

    def notice(text: str) -> None:
        said.append(text)
        waits.set()

    waiter = threading.Thread(target=train, args=(training, Settings(results=tmp_path)), kwargs={"notice": notice})
    with folders.locked(folder):
        holder = folders.read_json(folder / folders.LOCK)
        waiter.start()
        assert waits.wait(30)
        # What the other run leaves behind, so that there is nothing to train.
        write_trained(tmp_path, training.key)
    waiter.join(30)
    by = f"since {holder['since']}, pid {os.getpid()}, host {holder['host']}"
    assert said == [f"another run is at work in it {by}"] and not waiter.is_alive()


def test_a_job_that_waits_for_another_run_writes_no_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vtbench status` and `cancel` would take it for the one at work."""
    monkeypatch.chdir(tmp_path)
    job = next(iter(graph(measurements(select([VIT])[0], "smoke")).values()))
    folder = folders.training_folder(tmp_path, job.key)
    waits = threading.Event()
    arguments = (job, Settings(results=tmp_path), [], lambda *_: None, lambda text: waits.set())
    waiter = threading.Thread(target=run_job, args=arguments)
    with folders.locked(folder):
        waiter.start()
        assert waits.wait(30)
        assert progress.read(folder) is None
        write_trained(tmp_path, job.key)
    waiter.join(30)
    assert progress.read(folder) is None and not waiter.is_alive()
