"""VGGish's log-mel patches against plain loops over their definition."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from vtbench.audio.logmel import STRETCH, log_mel, patches, segments
from vtbench.audio.waveform import SAMPLE_RATE

SILENCE = np.float32(math.log(0.01))


def mel(hertz: float) -> float:
    return 1127 * math.log(1 + hertz / 700)


def band_weight(hertz: float, band: int) -> float:
    """Of a frequency in band 0 to 63: 0 at the tops of the bands beside it, 1 at its own."""
    width = (mel(7500) - mel(125)) / 65
    low, top, high = (mel(125) + (band + corner) * width for corner in (0, 1, 2))
    return max(0.0, min((mel(hertz) - low) / (top - low), (high - mel(hertz)) / (high - top)))


def reference(waveform: np.ndarray) -> np.ndarray:
    """float64 (M, 64), in loops."""
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    turns = [cmath.exp(-2j * math.pi * n / 512) for n in range(512)]
    weights = [[band_weight(k * 16000 / 512, band) if k else 0.0 for k in range(257)] for band in range(64)]
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        samples = [float(waveform[start + n]) * hann[n] for n in range(400)]
        magnitudes = []
        for k in range(257):
            magnitudes.append(abs(sum(samples[n] * turns[k * n % 512] for n in range(400))))
        rows.append([math.log(sum(map(float.__mul__, magnitudes, of_band)) + 0.01) for of_band in weights])
    return np.array(rows)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, count).astype(np.float32)


def sine(hertz: float, count: int) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(count) / SAMPLE_RATE).astype(np.float32)


WAVES = {
    "noise": noise(1200),
    "quiet noise": 1e-3 * noise(900),
    "1 kHz": sine(1000, 900),
    "constant": np.full(560, 0.5, np.float32),
    "click": np.eye(1, 700, 333, dtype=np.float32)[0],
}


@pytest.mark.parametrize("waveform", WAVES.values(), ids=WAVES)
def test_log_mel_equals_the_loops(waveform: np.ndarray) -> None:
    expected, actual = reference(waveform), log_mel(waveform)
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-5


def test_silence_is_the_logarithm_of_the_offset() -> None:
    assert (log_mel(np.zeros(16000, np.float32)) == SILENCE).all()


@pytest.mark.parametrize(
    ("samples", "rows", "count"),
    [(0, 0, 0), (399, 0, 0), (400, 1, 0), (8000, 48, 0), (15599, 95, 0), (15600, 96, 1), (160_000, 998, 10)],
)
def test_rows_and_patches_are_those_that_are_full(samples: int, rows: int, count: int) -> None:
    waveform = noise(samples)
    assert log_mel(waveform).shape == (rows, 64)
    cut = patches(waveform)
    assert cut.shape == (count, 96, 64) and cut.dtype == np.float32
    assert np.array_equal(cut.reshape(-1, 64), log_mel(waveform)[: count * 96])


def test_a_tone_is_loudest_in_its_band() -> None:
    for band in (5, 30, 60):
        hertz = 700 * (math.exp((mel(125) + (band + 1) * (mel(7500) - mel(125)) / 65) / 1127) - 1)
        assert (log_mel(sine(hertz, 4000)).argmax(axis=1) == band).all()


# ---- segments ----------------------------------------------------------------------------------------------------


def test_segments_are_the_patches_around_their_times() -> None:
    waveform = noise(48_000)
    centres = [1.4, 0.4875, 2.0, 1.4]
    rows, without_sound = segments(waveform, centres)
    assert rows.shape == (4, 96, 64) and rows.dtype == np.float32
    assert without_sound.dtype == bool and not without_sound.any()
    for row, centre in zip(rows, centres, strict=True):
        begin = round(centre * SAMPLE_RATE) - STRETCH // 2
        assert np.array_equal(row, patches(waveform[begin : begin + STRETCH])[0])


def test_beyond_the_ends_of_the_sound_there_is_silence() -> None:
    waveform = noise(8000)  # shorter than a patch
    padded = np.concatenate([np.zeros(STRETCH, np.float32), waveform, np.zeros(2 * STRETCH, np.float32)])
    centres = [0.0, 0.25, 0.6, -3.0, 1.2]
    rows, without_sound = segments(waveform, centres)
    assert without_sound.tolist() == [False, False, False, True, True]
    shifted, _ = segments(padded, np.array(centres[:3]) + STRETCH / SAMPLE_RATE)
    assert np.array_equal(rows[:3], shifted)
    assert (rows[3:] == SILENCE).all() and (rows[0, :40] == SILENCE).all() and (rows[0, 60] != SILENCE).any()


def test_a_segment_is_without_sound_only_if_no_sample_of_it_is_in_the_track() -> None:
    half, step = STRETCH / 2 / SAMPLE_RATE, 1 / SAMPLE_RATE
    track = {"start_s": 1.0, "end_s": 2.0}
    centres = [1 - half, 1 - half + step, 2 + half - step, 2 + half]
    assert segments(np.zeros(64_000, np.float32), centres, **track)[1].tolist() == [True, False, False, True]
    whole = segments(np.zeros(16_000, np.float32), [-half, -half + step, 1 + half - step, 1 + half])[1]
    assert whole.tolist() == [True, False, False, True]
    longer = segments(np.zeros(16_000, np.float32), [-half, 1 + half], start_s=-5.0, end_s=5.0)[1]
    assert longer.tolist() == [True, True]  # what a waveform does not hold is not heard


def test_without_a_track_no_segment_has_sound() -> None:
    rows, without_sound = segments(np.zeros(32_000, np.float32), [0.1, 1.0, 1.9], start_s=0.0, end_s=0.0)
    assert without_sound.all() and (rows == SILENCE).all()
    rows, without_sound = segments(np.zeros(0, np.float32), [0.5])
    assert without_sound.all() and (rows == SILENCE).all()


def test_no_times_no_segments() -> None:
    rows, without_sound = segments(noise(100), [])
    assert rows.shape == (0, 96, 64) and without_sound.shape == (0,)
