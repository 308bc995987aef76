"""Odd arguments of every verb: exit code 2 or 1 and one line, at once; nothing is printed that a terminal obeys."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.cli.commands import COMMANDS, _module, parser_of
from vtbench.errors import HIDDEN, LONGEST_LINE, VtbenchError

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"
ESCAPES = "no\x1b]0;title\x07\nthing\u202e"
ODD = ("", "a\0b", "²", "٣", ESCAPES, "x" * 100_000, "9" * 5000, "-9", "[" * 3000)
"""Values that no option has."""

HEAVY = {"run", "eval", "speed", "predict", "cost"}
"""Verbs that build networks: they are given a row that is not there, so that nothing is built."""


def every_verb() -> list[tuple[str, str]]:
    """The verbs and actions that have options, each with its module."""
    found = []
    for name, place in COMMANDS.items():
        actions = getattr(_module(place), "ACTIONS", {})
        found += [(f"{name} {action}", inner) for action, inner in actions.items()] or [(name, place)]
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with some of what paths may lead to."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    return tmp_path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], *, or_done: bool = False) -> str:
    """The line on stderr. `or_done`: the command may also do what it was asked, and then prints what it likes, as
    escapes."""
    code = main(arguments)
    out, err = capsys.readouterr()
    assert not HIDDEN.search(out) and not HIDDEN.search(err), arguments
    if code or not or_done:
        assert code in (1, 2), arguments
        assert re.fullmatch(r"vtbench: .+\n", err), (arguments, err[:300])
        assert len(err) < LONGEST_LINE + 100, arguments
    return err


@pytest.mark.parametrize(("name", "place"), every_verb(), ids=lambda value: value if "." not in value else "")
def test_every_option_of_a_verb_takes_odd_values_in_one_line(
    name: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = parser_of(name, _module(place))
    row = "msca/table2:none" if name in HEAVY else VIT
    for action in parser._actions:
        if action.nargs == 0 or isinstance(action, argparse._HelpAction):
            continue
        others = [
            word
            for other in parser._actions
            if other is not action and (other.required or other.dest == "selectors") and other.nargs != 0
            for word in ([other.option_strings[0], "file"] if other.option_strings else [row])
        ]
        for value in ODD:
            given = [f"{action.option_strings[-1]}={value}"] if action.option_strings else [value]
            refused([*name.split(), *others, *given], capsys, or_done=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # empty
        (["speed", VIT, "--against", ""], "--against: is empty; give a value, or leave it out"),
        (["plan", VIT, "--results", ""], "--results: is empty"),
        (["plan", VIT, "--results="], "--results: is empty"),
        (["eval", VIT, "--checkpoint", ""], "--checkpoint: is empty"),
        (["plan", VIT, "--seeds", ""], "--seeds: is empty"),
        (["list", ""], "an argument: is empty"),
        (["show", VIT, "--set", "=3"], "--set : msca/table2:vit has no setting ''"),
        (["show", VIT, "--set", "model.=3"], "--set model.: msca/table2:vit has no setting 'model.'"),
        (["plan", VIT, "--data", "=x"], "--data =x: must be NAME=PATH"),
        (["plan", VIT, "--data", "kinetics400="], "--data kinetics400=: must be NAME=PATH"),
        (["plan", KV, "--init", "=x"], "--init =x: must be ROW=FILE"),
        # numbers
        (["plan", VIT, "--seeds", "0-100000000"], "'0-100000000' names more than 1000 seeds; name fewer"),
        (["plan", VIT, "--seeds", ",".join(map(str, range(1001)))], "names more than 1000 seeds"),
        (["compare", KV, VIT, "--seeds", "0-100000000"], "names more than 1000 seeds"),
        (["plan", VIT, "--seeds", "٣"], "'٣' is not a list of seeds such as 0,1,2 or 0-2"),
        (["run", VIT, "--workers", "²"], "'²' is not a whole number above 0"),
        (["run", VIT, "--workers", "9" * 5000], "is not a whole number above 0"),
        (["plan", VIT, "--missing", "٠"], "'٠' is not a share from 0 to 1"),
        (["run", VIT, "--checkpoint-minutes", "٣"], "'٣' is not a number of minutes from 0"),
        (["data", "prepare", "folder", "out", "--crf", "²"], "'²' is not a whole number from 0"),
        # settings
        *(
            ([verb, VIT, "--scale", "smoke", "--set", setting], f"--set {setting}: is {what}")
            for verb in ("show", "plan", "cost")
            for setting, what in (
                ("model.depth=99999999999999999999", "99999999999999999999, beyond 9007199254740992; write a smaller"),
                ("model.depth=1000000000", "1000000000, must be at most 1000"),
                ("model.num_heads=0", "0, must be at least 1"),
                ("data.num_frames=1000000000", "1000000000, must be at most 4096"),
            )
        ),
        (["show", VIT, "--set", "model.depth=&a [*a]"], "nested more than 64 deep, or an alias that holds itself"),
        (["show", VIT, "--set", f"model.depth={'[' * 100_000}"], "nested more than 64 deep; write it flatter"),
        (["show", VIT, "--set", "model.depth=!!timestamp x"], "model.depth=!!timestamp x: not a plain YAML value"),
        (["show", VIT, "--set", 'data.dataset="\\e[31m"'], "holds the control character U+001B"),
        (["show", VIT, "--set", "data.dataset=\udcff"], r"--set data.dataset=\udcff: the value is not YAML"),
        # paths
        (["plan", VIT, "--results", "~nobody-of-this-name"], "no such user; give the whole path"),
        (["data", "check", "ucf101", "~nobody-of-this-name"], "no such user; give the whole path"),
        (["predictions", VIT, "--output", "~nobody-of-this-name/x.csv"], "no such user; give the whole path"),
        (["predict", VIT, "file", "--checkpoint", "~nobody-of-this-name"], "no such user; give the whole path"),
        (["eval", VIT, "--checkpoint", "~nobody-of-this-name"], "no such user; give the whole path"),
        (["plan", KV, "--init", f"{VIT}=~nobody-of-this-name"], "no such user; give the whole path"),
        (["plan", KV, "--init", f"{VIT}=pipe"], f"--init {VIT}: pipe: is a named pipe; give a file of weights"),
        (["plan", KV, "--init", f"{VIT}=/dev/zero"], "/dev/zero: is a device or a socket; give a file of weights"),
        (["plan", KV, "--init", f"{VIT}=folder"], "folder: is a folder; give a file of weights"),
        (["plan", KV, "--init", f"{VIT}=none"], "none: no such file; give a file of weights"),
        (["plan", VIT, "--results", "a\0b"], r"a\x00b: holds a null byte, which no name has"),
        (["plan", VIT, "--results", "file"], "file/results.csv: cannot be read: Not a directory; choose the folder"),
        (["report", VIT, "--results", "file"], "--results file: is not a folder"),
        (["report", VIT, "--html", "folder"], "folder: "),
        (["report", VIT, "--html", "file/x.html"], "file/x.html: "),
        (["list", "--include", "file"], "file: is a file, a folder is wanted"),
        (["list", "--include", "loop"], "loop"),
        (["run", "--spec", "folder"], "--spec folder: no such file"),
        (["run", "--spec", "file"], "file:1: must hold keys and values at the top"),
        (["data", "check", "ucf101", "file"], "file: no such folder"),
        (["data", "lists", "ucf101", "loop"], "loop: no such folder"),
        (["data", "prepare", "folder", "loop"], "loop: is no path: "),
        (["data", "prepare", "file", "out"], "file: no such folder of videos"),
        (["data", "info", "pipe"], "pipe: is a pipe, a socket or a device, not a video file"),
        (["predictions", VIT, "--output", "folder"], "--output folder: the name must end in .csv or .parquet"),
        # names
        (["list", ESCAPES], r"no paper 'no\x1b]0;title\x07 thing\u202e'"),
        ([ESCAPES], r"no command 'no\x1b]0;title\x07 thing\u202e'"),
        (["list", "x" * 100_000], f"no paper '{'x' * 100}"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "backslashreplace").decode()[:60] if isinstance(value, list) else "",  # noqa: E501
)  # fmt: skip
def test_what_cannot_be_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(arguments, capsys)


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("none.pth", "none.pth: no such file; check the path of the weights"),
        ("folder", "folder: is a folder; check the path"),
        ("pipe", "pipe: is a named pipe; check the path"),
        ("/dev/zero", "/dev/zero: is a device or a socket; check the path"),
        ("loop", "loop: cannot be read: too many levels of symbolic links"),
        ("file", "file: not a readable safetensors or torch checkpoint"),
    ],
)
def test_a_checkpoint_is_looked_at_before_work_is_announced(
    checkpoint: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(["eval", VIT, "--scale", "smoke", "--checkpoint", checkpoint], capsys)


@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
def test_tables_print_escapes_of_paths_as_text(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = "kinetics400=no\x1b]0;title\x07"
    assert main(["plan", VIT, "--scale", "paper", "--data", data, "--format", form]) == 0
    out = capsys.readouterr().out
    assert not HIDDEN.search(out)
    assert (r"no\u001b]0;title\u0007" if form == "json" else r"no\x1b]0;title\x07") in out


def test_settings_files_that_attack_are_one_line_of_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("data: &a {kinetics400: *a}\n", f"data: {'[' * 100_000}\n", 'results: "a\\0b"\n', "\ufeffresult: x\n"):
        Path("vtbench.yaml").write_text(text, encoding="utf-8")
        for arguments in (["list"], ["plan", VIT], ["report", VIT], ["check"]):
            assert refused(arguments, capsys).startswith("vtbench: vtbench.yaml:1: ")
    Path("vtbench.yaml").unlink()
    Path("vtbench.yaml").symlink_to("none")
    assert "vtbench.yaml: is a link to a file that is not there" in refused(["plan", VIT], capsys)


def test_the_words_of_an_error_that_is_not_ours_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise VtbenchError(f"{ESCAPES}: {'word ' * 5000}")

    monkeypatch.setattr("vtbench.cli.list.call", fail)
    assert r"no\x1b]0;title\x07 thing\u202e: word word" in refused(["list"], capsys)
