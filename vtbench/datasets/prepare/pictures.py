"""A decoded frame as the new file is to have it: upright, scaled, in 8 bits, with the colours that readers will see."""

from __future__ import annotations

import av
import numpy as np

from vtbench.video.display import Display

__all__ = ["shown_size", "upright"]


def shown_size(frame: av.VideoFrame, display: Display) -> tuple[int, int]:
    """Width and height of a frame as displayed, in pixels."""
    return (frame.height, frame.width) if display.transposed else (frame.width, frame.height)


def upright(
    frame: av.VideoFrame, display: Display, scaled_to: tuple[int, int], *, colorspace: str, color_range: str
) -> av.VideoFrame:
    """The frame as displayed, in yuv420p, stretched to `scaled_to` (width, height). A last odd row or
    column is cut off.

    colorspace, color_range: swscale's names of the matrix and the range that the new file will be read by. The frame
    comes without its type: the encoder decides on I and P itself.
    """
    width, height = scaled_to[::-1] if display.transposed else scaled_to
    scaled = frame.reformat(
        *(width, height, "yuv420p"),
        dst_colorspace=colorspace,
        dst_color_range=color_range,
        interpolation="BICUBIC",
        threads=1,
    )
    width, height = (side - side % 2 for side in scaled_to)
    planes = []
    for number, plane in enumerate(scaled.planes):
        part = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        half = 1 if number == 0 else 2  # of U and V, which have half the lines of half the width
        planes.append(display.picture(part)[: height // half, : width // half].ravel())
    return av.VideoFrame.from_ndarray(np.concatenate(planes).reshape(-1, width), format="yuv420p")
