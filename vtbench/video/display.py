"""How a picture is to be shown: the display matrix that cameras store instead of turning the pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from vtbench.errors import VideoError

__all__ = ["Display", "display_of", "forget_side_data"]

_BLANK = av.VideoFrame(16, 16, "gray")

_SKEW = 0.01
"""How far a matrix may be from a multiple of 90 degrees, as a share of its size: half a degree."""


@dataclass(frozen=True)
class Display:
    """What is done to the stored picture, in this order: rows and columns change places, left and right, top and
    bottom."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return self.transposed or self.flip_x or self.flip_y

    def picture(self, array: np.ndarray, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
        """The array as displayed; `axes` are its rows and columns."""
        if not self.changes:
            return array
        if self.transposed:
            array = np.swapaxes(array, *axes)
        flipped = tuple(axis for axis, flip in zip(axes, (self.flip_y, self.flip_x), strict=True) if flip)
        return np.ascontiguousarray(np.flip(array, flipped))

    def vectors(self, motion: np.ndarray) -> np.ndarray:
        """Vectors (N, 2, ...), x and y, as they point afterwards; their places stay."""
        if not self.changes:
            return motion
        x, y = (motion[:, 1], motion[:, 0]) if self.transposed else (motion[:, 0], motion[:, 1])
        return np.stack([-x if self.flip_x else x, -y if self.flip_y else y], axis=1)


def display_of(frame: av.VideoFrame, path: Path) -> Display:
    """The display of a decoded frame. Raises VideoError for an angle that is no multiple of 90 degrees.

    The matrix (a b u, c d v, x y w; ISO/IEC 14496-12, 6.2.2) sends the pixel at (x, y) to (a x + c y, b x + d y), y
    pointing down. Its scale is passed over, as players do.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Display()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    straight, across = math.hypot(a, d), math.hypot(b, c)
    if across <= _SKEW * straight and a and d:
        return Display(flip_x=a < 0, flip_y=d < 0)
    if straight <= _SKEW * across and b and c:
        return Display(transposed=True, flip_x=c < 0, flip_y=b < 0)
    angle = math.degrees(math.atan2(b, a))
    raise VideoError(path, f"is to be shown turned by {angle:.0f} degrees, no multiple of 90; store it upright")


def forget_side_data(frame: av.VideoFrame) -> None:
    """To be called when a frame whose side data were looked at is done with.

    A frame and its side data hold each other (PyAV 18): hundreds of them, at times gigabytes, would wait for the
    garbage collector, and the decoder work in ever new memory. Afterwards they hold another frame, which is blank.
    """
    frame.side_data.__init__(_BLANK)
