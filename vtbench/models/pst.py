"""PST: Xiang et al., "Spatiotemporal Self-attention Modeling with Temporal Patch Shift for Action Recognition", ECCV
2022, arXiv:2207.13259, Section 3 and Appendix A. Official code: https://github.com/MartinXM/TPS at e913d2a,
`mmaction/models/backbones/swin_transformer2d_tps.py`.

B clips, T frames after the tubelet embedding, N tokens of a window, h heads, C width.

A Swin transformer with windows of one frame in which every second block shifts patches between frames before its
attention and back after it (TPS), and the others shift a part of the channels (TCS). The patch shift is the gather that
a window transformer makes anyway, with another index: it costs no copy of its own.

Where paper and code differ or leave things open:
- A positive number of a pattern is "next" in Section 3.2, while the pseudo-code of A.1 and the code roll it from the
  previous frames. `positive` chooses; the default is the code's (pst-code-sign).
- Patterns are anchored at the corner of each window, also of the moved ones (pst-window-tiling), as in the code.
- The biases of a shifted patch belong to where it came from ("shift RPE", Table 2d). The code takes, for the pairs of
  frame t, the places of frame t for the queries and those of frame 0 for the keys, so that biases depend on t even
  where nothing is shifted; here both are of frame t. `key_frame` chooses (pst-code-rpe).
- The code's table of biases is always that of 16 frames; here it is that of the T frames of the network, the same for
  the paper's 32 frames.
- On DeiT (A.3), TPS is in every second block too, over the map of patches, and passes the class token; TSM is that of
  Lin et al. (ICCV 2019) in every block. This part of the code is not public.
- TCS copies the first and last frame where there is no neighbour (the code; TSM, which the paper cites, has zeros
  there), and shifts 1/8 of the channels of each head in each direction (pst-channel-shift).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vtbench.layers.patch_shift import Positive, frame_offsets, inverse_order, patch_shift_order, reorder
from vtbench.layers.shift import Boundary, periodic_shift, temporal_shift
from vtbench.layers.windows import Windows, bias_entries
from vtbench.models.framewise import Count, Width
from vtbench.models.swin import SWIN_B, SwinSizes, VideoSwin, WindowAttention
from vtbench.models.vit import FramewiseViT, ViTSizes

KeyFrame = Literal["same", "first"]
"""Whose places the biases take for the keys of a frame: its own, or those of the first frame (the code)."""

CHANNEL_BOUNDARY: Boundary = "replicate"
"""What TCS reads beyond the ends of a clip: the frame itself, as the code has it."""


def shifted_places(
    places: Int[Tensor, "windows N 3"], offsets: Int[Tensor, " N"], *, num_frames: int
) -> Int[Tensor, "windows N 3"]:
    """The places from which windows are filled by a patch shift: token n from offsets[n] frames later, cyclically."""
    frame = (places[..., 0] + offsets) % num_frames
    return torch.cat((frame[..., None], places[..., 1:]), dim=-1)


def shifted_bias(
    windows: Windows, sources: Int[Tensor, "windows N 3"], *, key_frame: KeyFrame
) -> Int[Tensor, "steps N N"]:
    """Entries of the table of biases of all T frames for windows filled from `sources`: the difference in time of a
    pair is that of the frames that its patches come from. One set of entries if all windows have the same, else one for
    each window in time."""
    inside = windows.places_inside()
    frames = sources.unflatten(0, (windows.steps, -1))[:, 0, :, 0]  # of the first window at each time: (steps, N)
    queries = torch.cat((frames[..., None], inside[:, 1:].expand(len(frames), -1, -1)), dim=-1)
    keys = queries if key_frame == "same" else queries[:1].expand_as(queries)
    entries = bias_entries(queries, keys, (windows.size[0], *windows.window[1:]))
    return entries[:1] if bool((entries == entries[:1]).all()) else entries


@dataclass(frozen=True, kw_only=True)
class ShiftPattern:
    """Which patches are shifted, and where from.

    - pattern: a name or a grid (vtbench.layers.patch_shift); "none" for no patch shift
    - positive: what its positive numbers mean; see the head of this file
    """

    pattern: str | tuple[tuple[int, ...], ...] = "c-9"
    positive: Positive = "previous"


@dataclass(frozen=True, kw_only=True)
class PatchShift(ShiftPattern):
    """How TPS shifts patches of a Swin transformer, and what their biases are.

    - shift_back: whether patches go back after the attention
    - shift_rpe: whether biases go with the patches
    - key_frame: see KeyFrame and the head of this file
    """

    shift_back: bool = True
    shift_rpe: bool = True
    key_frame: KeyFrame = "same"


class PatchShiftAttention(WindowAttention):
    """Temporal patch shift, window attention, shift back (Section 3.2, Fig. 4)."""

    def __init__(self, dim: int, num_heads: int, windows: Windows, shift: PatchShift) -> None:
        frames, rows, columns = windows.window
        offsets = frame_offsets(shift.pattern, rows, columns, num_frames=windows.size[0], positive=shift.positive)
        places = windows.places()
        sources = shifted_places(places, offsets.flatten().repeat(frames), num_frames=windows.size[0])
        super().__init__(
            dim,
            num_heads,
            windows,
            sources=sources,
            returns=None if shift.shift_back else places,
            bias_frames=windows.size[0],
            bias_index=shifted_bias(windows, sources if shift.shift_rpe else places, key_frame=shift.key_frame),
        )


class ChannelShiftAttention(WindowAttention):
    """Temporal channel shift, then window attention (Section 3.3, TCS)."""

    def __init__(
        self, dim: int, num_heads: int, windows: Windows, *, channel_shift: float, key_frame: KeyFrame
    ) -> None:
        """`channel_shift`: share of the channels of each head that is read from either neighbour."""
        channels = round(channel_shift * dim / num_heads)
        if channels != channel_shift * dim / num_heads:
            raise ValueError(
                f"channel_shift={channel_shift}: is no whole number of the {dim // num_heads} channels of a head"
            )
        bias_index = shifted_bias(windows, windows.places(), key_frame=key_frame)
        super().__init__(dim, num_heads, windows, bias_frames=windows.size[0], bias_index=bias_index)
        self.channels = channels

    def forward(self, x: Float[Tensor, "B T H W C"]) -> Float[Tensor, "B T H W C"]:
        """A part of the channels of each head from either neighbouring frame, then attention."""
        if self.channels:
            heads = x.unflatten(-1, (self.num_heads, -1))
            x = periodic_shift(
                heads, dim=4, channels=self.channels, first="previous", boundary=CHANNEL_BOUNDARY
            ).flatten(-2)
        return super().forward(x)


@dataclass(frozen=True, kw_only=True)
class PSTConfig(PatchShift, SwinSizes):
    """PST; the defaults are PST-T. window_frames 2 is PST-T with a dagger.

    - stages: those that shift, from 1
    - alternate: TPS in every second block of them; without it TPS is in all
    - channel_shift: share of the channels of a head that TCS reads from each neighbour, 0 for none. TCS is in the
      blocks that have no TPS
    """

    stages: tuple[int, ...] = (1, 2, 3, 4)
    alternate: bool = True
    channel_shift: float = 0.125

    def __post_init__(self) -> None:
        super().__post_init__()
        stages, count = self.stages, len(self.depths)
        if not stages or len(set(stages)) != len(stages) or not set(stages) <= set(range(1, count + 1)):
            raise ValueError(f"stages={list(stages)}: must be different numbers from 1 to {count}")
        if not 0 <= self.channel_shift <= 0.5:
            raise ValueError(f"channel_shift={self.channel_shift}: must be in [0, 0.5], there are two directions")

    def build(self) -> VideoSwin:
        """The network, weights drawn at random."""
        network = VideoSwin(self)
        for stage, heads in enumerate(self.num_heads, start=1):
            for i, block in enumerate(network.blocks(stage)):
                dim, windows, shifts = self.width(stage), self.windows(stage, i), stage in self.stages
                if self.pattern != "none" and shifts and (i % 2 or not self.alternate):
                    block.attn = PatchShiftAttention(dim, heads, windows, self)
                else:
                    channel_shift = self.channel_shift if shifts else 0.0
                    block.attn = ChannelShiftAttention(
                        dim, heads, windows, channel_shift=channel_shift, key_frame=self.key_frame
                    )
        return network


class ShiftBlock(nn.Module, ABC):
    """A timm block with a shift before its attention, within the residual branch (A.3).

    Takes over the modules of `block`. Tokens are (B T, 1 + N, D), the class token first.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.norm1, self.attn, self.drop_path1 = block.norm1, block.attn, block.drop_path1
        self.norm2, self.mlp, self.drop_path2 = block.norm2, block.mlp, block.drop_path2

    @abstractmethod
    def attend(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """The shift and the attention."""

    def forward(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """The block with its shift inside the first residual branch."""
        x = x + self.drop_path1(self.attend(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class PatchShiftBlock(ShiftBlock):
    """Attention that mixes patches of several frames: shift, attention, shift back. The class token is not shifted."""

    order: Tensor
    inverse: Tensor

    def __init__(self, block: Block, *, offsets: Int[Tensor, " N"], num_frames: int) -> None:
        """`offsets`: from how many frames later each patch is read."""
        super().__init__(block)
        order = patch_shift_order(torch.cat((offsets.new_zeros(1), offsets)), num_frames=num_frames)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse", inverse_order(order), persistent=False)

    def attend(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """Shift, attention, shift back."""
        clips = (-1, len(self.order), x.shape[-1])
        y = self.attn(reorder(x.reshape(clips), self.order, self.inverse).view(x.shape))
        return reorder(y.reshape(clips), self.inverse, self.order).view(x.shape)


class ChannelShiftBlock(ShiftBlock):
    """TSM's channel shift before the attention, of all tokens."""

    def __init__(self, block: Block, *, channels: int, num_frames: int) -> None:
        """`channels`: how many are read from the next frame, and as many from the previous one."""
        super().__init__(block)
        self.channels, self.num_frames = channels, num_frames

    def attend(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """Shift, then attention."""
        clips = x.unflatten(0, (-1, self.num_frames))
        shifted = temporal_shift(clips, dim=3, channels=self.channels, first="next", boundary="zero")
        return self.attn(shifted.flatten(0, 1))


@dataclass(frozen=True, kw_only=True)
class PSTViTConfig(ShiftPattern, ViTSizes):
    """DeiT-S on video, with a patch shift in every second block; the defaults are DeiT-S-TPS of Table 7.

    - channel_shift: share of all channels that TSM reads from each neighbour, in every block (DeiT-S-TSM has 0.125)
    - drop_path: rate of stochastic depth in the last block, rising from 0 in the first
    """

    embed_dim: Width = 384
    num_heads: Count = 6
    channel_shift: float = 0.0
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pattern != "none" and self.channel_shift:
            raise ValueError(
                f"channel_shift={self.channel_shift}: is for pattern none, the paper has no DeiT with both"
            )
        if not 0 <= self.channel_shift <= 0.5 or self.channel_shift * self.embed_dim % 1:
            raise ValueError(
                f"channel_shift={self.channel_shift}: must be in [0, 0.5] and a whole number of {self.embed_dim} "
                "channels"
            )

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        network = FramewiseViT(self, drop_path=self.drop_path)
        side, frames = self.img_size // self.patch_size, self.num_frames
        for i, block in enumerate(network.blocks):
            if self.channel_shift:
                channels = round(self.channel_shift * self.embed_dim)
                network.blocks[i] = ChannelShiftBlock(block, channels=channels, num_frames=frames)
            elif self.pattern != "none" and i % 2:
                offsets = frame_offsets(self.pattern, side, side, num_frames=frames, positive=self.positive)
                network.blocks[i] = PatchShiftBlock(block, offsets=offsets.flatten(), num_frames=frames)
        return network


# ---- as the tables name them -----------------------------------------------------------------------------------------


def pst_t(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """PST-T of Tables 3 to 6, PST of Table 2e."""
    return PSTConfig(num_classes, num_frames, img_size).build()


def pst_t_dagger(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """PST-T with a dagger: windows of two frames."""
    return PSTConfig(num_classes, num_frames, img_size, window_frames=2).build()


def pst_b(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """PST-B of Tables 3 to 5."""
    return PSTConfig(num_classes, num_frames, img_size, **SWIN_B).build()


def pst_b_dagger(num_classes: int = 174, num_frames: int = 32, img_size: int = 224) -> VideoSwin:
    """PST-B with a dagger: windows of two frames."""
    return PSTConfig(num_classes, num_frames, img_size, window_frames=2, **SWIN_B).build()


def deit_s_2d(num_classes: int = 400, num_frames: int = 16, img_size: int = 224) -> FramewiseViT:
    """DeiT-S-2D of Table 7."""
    return PSTViTConfig(num_classes, num_frames, img_size, pattern="none").build()


def deit_s_tsm(num_classes: int = 400, num_frames: int = 16, img_size: int = 224) -> FramewiseViT:
    """DeiT-S-TSM of Table 7."""
    return PSTViTConfig(num_classes, num_frames, img_size, pattern="none", channel_shift=0.125).build()


def deit_s_tps(num_classes: int = 400, num_frames: int = 16, img_size: int = 224) -> FramewiseViT:
    """DeiT-S-TPS of Table 7."""
    return PSTViTConfig(num_classes, num_frames, img_size).build()
