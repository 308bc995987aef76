"""How several processes of one training end: by what this process is sent, or one of them, or by themselves. They stand
for real ones: tests/fake_ranks.py."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_ranks
import pytest

from vtbench.errors import ResultsError, RunError
from vtbench.results import provenance
from vtbench.run.engine import Place
from vtbench.run.jobs import ranks
from vtbench.run.jobs.child import Cancelled
from vtbench.run.settings import Settings

Supervise = Callable[..., Any]


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervise]:
    """supervise(what the first does, what the second does, ..., at=..., **options) with `at` called when all of them
    are at work, in another thread. None of them is left, and the handlers of this process are as before."""
    monkeypatch.setattr(ranks, "_serve", fake_ranks.serve)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(*what: str, at: Callable[[], None] = lambda: None, **options: Any) -> Any:
        def when_ready() -> None:
            ready = [tmp_path / f"ready-{number}" for number in range(len(what))]
            while not all(path.exists() and path.read_text() for path in ready):
                if over.wait(0.01):
                    return
            at()

        places = [Place(number, len(what), number, len(what), "127.0.0.1", 0) for number in range(len(what))]
        work: Any = dict(enumerate(what))
        over = threading.Event()
        other = threading.Thread(target=when_ready)
        other.start()
        try:
            return ranks.supervise(work, Settings(results=tmp_path), places, ignore, ignore, **options)
        finally:
            over.set()
            other.join()

    yield call
    assert not any(Path("/proc", path.read_text()).exists() for path in tmp_path.glob("ready-*"))
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def ignore(*_: object) -> None:
    """What nobody looks at."""


def send(*numbers: int) -> Callable[[], None]:
    """Sends signals to this process, a moment apart."""

    def call() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.3)

    return call


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ended-*"))


def test_what_the_first_process_measured_is_given(supervise: Supervise) -> None:
    first: list[int] = []
    assert supervise("measure", "measure", started=first.append) == {"evaluation": {"rank": 0}}
    assert len(first) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_what_ends_this_process_has_the_others_write_a_checkpoint_first(
    number: int, supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number == signal.SIGUSR1:  # passed on as it is
        monkeypatch.setattr(ranks, "SIGNALS", (signal.SIGTERM,))
        monkeypatch.setattr(ranks.signals, "FROM_OUTSIDE", (signal.SIGUSR1,))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        supervise("end", "end", at=send(number))
    assert checkpoints(tmp_path) == ["ended-0", "ended-1"]
    assert time.monotonic() - started < 20, "they are not waited for until their patience ends"


def test_a_second_ctrl_c_ends_them_at_once(supervise: Supervise) -> None:
    with pytest.raises(KeyboardInterrupt):
        supervise("stay", "stay", at=send(signal.SIGINT, signal.SIGINT))


def test_a_ctrl_c_that_is_repeated_is_one(
    supervise: Supervise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchrun passes on what the terminal has sent already. Who does not end is ended, after PATIENCE_S."""
    monkeypatch.setattr(ranks, "PATIENCE_S", 2.0)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        supervise("stay", "stay", at=send(signal.SIGINT, signal.SIGINT), together_s=5.0)
    assert time.monotonic() - started > 2


def test_a_ctrl_c_that_is_ignored_stays_ignored(supervise: Supervise) -> None:
    """As in a worker process, whose parent answers it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(RunError, match="ours"):
            supervise("end", "break", at=send(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("what", [("end", "fail"), ("fail", "end"), ("fail", "fail")])
def test_what_fails_as_it_is_asked_to_end_is_no_failure(
    what: tuple[str, ...], supervise: Supervise, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in a validation, where one ends and the others lose their connection to it."""
    with pytest.raises(KeyboardInterrupt):
        supervise(*what, at=send(signal.SIGTERM))
    assert capfd.readouterr().err == ""


def test_a_checkpoint_that_cannot_be_written_is_a_failure_all_the_same(supervise: Supervise) -> None:
    with pytest.raises(ResultsError, match="no space left"):
        supervise("full", "fail", at=send(signal.SIGTERM))


@pytest.mark.parametrize("second", ["end", "lose"])
def test_a_process_that_somebody_ends_was_cancelled(
    second: str, supervise: Supervise, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the others say then."""

    def end_the_first() -> None:
        os.kill(int((tmp_path / "ready-0").read_text()), signal.SIGTERM)

    with pytest.raises(Cancelled, match=r"^it was cancelled; run again to resume$"):
        supervise("end", second, at=end_the_first)
    assert checkpoints(tmp_path) == ["ended-0"]
    assert capfd.readouterr().err == ""


def test_the_traceback_of_the_first_failure_is_printed(supervise: Supervise, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match=r"^ours$"):
        supervise("stay", "break")
    assert capfd.readouterr().err == "Traceback: ours\n"


def test_a_signal_that_comes_when_all_is_measured_still_ends_the_run(supervise: Supervise) -> None:
    with pytest.raises(KeyboardInterrupt):
        supervise("measure", started=lambda pid: os.kill(os.getpid(), signal.SIGTERM))


def test_a_process_asks_for_its_commit_and_code_before_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(provenance, "commit", lambda: calls.append("commit"))
    monkeypatch.setattr(provenance, "code", lambda: calls.append("code"))
    monkeypatch.setattr(ranks, "_do", lambda *_: calls.append("work"))
    monkeypatch.setattr(ranks, "_process_group", lambda *_: ranks.contextlib.nullcontext())
    monkeypatch.setattr(ranks.os, "environ", dict(os.environ))
    work: Any = ranks.Work(None, {})  # type: ignore[arg-type]
    ranks._serve(Pipe(), Place(0, 1, 0, 1, "127.0.0.1", 0), work, Settings(), [])  # type: ignore[arg-type]
    assert calls == ["commit", "code", "work"]


class Pipe:
    """Takes what is said."""

    def send(self, message: object) -> None:
        """To nobody."""
