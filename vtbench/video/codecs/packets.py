"""What a coded packet says of itself: does a frame come of it, can decoding begin there, is one before it gone?

A container's keyframe flag is what its writer thought. Whole files lie with it: mp4 without a table of sync samples
flags every packet, x264's intra refresh flags packets whose picture is whole only some frames later, and writers flag
I-frames that later frames look past. Nor is a packet a picture: MPEG-4 says "as before" in one, VP8 hides one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import av

from vtbench.video.codecs.h264 import Bits, h264_parameter_sets, nal_units, parameter_set, unescaped

__all__ = ["PacketRules", "forgets_at_seek", "packet_rules"]

_MAX_VOP_NOT_CODED = 19  # bytes: a longer MPEG-4 packet holds a picture (FFmpeg's MAX_NVOP_SIZE)
_MAX_PARAMETERS = 128  # bytes: a longer H.264 or HEVC packet is taken to hold a slice
_VOP = b"\x00\x00\x01\xb6"
_X264 = re.compile(rb"x264 - core (\d+)")
_RECOVERY_POINT = 6


class PacketRules:
    """The three questions, for the packets of one stream.

    without_picture: bytes up to which a packet may hold no picture; those are looked into.
    """

    def __init__(
        self,
        without_picture: int = 0,
        picture: Callable[[bytes], bool] | None = None,
        start: Callable[[bytes], bool] | None = None,
        follows: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._without_picture, self._picture, self._start = without_picture, picture, start
        self._follows = follows

    def holds_picture(self, packet: av.Packet) -> bool:
        """Whether a frame comes of a packet."""
        return packet.size > self._without_picture or self._picture is None or self._picture(bytes(packet))

    def is_start(self, packet: av.Packet) -> bool:
        """Whether a packet that the container flags is one from which decoding is exact."""
        return self._start is None or self._start(bytes(packet))

    def follows(self, packet: av.Packet) -> bool:
        """Whether nothing is gone between the packet that this was asked of before and this one, as far as it shows."""
        return self._follows is None or self._follows(bytes(packet))


def packet_rules(codec: str, extradata: bytes) -> PacketRules:
    """The rules of a codec (FFmpeg's canonical name), with the stream's header, which says how packets are written."""
    if codec == "mpeg4":
        return PacketRules(_MAX_VOP_NOT_CODED, _mpeg4_picture, _mpeg4_start)
    if codec == "vp8":
        return PacketRules(1 << 62, _vp8_picture, lambda data: not data[0] & 1)
    if codec == "vp9":
        return PacketRules(1 << 62, _vp9_picture)
    if codec == "h264":
        length = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 4 else 0
        return PacketRules(
            _MAX_PARAMETERS,
            lambda data: any(1 <= unit[0] & 31 <= 5 for unit in nal_units(data, length)),
            lambda data: _h264_start(data, length),
            _FrameNumbers(extradata, length).follows,
        )
    if codec == "hevc":
        length = (extradata[21] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 21 else 0
        return PacketRules(
            _MAX_PARAMETERS,
            lambda data: any(unit[0] >> 1 & 63 < 32 for unit in nal_units(data, length)),
            lambda data: any(16 <= unit[0] >> 1 & 63 <= 23 for unit in nal_units(data, length)),  # IRAP
        )
    return PacketRules()


def forgets_at_seek(codec: str, pix_fmt: str | None, first: bytes) -> bool:
    """Whether the decoder knows something of the first packet alone, and loses it at a seek: FFmpeg reads 4:4:4 of x264
    before core 151 by that version, which stands in the first packet and nowhere else."""
    if codec != "h264" or not (pix_fmt or "").startswith("yuv444"):
        return False
    version = _X264.search(first)
    return version is not None and int(version[1]) < 151


def _mpeg4_picture(data: bytes) -> bool:
    """False for a VOP that is not coded (ISO/IEC 14496-2, 6.2.5): FFmpeg gives no frame for it. Where vop_coded stands
    depends on the time base of the stream; so short a VOP that is coded does not occur."""
    return _VOP in data and len(data) - data.index(_VOP) > _MAX_VOP_NOT_CODED


def _vp8_picture(data: bytes) -> bool:
    """show_frame (RFC 6386, 9.1): hidden frames are there for others to refer to."""
    return bool(data[0] >> 4 & 1)


def _vp9_picture(data: bytes) -> bool:
    """Whether any of the packet's frames is shown (VP9 bitstream specification, 6.2 and annex B)."""
    frames = [data]
    marker = data[-1]
    if marker >> 5 == 6:  # a superframe: the sizes of its frames stand at the end, between two equal marks
        count, length = (marker & 7) + 1, (marker >> 3 & 3) + 1
        index = len(data) - 2 - count * length
        if index >= 0 and data[index] == marker:
            at, frames = 0, []
            for k in range(count):
                first = index + 1 + k * length
                size = int.from_bytes(data[first : first + length], "little")
                frames.append(data[at : at + size])
                at += size
    return any(_vp9_shown(frame[0]) for frame in frames if frame)


def _vp9_shown(first: int) -> bool:
    """show_existing_frame or show_frame, from a frame's first byte: marker and profile take four bits, or five."""
    bits = first << (first >> 4 & 3 == 3)
    return bool(bits >> 3 & 1 or bits >> 1 & 1)


def _mpeg4_start(data: bytes) -> bool:
    """Whether the first VOP is an I-VOP: vop_coding_type is 0."""
    at = data.find(_VOP)
    return 0 <= at < len(data) - 4 and data[at + 4] >> 6 == 0


def _h264_start(data: bytes, length: int) -> bool:
    """Whether the packet is an IDR picture, or a recovery point that is exact at once (ITU-T H.264, D.2.8)."""
    for unit in nal_units(data, length):
        if unit[0] & 31 == 5:
            return True
        if unit[0] & 31 == 6 and _recovers_at_once(unescaped(unit[1:])):
            return True
    return False


class _FrameNumbers:
    """H.264 counts the frames that others are predicted from (frame_num; ITU-T H.264, 7.4.3). Where one is gone, FFmpeg
    makes it up, and what is predicted from it, without a word."""

    def __init__(self, extradata: bytes, length: int) -> None:
        self._length = length
        self._sets = set(h264_parameter_sets(extradata))
        self._before: int | None = None

    def follows(self, data: bytes) -> bool:
        for unit in nal_units(data, self._length):
            kind = unit[0] & 31
            if kind == 7:
                self._sets.add(parameter_set(unit))
            if kind in (1, 5):  # a slice; 5 is of a picture at which the count begins
                lengths, before = {found.frame_num_bits for found in self._sets}, self._before
                if len(lengths) != 1 or 0 in lengths or any(found.gaps for found in self._sets):
                    return True  # parameter sets disagree on where it stands, or numbers may be left out
                bits = Bits(unescaped(unit[1:24]))
                bits.exp_golomb(), bits.exp_golomb(), bits.exp_golomb()  # first_mb_in_slice, slice_type, PPS
                number = bits.number(length := lengths.pop())
                if unit[0] & 0x60:  # nal_ref_idc: others are predicted from it
                    self._before = number
                return kind == 5 or before is None or number in (before, (before + 1) % (1 << length))
        return True


def _recovers_at_once(messages: bytes) -> bool:
    at = 0
    while at + 2 <= len(messages) and messages[at:] != b"\x80":
        kind = size = 0
        while at < len(messages) and messages[at] == 255:
            kind, at = kind + 255, at + 1
        kind, at = kind + messages[at], at + 1
        while at < len(messages) and messages[at] == 255:
            size, at = size + 255, at + 1
        if at >= len(messages):
            return False
        size, at = size + messages[at], at + 1
        if kind == _RECOVERY_POINT:
            return Bits(messages[at : at + size]).exp_golomb() == 0
        at += size
    return False
