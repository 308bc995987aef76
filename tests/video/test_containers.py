"""Damage between the packets of a file, which FFmpeg passes over without a word."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import encoded
import pytest

from vtbench.errors import VideoError
from vtbench.video.containers import broken_at
from vtbench.video.decode import VideoReader

FILES = {
    "mpeg4.avi": ("mpeg4", {"g": "12"}),
    "h264.avi": ("libx264", encoded.x264(12, "ref=1", "bframes=0")),
    "mpeg4.mkv": ("mpeg4", {"g": "12"}),
    "h264.mkv": ("libx264", encoded.x264(250, "bframes=3")),
    "h264.flv": ("libx264", encoded.x264(12, "bframes=0")),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {
        name: encoded.encode(folder / name, encoded.numbered(120), codec=codec, options=options, sound=True)
        for name, (codec, options) in FILES.items()
    }


def packets(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_whole_and_so_is_its_beginning(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    assert broken_at(files[name]) is None
    data = files[name].read_bytes()
    for share in (0.3, 0.7, 0.99):  # told by its size, and for what it is
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        assert broken_at(tmp_path / name) is None
    (tmp_path / name).write_bytes(b"")
    assert broken_at(tmp_path / name) is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("byte", [0, 255])
@pytest.mark.parametrize("what", ["header", "packet and header", "a fifth of the file"])
def test_damage_in_the_middle_is_refused(
    name: str, byte: int, what: str, files: dict[str, Path], tmp_path: Path
) -> None:
    data = bytearray(files[name].read_bytes())
    at, size = packets(files[name])[61]
    first, last = {
        "header": (at - 8, at + 8),
        "packet and header": (at - 8, at + size),
        "a fifth of the file": (len(data) // 2, len(data) * 7 // 10),
    }[what]
    data[first:last] = bytes([byte]) * (last - first)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VideoError, match=rf"{name}: is damaged at byte \d+, .*; get the file again"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize("byte", [0, 255])
def test_a_block_of_no_track_is_damage(byte: int, files: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(files["mpeg4.mkv"].read_bytes())
    at, size = packets(files["mpeg4.mkv"])[61]
    data[at : at + size] = bytes([byte]) * size  # from the number of its track on, behind the header
    (tmp_path / "a.mkv").write_bytes(data)
    assert broken_at(tmp_path / "a.mkv") is not None


def test_an_avi_that_does_not_pad_odd_chunks_is_read(files: dict[str, Path], tmp_path: Path) -> None:
    data = files["mpeg4.avi"].read_bytes()
    movi = data.index(b"movi")
    at, end, chunks = movi + 4, movi - 4 + int.from_bytes(data[movi - 4 : movi], "little"), []
    while at < end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append(data[at : at + 8 + size])
        at += 8 + size + size % 2
    # Read with a byte of padding, these begin with what could be a name too.
    assert any(len(chunk) % 2 and 0x20 <= after[4] < 0x7F for chunk, after in itertools.pairwise(chunks))
    path = tmp_path / "a.avi"
    body = b"".join(chunks)
    path.write_bytes(data[: movi - 4] + (len(body) + 4).to_bytes(4, "little") + b"movi" + body)
    assert broken_at(path) is None


@pytest.mark.parametrize("name", ["mpeg4.avi", "h264.mkv", "h264.flv"])
def test_what_follows_the_last_part_belongs_to_nobody(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(files[name].read_bytes() + bytes(1000))
    assert broken_at(tmp_path / name) is None


def ebml(name: bytes, content: bytes) -> bytes:
    return name + (1 << 56 | len(content)).to_bytes(8, "big") + content


def test_a_matroska_file_that_ends_anywhere_is_no_damage(tmp_path: Path) -> None:
    track = ebml(b"\x16\x54\xae\x6b", ebml(b"\xae", ebml(b"\xd7", b"\x01")))
    group = ebml(b"\xa0", ebml(b"\xa1", b"\x81" + bytes(40)))
    simple = ebml(b"\xa3", b"\x81" + bytes(40))
    other = ebml(b"\xa0", ebml(b"\xa1", b"\x85" + bytes(40)))
    begin = ebml(b"\x1aE\xdf\xa3", b"") + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + track
    whole = begin + b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7 + ebml(b"\xe7", b"\0") + simple + group + simple
    path = tmp_path / "a.mkv"
    for length in range(1, len(whole) + 1):
        path.write_bytes(whole[:length])
        assert broken_at(path) is None, length
    path.write_bytes(whole + other)
    assert broken_at(path) == len(whole)  # a block of a track that is not there


def test_live_matroska_without_sizes_is_whole(tmp_path: Path) -> None:
    path = encoded.encode(
        tmp_path / "a.mkv", encoded.numbered(40), options=encoded.x264(12, "bframes=0"), container_options={"live": "1"}
    )
    assert broken_at(path) is None
    with VideoReader(path) as reader:
        assert reader.num_frames == 40
