"""What of an H.264 stream's headers has to be read here, as no library hands it out (ITU-T H.264)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Bits", "H264Frames", "H264ParameterSet", "h264_parameter_sets", "nal_units", "parameter_set", "unescaped"]


@dataclass(frozen=True)
class H264ParameterSet:
    """What matters here of a sequence parameter set (ITU-T H.264, 7.3.2.1.1).

    frame_num_bits: length of a slice's frame_num, 0 if it is not looked for. max_num_ref_frames. interlaced:
    frame_mbs_only_flag is 0. crop_left, crop_top: frame_crop_*_offset, in its units. gaps: whether frame_num may leave
    numbers out.
    """

    frame_num_bits: int
    max_num_ref_frames: int
    interlaced: bool
    crop_left: int
    crop_top: int
    gaps: bool = False


def h264_parameter_sets(extradata: bytes) -> list[H264ParameterSet]:
    """The sequence parameter sets in a stream's header, which is an avcC box (mp4, Matroska) or Annex B (others)."""
    if extradata[:1] == b"\x01":  # avcC: ISO/IEC 14496-15, 5.3.3.1
        units, at = [], 6
        for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
            length = int.from_bytes(extradata[at : at + 2], "big")
            units.append(extradata[at + 2 : at + 2 + length])
            at += 2 + length
    else:
        units = list(nal_units(extradata, 0))
    return [parameter_set(unit) for unit in units if unit and unit[0] & 31 == 7]


def nal_units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The non-empty units of a packet, each after its length of that many bytes, or after a start code if 0."""
    if length_size:
        at = 0
        while at + length_size < len(data):
            length = int.from_bytes(data[at : at + length_size], "big")
            at += length_size
            if length:
                yield data[at : at + length]
            at += length
    else:
        for unit in data.split(b"\x00\x00\x01")[1:]:
            if unit:
                yield unit


def unescaped(data: bytes) -> bytes:
    """Without the bytes that keep start codes from appearing in a unit (emulation prevention, 7.4.1)."""
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


class Bits:
    """Reads a bit string from its first bit; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self.bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self.at = 0

    def number(self, length: int) -> int:
        """An unsigned number of `length` bits."""
        self.at += length
        return int("0" + self.bits[self.at - length : self.at], 2)

    def exp_golomb(self) -> int:
        """ue(v), ITU-T H.264, 9.1: n zeros, then n + 1 bits of the value + 1."""
        one = self.bits.find("1", self.at)
        if one < 0:
            return 0
        zeros, self.at = one - self.at, one
        return self.number(zeros + 1) - 1

    def signed_exp_golomb(self) -> int:
        """se(v), ITU-T H.264, 9.1.1."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class H264Frames:
    """Which packets of a stream are I-frames, and whether each frame is predicted from the one before it.

    header: the stream's extradata. Raises ValueError, with the reason, for a stream whose vectors cannot be read that
    way, here or in `add`. iframes: of each packet. disposable: the first packet that no other refers to, or None.
    """

    def __init__(self, header: bytes) -> None:
        self.iframes: list[bool] = []
        self.disposable: int | None = None
        # avcC: packets begin their units with a length of this many bytes; otherwise with a start code.
        self._nal_length = (header[4] & 3) + 1 if header[:1] == b"\x01" else 0
        self._frame_num: int | None = None  # the count of frames that others refer to
        self._frame_num_bits: int | None = None
        self._take(h264_parameter_sets(header))

    def add(self, packet: bytes) -> bool:
        """The next packet: whether a frame before it is missing."""
        # Containers mark only the I-frames at which one may begin to watch. With a single reference frame, all do.
        only_i, counted, missing = True, False, False
        for unit in nal_units(packet, self._nal_length):
            kind = unit[0] & 31
            if kind == 7:  # other parameters from here on
                self._take([parameter_set(unit)])
            if kind in (1, 5):  # a slice; bits 5 and 6 are nal_ref_idc
                bits = Bits(unescaped(unit[1:24]))
                bits.exp_golomb()  # first_mb_in_slice
                only_i = only_i and bits.exp_golomb() % 5 == 2  # slice_type
                if not unit[0] & 0x60 and self.disposable is None:
                    self.disposable = len(self.iframes)
                if self._frame_num_bits and not counted:
                    counted = True
                    bits.exp_golomb()  # pic_parameter_set_id
                    missing = self._skips_to(bits.number(self._frame_num_bits), at_start=kind == 5)
        self.iframes.append(only_i)
        return missing

    def _skips_to(self, frame_num: int, *, at_start: bool) -> bool:
        """Every frame that is referred to has the number after that of the one before, 0 where decoding may start
        (7.4.3). Where every frame is, a gap is a frame that is gone, which FFmpeg makes up without a word."""
        count = 1 << (self._frame_num_bits or 0)
        expected = None if at_start or self._frame_num is None else (self._frame_num + 1) % count
        self._frame_num = frame_num
        return expected not in (None, frame_num) and self.disposable is None

    def _take(self, parameter_sets: list[H264ParameterSet]) -> None:
        if not parameter_sets:
            raise ValueError("states no number of reference frames (no SPS in its header)")
        # Which set a frame uses is not looked up: where they disagree, its number is not known.
        lengths = {p.frame_num_bits for p in parameter_sets}
        lengths |= set() if self._frame_num_bits is None else {self._frame_num_bits}
        self._frame_num_bits = lengths.pop() if len(lengths) == 1 else 0
        references = max(p.max_num_ref_frames for p in parameter_sets)
        if references > 1:
            raise ValueError(f"uses up to {references} reference frames, and no vector says which")
        if any(p.interlaced for p in parameter_sets):
            raise ValueError("is coded for interlaced pictures")
        if any(p.crop_left or p.crop_top for p in parameter_sets):
            raise ValueError("is cut at its left or upper border")


# Profiles whose parameter sets describe the samples and scaling matrices (ITU-T H.264, 7.3.2.1.1).
_HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)


def parameter_set(unit: bytes) -> H264ParameterSet:
    """Of a unit of type 7."""
    bits = Bits(unescaped(unit[1:]))
    profile = bits.number(8)
    bits.number(16)  # constraint flags, level_idc
    bits.exp_golomb()  # seq_parameter_set_id
    separate_planes = False
    if profile in _HIGH_PROFILES:
        chroma_format = bits.exp_golomb()
        if chroma_format == 3:
            separate_planes = bool(bits.number(1))
        bits.exp_golomb(), bits.exp_golomb()  # bit depths
        bits.number(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.number(1):  # seq_scaling_matrix_present_flag
            for k in range(8 if chroma_format != 3 else 12):
                if bits.number(1):
                    _skip_scaling_list(bits, 16 if k < 6 else 64)
    frame_num_bits = bits.exp_golomb() + 4  # log2_max_frame_num_minus4
    order = bits.exp_golomb()  # pic_order_cnt_type
    if order == 0:
        bits.exp_golomb()
    elif order == 1:
        bits.number(1)
        bits.signed_exp_golomb(), bits.signed_exp_golomb()
        for _ in range(min(bits.exp_golomb(), 255)):
            bits.signed_exp_golomb()
    references = bits.exp_golomb()
    gaps = bool(bits.number(1))  # gaps_in_frame_num_value_allowed_flag
    bits.exp_golomb(), bits.exp_golomb()  # width and height in macroblocks
    frames_only = bits.number(1)
    if not frames_only:
        bits.number(1)  # mb_adaptive_frame_field_flag
    bits.number(1)  # direct_8x8_inference_flag
    left, _, top, _ = [bits.exp_golomb() for _ in range(4)] if bits.number(1) else (0, 0, 0, 0)
    # With planes on their own, frame_num is not where it is looked for.
    return H264ParameterSet(0 if separate_planes else frame_num_bits, references, not frames_only, left, top, gaps)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = scale = 8
    for _ in range(size):
        if scale:
            scale = (last + bits.signed_exp_golomb() + 256) % 256
        last = scale or last
