"""What a job of SLURM does when its time is nearly up. Nothing is trained."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from fake_slurm import FakeSlurm

from vtbench.run.jobs.slurm import node


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A job has its process to itself, and leaves its handlers."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({"SLURM_JOB_ID": "7"}, "7"),
        ({"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}, "7_2"),
    ],
)
def test_a_job_out_of_time_queues_itself_again_and_no_other_element_of_its_array(
    environment: dict[str, str], job: str, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`scontrol requeue 7` is for all elements of array 7, those that have ended too."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended, node._queued_again_in_time():
        signal.raise_signal(signal.SIGUSR2)
    assert ended.value.code == node.ENDED
    assert fake.calls("scontrol") == [f"requeue {job}"]
