"""Each modality carries its own bit of the label and nothing of the others: what a bit changes and what it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vtbench.audio.waveform import read_audio
from vtbench.datasets.synthetic import bits
from vtbench.video.compressed import CompressedReader, Triplets

PREDICTED = [n for n in range(bits.NUM_FRAMES) if n % bits.GOP]
BAND = slice(32, 64)


def write(folder: Path, label: int, seed: int = 0, *, silent: bool = False) -> Path:
    path = folder / f"{label}-{seed}-{silent}.mp4"
    bits.write_video(path, label, np.random.default_rng(seed), silent=silent)
    return path


def read(path: Path) -> Triplets:
    with CompressedReader(path) as reader:
        assert reader.num_frames == bits.NUM_FRAMES
        assert reader.gops == [(n, n + bits.GOP) for n in range(0, bits.NUM_FRAMES, bits.GOP)]
        return reader.triplets(PREDICTED)


def test_names_are_the_bits_of_the_number() -> None:
    names = bits.classes(silent=False)
    assert len(set(names)) == 16 and (names[0], names[15]) == ("cold_left_blue_low", "warm_right_red_high")
    assert names[0b1001] == "warm_left_blue_high"
    assert bits.classes(silent=True) == tuple(dict.fromkeys(name.rpartition("_")[0] for name in names))


@pytest.mark.parametrize("silent", [False, True])
def test_a_flip_turns_left_and_right_alone(silent: bool) -> None:
    names = bits.classes(silent=silent)
    for label, other in bits.flip_labels(silent=silent).items():
        turned = {"left": "right", "right": "left"}
        assert names[other] == "_".join(turned.get(word, word) for word in names[label].split("_"))


@pytest.mark.parametrize("seed", range(3))
def test_the_iframe_bit_is_in_the_iframes_alone(tmp_path: Path, seed: int) -> None:
    cold, warm = (read(write(tmp_path, label, seed)) for label in (0b0000, 0b1000))
    assert np.array_equal(cold.motion, warm.motion) and np.array_equal(cold.intra, warm.intra)
    assert np.array_equal(cold.residuals, warm.residuals)
    reddish = [one.iframes[:, 0].astype(int) - one.iframes[:, 2] for one in (cold, warm)]
    assert reddish[0].min() < -60 and reddish[1].max() > 60


@pytest.mark.parametrize("seed", range(3))
def test_the_motion_bit_is_not_in_the_iframes(tmp_path: Path, seed: int) -> None:
    left, right = (read(write(tmp_path, label, seed)) for label in (0b0000, 0b0100))
    assert np.array_equal(left.iframes, right.iframes)
    inside = (..., BAND, slice(24, 56))
    assert np.median(left.motion[:, 0][inside]) == bits.SPEED == -np.median(right.motion[:, 0][inside])


def test_the_motion_bit_is_not_in_the_residuals(tmp_path: Path) -> None:
    """Where the residual lies does not depend on the direction: at both ends the same, within what chance leaves."""
    ends = {}
    for label in (0b0000, 0b0100):
        one_sided = []
        for seed in range(40):
            strength = np.abs(read(write(tmp_path, label, seed)).residuals.astype(float))[..., BAND, :].mean((0, 1, 2))
            one_sided.append(strength[: bits.WIDTH // 2].sum() / strength.sum())
        ends[label] = np.array(one_sided)
    difference = ends[0b0000].mean() - ends[0b0100].mean()
    error = np.sqrt(sum(values.var() / len(values) for values in ends.values()))
    assert abs(difference) < 3 * error


@pytest.mark.parametrize("seed", range(3))
def test_the_residual_bit_is_in_the_residuals_alone(tmp_path: Path, seed: int) -> None:
    blue, red = (read(write(tmp_path, label, seed)) for label in (0b0000, 0b0010))
    assert np.array_equal(blue.iframes, red.iframes) and np.array_equal(blue.motion, red.motion)
    patch = (..., slice(2, 30), slice(50, 78))
    for one, strong, weak in ((blue, 2, 0), (red, 0, 2)):
        spread = np.abs(one.residuals.astype(int)).mean(0)[patch].mean((1, 2))
        assert spread[strong] > 2 * spread[weak]


@pytest.mark.parametrize("seed", range(2))
def test_the_audio_bit_is_in_the_sound_alone(tmp_path: Path, seed: int) -> None:
    low, high = (write(tmp_path, label, seed) for label in (0b0000, 0b0001))
    for name in ("iframes", "motion", "residuals"):
        assert np.array_equal(getattr(read(low), name), getattr(read(high), name))
    peaks = []
    for path in (low, high):
        sound = read_audio(path)
        assert sound.has_track and sound.covered > 0.99
        peaks.append(np.abs(np.fft.rfft(sound.waveform)).argmax() / sound.picture_s)
    assert peaks[0] < 400 < 850 < peaks[1]


def test_other_bits_leave_the_sound_alone(tmp_path: Path) -> None:
    sounds = [read_audio(write(tmp_path, label)).waveform for label in (0b0001, 0b1111)]
    assert np.array_equal(*sounds)


def test_silent_videos_have_the_first_three_bits_and_no_track(tmp_path: Path) -> None:
    with_sound, silent = read(write(tmp_path, 0b1010)), read(write(tmp_path, 0b101, silent=True))
    assert np.array_equal(with_sound.iframes, silent.iframes) and np.array_equal(with_sound.motion, silent.motion)
    assert not read_audio(write(tmp_path, 0b101, silent=True)).has_track


def test_iframes_of_a_video_show_the_texture_at_other_places(tmp_path: Path) -> None:
    iframes = read(write(tmp_path, 0)).iframes[:: bits.GOP - 1, ..., BAND, 24:56].astype(float)
    assert min(np.abs(a - b).mean() for i, a in enumerate(iframes) for b in iframes[:i]) > 5
