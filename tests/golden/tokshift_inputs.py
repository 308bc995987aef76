"""Sizes of the networks and clips that tokshift.json was made with; draw.py draws their values."""

from __future__ import annotations

SIZES = {"patch_size": 8, "img_size": 32, "embed_dim": 48, "depth": 3, "num_heads": 4}
NUM_CLASSES = 7
NUM_FRAMES = 4
NUM_CLIPS = 2
FOLD_DIV = 4
