"""What `vtbench run` shows: a line per finished job, also where output goes to a file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vtbench.cli.jobs import display as progress
from vtbench.cli.jobs.display import TerminalDisplay
from vtbench.papers import measurements, select
from vtbench.run.jobs.plan import graph


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    display = TerminalDisplay(Console(file=out, force_terminal=terminal, width=120, highlight=False))
    jobs = list(graph(measurements(select(["msca/table2:vit"])[0], "smoke", seed=3)).values())
    display.start(jobs)
    for job in jobs:
        display.progress(job.key, "train", 1, 2, 0.5)
        display.progress(job.key, "test", 2, 4, None)
    display.end_job(jobs[0].key, [], None)
    display.end_job(jobs[1].key, [], "the [disk] is full")
    display.stop()
    return out.getvalue()


def test_a_file_gets_a_line_per_job_and_no_control_characters() -> None:
    assert shown(terminal=False).splitlines() == [
        "2 to do",
        "[1/2] pretraining on stills, seed 0: trained",
        "[2/2] msca/table2:vit, seed 3: failed",
    ]


def test_a_file_gets_a_line_now_and_then_on_how_far_a_job_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    display = TerminalDisplay(Console(file=out, highlight=False))
    (_, job) = graph(measurements(select(["msca/table2:vit"])[0], "smoke", seed=3)).values()
    display.start([job])
    for epoch in range(9):
        display.progress(job.key, "train", epoch, 9, 0.25)
        now[0] += 10
    assert out.getvalue().splitlines() == [
        "1 to do",
        "msca/table2:vit, seed 3: 3/9 train, loss 0.250",
        "msca/table2:vit, seed 3: 6/9 train, loss 0.250",
    ]


def test_a_terminal_gets_the_same_lines_beside_its_bars() -> None:
    text = shown(terminal=True)
    assert "[2/2] msca/table2:vit, seed 3: failed" in text
    assert "2/2" in text
    assert "\x1b[" in text


def test_nothing_to_do_says_nothing() -> None:
    out = io.StringIO()
    display = TerminalDisplay(Console(file=out))
    display.start([])
    display.stop()
    assert out.getvalue().strip() == ""


def test_notices_are_printed_without_what_a_terminal_obeys() -> None:
    out = io.StringIO()
    TerminalDisplay(Console(file=out, width=120, highlight=False)).notice("key", "without a\x1b]0;t\x07\nb.mp4")
    assert out.getvalue() == "key: without a\\x1b]0;t\\x07 b.mp4\n"
