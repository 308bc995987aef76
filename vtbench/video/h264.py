"""What of an H.264 stream's headers has to be read here, as no library hands it out (ITU-T H.264)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Bits", "H264ParameterSet", "h264_parameter_sets", "nal_units", "parameter_set", "unescaped"]


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
