"""The frame-wise Visformer: Chen et al., "Visformer: The Vision-friendly Transformer", ICCV 2021, arXiv:2104.12533.

timm's Visformer with timm's parameter names on every frame, logits averaged over the frames: the row Base2D of LAPS
(arXiv:2207.05526, Tables 1 and 3). A convolutional first stage, attention in the second and third, batch norm
throughout, no class token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le
from timm.models.visformer import Visformer
from torch import nn

from vtbench.models.framewise import ClipSizes, Count, Framewise, Width
from vtbench.models.weights.laps import from_laps_visformer


@dataclass(frozen=True, kw_only=True)
class VisformerConfig(ClipSizes):
    """The frame-wise Visformer; the defaults are Visformer-S.

    - patch_size: in pixels, a multiple of 8. The maps of the stages are img_size / (patch_size / 2), / (patch_size / 8)
      and / (patch_size / 8) again, each rounded down (360 pixels: 45, 22, 11)
    - init_channels: width of the stem
    - embed_dim: width of the second stage; half of it in the first, twice in the third
    - depths: blocks of the three stages
    - num_heads: of each attention
    """

    patch_size: Width = 16
    init_channels: Width = 32
    embed_dim: Width = 384
    depths: Annotated[tuple[int, int, int], Ge(1), Le(1000)] = (7, 4, 4)
    num_heads: Count = 6

    at_least_one = (*ClipSizes.at_least_one, "patch_size", "init_channels", "embed_dim", "num_heads")

    def __post_init__(self) -> None:
        super().__post_init__()
        img_size, patch_size, depths = self.img_size, self.patch_size, self.depths
        if len(depths) != 3 or min(depths) < 0 or not sum(depths):
            raise ValueError(f"depths={list(depths)}: must be the numbers of blocks of three stages")
        if patch_size % 8:
            raise ValueError(f"patch_size={patch_size}: must be a multiple of 8, as the stages divide it")
        smallest = patch_size // 2 * (patch_size // 8) ** 2
        if img_size % 2 or img_size < smallest:
            raise ValueError(f"img_size={img_size}: must be even and at least {smallest}, the stride of the last stage")
        if self.embed_dim % self.num_heads or self.embed_dim % 8:
            raise ValueError(
                f"embed_dim={self.embed_dim}: must be a multiple of num_heads={self.num_heads} and of 8, the groups of "
                "the first stage's convolutions"
            )

    def build(self) -> FramewiseVisformer:
        """The network, weights drawn at random."""
        return FramewiseVisformer(self)


class FramewiseVisformer(Framewise, Visformer):
    """timm's Visformer on clips: (B, T, 3, H, W) -> (B, num_classes).

    Its state dict is that of timm's `visformer_small` at the same sizes.
    """

    foreign_weights = (from_laps_visformer,)

    def __init__(self, config: VisformerConfig) -> None:
        super().__init__(
            img_size=config.img_size,
            patch_size=config.patch_size,
            num_classes=config.num_classes,
            init_channels=config.init_channels,
            embed_dim=config.embed_dim,
            depth=tuple(config.depths),
            num_heads=config.num_heads,
            # What timm's visformer_small is besides its sizes.
            attn_stage="011",
            spatial_conv="100",
            norm_layer=nn.BatchNorm2d,
            conv_init=True,
            embed_norm=nn.BatchNorm2d,
        )
        self.config = config
        for block in self.attention_blocks:
            block.attn.fused_attn = True  # as for the other networks; timm leaves it off here

    @property
    def attention_blocks(self) -> list[Any]:
        """The blocks that attend, in order: those of the second and third stage."""
        return [*self.stage2, *self.stage3]


def visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """Base2D of LAPS's Tables 1 and 3, on Visformer-S."""
    return VisformerConfig(num_classes, num_frames, img_size).build()
