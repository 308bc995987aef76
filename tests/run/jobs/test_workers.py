"""Jobs and worker processes: the order, what fails with what, and errors as results. Only one test starts a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import DataError
from vtbench.papers import select
from vtbench.run.jobs import workers
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.workers import JobResult, run_job, run_jobs
from vtbench.run.settings import Settings


class Pool:
    """Stands for workers._Pool: tasks end one after the other, those of `failing` jobs with an error."""

    made: Pool
    failing: frozenset[str] = frozenset()

    def __init__(self, size: int, settings: Settings, on_notice: object) -> None:
        type(self).made = self
        self.size = size
        self.at_work: list[Any] = []
        self.log: list[str] = []
        self.closed = False

    @property
    def has_room(self) -> bool:
        return len(self.at_work) < self.size

    def start(self, task: Any) -> None:
        self.at_work.append(task)
        assert len(self.at_work) <= self.size
        self.log.append("prepare" if task.verb == "prepare" else f"start {task.jobs[0].key}")

    def receive(self) -> Iterator[tuple[Any, Any]]:
        task = self.at_work[0]
        key = task.jobs[0].key
        if task.verb == "run":
            yield task, ("train", 1, 2, 0.5)
        self.at_work.pop(0)
        if task.verb == "run":
            self.log.append(f"end {key}")
        yield task, JobResult(key, error="no", exit_code=2) if key in self.failing else JobResult(key, {"e": {}})

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    monkeypatch.setattr(workers, "_Pool", Pool)
    monkeypatch.setattr(Pool, "failing", frozenset())
    return Pool


@pytest.fixture
def jobs() -> dict[str, Job]:
    """A pretraining and two trainings that start from it."""
    found = graph(all_measurements(select(["msca/table2:vit", "msca/table2:tokenshift"]), "smoke", [0]))
    assert [job.needs is None for job in found.values()] == [True, False, False]
    return found


def ignore(*_: object) -> None:
    """Progress that nobody looks at."""


def test_a_job_starts_after_the_one_that_it_starts_from(jobs: dict[str, Job], pool: type[Pool]) -> None:
    first, second, third = jobs
    progress: list[Any] = []
    results = list(run_jobs(jobs, Settings(), workers=2, on_progress=lambda *what: progress.append(what)))
    assert [result.key for result in results] == [first, second, third]
    assert pool.made.log == [f"start {first}", "prepare", f"end {first}", f"start {second}", f"start {third}",
                             f"end {second}", f"end {third}"]  # fmt: skip
    assert progress == [(key, "train", 1, 2, 0.5) for key in jobs]
    assert pool.made.closed


def test_one_worker_takes_one_job_at_a_time_and_prepares_nothing(jobs: dict[str, Job], pool: type[Pool]) -> None:
    list(run_jobs(jobs, Settings(), workers=1, on_progress=ignore))
    assert pool.made.log == [f"{what} {key}" for key in jobs for what in ("start", "end")]


def test_a_start_that_is_not_among_the_jobs_is_done_already(jobs: dict[str, Job], pool: type[Pool]) -> None:
    first, second, third = jobs
    del jobs[first]
    list(run_jobs(jobs, Settings(), workers=2, on_progress=ignore))
    assert pool.made.log[:2] == [f"start {second}", f"start {third}"]


def test_what_starts_from_a_failed_job_fails(jobs: dict[str, Job], pool: type[Pool]) -> None:
    first, second, third = jobs
    pool.failing = frozenset([first])
    results = list(run_jobs(jobs, Settings(), workers=2, on_progress=ignore))
    why = f"the training it starts from, {first}, failed"
    assert results == [
        JobResult(first, error="no", exit_code=2),
        JobResult(second, error=why, exit_code=1),
        JobResult(third, error=why, exit_code=1),
    ]


def test_the_others_run_though_one_failed(jobs: dict[str, Job], pool: type[Pool]) -> None:
    _, second, third = jobs
    pool.failing = frozenset([second])
    results = {result.key: result.error for result in run_jobs(jobs, Settings(), workers=2, on_progress=ignore)}
    assert (results[second], results[third]) == ("no", None)


def test_closing_ends_the_workers(jobs: dict[str, Job], pool: type[Pool]) -> None:
    results = run_jobs(jobs, Settings(), workers=2, on_progress=ignore)
    next(results)
    assert not pool.made.closed
    results.close()
    assert pool.made.closed


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (DataError("no folder"), "no folder", 2),
        (ValueError("of ours\nin two lines"), "ValueError: of ours", 1),
        (SystemExit(3), "SystemExit: 3", 1),
    ],
)
def test_an_error_of_a_job_is_its_result(
    jobs: dict[str, Job],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    text: str,
    code: int,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("vtbench.run.train.train", fail)
    key, job = next(iter(jobs.items()))
    assert run_job(job, Settings(), [], ignore) == JobResult(key, error=text, exit_code=code)
    assert ("Traceback" in capsys.readouterr().err) == (code == 1), "of our own mistakes alone"


def test_an_interruption_of_a_job_is_no_result(jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vtbench.run.train.train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_job(next(iter(jobs.values())), Settings(), [], ignore)


def test_an_included_folder_that_is_gone_is_the_result_of_its_job(jobs: dict[str, Job], tmp_path: Path) -> None:
    result = run_job(next(iter(jobs.values())), Settings(), [tmp_path / "gone"], ignore)
    assert result.exit_code == 2 and str(tmp_path / "gone") in str(result.error)


def test_a_worker_that_somebody_else_ended_was_cancelled(jobs: dict[str, Job]) -> None:
    worker = workers._Worker(Settings())
    worker.process.terminate()
    assert worker.receive() is None
    assert worker.why_it_died() == "it was cancelled; run again to resume"


def test_a_worker_that_died_while_idle_is_found_out_by_its_next_task(jobs: dict[str, Job]) -> None:
    worker = workers._Worker(Settings())
    worker.process.kill()
    worker.process.join()
    worker.send(workers._Task("run", tuple(jobs.values())[:1]))
    assert worker.receive() is None
    assert worker.why_it_died() == (
        "its worker process was killed by signal 9; out of memory? try a smaller --batch-size, fewer --workers or "
        "--data-workers, or --grad-checkpointing; run again to resume after its last checkpoint"
    )
    worker.kill()
