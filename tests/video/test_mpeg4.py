"""What comes of the packets of MPEG-4 in avi, by the headers of their pictures, on streams written bit by bit."""

from __future__ import annotations

import pytest

from vtbench.video.codecs.mpeg4 import VopOrder

TICKS = 25
PACKED = b"\x00\x00\x01\xb2DivX503b1393p"


def packed_bits(bits: str) -> bytes:
    bits += "0" + "1" * (-(len(bits) + 1) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def layer(*, low_delay: int | None = 0) -> bytes:
    control = "0" if low_delay is None else f"1{1:02b}{low_delay}0"
    bits = f"0{1:08b}0{1:04b}{control}{0:02b}1{TICKS:016b}10"
    return b"\x00\x00\x01\x20" + packed_bits(bits)


def vop(kind: str, ticks: int, *, coded: bool = True, size: int = 30) -> bytes:
    bits = f"{'IPBS'.index(kind):02b}01{ticks:05b}1{int(coded)}"
    return (b"\x00\x00\x01\xb6" + packed_bits(bits)).ljust(size if coded else 7, b"\x55")


def order(*packets: bytes, header: bytes | None = None) -> VopOrder:
    found = VopOrder(layer() if header is None else header)
    for packet in packets:
        found.add(packet)
    return found


def test_bvops_are_shown_at_once_and_others_when_the_next_comes() -> None:
    packets = vop("I", 0), vop("P", 3), vop("B", 1), vop("B", 2), vop("I", 5), vop("B", 4), vop("P", 6)
    found = order(*packets)
    assert found.numbers() == [0, 3, 1, 2, 5, 4, 6]
    assert [n for n, start in enumerate(found.starts) if start] == [0, 4]


def test_of_a_packed_bvop_the_next_packet_is_fed() -> None:
    packets = vop("I", 0), vop("P", 2) + vop("B", 1), vop("P", 2, coded=False), vop("P", 3)
    found = order(*packets, header=layer() + PACKED)
    assert found.packed and found.numbers() == [0, 2, 1, 3]


def test_a_picture_that_is_not_coded_is_no_frame() -> None:
    assert order(vop("I", 0), vop("P", 1, coded=False), vop("P", 2)).numbers() == [0, None, 1]


@pytest.mark.parametrize(
    ("reason", "packets", "header"),
    [
        ("begins with no I-VOP", [vop("P", 0), vop("I", 1)], layer()),
        ("a B-VOP before two others", [vop("I", 0), vop("B", 1), vop("P", 2)], layer()),
        ("a B-VOP as late as its reference", [vop("I", 0), vop("P", 3), vop("B", 3)], layer()),
        ("a B-VOP as early as its reference", [vop("I", 1), vop("P", 3), vop("B", 1)], layer()),
        ("B-VOPs without delay", [vop("I", 0), vop("P", 2), vop("B", 1)], layer(low_delay=1)),
        ("B-VOPs where no delay is stated", [vop("I", 0), vop("P", 2), vop("B", 1)], layer(low_delay=None)),
        ("several pictures in a packet without the mark", [vop("I", 0), vop("P", 2) + vop("B", 1)], layer()),
        ("no layer", [vop("I", 0)], b""),
        ("no picture", [vop("I", 0), b"\x7f"], layer()),
    ],
)
def test_streams_that_prove_nothing(reason: str, packets: list[bytes], header: bytes) -> None:
    assert order(*packets, header=header).numbers() is None, reason
