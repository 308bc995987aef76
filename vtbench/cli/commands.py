"""The table of verbs, and `main`: parse the arguments, call the verb, report errors as one line.

Nothing heavy is imported before a verb is called: `--help` imports none of what the verbs need, and `list`, `show`,
`check` and `report` never import torch.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol, cast

from vtbench import __version__
from vtbench.cli.messages import print_message
from vtbench.cli.options import SELECTORS, Parser
from vtbench.cli.pager import paged
from vtbench.errors import UsageError, VtbenchError, unknown


class Verb(Protocol):
    """What the file of a verb defines. It imports at its head only what is quick to import.

    One that prints what a person reads also has PAGED = True: on a terminal, what is longer than the screen goes
    through the pager.
    """

    SUMMARY: str
    """One line for `vtbench --help`, an imperative without a full stop."""

    EXAMPLES: Sequence[str]
    """Commands for the help, each as a user types it."""

    def options(self, parser: Parser) -> None:
        """Add the verb's options."""

    def call(self, args: argparse.Namespace) -> int:
        """Run the verb with its parsed options; returns the exit code."""


class Group(Protocol):
    """What the file of a verb with actions (`vtbench data prepare`) defines. An action is like a Verb."""

    SUMMARY: str
    """One line for `vtbench --help`, an imperative without a full stop."""

    ACTIONS: Mapping[str, str]
    """Action -> the module that defines it, in the order of `vtbench data --help`."""


COMMANDS = {
    "list": "vtbench.cli.list",
    "show": "vtbench.cli.show",
    "decisions": "vtbench.cli.decisions",
    "diff": "vtbench.cli.diff",
    "claims": "vtbench.cli.claims",
    "check": "vtbench.cli.check",
    "cost": "vtbench.cli.cost",
    "plan": "vtbench.cli.plan",
    "run": "vtbench.cli.run",
    "status": "vtbench.cli.jobs.status",
    "cancel": "vtbench.cli.jobs.cancel",
    "eval": "vtbench.cli.eval",
    "speed": "vtbench.cli.speed",
    "report": "vtbench.cli.report",
    "compare": "vtbench.cli.reading.compare",
    "predictions": "vtbench.cli.reading.predictions",
    "predict": "vtbench.cli.reading.predict",
    "results": "vtbench.cli.results",
    "data": "vtbench.cli.data",
    "wandb": "vtbench.cli.wandb",
}
"""Verb -> the module that defines it, in the order of `vtbench --help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. User-fixable errors are one line on stderr, never a traceback.

    `argv` is the command without the program's name; by default that of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # print what the terminal's encoding lacks as escapes
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except VtbenchError as error:
        more = len(getattr(error, "others", ()))
        several = f" ({more} more problem{'s' if more > 1 else ''}: see `vtbench check`)" if more else ""
        _complain(f"{error}{several}")
        return error.exit_code
    except KeyboardInterrupt:
        if argv is None:  # this process ends: one line, however often the keys are pressed
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        repeating = {"--again", "--test-again"} & set(arguments)
        without = f" without {repeating.pop()}" if repeating else " again"
        _complain(f"interrupted; run the same command{without} to resume")
        return 1
    except BrokenPipeError:  # the reader of our output (head, less) has gone; Python would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
        return 1


def _complain(text: str) -> None:
    """Print why the command ends: once on each machine, however many processes torchrun or srun started there."""
    from vtbench.run.engine import launched

    try:
        started = launched()
    except UsageError:  # that is what the line says
        started = None
    if started is None or started.local_rank == 0:
        print_message(text)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        with paged():
            print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"vtbench {__version__}")
        return 0
    name, *words = arguments
    if name not in COMMANDS:
        raise UsageError(unknown("command", name, COMMANDS))
    _refuse_empty(words)
    verb = _module(COMMANDS[name])
    if actions := getattr(verb, "ACTIONS", None):
        if words[:1] in (["-h"], ["--help"]):
            print(_help_of_actions(name, cast(Group, verb)))
            return 0
        if not words:
            raise UsageError(f"{name} needs an action: {', '.join(actions)}; see vtbench {name} --help")
        if words[0] not in actions:
            raise UsageError(unknown("action", words[0], actions))
        name, verb, words = f"{name} {words[0]}", _module(actions[words[0]]), words[1:]
        # Videos may be called after YouTube ids, of which many begin with "-".
        words = [f"./{word}" if word.startswith("-") and os.path.isfile(word) else word for word in words]  # noqa: PTH113
    parser = parser_of(name, verb)
    with paged(bool({"-h", "--help"} & set(words))):
        try:
            args = parser.parse_intermixed_args(words)
        except SystemExit as end:  # --help has printed itself
            return int(end.code or 0)
    if "include" in args:
        from vtbench.run.settings import include_folders

        include_folders(args.include)
    with paged(not getattr(args, "no_pager", True)):
        return verb.call(args)


def _refuse_empty(words: Sequence[str]) -> None:
    """Raise UsageError for an argument without a value, as a variable that is not set leaves it in a script, and for a
    null byte, which no name holds."""
    for before, word in pairwise(("", *words)):
        option, equals, value = word.partition("=")
        if not word or (word.startswith("--") and equals and not value):
            which = option or (before if before.startswith("--") else "an argument")
            raise UsageError(f"{which}: is empty; give a value, or leave it out")
        if "\0" in word:
            raise UsageError(f"{word}: holds a null byte, which no name has")


def parser_of(name: str, verb: Verb) -> Parser:
    """The parser of a verb, or of an action by both names ("data lists"); its help ends with the examples."""
    parser = Parser(
        prog=f"vtbench {name}",
        description=f"{verb.SUMMARY}.",
        epilog="\n  ".join(["examples:" if len(verb.EXAMPLES) > 1 else "example:", *verb.EXAMPLES]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.options(parser)
    if getattr(verb, "PAGED", False):
        parser.add_argument("--no-pager", action="store_true", help="print everything at once, also on a terminal")
    return parser


def _module(place: str) -> Verb:
    return cast(Verb, importlib.import_module(place))


def _help_of_actions(name: str, group: Group) -> str:
    return "\n".join(
        [
            f"usage: vtbench {name} ACTION ... [options]",
            "",
            f"{group.SUMMARY}.",
            "",
            *(f"  {action:<10}{_module(place).SUMMARY}" for action, place in group.ACTIONS.items()),
            "",
            f"Options of an action: vtbench {name} ACTION --help.",
        ]
    )


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    verbs = [f"  {name:<{width}}{_module(place).SUMMARY}" for name, place in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vtbench COMMAND [SEL ...] [options]",
            "",
            "Run the results tables of four video-transformer papers and compare with the printed numbers.",
            "",
            *verbs,
            "",
            *textwrap.wrap(
                f"SEL selects rows: {SELECTORS}.",
                min(shutil.get_terminal_size((100, 24)).columns, 100),
                subsequent_indent="    ",
                break_on_hyphens=False,
            ),
            "Options of a command: vtbench COMMAND --help. Version: vtbench --version.",
            "Exit codes: 0 done; 1 something failed to run; 2 wrong usage or wrong input.",
        ]
    )
