from __future__ import annotations

from pathlib import Path

import pytest

from vtbench.cli import main


def test_html_writes_a_page_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.html"
    assert main(["report", "msca/table2", "--results", str(tmp_path), "--html", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 0.1 MB, 9 rows\n"
    text = file.read_text()
    assert text.startswith("<!DOCTYPE html>") and 'id="msca/table2:msca-kv"' in text and 'id="msca/table1"' not in text


def test_open_shows_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    file = tmp_path / "a page.html"
    assert main(["report", "msca/table2", "--results", str(tmp_path), "--html", str(file), "--open"]) == 0
    assert opened == [file.resolve().as_uri()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--open"], "--open shows a page; name its file, as --html report.html --open"),
        (["--html", "x.html", "--with-variants"], "--with-variants is not for the page; leave it out, or --html"),
        (["--html", "x.html", "--format", "json"], "--format json is not for the page; leave it out, or --html"),
        (["--html", "x.html", "--set", "train.lr=1.0"], "--set is not for the page; leave it out, or --html"),
        (["--html", "x.html", "--per-class"], "not allowed with argument"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "msca/table2", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "missing" / "page.html"
    assert main(["report", "msca/table2", "--results", str(tmp_path), "--html", str(file)]) == 1
    error = capsys.readouterr().err
    assert error == f"vtbench: {file}: cannot be written: No such file or directory; name another file with --html\n"
