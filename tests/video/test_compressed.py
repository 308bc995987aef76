"""Motion and residuals against plain loops over FFmpeg's records, on textures that move by parts of a pixel."""

from __future__ import annotations

import dataclasses
import gc
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import encoded
import numpy as np
import pytest
from av.codec.context import Flags, Flags2
from av.video.frame import PictureType

from vtbench.errors import VideoError
from vtbench.video.codecs import h264
from vtbench.video.codecs.h264 import H264ParameterSet, h264_parameter_sets
from vtbench.video.compressed import CompressedReader
from vtbench.video.motion import accumulate, block_vectors, coviar_motion, coviar_residual
from vtbench.video.triplets import Gop

HEIGHT, WIDTH = 124, 172  # no multiples of 8: blocks reach over the right and lower border
NUM_FRAMES = 15  # a GOP of 12 and one of 3
BASELINE = {"preset": "veryfast", "profile": "baseline", "crf": "18"}

# name: file, encoder, its options.
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mpeg4": ("mpeg4.mp4", "mpeg4", {"g": "12", "qmin": "1", "qmax": "1"}),
    "mpeg4, four vectors": ("4mv.mp4", "mpeg4", {"g": "12", "flags": "+mv4", "mbd": "rd", "qmin": "3", "qmax": "3"}),
    "mpeg4, quarter pixels": ("qpel.mp4", "mpeg4", {"g": "12", "flags": "+qpel", "qmin": "3", "qmax": "3"}),
    "h264": ("h264.mp4", "libx264", {**BASELINE, "x264-params": "keyint=12:ref=1:scenecut=0:threads=1"}),
    "flv1": ("flv1.flv", "flv", {"g": "12", "qmin": "3", "qmax": "3"}),
    "h263": ("h263.avi", "h263p", {"g": "12", "qmin": "3", "qmax": "3"}),
    "mpeg2": ("mpeg2.mkv", "mpeg2video", {"g": "12", "qmin": "3", "qmax": "3"}),
}
EXACT = [kind for kind in KINDS if kind not in ("h263", "mpeg2")]  # these two code much as intra, and at the border all


def moving_pictures() -> list[np.ndarray]:
    """Two random textures that move by fractions of a pixel, one seen through a window that moves by whole ones."""
    side = 256
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    frequency = np.hypot(fy, fx)
    spectrum = np.fft.rfft2(np.random.default_rng(0).standard_normal((3, side, side)))
    spectrum *= np.exp(-((frequency / 0.15) ** 2) / 2) / (frequency + 1 / 64)
    spectrum[1:] = (spectrum[1:] + spectrum[:1]) / 2
    scale = 40 / np.fft.irfft2(spectrum).std()

    def moved(x: float, y: float) -> np.ndarray:
        return 128 + scale * np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fx * x + fy * y)))

    frames = []
    for t in range(NUM_FRAMES):
        frame, window = moved(2.7 * t, 1.3 * t), (slice(None), slice(30, 80), slice(40 + 2 * t, 100 + 2 * t))
        frame[window] = moved(100 - 1.6 * t, 80 + 2.2 * t)[window]
        frames.append(np.clip(frame[:, :HEIGHT, :WIDTH].transpose(1, 2, 0).round(), 0, 255).astype(np.uint8))
    return frames


@pytest.fixture(scope="session")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The moving pictures, encoded in the given kind of file."""
    folder, frames = tmp_path_factory.mktemp("moving"), moving_pictures()

    def make(kind: str) -> Path:
        name, codec, options = KINDS[kind]
        path = folder / name
        return path if path.exists() else encoded.encode(path, frames, codec=codec, options=options)

    return make


def decoded(path: Path) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """(int64 (H, W, 3), FFmpeg's records) of every frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.flags2 |= Flags2.export_mvs
        stream.codec_context.flags |= Flags.low_delay  # else MPEG-2's last frame comes without vectors
        found = []
        for frame in container.decode(stream):
            data = frame.side_data.get("MOTION_VECTORS")
            found.append(
                (frame.to_ndarray(format="rgb24").astype(int), None if data is None else data.to_ndarray().copy())
            )
        return found


def p_frames(reader: CompressedReader) -> list[int]:
    return [n for first, last in reader.gops for n in range(first + 1, last)]


def psnr(difference: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean(difference.astype(float) ** 2)))


# -- the field --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_field_equals_a_loop_over_the_blocks(kind: str, file_of: Callable[[str], Path]) -> None:
    path = file_of(kind)
    frames = decoded(path)
    sizes = set()
    with CompressedReader(path) as reader:
        assert reader.gops == [(0, 12), (12, 15)]
        asked = p_frames(reader)
        motion, intra = reader.motion(asked)
        opposite, _ = reader.motion(asked, sign="coviar")
    for number, field, without in zip(asked, motion, intra, strict=True):
        expected, covered = np.zeros((2, HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), bool)
        vectors = frames[number][1]
        assert vectors is not None
        for v in vectors:
            left, top = max(int(v["dst_x"]) - int(v["w"]) // 2, 0), max(int(v["dst_y"]) - int(v["h"]) // 2, 0)
            block = (slice(top, top + int(v["h"])), slice(left, left + int(v["w"])))
            expected[0][block] = int(v["motion_x"]) / int(v["motion_scale"])
            expected[1][block] = int(v["motion_y"]) / int(v["motion_scale"])
            covered[block] = True
            sizes.add((int(v["w"]), int(v["h"])))
        assert np.array_equal(field, expected)
        assert np.array_equal(without, ~covered)
    assert motion.any()
    assert np.array_equal(opposite, -motion)
    if kind in ("mpeg4, four vectors", "h264"):
        assert len(sizes) > 1


def test_blocks_off_the_grid_are_an_error(file_of: Callable[[str], Path]) -> None:
    vectors = decoded(file_of("mpeg4"))[1][1]
    assert vectors is not None
    for name, value in (("dst_x", 9), ("dst_x", 500), ("dst_y", -8), ("w", 32)):
        wrong = vectors.copy()
        wrong[name][3] = value
        with pytest.raises(ValueError, match="grid"):
            block_vectors([wrong], height=HEIGHT, width=WIDTH)


@pytest.mark.parametrize("kind", ["mpeg4", "mpeg4, four vectors", "h264", "flv1"])
def test_motion_alone_is_that_of_triplets_and_leaves_the_pixels_right(
    kind: str, file_of: Callable[[str], Path]
) -> None:
    """Where only motion is wanted, pictures are decoded without their pixels."""
    with CompressedReader(file_of(kind)) as reader:
        whole = [(t.motion, t.intra) for t in reader.each_triplet()]
        pixels = reader.frames([0, 3, 9])
    asked = [1, 5, 7]
    with CompressedReader(file_of(kind)) as reader:
        for (motion, intra), (expected, without) in zip(reader.each_motion(), whole, strict=True):
            assert np.array_equal(motion, expected) and np.array_equal(intra, without)
        assert np.array_equal(reader.frames([0, 3, 9]), pixels)
        assert np.array_equal(reader.motion(asked)[0], np.concatenate([whole[n][0] for n in asked]))
        residuals = reader.triplets(asked).residuals
        first = next(reader.sequential()).to_ndarray(format="rgb24")
    assert np.array_equal(first, pixels[0])
    with CompressedReader(file_of(kind)) as reader:
        assert np.array_equal(reader.triplets(asked).residuals, residuals) and residuals.any()


@pytest.mark.parametrize("kind", ["mpeg4", "h264", "flv1"])
def test_repeated_reads_give_the_same(kind: str, file_of: Callable[[str], Path]) -> None:
    with CompressedReader(file_of(kind)) as reader:
        asked = p_frames(reader)
        first = reader.triplets(asked)
        again = reader.triplets(asked)
    with CompressedReader(file_of(kind)) as reader:
        single = [reader.triplets([n]) for n in reversed(asked)][::-1]
    for name in ("iframes", "motion", "residuals", "intra"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert np.array_equal(getattr(first, name), np.concatenate([getattr(one, name) for one in single]))


def test_frames_do_not_wait_for_the_garbage_collector(file_of: Callable[[str], Path]) -> None:
    def frames() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = frames()
        with CompressedReader(file_of("mpeg4")) as reader:
            for _ in reader.each_motion():
                assert frames() - before <= 4  # of 15: I-frame, the one before, the current one, one a loop still names
    finally:
        gc.enable()


@pytest.mark.parametrize("convention", ["previous", "iframe"])
def test_each_frame_in_turn_is_the_same(convention: Any, file_of: Callable[[str], Path]) -> None:
    for kind in ("mpeg4", "flv1"):
        with CompressedReader(file_of(kind)) as reader:
            at_once = reader.triplets(range(NUM_FRAMES), convention=convention)
            in_turn = list(reader.each_triplet(convention=convention))
            motion = [one for one, _ in reader.each_motion(convention=convention)]
        for name in ("numbers", "iframes", "motion", "residuals", "intra"):
            assert np.array_equal(getattr(at_once, name), np.concatenate([getattr(one, name) for one in in_turn]))
        assert np.array_equal(at_once.motion, np.concatenate(motion))


# -- residuals --------------------------------------------------------------------------------------------------------


def whole_pixels(motion: np.ndarray) -> np.ndarray:
    """The nearest whole pixel, halves towards zero."""
    return (np.sign(motion) * np.ceil(np.abs(motion) - 0.5)).astype(int)


def seen_from(reference: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """reference (3, H, W) at whole places, those beyond the border being those on it."""
    height, width = reference.shape[1:]
    return reference[:, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]


def predicted(reference: np.ndarray, motion: np.ndarray, compensation: str) -> np.ndarray:
    """The prediction by its equation, in integers: vectors have quarters of a pixel at most."""
    y, x = np.mgrid[: reference.shape[1], : reference.shape[2]]
    if compensation == "whole":
        mx, my = whole_pixels(motion)
        return seen_from(reference, x + mx, y + my)
    (mx, my), (fx, fy) = np.floor(motion).astype(int), (4 * (motion - np.floor(motion))).astype(int)
    total = 0
    for dx, wx in ((0, 4 - fx), (1, fx)):
        for dy, wy in ((0, 4 - fy), (1, fy)):
            total = total + wx * wy * seen_from(reference, x + mx + dx, y + my + dy)
    return (total + 8) // 16


@pytest.mark.parametrize("kind", KINDS)
def test_prediction_and_residual_give_the_frame_bit_by_bit(
    kind: str, file_of: Callable[[str], Path], tmp_path: Path
) -> None:
    path = file_of(kind)
    frames = np.stack([pixels for pixels, _ in decoded(path)]).transpose(0, 3, 1, 2)
    with CompressedReader(path) as reader:
        asked = p_frames(reader)
        for compensation in ("whole", "bilinear"):
            read = reader.triplets(asked, compensation=compensation)
            np.save(tmp_path / "r.npy", read.residuals)
            residuals = np.load(tmp_path / "r.npy")
            assert residuals.dtype == np.int16
            predictions = np.stack(
                [predicted(frames[n - 1], m, compensation) for n, m in zip(asked, read.motion, strict=True)]
            )
            assert np.array_equal(predictions + residuals, frames[asked])
            mirrored = (predictions[..., ::-1] + residuals[..., ::-1])[..., 5:90, 7:99]
            assert np.array_equal(mirrored, frames[asked][..., ::-1][..., 5:90, 7:99])
        firsts = [0 if n < 12 else 12 for n in asked]
        assert read.iframes.dtype == np.uint8
        assert np.array_equal(read.iframes, frames[firsts])
        read = reader.triplets(asked, convention="iframe")
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for n, first, motion, residual in zip(asked, firsts, read.motion.astype(int), read.residuals, strict=True):
        assert np.array_equal(frames[first][:, y + motion[1], x + motion[0]] + residual, frames[n])


@pytest.mark.parametrize("kind", EXACT)
def test_compensation_is_nearer_than_the_frame_before(kind: str, file_of: Callable[[str], Path]) -> None:
    with CompressedReader(file_of(kind)) as reader:
        asked = p_frames(reader)
        frames = reader.frames(range(NUM_FRAMES)).astype(int)
        before = psnr(frames[asked] - frames[[n - 1 for n in asked]])
        whole = psnr(reader.triplets(asked).residuals)
        bilinear = psnr(reader.triplets(asked, compensation="bilinear").residuals)
    assert whole >= before + 5
    assert bilinear >= whole + 0.8


# -- back to the I-frame ----------------------------------------------------------------------------------------------


def coviar(frames: list[tuple[np.ndarray, np.ndarray | None]], last: int) -> tuple[np.ndarray, np.ndarray]:
    """(motion (2, H, W), residual (3, H, W)) of frame `last`, from frame 0 on, by CoViAR's equations, literally:
    A_0(p) = p; A_t(p) = A_{t-1}(p - mv_t(p)) with mv_t = dst - src of the block, where dst and src are in the frame and
    differ; motion p - A_t(p); residual I_t(p) - I_0(A_t(p))."""
    came_from = [[(x, y) for x in range(WIDTH)] for y in range(HEIGHT)]
    for _, vectors in frames[1 : last + 1]:
        before = [list(line) for line in came_from]
        for v in () if vectors is None else vectors:
            dst_x, dst_y, w, h = int(v["dst_x"]), int(v["dst_y"]), int(v["w"]), int(v["h"])
            # In C, int(motion / scale) cuts towards zero, as Python's int() of a float does.
            src_x = dst_x + int(int(v["motion_x"]) / int(v["motion_scale"]))
            src_y = dst_y + int(int(v["motion_y"]) / int(v["motion_scale"]))
            if (src_x, src_y) == (dst_x, dst_y):
                continue
            for i in range(-h // 2, h // 2):
                for j in range(-w // 2, w // 2):
                    inside = 0 <= dst_x + j < WIDTH and 0 <= dst_y + i < HEIGHT
                    if inside and 0 <= src_x + j < WIDTH and 0 <= src_y + i < HEIGHT:
                        came_from[dst_y + i][dst_x + j] = before[src_y + i][src_x + j]
    source = np.array(came_from).transpose(2, 0, 1)  # (2, H, W): x, y
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    residual = frames[last][0] - frames[0][0][source[1], source[0]]
    return np.stack([x, y]) - source, residual.transpose(2, 0, 1)


@pytest.mark.parametrize("kind", ["mpeg4", "mpeg4, four vectors", "mpeg4, quarter pixels", "h264"])
def test_accumulation_equals_coviar(kind: str, file_of: Callable[[str], Path]) -> None:
    frames = decoded(file_of(kind))
    with CompressedReader(file_of(kind)) as reader:
        read = reader.triplets([5, 1], convention="iframe", sign="coviar")
        motion, _ = reader.motion([5], convention="iframe")
    for number, got_motion, got_residual in zip((5, 1), read.motion, read.residuals, strict=True):
        expected_motion, expected_residual = coviar(frames, number)
        assert np.array_equal(got_motion, expected_motion)
        assert np.array_equal(got_residual, expected_residual)
    assert np.array_equal(motion[0], -read.motion[0])
    assert motion.any()


def test_accumulation_of_vectors_that_leave_on_every_side() -> None:
    rng = np.random.default_rng(0)
    height, width, scale = 20, 30, 2
    sources = np.arange(height * width, dtype=np.int32).reshape(height, width)
    for _ in range(4):
        blocks = rng.integers(-60, 60, (2, 4, 4)).astype(np.int16)
        expected = sources.copy()
        for y in range(height):
            for x in range(width):
                mx, my = (int(np.trunc(v / scale)) for v in blocks[:, y // 8, x // 8])
                if 0 <= x + mx < width and 0 <= y + my < height:
                    expected[y, x] = sources[y + my, x + mx]
        sources = accumulate(sources, blocks, scale)
        assert np.array_equal(sources, expected)


def test_coviar_pictures() -> None:
    motion = np.array([-30.0, -20, -1, -0.1, 0, 0.1, 1, 19.9, 20, 30], np.float32)
    levels = [min(max(int(m * 127.5 / 20) + 128, 0), 255) for m in motion.tolist()]
    assert coviar_motion(motion).tolist() == levels
    residual = np.array([-255, -129, -128, -1, 0, 127, 128, 255], np.int16)
    assert coviar_residual(residual).tolist() == [0, 0, 0, 127, 128, 255, 255, 255]


# -- which frames -----------------------------------------------------------------------------------------------------


def test_order_repeats_and_keyframes(file_of: Callable[[str], Path]) -> None:
    for convention in ("previous", "iframe"):
        with CompressedReader(file_of("mpeg4")) as reader:
            read = reader.triplets([13, 0, 4, 13, 12], convention=convention)
            four = reader.triplets([4], convention=convention)
        assert read.numbers.tolist() == [13, 0, 4, 13, 12]
        assert np.array_equal(read.motion[2], four.motion[0])
        assert np.array_equal(read.residuals[2], four.residuals[0])
        assert np.array_equal(read.residuals[0], read.residuals[3])
        for keyframe in (1, 4):
            assert not read.motion[keyframe].any()
            assert not read.residuals[keyframe].any()
            assert read.intra[keyframe].all()
        assert np.array_equal(read.iframes[0], read.iframes[4])


def test_only_the_groups_asked_for_are_decoded(tmp_path: Path) -> None:
    frames = (encoded.numbered_frame(n) for n in range(96))
    path = encoded.encode(tmp_path / "a.mp4", frames, codec="mpeg4", options={"g": "12"})
    with CompressedReader(path) as reader:
        read = reader.triplets([90, 31])
        assert reader.frames_decoded <= 7 + 8 + 2
    assert encoded.read_number(read.iframes[0].transpose(1, 2, 0)) == 84
    assert encoded.read_number(read.iframes[1].transpose(1, 2, 0)) == 24


def test_arguments_that_name_nothing(file_of: Callable[[str], Path]) -> None:
    for kind in ("mpeg4", "flv1"):
        with CompressedReader(file_of(kind)) as reader:
            with pytest.raises(IndexError, match="frame"):
                reader.triplets([3, NUM_FRAMES])
            with pytest.raises(IndexError, match="frame"):
                reader.triplets([-1])
            with pytest.raises(ValueError, match="no frame"):
                reader.triplets([])
            for wrong in ({"convention": "x"}, {"sign": "x"}, {"compensation": "x"}):
                with pytest.raises(ValueError, match="'x'"):
                    reader.triplets([1], **wrong)
            with pytest.raises(ValueError, match="bilinear"):
                reader.triplets([1], convention="iframe", compensation="bilinear")


def test_every_iframe_begins_a_group(tmp_path: Path) -> None:
    frames = [encoded.numbered_frame(n) for n in range(5)] + [255 - encoded.numbered_frame(n) for n in range(5, 10)]
    # So soon after a keyframe, x264 codes a cut as an I-frame that is none.
    options = {**BASELINE, "x264-params": "keyint=12:min-keyint=12:ref=1:scenecut=100:threads=1"}
    for name in ("a.mp4", "a.h264"):
        path = encoded.encode(tmp_path / name, frames, options=options)
        with CompressedReader(path) as reader:
            assert reader.gops == [(0, 5), (5, 10)]
            shown = reader.frames(range(10)).transpose(0, 3, 1, 2)
            read = reader.triplets([5, 7], convention="iframe")
        assert np.array_equal(read.iframes, shown[[5, 5]])
        assert read.intra[0].all()
        assert not read.intra[1].all()
        assert not read.residuals[0].any()


def test_times_are_counted_from_the_first_frame(tmp_path: Path) -> None:
    stamps = [7, 8, 10, 11, 15, 16, 17, 18]
    h264 = {**BASELINE, "x264-params": "keyint=12:ref=1:scenecut=0:threads=1"}
    for name, codec, options in (
        ("a.mp4", "mpeg4", {"g": "12"}),
        ("a.flv", "flv", {"g": "12"}),
        ("a.h264", "libx264", h264),  # has no room for time stamps
    ):
        path = encoded.encode(tmp_path / name, encoded.numbered(8), codec=codec, options=options, pts=stamps, rate=25)
        with CompressedReader(path) as reader:
            expected = range(8) if name == "a.h264" else [stamp - 7 for stamp in stamps]
            assert reader.seconds == pytest.approx(np.array(expected) / 25, abs=1e-6)


def test_odd_sizes(tmp_path: Path) -> None:
    frames = [frame[:-1, :-3] for frame in moving_pictures()[:4]]
    path = encoded.encode(tmp_path / "a.mkv", frames, codec="mpeg4", options={"g": "12"})
    with CompressedReader(path) as reader:
        shown = reader.frames(range(4)).astype(int).transpose(0, 3, 1, 2)
        assert shown.shape[2:] == (HEIGHT - 1, WIDTH - 3)
        for compensation in ("whole", "bilinear"):
            read = reader.triplets([3], compensation=compensation)
            assert np.array_equal(predicted(shown[2], read.motion[0], compensation) + read.residuals[0], shown[3])


def test_the_size_of_the_paper(tmp_path: Path) -> None:
    frames = [np.tile(frame, (3, 2, 1))[:256, :340] for frame in moving_pictures()[:3]]
    path = encoded.encode(tmp_path / "a.mp4", frames, codec="mpeg4", options={"g": "12", "qmin": "1", "qmax": "1"})
    with CompressedReader(path) as reader:
        shown = reader.frames(range(3)).astype(int).transpose(0, 3, 1, 2)
        for compensation in ("whole", "bilinear"):
            read = reader.triplets([1, 2], compensation=compensation)
            assert np.array_equal(read.iframes, shown[[0, 0]])
            for n in (1, 2):
                prediction = predicted(shown[n - 1], read.motion[n - 1], compensation)
                assert np.array_equal(prediction + read.residuals[n - 1], shown[n])


# tkhd's matrix (a b c d, 16.16 fixed point) by degrees clockwise.
TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", TURNS)
def test_rotation_turns_pictures_and_vectors(degrees: int, file_of: Callable[[str], Path], tmp_path: Path) -> None:
    data = bytearray(file_of("mpeg4").read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for place, value in zip((0, 4, 12, 16), TURNS[degrees], strict=True):
        data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    with CompressedReader(path) as reader:
        shown = reader.frames(range(NUM_FRAMES)).astype(int).transpose(0, 3, 1, 2)
        assert shown.shape[2:] == ((WIDTH, HEIGHT) if degrees != 180 else (HEIGHT, WIDTH))
        read = reader.triplets([7])
        assert np.array_equal(predicted(shown[6], read.motion[0], "whole") + read.residuals[0], shown[7])
        assert np.array_equal(read.iframes[0], shown[0])
        with CompressedReader(file_of("mpeg4")) as whole:
            upright = whole.triplets(range(NUM_FRAMES)).intra
        intra = reader.triplets(range(NUM_FRAMES)).intra
        assert upright[1:12].any() and not upright[1:12].all()
        assert np.array_equal(intra, np.rot90(upright, -degrees // 90, axes=(1, 2)))


# -- what is refused --------------------------------------------------------------------------------------------------


def _encode(path: Path, codec: str, options: dict[str, str], frames: int = 8) -> None:
    encoded.encode(path, encoded.numbered(frames), codec=codec, options=options)


def _x264(path: Path, params: str, **options: str) -> None:
    _encode(path, "libx264", {"preset": "veryfast", **options, "x264-params": f"{params}:scenecut=0:threads=1"}, 30)


def _hidden_start(path: Path) -> None:
    whole = path.with_name("whole.mp4")
    _encode(whole, "mpeg4", {"g": "12"}, 30)
    encoded.remux_from(whole, path, seconds=0.2)


def _hidden_middle(path: Path) -> None:
    """Frames 0 to 5, then 14 to 18, by an edit list of two parts."""
    whole = path.with_name("whole.mp4")
    _encode(whole, "mpeg4", {"g": "12"}, 30)
    data = whole.read_bytes()
    at = data.index(b"elst") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    mvhd, mdhd = data.index(b"mvhd"), data.index(b"mdhd")
    (movie_rate, media_rate) = (int.from_bytes(data[k + 16 : k + 20], "big") for k in (mvhd, mdhd))
    entries = [(length * movie_rate // 25, start * media_rate // 25) for start, length in ((0, 6), (14, 5))]
    box = b"elst" + bytes(4) + len(entries).to_bytes(4, "big")
    box += b"".join(n.to_bytes(4, "big") + k.to_bytes(4, "big") + b"\0\1\0\0" for n, k in entries)
    data = data[:at] + (len(box) + 4).to_bytes(4, "big") + box + data[at + size :]
    grown = len(box) + 4 - size
    for name in (b"edts", b"trak", b"moov"):  # what it is in; the pictures lie before them
        k = data.index(name) - 4
        data = data[:k] + (int.from_bytes(data[k : k + 4], "big") + grown).to_bytes(4, "big") + data[k + 4 :]
    assert data.index(b"mdat") < at
    path.write_bytes(data)


def _remuxed(source: Path, path: Path, without: int | None = None) -> None:
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        stream = whole.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in whole.demux(stream) if p.size):
            if packet.pts is None:
                packet.pts = packet.dts = int(number / 25 / stream.time_base)
            packet.stream = copy
            if number != without:
                out.mux(packet)


def _more_references(path: Path) -> None:
    """One reference frame, then four, in one stream."""
    parts = [path.with_name(f"{references}.h264") for references in (1, 4)]
    for part in parts:
        _x264(part, f"keyint=12:ref={part.stem}:bframes=0")
    both = path.with_name("both.h264")
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    if path.suffix == ".h264":
        both.rename(path)
    else:
        _remuxed(both, path)


def _cut_short(path: Path) -> None:
    _encode(path, "mpeg4", {"g": "12"}, 30)
    with av.open(str(path)) as container:
        at = [packet.pos for packet in container.demux(video=0) if packet.size][20]
    path.write_bytes(path.read_bytes()[: at - 8])


def _without_a_packet(path: Path) -> None:
    whole = path.with_name("whole.mp4")
    _x264(whole, "keyint=12:ref=1:bframes=0")
    _remuxed(whole, path, without=5)


def _no_reference(path: Path) -> None:
    """Mark the last P-frame as one that no other refers to. Whether it still decodes does not matter here."""
    _x264(path, "keyint=10:ref=1:bframes=0")
    with av.open(str(path)) as container:
        last = [packet.pos for packet in container.demux(video=0) if packet.size][-1]
    data = bytearray(path.read_bytes())
    assert data[last + 4] & 0x1F == 1  # a slice of a P-frame after its length
    data[last + 4] &= ~0x60
    path.write_bytes(data)


def _headless(path: Path) -> None:
    """A raw stream without its first I-frame."""
    _encode(path, "mpeg4", {"g": "12"}, 24)
    data = path.read_bytes()
    starts = [found.start() for found in re.finditer(rb"\x00\x00\x01\xb6", data)]
    path.write_bytes(data[: starts[0]] + data[starts[1] :])


def _damaged(codec: str, options: dict[str, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        _encode(path, codec, options, 36)
        with av.open(str(path)) as container:
            packet = [(p.pos, p.size) for p in container.demux(video=0) if p.size][20]
        data = bytearray(path.read_bytes())
        data[packet[0] : packet[0] + packet[1]] = bytes(packet[1])
        path.write_bytes(data)

    return write


PREPARE = "vtbench data prepare --mpeg4"
_VP9 = {"deadline": "realtime", "cpu-used": "8"}
_H264 = {"preset": "veryfast", "x264-params": "keyint=12:ref=1:bframes=0:threads=1"}

# name: file, how it is written, what the message says.
REFUSED: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "vp9": ("a.webm", lambda p: _encode(p, "libvpx-vp9", _VP9), f"^vp9 gives no usable motion vectors; .*{PREPARE}"),
    "hevc": (
        "a.mp4",
        lambda p: _encode(
            p, "libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"}
        ),
        f"^hevc gives no usable motion vectors; .*{PREPARE}",
    ),
    "av1": (
        "a.mp4",
        lambda p: _encode(p, "libsvtav1", {"preset": "10", "svtav1-params": "lp=1"}),
        f"^av1 gives no usable motion vectors; .*{PREPARE}",
    ),
    "h264, four references": (
        "a.mp4",
        lambda p: _x264(p, "keyint=12:ref=4:bframes=0"),
        f"^uses up to 4 reference frames, .*{PREPARE}",
    ),
    "raw h264, four references": (
        "a.h264",
        lambda p: _x264(p, "keyint=12:ref=4:bframes=0"),
        f"^uses up to 4 reference frames, .*{PREPARE}",
    ),
    "h264 with B-frames": (
        "a.mp4",
        lambda p: _x264(p, "keyint=12:ref=1:bframes=2:b-adapt=0:b-pyramid=none"),
        f"^(has B-frames|uses up to 2 reference frames).*{PREPARE}",
    ),
    "h264, interlaced": (
        "a.mp4",
        lambda p: _x264(p, "keyint=12:ref=1:bframes=0:tff=1"),
        f"^is coded for interlaced .*{PREPARE}",
    ),
    "h264, frames without followers": ("a.mp4", _no_reference, rf"is not predicted from \(packet 29\).*{PREPARE}"),
    "mpeg4 with B-frames": (
        "a.mp4",
        lambda p: _encode(p, "mpeg4", {"g": "12", "bf": "2"}),
        f"^has B-frames; .*{PREPARE}",
    ),
    "mpeg4 avi with B-frames": (
        "a.avi",
        lambda p: _encode(p, "mpeg4", {"g": "12", "bf": "2"}),
        f"^has B-frames; .*{PREPARE}",
    ),
    "mpeg2, interlaced": (
        "a.mkv",
        lambda p: _encode(p, "mpeg2video", {"g": "12", "flags": "+ildct+ilme"}),
        f"^has interlaced pictures .*{PREPARE}",
    ),
    "only I-frames": (
        "a.mp4",
        lambda p: _encode(p, "mpeg4", {"g": "1"}),
        f"^has no P-frames, only 8 I-frames; .*{PREPARE}",
    ),
    "avi, only I-frames": (
        "a.avi",
        lambda p: _encode(p, "mpeg4", {"g": "1"}),
        f"^has no P-frames, only 8 I-frames; .*{PREPARE}",
    ),
    "a long GOP": (
        "a.mp4",
        lambda p: _encode(p, "mpeg4", {"g": "30"}, 30),
        f"^has a GOP of 30 frames, more than 12; .*{PREPARE}",
    ),
    "avi, a long GOP": (
        "a.avi",
        lambda p: _encode(p, "mpeg4", {"g": "30"}, 30),
        f"^has a GOP of 30 frames, more than 12; .*{PREPARE}",
    ),
    "an edit list that hides an I-frame": (
        "a.mp4",
        _hidden_start,
        f"^hides frames that later ones are predicted from .*{PREPARE}",
    ),
    "an edit list that hides a middle": ("a.mp4", _hidden_middle, f"^hides frames that later .*{PREPARE}"),
    "h264, parameters that change": ("a.h264", _more_references, f"^uses up to 4 reference frames, .*{PREPARE}"),
    "h264 mp4, parameters that change": ("a.mp4", _more_references, f"^uses up to 4 reference frames, .*{PREPARE}"),
    "h264, a packet that is gone": ("a.mp4", _without_a_packet, "^lacks a frame before packet 5; get the file again"),
    "raw h264, a packet that is gone": (
        "a.ts",
        _without_a_packet,
        "^lacks a frame before packet 5; get the file again",
    ),
    "avi, cut short": ("a.avi", _cut_short, "^ends early"),
    "no I-frame at the start": ("a.m4v", _headless, f"frame 0 does not follow an I-frame; .*{PREPARE}|invalid data"),
    "mpeg4, a broken packet": ("a.mp4", _damaged("mpeg4", {"g": "12"}), "invalid data|damaged"),
    "h264, a broken packet": ("a.mp4", _damaged("libx264", _H264), "invalid data|damaged|lacks a frame"),
    "no file": ("a.mp4", lambda p: None, "no such file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_path_reason_and_remedy(kind: str, tmp_path: Path) -> None:
    name, write, reason = REFUSED[kind]
    path = tmp_path / name
    write(path)
    with pytest.raises(VideoError) as caught, CompressedReader(path) as reader:
        reader.motion(p_frames(reader))
    assert re.search(reason, caught.value.reason), caught.value.reason
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    if kind == "mpeg4, a broken packet":
        assert 12 <= caught.value.frames_decoded <= 24


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"pict_type": PictureType.S}, r"^has frames with global motion \(frame 3\)"),
        ({"pict_type": PictureType.B}, "^has B-frames"),
        ({"pict_type": PictureType.I, "side_data": {"MOTION_VECTORS"}}, r"^mixes I and P in one picture \(frame 3\)"),
        ({"interlaced_frame": True}, r"^has interlaced pictures \(frame 3\)"),
    ],
)
def test_pictures_of_kinds_that_no_encoder_here_makes(
    frame: dict[str, Any], reason: str, file_of: Callable[[str], Path]
) -> None:
    plain = {"pict_type": PictureType.P, "side_data": set(), "interlaced_frame": False}
    with CompressedReader(file_of("mpeg4")) as reader:
        gop = Gop(0, {})
        reader._refuse_picture(3, SimpleNamespace(**plain), gop)  # type: ignore[arg-type]
        with pytest.raises(VideoError) as caught:
            reader._refuse_picture(3, SimpleNamespace(**plain | frame), gop)  # type: ignore[arg-type]
        assert re.search(reason, caught.value.reason) and PREPARE in caught.value.reason


@pytest.mark.parametrize("side", ["crop_left", "crop_top"])
def test_pictures_cut_at_their_left_or_top_are_refused(
    side: str, file_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = H264ParameterSet(4, 1, interlaced=False, crop_left=0, crop_top=0)
    path = file_of("h264")
    monkeypatch.setattr(h264, "h264_parameter_sets", lambda _: [plain])
    with CompressedReader(path) as reader:
        assert reader.num_frames == NUM_FRAMES
    monkeypatch.setattr(h264, "h264_parameter_sets", lambda _: [dataclasses.replace(plain, **{side: 1})])
    with pytest.raises(VideoError, match=rf"{path.name}: is cut at its left or upper border; .*{PREPARE}"):
        CompressedReader(path)


def test_numbers_of_frames_are_looked_at_only_where_their_length_is_known(
    file_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = h264_parameter_sets
    other = H264ParameterSet(13, 1, interlaced=False, crop_left=0, crop_top=0)
    monkeypatch.setattr(h264, "h264_parameter_sets", lambda extradata: [*sets(extradata), other])
    with CompressedReader(file_of("h264")) as reader:
        assert reader.num_frames == NUM_FRAMES


def test_packets_and_pictures_must_agree_on_iframes(
    file_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = CompressedReader._listed_gops
    monkeypatch.setattr(CompressedReader, "_listed_gops", lambda self: listed(self) and [(0, 7), (7, NUM_FRAMES)])
    with CompressedReader(file_of("mpeg4")) as reader, pytest.raises(VideoError, match="has an I-frame where"):
        reader.motion([9])


def test_a_sampled_read_meets_the_same_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    _encode(path, "flv", {"g": "30"}, 30)
    with CompressedReader(path) as reader, pytest.raises(VideoError, match="GOP of more than 12"):
        reader.triplets([20])
    with CompressedReader(path, max_gop=30) as reader:
        assert reader.triplets([20]).motion.any()
        assert reader.gops == [(0, 30)]


# -- H.264's header ---------------------------------------------------------------------------------------------------


def header(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return bytes(container.streams.video[0].codec_context.extradata)


@pytest.mark.parametrize("references", [1, 4])
@pytest.mark.parametrize("options", ["", ":cqm=jvt:8x8dct=1"])
def test_reference_frames_are_read_from_the_header(references: int, options: str, tmp_path: Path) -> None:
    for name, first_byte in (("a.mp4", 1), ("a.mkv", 1), ("a.h264", 0)):
        path = tmp_path / name
        _x264(path, f"keyint=12:ref={references}:bframes=0{options}")
        extradata = header(path)
        assert extradata[0] == first_byte  # an avcC box, or Annex B
        assert [found.max_num_ref_frames for found in h264_parameter_sets(extradata)] == [references]


def test_parameter_sets_with_every_part() -> None:
    def ue(value: int) -> str:
        return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"

    bits = f"{100:08b}" + 16 * "0" + ue(0)  # High profile, flags and level, seq_parameter_set_id
    bits += ue(1) + ue(0) + ue(0) + "0" + "0"  # 4:2:0, 8 bits, no bypass, no scaling matrix
    bits += ue(1) + ue(1)  # frame_num of 5 bits, pic_order_cnt_type 1:
    bits += "0" + ue(0) + ue(0) + ue(2) + ue(5) + ue(6)
    bits += ue(3) + "0" + ue(10) + ue(7) + "0" + "1" + "1"  # 3 references, size, fields, adaptive, inference
    bits += "1" + ue(2) + ue(0) + ue(1) + ue(0) + "0" + "1"  # cropping: left 2, top 1
    bits += "0" * (-len(bits) % 8)
    unit = b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    unit = unit.replace(b"\x00\x00\x00", b"\x00\x00\x03\x00").replace(b"\x00\x00\x01", b"\x00\x00\x03\x01")
    expected = H264ParameterSet(5, max_num_ref_frames=3, interlaced=True, crop_left=2, crop_top=1)
    assert h264_parameter_sets(b"\x00\x00\x00\x01" + unit) == [expected]
    box = b"\x01\x64\x00\x1e\xff\xe1" + len(unit).to_bytes(2, "big") + unit + b"\x00"
    assert h264_parameter_sets(box) == [expected]
    assert h264_parameter_sets(b"") == []
    assert h264_parameter_sets(b"\x01\x64") == []
