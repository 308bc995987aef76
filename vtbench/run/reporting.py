"""How a training or a test says how far it is, and what should be read meanwhile."""

from __future__ import annotations

from collections.abc import Callable

START = "start"

Progress = Callable[[str, int, int, float | None], None]
"""Called with (phase, done, total, loss): phase is `train` (counting epochs) or `test` (videos). Before those it is
`start`, with 0 of 0: the run folder is held, there is something to do, and nothing is counted yet."""

Notice = Callable[[str], None]
"""Called with a line that whoever waits should read, e.g. on a video that cannot be read."""


def no_progress(phase: str, done: int, total: int, loss: float | None) -> None:
    """Report to nobody."""


def no_notice(text: str) -> None:
    """Say it to nobody."""
