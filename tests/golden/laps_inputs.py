"""Sizes of the networks and clips that laps.json was made with; draw.py draws their values."""

from __future__ import annotations

from typing import Any

NUM_CLASSES = 7
NUM_FRAMES = 8
NUM_CLIPS = 2

SIZES: dict[str, dict[str, Any]] = {
    # Maps of 9, 4 and 2: as at 360 pixels, an odd map is halved. The eight attention blocks are those of Visformer-S.
    "visformer": {"img_size": 72, "init_channels": 8, "embed_dim": 32, "depths": (1, 4, 4), "num_heads": 2},
    # A stage with more blocks than there are levels, and others after it that begin with level 1 again.
    "rest": {"img_size": 64, "embed_dim": 16, "depths": (1, 1, 4, 1)},
    # One block more than the list of levels is long.
    "vit": {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 5, "num_heads": 2},
}
"""Our names of the sizes, by family of networks."""
