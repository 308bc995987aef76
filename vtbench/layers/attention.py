"""Attention over the tokens of several frames at once: Zhang et al., "Long-term Leap Attention, Short-term Periodic
Shift for Video Classification", ACM MM 2022, arXiv:2207.05526, Section 3.2 (Eqs. 8-13, 15, Algorithm 1).

Pure functions. B clips, T frames, h heads, N tokens per frame (M for keys and values where they differ), d width of a
head. Queries, keys and values are (B T, h, N, d), frames of a clip in order.

2D, leap and joint attention differ only in which frames attend to each other ("Complexity Analysis", g groups of T/g
frames): groups of 1, pairs of frames `step` apart, all T.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Shaped
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vtbench.layers.patch_shift import patch_shift, tile_pattern


def leap_step(num_frames: int, level: int) -> int:
    """S of Eq. 15: the distance in frames of the pairs at pyramid level R = `level`, S = T / 2^R.

    Raises ValueError unless T is divisible by 2^R and R is at least 1.
    """
    if level < 1 or num_frames % 2**level:
        levels = [r for r in range(1, num_frames.bit_length()) if num_frames % 2**r == 0]
        allowed = f"one of {', '.join(map(str, levels))}" if levels else "none, as the number of frames is odd"
        raise ValueError(
            f"level R = {level} of num_frames={num_frames}: the step T / 2^R must be a whole number of frames; "
            f"allowed for R: {allowed}"
        )
    return num_frames // 2**level


def group_frames(
    x: Shaped[Tensor, "BT h N d"], *, num_frames: int, size: int, step: int
) -> Shaped[Tensor, "groups h sizeN d"]:
    """The tokens of `size` frames that lie `step` apart, side by side (Eqs. 8-11 for size 2): (B T/size, h, size N, d).

    Groups come in the order of their first frames; `size` times `step` must divide T. A view where the frames of a
    group are neighbours already, else one copy.
    """
    if size == 1:
        return x
    clips = x.unflatten(0, (-1, num_frames // (size * step), size, step))  # (B, blocks, size, step, h, N, d)
    return clips.permute(0, 1, 3, 4, 2, 5, 6).flatten(4, 5).flatten(0, 2)


def ungroup_frames(
    x: Shaped[Tensor, "groups h sizeN d"], *, num_frames: int, size: int, step: int
) -> Shaped[Tensor, "BT h N d"]:
    """The inverse of `group_frames` (Eq. 13)."""
    if size == 1:
        return x
    groups = x.unflatten(2, (size, -1)).unflatten(0, (-1, num_frames // (size * step), step))
    return groups.permute(0, 1, 4, 2, 3, 5, 6).flatten(0, 3)  # (B, blocks, size, step, h, N, d) before


def grouped_attention(
    q: Shaped[Tensor, "BT h N d"],
    k: Shaped[Tensor, "BT h M d"],
    v: Shaped[Tensor, "BT h M d"],
    *,
    num_frames: int,
    size: int,
    step: int,
) -> Shaped[Tensor, "BT h N d"]:
    """Softmax(Q K^T / sqrt(d)) V over the tokens of each group of frames (Eq. 12, in which the transposition is lost in
    print: laps-eq12). Eq. 12's scale is also the official code's, which multiplies q and k by d^-1/4 each."""
    q, k, v = (group_frames(x, num_frames=num_frames, size=size, step=step) for x in (q, k, v))
    # Fused attention wants the channels of a head side by side.
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    return ungroup_frames(scaled_dot_product_attention(q, k, v), num_frames=num_frames, size=size, step=step)


def leap_attention(
    q: Shaped[Tensor, "BT h N d"],
    k: Shaped[Tensor, "BT h M d"],
    v: Shaped[Tensor, "BT h M d"],
    *,
    num_frames: int,
    level: int,
) -> Shaped[Tensor, "BT h N d"]:
    """Algorithm 1: joint attention over the tokens of frames t and t + T / 2^level.

    T = 8: level 1 pairs (0,4) (1,5) (2,6) (3,7), level 2 (0,2) (1,3) (4,6) (5,7), level 3 (0,1) (2,3) (4,5) (6,7).
    Raises ValueError for a level that T does not allow.
    """
    return grouped_attention(q, k, v, num_frames=num_frames, size=2, step=leap_step(num_frames, level))


def joint_attention(
    q: Shaped[Tensor, "BT h N d"], k: Shaped[Tensor, "BT h M d"], v: Shaped[Tensor, "BT h M d"], *, num_frames: int
) -> Shaped[Tensor, "BT h N d"]:
    """3D attention: over the tokens of all frames of a clip."""
    return grouped_attention(q, k, v, num_frames=num_frames, size=num_frames, step=1)


# ---- the schemes that Table 1 of arXiv:2207.13259 compares, with its N places and T frames --------------------------


def divided_attention(
    q: Shaped[Tensor, "BT h N d"], k: Shaped[Tensor, "BT h N d"], v: Shaped[Tensor, "BT h N d"], *, num_frames: int
) -> Shaped[Tensor, "BT h N d"]:
    """Attention over the frames of each place, then over the places of each frame (TimeSformer, arXiv:2102.05095,
    without the projections between the two)."""

    def by_place(x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, num_frames)).transpose(1, 3)  # (B, N, h, T, d)

    in_time = scaled_dot_product_attention(by_place(q), by_place(k), by_place(v))
    return scaled_dot_product_attention(q, k, in_time.transpose(1, 3).flatten(0, 1))


def local_attention(
    q: Shaped[Tensor, "BT h N d"],
    k: Shaped[Tensor, "BT h N d"],
    v: Shaped[Tensor, "BT h N d"],
    *,
    num_frames: int,
    windows: int = 4,
) -> Shaped[Tensor, "BT h N d"]:
    """Joint attention within each of `windows` equal parts of the places, in all frames: 1 / windows of all pairs."""
    parts = (x.unflatten(2, (windows, -1)).transpose(1, 2) for x in (q, k, v))  # (B T, windows, h, N/windows, d)
    q, k, v = (x.unflatten(0, (-1, num_frames)).permute(0, 2, 3, 1, 4, 5).flatten(3, 4).flatten(0, 1) for x in parts)
    y = scaled_dot_product_attention(q, k, v).unflatten(0, (-1, windows)).unflatten(3, (num_frames, -1))
    return y.permute(0, 3, 2, 1, 4, 5).flatten(3, 4).flatten(0, 1)


def sparse_attention(
    q: Shaped[Tensor, "BT h N d"],
    k: Shaped[Tensor, "BT h N d"],
    v: Shaped[Tensor, "BT h N d"],
    *,
    num_frames: int,
    step: int = 2,
) -> Shaped[Tensor, "BT h N d"]:
    """Joint attention among every `step`-th place, in all frames; the others keep their value: 1 / step^2 of all
    pairs."""
    y = v.clone()
    y[:, :, ::step] = joint_attention(q[:, :, ::step], k[:, :, ::step], v[:, :, ::step], num_frames=num_frames)
    return y


def patch_shift_attention(
    q: Shaped[Tensor, "BT h N d"], k: Shaped[Tensor, "BT h N d"], v: Shaped[Tensor, "BT h N d"], *, num_frames: int
) -> Shaped[Tensor, "BT h N d"]:
    """Patch shift of a row of N places by 0, 1, 0 and -1 frames in turn, attention within frames, shift back."""
    offsets = tile_pattern([[0, 1, 0, -1]], 1, q.shape[2])[0].to(q.device)

    def shifted(x: Tensor, offsets: Tensor) -> Tensor:
        patches = x.unflatten(0, (-1, num_frames)).transpose(2, 3)  # (B, T, N, h, d)
        return patch_shift(patches.flatten(3), offsets).view(patches.shape).transpose(2, 3).flatten(0, 1)

    q, k, v = (shifted(x, offsets) for x in (q, k, v))
    return shifted(scaled_dot_product_attention(q, k, v), -offsets)


ATTENTIONS: dict[str, Callable[..., Tensor]] = {
    "joint": joint_attention,
    "divided": divided_attention,
    "local": local_attention,
    "sparse": sparse_attention,
    "patch_shift": patch_shift_attention,
}
"""By the names of Table 1: functions of q, k, v (B T, h, N, d) and num_frames T."""
