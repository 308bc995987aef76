"""H.264 in short closed GOPs: what methods that take frames read fastest.

A clip of a video in GOPs of 250 frames, the encoder's usual length, takes the decoding of hundreds of frames. Here it
takes at most 12 before each frame. All GOPs but the last have the same length: none begins at a scene change, which
saves bits only where GOPs are long. Within a GOP the encoder chooses its B-frames. The same frames give the same bytes,
with the same version of x264.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av

from vtbench.datasets.prepare.pictures import shown_size, upright
from vtbench.errors import VideoError
from vtbench.video.display import Display
from vtbench.video.survey import survey

__all__ = ["H264"]

# Ticks per second where the source's own are not taken: exact for all common frame rates, 24000/1001 too.
_TICKS = 120_000
_FEWEST_TICKS, _MOST_TICKS = 10_000, 1_000_000

_MAX_CRF, _MAX_GOP = 51, 600
_SMALLEST = 16  # pixels

# FFmpeg's numbers of what a stream says of its colours, and swscale's names.
_BT709, _UNSPECIFIED = 1, 2
_MATRICES = {_BT709: "ITU709", _UNSPECIFIED: "ITU601", 5: "ITU601", 6: "ITU601"}
_LIMITED, _FULL = 1, 2


@dataclass(frozen=True)
class H264:
    """crf: x264's constant rate factor, 0 (lossless apart from scaling and colour) to 51; 18 is hard to tell from the
    source. short_side: pixels of the shorter side of a picture as displayed, even, at least 16; smaller pictures are
    not enlarged, and None keeps the size. gop: frames from one I-frame to the next, 2 to 600.

    The aspect is kept, and sides are even: a side that is not scaled loses its last row or column if it is odd. Colours
    keep matrix (BT.601 or BT.709; others become BT.709) and range, and the file says which. 8 bits, 4:2:0. Raises
    ValueError for numbers out of range.
    """

    name: ClassVar[str] = "h264"

    crf: int = 18
    short_side: int | None = None
    gop: int = 12

    def __post_init__(self) -> None:
        if self.short_side is not None and (self.short_side < _SMALLEST or self.short_side % 2):
            raise ValueError(f"short side {self.short_side} must be even, at least {_SMALLEST}")
        if not 0 <= self.crf <= _MAX_CRF or not 2 <= self.gop <= _MAX_GOP:
            raise ValueError(f"crf {self.crf} must be 0 to {_MAX_CRF}, gop {self.gop} 2 to {_MAX_GOP}")

    @property
    def text(self) -> str:
        """The recipe, for the seal of a file."""
        scaled = "" if self.short_side is None else f" short_side={self.short_side}"
        return f"h264 crf={self.crf} gop={self.gop}{scaled}"

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, for `prepared.json`."""
        return {"gop": self.gop, "crf": self.crf, "short_side": self.short_side, "quantiser": None, "size": None}

    def ticks(self, time_base: Fraction | None) -> int:
        """Ticks per second of the new file's times: those of the source, or a multiple, so that each time is exact."""
        ticks = 0 if time_base is None else time_base.denominator
        if not 0 < ticks <= _MOST_TICKS:
            return _TICKS
        return ticks * -(-_FEWEST_TICKS // ticks)

    def add_video(
        self, out: av.container.OutputContainer, first: av.VideoFrame, display: Display, rate: Fraction
    ) -> av.VideoStream:
        """A stream of `out` for frames like `first`."""
        # With mbtree, x264 (core 165) makes slightly different files of the same frames from run to run.
        params = f"keyint={self.gop}:min-keyint=1:scenecut=0:open-gop=0:mbtree=0"
        stream = out.add_stream("libx264", rate=rate, options={"crf": str(self.crf), "x264-params": params})
        context = stream.codec_context
        context.width, context.height = (side - side % 2 for side in self._scaled(first, display))
        context.pix_fmt = "yuv420p"
        context.thread_count = 1
        rgb = first.format.is_rgb
        context.colorspace = first.colorspace if first.colorspace in _MATRICES and not rgb else _BT709
        # The formats named yuvj are of full range, whatever the stream says.
        full = first.color_range == _FULL or first.format.name.startswith("yuvj")
        context.color_range = _FULL if full and not rgb else _LIMITED
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        return stream

    def picture(self, frame: av.VideoFrame, display: Display, stream: av.VideoStream) -> av.VideoFrame:
        """The frame to encode."""
        context = stream.codec_context
        matrix, full = _MATRICES[context.colorspace], context.color_range == _FULL
        return upright(
            *(frame, display, self._scaled(frame, display)),
            colorspace=matrix,
            color_range="JPEG" if full else "MPEG",
        )

    def times(self, part: Path) -> list[float | None]:
        """Decode a new file, and return the seconds at which its frames are shown. Raises VideoError if clips cannot be
        read of it as intended."""
        found = survey(part)
        count = len(found.kinds)
        if found.iframes != list(range(0, count, self.gop)):
            raise VideoError(part, f"has its I-frames elsewhere than every {self.gop} frames", count)
        if found.why_sequential is not None or found.num_starts != len(found.iframes) or found.closed is not True:
            raise VideoError(
                part, f"cannot be read from each I-frame on ({found.why_sequential or 'open GOPs'})", count
            )
        return found.times

    def refuse(self, file: Path, count: int) -> None:
        """Nothing: a single frame is a video too."""

    def _scaled(self, frame: av.VideoFrame, display: Display) -> tuple[int, int]:
        """Width and height as displayed; a side that is not scaled may be odd."""
        width, height = shown_size(frame, display)
        short = min(width, height)
        if self.short_side is None or short <= self.short_side:
            return width, height
        long = 2 * round(max(width, height) * self.short_side / short / 2)
        return (self.short_side, long) if width <= height else (long, self.short_side)
