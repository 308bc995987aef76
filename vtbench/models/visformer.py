"""The frame-wise Visformer: Chen et al., "Visformer: The Vision-friendly Transformer", ICCV 2021, arXiv:2104.12533.

timm's Visformer with timm's parameter names on every frame, logits averaged over the frames: the row Base2D of LAPS
(arXiv:2207.05526, Tables 1 and 3). A convolutional first stage, attention in the second and third, batch norm
throughout, no class token.
"""

from __future__ import annotations

from typing import Any

from timm.models.visformer import Visformer
from torch import nn

from vtbench.models.framewise import Framewise, check_sizes


class FramewiseVisformer(Framewise, Visformer):
    """timm's Visformer on clips: (B, T, 3, H, W) -> (B, num_classes).

    Its state dict is that of timm's `visformer_small` at the same sizes. `depths` are the blocks of the three stages;
    `init_channels` the width of the stem, `embed_dim` that of the second stage (half of it in the first, twice in the
    third). The maps of the stages are img_size / (patch_size / 2), / (patch_size / 8) and / (patch_size / 8) again,
    each rounded down (360 pixels: 45, 22, 11).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int,
        img_size: int,
        patch_size: int,
        init_channels: int,
        embed_dim: int,
        depths: tuple[int, int, int],
        num_heads: int,
    ) -> None:
        check_sizes(
            num_classes=num_classes,
            num_frames=num_frames,
            img_size=img_size,
            patch_size=patch_size,
            init_channels=init_channels,
            embed_dim=embed_dim,
            num_heads=num_heads,
        )
        if len(depths) != 3 or min(depths) < 0 or not sum(depths):
            raise ValueError(f"depths={list(depths)}: must be the numbers of blocks of three stages")
        if patch_size % 8:
            raise ValueError(f"patch_size={patch_size}: must be a multiple of 8, as the stages divide it")
        smallest = patch_size // 2 * (patch_size // 8) ** 2
        if img_size % 2 or img_size < smallest:
            raise ValueError(f"img_size={img_size}: must be even and at least {smallest}, the stride of the last stage")
        if embed_dim % num_heads or embed_dim % 8:
            raise ValueError(
                f"embed_dim={embed_dim}: must be a multiple of num_heads={num_heads} and of 8, the groups of the first "
                "stage's convolutions"
            )
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            num_classes=num_classes,
            init_channels=init_channels,
            embed_dim=embed_dim,
            depth=tuple(depths),
            num_heads=num_heads,
            # What timm's visformer_small is besides its sizes.
            attn_stage="011",
            spatial_conv="100",
            norm_layer=nn.BatchNorm2d,
            conv_init=True,
            embed_norm=nn.BatchNorm2d,
        )
        self.num_frames = num_frames
        self.img_size = img_size
        for block in self.attention_blocks:
            block.attn.fused_attn = True  # as for the other networks; timm leaves it off here

    @property
    def attention_blocks(self) -> list[Any]:
        """The blocks that attend, in order: those of the second and third stage."""
        return [*self.stage2, *self.stage3]


def visformer(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    init_channels: int = 32,
    embed_dim: int = 384,
    depths: tuple[int, int, int] = (7, 4, 4),
    num_heads: int = 6,
) -> FramewiseVisformer:
    """The frame-wise Visformer; the defaults are Visformer-S.

    img_size in pixels. Raises ValueError, naming the argument, where an argument is impossible.
    """
    return FramewiseVisformer(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        init_channels=init_channels,
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
    )
