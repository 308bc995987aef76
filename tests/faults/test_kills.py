"""Commands that are killed at random places and given again end with what an undisturbed one ends with.

    make fault KILLS=100        or: VTBENCH_KILLS=100 VTBENCH_FAULT_SEED=7 pytest -m fault tests/faults -s

A seed gives the same kills in the same order; where a kill at a random time strikes depends on the machine. Half of the
kills come from outside: SIGKILL, SIGTERM or SIGHUP to the parent, SIGKILL or SIGTERM to a worker, SIGKILL to a process
that reads videos, or to all of them at once. The others strike at a chosen call of the parent or of a worker
(inject/sitecustomize.py): before or after the n-th fsync, rename or line of results.csv. After
each the same command is given again, at once or when all processes are gone. A command that is done is compared with
the undisturbed one and starts over in an empty folder.

Nothing may be left in shared memory, with one exception: where all processes are killed at once, Python's resource
tracker is one of them, and nobody else removes the semaphores (32 bytes each) of its multiprocessing. They are counted.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator

import processes
import pytest
from subjects import Files, Prepare, Smoke, Speed, Subject, make_inputs

pytestmark = [pytest.mark.fault, pytest.mark.slow]

KILLS = int(os.environ.get("VTBENCH_KILLS", "5"))
SEED = int(os.environ.get("VTBENCH_FAULT_SEED", "0"))
GONE_S = 60.0
"""How long a process may outlive its run: 30 s for a checkpoint, and time to end on a busy machine."""
KINDS = {Smoke: 0.4, Files: 0.4, Prepare: 0.1, Speed: 0.1}
OUTSIDE = {
    ("parent", signal.SIGKILL): 3,
    ("parent", signal.SIGTERM): 1,
    ("parent", signal.SIGHUP): 1,
    ("worker", signal.SIGKILL): 2,
    ("worker", signal.SIGTERM): 1,
    ("loader", signal.SIGKILL): 3,
    ("all", signal.SIGKILL): 2,
}
CALLS = {("parent", "append"): 1, ("parent", "fsync"): 1, ("worker", "fsync"): 3, ("worker", "replace"): 3}


class Running:
    """One command as it runs, with what is needed to find and kill its processes."""

    def __init__(self, subject: Subject, fault: dict[str, object] | None = None) -> None:
        self.mark = subject.mark
        environment = processes.environment(self.mark, fault)
        self.log = subject.work / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                subject.command(), cwd=subject.work, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def target(self, role: str, rng: random.Random) -> int | None:
        """A process of this role as soon as there is one; None if the command ends before. 0: all of them."""
        if role in ("parent", "all"):
            return self.process.pid if role == "parent" else 0
        while self.process.poll() is None:
            workers = processes.children(self.process.pid, self.mark)
            readers = [pid for worker in workers for pid in processes.children(worker, self.mark)]
            if found := workers if role == "worker" else readers:
                return rng.choice(sorted(found))
            time.sleep(0.02)
        return None

    def wait(self) -> int:
        return self.process.wait(timeout=600)

    @property
    def text(self) -> str:
        return self.log.read_text()


def complete(subject: Subject) -> None:
    """Give the command undisturbed, until the end, and compare. What a kill left on the screen is not looked at."""
    running = Running(subject)
    assert running.wait() == 0, running.text
    processes.seconds_until_gone(subject.mark, GONE_S)
    if subject.reference:
        found = subject.content()
        wrong = {name for name in {*found, *subject.reference} if found.get(name) != subject.reference.get(name)}
        assert not wrong, f"{subject.name}: not as in the undisturbed run: {sorted(wrong)}"


def kill_once(subject: Subject, rng: random.Random) -> tuple[str, float | None]:
    """Start the command and kill it once; gives what was done ("" if it was done before) and how long the processes
    lived on, None where that was not waited for."""
    if rng.random() < 0.5:
        role, call = rng.choices(list(CALLS), list(CALLS.values()))[0]
        fired = subject.work / f"fired-{uuid.uuid4().hex}"
        number, when = rng.randint(1, 4 if role == "parent" else 9), rng.choice(["before", "after"])
        fault = {"role": role, "call": call, "number": number, "when": when, "fired": str(fired)}
        running = Running(subject, fault)
        running.wait()
        struck = f"{role} at {call}" if fired.exists() else ""
    else:
        role, number = rng.choices(list(OUTSIDE), list(OUTSIDE.values()))[0]
        at = rng.uniform(0, subject.seconds)
        running = Running(subject)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(timeout=at)
        pid = running.target(role, rng) if running.process.poll() is None else None
        struck = ""
        if pid is not None:
            try:
                os.killpg(running.process.pid, number) if pid == 0 else os.kill(pid, number)
                struck = f"{role} by {number.name}"
            except ProcessLookupError:  # it ended in this moment
                pass
        code = running.wait()
        if role == "parent" and struck and number != signal.SIGKILL and code == 1:
            assert "Traceback" not in running.text, running.text
    # In the other cases the command is given again while workers may be left.
    return struck, processes.seconds_until_gone(subject.mark, GONE_S) if rng.random() < 0.6 else None


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Subject]]:
    """Each with what comes out if nobody disturbs it."""
    folder = tmp_path_factory.mktemp("faults")
    make_inputs(folder / "inputs")
    names = {kind: kind.__name__.lower() for kind in KINDS}
    made = [kind(name, folder / "inputs", folder / name / "undisturbed") for kind, name in names.items()]
    for subject in made:
        subject.begin()
        started = time.monotonic()
        complete(subject)
        subject.seconds = time.monotonic() - started
        subject.reference = subject.content()
        print(f"{subject.name}: {subject.seconds:.1f} s undisturbed, {len(subject.reference)} things to compare")
    yield made


def test_what_is_killed_is_finished_by_the_same_command(subjects: list[Subject]) -> None:
    rng, shared, struck, cycles = random.Random(SEED), processes.shared_memory(), Counter(), Counter()
    longest, started, undisturbed = 0.0, time.monotonic(), {subject.name: subject.work for subject in subjects}
    tracker_killed, semaphores = False, 0
    for subject in subjects:
        subject.work = subject.work.with_name("disturbed")
        subject.begin(undisturbed[subject.name])
    while struck.total() < KILLS:
        subject = rng.choices(subjects, list(KINDS.values()))[0]
        what, lived_on = kill_once(subject, rng)
        tracker_killed |= what.startswith("all")
        if lived_on is not None:
            longest = max(longest, lived_on)
            left = processes.abandoned(shared)
            if tracker_killed:
                semaphores += len(named := set(filter(processes.is_semaphore, left)))
                shared, left, tracker_killed = shared | named, left - named, False
            assert not left, f"left in shared memory after {what}: {left}"
        if what:
            struck[f"{subject.name}: {what}"] += 1
            print(f"{time.monotonic() - started:6.0f} s, kill {struck.total()}: {subject.name}: {what}", flush=True)
        else:  # it came to its end first
            complete(subject)
            cycles[subject.name] += 1
            subject.begin(rng.choice([None, undisturbed[subject.name]]))
    for subject in subjects:
        complete(subject)
        cycles[subject.name] += 1
    left = processes.abandoned(shared)
    assert not {name for name in left if not (tracker_killed and processes.is_semaphore(name))}, f"left: {left}"
    print(f"{KILLS} kills in {time.monotonic() - started:.0f} s, seed {SEED}; compared at the end: {dict(cycles)}")
    print(f"semaphores left where Python's resource tracker was killed too: {semaphores + len(left)}")
    print(f"the longest that a process outlived its run: {longest:.1f} s")
    for what, count in sorted(struck.items()):
        print(f"{count:4d}  {what}")
