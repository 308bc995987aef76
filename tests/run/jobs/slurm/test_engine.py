"""Jobs at SLURM: what is submitted, what is waited for, and what becomes of jobs that end. Nothing is trained."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm

from vtbench.errors import ResultsError, RunError, UsageError
from vtbench.papers import select
from vtbench.results import folders
from vtbench.run.engine import Engine
from vtbench.run.jobs import launch, progress
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.slurm import engine, queue
from vtbench.run.jobs.slurm.engine import Slurm, groups, submitted
from vtbench.run.jobs.workers import JobResult
from vtbench.run.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(results=tmp_path / "results")


READ: list[Settings] = []
"""The settings that finished jobs were read with."""


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finished jobs measured is not read: that is the business of run_job."""

    def read(job: Job, settings: Settings, *_: Any) -> JobResult:
        READ.append(settings)
        return JobResult(job.key, {"e": {}})

    READ.clear()
    monkeypatch.setattr(engine, "run_job", read)


class Run:
    """One command: the results that it yields, and the lines that it prints."""

    def __init__(self, jobs: Mapping[str, Job], settings: Settings, **options: Any) -> None:
        self.notices: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.progress: list[tuple[Any, ...]] = []
        self.results = Slurm({}, say=self.said.append, **options)(
            jobs,
            settings,
            workers=1,
            on_progress=lambda *what: self.progress.append(what),
            on_notice=lambda key, text: self.notices.append((key, text)),
        )


DONE: set[str] = set()
"""The jobs that are finished."""


@pytest.fixture(autouse=True)
def finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a finished run folder looks like is the business of results."""
    DONE.clear()
    monkeypatch.setattr(engine, "is_finished", lambda job, settings: job.key in DONE)


def finish(job: Job) -> None:
    """As when a node has done a job."""
    DONE.add(job.key)


def record(job: Job, settings: Settings, **changed: Any) -> None:
    """As a node writes how far a job is."""
    recorder = progress.Recorder(job, settings.results)
    recorder._write(**changed)


def test_an_array_holds_what_starts_from_the_same_training(jobs: dict[str, Job]) -> None:
    first, second, third = jobs
    assert groups(jobs) == [(None, [first]), (first, [second, third])]
    assert groups(jobs, [first]) == [(first, [second, third])]
    assert groups({key: jobs[key] for key in (second, third)}) == [(None, [second, third])]


def test_an_array_has_no_more_elements_than_slurm_takes(jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.sbatch, "LARGEST_ARRAY", 1)
    first, second, third = jobs
    assert groups(jobs) == [(None, [first]), (first, [second]), (first, [third])]


def test_detached_jobs_are_submitted_each_after_its_start(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings
) -> None:
    run = Run(jobs, settings, detach=True)
    assert list(run.results) == []
    first, others = fake.scripts
    assert "--dependency" not in first and "--array" not in first
    assert "#SBATCH --dependency=afterok:1\n" in others and "#SBATCH --array=0-1%2\n" in others
    found = [submitted(settings.results, key) for key in jobs]
    assert [one.id for one in found if one] == ["1", "2_0", "2_1"]
    assert [one.title for one in found if one] == [job.title for job in jobs.values()]
    assert run.said == [
        "3 training runs at SLURM; `vtbench status` shows jobs, `vtbench cancel` ends them",
    ]


def test_jobs_that_need_a_gpu_and_ask_for_none_are_pointed_out(
    fake: FakeSlurm, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = graph(all_measurements(select(["msca/table2:vit"]), "paper", [0]))
    run = Run(jobs, settings, detach=True)
    assert list(run.results) == []
    assert run.said[0] == "no GPU is asked for; --slurm-gres gpu:1 gives each job one"
    assert "#SBATCH --cpus-per-task=5\n" in fake.scripts[0]


def test_what_a_node_is_handed_is_the_job_and_the_settings(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings
) -> None:
    settings = dataclasses.replace(settings, batch_size=2)
    first = next(iter(jobs))
    list(Run({first: jobs[first]}, settings, detach=True).results)
    script = (
        "import sys; from submitit.core.utils import DelayedSubmission; work = DelayedSubmission.load(sys.argv[1]);"
        "work = work.function; print(work.job.key, work.settings.batch_size, work.settings.results)"
    )
    pickle = engine.folder_of(settings.results) / "1_submitted.pkl"
    done = subprocess.run([sys.executable, "-c", script, str(pickle)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [first, "2", str(settings.results)]


def test_the_same_command_waits_for_what_is_queued(fake: FakeSlurm, jobs: dict[str, Job], settings: Settings) -> None:
    list(Run(jobs, settings, detach=True).results)
    fake.queue("1|RUNNING|n1|None|x\n2_0|PENDING||Dependency|N/A\n2_1|PENDING||Dependency|N/A\n")
    run = Run(jobs, settings, detach=True)
    assert list(run.results) == [] and run.notices == []
    assert len(fake.scripts) == 2, "nothing was submitted again"
    assert run.said[0].startswith("3 training runs at SLURM, 0 of them submitted now; ")


def test_results_come_as_jobs_end(fake: FakeSlurm, jobs: dict[str, Job], settings: Settings) -> None:
    first, second, third = jobs
    run = Run(jobs, settings)
    fake.queue("1|COMPLETED|n1|None|x\n2_0|RUNNING|n1|None|x\n2_1|COMPLETED||None|x\n")
    for key in (first, third):
        finish(jobs[key])
    fake.queue("1|COMPLETED|n1|None|x\n2_0|RUNNING|n1|None|x\n2_1|COMPLETED||None|x\n")
    del jobs[first]  # as launch does with a finished pretraining
    assert next(run.results).key == third
    finish(jobs[second])
    fake.queue("2_0|COMPLETED|n1|None|x\n")
    assert [result.key for result in run.results] == [second]
    assert [submitted(settings.results, key) for key in jobs] == [None, None]
    assert list(engine.folder_of(settings.results).glob("*.pkl")) == []


def test_progress_and_notices_of_a_running_job_are_passed_on_once(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(iter(jobs))
    run = Run({first: jobs[first]}, settings)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    asked = []

    def answer() -> dict[str, queue.Queued]:
        asked.append(1)
        if len(asked) == 1:
            record(jobs[first], settings, phase="train", done=3, total=9, loss=0.5, notices=("a.mp4 is cut",))
        if len(asked) == 3:
            finish(jobs[first])
        return {"1": queue.Queued("RUNNING" if len(asked) < 3 else "COMPLETED")}

    monkeypatch.setattr(queue, "jobs", answer)
    assert [result.error for result in run.results] == [None]
    assert run.progress == [(first, "train", 3, 9, 0.5)]
    assert run.notices == [(first, "a.mp4 is cut")]


def test_a_job_that_says_why_it_failed_takes_along_what_starts_from_it(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = jobs
    run = Run(jobs, settings)
    fake.queue("1|FAILED|n1|NonZeroExitCode|x\n2_0|PENDING||Dependency|x\n2_1|PENDING||Dependency|x\n")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    record(jobs[first], settings, error="no folder", exit_code=2)
    results = list(run.results)
    assert results[0] == JobResult(first, error="no folder", exit_code=2)
    why = f"the training it starts from, {first}, failed"
    assert results[1:] == [JobResult(key, error=why, exit_code=1) for key in (second, third)]
    assert fake.calls("scancel") == ["--quiet 2_0", "--quiet 2_1"]


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ("JobState=FAILED ExitCode=137:0 Reason=NonZeroExitCode NodeList=n1",
         "SLURM job 1 on n1 was killed by signal 9; out of memory? give more --slurm-mem (log: {log}); run again to "
         "resume"),
        ("JobState=TIMEOUT ExitCode=0:15 Reason=TimeLimit NodeList=n1",
         "SLURM job 1 on n1 ran into its time limit before it could write a checkpoint; give more --slurm-time or a "
         "longer --slurm-signal-delay-s (log: {log}); run again to resume"),
        ("JobState=FAILED ExitCode=75:0 Reason=NonZeroExitCode NodeList=n1",
         "SLURM job 1 on n1 does not see {results}: give a folder that every node has under this path, with --results "
         "DIR; run again to resume"),
        ("JobState=FAILED ExitCode=0:53 Reason=JobLaunchFailure NodeList=n1",
         "SLURM job 1 on n1 does not see {results}: give a folder that every node has under this path, with --results "
         "DIR; run again to resume"),
        ("JobState=CANCELLED ExitCode=0:0 Reason=None NodeList=(null)",
         "SLURM job 1 was cancelled (log: {log}); run again to resume"),
        ("JobState=OUT_OF_MEMORY ExitCode=0:125 Reason=OutOfMemory NodeList=n1",
         "SLURM job 1 on n1 needed more memory than SLURM gave it; give more --slurm-mem (log: {log}); run again to "
         "resume"),
        ("", "SLURM job 1 is no longer known to SLURM and has left no result (log: {log}); run again to resume"),
    ],
)  # fmt: skip
def test_a_job_that_ended_without_a_word_is_explained(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, printed: str, text: str
) -> None:
    first = next(iter(jobs))
    run = Run({first: jobs[first]}, settings)
    fake.job(printed)
    (result,) = run.results
    log = engine.folder_of(settings.results) / "1_0_log.out"
    assert result.error == text.format(log=log, results=settings.results)
    assert submitted(settings.results, first) is None


def test_a_job_that_ended_unfinished_is_submitted_again(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings
) -> None:
    first = next(iter(jobs))
    one = {first: jobs[first]}
    list(Run(one, settings, detach=True).results)
    fake.job("JobState=NODE_FAIL ExitCode=0:0 Reason=None NodeList=n1")
    run = Run(one, settings, detach=True)
    assert list(run.results) == []
    log = engine.folder_of(settings.results) / "1_0_log.out"
    assert run.notices == [(first, f"SLURM job 1 on n1 ended as NODE_FAIL (log: {log}); it is submitted again")]
    sent = submitted(settings.results, first)
    assert sent is not None and sent.id == "2"


def test_finished_jobs_are_collected_without_slurm(fake: FakeSlurm, jobs: dict[str, Job], settings: Settings) -> None:
    list(Run(jobs, settings, detach=True).results)
    for job in jobs.values():
        finish(job)
    fake.queue("")
    assert [result.key for result in Run(jobs, settings, detach=True).results] == list(jobs)
    assert len(fake.scripts) == 2


def test_finished_jobs_of_several_devices_are_read_in_one_process(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings
) -> None:
    for job in jobs.values():
        finish(job)
    several = dataclasses.replace(settings, engine=Engine(devices=4, num_nodes=2))
    assert [result.key for result in Run(jobs, several, detach=True).results] == list(jobs)
    assert {read.engine for read in READ} == {Engine()}


def test_what_slurm_refuses_is_one_line_and_leaves_nothing(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.refuse("sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid\n")
    with pytest.raises(UsageError) as found:
        list(Run(jobs, settings).results)
    assert str(found.value) == (
        "SLURM refuses the job: invalid partition specified: x; Batch job submission failed: Invalid"
    )
    assert capsys.readouterr().err == ""
    assert [submitted(settings.results, key) for key in jobs] == [None, None, None]


def test_a_refusal_in_the_middle_cancels_what_was_submitted(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Slurm._send

    def once(self: Slurm, works: Any, settings: Settings, dependency: str | None) -> Any:
        if dependency:
            fake.refuse("sbatch: error: QOSMaxSubmitJobPerUserLimit\n")
        return send(self, works, settings, dependency)

    monkeypatch.setattr(Slurm, "_send", once)
    with pytest.raises(UsageError, match="QOSMaxSubmitJobPerUserLimit"):
        list(Run(jobs, settings).results)
    assert fake.calls("scancel") == ["--quiet 1"]
    assert [submitted(settings.results, key) for key in jobs] == [None, None, None]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ResultsError("slurm.json: No space left on device")])
def test_an_array_that_is_interrupted_while_it_is_noted_leaves_nothing_in_the_queue(
    error: BaseException,
    fake: FakeSlurm,
    jobs: dict[str, Job],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SLURM has the whole array by then."""
    write, noted = folders.write_json, []

    def write_some(path: Path, content: Any) -> None:
        if len(noted) == 2:
            raise error
        noted.append(path)
        write(path, content)

    monkeypatch.setattr(folders, "write_json", write_some)
    with pytest.raises(type(error)):
        list(Run(jobs, settings).results)
    assert fake.calls("scancel") == ["--quiet 1 2"]
    assert [submitted(settings.results, key) for key in jobs] == [None, None, None]
    assert list(engine.folder_of(settings.results).glob("*_submitted.pkl")) == []


def test_a_ctrl_c_while_sbatch_runs_waits_for_the_id_of_the_job(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Slurm._send

    def interrupted(self: Slurm, *arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return send(self, *arguments)

    monkeypatch.setattr(Slurm, "_send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(Run(jobs, settings).results)
    with pytest.raises(KeyboardInterrupt):
        Slurm({}).dry_run([], settings, "smoke", 0, 2, print)
    assert len(fake.scripts) == 2 and fake.calls("scancel") == ["--quiet 1", "--quiet 2"]


def test_what_slurm_does_not_cancel_stays_noted(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake._program("scancel", "#!/bin/sh\necho Unable to contact slurm controller >&2\nexit 1\n")
    write, noted = folders.write_json, []

    def write_later(path: Path, content: Any) -> None:
        noted.append(path)
        if len(noted) == 2:
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(folders, "write_json", write_later)
    run = Run(jobs, settings)
    with pytest.raises(KeyboardInterrupt):
        list(run.results)
    assert run.said == [
        "scancel: Unable to contact slurm controller; still at SLURM: 1, 2; `vtbench cancel` ends them, or scancel"
    ]
    assert [sent.id for key in jobs if (sent := submitted(settings.results, key))] == ["1", "2_0", "2_1"]


def test_a_job_that_waits_at_slurm_is_not_repeated(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder would be renamed with its slurm.json, and the job be submitted twice."""
    rows = select(["msca/table2:vit", "msca/table2:tokenshift"])
    list(Run(jobs, settings, detach=True).results)
    fake.queue("1|COMPLETED|n1|None|x\n2_0|PENDING||Resources|N/A\n2_1|COMPLETED|n1|None|x\n")
    begun: list[str] = []

    def begin(jobs: Mapping[str, Job], *_: Any, **__: Any) -> Iterator[JobResult]:
        begun.extend(jobs)
        return iter(())

    def again(**options: Any) -> list[str]:
        begun.clear()
        return [one.reason for one in launch.run(rows, settings, "smoke", [0], engine=closing(begin), **options).failed]

    _, second, third = jobs
    folder = settings.results / "runs" / f"train-{second}"
    assert again(again=True) == [
        f"{folder}: SLURM job 2_0 of an earlier command is pending; wait until it is done, or end it with `vtbench "
        f"cancel {jobs[second].rows[0]} --results {settings.results}`, and run again"
    ]
    assert third in begun and second not in begun
    assert submitted(settings.results, second) is not None
    assert again(test_again=True) == [] and second in begun, "its weights stay, and so does its folder"
    monkeypatch.setattr(queue, "jobs", lambda: None)
    assert again(again=True) == [
        f"{folder}: was submitted as SLURM job 2_0, and squeue does not answer; try again, or remove slurm.json there "
        "if SLURM has no such job"
    ]
    monkeypatch.setattr(queue, "jobs", dict)
    assert again(again=True) == [] and second in begun and not folder.exists()


def closing(run: Any) -> Any:
    """A generator is closed when its results are read."""

    def results(*arguments: Any, **options: Any) -> Generator[JobResult, None, None]:
        yield from run(*arguments, **options)

    return results


def test_a_cluster_that_does_not_answer_is_waited_for(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(iter(jobs))
    run = Run({first: jobs[first]}, settings)
    answers = iter([None, {}, None, {"1": queue.Queued("RUNNING")}, {"1": queue.Queued("COMPLETED")}])

    def answer() -> Any:
        found = next(answers)
        if found and found["1"].ended:
            finish(jobs[first])
        return found

    monkeypatch.setattr(queue, "jobs", answer)
    assert [result.error for result in run.results] == [None]


def test_nothing_is_submitted_while_it_is_not_known_what_is_queued(
    fake: FakeSlurm, jobs: dict[str, Job], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(Run(jobs, settings, detach=True).results)
    monkeypatch.setattr(queue, "jobs", lambda: None)
    with pytest.raises(RunError, match="squeue does not answer, so what is queued already is not known; try again"):
        list(Run(jobs, settings).results)


def test_the_dry_run_is_one_job_that_is_waited_for(
    fake: FakeSlurm, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = {"title": "a row", "phase": "train", "videos": 2, "clips": 2, "steps": 1, "loss": 0.5, "top1": 0.0,
            "seconds": 1.0, "memory_gb": 1.0, "precision": "32-true"}  # fmt: skip
    answers: list[Any] = [[part], None, None, None, [part, {"end": True}]]

    def answer() -> dict[str, queue.Queued] | None:
        (script,) = fake.scripts
        assert "--array" not in script
        assert "#SBATCH --nodes=2\n" in script and "#SBATCH --ntasks-per-node=3\n" in script
        assert " --nodes=1 --ntasks=1 " in script, "one process does it, in what the training would have"
        lines = answers.pop(0)
        if lines is None:
            return None  # the controller restarts, or is busy
        work = engine.folder_of(settings.results)
        (pickle,) = work.glob("*_submitted.pkl")
        from submitit.core.utils import DelayedSubmission

        out = DelayedSubmission.load(pickle).function.out
        out.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"title": "a row, ha')
        return {"1": queue.Queued("RUNNING")}

    monkeypatch.setattr(queue, "jobs", answer)
    settings = dataclasses.replace(settings, engine=Engine(devices=3, num_nodes=2))
    shown: list[Any] = []
    found = Slurm({}).dry_run([], settings, "smoke", 0, 2, shown.append)
    assert [one.loss for one in found] == [0.5] and shown == found
    assert list(engine.folder_of(settings.results).glob("dry-*")) == []
