"""I-frames, motion and residuals of some frames as arrays: what a CompressedReader fills and what it hands out.

Letters: U frames asked for, H W the frame's sides in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtbench.video.display import Display

__all__ = ["TripletArrays", "Triplets"]


@dataclass(frozen=True)
class Triplets:
    """What `CompressedReader.triplets` gives for U frames. Pixels as displayed, rotation applied.

    numbers: int64 (U,), the frames asked for. iframes: uint8 (U, 3, H, W) RGB, the I-frame of each frame's GOP.
    motion: float32 (U, 2, H, W), x and y in pixels. residuals: int16 (U, 3, H, W) RGB, -255 to 255. intra: bool
    (U, H, W), blocks of the frame that have no vector. The channels of iframes and residuals lie side by side in
    memory.
    """

    numbers: np.ndarray
    iframes: np.ndarray
    motion: np.ndarray
    residuals: np.ndarray
    intra: np.ndarray


class TripletArrays:
    """The arrays that one pass fills. The packed ones have a fourth channel, which is left out of what is handed on."""

    def __init__(
        self, numbers: np.ndarray, height: int, width: int, *, pixels: bool, iframe: np.ndarray | None = None
    ) -> None:
        """
        - pixels: whether there are I-frames and residuals
        - iframe: uint32 (H, W), the packed I-frame of the one frame asked for, shared with others and so not to be
          written to; by default there is room for one of each frame
        """
        count = len(numbers)
        self.numbers = numbers
        self.motion = np.empty((count, 2, height, width), np.float32)
        self.intra = np.zeros((count, height, width), bool)
        if iframe is None:
            self.packed_iframes = np.empty((count, height, width), np.uint32) if pixels else None
        else:
            self.packed_iframes = iframe[None]
            self.packed_iframes.flags.writeable = False
        self.packed_residuals = np.empty((count, height, width, 4), np.int16) if pixels else None
        self.iframes: np.ndarray | None = None
        self.residuals: np.ndarray | None = None

    def repeat(self, slots: np.ndarray) -> None:
        """Copy what is in the first slot to the others."""
        for array in (self.motion, self.intra, self.packed_iframes, self.packed_residuals):
            if array is not None and len(slots) > 1:
                array[slots[1:]] = array[slots[0]]

    def triplets(self) -> Triplets:
        """All of it, where pixels were asked for."""
        assert self.iframes is not None and self.residuals is not None
        return Triplets(self.numbers, self.iframes, self.motion, self.residuals, self.intra)

    def displayed(self, display: Display) -> TripletArrays:
        """As displayed; channels second."""
        if self.packed_iframes is not None and self.packed_residuals is not None:
            bytes_ = self.packed_iframes.view(np.uint8).reshape(self.packed_residuals.shape)
            self.iframes = display.picture(bytes_[..., :3], (1, 2)).transpose(0, 3, 1, 2)
            self.residuals = display.picture(self.packed_residuals[..., :3], (1, 2)).transpose(0, 3, 1, 2)
        self.motion = display.vectors(display.picture(self.motion, (2, 3)))
        self.intra = display.picture(self.intra, (1, 2))
        return self
