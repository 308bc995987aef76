"""I-frames, motion and residuals of some frames as arrays: what a CompressedReader fills and what it hands out.

Letters: U frames asked for, H W the frame's sides in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import av
import numpy as np

from vtbench.video.display import Display

__all__ = ["Gop", "TripletArrays", "Triplets", "packed"]


@dataclass
class Gop:
    """The GOP that is being read, up to the current frame."""

    first: int
    frames: dict[int, av.VideoFrame]  # by number: the I-frame, the one before the current, the current
    pictures: dict[int, np.ndarray] = field(default_factory=dict)  # those of them that were asked for
    moves: list[tuple[np.ndarray, int]] = field(default_factory=list)  # vectors not yet in `sources`
    sources: np.ndarray | None = None

    def move_on(self, number: int, frame: av.VideoFrame) -> None:
        """Make this the current frame."""
        for kept in (self.frames, self.pictures):
            for old in kept.keys() - {self.first, number - 1}:
                del kept[old]
        self.frames[number] = frame


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


def packed(rgb: av.VideoFrame) -> np.ndarray:
    """uint32 (H, W) of a picture in rgb24: red, green, blue and a byte without meaning.

    Not rgba: for widths such as 340 swscale leaves the last four columns of it unwritten. Here the fourth byte of a
    pixel is the first of the next.
    """
    plane = rgb.planes[0]
    data = np.frombuffer(memoryview(plane), np.uint8)
    if plane.line_size == 3 * rgb.width:
        data = np.append(data, np.uint8(0))
    return np.ndarray((rgb.height, rgb.width), np.uint32, data, strides=(plane.line_size, 3)).copy()


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
