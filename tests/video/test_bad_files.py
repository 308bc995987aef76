"""What all that read video files do with bad ones: one line that names file and reason; no crash, no hang, no frame
that is not in the file. What `VideoReader` alone does with more of them is in test_decode.py and test_exactness.py."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import encoded
import numpy as np
import pytest
from memory import peak_mib

import vtbench
from vtbench.audio.waveform import read_audio
from vtbench.cli import main
from vtbench.datasets.check.info import read_info
from vtbench.datasets.prepare import H264, Mpeg4, prepare
from vtbench.errors import VideoError
from vtbench.video import sampling
from vtbench.video.compressed import CompressedReader
from vtbench.video.containers import broken_at
from vtbench.video.decode import VideoReader
from vtbench.video.files import MAX_PIXELS

NUM = 60
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parent.parent)}


def frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return reader.frames(range(reader.num_frames))


def compressed(path: Path) -> int:
    with CompressedReader(path) as reader:
        assert reader.gops
        return sum(1 for _ in reader.each_motion())


READERS: dict[str, Callable[[Path], Any]] = {
    "VideoReader": frames,
    "CompressedReader": compressed,
    "read_audio": read_audio,
    "data info": read_info,
}


def refused(path: Path, *reasons: str, readers: dict[str, Callable[[Path], Any]] = READERS) -> None:
    """By each reader, in one line, and by `data info` and `data prepare` of the command line."""
    for name, read in readers.items():
        with pytest.raises(VideoError) as caught:
            read(path)
        line = str(caught.value)
        assert line.startswith(f"{path}: ") and "\n" not in line, name
        assert any(re.search(reason, caught.value.reason) for reason in reasons), (name, line)
    target = path.parent.with_name(f"{path.parent.name}-target")
    for encoding in (H264(), Mpeg4((96, 64))):
        done = prepare(path.parent, target, encoding=encoding, report=lambda line: None)
        named = [line for line in done.failed if line.startswith(f"{path}: ")]
        assert len(named) == 1 and "\n" not in named[0]
        assert [p.name for p in target.iterdir()] == ["prepared.json"]


def whole(path: Path, codec: str = "mpeg4") -> Path:
    """A file with sound that every reader reads; mp4 with its header in front. h264: without compressed reading."""
    options = {"g": "12"} if codec == "mpeg4" else encoded.x264(12, "bframes=3:b-adapt=0")
    in_front = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    return encoded.encode(
        path, encoded.numbered(NUM), codec=codec, options=options, sound=True, container_options=in_front
    )


# -- no video ----------------------------------------------------------------------------------------------------------


def without_moov(path: Path) -> None:
    encoded.encode(path, encoded.numbered(NUM), codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def with_unknown_codec(path: Path) -> None:
    data = whole(path).read_bytes()
    path.write_bytes(data.replace(b"mp4v", b"zzzz").replace(b"esds", b"free"))


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        encoded.write_tone(out, out.add_stream("aac", rate=16000, layout="mono"), seconds=1)


NO_VIDEOS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.touch(), "is empty"),
    "text": (lambda path: path.write_text("not a video\n" * 50), "invalid data"),
    "one byte": (lambda path: path.write_bytes(b"\x00"), "invalid data"),
    "no moov": (without_moov, "invalid data"),
    "an unknown codec": (with_unknown_codec, "the codec of its pictures is unknown to FFmpeg"),
    "audio only": (audio_only, "has no video stream"),
    "a link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to("gone.mp4"), "no such file"),
}


@pytest.mark.parametrize("kind", NO_VIDEOS)
def test_what_is_no_video_is_refused_by_all(kind: str, tmp_path: Path) -> None:
    write, reason = NO_VIDEOS[kind]
    path = tmp_path / "source" / "a.mp4"
    path.parent.mkdir()
    write(path)
    refused(path, reason)


def test_a_directory_is_refused_and_looked_into_by_prepare(tmp_path: Path) -> None:
    path = tmp_path / "source" / "a.mp4"
    whole(path / "b.mp4")
    for read in READERS.values():
        with pytest.raises(VideoError, match="is a directory, not a video file"):
            read(path)
    done = prepare(path.parent, tmp_path / "target", report=lambda line: None)
    assert (done.encoded, done.failed) == (1, [])
    assert (tmp_path / "target" / "a.mp4" / "b.mp4").is_file()


def test_a_folder_that_links_to_itself_is_walked_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    whole(source / "a.mp4")
    (source / "again").symlink_to(source)
    done = prepare(source, tmp_path / "target", report=lambda line: None)
    assert (done.encoded, done.failed) == (1, [])


SCRIPT = """
import sys
from pathlib import Path
from vtbench.audio.waveform import read_audio
from vtbench.datasets.check.info import read_info
from vtbench.datasets.prepare import prepare
from vtbench.errors import VideoError
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader
path = Path(sys.argv[1])
for read in (VideoReader, CompressedReader, read_audio, read_info):
    try:
        read(path)
    except VideoError as error:
        print(error.reason)
if len(sys.argv) > 2:
    print(*prepare(path.parent, sys.argv[2], report=lambda line: None).failed)
"""


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_may_never_end_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "source" / "a.mp4"
    path.parent.mkdir()
    listening = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        working = Path.cwd()
        os.chdir(path.parent)  # the path of a socket has at most 107 bytes
        listening.bind("a.mp4")
        os.chdir(working)
    else:
        path.symlink_to("/dev/zero")
    command = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "target")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    listening.close()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    why = "is a pipe, a socket or a device, not a video file; copy it into one"
    assert lines == [*[why] * 4, f"{path}: {why}"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = whole(tmp_path / "source" / "a.mp4")
    path.chmod(0)
    refused(path, "permission denied")


# -- cut off -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_pictures_of_a_file_that_ends_early_are_refused(suffix: str, share: float, tmp_path: Path) -> None:
    """mp4 with its header in front. The audio that is there may be read: it says how long the picture is."""
    path = whole(tmp_path / "source" / f"a{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    readers = {name: read for name, read in READERS.items() if name != "read_audio"}
    refused(path, "ends early", "cut short", "invalid data", "input/output error", readers=readers)
    if share > 0.1:
        audio = read_audio(path)
        assert audio.picture_s < NUM / 25 and len(audio.waveform) == round(audio.picture_s * 16000)
    else:
        with pytest.raises(VideoError):
            read_audio(path)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
def test_of_a_transport_stream_that_ends_early_come_the_frames_before(codec: str, share: float, tmp_path: Path) -> None:
    """Nothing in it says how long it was."""
    path = whole(tmp_path / "source" / "a.ts", codec)
    expected, data = frames(path), path.read_bytes()
    for length in (int(len(data) * share), int(len(data) * share) // 188 * 188):
        path.write_bytes(data[:length])
        try:
            found = frames(path)
        except VideoError as error:
            assert "damaged" in error.reason or "cut short" in error.reason
            continue
        assert NUM * (share - 0.2) < len(found) < NUM
        # With B-frames, those shown before the last that is there may be coded after it, and gone.
        numbers = [encoded.read_number(frame) for frame in found]
        assert numbers[:-4] == list(range(len(found) - 4)) and numbers == sorted(set(numbers))
        assert np.array_equal(found, expected[numbers])
        assert read_info(path).num_frames == len(found)


# -- corrupt in the middle ---------------------------------------------------------------------------------------------


def packets(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("how", ["random", "zeros", "ones"])
@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_packets_that_are_corrupt_in_the_middle_are_refused(suffix: str, codec: str, how: str, tmp_path: Path) -> None:
    """By all that read pictures. Of the audio, which is whole, its times stay."""
    path = whole(tmp_path / "source" / f"a{suffix}", codec)
    before = read_audio(path)
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    # Behind the header of a block of Matroska; of a transport stream, a part of the packet in which the picture begins.
    skipped = {".mkv": 4, ".ts": 20}.get(suffix, 0)
    for at, size in packets(path)[20:26]:
        end = 160 if suffix == ".ts" else size
        length = end - skipped
        part = {"random": rng.bytes(length), "zeros": bytes(length), "ones": b"\xff" * length}[how]
        data[at + skipped : at + end] = part
    path.write_bytes(data)
    readers = {name: read for name, read in READERS.items() if name != "read_audio"}
    reasons = ["invalid data", "damaged"]
    refused(path, *reasons, *REFUSALS[codec], readers=readers)
    after = read_audio(path)
    assert (after.start_s, after.end_s) == (before.start_s, before.end_s)
    assert np.array_equal(after.waveform[:8000], before.waveform[:8000])


# Compressed reading may see first that there are no I-frames where they should be, or never takes such a file.
REFUSALS = {"mpeg4": ["has a GOP of"], "libx264": ["reference frames"]}


def test_a_transport_stream_that_is_whole_is_not_taken_for_damaged(tmp_path: Path) -> None:
    for codec, options in (
        ("mpeg4", {"g": "12", "bf": "2"}),
        ("libx264", encoded.x264(12)),
        ("mpeg2video", {"g": "12", "bf": "2"}),
        ("libx265", {"x265-params": "log-level=none"}),
    ):
        path = encoded.encode(tmp_path / f"{codec}.ts", encoded.numbered(NUM), codec=codec, options=options, sound=True)
        assert broken_at(path) is None
        assert len(frames(path)) == NUM


def test_units_of_a_transport_stream_that_begin_anywhere_are_no_damage(tmp_path: Path) -> None:
    """Most begin without a start code: so this writer has them. Only the headers are then looked for."""
    path = encoded.encode(tmp_path / "a.ts", encoded.numbered(NUM), codec="mpeg4", options={"g": "12"})
    data = bytearray(path.read_bytes())
    starts = [at for at in range(0, len(data), 188) if data[at + 1] & 0x40 and b"\0\0\1\xe0" in data[at : at + 188]]
    for at in starts[5:]:
        data[data.index(b"\0\0\1\xb6", at)] = 1
    path.write_bytes(data)
    assert broken_at(path) is None
    data[data.index(b"\0\0\1\xe0", starts[7])] = 1
    path.write_bytes(data)
    assert broken_at(path) == starts[7]
    data[188 * 9] = 0  # each packet begins with 0x47
    path.write_bytes(data)
    assert broken_at(path) == 188 * 9


@pytest.mark.parametrize("suffix", [".h264", ".ts"])
@pytest.mark.parametrize("params", ["bframes=3:b-adapt=0", "bframes=0:ref=1", "bframes=2:ref=4"])
def test_a_raw_frame_that_is_gone_is_noticed_where_others_are_predicted_from_it(
    suffix: str, params: str, tmp_path: Path
) -> None:
    """H.264 counts these (frame_num). FFmpeg invents one that is missing, and continues."""
    path = encoded.encode(tmp_path / "a.h264", encoded.numbered(30), options=encoded.x264(15, params))
    units = re.split(rb"(?=\x00\x00\x00\x01|(?<!\x00)\x00\x00\x01)", path.read_bytes())
    slices = [n for n, unit in enumerate(units) if unit[3 + (unit[2:3] == b"\0") :][:1] in (b"\x41", b"\x61")]
    assert len(slices) > 5
    for gone in (slices[2], slices[-3]):
        path.write_bytes(b"".join(unit for n, unit in enumerate(units) if n != gone))
        file = path if suffix == ".h264" else muxed(path, tmp_path / "b.ts")
        with pytest.raises(VideoError, match="lacks a frame before packet"):
            frames(file)


def muxed(path: Path, new: Path) -> Path:
    with av.open(str(path)) as container, av.open(str(new), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            packet.pts = packet.dts = 3600 * number
            packet.time_base, packet.stream = Fraction(1, 90000), copy
            out.mux(packet)
    return new


# -- short -------------------------------------------------------------------------------------------------------------


def test_a_single_frame(tmp_path: Path) -> None:
    """Is a video; only compressed reading, which needs motion, refuses it."""
    path = encoded.encode(tmp_path / "source" / "a.mp4", encoded.numbered(1), codec="mpeg4", sound=True)
    assert frames(path).shape == (1, encoded.HEIGHT, encoded.WIDTH, 3)
    assert read_audio(path).picture_s == pytest.approx(0.04)
    found = read_info(path)
    assert (found.num_frames, found.groups.longest) == (1, 1)
    assert found.compressed.why_not is not None and found.compressed.why_not.startswith("has no P-frames")
    with pytest.raises(VideoError, match="has no P-frames, only 1 I-frames"):
        compressed(path)
    assert prepare(path.parent, tmp_path / "target", report=lambda line: None).encoded == 1
    assert len(frames(tmp_path / "target" / "a.mp4")) == 1
    done = prepare(path.parent, tmp_path / "mpeg4", encoding=Mpeg4((96, 64)), report=lambda line: None)
    assert len(done.failed) == 1 and "has a single frame, and so no motion" in done.failed[0]


@pytest.mark.parametrize("count", [1, 5])
def test_a_video_that_is_shorter_than_the_clip_starts_again(count: int, tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(count), options=encoded.x264(12))
    rng = np.random.default_rng(0)
    with VideoReader(path) as reader:
        assert reader.num_frames == count
        clips = [
            sampling.train_clip(count, num_frames=8, stride=4, rng=rng),
            *sampling.test_clips(count, num_frames=8, stride=4, clips=3),
            sampling.segment_clip(count, num_frames=8),
        ]
        for numbers in clips[:-1]:
            assert numbers.tolist() == [4 * n % count for n in range(8)]
        for numbers in clips:
            assert [encoded.read_number(frame) for frame in reader.frames(numbers)] == numbers.tolist()


# -- absurd sizes ------------------------------------------------------------------------------------------------------


def exp_golomb(value: int) -> str:
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def parameter_set(width: int, height: int) -> bytes:
    """Of H.264's baseline profile (ITU-T H.264, 7.3.2.1.1), with one reference frame."""
    bits = f"{66:08b}{0:08b}{62:08b}" + "".join(map(exp_golomb, (0, 0, 2, 1))) + "0"
    bits += exp_golomb(width // 16 - 1) + exp_golomb(height // 16 - 1) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return b"\x67" + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", data)


def h264_of(path: Path, width: int, height: int) -> None:
    options = {"profile": "baseline", **encoded.x264(5, "bframes=0:ref=1")}
    encoded.encode(path, encoded.numbered(20), options=options)
    units = re.split(rb"\x00\x00\x00\x01|\x00\x00\x01", path.read_bytes())[1:]
    replaced = [parameter_set(width, height) if unit[0] & 31 == 7 else unit for unit in units]
    path.write_bytes(b"".join(b"\x00\x00\x00\x01" + unit for unit in replaced))


def patched(path: Path, codec: str, before: bytes, size: bytes, **options: str) -> None:
    """The size of each picture, which stands behind some bytes, replaced."""
    encoded.encode(path, encoded.numbered(5), codec=codec, **options)
    data, count = re.subn(
        re.escape(before) + rb"(.....)", lambda m: before + size + m[1][len(size) :], path.read_bytes(), flags=re.DOTALL
    )
    assert count
    path.write_bytes(data)


THIRTY = (30_000).to_bytes(2, "big")
ABSURD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "h264, 8192 x 8192": ("a.h264", lambda path: h264_of(path, 8192, 8192)),
    "h264, 16000 x 16000": ("a.h264", lambda path: h264_of(path, 16_000, 16_000)),
    "h264, 30000 x 30000": ("a.h264", lambda path: h264_of(path, 30_000, 30_000)),
    "mjpeg, avi": (
        "a.avi",
        lambda path: patched(path, "mjpeg", b"\xff\xc0\x00\x11\x08", THIRTY * 2, pix_fmt="yuvj420p"),
    ),
    "mjpeg, mkv": (
        "a.mkv",
        lambda path: patched(path, "mjpeg", b"\xff\xc0\x00\x11\x08", THIRTY * 2, pix_fmt="yuvj420p"),
    ),
    "vp8": ("a.webm", lambda path: patched(path, "libvpx", b"\x9d\x01\x2a", b"\xff\x3f\xff\x3f")),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_an_absurd_size_in_a_header_takes_no_memory_for_it(kind: str, tmp_path: Path) -> None:
    """30000 x 30000 pixels are 1.3 GB in a decoder, for each of several pictures."""
    name, write = ABSURD[kind]
    path = tmp_path / "source" / name
    path.parent.mkdir()
    write(path)
    readers = {name: read for name, read in READERS.items() if name != "read_audio"}  # avi states times of its own
    refused(path, "invalid data", "invalid argument", "has pictures of", "gives no usable motion", readers=readers)
    if kind in ("h264, 8192 x 8192", "h264, 16000 x 16000"):
        refused(path, f"has pictures of {kind.removeprefix('h264, ')}, more than {MAX_PIXELS} pixels")
    assert peak_mib(SCRIPT, path, tmp_path / "target") < 300


def test_a_size_that_only_the_container_states_is_not_believed(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(5), options=encoded.x264(12))
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 28
    assert data[at : at + 4] == bytes((0, 96, 0, 64))
    data[at : at + 4] = THIRTY * 2
    at = data.index(b"tkhd") + 4 + 76
    data[at : at + 2] = data[at + 4 : at + 6] = THIRTY
    path.write_bytes(data)
    assert frames(path).shape == (5, 64, 96, 3)
    assert read_info(path).video.width == 96


def test_the_largest_pictures_are_still_read(tmp_path: Path) -> None:
    picture = np.zeros((4096, 8192, 3), np.uint8)  # as many as are allowed; 8K has fewer
    path = encoded.encode(tmp_path / "a.mkv", [picture], codec="mjpeg", pix_fmt="yuvj420p")
    assert frames(path).shape == (1, 4096, 8192, 3)


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_other_files_are_shown_and_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    whole(source / "good.mp4")
    (source / "empty.mp4").touch()
    os.mkfifo(source / "pipe.mp4")
    assert main(["data", "info", *map(str, sorted(source.iterdir()))]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{source / 'good.mp4'}\n")
    assert [line.split(": ")[1] for line in captured.err.splitlines()] == [
        *(str(source / name) for name in ("empty.mp4", "pipe.mp4"))
    ]
    assert main(["data", "prepare", str(source), str(tmp_path / "target")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "1 videos encoded, 0 already there, 2 failed\n"
    assert len(captured.err.splitlines()) == 2
