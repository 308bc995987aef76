"""Messages to the user on stderr; stdout is for what a command was asked to print."""

from __future__ import annotations

import sys

from vtbench.errors import printable


def print_message(text: str) -> None:
    """Print one line on stderr that says who speaks: "vtbench: ..."."""
    print(f"vtbench: {printable(text)}", file=sys.stderr, flush=True)
