"""Work shared by processes: all of it is done, an interruption leaves the rest, and no process outlives the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vtbench.errors import RunError
from vtbench.processes.pool import in_processes


def square(number: int) -> int:
    return number * number


def end(number: int) -> int:
    os._exit(9)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_worked_at_once(workers: int) -> None:
    assert sorted(in_processes(square, range(20), workers)) == [(number, number * number) for number in range(20)]


def test_a_process_that_is_killed_is_an_error() -> None:
    with pytest.raises(RunError, match="fewer workers: what is finished is kept"):
        list(in_processes(end, range(3), 2))


def own_pid(number: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def test_processes_work_on_when_all_processes_of_a_job_are_asked_to_stop() -> None:
    """A cluster asks all of them; the first one answers."""
    found = in_processes(own_pid, range(8), 2)
    _, pid = next(found)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        subprocess.run(["sh", "-c", f"kill -{number.value} {pid}"], check=True)  # not sent by the parent itself
    assert len(list(found)) == 7


SCRIPT = """
import sys, time
from pathlib import Path
from vtbench.processes.pool import in_processes

def work(number):
    Path(sys.argv[1], str(number)).touch()
    time.sleep(0.2)
    return number

if __name__ == "__main__":
    for _ in in_processes(work, range(500), 2):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_goes_on_when_the_first_process_is_ended(number: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "done").mkdir()
    script = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "done")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(script, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "done").iterdir())) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(timeout=30)
    time.sleep(1)
    count = len(list((tmp_path / "done").iterdir()))
    assert count < 60
    time.sleep(1)
    assert len(list((tmp_path / "done").iterdir())) == count, "no worker is left"
