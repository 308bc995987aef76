"""`--results` of the verbs that only read: a folder that is not there is one line, and no empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtbench.cli import main

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"
READING = (
    ("list",),
    ("claims",),
    ("report", KV),
    ("report", KV, "--per-class"),
    ("report", KV, "--html", "page.html"),
    ("compare", KV, VIT),
    ("predictions", KV),
    ("results", "export", KV, "--scores"),
    ("wandb", "sync", KV, "--mode", "offline"),
    ("wandb", "dashboard", KV, "--output", "-"),
)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_folder_that_is_not_there_is_one_line(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("a-file").write_text("")
    for given, what in (("none/such", "no such folder"), ("a-file", "is not a folder")):
        assert main([*command, "--results", given]) == 2
        error = capsys.readouterr().err
        assert error == f"vtbench: --results {given}: {what}; give the folder of a results.csv\n"
    assert main([*command, "--results", ""]) == 2
    assert capsys.readouterr().err == "vtbench: --results: is empty; give a value, or leave it out\n"


def test_the_folder_of_the_default_or_of_the_settings_may_not_be_made_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", KV, "--format", "csv"]) == 0
    Path("vtbench.yaml").write_text("results: later\n")
    assert main(["report", KV, "--format", "csv"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "command", [("compare", KV, VIT), ("predictions", KV), ("results", "export", KV, "--scores")], ids=" ".join
)
def test_no_line_of_the_rows_is_wrong_input(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("results").mkdir()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("vtbench: results/results.csv: has no ") and "`vtbench run" in error
    assert error.count("\n") == 1
