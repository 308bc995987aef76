"""Attention over some of the axes space, time and modality: Chen and Ho, "MM-ViT: Multi-Modal Video Transformer for
Compressed Video Action Recognition", WACV 2022, arXiv:2108.09322, Section 3.3.

Pure functions. Tokens are (B, T, S, N, D): B clips, T frames, S modalities, N places of a frame, D width. In this order
the axes that any of the paper's attentions spans are neighbours (T; S; N; T and S; S and N; all), so that none of them
moves a token.
"""

from __future__ import annotations

from math import prod

from jaxtyping import Bool, Shaped
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attention_along(
    q: Shaped[Tensor, "*axes h d"],
    k: Shaped[Tensor, "*axes h d"],
    v: Shaped[Tensor, "*axes h d"],
    *,
    start: int,
    stop: int,
    mask: Bool[Tensor, "L L"] | None = None,
) -> Shaped[Tensor, "*axes h d"]:
    """Softmax(q k^T / sqrt(d)) v over the tokens along the axes `start` to `stop` - 1, for each place of the others.

    h heads of width d. `mask`: which of the L tokens (last axis fastest) may see which, by default all. Axes before
    `start` count as clips, those behind as heads. So nothing is copied where q, k and v are contiguous, and neither
    number comes near 65535, beyond which CUDA's fused kernels refuse it (https://github.com/pytorch/pytorch/issues/142228).
    """
    clips, length = prod(q.shape[:start]), prod(q.shape[start:stop])
    q_, k_, v_ = (x.reshape(clips, length, -1, x.shape[-1]).transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q_, k_, v_, attn_mask=mask).transpose(1, 2).reshape(q.shape)


def shift_merge(v: Shaped[Tensor, "B T S N D"]) -> Shaped[Tensor, "B T S N D"]:
    """Portion s of the values of every modality side by side, added to the values of modality s (Eqs. 17-20).

    The equations have four modalities and as many portions of a value. Here portions are as many as the modalities are,
    so D must be a multiple of S: modality s concatenates the portions numbered s, which only fill the width D when all
    portions are equal.
    """
    portions = v.unflatten(-1, (v.shape[2], -1))  # (B, T, modality, N, portion, D / S)
    return (portions + portions.transpose(2, 4)).flatten(-2)


def to_windows(x: Shaped[Tensor, "frames H W D"], *, size: int) -> Shaped[Tensor, "windows places D"]:
    """Maps cut into windows of `size` x `size` places, which must divide them; windows and places row by row."""
    split = x.unflatten(2, (-1, size)).unflatten(1, (-1, size))  # (frames, rows, size, columns, size, D)
    return split.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def from_windows(x: Shaped[Tensor, "windows places D"], *, size: int, side: int) -> Shaped[Tensor, "frames H W D"]:
    """The inverse of `to_windows`, for maps of `side` x `side` places."""
    split = x.unflatten(1, (size, size)).unflatten(0, (-1, side // size, side // size))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)
