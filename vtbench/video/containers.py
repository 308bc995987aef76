"""What the headers of a video file say of its size and of where its parts lie: is all of it there?

FFmpeg looks for the next part that it knows when one is damaged, and continues there without a word; the frames between
are gone, and later ones have the numbers of earlier ones. mp4 lists its packets in one place, where that shows. Avi,
Matroska and flv do not, so their chains of parts are walked, from header to header, without reading what is in them; so
are the packets of transport streams (ISO/IEC 13818-1, 2.4.3), and whether pictures begin where packets say so.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["broken_at", "declared_size"]

_EBML = b"\x1aE\xdf\xa3"
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_TRACKS, _TRACK, _TRACK_NUMBER = b"\x16\x54\xae\x6b", b"\xae", b"\xd7"
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = b"\xa3", b"\xa0", b"\xa1"
# What a Segment and a Cluster may hold (RFC 9559, 5.1): each is passed over, but for the Clusters, which are entered.
_ELEMENTS = {
    *(_EBML, _SEGMENT, _CLUSTER, _TRACKS, b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x1c\x53\xbb\x6b"),
    *(b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69", b"\xec", b"\xbf"),  # ... tags, files, void, CRC-32
    *(
        _SIMPLE_BLOCK,
        _BLOCK_GROUP,
        b"\xe7",
        b"\xa7",
        b"\xab",
        b"\xaf",
        b"\x58\x54",
    ),  # of a Cluster: blocks, times
}
_UNKNOWN = 1 << 62
"""The size of an element that states none, longer than any file."""

_TS, _SYNC = 188, b"\x47"
"""Bytes of a packet of a transport stream, and the first of them."""

_CHUNK = re.compile(rb"\d\d(dc|db|wb|pc|tx|sb|iv)|ix\d\d|LIST|RIFF|JUNK|idx1")
"""What a chunk between the pictures of an avi is called."""


def declared_size(path: Path) -> int:
    """Bytes the file should have by its own headers, 0 where its format does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little")
        if head[:4] == _EBML:
            _, content, length = _element(head, 0)
            name, content, length = _element(head, content + length)
            return content + length if name == _SEGMENT and length < _UNKNOWN else 0
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            end = 0
            while end < size:
                file.seek(end)
                box = file.read(16)
                length = int.from_bytes(box[:4], "big")
                if length == 1:
                    length = int.from_bytes(box[8:16], "big")
                if length < 8:  # 0: to the end of the file
                    return 0
                end += length
            return end
    return 0


def broken_at(path: Path) -> int | None:
    """The byte at which an avi, Matroska, flv or mpeg-ts file holds no header where one should be; None if there is
    none, also for files that end early and for other formats. An empty file is None too."""
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
            return _broken_avi(data)
        if data[:4] == _EBML:
            return _broken_matroska(data)
        if data[:3] == b"FLV":
            return _broken_flv(data)
        if data[:1] == data[_TS : _TS + 1] == data[2 * _TS : 2 * _TS + 1] == _SYNC:
            return _broken_ts(data)
    return None


def _broken_avi(data: mmap.mmap) -> int | None:
    at, end, padded = 0, len(data), False
    riff_ends = 0
    while at + 8 <= end:
        # Some writers leave out the byte that makes sizes even.
        if padded and not _CHUNK.match(data[at : at + 4]) and _CHUNK.match(data[at - 1 : at + 3]):
            at -= 1
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at >= riff_ends and name != b"RIFF":
            return None  # what stands behind the last list belongs to nobody
        if not all(0x20 <= byte < 0x7F for byte in name):
            return at
        if name == b"RIFF":
            riff_ends = at + 8 + size
        inner = name == b"RIFF" or (name == b"LIST" and data[at + 8 : at + 12] in (b"movi", b"rec "))
        padded = not inner and bool(size % 2)
        at += 12 if inner else 8 + size + size % 2
    return None


def _broken_matroska(data: mmap.mmap) -> int | None:
    at, end = 0, len(data)
    tracks: set[int] = set()
    while at + 12 <= end:  # the longest header
        name, content, size = _element(data, at)
        if name not in _ELEMENTS:
            return at
        if name == _SEGMENT:
            end = min(end, content + size)  # what stands behind it belongs to nobody
        if name == _TRACKS:
            tracks = set(_track_numbers(data, content, content + size))
        block = content if name == _SIMPLE_BLOCK else end
        if name == _BLOCK_GROUP:
            first, inside, _ = _element(data, content)
            block = inside if first == _BLOCK else end
        if tracks and block < end and _number(data[block : block + 8])[1] not in tracks:
            return at
        at = content if name in (_SEGMENT, _CLUSTER) else content + size
    return None


def _element(data: bytes | mmap.mmap, at: int) -> tuple[bytes, int, int]:
    """An EBML element's name, empty if that is no name, where its content begins, and the size of that."""
    length = 9 - data[at].bit_length() if at < len(data) else 9
    if length > 4:
        return b"", at, 0
    width, size = _number(data[at + length : at + length + 8])
    unknown = size == (1 << 7 * width) - 1
    return data[at : at + length], at + length + width, _UNKNOWN if unknown else size


def _track_numbers(data: mmap.mmap, at: int, end: int) -> Iterator[int]:
    end = min(end, len(data))
    while at + 2 <= end:
        name, content, size = _element(data, at)
        if not name:
            return
        if name == _TRACK:
            yield from _track_numbers(data, content, content + size)
        elif name == _TRACK_NUMBER:
            yield int.from_bytes(data[content : content + size], "big")
        at = content + size


def _broken_flv(data: mmap.mmap) -> int | None:
    at, end = int.from_bytes(data[5:9], "big") + 4, len(data)  # the header, and the size of the tag before the first: 0
    while at + 11 <= end:
        kind, stream = data[at] & 0x1F, data[at + 8 : at + 11]
        if kind not in (8, 9, 18) or stream != bytes(3):
            return at if any(data[at:]) else None  # zeros to the end belong to nobody
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    return None


def _broken_ts(data: mmap.mmap) -> int | None:
    packets = np.frombuffer(data, np.uint8, len(data) // _TS * _TS).reshape(-1, _TS)
    lost = np.flatnonzero(packets[:, 0] != _SYNC[0])
    if len(lost):
        return int(lost[0]) * _TS
    streams = (packets[:, 1].astype(np.uint16) & 0x1F) << 8 | packets[:, 2]
    begins = (packets[:, 1] & 0x40 > 0) & (packets[:, 3] & 0xD0 == 0x10)  # a unit does, in a payload, not scrambled
    units: dict[int, list[tuple[int, bytes]]] = {}
    for number in np.flatnonzero(begins).tolist():
        packet = packets[number].tobytes()
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if len(payload) > 9:
            units.setdefault(int(streams[number]), []).append((number * _TS, payload))
    return min(filter(None, map(_broken_unit, units.values())), default=None)


def _broken_unit(units: list[tuple[int, bytes]]) -> int | None:
    """units: (byte, first bytes) of those of one stream. Units of pictures have a header, and behind it a start code,
    unless the writer has them begin anywhere: what most have counts."""
    headers = [unit[:3] == b"\0\0\1" and 0xE0 <= unit[3] <= 0xEF for _, unit in units]
    if 2 * sum(headers) <= len(units):  # tables, audio
        return None
    starts = [unit[9 + unit[8] :].lstrip(b"\0")[:1] == b"\1" for _, unit in units]
    aligned = 2 * sum(starts) > len(units)
    whole = [header and (start or not aligned) for header, start in zip(headers, starts, strict=True)]
    return next((at for (at, _), fine in zip(units, whole, strict=True) if not fine), None)


def _number(data: bytes) -> tuple[int, int]:
    """Length in bytes and value of the EBML variable-size integer at the start of `data`."""
    length = 9 - data[0].bit_length() if data and data[0] else 8
    return length, int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
