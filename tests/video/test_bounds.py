"""Pictures and videos that would fill the memory: one VideoError, before the memory is taken."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoded
import lookalikes
import numpy as np
import pytest
from memory import peak_mib
from PIL import Image

from vtbench.errors import VideoError
from vtbench.video import files
from vtbench.video.compressed import CompressedReader
from vtbench.video.decode import VideoReader
from vtbench.video.stills import FrameFolder

SCRIPT = """
import sys
from vtbench.errors import VideoError
from vtbench.datasets.frames import DecodedFrames
try:
    DecodedFrames()(__import__("pathlib").Path(sys.argv[1]), lambda count: range(min(count, 80)))
except VideoError as error:
    print(error)
else:
    raise SystemExit("was read")
"""


def frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return reader.frames(range(reader.num_frames))


def jpegs(path: Path, width: int, height: int) -> Path:
    """Six flat pictures in a file of motion JPEG, a few hundred kB whatever their size."""
    return encoded.encode(path, [np.zeros((height, width, 3), np.uint8)] * 6, codec="mjpeg", pix_fmt="yuvj420p")


@pytest.mark.slow
def test_a_small_file_of_huge_pictures_is_refused_before_they_take_memory(tmp_path: Path) -> None:
    """Six pictures of 8192 x 8192 took 2.1 GB; those of a clip in eight views 16 GB, for which a worker was killed."""
    huge = [np.zeros((8192, 8192, 3), np.uint8)] * 6
    path = encoded.encode(tmp_path / "a.mp4", huge, options={"preset": "ultrafast", "crf": "40"})
    assert path.stat().st_size < 1_000_000
    for reader in (VideoReader, CompressedReader):
        with pytest.raises(VideoError, match=r"has pictures of 8192 x 8192, more than 33554432 pixels; get the file"):
            reader(path)
    assert peak_mib(SCRIPT, path) < 600  # torch and PyAV take nearly all of it


@pytest.mark.parametrize(("width", "height"), [(16, 4096), (4096, 16), (2, 1000)])
def test_a_strip_is_refused(width: int, height: int, tmp_path: Path) -> None:
    """Resized to a short side of 224 pixels it would take gigabytes."""
    path = jpegs(tmp_path / "a.mkv", width, height)
    with pytest.raises(VideoError, match=f"has pictures of {width} x {height}, the long side more than 32 times"):
        VideoReader(path)


def test_pictures_that_grow_within_a_file_are_refused(tmp_path: Path) -> None:
    small, large = tmp_path / "small.h264", tmp_path / "large.h264"
    encoded.encode(small, encoded.numbered(5), options=encoded.x264(5))
    encoded.encode(large, [np.zeros((2048, 2048, 3), np.uint8)] * 2, options=encoded.x264(5))
    small.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(VideoError, match=r"frame size changes within the file: \[\(96, 64\), \(2048, 2048\)\]"):
        frames(small)


READ: dict[str, Callable[[Path], Any]] = {
    "frames": frames,
    "repeats": lambda path: VideoReader(path).frames([0] * 10),
    "chosen": lambda path: VideoReader(path).chosen(np.arange),
    "motion": lambda path: CompressedReader(path).motion([0] * 10),
    "triplets": lambda path: CompressedReader(path).triplets([0] * 10),
}


@pytest.mark.parametrize("how", READ)
def test_more_than_a_bound_is_not_read_at_once(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encoded.encode(tmp_path / "a.mp4", encoded.numbered(10), codec="mpeg4", options={"g": "5"})
    READ[how](path)
    monkeypatch.setattr(files, "MAX_BYTES", 9 * 96 * 64 * 3)
    message = r"a\.mp4: 10 frames of 96 x 64 take 0\.0 GB, more than .*; re-encode it smaller, as `vtbench data prepare"
    with pytest.raises(VideoError, match=message):
        READ[how](path)


def test_folders_of_pictures_have_the_same_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lookalikes.jpeg_frames(tmp_path / "12", list(encoded.numbered(6)))
    monkeypatch.setattr(files, "MAX_BYTES", 5 * 96 * 64 * 3)
    with pytest.raises(VideoError, match="6 frames of 96 x 64 take"):
        FrameFolder(folder).frames(range(6))
    assert len(FrameFolder(folder).frames(range(5))) == 5


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (10_000, 10_000), (30_000, 10)])
def test_a_picture_that_only_claims_its_size_is_not_decoded(width: int, height: int, tmp_path: Path) -> None:
    folder = lookalikes.jpeg_frames(tmp_path / "12", list(encoded.numbered(1)))
    (file,) = folder.iterdir()
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    data, count = re.subn(rb"(\xff\xc0\x00\x11\x08)....", lambda m: m[1] + size, file.read_bytes(), flags=re.DOTALL)
    assert count == 1
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(VideoError, match=rf"{file.name}.*({width} x {height}|exceeds limit|more than)"):
            FrameFolder(folder).frames([0])
    assert Image.MAX_IMAGE_PIXELS is not None
