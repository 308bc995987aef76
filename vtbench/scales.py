"""The sizes of an experiment: the recipe as printed, and the smaller ones that lie on it layer by layer."""

from __future__ import annotations

import functools
from dataclasses import dataclass

Scale = str
"""One of SCALES."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a row of a scale may take."""

    row_hours: float
    """Hours of one row on the GPU of vtbench.report.machines.hours."""
    table_hours: float
    """Hours of one table, each distinct training counted once."""
    train_videos: int
    """Training videos of a data set that is used whole; a larger one needs a subset."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a scale is."""

    lies_on: Scale | None
    """The scale that its blocks in the papers' files lie on; None for the recipe as printed."""
    real: bool
    """Whether it is of real data and networks of full size: a GPU where there is one, and processes that read the
    files. Otherwise one CPU thread, and decoded videos stay in memory."""
    by_default: bool = True
    """Whether rows exist at it that do not say at which scales they do."""
    limits: Limits | None = None
    """What `vtbench check` holds its rows to."""


SCALES: dict[Scale, About] = {
    "paper": About(lies_on=None, real=True),
    "lab": About(
        lies_on="paper",
        real=True,
        by_default=False,
        limits=Limits(row_hours=12, table_hours=100, train_videos=20_000),
    ),
    "mini": About(lies_on="paper", real=False),
    "smoke": About(lies_on="mini", real=False),
}
"""Largest first. A new scale is one entry here."""


def layered(scale: Scale) -> tuple[Scale, ...]:
    """The scales whose blocks make up `scale`, the paper's own first: ("paper", "mini", "smoke") for smoke."""
    below = SCALES[scale].lies_on
    return (*layered(below), scale) if below else (scale,)


def at_scale(scale: Scale) -> str:
    """ " at mini scale", for messages; nothing for the recipe as printed."""
    return f" at {scale} scale" if SCALES[scale].lies_on else ""


def without_scale(text: str) -> str:
    """A message without the words of `at_scale`, to see whether another scale only repeats it."""
    return functools.reduce(lambda message, scale: message.replace(at_scale(scale), ""), small_scales(), text)


def small_scales() -> tuple[Scale, ...]:
    """The scales that lie on another: the names under which blocks for them stand in a file."""
    return tuple(scale for scale, about in SCALES.items() if about.lies_on)


def default_scales() -> tuple[Scale, ...]:
    """The scales of a row that does not name any."""
    return tuple(scale for scale, about in SCALES.items() if about.by_default)


def smallest_first() -> tuple[Scale, ...]:
    """All scales, as reports and options list them."""
    return tuple(reversed(SCALES))
