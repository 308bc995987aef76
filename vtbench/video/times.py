"""When the pictures of a video are shown, in the seconds of its file.

Avi counts its packets as they are coded, and copies of avi keep that count: there no stamp says when a picture is shown
that others are coded before. But the n-th picture shown has the n-th stamp.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from vtbench.errors import VideoError
from vtbench.video.files import open_video

__all__ = ["PictureTimes", "picture_times"]


@dataclass(frozen=True)
class PictureTimes:
    """start_s: when the first picture is shown (s, in the file's time). end_s: when the last one ends. by_rank: when
    each is shown, in that order, where stamps are of the order of coding; None where pictures have stamps of their
    own."""

    start_s: float
    end_s: float
    by_rank: list[float] | None


def picture_times(path: Path) -> PictureTimes:
    """Of the first video stream, from its packets and, but for avi, its first picture. Raises VideoError for a file
    without any, and PyAV's errors."""
    with open_video(path) as container:
        if not container.streams.video:
            raise VideoError(path, "has no video stream; give a video")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        frame_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        tick_s = float(stream.time_base) if stream.time_base else 0.0
        avi = container.format.name == "avi"
        first_s, end_s = None, 0.0
        shown: list[int | None] = []
        coded: list[int | None] = []
        for packet in container.demux(stream):
            if first_s is None and not avi:  # the decoder alone knows which picture comes out first
                first_s = next((frame.time or 0.0 for frame in packet.decode()), None)
            if packet.size and not packet.is_discard:
                shown.append(packet.pts)
                coded.append(packet.dts)
                stamp = packet.dts if avi else packet.pts
                shown_s = end_s if stamp is None else stamp * tick_s
                end_s = max(end_s, shown_s + (packet.duration * tick_s if packet.duration else frame_s))
        reorders = stream.codec_context.has_b_frames
    by_rank = None
    if coded and None not in coded and (avi or (reorders and _never_goes_back(shown))):
        by_rank = [stamp * tick_s for stamp in coded if stamp is not None]
    if first_s is None and avi:
        first_s = next((stamp * tick_s for stamp in coded if stamp is not None), None)
    if first_s is None:
        raise VideoError(path, "has no video frames; get the file again, or leave it out")
    return PictureTimes(first_s, max(end_s, first_s), by_rank)


def _never_goes_back(stamps: list[int | None]) -> bool:
    known = [stamp for stamp in stamps if stamp is not None]
    return len(known) == len(stamps) and all(a < b for a, b in itertools.pairwise(known))
