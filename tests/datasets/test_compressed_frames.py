"""Modalities of compressed files as clips: which frames, one decode, what is cached, and sound at the right time."""

from __future__ import annotations

import dataclasses
import os
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from datamodules import video_data

from vtbench.audio.waveform import read_audio
from vtbench.datasets import compressed
from vtbench.datasets.cache import FileCache
from vtbench.datasets.compressed import DAMAGED_AUDIO, CompressedFrames, predicted_frames
from vtbench.datasets.frames import SILENT
from vtbench.datasets.synthetic import bits
from vtbench.errors import VideoError
from vtbench.video.compressed import CompressedReader

ALL = ("iframe", "motion", "residual", "audio")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bits") / "video.mp4"
    bits.write_video(path, 5, np.random.default_rng(0), silent=False)
    return path


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bits") / "silent.mp4"
    bits.write_video(path, 5, np.random.default_rng(0), silent=True)
    return path


def source(**options: Any) -> CompressedFrames:
    return CompressedFrames(**{"modalities": ALL, "motion": "previous", **options})


def test_iframes_stand_for_the_frame_before_them() -> None:
    gops = [(0, 4), (4, 8), (8, 9), (9, 12)]
    numbers = np.array([[0, 1, 3], [4, 8, 9]])
    assert predicted_frames(numbers, gops).tolist() == [[1, 1, 3], [3, 7, 7]]


@pytest.mark.parametrize("cache", [None, FileCache()])
def test_a_clip_is_what_the_reader_gives(video: Path, cache: FileCache | None) -> None:
    found, which, _ = source(cache=cache)(video, lambda n: np.array([[5, 30, 5], [8, 1, 4]]))
    assert which.tolist() == [[2, 4, 2], [3, 0, 1]]
    with CompressedReader(video) as reader:
        expected = reader.triplets([1, 3, 5, 7, 30])
    assert torch.equal(found["iframe"], torch.from_numpy(expected.iframes))
    assert torch.equal(found["motion"], torch.from_numpy(expected.motion))
    assert torch.equal(found["residual"], torch.from_numpy(expected.residuals))
    assert list(found) == list(ALL) and found["audio"].shape == (5, 96, 64)


def test_the_cache_keeps_no_more_than_13_bytes_a_pixel_and_sound(video: Path) -> None:
    cache = FileCache()
    source(cache=cache)(video, lambda n: np.array([1]))
    (((kept, counted),),) = (cache._values.values(),)
    frames = bits.NUM_FRAMES - bits.GOPS
    owners = [array if array.base is None else array.base for array in kept.modalities.values()]
    size = sum(array.nbytes for array in owners)
    assert size == counted == cache.num_bytes == frames * (13 * bits.HEIGHT * bits.WIDTH + 96 * 64 * 4)


def test_a_cache_without_room_changes_nothing(video: Path, silent: Path) -> None:
    small = source(cache=FileCache(3_000_000))  # one of the two files
    for path in (video, silent, video):
        found, *_ = small(path, lambda n: np.array([2, 9]))
        expected, *_ = source()(path, lambda n: np.array([2, 9]))
        assert all(torch.equal(found[name], expected[name]) for name in ALL)
        assert len(small.cache) == 1 and 0 < small.cache.num_bytes <= 3_000_000


def test_vectors_that_half_precision_cannot_hold_stay_as_they_are() -> None:
    quarters = np.array([511.75, -0.25], np.float32)
    assert compressed._compact(quarters).dtype == np.float16
    assert compressed._compact(quarters + 512).dtype == np.float32


def test_cached_files_are_read_once(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FileCache()
    one = source(cache=cache)
    one(video, lambda n: np.array([1]))
    monkeypatch.setattr(compressed, "CompressedReader", None)
    monkeypatch.setattr(compressed, "read_audio", None)
    found, *_ = source(cache=cache)(video, lambda n: np.arange(n))
    assert len(found["motion"]) == bits.NUM_FRAMES - bits.GOPS


@pytest.mark.parametrize("modalities", [("motion",), ("iframe",), ("audio",), ("motion", "residual")])
def test_only_what_is_asked_for_comes_and_it_is_the_same(video: Path, modalities: tuple[str, ...]) -> None:
    motion = "previous" if {"motion", "residual"} & set(modalities) else None
    some, *_ = source(modalities=modalities, motion=motion)(video, lambda n: np.array([2, 9]))
    whole, *_ = source()(video, lambda n: np.array([2, 9]))
    assert list(some) == list(modalities)
    for name in modalities:
        assert torch.equal(some[name], whole[name])


def test_accumulated_motion_is_another_convention(video: Path) -> None:
    moved = {kind: source(motion=kind)(video, lambda n: np.array([3]))[0]["motion"] for kind in ("previous", "iframe")}
    band = (0, 0, slice(34, 62), slice(24, 56))
    assert moved["iframe"][band].median().abs() == pytest.approx(3 * moved["previous"][band].median().abs())


def test_sound_is_that_of_the_frames_time(video: Path) -> None:
    found, *_ = source(modalities=("audio",), motion=None)(video, lambda n: np.array([2, 16]))
    tone = found["audio"].mean(dim=1).argmax(dim=-1)
    assert tone[0] == tone[1]  # a tone that lasts
    assert not torch.equal(found["audio"][0], found["audio"][1])  # whose beginning is within half a second of frame 2


FRAMES_S = np.array([0, 2, 3, 6, 10, 13, 14, 20, 22, 27, 29, 33, 41, 45, 46, 50]) / 10
"""When the frames of `uneven` are shown; every fourth is an I-frame."""
CLICKED = [2, 5, 9, 13]
"""The frames of `uneven` at which something is heard: predicted ones, far enough apart for one click in a patch."""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames at uneven times, and a click of 1 ms at those of some."""
    path = tmp_path_factory.mktemp("bits") / "uneven.mov"
    rng, rate = np.random.default_rng(0), 48000
    sound = np.zeros((1, 5 * rate), np.int16)
    for time_s in FRAMES_S[CLICKED]:
        middle = round(time_s * rate)
        sound[0, middle - 24 : middle + 24] = 20_000 * np.hanning(48)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("mpeg4", rate=10, options={"g": "4", "bf": "0", "sc_threshold": "1000000000"})
        picture.width = picture.height = 64
        picture.codec_context.time_base = Fraction(1, 10)
        picture.codec_context.thread_count = 1
        track = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for time_s in FRAMES_S:
            frame = av.VideoFrame.from_ndarray(rng.integers(256, size=(64, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 10), Fraction(1, 10)
            out.mux(picture.encode(frame))
        heard = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = rate, 0, Fraction(1, rate)
        out.mux([*picture.encode(None), *track.encode(heard), *track.encode(None)])
    return path


@pytest.mark.parametrize("cache", [None, FileCache()])
def test_what_is_heard_at_a_frame_is_in_the_middle_of_its_sound(uneven: Path, cache: FileCache | None) -> None:
    with CompressedReader(uneven) as reader:
        assert np.allclose(reader.seconds, FRAMES_S) and [first for first, _ in reader.gops] == [0, 4, 8, 12]
    found, *_ = source(modalities=("audio",), motion=None, cache=cache)(uneven, lambda n: np.array(CLICKED))
    loud = found["audio"].exp().sum(dim=-1) - 64 * 0.01  # (frames, rows of 10 ms)
    assert (loud.amax(dim=1) > 1).all()
    middle = (loud * torch.arange(96)).sum(dim=1) / loud.sum(dim=1)
    assert torch.allclose(middle, torch.tensor(47.5), atol=0.1)  # 1 ms


@pytest.mark.parametrize("cache", [None, FileCache()])
def test_files_without_sound_are_silent_and_noted(silent: Path, video: Path, cache: FileCache | None) -> None:
    for _ in range(2):  # a cached file keeps its note
        found, _, note = source(cache=cache)(silent, lambda n: np.array([2]))
        assert torch.allclose(found["audio"], torch.tensor(0.01).log()) and note == SILENT
    assert source(cache=cache)(video, lambda n: np.array([2]))[2] is None
    unheard = source(modalities=("iframe",), motion=None, cache=cache)
    assert unheard(silent, lambda n: np.array([2]))[2] is None


def test_damaged_sound_is_noted(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = read_audio(video)
    monkeypatch.setattr(compressed, "read_audio", lambda file: dataclasses.replace(heard, damaged_packets=2))
    assert source()(video, lambda n: np.array([2]))[2] == DAMAGED_AUDIO


@pytest.mark.parametrize("num_workers", [0, 1])
def test_silent_videos_are_counted_in_training_and_said_in_tests(
    video: Path, silent: Path, tmp_path: Path, num_workers: int
) -> None:
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for name, file in (("sound.mp4", video), ("silent.mp4", silent)):
            shutil.copyfile(file, tmp_path / split / name)
        (tmp_path / f"{split}.csv").write_text(f"path,label\n{split}/sound.mp4,0\n{split}/silent.mp4,1\n")
    data = video_data(
        "videos",
        root=tmp_path,
        num_classes=2,
        num_frames=4,
        stride=None,
        size=64,
        augment={"short_side": (64, 64)},
        batch_size=1,
        modalities=("iframe", "audio"),
        num_workers=num_workers,
    )
    data.setup()
    assert data.silent_train_videos is None
    for _ in data.train_dataloader():
        pass
    assert data.silent_train_videos == 1
    items = [item for batch in data.test_dataloader() for item in batch]
    assert [item.get("note") for item in items] == [None, SILENT]


@pytest.mark.parametrize("cache", [None, FileCache()])
def test_what_is_no_video_is_a_video_error(tmp_path: Path, cache: FileCache | None) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(VideoError, match=name):
            source(cache=cache)(tmp_path / name, lambda n: np.array([0]))


def test_what_is_cached_is_shared_by_networks_with_other_modalities(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FileCache()
    source(modalities=("motion", "residual"), cache=cache)(video, lambda n: np.array([2]))
    whole, *_ = source(cache=cache)(video, lambda n: np.array([2]))
    assert len(cache) == 1
    monkeypatch.setattr(compressed, "CompressedReader", None)
    for modalities in (("motion", "audio"), ("iframe", "motion"), ("residual",)):
        some, *_ = source(modalities=modalities, cache=cache)(video, lambda n: np.array([2]))
        assert all(torch.equal(some[name], whole[name]) for name in modalities)


def replace(path: Path, by: Path, *, size: int, time_ns: int) -> None:
    """Put another mp4 in a file's place, filled up to a size (bytes), and last changed at time_ns."""
    data = by.read_bytes()
    fill = size - len(data)
    path.write_bytes(data + struct.pack(">I4s", fill, b"free") + bytes(fill - 8))
    os.utime(path, ns=(time_ns, time_ns))


@pytest.mark.parametrize(("more_bytes", "later_ns"), [(0, 1_000_000), (8, 0)], ids=["as large", "at the same time"])
def test_a_file_that_was_replaced_is_read_again(
    more_bytes: int, later_ns: int, video: Path, silent: Path, tmp_path: Path
) -> None:
    cache = FileCache()
    path, size, time_ns = tmp_path / "video.mp4", 1_000_000, 1_700_000_000_000_000_000
    replace(path, video, size=size, time_ns=time_ns)
    before, *_ = source(cache=cache)(path, lambda n: np.array([2, 9]))
    replace(path, silent, size=size + more_bytes, time_ns=time_ns + later_ns)
    after, _, note = source(cache=cache)(path, lambda n: np.array([2, 9]))
    expected, *_ = source()(silent, lambda n: np.array([2, 9]))
    assert note == SILENT and not torch.equal(before["audio"], after["audio"])
    assert all(torch.equal(after[name], expected[name]) for name in ALL)


def test_what_is_cached_is_of_one_convention_of_motion(video: Path) -> None:
    cache = FileCache()
    for motion in ("previous", "iframe", "previous"):
        found, *_ = source(motion=motion, cache=cache)(video, lambda n: np.array([3, 7]))
        expected, *_ = source(motion=motion)(video, lambda n: np.array([3, 7]))
        assert all(torch.equal(found[name], expected[name]) for name in ALL), motion
