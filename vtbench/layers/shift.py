"""Temporal shifts: pure functions on tensors whose first two dimensions are clips and frames.

B clips, T frames. An `offset` says which frame is read: the output at t is the input at t + offset, so -1 reads the
previous frame (what arXiv:2204.00452 calls the backward shift, `t-1` in Eqs. 8, 17, 18 and 21) and +1 the next one.
What lies before the first and after the last frame is the caller's choice (`Boundary`), because the paper is silent.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Shaped
from torch import Tensor

from vtbench.fields import not_one_of

Boundary = Literal["zero", "replicate", "cyclic"]
"""What a frame outside the clip is: all zeros, the nearest frame of the clip, or the frame at its other end."""


def shift_frames(x: Shaped[Tensor, "B T *rest"], *, offset: int, boundary: Boundary) -> Shaped[Tensor, "B T *rest"]:
    """Every frame replaced by the one `offset` frames later: y[:, t] = x[:, t + offset].

    Any integer offset is allowed, also one that is longer than the clip. The result is a new tensor; gradients flow
    back to the frames that were read. Raises ValueError for an unknown boundary.
    """
    if boundary not in get_args(Boundary):
        raise ValueError(f"boundary {not_one_of(boundary, get_args(Boundary))}")
    num_frames = x.shape[1]
    if boundary == "cyclic":
        return x.roll(-offset, dims=1)
    outside = min(abs(offset), num_frames)  # frames of the result that are read from outside the clip
    inside = x[:, outside:] if offset > 0 else x[:, : num_frames - outside]
    if boundary == "zero":
        edge = x.new_zeros((x.shape[0], outside, *x.shape[2:]))
    else:
        edge = (x[:, -1:] if offset > 0 else x[:, :1]).expand(-1, outside, *x.shape[2:])
    return torch.cat((inside, edge) if offset > 0 else (edge, inside), dim=1)


def shift_slices(
    x: Shaped[Tensor, "B T *rest"],
    *,
    dim: int,
    sizes: tuple[int, int],
    offsets: tuple[int, int],
    boundary: Boundary,
    start: int = 0,
) -> Shaped[Tensor, "B T *rest"]:
    """Two neighbouring slices of dimension `dim` are read from other frames, the rest stays.

    Along `dim` (2 or more), the sizes[0] entries from `start` on are read from frame t + offsets[0], the sizes[1]
    entries after them from t + offsets[1], all others from t. The common form of Eqs. 8 (channels), 17, 18 (heads) and
    21 (tokens) with the counts that the text gives: the *first* n and the *next* m entries, not the n-1 and m that the
    bounds of Eqs. 8, 17 and 18 print (msca-head-bounds, msca-channel-bounds).

    The result is x itself when both sizes are 0, else a new tensor. Raises ValueError if the slices do not fit.
    """
    if dim < 2:
        raise ValueError(f"dim={dim}: must be 2 or more, dimensions 0 and 1 are clips and frames")
    rest = x.shape[dim] - start - sum(sizes)
    if min(start, rest, *sizes) < 0:
        raise ValueError(
            f"start={start}, sizes={sizes}: must be at least 0 and at most {x.shape[dim]} together, the size of "
            f"dimension {dim}"
        )
    if not any(sizes):
        return x
    # Split and put together, because both copy x (and its gradient) exactly once; assignments into a clone cost a
    # further copy of the whole gradient each.
    before, first, second, after = x.split([start, *sizes, rest], dim=dim)
    first = shift_frames(first, offset=offsets[0], boundary=boundary)
    second = shift_frames(second, offset=offsets[1], boundary=boundary)
    return torch.cat((before, first, second, after), dim=dim)


First = Literal["previous", "next"]
"""Which neighbouring frame the first of the two groups of channels is read from; the second reads from the other."""


def temporal_shift(
    x: Shaped[Tensor, "B T *rest"], *, dim: int, channels: int, first: First, boundary: Boundary
) -> Shaped[Tensor, "B T *rest"]:
    """Plain temporal shift (TSM; arXiv:2207.05526, Section 3.3): of the channels in dimension `dim`, the first
    `channels` are read from one neighbouring frame, the next `channels` from the other, the rest stays."""
    offsets = (-1, 1) if first == "previous" else (1, -1)
    return shift_slices(x, dim=dim, sizes=(channels, channels), offsets=offsets, boundary=boundary)


def periodic_shift(
    x: Shaped[Tensor, "B T *rest"], *, dim: int, channels: int, first: First, boundary: Boundary
) -> Shaped[Tensor, "B T *rest"]:
    """Periodic shift (P-Shift; arXiv:2207.05526, Eqs. 16-18): the same shift in every head.

    Dimension `dim` holds the heads and dim + 1 the channels of a head, of which a' = b' = `channels` are shifted. With
    `first` "previous", p^a' reads from t-1 and p^b' from t+1, as the equations print. 0 channels: x itself. The bounds
    printed there include one channel and one frame too many (laps-shift-bounds).
    """
    return temporal_shift(x, dim=dim + 1, channels=channels, first=first, boundary=boundary)
