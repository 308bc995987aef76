"""The frame-wise ResT: Zhang and Yang, "ResT: An Efficient Transformer for Visual Recognition", NeurIPS 2021,
arXiv:2105.13677. Official code: https://github.com/wofmanaf/ResT, `models/rest.py` (ResT v1).

Written from the paper; parameter names are the official code's, so that its checkpoints load. Logits are averaged over
the frames: the row Base2D of LAPS with the backbone RstS (arXiv:2207.05526, Table 3).

B frames, H x W the map of a stage, N = H W queries, M keys of the map reduced by `sr_ratio`, D width, h heads.

- Efficient multi-head self-attention (Section 3.2): keys and values come from a map reduced by a depth-wise convolution
  of stride sr_ratio; with more than one head, the logits of all heads are mixed by a 1x1 convolution before the softmax
  and normalised per head over (N, M) after it (Eq. 5). With one head neither exists and attention is fused.
- Pixel attention (Section 3.3) takes the place of position embeddings, so any resolution will do.
Where the paper and its code differ we follow the code: the stem has three convolutions (the code's BasicStem).
The code computes the map of a stage as H // 2, which breaks on odd maps; here it is what the convolution gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from timm.layers import Mlp, trunc_normal_
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vtbench.models.framewise import ClipSizes, Framewise, Width
from vtbench.models.weights.laps import from_rest

NUM_HEADS = (1, 2, 4, 8)
SR_RATIOS = (8, 4, 2, 1)
"""Heads and reduction of keys and values per stage, the same in all sizes of ResT."""


class ResTAttention(nn.Module):
    """Efficient multi-head self-attention over the tokens (B, H W, D) of one map."""

    def __init__(self, dim: int, *, num_heads: int, sr_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.sr: nn.Module | None = None
        if sr_ratio > 1:
            self.sr = nn.Conv2d(dim, dim, sr_ratio + 1, stride=sr_ratio, padding=sr_ratio // 2, groups=dim)
            self.sr_norm = nn.LayerNorm(dim)
        self.transform_conv: nn.Module | None = None
        if num_heads > 1:
            self.transform_conv = nn.Conv2d(num_heads, num_heads, 1)
            self.transform_norm = nn.InstanceNorm2d(num_heads)

    def attend(
        self, q: Float[Tensor, "B h N d"], k: Float[Tensor, "B h M d"], v: Float[Tensor, "B h M d"]
    ) -> Float[Tensor, "B h N d"]:
        """Attention of all heads; their weights are mixed and normalised where there are several (Eq. 5)."""
        if self.transform_conv is None:
            return scaled_dot_product_attention(q, k, v)
        weights = self.transform_conv((q * self.scale) @ k.transpose(-2, -1))
        return self.transform_norm(weights.softmax(dim=-1)) @ v

    def merge(self, heads: Float[Tensor, "B h N d"]) -> Float[Tensor, "B N D"]:
        """Heads side by side."""
        return heads.transpose(1, 2).flatten(2)

    def forward(self, x: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """`grid` is (H, W) of the map."""
        reduced = x
        if self.sr is not None:
            maps = x.transpose(1, 2).unflatten(2, grid)  # (B, D, H, W)
            reduced = self.sr_norm(self.sr(maps).flatten(2).transpose(1, 2))
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, h, N, d)
        k, v = self.kv(reduced).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, h, M, d) each
        return self.proj(self.merge(self.attend(q, k, v)))


class Block(nn.Module):
    """Attention and MLP with a norm before each and a residual around each."""

    def __init__(self, dim: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Float[Tensor, "B N D"]:
        """`grid` is (H, W) of the map."""
        x = x + self.attn(self.norm1(x), grid)
        return x + self.mlp(self.norm2(x))


class PixelAttention(nn.Module):
    """Position encoding by a gate: x * sigmoid(depth-wise 3x3 convolution of x)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pa_conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Float[Tensor, "B D H W"]) -> Float[Tensor, "B D H W"]:
        """The map behind the gate."""
        return x * self.pa_conv(x).sigmoid()


class Stem(nn.Module):
    """Three 3x3 convolutions, the first and the last of stride 2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, dim // 2, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(dim // 2)
        self.conv2 = nn.Conv2d(dim // 2, dim // 2, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(dim // 2)
        self.conv3 = nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1, bias=False)
        self.pos = PixelAttention(dim)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D H4 W4"]:
        """A quarter of the map (rounded up), with positions."""
        x = self.norm1(self.conv1(x)).relu_()
        x = self.norm2(self.conv2(x)).relu_()
        return self.pos(self.conv3(x))


class PatchEmbed(nn.Module):
    """From one stage to the next: half the map, twice the width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(dim)
        self.pos = PixelAttention(dim)

    def forward(self, x: Float[Tensor, "B D2 H W"]) -> Float[Tensor, "B D H2 W2"]:
        """Half of the map (rounded up), with positions."""
        return self.pos(self.norm(self.conv(x)))


@dataclass(frozen=True, kw_only=True)
class ResTConfig(ClipSizes):
    """The frame-wise ResT; the defaults are ResT-Small. Base: embed_dim 96; large: 96 and depths (2, 2, 18, 2).

    - embed_dim: width of the first stage, doubled by each further one
    - depths: blocks of the four stages
    """

    embed_dim: Width = 64
    depths: Annotated[tuple[int, int, int, int], Ge(1), Le(1000)] = (2, 2, 6, 2)

    at_least_one = (*ClipSizes.at_least_one, "embed_dim")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != 4 or min(self.depths) < 1:
            raise ValueError(
                f"depths={list(self.depths)}: must be the numbers of blocks of four stages, each at least 1"
            )
        if self.embed_dim % 2:
            raise ValueError(f"embed_dim={self.embed_dim}: must be even, the stem is half as wide")
        if self.img_size <= 32:
            raise ValueError(
                f"img_size={self.img_size}: must be at least 33, as a last map of 1x1 leaves nothing to normalise"
            )

    def build(self) -> FramewiseResT:
        """The network, weights drawn at random."""
        return FramewiseResT(self)


class FramewiseResT(Framewise, nn.Module):
    """ResT v1 on clips: (B, T, 3, H, W) -> (B, num_classes).

    `attention(dim, num_heads=..., sr_ratio=...)` makes the attention of a block, called in order of the blocks.
    """

    foreign_weights = (from_rest,)

    def __init__(self, config: ResTConfig, *, attention: Callable[..., nn.Module] = ResTAttention) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config.embed_dim)
        for i, (depth, num_heads, sr_ratio) in enumerate(zip(config.depths, NUM_HEADS, SR_RATIOS, strict=True)):
            dim = config.embed_dim * 2**i
            if i:
                self.add_module(f"patch_embed_{i + 1}", PatchEmbed(dim))
            blocks = [Block(dim, attention(dim, num_heads=num_heads, sr_ratio=sr_ratio)) for _ in range(depth)]
            self.add_module(f"stage{i + 1}", nn.ModuleList(blocks))
        self.norm = nn.LayerNorm(dim)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(dim, config.num_classes)
        self.apply(_init_weights)

    def forward_features(self, frames: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """The normalised map of the last stage."""
        maps = self.stem(frames)
        for i in range(len(NUM_HEADS)):
            if i:
                maps = self.get_submodule(f"patch_embed_{i + 1}")(maps)
            grid = (maps.shape[2], maps.shape[3])
            tokens = maps.flatten(2).transpose(1, 2)
            for block in self.get_submodule(f"stage{i + 1}").children():
                tokens = block(tokens, grid)
            if i == len(NUM_HEADS) - 1:
                tokens = self.norm(tokens)
            maps = tokens.transpose(1, 2).unflatten(2, grid)
        return maps

    def forward_head(self, maps: Float[Tensor, "B D h w"]) -> Float[Tensor, "B classes"]:
        """Logits of the average over the map."""
        return self.head(self.avg_pool(maps).flatten(1))


@torch.no_grad()
def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        module.bias.zero_()


def rest_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseResT:
    """Base2D of LAPS's Table 3, on ResT-Small."""
    return ResTConfig(num_classes, num_frames, img_size).build()


def rest_b(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseResT:
    """ResT-Base frame by frame, the backbone of LAPS (RB)."""
    return ResTConfig(num_classes, num_frames, img_size, embed_dim=96).build()


def rest_l(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseResT:
    """ResT-Large frame by frame, the backbone of LAPS (RL)."""
    return ResTConfig(num_classes, num_frames, img_size, embed_dim=96, depths=(2, 2, 18, 2)).build()
