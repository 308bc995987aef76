"""Swin transformers on video: Liu et al., "Video Swin Transformer", CVPR 2022, arXiv:2106.13230, with windows of one
frame (the 2D Swin, averaged over the frames), of some frames (local attention) or of all frames (joint attention). What
the patch shift transformer (models/pst.py) is made of and compared with (arXiv:2207.13259, Tables 2e and 6).

B clips, T frames after the tubelet embedding, H x W the map of a stage, N tokens of a window, h heads, C width.

The network is torchvision's SwinTransformer3d, with its parameter names; its attention is exchanged for one that is
fused and gathers each token once on its way into a window and once on its way back. In the numbers nothing differs
(tests/models/test_swin.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.swin_transformer import SwinTransformer3d

from vtbench.layers.patch_shift import inverse_order, reorder
from vtbench.layers.windows import Sizes, Windows, bias_entries
from vtbench.models.framewise import check_choice, check_clips, check_sizes

Attention = Literal["window", "sparse"]
"""Which tokens of a window attend to each other: all, or those of every second row and column (see SparseAttention)."""


class WindowAttention(nn.Module):
    """Attention within windows, with a learnt bias for each difference of places (W-MSA and SW-MSA).

    Maps (B, T, H, W, C) to the same shape. Padding is attended to, as in Swin.
    """

    bias_index: Tensor
    kind_of_window: Tensor
    masks: Tensor | None
    order: Tensor
    inverse: Tensor
    back: Tensor
    forth: Tensor

    def __init__(
        self,
        dim: int,
        num_heads: int,
        windows: Windows,
        *,
        sources: Tensor | None = None,
        returns: Tensor | None = None,
        bias_frames: int | None = None,
        bias_index: Tensor | None = None,
    ) -> None:
        """`sources` (windows, N, 3): the place of the map from which each place of the windows is filled, by default
        its own; `returns`: where it goes to afterwards, by default where it came from. `bias_frames`: frames of the
        table of biases, by default those of a window. `bias_index`: entries of the table for all pairs, (1, N, N), or
        (windows in time, N, N) where they differ; by default those of the differences within a window."""
        super().__init__()
        self.num_heads, self.windows = num_heads, windows
        spans = (bias_frames or windows.window[0], *windows.window[1:])
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        entries = prod(2 * span - 1 for span in spans)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(entries, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        for linear in (self.qkv, self.proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

        sources = windows.places() if sources is None else sources
        if bias_index is None:
            inside = windows.places_inside()
            bias_index = bias_entries(inside, inside, spans)[None]
        masks, kind_of_window = windows.masks()
        self.num_windows = len(kind_of_window)
        self._constant("bias_index", bias_index)
        self._constant("kind_of_window", kind_of_window)
        self._constant("masks", masks if any(windows.shift) else None)
        self._constant("order", windows.order(sources))
        self._constant("inverse", inverse_order(self.order))
        self._constant("forth", windows.order(sources if returns is None else returns))
        self._constant("back", inverse_order(self.forth))

    def _constant(self, name: str, value: Tensor | None) -> None:
        self.register_buffer(name, value, persistent=False)

    def mask(self, clips: int) -> Float[Tensor, "windows h N N"]:
        """The biases of all pairs, -inf for those that must not attend to each other, for every window of the clips."""
        bias = self.relative_position_bias_table[self.bias_index].permute(0, 3, 1, 2)  # (1 or windows in time, h, N, N)
        if self.masks is None and len(bias) == 1:
            return bias.expand(clips * self.num_windows, -1, -1, -1)
        steps = self.windows.steps
        per_window = bias[:, None].expand(steps, self.num_windows // steps, -1, -1, -1)
        if self.masks is not None:
            per_window = per_window + self.masks[self.kind_of_window, None].unflatten(0, (steps, -1))
        return per_window.expand(clips, *per_window.shape).flatten(0, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """All (B windows, h, N, C/h), the mask (B windows, h, N, N)."""
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def forward(self, x: Float[Tensor, "B T H W C"]) -> Float[Tensor, "B T H W C"]:
        size, padded = x.shape[1:4], self.windows.padded
        if size != padded:
            t, h, w = (full - n for n, full in zip(size, padded, strict=True))
            x = F.pad(x, (0, 0, 0, w, 0, h, 0, t))
        tokens = reorder(x.flatten(1, 3), self.order, self.inverse)  # (B, L, C), window by window
        clips, _, width = tokens.shape
        qkv = self.qkv(tokens).view(clips * self.num_windows, -1, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B windows, h, N, C/h) each
        y = self.attend(q, k, v, self.mask(clips)).transpose(1, 2).reshape(tokens.shape)
        y = self.proj(y)  # looks at single tokens, so it is the same before and after they go back
        y = reorder(y, self.back, self.forth).view(clips, *padded, width)
        return y if size == padded else y[:, : size[0], : size[1], : size[2]]


class SparseAttention(WindowAttention):
    """Attention among a quarter of the tokens of a window, all its frames; the others keep their own value.

    "By subsampling spatial patches to half, while keeping the full temporal dimension" (arXiv:2207.13259, Section 4.3)
    says no more. Here every second row and every second column is taken, another of the four choices in each block:
    half of each side, because half of all patches costs 79 and not the printed 72 GFLOPs (pst-sparse-attention).
    """

    taken: Tensor

    def __init__(self, dim: int, num_heads: int, windows: Windows, *, phase: int) -> None:
        """`phase`: 0 to 3, which rows and columns."""
        super().__init__(dim, num_heads, windows)
        _, row, column = windows.places_inside().unbind(-1)
        self._constant("taken", ((row % 2 == phase // 2) & (column % 2 == phase % 2)).nonzero().flatten())
        # Biases and masks of these tokens alone: those of all of a window would be most of the memory.
        self.bias_index = self.bias_index[:, self.taken][:, :, self.taken]
        if self.masks is not None:
            self.masks = self.masks[:, self.taken][:, :, self.taken]

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        taken = self.taken
        among = super().attend(q.index_select(2, taken), k.index_select(2, taken), v.index_select(2, taken), mask)
        return v.index_copy(2, taken, among)


class VideoSwin(SwinTransformer3d):
    """torchvision's SwinTransformer3d on clips (B, F, 3, H, W) -> logits (B, num_classes): the mean over all tokens,
    dropout, a linear head."""

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int,
        img_size: int,
        tubelet_size: int,
        patch_size: int,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_frames: int,
        window_size: int,
        drop_path: float,
        head_dropout: float,
    ) -> None:
        """See `swin`. The attention of every block is still to be put in."""
        check_sizes(
            num_classes=num_classes,
            num_frames=num_frames,
            img_size=img_size,
            tubelet_size=tubelet_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            window_frames=window_frames,
            window_size=window_size,
        )
        if len(depths) != len(num_heads) or not depths or min(*depths, *num_heads) < 1:
            raise ValueError(
                f"depths={list(depths)}, num_heads={list(num_heads)}: give one of each, at least 1, per stage"
            )
        if sum(depths) < 2:
            raise ValueError(f"depths={list(depths)}: must be at least 2 blocks together")
        if num_frames % tubelet_size:
            raise ValueError(f"num_frames={num_frames}: must be a multiple of tubelet_size={tubelet_size}")
        if img_size % patch_size:
            raise ValueError(f"img_size={img_size}: must be a multiple of patch_size={patch_size}")
        for stage, heads in enumerate(num_heads):
            if embed_dim * 2**stage % heads:
                raise ValueError(
                    f"num_heads={list(num_heads)}: {heads} do not divide {embed_dim * 2**stage}, the width of stage "
                    f"{stage + 1}"
                )
        for name, share in (("drop_path", drop_path), ("head_dropout", head_dropout)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}={share}: must be in [0, 1)")
        frames, side = num_frames // tubelet_size, img_size // patch_size
        sides = [-(-side // 2**stage) for stage in range(len(depths))]
        if frames % window_frames:
            raise ValueError(f"window_frames={window_frames}: must divide the {frames} frames after the tubelet")
        if window_size > sides[-1]:
            raise ValueError(
                f"window_size={window_size}: the map of stage {len(depths)} has {sides[-1]} x {sides[-1]} patches and "
                "cannot hold it; take smaller windows, smaller patches or larger frames"
            )
        super().__init__(
            patch_size=[tubelet_size, patch_size, patch_size],
            embed_dim=embed_dim,
            depths=list(depths),
            num_heads=list(num_heads),
            window_size=[1, 1, 1],  # of the attention that is exchanged below
            stochastic_depth_prob=drop_path,
            num_classes=num_classes,
        )
        self.num_frames, self.img_size = num_frames, img_size
        self.head_dropout = nn.Dropout(head_dropout)
        self.window: Sizes = (window_frames, window_size, window_size)
        self.sizes: list[Sizes] = [(frames, side, side) for side in sides]
        """T x H x W of the maps of each stage."""

    def blocks(self, stage: int) -> nn.Sequential:
        """The blocks of a stage, from 1."""
        blocks: nn.Sequential = self.features[2 * (stage - 1)]
        return blocks

    def windows(self, stage: int, block: int) -> Windows:
        """The windows of a block (from 0) of a stage (from 1). In every second block they are moved by half their size,
        but not along an axis that one window spans."""
        size = self.sizes[stage - 1]
        t, h, w = (part // 2 if block % 2 and n > part else 0 for n, part in zip(size, self.window, strict=True))
        return Windows(size, self.window, (t, h, w))

    def forward(self, clips: Float[Tensor, "B F 3 H W"]) -> Float[Tensor, "B classes"]:
        """Logits. Raises ValueError for another F, H or W than the network was built for."""
        check_clips(clips, num_frames=self.num_frames, img_size=self.img_size)
        x = self.features(self.patch_embed(clips.transpose(1, 2)))  # (B, T, H, W, C)
        logits: Tensor = self.head(self.head_dropout(self.norm(x).mean(dim=(1, 2, 3))))
        return logits


def swin(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    tubelet_size: int = 2,
    patch_size: int = 4,
    embed_dim: int = 96,
    depths: tuple[int, ...] = (2, 2, 6, 2),
    num_heads: tuple[int, ...] = (3, 6, 12, 24),
    window_frames: int = 1,
    window_size: int = 7,
    attention: Literal["window", "sparse"] = "window",
    drop_path: float = 0.1,
    head_dropout: float = 0.5,
) -> VideoSwin:
    """A Swin transformer on video; the defaults are the 2D Swin-T, "none" and "Avgpool" of arXiv:2207.13259.

    window_frames: frames of a window after the tubelet, 1 for 2D, all of them for joint attention. `attention`:
    "window" or "sparse" (SparseAttention). drop_path: rate of stochastic depth in the last block, rising from 0 in the
    first. head_dropout: before the head. Sizes in frames and pixels. Raises ValueError, naming the argument, where
    sizes do not fit together.
    """
    check_choice("attention", attention, get_args(Attention))
    network = VideoSwin(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        tubelet_size=tubelet_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
        window_frames=window_frames,
        window_size=window_size,
        drop_path=drop_path,
        head_dropout=head_dropout,
    )
    number = 0  # of the block, through all stages
    for stage, heads in enumerate(num_heads, start=1):
        for i, block in enumerate(network.blocks(stage)):
            dim, windows = embed_dim * 2 ** (stage - 1), network.windows(stage, i)
            if attention == "sparse":
                block.attn = SparseAttention(dim, heads, windows, phase=number % 4)
            else:
                block.attn = WindowAttention(dim, heads, windows)
            number += 1
    return network
