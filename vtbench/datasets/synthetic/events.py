"""`events`: which of four flashes came first.

The shape flashes once at each of four places (north, east, south, west) in four of eight holds, in random order; the
other holds are empty. The label is the place that came first. Every video of a scene shows the same eight frames;
telling the first flash takes a comparison with flashes up to seven holds away.

Videos have 8 holds plus HOLD - 1 frames that no clip of 8 frames at stride HOLD reaches, so that starts 0 to HOLD - 1
all see each hold once. Mirroring swaps east and west.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vtbench.datasets.synthetic import ring

__all__ = ["CLASSES", "EVENT_HOLDS", "EVENT_PLACES", "FLIP_LABELS", "draw_places", "write_video"]

EVENT_HOLDS = 8
EVENT_PLACES = (0, 2, 4, 6)

CLASSES = ("north", "east", "south", "west")
FLIP_LABELS = {1: 3, 3: 1}


def draw_places(label: int, rng: np.random.Generator) -> list[int]:
    """The place in each frame of a random video of class `label`."""
    holds = [ring.NOWHERE] * (EVENT_HOLDS + 1)
    others = [p for p in EVENT_PLACES if p != EVENT_PLACES[label]]
    order = [EVENT_PLACES[label], *rng.permutation(others).tolist()]
    for hold, place in zip(sorted(rng.choice(EVENT_HOLDS, size=4, replace=False)), order, strict=True):
        holds[hold] = place
    return ring.held(holds)[:-1]  # the last hold is cut by a frame


def write_video(path: Path, label: int, rng: np.random.Generator) -> None:
    """Encode a random video of a class."""
    scene = ring.draw_scene(rng)
    ring.write_video(path, scene, draw_places(label, rng))
