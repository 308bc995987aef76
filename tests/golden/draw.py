"""Weights and clips that golden numbers are made with: drawn again here and where the official code runs.

numpy's RandomState is frozen: its stream for a seed never changes between versions.
"""

from __future__ import annotations

import numpy as np


def weights(shapes: dict[str, list[int]], *, sharpness: float = 4.0) -> dict[str, np.ndarray]:
    """Random float32 values for a state dict of these keys and shapes: by key in alphabetical order.

    Far from an initialisation on purpose, so that attention is uneven and no bias, norm, statistic or token is 0 or 1.
    `sharpness`: by how much queries and keys are larger than values.
    """
    stream = np.random.RandomState(2021)
    drawn = {}
    for key in sorted(shapes):
        shape = tuple(shapes[key])
        if key.endswith("num_batches_tracked"):
            drawn[key] = np.array(1000)
            continue
        values = stream.standard_normal(shape)
        if key.endswith("running_var"):
            values = 8 * (0.5 + np.abs(values))  # statistics that do not follow the weights: smaller ones would explode
        elif key.endswith("weight") and len(shape) == 1:  # of a norm
            values = 1 + 0.3 * values
        elif key.endswith("weight"):
            values *= 1.5 / np.sqrt(np.prod(shape[1:]))
            if ".qkv." in key:
                values[: 2 * shape[0] // 3] *= sharpness  # queries and keys
        else:
            values *= 0.3
        drawn[key] = values.astype(np.float32)
    return drawn


def clips(*, count: int, num_frames: int, img_size: int) -> np.ndarray:
    """Clips (B, T, 3, H, W), float32."""
    shape = (count, num_frames, 3, img_size, img_size)
    return np.random.RandomState(4).standard_normal(shape).astype(np.float32)


PICTURE_SIZES = ((256, 340), (240, 320), (225, 301), (340, 256), (224, 299))
"""Height and width of pictures that are resized and cropped."""


def picture(height: int, width: int) -> np.ndarray:
    """A picture (H, W, 3), uint8: noise, which shows every difference between two ways to resize."""
    return np.random.RandomState(height * width).randint(0, 256, (height, width, 3)).astype(np.uint8)


def grid(crop: np.ndarray) -> np.ndarray:
    """A few pixels of a crop (224, 224, C), its corners among them: (5, 5, C)."""
    places = [0, 55, 111, 168, 223]
    return crop[np.ix_(places, places)]
