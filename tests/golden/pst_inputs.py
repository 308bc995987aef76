"""Sizes of the networks and clips that pst.json was made with; draw.py draws their values."""

from __future__ import annotations

from typing import Any

NUM_CLASSES = 7
NUM_FRAMES = 32  # 16 after the tubelet: the official code's table of biases is of 16 frames
NUM_CLIPS = 2

SIZES: dict[str, Any] = {
    # Maps of 14 and 7 in windows of 7, which the official code has throughout: windows that move, and one that cannot.
    # Heads are 16 wide, so that an eighth is 2 channels.
    "img_size": 56,
    "embed_dim": 16,
    "depths": (2, 2),
    "num_heads": (1, 2),
}
"""Our names of the sizes."""

SHARPNESS = 1.0
"""Of draw.weights: the official code masks by -100, which larger logits would pass."""

WINDOW_FRAMES = (1, 2, 8, 16)
"""Of the windows that Video Swin is run with."""
