"""`cycle`: which way and how far a shape steps round a ring.

The shape steps by +1, -1, +3 or -3 places per hold. All four steps are prime to 8, so any eight holds in a row show all
eight places once: the classes show *the same frames in another order*, and no function of the unordered set of frames
can tell them apart. Only the order carries the label. The shape moves for CYCLE_HOLDS holds.

Mirroring swaps the steps +1 and -1, +3 and -3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vtbench.datasets.synthetic import ring

__all__ = ["CLASSES", "CYCLE_HOLDS", "FLIP_LABELS", "STEPS", "draw_places", "write_video"]

STEPS = (1, -1, 3, -3)
CYCLE_HOLDS = 10  # eight are sampled, the rest is room for random starts

CLASSES = ("plus_one", "minus_one", "plus_three", "minus_three")
FLIP_LABELS = {0: 1, 1: 0, 2: 3, 3: 2}


def draw_places(label: int, rng: np.random.Generator) -> list[int]:
    """The place in each frame of a random video of class `label`."""
    first = int(rng.integers(ring.PLACES))
    return ring.held([(first + STEPS[label] * h) % ring.PLACES for h in range(CYCLE_HOLDS)])


def write_video(path: Path, label: int, rng: np.random.Generator) -> None:
    """Encode a random video of a class."""
    scene = ring.draw_scene(rng)
    ring.write_video(path, scene, draw_places(label, rng))
