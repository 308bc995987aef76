"""The table of verbs: what a verb's file defines, and what is imported for it."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import vtbench
from vtbench.cli import commands, main
from vtbench.cli.commands import COMMANDS
from vtbench.cli.data import ACTIONS
from vtbench.papers import select
from vtbench.run.settings import Settings

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parent.parent)}


def imported_by(*arguments: str) -> set[str]:
    """The modules of vtbench that a command imports."""
    script = (
        "import sys; from vtbench.cli import main; main(sys.argv[1:]); "
        "print(*(name for name in sys.modules if name.startswith('vtbench')), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_file_of_a_verb_defines_a_summary_options_and_a_call(name: str) -> None:
    verb = importlib.import_module(COMMANDS[name])
    actions = [importlib.import_module(place) for place in getattr(verb, "ACTIONS", {}).values()]
    for one in (verb, *actions):
        assert one.SUMMARY[0].isupper() and not one.SUMMARY.endswith(".") and len(one.SUMMARY) < 90
    for one in actions or [verb]:
        assert callable(one.options) and callable(one.call)


def every_verb() -> list[tuple[str, str]]:
    """The verbs and actions that have a help, each with its module."""
    found = []
    for name, place in COMMANDS.items():
        actions = getattr(importlib.import_module(place), "ACTIONS", {})
        found += [(f"{name} {action}", module) for action, module in actions.items()] or [(name, place)]
    return found


@pytest.mark.parametrize(("name", "place"), every_verb())
def test_the_help_of_a_verb_ends_with_examples_that_parse(
    name: str, place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verb = importlib.import_module(place)
    monkeypatch.setenv("COLUMNS", "60")
    assert main([*name.split(), "--help"]) == 0
    _, _, shown = capsys.readouterr().out.partition("\nexample")
    assert [line.strip() for line in shown.splitlines()[1:]] == list(verb.EXAMPLES) != []
    for example in verb.EXAMPLES:
        program, *words = shlex.split(example)
        length = len(name.split())
        assert (program, words[:length]) == ("vtbench", name.split())
        commands.parser_of(name, verb).parse_intermixed_args(words[length:])
        selectors = [word for word in words[length:] if re.fullmatch(r"\w+/table\w+(:[\w-]+)?(@\w+)?", word)]
        assert all(select([selector]) for selector in selectors)


def test_a_verb_with_actions_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {action} " in out for action in ACTIONS)
    assert main(["data", "prepare", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: vtbench data prepare ")
    assert main(["data"]) == 2
    assert capsys.readouterr().err.startswith("vtbench: data needs an action: lists, check, prepare, info")


def test_help_imports_the_command_line_alone() -> None:
    drawing = {"vtbench.report", "vtbench.report.printing", "vtbench.report.columns"}
    shared = {"vtbench", "vtbench.errors", "vtbench.fields", "vtbench.files", "vtbench.scales", *drawing}
    assert {name for name in imported_by("--help") if not name.startswith("vtbench.cli")} == shared


def test_a_verb_imports_no_other_verb() -> None:
    verbs = {name for name in imported_by("list", "msca/table1") if name in COMMANDS.values()}
    assert verbs == {"vtbench.cli.list"}


def test_a_verb_is_one_file_and_one_line_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet_verb.py").write_text(
        'SUMMARY = "Greet somebody"\nEXAMPLES = ("vtbench greet Ada",)\n'
        "def options(parser):\n    parser.add_argument('name')\n"
        "def call(args):\n    print('hello', args.name)\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "greet", "greet_verb")
    assert main(["greet", "Ada"]) == 3
    assert capsys.readouterr().out == "hello Ada\n"
    assert main(["--help"]) == 0
    assert ["greet", "Greet", "somebody"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main(["greet"]) == 2
    assert capsys.readouterr().err.endswith("arguments are required: name; see vtbench greet --help\n")


def test_the_help_of_run_gives_the_number_of_data_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        f"processes that read videos for each device, at lab and paper scale; default: {Settings.num_workers}" in text
    )


@pytest.mark.parametrize(("option", "words"), [((), " again"), (("--again",), " without --again")])
def test_an_interrupted_command_says_how_to_resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: tuple[str, ...], words: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vtbench.cli.run.selected_rows", interrupt)
    assert main(["run", "msca/table2:vit", *option]) == 1
    assert capsys.readouterr().err == f"vtbench: interrupted; run the same command{words} to resume\n"
