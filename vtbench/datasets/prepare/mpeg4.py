"""MPEG-4 part 2 with short GOPs and no B-frames: what compressed-video methods need.

The recipe is CoViAR's (https://github.com/chaoyuaw/pytorch-coviar, data/reencode.sh): 340 x 256, quantiser 1, an
I-frame every 12. Two things differ. The container is mp4 rather than a raw stream: it has room for the audio and an
index of its packets, so that a GOP is found without decoding what precedes it. And no I-frames are put in at scene
changes, so that every GOP but the last has the same length.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np

from vtbench.datasets.prepare.pictures import upright
from vtbench.errors import VideoError
from vtbench.video.compressed import CompressedReader
from vtbench.video.display import Display

__all__ = ["Mpeg4"]

# Times are kept to 1/60000 s, which is exact for most frame rates; MPEG-4 allows up to 1/65535 s.
_TICKS = 60000

_MAX_GOP = 600  # FFmpeg's encoder makes longer ones as long as this


@dataclass(frozen=True)
class Mpeg4:
    """size: width and height in pixels, even; pictures are stretched to it, after the display rotation of the file,
    and keep their colours (BT.601, limited range: how files that state nothing are read). gop: frames from one I-frame
    to the next, 2 to 600. quantiser: 1 (best) to 31. Raises ValueError for numbers out of range."""

    name: ClassVar[str] = "mpeg4"

    size: tuple[int, int] = (340, 256)
    gop: int = 12
    quantiser: int = 1

    def __post_init__(self) -> None:
        if min(self.size) < 16 or self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"size {self.size[0]} x {self.size[1]} must be even, at least 16 x 16")
        if not 1 <= self.quantiser <= 31 or not 2 <= self.gop <= _MAX_GOP:
            raise ValueError(f"quantiser {self.quantiser} must be 1 to 31, gop {self.gop} 2 to {_MAX_GOP}")

    @property
    def text(self) -> str:
        """The recipe, for the seal of a file."""
        return f"mpeg4 {self.size[0]}x{self.size[1]} gop={self.gop} quantiser={self.quantiser}"

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, for `prepared.json`."""
        return {"gop": self.gop, "crf": None, "short_side": None, "quantiser": self.quantiser, "size": self.size}

    def ticks(self, time_base: Fraction | None) -> int:
        """Ticks per second of the new file's times."""
        return _TICKS

    def add_video(
        self, out: av.container.OutputContainer, first: av.VideoFrame, display: Display, rate: Fraction
    ) -> av.VideoStream:
        """A stream of `out` for frames like `first`."""
        # A fixed quantiser, as `-q:v` of the ffmpeg program, which sets it frame by frame: no range is left to choose
        # from.
        quantiser, trade_off = str(self.quantiser), str(118 * self.quantiser)  # FFmpeg's FF_QP2LAMBDA is 118
        options = {
            "g": str(self.gop),
            "bf": "0",
            "qmin": quantiser,
            "qmax": quantiser,
            "lmin": trade_off,
            "lmax": trade_off,
            "sc_threshold": "1000000000",  # no I-frames at scene changes
        }
        stream = out.add_stream("mpeg4", rate=rate, options=options)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        return stream

    def picture(self, frame: av.VideoFrame, display: Display, stream: av.VideoStream) -> av.VideoFrame:
        """The frame to encode."""
        # The new file cannot say which colour matrix and range it has, and is read as BT.601, limited ("MPEG").
        return upright(frame, display, self.size, colorspace="ITU601", color_range="MPEG")

    def times(self, part: Path) -> list[float | None]:
        """Decode a new file, and return the seconds at which its frames are shown. Raises VideoError if it is not what
        compressed-video methods need."""
        with CompressedReader(part, max_gop=self.gop) as reader:
            times, vectors = [], False
            for frame in reader.sequential():
                times.append(frame.time)
                vectors = vectors or "MOTION_VECTORS" in frame.side_data
            count = len(times)
            if reader.gops != [(first, min(first + self.gop, count)) for first in range(0, count, self.gop)]:
                raise VideoError(part, f"has its I-frames elsewhere than every {self.gop} frames", count)
            reader.motion([1, count - 1])
            # Where all pictures are new, as after cuts and in flashes, there are none.
            if not vectors and not _vectors_come():
                raise VideoError(part, "has no motion vectors, as no file has with this version of PyAV", count)
        return times

    def refuse(self, file: Path, count: int) -> None:
        """Raise VideoError for a source of so few frames that it cannot be used."""
        if count < 2:
            raise VideoError(file, "has a single frame, and so no motion; take it out", count)


def _vectors_come() -> bool:
    """Whether vectors are read of a file that is sure to have some: two equal frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "equal.mp4"
        with av.open(str(path), "w") as out:
            frames = [av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p") for _ in range(2)]
            stream = Mpeg4((32, 32), 2, 1).add_video(out, frames[0], Display(), Fraction(25))
            for stamp, frame in enumerate(frames):
                frame.pts, frame.time_base = stamp, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        with CompressedReader(path) as reader:
            return not reader.motion([1])[1].all()
