"""Output that is longer than the screen goes through the user's pager, as that of git does."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import TextIO

NOT_FOUND = (126, 127)
"""What a shell ends with if it cannot start a program."""


@contextlib.contextmanager
def paged(wanted: bool = True) -> Iterator[None]:
    """Hold back what is printed, and show it when the block ends: through the pager if it is longer than the screen.
    Where stdout is no terminal, or there is no pager, nothing is held back."""
    command = pager_command() if wanted and sys.stdout.isatty() else None
    if command is None:
        yield
        return
    terminal = sys.stdout
    held = _Held(terminal)
    sys.stdout = held
    try:
        yield
    finally:
        sys.stdout = terminal
        text = held.getvalue()
        if not (_is_long(text) and _page(text, command, terminal.encoding or "utf-8")):
            terminal.write(text)
            terminal.flush()


def pager_command() -> str | None:
    """The command of VTBENCH_PAGER or PAGER, else less; None for `cat` or nothing, and on a dumb terminal."""
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return None
    for name in ("VTBENCH_PAGER", "PAGER"):
        command = os.environ.get(name)
        if command is not None:
            return None if command.strip() in ("", "cat") else command
    return shutil.which("less") or shutil.which("more")


class _Held(io.StringIO):
    """Stands for the terminal while its text is held back."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self._encoding = terminal.encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def _is_long(text: str) -> bool:
    """Whether a text takes more lines than the screen has, one of them for the prompt."""
    width, height = shutil.get_terminal_size()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    return sum(max(1, -(-len(line) // max(width, 1))) for line in lines) >= height


def _page(text: str, command: str, encoding: str) -> bool:
    """Give a text to the pager, and wait until the reader leaves it; gives whether it could be started."""
    import subprocess

    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the reader has seen enough
            process.stdin.write(text.encode(encoding, errors="replace"))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        while process.returncode is None:
            with contextlib.suppress(KeyboardInterrupt):  # in less, Ctrl-C ends a search
                process.wait()
    return process.returncode not in NOT_FOUND
