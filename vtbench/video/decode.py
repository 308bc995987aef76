"""Exact frames of a video file by number, in one decoding pass, with PyAV (FFmpeg).

Frame number n is the n-th frame that comes out of a sequential decode, in display order, from 0. Header fields
(`stream.frames`, duration x rate) are not frame counts and are never used as such.

Two ways to get there, with equal pixels:

- By index, for mov/mp4 and matroska/webm files, and MPEG-4 part 2 in avi, whose packets prove it: the packets are
  listed once without decoding, seeks skip whole groups of pictures, and frames nobody asked for are left undecoded
  where no other frame needs them (FFmpeg's `skip_frame=NONREF`).
- Sequentially, for everything else (other avi, mpeg-ts, raw streams): decoded from the start and counted. Here asking
  for `num_frames` costs a decode of its own.

What proves an index: every packet has a time stamp of its own; stamps go back where the stream reorders frames; no
frame is shown before the first packet's; each packet holds a picture; and seeks go to packets whose own bits say that
decoding may begin there (`codecs/packets.py`), whatever the container says. Avi has no times of display: there the
headers of the pictures say in which order they are shown (`codecs/mpeg4.py`). What is left is checked as frames come:
if the one that a seek went to is no I-frame or is damaged, or one that was listed does not come, the index is dropped,
and the frames are counted from the start, before any of them is handed out.

Files that end early or are damaged where they are read are refused with a `VideoError`; no frame is ever made up. What
cannot be noticed: bytes changed so that they are still valid code, since video formats carry no checksums (FFmpeg's
`err_detect=explode` finds no more of these and refuses sound open groups); frames gone from a raw stream, which has no
parts but its frames, unless it is H.264 and others are predicted from them; and a raw or transport stream that ends
early, since those formats state no length.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from vtbench.errors import VideoError
from vtbench.video.codecs.mpeg4 import VopOrder
from vtbench.video.codecs.packets import forgets_at_seek, packet_rules
from vtbench.video.containers import broken_at, declared_size
from vtbench.video.display import display_of, forget_side_data
from vtbench.video.files import BAD_INPUT, open_video, reason, refuse_amount

__all__ = ["VideoReader"]

# A seek costs a decoder flush and a restart; below about ten skipped packets, decoding on is faster.
_MIN_PACKETS_SKIPPED = 10

_MISMARKED = "packets are not what they are marked as"


class _Disagreement(VideoError):
    """What was decoded is not what the index says."""


class _Index:
    """The video packets of a file in decoding order, and the frame numbers of their time stamps.

    pts: (P,) time stamps in stream ticks of the packets that become frames, or None for those that do not (edit lists
    mark them as to be discarded); for avi, frame numbers in their place. stamps: those that the container is asked for
    in a seek, for avi in the order of coding. number: time stamp to frame number.
    """

    def __init__(self, pts: list[int | None], stamps: list[int | None], keyframes: list[int]) -> None:
        self.pts, self.stamps = pts, stamps
        self.renumbers = stamps is not pts
        ordered = sorted(t for t in pts if t is not None)
        self.number = {t: n for n, t in enumerate(ordered)}
        self.position = {n: i for i, t in enumerate(pts) if t is not None for n in (self.number[t],)}
        self.at_stamp = {t: i for i, t in enumerate(stamps) if t is not None}
        self.keyframes = keyframes

    def start_of(self, position: int) -> int:
        """The keyframe packet from which the packet at `position` can be decoded."""
        k = bisect.bisect_right(self.keyframes, position) - 1
        here, first = self.pts[position], self.pts[self.keyframes[k]]
        # Open groups of pictures: a frame shown before its keyframe may refer to the group before.
        if k > 0 and (first is None or here is None or here < first):
            k -= 1
        return self.keyframes[k]


class VideoReader:
    """Reads frames of one video file by number. Use it in a `with` block.

    path: the file. Raises VideoError, naming path and reason, for a file that is missing, a directory, a pipe, empty,
    not a video, without video stream, of pictures too large, or cut short, on opening or as soon as the damage is met.

    `frames` gives uint8 RGB at the file's own size, turned and mirrored as its display matrix says, as players show it
    (torchcodec and decord turn, and do not mirror); other angles than multiples of 90 degrees are refused. Pixels that
    are not square stay as they are stored. Of several video streams it is the first. Encrypted files are refused, and
    transport streams that were joined byte by byte, which look as if packets were lost. One decoder thread: run several
    processes for speed.

    `frames_decoded` counts the frames the decoder has put out so far, over all calls.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.frames_decoded = 0
        self._container: av.container.InputContainer | None = None
        self._num_frames: int | None = None
        self._index: _Index | None = None
        self.why_sequential: str | None = None
        """Why frames are counted from the start, in words; None where they are found by index."""
        self._fresh = True  # nothing read since opening
        self._chain_unknown = True  # the parts of the file not looked at
        self._rgb = VideoReformatter()  # kept: setting one up costs more than converting a frame
        try:
            self._open()
            found = self._build_index()
            self._index, self.why_sequential = (None, found) if isinstance(found, str) else (found, None)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        if self._container is not None:
            self._container.close()
            self._container = None

    @property
    def has_index(self) -> bool:
        """Whether frames are found by the file's own time stamps; else they are counted from the start."""
        return self._index is not None

    @property
    def num_frames(self) -> int:
        """Exact number of frames in the file, at least 1. Raises VideoError if the file ends early or is damaged."""
        if self._num_frames is None:
            if self._index is not None:
                self._num_frames = len(self._index.number)
            else:
                self._num_frames = sum(1 for _ in self.sequential())
                self._check_complete(self._num_frames, "frames")
            if self._num_frames == 0:
                raise self._error("has no video frames")
        return self._num_frames

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames at `indices`, in the order asked, repeats included, from one pass over the file.

        indices: frame numbers in [0, num_frames). Returns uint8 (len(indices), H, W, 3). Raises IndexError for a number
        outside the video and VideoError for a file that is damaged where it had to be read.
        """
        wanted = [int(i) for i in indices]
        if not wanted:
            raise ValueError("no frame numbers given")
        distinct = set(wanted)
        known = self._num_frames if self._index is None else self.num_frames
        if min(distinct) < 0 or (known is not None and max(distinct) >= known):
            raise IndexError(f"{self.path}: frames {min(distinct)} to {max(distinct)} asked of {known}")
        try:
            return self._found(wanted, known)
        except _Disagreement:
            self._index = self._num_frames = None
            self.why_sequential = _MISMARKED
            return self.frames(wanted)

    def chosen(self, choose: Callable[[int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The distinct frames that `choose(num_frames)` asks for, in any shape, uint8 (U, H, W, 3), and for each number
        asked, in its shape, which of them it is. Raises as `frames` does.

        Where `num_frames` turns out to be wrong while frames are decoded, they are chosen again, by the right one.
        """
        while True:
            count = self.num_frames
            wanted = np.asarray(choose(count))
            numbers, which = np.unique(wanted, return_inverse=True)
            if self._index is None:
                return self.frames(numbers), which.reshape(wanted.shape)
            try:
                return self._found(numbers.tolist(), count), which.reshape(wanted.shape)
            except _Disagreement:
                self._index = self._num_frames = None
                self.why_sequential = _MISMARKED

    def _found(self, wanted: list[int], known: int | None) -> np.ndarray:
        """The pixels of these frames. Raises _Disagreement before any is handed out."""
        places: dict[int, list[int]] = {}
        for place, number in enumerate(wanted):
            places.setdefault(number, []).append(place)
        pictures = None
        frames = self._indexed(set(places)) if self._index is not None else enumerate(self.sequential())
        for number, frame in frames:
            if number not in places:
                continue
            picture = self._pixels(frame)
            if pictures is None:
                refuse_amount(self.path, len(wanted), picture.shape[1], picture.shape[0])
                pictures = np.empty((len(wanted), *picture.shape), np.uint8)
            if (now := picture.shape) != (before := pictures.shape[1:]):
                raise self._error(f"frame size changes within the file: {sorted([now[1::-1], before[1::-1]])}")
            pictures[places.pop(number)] = picture
            if not places:
                return pictures
        if self._index is not None:
            raise self._disagreement()
        missing = min(places)
        if known is None and missing >= self.num_frames:
            raise IndexError(f"{self.path}: frame {missing} asked of {self.num_frames}")
        raise self._error(f"frame {missing} of {self.num_frames} does not decode")

    # -- opening ------------------------------------------------------------------------------------------------------

    def _disagreement(self) -> VideoError:
        what = "has packets that are not what they are marked as; re-encode it, as `vtbench data prepare` does"
        return _Disagreement(self.path, what, self.frames_decoded)

    def _error(self, reason: str) -> VideoError:
        return VideoError(self.path, reason, self.frames_decoded)

    def _open(self) -> None:
        self.close()
        try:
            self._container = open_video(self.path)
        except BAD_INPUT as error:
            raise self._error(reason(error)) from error
        if not self._container.streams.video:
            raise self._error("has no video stream")
        if self._chain_unknown:
            self._chain_unknown = False
            try:
                at = broken_at(self.path)
            except BAD_INPUT as error:  # the file changes, or goes
                raise self._error(reason(error)) from error
            if at is not None:
                raise self._error(f"is damaged at byte {at}, where a part of it should begin; get the file again")
        self._stream = self._container.streams.video[0]
        # With frame threads damage is reported late, and on small crops of many files they only cost.
        self._stream.thread_type = "NONE"
        codec = self._stream.codec_context
        codec.thread_count = 1
        self._rules = packet_rules(codec.codec.canonical_name, bytes(codec.extradata or b""))
        self._fresh = True

    def _build_index(self) -> _Index | str:
        """List the packets where they prove to number the frames, else say why they do not."""
        assert self._container is not None
        codec = self._stream.codec_context
        kinds = set(self._container.format.name.split(","))
        order = None
        avi = "avi" in kinds
        if codec.codec.canonical_name == "mpeg4" and (avi or codec.has_b_frames):
            order = VopOrder(bytes(codec.extradata or b""))
        if not {"mov", "mp4", "matroska", "webm"} & kinds and not (avi and order):
            return f"{self._container.format.name} has no index that is trusted"
        # By the codec, not by the decoder: libdav1d takes `skip_frame` only when it is opened.
        self._skips = codec.codec.name != "libdav1d"
        rules = self._rules
        pts: list[int | None] = []
        coded: list[int | None] = []
        keyframes: list[int] = []
        first_stamp: int | None = None
        unfit: str | None = None
        seeks, damaged = True, 0
        try:
            for packet in self._container.demux(self._stream):
                if packet.size == 0:  # the flush packet at the end
                    continue
                self._inspect(packet)
                if not pts:
                    if packet.has_sidedata("encryption_info"):
                        raise self._error("is encrypted; get a copy without protection")
                    first_stamp = packet.pts
                    seeks = not forgets_at_seek(codec.codec.canonical_name, codec.pix_fmt, bytes(packet))
                if order is not None:
                    order.add(bytes(packet))
                if order is not None and avi:
                    start = order.starts[-1]
                else:
                    start = not pts or (packet.is_keyframe and seeks and rules.is_start(packet))
                    if packet.pts is None and not packet.is_discard:
                        unfit = unfit or f"packet {len(pts) + 1} has no time stamp"
                    if not rules.holds_picture(packet):
                        unfit = unfit or f"packet {len(pts) + 1} holds no picture"
                if packet.is_keyframe and start:
                    keyframes.append(len(pts))
                pts.append(None if packet.is_discard else packet.pts)
                coded.append(packet.dts)
                if packet.is_corrupt and not damaged:
                    damaged = len(pts)
        except BAD_INPUT as error:
            raise self._error(reason(error)) from error
        self._check_complete(len(pts), "packets")
        if damaged:
            raise self._error(f"packet {damaged} is cut short or damaged")
        self._fresh = False
        shown = [t for t in pts if t is not None]
        if not shown:
            raise self._error("has no video frames")
        if keyframes[:1] != [0]:
            return "decoding cannot begin at the first packet"
        numbers = None if order is None else order.numbers()
        if order is not None and avi:
            # A packed picture that is left out takes the next one with it.
            self._skips = not order.packed
            if numbers is None:
                return "the headers of its pictures do not say in which order they are shown"
            if not all(a is not None and b is not None and a < b for a, b in itertools.pairwise(coded)):
                return "its packets are not counted one by one"
            return _Index(numbers, coded, keyframes)
        if unfit is not None:
            return unfit
        if len(set(shown)) != len(shown):
            return "packets share a time stamp"
        # The decoder leaves out B-VOPs with a time that is wrong by their own headers, whatever the stamps say.
        if order is not None and (numbers is None or None in numbers):
            return "the times in the headers of its pictures are wrong"
        # Stamps that never go back though frames are reordered are of the order of coding, as of avi copied into mp4.
        if codec.has_b_frames and len(pts) > 2 and all(a < b for a, b in itertools.pairwise(shown)):
            return "its time stamps are of the order of coding, not of showing"
        # What is shown before the first packet needs what is not there; the decoder may leave it out.
        if first_stamp is None or min(shown) < first_stamp:
            return "frames are shown before the first packet's"
        return _Index(pts, pts, keyframes)

    def _inspect(self, packet: av.Packet) -> None:
        """For readers built on this one: called with each packet that is listed or decoded from the start."""

    def _check_complete(self, count: int, what: str) -> None:
        """Refuse a file that has fewer bytes and fewer frames or packets than its headers say.

        Either sign alone is common in whole files (packed B-frames, edit lists, careless writers)."""
        declared, size = declared_size(self.path), self.path.stat().st_size
        if declared > size and not 0 < self._stream.frames <= count:
            announced = f", {count} of {self._stream.frames} {what}" if self._stream.frames else ""
            raise self._error(f"ends early: {size} of {declared} bytes{announced} are there")

    # -- decoding -----------------------------------------------------------------------------------------------------

    def sequential(self) -> Iterator[av.VideoFrame]:
        """All frames from the start, in the order the decoder puts them out, not turned. Raises VideoError."""
        # A new open rather than a seek: raw and transport streams seek inexactly.
        if not self._fresh:
            self._open()
        self._fresh = False
        assert self._container is not None
        try:
            for number, packet in enumerate(self._container.demux(self._stream)):
                if packet.is_corrupt:
                    raise self._error("a packet is cut short or damaged")
                if packet.size > 0 and self._index is None:  # else it was inspected when it was listed
                    if not self._rules.follows(packet):
                        raise self._error(f"lacks a frame before packet {number}; get the file again")
                    self._inspect(packet)
                for frame in packet.decode():
                    self.frames_decoded += 1
                    self._refuse_damaged(frame)
                    yield frame
        except BAD_INPUT as error:
            raise self._error(reason(error)) from error

    def _indexed(self, distinct: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """(frame number, frame) of at least the distinct numbers."""
        index = self._index
        assert index is not None
        # Stretches of the file to decode: (first packet, the wanted packets in it), sorted by where decoding
        # starts, not by target: in an open group a keyframe precedes frames that need the group before it.
        stretches: list[tuple[int, set[int]]] = []
        reached = 0
        for start, target in sorted((index.start_of(index.position[n]), index.position[n]) for n in distinct):
            if not stretches or start > reached + _MIN_PACKETS_SKIPPED:
                stretches.append((start, set()))
            stretches[-1][1].add(target)
            reached = max(reached, target)
        for start, targets in stretches:
            yield from self._stretch(start, targets)

    def _stretch(self, start: int, targets: set[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode from packet `start` until all packets in `targets` have come out as frames."""
        index, decoder = self._index, self._stream.codec_context
        assert index is not None
        try:
            position, packets = self._packets_from(start)
            shown_from = index.pts[position] if position else None
            unproven = shown_from is not None
            waiting = set(targets)
            for packet in packets:
                if packet.size > 0:
                    # Frames nobody asked for are decoded only if others refer to them. Packets after the last target
                    # still have to be fed: they push out the frames that wait in the decoder.
                    if self._skips:
                        decoder.skip_frame = "DEFAULT" if position in targets else "NONREF"
                    if index.renumbers:
                        packet.pts = index.pts[position]  # the decoder hands it on to the frame
                    position += 1
                for frame in packet.decode():
                    self.frames_decoded += 1
                    number = index.number.get(frame.pts)
                    # After a seek the leading frames of an open group lack their references; none of them is a target.
                    if number is None or (shown_from is not None and frame.pts < shown_from):
                        continue
                    if unproven:
                        if frame.pts != shown_from or frame.pict_type != PictureType.I or frame.is_corrupt:
                            raise self._disagreement()
                        unproven = False
                    self._refuse_damaged(frame)
                    waiting.discard(index.position[number])
                    yield number, frame
                if not waiting:
                    break
            if self._skips:
                decoder.skip_frame = "DEFAULT"
        except BAD_INPUT as error:
            raise self._error(reason(error)) from error

    def _packets_from(self, start: int) -> tuple[int, Iterator[av.Packet]]:
        """The packets from keyframe packet `start` on, or from an earlier one, and which one is the first."""
        assert self._container is not None and self._index is not None
        index = self._index
        stamp = index.stamps[start]
        if stamp is not None:
            self._fresh = False
            self._container.seek(stamp, stream=self._stream)  # also empties the decoder
            packets = self._container.demux(self._stream)
            first = next(packets, None)
            if first is not None and first.size:
                landed = index.at_stamp.get(first.dts if index.renumbers else first.pts)
                if landed in index.keyframes and landed <= start:
                    return landed, itertools.chain([first], packets)
        self._open()
        self._fresh = False
        assert self._container is not None
        return 0, self._container.demux(self._stream)

    def _refuse_damaged(self, frame: av.VideoFrame) -> None:
        if frame.is_corrupt:
            raise self._error("a frame is damaged" if frame.time is None else f"the frame at {frame.time} s is damaged")

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (H, W, 3) as displayed."""
        rgb = self._rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
        display = display_of(frame, self.path)
        forget_side_data(frame)
        return display.picture(rgb)
