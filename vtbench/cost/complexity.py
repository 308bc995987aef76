"""How the multiply-adds of an attention grow with the number of places N and of frames T, found by counting."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

PLACES = (16, 32, 64, 128)
FRAMES = (2, 4, 8, 16)
DEGREES = tuple((n, t) for n in range(3) for t in range(3))
"""(power of N, power of T) of the terms that are fitted."""
HEAD_WIDTH = 8


def growth(attention: Callable[..., Tensor]) -> dict[tuple[int, int], float]:
    """(power of N, power of T) -> coefficient: the polynomial that the number of pairs of tokens follows.

    `attention(q, k, v, num_frames=T)` on one head of (T, 1, N, d) each, on the meta device; a pair costs 2 d
    multiply-adds. Fitted by least squares to the counts for all of PLACES and FRAMES, terms without weight left out.
    Raises ValueError if no such polynomial fits the counts to a thousandth.
    """
    counts, terms = [], []
    for places, frames in itertools.product(PLACES, FRAMES):
        counts.append(_macs(attention, places, frames) / (2 * HEAD_WIDTH))
        terms.append([float(places**n * frames**t) for n, t in DEGREES])
    matrix, pairs = np.array(terms), np.array(counts)
    # Every count has the same weight, the largest would decide alone otherwise.
    found = np.linalg.lstsq(matrix / pairs[:, None], np.ones_like(pairs), rcond=None)[0]
    if np.abs(matrix @ found / pairs - 1).max() > 1e-3:
        raise ValueError(f"no polynomial in N and T of degree 2 fits the counts {counts}")
    share = np.abs(found * matrix.max(axis=0)) / pairs.max()
    return {
        degree: round(float(coefficient), 4)
        for degree, coefficient, part in zip(DEGREES, found, share, strict=True)
        if part > 1e-6
    }


def _macs(attention: Callable[..., Tensor], places: int, frames: int) -> int:
    q, k, v = (torch.empty(frames, 1, places, HEAD_WIDTH, device="meta") for _ in range(3))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        attention(q, k, v, num_frames=frames)
    return int(counter.get_total_flops()) // 2


def as_text(polynomial: dict[tuple[int, int], float]) -> str:
    """For example "0.25 N^2 T^2" or "N^2 T + N T^2"."""

    def power(letter: str, exponent: int) -> str:
        return {0: "", 1: letter}.get(exponent, f"{letter}^{exponent}")

    parts = []
    for (n, t), coefficient in sorted(polynomial.items(), reverse=True):
        factor = "" if coefficient == 1 and n + t else f"{coefficient:g}"
        parts.append(" ".join(part for part in (factor, power("N", n), power("T", t)) if part))
    return " + ".join(parts)
