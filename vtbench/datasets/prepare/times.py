"""When the frames of a source are shown, where the frames themselves do not say, and which packets give none."""

from __future__ import annotations

import itertools
from pathlib import Path

import av

from vtbench.video.files import open_video

__all__ = ["times_by_rank", "without_picture"]

_NO_PICTURE = 19  # bytes: a longer MPEG-4 packet holds a picture (FFmpeg's MAX_NVOP_SIZE)


def times_by_rank(file: Path) -> list[float]:
    """Seconds of each frame from the start of the file, where no stamp says when a frame is shown: avi counts its
    packets as they are coded, and copies of avi keep that. The n-th frame shown has the n-th stamp. Empty where frames
    have stamps of their own."""
    with open_video(file) as container:
        stream = container.streams.video[0]
        begin = (container.start_time or 0) / av.time_base
        stamps = [(p.pts, p.dts) for p in container.demux(stream) if p.size and not p.is_discard]
        if any(dts is None for _, dts in stamps):
            return []
        if container.format.name != "avi":
            shown = [pts for pts, _ in stamps if pts is not None]
            goes_back = any(later <= stamp for stamp, later in itertools.pairwise(shown))
            if len(shown) < len(stamps) or goes_back or not stream.codec_context.has_b_frames:
                return []
        return [float(dts * stream.time_base) - begin for _, dts in stamps if dts is not None]


def without_picture(file: Path) -> int:
    """Packets that only say that the picture before is shown on (MPEG-4's vop_coded is 0), of which no frame comes."""
    with open_video(file) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != "mpeg4":
            return 0
        return sum(1 for packet in container.demux(stream) if 0 < packet.size <= _NO_PICTURE)
