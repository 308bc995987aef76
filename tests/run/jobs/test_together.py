"""Several processes of one command, as torchrun starts them: what they say to each other, and how they end."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import RunError
from vtbench.papers import select
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.run.engine import Launched
from vtbench.run.jobs import progress, together
from vtbench.run.jobs.child import Cancelled
from vtbench.run.jobs.plan import Job, all_measurements, graph
from vtbench.run.jobs.ranks import free_port
from vtbench.run.jobs.together import Together
from vtbench.run.jobs.workers import JobResult
from vtbench.run.settings import Settings

ROOT = Path(together.__file__).parents[3]


class Others:
    """Stands for vtbench.methods.processes, with the other processes behind it; `gone`: they have ended."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.failures: list[Any] = []
        self.gone = self.ended = False

    def begin(self, backend: str) -> None:
        assert backend == "gloo"

    def end(self) -> None:
        self.ended = True

    def from_first(self, value: Any) -> Any:
        self._require()
        self.said.append(value)
        return value

    def of_all(self, value: Any) -> list[Any]:
        self._require()
        return [value, *self.failures]

    def store(self) -> Others:
        return self

    def set(self, name: str, value: str) -> None:
        self._require()

    def check(self, names: list[str]) -> bool:
        self._require()
        return False

    def _require(self) -> None:
        if self.gone:
            raise RuntimeError("Connection closed by peer [127.0.0.1]:29500")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    made = Others()
    monkeypatch.setattr(together, "processes", made)
    monkeypatch.setattr(together.os, "environ", dict(os.environ))
    return made


@pytest.fixture
def jobs() -> dict[str, Job]:
    """A pretraining and one that starts from it."""
    return graph(all_measurements(select(["msca/table2:vit"]), "smoke", [0]))


def process(rank: int = 0) -> Together:
    return Together(Launched(rank, 2, rank, 2, "127.0.0.1", 1, by="torchrun"))


def ignore(*_: object) -> None:
    """What nobody looks at."""


def run(first: Together, jobs: Mapping[str, Job], results: Path) -> Iterator[JobResult]:
    return first.run_jobs(jobs, Settings(results=results), workers=1, on_progress=ignore)


def test_the_others_are_sent_away_in_the_end(others: Others) -> None:
    with process().joined():
        pass
    assert others.said == [None] and others.ended


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunError("no"), OSError("no fork")])
def test_nothing_is_said_to_those_who_are_in_a_job_that_was_left(
    error: BaseException, others: Others, jobs: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would take it for an answer of theirs, or have gone."""

    def supervise(*_: object, **__: object) -> None:
        others.gone = True
        raise error

    monkeypatch.setattr(together, "supervise", supervise)
    first = process()
    with pytest.raises(type(error)), first.joined():
        (result,) = run(first, dict([next(iter(jobs.items()))]), tmp_path)
        assert result.error == "no"  # the reason is worth more than that the others are gone
        raise error
    assert len(others.said) == 1 and others.ended


def test_an_interruption_between_two_jobs_stays_one_where_the_others_are_gone(others: Others) -> None:
    with pytest.raises(KeyboardInterrupt), process().joined():
        others.gone = True
        raise KeyboardInterrupt
    assert others.ended is False  # it was tried


def test_the_end_of_another_process_is_one_line(others: Others, jobs: dict[str, Job], tmp_path: Path) -> None:
    others.gone = True
    why = "^another of the processes that torchrun started has ended; run the same command again to resume$"
    with pytest.raises(RunError, match=why):
        next(run(process(), jobs, tmp_path))
    with pytest.raises(RunError, match=why):
        process(rank=1).follow(Settings(results=tmp_path))


def test_what_was_cancelled_is_the_reason_whatever_failed_for_want_of_it(
    others: Others, jobs: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supervise(*_: object, **__: object) -> None:
        raise RunError("Connection closed by peer")

    monkeypatch.setattr(together, "supervise", supervise)
    others.failures = [(time.time() + 9, Cancelled()), None]
    first, second = run(process(), jobs, tmp_path)
    assert first.error == "it was cancelled; run again to resume"
    assert second.error is not None and second.error.startswith("the training it starts from, ")


def test_progress_says_which_process_trains_and_is_gone_in_the_end(
    others: Others, jobs: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, job = next(iter(jobs.items()))
    folder = folders.training_folder(tmp_path, key)
    progress.Recorder(job, tmp_path).ended("an earlier failure", 1)
    seen: list[progress.State | None] = []
    with subprocess.Popen(["sleep", "60"]) as child:

        def supervise(
            work: Any, settings: Any, places: Any, on_progress: Any, on_notice: Any, check: Any, **more: Any
        ) -> dict[str, Any]:
            check()
            more["started"](child.pid)
            on_progress("train", 3, 9, 1.5)
            seen.append(progress.read(folder))
            return {}

        monkeypatch.setattr(together, "supervise", supervise)
        assert list(run(process(), {key: job}, tmp_path)) == [JobResult(key)]
        child.kill()
    (state,) = seen
    assert state is not None and (state.pid, state.phase, state.done, state.error) == (child.pid, "train", 3, None)
    assert progress.read(folder) is None


def test_a_failure_stays_in_progress_json(
    others: Others, jobs: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supervise(*_: object, **__: object) -> None:
        raise RunError("no")

    monkeypatch.setattr(together, "supervise", supervise)
    first, _ = run(process(), jobs, tmp_path)
    state = progress.read(folders.training_folder(tmp_path, first.key))
    assert state is not None and state.error == "no"


# ---- real ones -------------------------------------------------------------------------------------------------------

COMMAND = ["run", "mmvit/table1:mm-vit-i@split1", "--scale", "smoke", "--set", "train.epochs=40"]


def environment(**values: object) -> dict[str, str]:
    here = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return os.environ | here | {name: str(value) for name, value in values.items()}


class Two:
    """The command in two processes of this machine, started as torchrun does."""

    def __init__(self, work: Path) -> None:
        self.work, port = work, free_port()
        self.started = []
        for rank in range(2):
            with (work / f"out-{rank}").open("w") as out, (work / f"err-{rank}").open("w") as err:
                env = environment(
                    RANK=rank, LOCAL_RANK=rank, GROUP_RANK=0, WORLD_SIZE=2, LOCAL_WORLD_SIZE=2,
                    MASTER_ADDR="127.0.0.1", MASTER_PORT=port, TORCHELASTIC_RUN_ID="none",
                )  # fmt: skip
                command = [sys.executable, "-m", "vtbench", *COMMAND]
                self.started.append(
                    subprocess.Popen(command, cwd=work, env=env, stdout=out, stderr=err, start_new_session=True)
                )

    def send(self, *numbers: int) -> None:
        """Signals to the groups of both, one after the other."""
        for number in numbers:
            for one in self.started:
                os.killpg(one.pid, number)
            time.sleep(0.2)

    def codes(self) -> list[int]:
        return [one.wait(timeout=120) for one in self.started]

    def err(self, rank: int) -> list[str]:
        return (self.work / f"err-{rank}").read_text().splitlines()


def wait_until_trained(work: Path, epochs: int, one: subprocess.Popen[Any]) -> Path:
    """Until the training has gone through some epochs; gives its run folder."""
    until = time.monotonic() + 120
    while time.monotonic() < until and one.poll() is None:
        for file in work.glob("results/runs/train-*/metrics.csv"):
            if len(file.read_text().splitlines()) > epochs and (file.parent / folders.CHECKPOINT).exists():
                return file.parent
        time.sleep(0.02)
    raise AssertionError(f"no training: {[path.read_text() for path in work.glob('err-*')]}")


def content(work: Path) -> dict[str, Any]:
    """What a finished command leaves that does not depend on when it ran."""
    (folder,) = work.glob("results/runs/train-*")
    with (folder / folders.METRICS).open() as file:
        lines = [{name: text for name, text in line.items() if name != "elapsed_s"} for line in csv.DictReader(file)]
    assert not (folder / progress.PROGRESS).exists() and not (folder / folders.CHECKPOINT).exists()
    (tested,) = work.glob(f"results/runs/eval-*/{folders.DONE}")
    return {
        "lines": lines,
        "weights": json.loads((folder / folders.DONE).read_text())["weights_sha256"],
        "metrics": json.loads(tested.read_text())["metrics"],
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    work = tmp_path_factory.mktemp("undisturbed")
    assert Two(work).codes() == [0, 0]
    return content(work)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]])
def test_two_processes_that_are_interrupted_leave_a_checkpoint_and_are_finished_bit_for_bit(
    numbers: list[int], tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    two = Two(tmp_path)
    folder = wait_until_trained(tmp_path, 3, two.started[0])
    before = (folder / folders.CHECKPOINT).stat().st_mtime_ns
    state = progress.read(folder)
    assert state is not None and progress.is_alive(state, folder)
    two.send(*numbers)
    assert two.codes() == [1, 1]
    assert (folder / folders.CHECKPOINT).stat().st_mtime_ns >= before and not (folder / folders.DONE).exists()
    assert two.err(0) == ["1 to do", "vtbench: interrupted; run the same command again to resume"]
    assert two.err(1) == []
    assert not progress.is_alive(state, folder)
    assert Two(tmp_path).codes() == [0, 0]
    assert content(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_training_that_is_cancelled_fails_alone(tmp_path: Path) -> None:
    """`vtbench cancel` ends the training, not the command."""
    two = Two(tmp_path)
    wait_until_trained(tmp_path, 1, two.started[0])
    cancel = [sys.executable, "-m", "vtbench", "cancel", "--all"]
    done = subprocess.run(cancel, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert re.match(r"cancelled mmvit/table1:mm-vit-i \(split1\), smoke scale, seed 0 \(.*, pid \d+\)", done.stdout)
    assert two.codes() == [1, 0]
    assert two.err(0)[-1] == "vtbench: mmvit/table1:mm-vit-i (split1): it was cancelled; run again to resume"
    assert two.err(1) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_torchrun_that_is_interrupted_leaves_a_checkpoint_and_is_finished_bit_for_bit(
    number: int, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "err-0").open("w") as err:
            words = [*command, str(free_port()), "-m", "vtbench", *COMMAND]
            return subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=err, stderr=err)

    run = start()
    folder = wait_until_trained(tmp_path, 3, run)
    run.send_signal(number)
    assert run.wait(timeout=120) != 0
    said = (tmp_path / "err-0").read_text().splitlines()
    assert [line for line in said if line.startswith("vtbench: ")] == [
        "vtbench: interrupted; run the same command again to resume"
    ]
    ours = [line for line in said if "/vtbench/" in line]
    assert ours == [], "no traceback but torchrun's own"
    assert (folder / folders.CHECKPOINT).exists() and not (folder / folders.DONE).exists()
    assert start().wait(timeout=120) == 0
    assert content(tmp_path) == undisturbed


@pytest.mark.slow
def test_two_machines_train_and_test_as_one_with_two_devices(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Two of torchrun's, as on two machines, which meet on this one."""
    port = free_port()
    machines = []
    for node in range(2):
        command = f"--nnodes 2 --node-rank {node} --nproc-per-node 1 --master-addr 127.0.0.1 --master-port {port}"
        words = [sys.executable, "-m", "torch.distributed.run", *command.split(), "-m", "vtbench", *COMMAND]
        with (tmp_path / f"err-{node}").open("w") as err:
            machines.append(subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=err, stderr=err))
    assert [one.wait(timeout=180) for one in machines] == [0, 0], (tmp_path / "err-0").read_text()
    assert content(tmp_path) == undisturbed
    (record,) = Store(tmp_path / "results").read()
    assert record.engine == "num_nodes=2;strategy=ddp"
