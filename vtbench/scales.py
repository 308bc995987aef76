"""The sizes of an experiment: the recipe as printed, and the smaller ones that lie on it layer by layer."""

from __future__ import annotations

import functools

Scale = str
"""One of SCALES."""

SCALES: dict[Scale, Scale | None] = {"paper": None, "mini": "paper", "smoke": "mini"}
"""Scale -> the scale that its blocks in the papers' files lie on; None for the recipe as printed. A new scale is one
entry here."""


def layered(scale: Scale) -> tuple[Scale, ...]:
    """The scales whose blocks make up `scale`, the paper's own first: ("paper", "mini", "smoke") for smoke."""
    below = SCALES[scale]
    return (*layered(below), scale) if below else (scale,)


def at_scale(scale: Scale) -> str:
    """ " at mini scale", for messages; nothing for the recipe as printed."""
    return f" at {scale} scale" if SCALES[scale] else ""


def without_scale(text: str) -> str:
    """A message without the words of `at_scale`, to see whether another scale only repeats it."""
    return functools.reduce(lambda message, scale: message.replace(at_scale(scale), ""), small_scales(), text)


def small_scales() -> tuple[Scale, ...]:
    """The scales that lie on another: the names under which blocks for them stand in a file."""
    return tuple(scale for scale, below in SCALES.items() if below)


def smallest_first() -> tuple[Scale, ...]:
    """All scales, as reports and options list them: those with the most layers first."""
    return tuple(sorted(SCALES, key=lambda scale: -len(layered(scale))))
