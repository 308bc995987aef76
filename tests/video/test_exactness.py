"""Every frame asked alone, in a fresh reader, is that of a sequential decode, whatever the container says."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import encoded
import numpy as np
import pytest
from encoded import copied, encode, numbered, x264

from vtbench.errors import VideoError
from vtbench.video.codecs.packets import forgets_at_seek
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader

NUM = 30
B = "bframes=3:b-adapt=0"
SVT = {"preset": "12", "svtav1-params": "keyint=15:lp=1"}
VP9 = {"deadline": "good", "cpu-used": "5", "g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}
X265 = {"preset": "ultrafast", "x265-params": "keyint=10:bframes=3:log-level=none:pools=1:frame-threads=1"}


def sequential(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def without_sync_samples(path: Path) -> Path:
    data = path.read_bytes()
    assert b"stss" in data
    path.write_bytes(data.replace(b"stss", b"free"))
    return path


def not_coded(source: Path, target: Path, positions: set[int]) -> Path:
    """A copy of an MPEG-4 file in which some pictures are VOPs that are not coded: "as before"."""
    with av.open(str(source)) as src, av.open(str(target), "w") as out:
        stream = src.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for count, packet in enumerate(packet for packet in src.demux(stream) if packet.size):
            if count in positions:
                # Type P, no whole second, marker, time (5 bits for 25 a second), marker, vop_coded 0, stuffing.
                bits = f"{1:02b}" + "0" + "1" + f"{count % 25:05b}" + "1" + "0"
                bits += "0" + "1" * (-(len(bits) + 1) % 8)
                body = b"\x00\x00\x01\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")
                made = av.Packet(body)
                made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
                packet = made
            packet.stream = copy
            out.mux(packet)
    return target


def h264(folder: Path, suffix: str, *more: str, **options: Any) -> Path:
    return encode(folder / f"a.{suffix}", numbered(NUM), options=x264(10, *more), **options)


def mpeg4(folder: Path, suffix: str, **options: str) -> Path:
    return encode(folder / f"m.{suffix}", numbered(NUM), codec="mpeg4", options={"g": "10", **options})


def hevc(folder: Path, suffix: str) -> Path:
    return encode(folder / f"h.{suffix}", numbered(NUM), codec="libx265", options=X265)


def other(folder: Path, suffix: str, codec: str, pix_fmt: str = "yuv420p", **options: str) -> Path:
    return encode(folder / f"o.{suffix}", numbered(NUM), codec=codec, pix_fmt=pix_fmt, options=options)


def kinds() -> dict[str, Callable[[Path], Path]]:
    """Kind -> what writes a file of it into a folder."""
    found: dict[str, Callable[[Path], Path]] = {}
    for suffix in ("mp4", "mkv", "avi", "ts", "flv", "mov"):
        found[f"h264 {suffix}"] = lambda folder, suffix=suffix: h264(folder, suffix, B)
    for suffix in ("mp4", "mkv"):
        found[f"h264 without B-frames, {suffix}"] = lambda folder, suffix=suffix: h264(folder, suffix, "bframes=0")
        found[f"h264 intra-refresh, {suffix}"] = lambda folder, suffix=suffix: h264(folder, suffix, "intra-refresh=1")
        found[f"h264 copied from avi into {suffix}"] = lambda folder, suffix=suffix: copied(
            h264(folder, "avi", B), folder / f"b.{suffix}", in_coding_order=True
        )
        found[f"h264 cut before an open group, {suffix}"] = lambda folder, suffix=suffix: copied(
            h264(folder, "mp4", B, "open-gop=1"), folder / f"b.{suffix}", first_key=1
        )
        found[f"mpeg4 with B-frames copied from avi into {suffix}"] = lambda folder, suffix=suffix: copied(
            mpeg4(folder, "avi", bf="2"), folder / f"b.{suffix}", in_coding_order=True
        )
        found[f"mpeg4 not coded, {suffix}"] = lambda folder, suffix=suffix: not_coded(
            mpeg4(folder, suffix), folder / f"n.{suffix}", {4, 5, 17}
        )
    for suffix in ("mp4", "mkv", "ts"):
        found[f"h264 open groups, {suffix}"] = lambda folder, suffix=suffix: h264(folder, suffix, B, "open-gop=1")
        found[f"hevc {suffix}"] = lambda folder, suffix=suffix: hevc(folder, suffix)
    for suffix in ("mp4", "mkv", "avi", "mov"):
        found[f"mpeg4 {suffix}"] = lambda folder, suffix=suffix: mpeg4(folder, suffix)
        found[f"mpeg4 with B-frames, {suffix}"] = lambda folder, suffix=suffix: mpeg4(folder, suffix, bf="2")
    for suffix in ("mp4", "mkv", "webm"):
        found[f"av1 {suffix}"] = partial(other, suffix=suffix, codec="libsvtav1", **SVT)
    found |= {
        "h264 4:4:4": lambda folder: h264(folder, "mp4", B, pix_fmt="yuv444p"),
        "h264 without sync samples": lambda folder: without_sync_samples(h264(folder, "mp4", B)),
        "h264 late start": lambda folder: h264(folder, "mp4", B, pts=range(50, 50 + NUM)),
        "h264 variable rate": lambda folder: h264(folder, "mkv", B, pts=[n * n // 7 + n for n in range(NUM)]),
        "mpeg4 without sync samples": lambda folder: without_sync_samples(mpeg4(folder, "mp4")),
        "hevc cut before an open group": lambda folder: copied(hevc(folder, "mp4"), folder / "c.mkv", first_key=1),
        "hevc without sync samples": lambda folder: without_sync_samples(hevc(folder, "mp4")),
        "vp9 webm": partial(other, suffix="webm", codec="libvpx-vp9", **VP9),
        "mjpeg avi": partial(other, suffix="avi", codec="mjpeg", pix_fmt="yuvj420p"),
        "mjpeg mov": partial(other, suffix="mov", codec="mjpeg", pix_fmt="yuvj420p"),
        "prores mov": partial(other, suffix="mov", codec="prores", pix_fmt="yuv422p10le"),
        "ffv1 mkv": partial(other, suffix="mkv", codec="ffv1", g="5"),
    }
    return found


KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_asked_alone_is_that_of_a_sequential_decode(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    expected = sequential(path)
    assert len(expected) > NUM // 2
    with VideoReader(path) as reader:
        assert reader.num_frames == len(expected)
    for number in range(len(expected)):
        with VideoReader(path) as reader:
            assert np.array_equal(reader.frames([number])[0], expected[number]), number
    with VideoReader(path) as reader:  # and in one reader, in any order
        for asked in ([len(expected) - 1, 3], [0, 14, 9], list(range(0, len(expected), 4))):
            assert np.array_equal(reader.frames(asked), np.stack([expected[n] for n in asked]))


INDEXED = [
    *("h264 mp4", "h264 mkv", "h264 open groups, mp4", "h264 without B-frames, mp4", "h264 variable rate"),
    *("mpeg4 mp4", "mpeg4 with B-frames, mp4", "mpeg4 without sync samples", "h264 without sync samples"),
    *("hevc mp4", "av1 mp4", "av1 webm", "vp9 webm", "ffv1 mkv", "mjpeg mov", "prores mov"),
    *("mpeg4 avi", "mpeg4 with B-frames, avi"),
]
COUNTED = [
    *("h264 copied from avi into mp4", "mpeg4 with B-frames copied from avi into mkv", "mpeg4 not coded, mp4"),
    *("h264 cut before an open group, mkv", "h264 ts", "h264 avi"),
]


@pytest.mark.parametrize("kind", INDEXED + COUNTED)
def test_the_fast_path_stays_where_the_file_proves_it(kind: str, tmp_path: Path) -> None:
    with VideoReader(KINDS[kind](tmp_path)) as reader:
        reader.frames([17, 3, 11])
        assert reader.has_index == (kind in INDEXED)


def test_a_frame_that_does_not_come_drops_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Had nothing been noticed in the packets, it would be when they are decoded."""
    from vtbench.video.codecs import packets

    path = not_coded(mpeg4(tmp_path, "mp4"), tmp_path / "n.mp4", {4, 5})
    monkeypatch.setattr(packets, "_MAX_VOP_NOT_CODED", 0)
    expected = sequential(path)
    with VideoReader(path) as reader:
        assert reader.has_index
        assert np.array_equal(reader.frames([3, 4, 5]), np.stack(expected[3:6]))
        assert not reader.has_index and reader.num_frames == len(expected) == NUM - 2


def messed_up(source: Path, target: Path) -> Path:
    """A copy of an MPEG-4 file in which one B-VOP has a time beyond that of the next P-VOP, by its own header."""

    def change(count: int, keyframes: int, data: bytearray) -> None:
        at = data.index(b"\x00\x00\x01\xb6") + 4
        if count == 8:
            assert data[at] >> 5 == 0b100  # type B, no whole second; a marker and 5 bits of time follow
            data[at : at + 2] = (int.from_bytes(data[at : at + 2], "big") | 31 << 7).to_bytes(2, "big")

    return rewritten(source, target, change)


def rewritten(source: Path, target: Path, change: Callable[[int, int, bytearray], None]) -> Path:
    """A copy of a file whose packets `change` may change: called with a packet's number, how many keyframes there were
    up to it, itself included, 0 for one that is none, and its bytes."""
    with av.open(str(source)) as src, av.open(str(target), "w") as out:
        stream = src.streams.video[0]
        copy = out.add_stream_from_template(stream)
        keyframes = 0
        for count, packet in enumerate(packet for packet in src.demux(stream) if packet.size):
            data = bytearray(packet)
            keyframes += packet.is_keyframe
            change(count, keyframes if packet.is_keyframe else 0, data)
            made = av.Packet(bytes(data))
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.is_keyframe = packet.is_keyframe
            made.stream = copy
            out.mux(made)
    return target


@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv"])
def test_bvops_that_ffmpeg_leaves_out_are_not_counted(suffix: str, tmp_path: Path) -> None:
    path = messed_up(mpeg4(tmp_path, suffix, bf="2"), tmp_path / f"n.{suffix}")
    expected = sequential(path)
    assert len(expected) == NUM - 1
    with VideoReader(path) as reader:
        assert reader.num_frames == NUM - 1 and not reader.has_index
        assert np.array_equal(reader.frames([3, 20]), np.stack([expected[3], expected[20]]))


def hidden_keyframe(source: Path, target: Path) -> Path:
    """A copy of a VP9 file whose second keyframe is not shown."""

    def change(count: int, keyframes: int, data: bytearray) -> None:
        if keyframes == 2:
            assert data[0] == 0b10000010  # marker, profile 0, a keyframe, show_frame
            data[0] = 0b10000000

    return rewritten(source, target, change)


def test_hidden_pictures_of_vp9_are_not_counted(tmp_path: Path) -> None:
    plain = {"deadline": "realtime", "cpu-used": "8", "g": "12", "auto-alt-ref": "0", "lag-in-frames": "0"}
    path = hidden_keyframe(other(tmp_path, "webm", "libvpx-vp9", **plain), tmp_path / "n.webm")
    assert len(sequential(path)) == NUM - 1
    with VideoReader(path) as reader:
        assert reader.num_frames == NUM - 1


@pytest.mark.parametrize("cached", [False, True])
def test_frames_are_chosen_again_where_the_count_was_wrong(
    cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had nothing been noticed in the packets: the last frames that were counted are not there."""
    from vtbench.datasets.cache import FileCache
    from vtbench.datasets.frames import DecodedFrames
    from vtbench.video.codecs.packets import PacketRules

    path = not_coded(mpeg4(tmp_path, "mp4"), tmp_path / "n.mp4", {4, 5})
    monkeypatch.setattr("vtbench.video.decode.packet_rules", lambda *_: PacketRules())
    expected = sequential(path)
    assert len(expected) == NUM - 2
    counts = []

    def choose(count: int) -> np.ndarray:
        counts.append(count)
        return np.array([[0, 4], [5, count - 1]])

    frames, which, _ = DecodedFrames(FileCache(1 << 30) if cached else None)(path, choose)
    assert counts == ([NUM - 2] if cached else [NUM, NUM - 2])
    found = frames[which.ravel()].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(found, np.stack([expected[n] for n in (0, 4, 5, NUM - 3)]))


def test_a_seek_that_lands_on_no_iframe_drops_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vtbench.video.codecs.packets import PacketRules

    path = without_sync_samples(encode(tmp_path / "m.mp4", numbered(NUM), codec="mpeg4", options={"g": "15"}))
    monkeypatch.setattr("vtbench.video.decode.packet_rules", lambda *_: PacketRules())
    expected = sequential(path)
    with VideoReader(path) as reader:
        assert reader.has_index
        assert np.array_equal(reader.frames([25, 2]), np.stack([expected[25], expected[2]]))
        assert not reader.has_index


def test_compressed_reading_takes_iframes_by_their_own_bits(tmp_path: Path) -> None:
    """A file without sync samples has every packet marked as one."""
    whole = encode(tmp_path / "m.mp4", numbered(NUM), codec="mpeg4", options={"g": "10", "bf": "0"})
    with CompressedReader(whole) as reader:
        expected = reader.triplets([9, 12, 25])
    with CompressedReader(without_sync_samples(whole)) as reader:
        assert reader.gops == [(0, 10), (10, 20), (20, 30)]
        found = reader.triplets([9, 12, 25])
    assert np.array_equal(found.motion, expected.motion) and np.array_equal(found.residuals, expected.residuals)


def test_compressed_reading_refuses_what_is_not_as_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vtbench.video.codecs.packets import PacketRules

    path = encode(tmp_path / "m.mp4", numbered(NUM), codec="mpeg4", options={"g": "12", "bf": "0"})
    data = path.read_bytes()
    at = data.index(b"stss") + 4 + 4 + 4 + 4  # version, count, and the first entry; the second is packet 13
    path.write_bytes(data[:at] + (12).to_bytes(4, "big") + data[at + 4 :])
    monkeypatch.setattr("vtbench.video.decode.packet_rules", lambda *_: PacketRules())
    with pytest.raises(VideoError, match=r"m\.mp4: .*data prepare"), CompressedReader(path) as reader:
        reader.triplets([15])


MATRICES = {
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}


def with_matrix(path: Path, matrix: tuple[float, ...]) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(v * (1 << 16)) for v in matrix)
    for k, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[at + 4 * k : at + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_mirrored_and_transposed_pictures_are_shown_as_players_do(name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", numbered(3), options=x264(12))
    plain = np.stack(sequential(path))
    a, b, c, d = MATRICES[name]
    y, x = np.mgrid[0 : encoded.HEIGHT, 0 : encoded.WIDTH]
    new_x, new_y = a * x + c * y, b * x + d * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    expected = np.zeros((3, new_y.max() + 1, new_x.max() + 1, 3), np.uint8)
    expected[:, new_y, new_x] = plain
    with VideoReader(with_matrix(path, MATRICES[name])) as reader:
        assert np.array_equal(reader.frames([0, 1, 2]), expected)


def test_other_angles_are_refused(tmp_path: Path) -> None:
    half = 0.5**0.5
    path = with_matrix(encode(tmp_path / "a.mp4", numbered(3), options=x264(12)), (half, half, -half, half))
    with VideoReader(path) as reader, pytest.raises(VideoError, match=r"a\.mp4: is to be shown turned by 45 degrees"):
        reader.frames([0])


def test_an_encrypted_file_is_named_as_encrypted(tmp_path: Path) -> None:
    protection = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    path = h264(tmp_path, "mp4", B, container_options=protection)
    with pytest.raises(VideoError, match=r"a\.mp4: is encrypted; get a copy without protection"):
        VideoReader(path)


def test_transport_streams_joined_byte_by_byte_are_refused(tmp_path: Path) -> None:
    """As `cat a.ts b.ts` joins them: their counters jump, as where packets were lost."""
    one = h264(tmp_path, "ts", B)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    with (
        VideoReader(joined) as reader,
        pytest.raises(VideoError, match=r"joined\.ts: a packet is cut short or damaged"),
    ):
        _ = reader.num_frames


def test_the_first_of_several_video_streams_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("libx264", rate=25, options=x264(10)) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = encoded.WIDTH, encoded.HEIGHT, "yuv420p"
        for number in range(12):
            for offset, stream in zip((0, 100), streams, strict=True):
                picture = av.VideoFrame.from_ndarray(encoded.numbered_frame(number + offset), format="rgb24")
                out.mux(stream.encode(picture))
        for stream in streams:
            out.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert reader.num_frames == 12 and [encoded.read_number(f) for f in reader.frames([0, 11])] == [0, 11]


def test_x264_of_old_versions_in_444_is_read_from_the_start(tmp_path: Path) -> None:
    """FFmpeg reads 4:4:4 of x264 before core 151 by its version, which stands in the first packet alone, and forgets it
    at a seek. The stream is of today's x264, its stated version older; without 8x8 transforms both decode alike."""
    path = h264(tmp_path, "mp4", "8x8dct=0", pix_fmt="yuv444p")
    with VideoReader(path) as reader:
        assert reader._index is not None and len(reader._index.keyframes) > 1
    whole = sequential(path)
    data = path.read_bytes()
    version = re.search(rb"x264 - core (\d{3})", data)
    assert version is not None and int(version[1]) >= 151
    path.write_bytes(data.replace(version[0], b"x264 - core 150"))
    with VideoReader(path) as reader:
        assert reader._index is not None and reader._index.keyframes == [0]
    for number in (0, 11, 29):
        with VideoReader(path) as reader:
            assert np.array_equal(reader.frames([number])[0], whole[number])
    assert forgets_at_seek("h264", "yuv444p", b"x264 - core 150 ")
    assert not forgets_at_seek("h264", "yuv420p", b"x264 - core 150 ")
