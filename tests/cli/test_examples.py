"""The examples in the help of the reading verbs, each run as a user who has cloned the repository would type it."""

from __future__ import annotations

import importlib
import shlex
import shutil
import subprocess
import webbrowser
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.cli.commands import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
READING = ("list", "show", "decisions", "diff", "claims", "cost", "report", "compare", "predictions", "results")
SLOW = ("vtbench cost", "vtbench report --html")
"""Examples of more than a few seconds: those that build networks, and the page."""
LEFT_OUT = "vtbench cost --record"
"""It counts every network of the suite, for minutes."""


def examples() -> list[object]:
    """Every one, those of SLOW marked."""
    found: list[object] = []
    for verb in READING:
        module = importlib.import_module(COMMANDS[verb])
        for place in getattr(module, "ACTIONS", {"": COMMANDS[verb]}).values():
            for example in importlib.import_module(place).EXAMPLES:
                if example != LEFT_OUT:
                    marks = [pytest.mark.slow] if example.startswith(SLOW) else []
                    found.append(pytest.param(example, marks=marks, id=example))
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the committed results, and `here` and `there`, two stores that are the same."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(REPOSITORY / "results", folder / "results", ignore=shutil.ignore_patterns("runs", "wandb"))
    for name in ("here", "there"):
        (folder / name).symlink_to("results")
    return folder


@pytest.mark.parametrize("example", examples())
def test_an_example_runs_on_the_committed_results(
    example: str, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "HEAD~1" in example and not _has_parent():
        pytest.skip("a clone of a single commit")
    monkeypatch.chdir(clone)
    monkeypatch.setattr(webbrowser, "open", lambda url: True)
    code = main(shlex.split(example)[1:])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "") and out.strip()


def _has_parent() -> bool:
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", "--quiet", "HEAD~1"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
