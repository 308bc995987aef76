"""Which commit a number came from, and whether what ran was that commit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtbench.results import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one commit that vtbench believes to run from."""
    for file in ("vtbench/a.py", "benchmarks/p/table1.yaml", "results/results.csv"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "vtbench" / "results" / "provenance.py"))
    provenance.commit.cache_clear()
    yield tmp_path
    provenance.commit.cache_clear()


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        (None, False),
        ("vtbench/a.py", True),
        ("benchmarks/p/table2.yaml", True),
        ("results/results.csv", False),
        ("notes.txt", False),
    ],
)
def test_a_changed_file_and_a_new_file_that_is_read_are_named(checkout: Path, file: str | None, dirty: bool) -> None:
    if file:
        (checkout / file).write_text("2")
    head, found = provenance.commit()
    assert found is dirty
    assert head is not None and len(head) == 40


def test_the_first_answer_stands_while_the_process_runs(checkout: Path) -> None:
    before = provenance.commit()
    (checkout / "vtbench/a.py").write_text("2")
    assert provenance.commit() == before


def test_outside_a_checkout_there_is_no_commit(checkout: Path) -> None:
    (checkout / ".git").rename(checkout / "git")
    assert provenance.commit() == (None, None)
