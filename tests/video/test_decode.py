from __future__ import annotations

import gc
import pickle
import re
import subprocess
import sys
from pathlib import Path

import av
import encoded
import numpy as np
import pytest

from vtbench.errors import VideoError
from vtbench.video.decode import VideoReader


def sequential(path: Path) -> np.ndarray:
    """All frames, as a plain loop over the decoder gives them."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_frames_are_those_of_sequential_decoding(numbered_file: tuple[str, Path]) -> None:
    _, path = numbered_file
    expected = sequential(path)
    rng = np.random.default_rng(0)
    with VideoReader(path) as reader:
        assert reader.num_frames == len(expected)
        assert np.array_equal(reader.frames(range(len(expected))), expected)
        for _ in range(12):
            asked = rng.integers(len(expected), size=rng.integers(1, 9))
            assert np.array_equal(reader.frames(asked), expected[asked]), asked
        few = np.arange(0, len(expected), 7)
        assert np.array_equal(reader.frames(few), expected[few])


def test_numbers_read_from_pixels_are_the_ones_asked(numbered_file: tuple[str, Path]) -> None:
    kind, path = numbered_file
    # A cut with an edit list shows the frames of the whole video from 20 on (0.8 s at 25 frames per second).
    first = 20 if kind.startswith("edit list") else 0
    with VideoReader(path) as reader:
        assert reader.num_frames == (1 if kind == "one frame" else 60 - first)
        asked = [n for n in (3, 38, 38, 0, 21, 12, 39) if n < reader.num_frames]
        assert [encoded.read_number(frame) for frame in reader.frames(asked)] == [first + n for n in asked]


def test_time_stamps_are_used_where_they_can_be_trusted(numbered_file: tuple[str, Path]) -> None:
    kind, path = numbered_file
    with VideoReader(path) as reader:
        reader.frames([0])
        whole = reader.num_frames
        before = reader.frames_decoded
        reader.frames([whole - 1])
        decoded = reader.frames_decoded - before
    if kind in ("mpeg-ts", "raw h264"):
        assert decoded == whole
    elif kind in (
        "groups of 12",
        "no edit list",
        "fragmented",
        "odd size, mkv",
        "only keyframes",
        "mpeg4 avi with B-frames",
    ):
        assert decoded <= 12


def test_frames_do_not_wait_for_the_garbage_collector(numbered_file: tuple[str, Path]) -> None:
    def frames() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        with VideoReader(numbered_file[1]) as reader:
            asked = range(reader.num_frames)
            before = frames()
            reader.frames(asked)
            assert frames() - before <= 2
    finally:
        gc.enable()


def test_a_sequential_decode_after_a_seek_begins_at_the_start(numbered_file: tuple[str, Path]) -> None:
    with VideoReader(numbered_file[1]) as reader:
        expected = next(reader.sequential()).to_ndarray(format="rgb24")
        reader.frames([reader.num_frames - 1])
        assert np.array_equal(next(reader.sequential()).to_ndarray(format="rgb24"), expected)


def test_two_seconds_with_sound(two_second_clip: Path) -> None:
    with av.open(str(two_second_clip)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    with VideoReader(two_second_clip) as reader:
        assert reader.num_frames == 50
        frames = reader.frames([49, 0, 25, 25])
    assert frames.dtype == np.uint8
    assert frames.shape == (4, encoded.HEIGHT, encoded.WIDTH, 3)
    assert [encoded.read_number(frame) for frame in frames] == [49, 0, 25, 25]


def test_unwanted_frames_are_skipped_where_nothing_refers_to_them(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(60), options=encoded.x264(250, "bframes=3:b-adapt=0"))
    with VideoReader(path) as reader:
        reader.frames([0, 59])
        assert reader.frames_decoded < 40


def test_one_call_is_one_pass(tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(60), options=encoded.x264(12, "bframes=3:b-adapt=0"))
    with VideoReader(path) as reader:
        reader.frames(np.random.default_rng(0).integers(60, size=240))
        assert reader.frames_decoded <= 60


def test_frames_outside_the_video_are_an_index_error(numbered_file: tuple[str, Path]) -> None:
    _, path = numbered_file
    with VideoReader(path) as reader:
        with pytest.raises(IndexError, match="frame"):
            reader.frames([0, 60])
        with pytest.raises(IndexError, match="frame"):
            reader.frames([-1])
        with pytest.raises(ValueError, match="no frame"):
            reader.frames([])
        assert len(reader.frames([0])) == 1


# tkhd's matrix (a b u c d v x y w, 16.16 and 2.30 fixed point) sends (x, y) to (a x + c y, b x + d y), y pointing down.
ROTATIONS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # degrees clockwise


@pytest.mark.parametrize("degrees", ROTATIONS)
def test_rotation_stored_in_the_file_is_applied(degrees: int, tmp_path: Path) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(3), options=encoded.x264(12))
    plain = sequential(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    assert data[at : at + 4] == (1 << 16).to_bytes(4, "big")
    a, b, c, d = (v << 16 for v in ROTATIONS[degrees])
    for k, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[at + 4 * k : at + 4 * k + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    # The pixel at (x, y) moves by the matrix, then everything is shifted back to start at 0.
    height, width = plain.shape[1:3]
    y, x = np.mgrid[0:height, 0:width]
    a, b, c, d = ROTATIONS[degrees]
    new_x, new_y = a * x + c * y, b * x + d * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    expected = np.zeros((3, new_y.max() + 1, new_x.max() + 1, 3), np.uint8)
    expected[:, new_y, new_x] = plain
    with VideoReader(path) as reader:
        assert np.array_equal(reader.frames([0, 1, 2]), expected)


# -- files that cannot be read ----------------------------------------------------------------------------------------


def _whole_mp4(path: Path) -> Path:
    options = {"movflags": "+faststart"}
    x264 = encoded.x264(250, "bframes=3:b-adapt=0")
    return encoded.encode(path, encoded.numbered(60), options=x264, container_options=options, sound=True)


def _cut(path: Path, fraction: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
    return path


def _directory(path: Path) -> None:
    path.mkdir()


def _mp4_cut_before_moov(path: Path) -> None:
    _cut(encoded.encode(path, encoded.numbered(20), options=encoded.x264(250)), 0.6)


def _corrupted(path: Path) -> None:
    data = bytearray(_whole_mp4(path).read_bytes())
    rng = np.random.default_rng(0)
    start = data.index(b"mdat") + 200
    for at in rng.integers(start, len(data) - 200, 40):
        data[at : at + 16] = rng.bytes(16)
    path.write_bytes(data)


def _audio_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        encoded.write_tone(out, out.add_stream("aac", rate=16000, layout="mono"), seconds=1)


def _avi(path: Path) -> None:
    encoded.encode(path, encoded.numbered(60), codec="mpeg4", options={"bf": "2", "g": "12"})


def _webm(path: Path) -> None:
    options = {"deadline": "realtime", "cpu-used": "8"}
    encoded.encode(path, encoded.numbered(60), codec="libvpx-vp9", options=options)


BAD_FILES = {
    "missing": ("a.mp4", lambda path: None, "no such file"),
    "directory": ("a.mp4", _directory, "directory"),
    "empty": ("a.mp4", lambda path: path.write_bytes(b""), "empty"),
    "twenty bytes": ("a.mp4", lambda path: path.write_bytes(bytes(range(20))), "invalid data"),
    "zeros": ("a.mp4", lambda path: path.write_bytes(bytes(10_000)), "invalid data"),
    "text": ("a.mp4", lambda path: path.write_text("not a video\n" * 50), "invalid data"),
    "random avi": ("a.avi", lambda path: path.write_bytes(np.random.default_rng(0).bytes(9000)), "invalid data"),
    "mp4 cut before its header": ("a.mp4", _mp4_cut_before_moov, "invalid data"),
    "mp4 cut in its data": ("a.mp4", lambda path: _cut(_whole_mp4(path), 0.6), "ends early"),
    "avi cut": ("a.avi", lambda path: (_avi(path), _cut(path, 0.5)), "ends early|cut short"),
    "webm cut": ("a.webm", lambda path: (_webm(path), _cut(path, 0.5)), "ends early"),
    "corrupted": ("a.mp4", _corrupted, "damaged|invalid data"),
    "audio only": ("a.mp4", _audio_only, "no video stream"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_refused_with_path_and_reason(kind: str, tmp_path: Path) -> None:
    name, write, reason = BAD_FILES[kind]
    path = tmp_path / name
    write(path)
    with pytest.raises(VideoError) as caught, VideoReader(path) as reader:
        reader.frames(range(reader.num_frames))
    assert caught.value.frames_decoded <= 60, "no file has more"
    assert str(path) in str(caught.value)
    assert re.search(reason, caught.value.reason)
    assert len(str(caught.value).splitlines()) == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, again.reason, again.frames_decoded) == (path, caught.value.reason, caught.value.frames_decoded)


def test_frames_decoded_before_the_damage_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    _corrupted(path)
    with pytest.raises(VideoError) as caught, VideoReader(path) as reader:
        reader.frames(range(reader.num_frames))
    assert 0 < caught.value.frames_decoded < 60


def test_a_header_that_announces_too_many_frames_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    _avi(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"avih") + 8 + 16  # dwTotalFrames
    assert int.from_bytes(data[at : at + 4], "little") == 60
    data[at : at + 4] = (174).to_bytes(4, "little")
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.num_frames == 60


def test_ffmpegs_messages_are_neither_shown_nor_switched_off_for_others(tmp_path: Path) -> None:
    """An exception says what is wrong. Importing the readers leaves logging as it was."""
    path = tmp_path / "damaged.avi"
    encoded.encode(path, encoded.numbered(40), codec="mpeg4", options={"g": "12"})
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 4000, 7):
        data[place] ^= 0x55
    path.write_bytes(data)
    script = f"""
import logging, sys
logging.basicConfig(level=0, stream=sys.stderr)
import av
before = av.logging.get_level(), logging.getLogger("libav").level
from vtbench.audio.waveform import read_audio
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader
assert (av.logging.get_level(), logging.getLogger("libav").level) == before
from vtbench.errors import VideoError
for reader in (VideoReader, CompressedReader):
    try:
        with reader({str(path)!r}) as video:
            list(video.sequential())
    except VideoError:
        pass
    else:
        sys.exit("nothing was wrong")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
