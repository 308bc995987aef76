"""`stills`: one hold, one place; the label is the place. A task for single frames, on which the frame-wise network is
pretrained in place of ImageNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vtbench.datasets.synthetic import ring

__all__ = ["CLASSES", "FLIP_LABELS", "draw_places", "write_video"]

CLASSES = ("north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west")
FLIP_LABELS = {p: -p % ring.PLACES for p in range(ring.PLACES) if -p % ring.PLACES != p}


def draw_places(label: int, rng: np.random.Generator) -> list[int]:
    """The place in each frame of a video of class `label`. Draws nothing."""
    return ring.held([label])


def write_video(path: Path, label: int, rng: np.random.Generator) -> None:
    """Encode a random video of a class."""
    scene = ring.draw_scene(rng)
    ring.write_video(path, scene, draw_places(label, rng))
