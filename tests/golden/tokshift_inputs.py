"""Weights and clips that the golden numbers were made with: the same here and in the official code.

numpy's RandomState is frozen: its stream for a seed never changes between versions.
"""

from __future__ import annotations

import numpy as np

SIZES = {"patch_size": 8, "img_size": 32, "embed_dim": 48, "depth": 3, "num_heads": 4}
NUM_CLASSES = 7
NUM_FRAMES = 4
NUM_CLIPS = 2
FOLD_DIV = 4


def weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Random float32 weights for a state dict of these keys and shapes: by key in alphabetical order.

    Far from an initialisation on purpose, so that attention is uneven and no bias, norm or token is 0 or 1.
    """
    stream = np.random.RandomState(2021)
    drawn = {}
    for key in sorted(shapes):
        shape = tuple(shapes[key])
        values = stream.standard_normal(shape)
        if key.endswith("norm.weight"):
            values = 1 + 0.3 * values
        elif len(shape) in (2, 4):
            values *= 1.5 / np.sqrt(np.prod(shape[1:]))
        else:
            values *= 0.3
        drawn[key] = values.astype(np.float32)
    return drawn


def clips() -> np.ndarray:
    """Clips (B, T, 3, H, W), float32."""
    shape = (NUM_CLIPS, NUM_FRAMES, 3, SIZES["img_size"], SIZES["img_size"])
    return np.random.RandomState(4).standard_normal(shape).astype(np.float32)
