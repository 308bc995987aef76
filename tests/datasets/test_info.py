from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import encoded
import numpy as np
import pytest

from vtbench.audio.waveform import read_audio
from vtbench.datasets.check.info import read_info
from vtbench.datasets.prepare import H264, Mpeg4, prepare
from vtbench.errors import VideoError
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader

B = "bframes=3:b-adapt=0"


def test_a_whole_file(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(30), options=encoded.x264(12, B), sound=True)
    found = dataclasses.asdict(read_info(path))
    audio = read_audio(path)
    assert found == {
        "file": str(path),
        "container": {
            "format": "mov,mp4,m4a,3gp,3g2,mj2",
            "streams": ["video h264", "audio aac"],
            "duration_s": 1.2,
            "start_s": 0.0,
            "num_bytes": path.stat().st_size,
        },
        "video": {
            "codec": "h264",
            "profile": "High",
            "pixel_format": "yuv420p",
            "width": 96,
            "height": 64,
            "shown_width": 96,
            "shown_height": 64,
            "transposed": False,
            "flip_x": False,
            "flip_y": False,
            "colorspace": None,
            "color_range": None,
            "rate": 25.0,
            "start_s": 0.0,
            "duration_s": 1.2,
            "interlaced": False,
        },
        "num_frames": 30,
        "reading": {"by_index": True, "why_sequential": None},
        "groups": {
            "i_frames": 3,
            "p_frames": found["groups"]["p_frames"],
            "b_frames": 27 - found["groups"]["p_frames"],
            "other_frames": 0,
            "shortest": 12,
            "longest": 12,
            "starts": 3,
            "closed": True,
        },
        "compressed": {"readable": False, "why_not": refusal(path)},
        "audio": {
            "codec": "aac",
            "rate_hz": 16000,
            "channels": 1,
            "empty": False,
            "start_s": audio.start_s,
            "end_s": audio.end_s,
            "damaged_packets": 0,
            "why_not": None,
        },
        "prepared": None,
    }
    assert 0 < found["groups"]["p_frames"] < 15


def refusal(path: Path) -> str:
    with pytest.raises(VideoError) as caught, CompressedReader(path):
        pass
    return caught.value.reason


def in_coding_order(path: Path) -> Path:
    """Copied from avi into mp4 with the stamps of avi."""
    avi = encoded.encode(path.with_suffix(".avi"), encoded.numbered(30), codec="mpeg4", options={"bf": "2", "g": "10"})
    with av.open(str(avi)) as container, av.open(str(path), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.size:
                packet.pts, packet.stream = packet.dts, copy
                out.mux(packet)
    return path


def without_times(path: Path) -> Path:
    encoded.encode(path, encoded.numbered(30), options=encoded.x264(10, B))
    return path


REASONS = {
    "avi": (
        lambda p: encoded.encode(p / "a.avi", encoded.numbered(30), options=encoded.x264(10, B)),
        "avi has no index that is trusted",
    ),
    "mpeg-ts": (
        lambda p: encoded.encode(p / "a.ts", encoded.numbered(30), options=encoded.x264(10, B)),
        "mpegts has no index that is trusted",
    ),
    "raw": (lambda p: without_times(p / "a.h264"), "h264 has no index that is trusted"),
    "coding order": (
        lambda p: in_coding_order(p / "b.mp4"),
        "its time stamps are of the order of coding, not of showing",
    ),
}


@pytest.mark.parametrize("kind", REASONS)
def test_why_a_file_is_counted_from_the_start(kind: str, tmp_path: Path) -> None:
    make, why = REASONS[kind]
    path = make(tmp_path)
    found = read_info(path)
    assert (found.reading.by_index, found.reading.why_sequential) == (False, why)
    assert found.num_frames == 30
    if kind != "coding order":  # that encoder's groups are longer with B-frames
        assert (found.groups.i_frames, found.groups.longest) == (3, 10)
    assert found.groups.closed is (True if kind == "mpeg-ts" else None)
    with VideoReader(path) as reader:
        assert (reader.has_index, reader.why_sequential) == (False, why)
    if kind in ("avi", "raw"):
        assert found.video.start_s is None


def test_an_index_that_does_not_hold_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a seek shows that a packet is not what it is marked as."""
    path = encoded.encode(tmp_path / "m.mp4", encoded.numbered(30), codec="mpeg4", options={"g": "15"})
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))  # every packet counts as one to begin at
    with VideoReader(path) as reader:
        credulous = type(reader._rules)()
    monkeypatch.setattr("vtbench.video.decode.packet_rules", lambda *_: credulous)
    with VideoReader(path) as reader:
        assert reader.has_index
    found = read_info(path)
    assert found.reading.why_sequential == "packets are not what they are marked as"
    assert (found.num_frames, found.groups.i_frames) == (30, 2)


def test_open_groups_late_frames_and_sound_that_is_early(tmp_path: Path) -> None:
    options = encoded.x264(12, B, "open-gop=1")
    stamps = [n + n * n // 9 + 50 for n in range(40)]
    path = encoded.encode(tmp_path / "a.mkv", encoded.numbered(40), options=options, pts=stamps, sound=True)
    found = read_info(path)
    assert found.groups.closed is False
    assert found.video.start_s == pytest.approx(2, abs=0.001)
    assert found.container.start_s == pytest.approx(0, abs=0.1)
    assert found.audio is not None and found.audio.start_s == pytest.approx(-2, abs=0.1)
    assert found.reading.by_index


def test_the_display_matrix(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(5), options=encoded.x264(12))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), (0, 1, -1, 0), strict=True):  # 90 degrees clockwise
        data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    found = read_info(path).video
    assert (found.width, found.height, found.shown_width, found.shown_height) == (96, 64, 64, 96)
    assert (found.transposed, found.flip_x, found.flip_y) == (True, True, False)
    with VideoReader(path) as reader:
        assert reader.frames([0]).shape == (1, 96, 64, 3)


def test_compressed_reading(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(30), codec="mpeg4", options={"g": "12", "bf": "0"})
    found = read_info(path).compressed
    assert (found.readable, found.why_not) == (True, None)
    path = encoded.encode(tmp_path / "b.mp4", encoded.numbered(30), codec="mpeg4", options={"g": "12", "bf": "2"})
    found = read_info(path).compressed
    assert not found.readable and found.why_not is not None and found.why_not.startswith("has B-frames; re-encode it")


def test_audio_that_is_damaged_or_missing(tmp_path: Path) -> None:
    assert read_info(encoded.encode(tmp_path / "a.mp4", encoded.numbered(5), codec="mpeg4")).audio is None
    empty = read_info(encoded.with_empty_track(tmp_path / "b.ts")).audio
    assert empty is not None and (empty.codec, empty.empty) == ("aac", True)
    path = encoded.encode(tmp_path / "c.mp4", encoded.numbered(50), options=encoded.x264(12), sound=True)
    data = path.read_bytes()
    (tmp_path / "d.mp4").write_bytes(data.replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    unknown = read_info(tmp_path / "d.mp4").audio
    assert unknown is not None and unknown.codec is None
    assert unknown.why_not is not None and "unknown to FFmpeg" in unknown.why_not
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    changed, rng = bytearray(data), np.random.default_rng(0)
    for at, size in places[10:14]:
        changed[at : at + size] = rng.bytes(size)
    path.write_bytes(changed)
    damaged = read_info(path).audio
    assert damaged is not None and damaged.damaged_packets == read_audio(path).damaged_packets > 0


@pytest.mark.parametrize("encoding", [H264(), Mpeg4((96, 64))])
def test_a_prepared_file_says_so(tmp_path: Path, encoding: H264 | Mpeg4) -> None:
    path = encoded.encode(tmp_path / "source" / "a.avi", encoded.numbered(30), codec="mpeg4", options={"bf": "2"})
    prepare(tmp_path / "source", tmp_path / "target", encoding=encoding)
    new = tmp_path / "target" / "a.mp4"
    found = read_info(new)
    assert found.reading.by_index and found.groups.closed and found.groups.longest == 12
    assert found.compressed.readable is isinstance(encoding, Mpeg4)
    assert found.prepared is not None and found.prepared.unchanged
    assert found.prepared.made_of.startswith(f"vtbench {encoding.text} source={path.stat().st_size},")
    new.write_bytes(new.read_bytes().replace(b"isom", b"mp42", 1))
    found = read_info(new)
    assert found.prepared is not None and not found.prepared.unchanged


def test_frames_of_several_sizes_are_refused_as_by_the_reader(tmp_path: Path) -> None:
    small = encoded.encode(tmp_path / "b.h264", (n[:32] for n in encoded.numbered(5)), options=encoded.x264(12))
    large = encoded.encode(tmp_path / "a.h264", encoded.numbered(5), options=encoded.x264(12))
    large.write_bytes(large.read_bytes() + small.read_bytes())
    with pytest.raises(VideoError, match="frame size changes within the file"):
        read_info(large)
