"""In which order the pictures of an avi file with MPEG-4 part 2 are shown, by their own headers (ISO/IEC 14496-2, 6.2).

Avi has no display times, and counts packets. What the decoder makes of them is known all the same: a B-VOP is shown at
once, any other when the next of its kind comes. "VOP" is the standard's word for a picture.

DivX and XviD may pack a B-VOP behind the picture before it in one packet ("packed bitstream") and put in a packet
without a coded picture later, so that there are as many packets as frames. FFmpeg decodes one picture a packet and
keeps the next one until the packet after, unless headers of the stream stand before that (libavcodec's
ff_mpeg4_frame_end and h263_decode_frame); so it is counted here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vtbench.video.codecs.h264 import Bits

__all__ = ["VopOrder"]

_VOP = b"\x00\x00\x01\xb6"
_START = b"\x00\x00\x01"
_SEQUENCE = b"\x00\x00\x01\xb0"
_GROUP = b"\x00\x00\x01\xb3"
_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_DIVX = re.compile(rb"\x00\x00\x01\xb2DivX\d+(?:Build|b)\d+(p?)")
_I, _B = 0, 2
_HEADER = 48
_VOP_HEADER = 12
"""Bytes that hold what is read of the header of a layer and of a picture. One that comes a minute after the picture
before has 60 bits more than others."""


@dataclass(frozen=True)
class _Layer:
    """What a video object layer states. delays: low_delay is there and 0. ticks: of time in a second."""

    delays: bool
    ticks: int


@dataclass(frozen=True)
class _Vop:
    """place: of its start code in the packet. kind: vop_coding_type. coded: vop_coded. seconds, ticks: of its time.
    clock: seconds of the group header before it."""

    place: int
    kind: int
    coded: bool
    seconds: int
    ticks: int
    clock: int | None


class VopOrder:
    """Takes the packets of a stream in turn and says what comes of each.

    header: the stream's extradata. packed: whether the stream says of itself that its B-VOPs are packed.
    """

    def __init__(self, header: bytes) -> None:
        self.packed = False
        self.kinds: list[int | None] = []
        """Of each packet, the type of the picture that is decoded when it is fed; None if none is."""
        self.starts: list[bool] = []
        """Of each packet, whether that is an I-VOP of its own, so that decoding may begin there."""
        self._layer: _Layer | None = None
        self._sound = True
        self._changes = self._several = False  # whether `packed` does; whether any packet holds several pictures
        self._pending: _Vop | None = None
        # FFmpeg's clock: whole seconds at the last picture that is no B-VOP and at the one before, and their times.
        self._second = self._second_before = 0
        self._time = self._time_before = 0
        self._read_header(header, first=True)

    def add(self, data: bytes) -> None:
        """The next packet."""
        own = self._vops(data)
        self._several = self._several or len(own) > 1
        first = data.find(_START)
        if self.packed and data[first : first + 4] == _SEQUENCE:  # FFmpeg: "Discarding excessive bitstream"
            self._pending = None
        taken = self._pending
        waiting = taken is not None and (self.packed or len(data) <= 19)  # FFmpeg's MAX_NVOP_SIZE
        if taken is not None and not waiting:
            self._sound = False
        vop = taken if waiting else own[0] if own else None
        rest = own if waiting else own[1:]
        self._pending = None
        if vop is None or (rest and not self.packed):
            self._sound = False
            vop = None
        elif self._shown(vop):
            self._pending = self._kept(rest, len(data), certain=waiting)
        else:
            vop = None
        self.kinds.append(None if vop is None else vop.kind)
        self.starts.append(vop is not None and vop.kind == _I and not waiting)

    def _kept(self, rest: list[_Vop], size: int, *, certain: bool) -> _Vop | None:
        """The picture that is kept for the next packet: one that is no P-VOP and not too short, of seven bytes at most.
        certain: whether the bytes that FFmpeg counts begin with it."""
        if not rest or rest[0].kind not in (_I, _B):
            return None
        if size - (0 if certain else rest[0].place) <= 7:
            self._sound = self._sound and certain
            return None
        return rest[0]

    def numbers(self) -> list[int | None] | None:
        """Of each packet, the number of the frame that is decoded when it is fed, None if none is; or None altogether
        if the packets do not prove it."""
        if not self._sound or self._layer is None or (self._changes and self._several):
            return None
        coded = [(place, kind) for place, kind in enumerate(self.kinds) if kind is not None]
        references = [place for place, kind in coded if kind != _B]
        if not coded or coded[0][1] != _I:
            return None
        # Without this mark FFmpeg shows pictures at once, until it meets a B-VOP. Before two others it drops them.
        reorders = len(references) < len(coded)
        if reorders and (not self._layer.delays or coded[1][1] == _B):
            return None
        numbers: list[int | None] = [None] * len(self.kinds)
        order: list[int] = []
        held: list[int] = []
        for place, kind in coded:
            if kind == _B:
                order.append(place)
            else:
                order += held
                held = [place]
        for number, place in enumerate(order + held):
            numbers[place] = number
        return numbers

    def _shown(self, vop: _Vop) -> bool:
        """Whether a frame comes of a picture. Moves FFmpeg's clock, by which it leaves out B-VOPs whose time is not
        between those of their neighbours."""
        assert self._layer is not None
        if vop.clock is not None:
            self._second = vop.clock
        if vop.kind == _B:
            time = (self._second_before + vop.seconds) * self._layer.ticks + vop.ticks
            self._sound = self._sound and self._time_before < time < self._time
        else:
            self._second_before, self._second = self._second, self._second + vop.seconds
            self._time_before, self._time = self._time, self._second * self._layer.ticks + vop.ticks
        return vop.coded

    # -- headers ------------------------------------------------------------------------------------------------------

    def _vops(self, data: bytes) -> list[_Vop]:
        found: list[_Vop] = []
        begin, at = 0, data.find(_VOP)
        while at >= 0:
            head = data[begin:at]
            clock = self._read_header(head, first=not self.kinds and not found) if len(head) > 4 else None
            vop = self._vop(at, data[at + 4 : at + 4 + _VOP_HEADER], clock)
            if vop is None:
                self._sound = False
                return []
            found.append(vop)
            begin, at = at + 4, data.find(_VOP, at + 4)
        return found

    def _read_header(self, head: bytes, *, first: bool) -> int | None:
        """Take over what stands before a picture: layer, DivX's mark, and the time of the group, which is returned."""
        layer = _LAYER.search(head)
        if layer:
            read = _layer(head[layer.end() : layer.end() + _HEADER])
            self._sound = self._sound and read is not None and self._layer in (None, read)
            self._layer = read
        divx = _DIVX.search(head)
        if divx:
            self._changes = self._changes or not (first or self.packed == bool(divx[1]))
            self.packed = bool(divx[1])
        group = head.rfind(_GROUP)
        if group < 0:
            return None
        bits = Bits(head[group + 4 : group + 8])
        hours, minutes, _, seconds = (bits.number(length) for length in (5, 6, 1, 6))
        return seconds + 60 * (minutes + 60 * hours)

    def _vop(self, place: int, data: bytes, clock: int | None) -> _Vop | None:
        """6.2.5, up to vop_coded; None where its marker bits are not there."""
        if self._layer is None:
            return None
        bits = Bits(data)
        kind, seconds = bits.number(2), 0
        while bits.number(1) and seconds < 60:
            seconds += 1
        marker = bits.number(1)
        ticks = bits.number(max((self._layer.ticks - 1).bit_length(), 1))
        if not (marker and bits.number(1)):
            return None
        return _Vop(place, kind, bool(bits.number(1)), seconds, ticks, clock)


def _layer(data: bytes) -> _Layer | None:
    """6.2.3, up to vop_time_increment_resolution; None for shapes that are no rectangle."""
    bits = Bits(data)
    bits.number(9)  # random_accessible_vol, video_object_type_indication
    if bits.number(1):
        bits.number(7)  # version, priority
    if bits.number(4) == 15:  # aspect_ratio_info: extended
        bits.number(16)
    delays = False
    if bits.number(1):  # vol_control_parameters
        bits.number(2)  # chroma_format
        delays = not bits.number(1)
        if bits.number(1):
            bits.number(79)  # of the buffer model
    rectangle = bits.number(2) == 0
    marker, ticks = bits.number(1), bits.number(16)
    return _Layer(delays, ticks) if rectangle and marker and ticks else None
