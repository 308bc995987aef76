"""What a video file is made of, from one decode of the whole: frames, their times and types, groups of pictures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import av
from av.video.frame import PictureType

from vtbench.video.decode import VideoReader
from vtbench.video.display import Display, display_of

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """One file as VideoReader reads it.

    - times: when each frame is shown (s, in the file's time), None where the file does not say
    - kinds: a letter for the type of each frame, mostly I, P and B
    - num_starts: packets from which the file's own bits say that decoding may begin
    - closed: whether no frame needs the group before its own. None where the file does not say in which order its
      frames are shown
    - interlaced: whether a picture is coded as two fields
    - sizes: the distinct (width, height) of the frames as stored, in pixels; reading frames of several is refused
    - display: how the first frame is to be shown
    - why_sequential: VideoReader's
    """

    times: list[float | None]
    kinds: str
    num_starts: int
    closed: bool | None
    interlaced: bool
    sizes: list[tuple[int, int]]
    display: Display
    why_sequential: str | None

    @property
    def iframes(self) -> list[int]:
        """The numbers of the I-frames."""
        return [number for number, kind in enumerate(self.kinds) if kind == "I"]

    @property
    def groups(self) -> list[int]:
        """Frames from each I-frame up to the next, in the order in which they are shown."""
        firsts = [*self.iframes, len(self.kinds)]
        return [after - first for first, after in itertools.pairwise(firsts)]


def survey(path: str | Path) -> Survey:
    """Decode a file and describe it. Raises VideoError as VideoReader does."""
    with _Surveyor(path) as reader:
        return reader.survey()


class _Surveyor(VideoReader):
    """Keeps of each packet its time stamp, None where there is none, and whether decoding may begin there."""

    def survey(self) -> Survey:
        packets = self._packets if self.has_index else None  # opening the file again begins another list
        # Read the frame of each packet that can be sought: that drops an index that does not hold.
        for stamp in [] if self._index is None else map(self._index.pts.__getitem__, self._index.keyframes):
            if self._index is not None and stamp is not None:
                self.frames([self._index.number[stamp]])
        times: list[float | None] = []
        kinds, interlaced = [], False
        sizes, display = [], Display()
        for frame in self.sequential():
            display = display if times else display_of(frame, self.path)
            times.append(frame.time)
            sizes.append((frame.width, frame.height))
            kinds.append(PictureType(frame.pict_type).name[0])
            interlaced = interlaced or bool(frame.interlaced_frame)
        count = len(times)
        if packets is None:
            packets = self._packets
            self._check_complete(count, "frames")
        if count != (self.num_frames if self.has_index else max(count, 1)):
            raise self._error(f"{count} of {self.num_frames} frames decode" if count else "has no video frames")
        stamped = self._stream.container.format.name != "avi"  # which counts packets as they are coded
        return Survey(
            times=times if stamped else [None] * count,
            kinds="".join(kinds),
            num_starts=sum(start for _, start in packets),
            closed=_closed(packets, reordered="B" in kinds) if stamped else None,
            interlaced=interlaced,
            sizes=list(dict.fromkeys(sizes)),
            display=display,
            why_sequential=self.why_sequential,
        )

    def _open(self) -> None:
        super()._open()
        self._packets: list[tuple[int | None, bool]] = []

    def _inspect(self, packet: av.Packet) -> None:
        self._packets.append((packet.pts, packet.is_keyframe and self._rules.is_start(packet)))


def _closed(packets: list[tuple[int | None, bool]], *, reordered: bool) -> bool | None:
    stamps = [stamp for stamp, _ in packets if stamp is not None]
    goes_back = any(later < stamp for stamp, later in itertools.pairwise(stamps))
    if len(stamps) < len(packets) or (reordered and not goes_back):  # not stated, or in the order of coding
        return None
    first = stamps[0]
    for stamp, (_, start) in zip(stamps, packets, strict=True):
        if start:
            first = stamp
        elif stamp < first:
            return False
    return True
