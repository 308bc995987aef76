"""VGGish's input: log-mel patches of a waveform of 16 kHz.

Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, arXiv:1609.09430, with the
constants of https://github.com/tensorflow/models/tree/master/research/audioset/vggish (`vggish_params.py`,
`mel_features.py`): windows of 25 ms every 10 ms, the magnitude of their spectrum in 64 mel bands, its logarithm, in
patches of 96 rows. Nothing is padded or centred. torchaudio's MelSpectrogram gives other numbers whatever its
arguments, because its triangles are linear in Hz.

L samples, M rows (windows), P patches, T times.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from vtbench.audio.waveform import SAMPLE_RATE

__all__ = ["BANDS", "ROWS", "STRETCH", "log_mel", "patches", "segments"]

WINDOW, HOP, FFT = 400, 160, 512
"""Samples of a window, from one window to the next, and of the Fourier transform (zeros after the window)."""
BANDS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
OFFSET = 0.01
"""Added before the logarithm: silence is log(0.01) = -4.605."""
ROWS = 96
"""Rows of a patch, which do not overlap with those of the next."""
STRETCH = (ROWS - 1) * HOP + WINDOW
"""Samples that make one patch: 15600, 0.975 s."""


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Waveform (..., L) at SAMPLE_RATE in [-1, 1] -> float32 (..., M, BANDS), M = 1 + (L - WINDOW) // HOP.

    M is 0 for less than one window.
    """
    if waveform.shape[-1] < WINDOW:
        return np.zeros((*waveform.shape[:-1], 0, BANDS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW, axis=-1)[..., ::HOP, :]  # (..., M, WINDOW)
    spectrum = np.abs(np.fft.rfft(windows * _hann(), n=FFT))  # float64 (..., M, FFT // 2 + 1)
    # torch multiplies on one thread in a loader's workers. numpy's library would start one per core in each of them.
    bands = (torch.from_numpy(spectrum) @ torch.from_numpy(_mel_bands())).numpy()
    logarithms: np.ndarray = np.log(bands + OFFSET)
    return logarithms.astype(np.float32)


def patches(waveform: np.ndarray) -> np.ndarray:
    """Waveform (L,) -> float32 (P, ROWS, BANDS), one after the other; rows that fill no patch are left out.

    10 s make 10 patches, less than STRETCH samples none.
    """
    rows = log_mel(waveform)
    count = len(rows) // ROWS
    return rows[: count * ROWS].reshape(count, ROWS, BANDS)


def segments(
    waveform: np.ndarray, centres_s: Sequence[float] | np.ndarray, *, start_s: float = 0.0, end_s: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The patch around each of T times: float32 (T, ROWS, BANDS), and bool (T,), true where it has no audio at all.

    waveform: (L,), sample 0 at time 0. centres_s: the times (s), in any order, also outside the waveform. start_s,
    end_s: when the audio begins and ends, by default the waveform's ends (`Audio` has both).

    A patch is of STRETCH samples, the "1-second segment" of arXiv:2108.09322, Section 4.1: VGGish takes 0.975 s of a
    second. Beyond the ends of the waveform there is silence, so every time has its patch however short the audio is.
    """
    begin = np.rint(np.asarray(centres_s, dtype=np.float64) * SAMPLE_RATE).astype(np.int64) - STRETCH // 2  # (T,)
    at = begin[:, None] + np.arange(STRETCH)  # (T, STRETCH)
    inside = (at >= 0) & (at < len(waveform))
    stretches = np.zeros(at.shape, waveform.dtype)
    stretches[inside] = waveform[at[inside]]
    first = round(start_s * SAMPLE_RATE)
    last = len(waveform) if end_s is None else min(round(end_s * SAMPLE_RATE), len(waveform))
    without_audio = np.maximum(begin, max(first, 0)) >= np.minimum(begin + STRETCH, last)
    return log_mel(stretches), without_audio


def _mel(hertz: np.ndarray | float) -> np.ndarray:
    return 1127 * np.log1p(np.asarray(hertz) / 700)


@functools.cache
def _hann() -> np.ndarray:
    """(WINDOW,): periodic, as a period of a cosine."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    return window


@functools.cache
def _mel_bands() -> np.ndarray:
    """(FFT // 2 + 1, BANDS): triangles with corners evenly spaced in mel and sides linear in mel, 1 at their top."""
    frequencies = _mel(np.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1))[:, None]
    corners = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 2)
    low, top, high = corners[:-2], corners[1:-1], corners[2:]
    return np.minimum((frequencies - low) / (top - low), (high - frequencies) / (high - top)).clip(min=0)
