"""Swin transformers on video: Liu et al., "Video Swin Transformer", CVPR 2022, arXiv:2106.13230, with windows of one
frame (the 2D Swin, averaged over the frames), of some frames (local attention) or of all frames (joint attention). What
the patch shift transformer (models/pst.py) is made of and compared with (arXiv:2207.13259, Tables 2e and 6).

B clips, T frames after the tubelet embedding, H x W the map of a stage, N tokens of a window, h heads, C width.

The network is torchvision's SwinTransformer3d, with its parameter names; its attention is exchanged for one that is
fused and gathers each token once on its way into a window and once on its way back. In the numbers nothing differs
(tests/models/test_swin.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.swin_transformer import SwinTransformer3d

from vtbench.layers.patch_shift import inverse_order, reorder
from vtbench.layers.windows import Sizes, Windows, bias_entries
from vtbench.models.framewise import ClipSizes, Counts, Width, check_clips
from vtbench.models.weights.swin import from_swin

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
        """Into windows, attention, and back; the map is padded where windows do not divide it."""
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


@dataclass(frozen=True, kw_only=True)
class SwinSizes(ClipSizes):
    """Sizes of a Swin transformer on video; the defaults are Swin-T's, with windows of one frame.

    - tubelet_size: frames of an embedded patch, which divide num_frames
    - patch_size: side of a patch in pixels, which divides img_size
    - embed_dim: width of the first stage, doubled by each further one
    - depths, num_heads: blocks, and heads of their attention, of each stage
    - window_frames: of a window, after the tubelet: 1 for 2D, all of them for joint attention
    - window_size: side of a window, in patches
    - drop_path: rate of stochastic depth in the last block, rising from 0 in the first
    - head_dropout: before the head
    """

    tubelet_size: Width = 2
    patch_size: Width = 4
    embed_dim: Width = 96
    depths: Counts = (2, 2, 6, 2)
    num_heads: Counts = (3, 6, 12, 24)
    window_frames: Width = 1
    window_size: Width = 7
    drop_path: float = 0.1
    head_dropout: float = 0.5

    at_least_one = (*ClipSizes.at_least_one, "tubelet_size", "patch_size", "embed_dim", "window_frames", "window_size")

    def __post_init__(self) -> None:
        super().__post_init__()
        depths, num_heads = self.depths, self.num_heads
        if len(depths) != len(num_heads) or not depths or min(*depths, *num_heads) < 1:
            raise ValueError(
                f"depths={list(depths)}, num_heads={list(num_heads)}: give one of each, at least 1, per stage"
            )
        if sum(depths) < 2:
            raise ValueError(f"depths={list(depths)}: must be at least 2 blocks together")
        if self.num_frames % self.tubelet_size:
            raise ValueError(f"num_frames={self.num_frames}: must be a multiple of tubelet_size={self.tubelet_size}")
        if self.img_size % self.patch_size:
            raise ValueError(f"img_size={self.img_size}: must be a multiple of patch_size={self.patch_size}")
        for stage, heads in enumerate(num_heads, start=1):
            if self.width(stage) % heads:
                width = f"{self.width(stage)}, the width of stage {stage}"
                raise ValueError(f"num_heads={list(num_heads)}: {heads} do not divide {width}")
        for name in ("drop_path", "head_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be in [0, 1)")
        frames, _, side = self.maps[-1]
        if frames % self.window_frames:
            raise ValueError(f"window_frames={self.window_frames}: must divide the {frames} frames after the tubelet")
        if self.window_size > side:
            raise ValueError(
                f"window_size={self.window_size}: the map of stage {len(depths)} has {side} x {side} patches and "
                "cannot hold it; take smaller windows, smaller patches or larger frames"
            )

    @property
    def maps(self) -> list[Sizes]:
        """T x H x W of the map of each stage."""
        side = self.img_size // self.patch_size
        sides = [-(-side // 2**stage) for stage in range(len(self.depths))]
        return [(self.num_frames // self.tubelet_size, side, side) for side in sides]

    def width(self, stage: int) -> int:
        """C of a stage, from 1."""
        return self.embed_dim * 2 ** (stage - 1)

    def windows(self, stage: int, block: int) -> Windows:
        """The windows of a block (from 0) of a stage (from 1). In every second block they are moved by half their size,
        but not along an axis that one window spans."""
        size, window = self.maps[stage - 1], (self.window_frames, self.window_size, self.window_size)
        t, h, w = (part // 2 if block % 2 and n > part else 0 for n, part in zip(size, window, strict=True))
        return Windows(size, window, (t, h, w))


class VideoSwin(SwinTransformer3d):
    """torchvision's SwinTransformer3d on clips (B, F, 3, H, W) -> logits (B, num_classes): the mean over all tokens,
    dropout, a linear head."""

    foreign_weights = (from_swin,)

    def __init__(self, config: SwinSizes) -> None:
        """The attention of every block is still to be put in."""
        super().__init__(
            patch_size=[config.tubelet_size, config.patch_size, config.patch_size],
            embed_dim=config.embed_dim,
            depths=list(config.depths),
            num_heads=list(config.num_heads),
            window_size=[1, 1, 1],  # of the attention that is exchanged
            stochastic_depth_prob=config.drop_path,
            num_classes=config.num_classes,
        )
        self.config = config
        self.head_dropout = nn.Dropout(config.head_dropout)

    def blocks(self, stage: int) -> nn.Sequential:
        """The blocks of a stage, from 1."""
        blocks: nn.Sequential = self.features[2 * (stage - 1)]
        return blocks

    def forward(self, clips: Float[Tensor, "B F 3 H W"]) -> Float[Tensor, "B classes"]:
        """Logits. Raises ValueError for another F, H or W than the network was built for."""
        check_clips(clips, self.config)
        x = self.features(self.patch_embed(clips.transpose(1, 2)))  # (B, T, H, W, C)
        logits: Tensor = self.head(self.head_dropout(self.norm(x).mean(dim=(1, 2, 3))))
        return logits


@dataclass(frozen=True, kw_only=True)
class SwinConfig(SwinSizes):
    """A Swin transformer on video; the defaults are the 2D Swin-T, "none" and "Avgpool" of arXiv:2207.13259.

    - attention: "window" or "sparse" (SparseAttention)
    """

    attention: Attention = "window"

    def build(self) -> VideoSwin:
        """The network, weights drawn at random."""
        network = VideoSwin(self)
        number = 0  # of the block, through all stages
        for stage, heads in enumerate(self.num_heads, start=1):
            for i, block in enumerate(network.blocks(stage)):
                if self.attention == "sparse":
                    block.attn = SparseAttention(self.width(stage), heads, self.windows(stage, i), phase=number % 4)
                else:
                    block.attn = WindowAttention(self.width(stage), heads, self.windows(stage, i))
                number += 1
        return network


# ---- as the tables of arXiv:2207.13259 name them ---------------------------------------------------------------------

SWIN_B: dict[str, Any] = {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32), "drop_path": 0.2}
"""Swin-B where it differs from Swin-T."""


def swin_2d_t(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """2D Swin-T of Table 6, Avgpool of Table 2e."""
    return SwinConfig(num_classes, num_frames, img_size).build()


def swin_2d_b(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """2D Swin-B of Table 6."""
    return SwinConfig(num_classes, num_frames, img_size, **SWIN_B).build()


def video_swin_t(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """Video-Swin-T of Table 6, Joint of Table 2e: windows of all frames."""
    return SwinConfig(num_classes, num_frames, img_size, window_frames=num_frames // 2).build()


def video_swin_b(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """Video-Swin-B of Table 6."""
    return SwinConfig(num_classes, num_frames, img_size, window_frames=num_frames // 2, **SWIN_B).build()
