"""Temporal patch shift: Xiang et al., "Spatiotemporal Self-attention Modeling with Temporal Patch Shift for Action
Recognition", ECCV 2022, arXiv:2207.13259, Section 3.2 (Eq. 4) and Appendix A.2.

Pure functions. B clips, T frames, N patches per frame, D width. A shift pattern is a small grid of integers, repeated
over the patches of a frame: 0 leaves a patch where it is, another number replaces it by the patch at the same place
that many frames away, cyclically in time. Shifts of this kind change places of tokens and nothing else, so any number
of them, with or without a partition into windows, is one gather (`reorder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from vtbench.fields import not_one_of

Pattern = Sequence[Sequence[int]]

PATTERNS: dict[str, Pattern] = {
    "even-2": [[0, 1], [1, 0]],
    # Fig. 5. A is also Table 2a's even-3, C also Fig. 2(c).
    "a-3": [[0, 1], [-1, 0]],
    "b-4": [[0, 1], [-1, 2]],
    "c-9": [[-4, 1, 2], [-1, 0, 3], [-2, -3, 4]],
    "d-16": [[0, 1, 2, 3], [-1, -7, 4, 5], [-2, -4, 7, 6], [-3, -5, -6, 8]],
}
"""The repeated patterns of Tables 2a and 2b by name; the number in it is the temporal field, in frames."""

WINDOW_PATTERNS = ("center-one", "uneven")
"""The patterns of Table 2a that fill a window once: "center-one" shifts its middle patch by 1, "uneven" the left half
of its patches (of an odd number of columns, the upper half of the middle one; as many as "even-2" shifts)."""

Positive = Literal["previous", "next"]
"""Where a patch with a positive number comes from: that many frames before, or after."""


def tile_pattern(pattern: Pattern, height: int, width: int) -> Int[Tensor, "height width"]:
    """The pattern repeated over `height` x `width` patches from the upper left corner on, cut at the other edges
    (pst-window-tiling). Raises ValueError for an empty pattern and for rows of different lengths."""
    if not all(isinstance(row, Sequence) and all(type(number) is int for number in row) for row in pattern):
        raise ValueError(f"pattern={pattern!r}: must be rows of whole numbers, as [[0, 1], [-1, 0]]")
    lengths = sorted({len(row) for row in pattern})
    if not lengths or lengths[0] == 0:
        raise ValueError(f"pattern={pattern!r}: is empty; give rows of whole numbers, as [[0, 1], [-1, 0]]")
    if len(lengths) > 1:
        raise ValueError(f"pattern={pattern!r}: has rows of {lengths[0]} and {lengths[-1]} numbers; make them equal")
    grid = torch.tensor([list(row) for row in pattern], device="cpu")
    rows, columns = torch.arange(height, device="cpu"), torch.arange(width, device="cpu")
    return grid[rows[:, None] % grid.shape[0], columns % grid.shape[1]]


def frame_offsets(
    pattern: str | Pattern, height: int, width: int, *, num_frames: int, positive: Positive
) -> Int[Tensor, "height width"]:
    """For each patch of a `height` x `width` map the distance in frames to the patch that takes its place: the shifted
    patch (t, i, j) is the patch (t + offset, i, j), counted cyclically.

    `pattern`: a name of PATTERNS or WINDOW_PATTERNS, or a grid of whole numbers. `positive`: what its positive numbers
    mean. Section 3.2 says "next", the pseudo-code of A.1 and the official code roll them from the previous frames
    (pst-code-sign). Raises ValueError for an unknown name, a ragged grid, and a number that is not smaller than
    `num_frames`.
    """
    if isinstance(pattern, str) and pattern not in (*PATTERNS, *WINDOW_PATTERNS):
        choices = ("none", *WINDOW_PATTERNS, *PATTERNS, "a grid of whole numbers")
        raise ValueError(f"pattern {not_one_of(pattern, choices)}")
    if positive not in get_args(Positive):
        raise ValueError(f"positive {not_one_of(positive, get_args(Positive))}")
    if pattern == "center-one":
        tiled = torch.zeros(height, width, dtype=torch.int64, device="cpu")
        tiled[height // 2, width // 2] = 1
    elif pattern == "uneven":
        by_column = torch.arange(height * width, device="cpu").view(width, height).T
        tiled = (by_column < height * width // 2).long()
    else:
        tiled = tile_pattern(PATTERNS[pattern] if isinstance(pattern, str) else pattern, height, width)
    if int(tiled.abs().max()) >= num_frames:
        raise ValueError(
            f"pattern={pattern!r}: shifts by {int(tiled.abs().max())} frames, the network has num_frames={num_frames} "
            "after the tubelet; take a pattern with smaller numbers or longer clips"
        )
    return tiled if positive == "next" else -tiled


def inverse_order(order: Int[Tensor, " L"]) -> Int[Tensor, " L"]:
    """The permutation that undoes `order`."""
    inverse = torch.empty_like(order)
    inverse[order] = torch.arange(len(order), device=order.device)
    return inverse


class _Reorder(torch.autograd.Function):
    """A permutation, whose gradient is the inverse permutation; autograd would add up gradients one by one instead."""

    @staticmethod
    def forward(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        clips, tokens = x.shape[:2]
        if clips > 1:  # one gather of rows is several times faster than one along the second dimension
            order = (order + tokens * torch.arange(clips, device=order.device)[:, None]).flatten()
        return x.flatten(0, 1).index_select(0, order).view(x.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1], inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return reorder(gradient.contiguous(), inverse, order), None, None


def reorder(
    x: Shaped[Tensor, "B L D"], order: Int[Tensor, " L"], inverse: Int[Tensor, " L"]
) -> Shaped[Tensor, "B L D"]:
    """Token l of the result is token order[l] of every clip: one gather, also on the way back. `inverse` undoes
    `order`."""
    result: Tensor = _Reorder.apply(x, order, inverse)
    return result


def patch_shift_order(offsets: Int[Tensor, " N"], *, num_frames: int) -> Int[Tensor, " L"]:
    """The order of T N tokens, frame by frame, after a patch shift: at (t, n) stands (t + offsets[n] mod T, n)."""
    frames = torch.arange(num_frames, device=offsets.device)[:, None]
    return (
        (frames + offsets) % num_frames * len(offsets) + torch.arange(len(offsets), device=offsets.device)
    ).flatten()


def patch_shift(x: Shaped[Tensor, "B T N D"], offsets: Int[Tensor, " N"]) -> Shaped[Tensor, "B T N D"]:
    """Patch n of every frame t replaced by patch n of frame t + offsets[n], cyclically (Eq. 4 with a_i = 0 or 1).

    `patch_shift(y, -offsets)` shifts back. One copy; gradients flow back to the patches that were read.
    """
    order = patch_shift_order(offsets, num_frames=x.shape[1])
    return reorder(x.flatten(1, 2), order, inverse_order(order)).view(x.shape)
