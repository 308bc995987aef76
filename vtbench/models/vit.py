"""The frame-wise ViT that MSCA and TokenShift start from: a ViT on every frame, logits averaged over the frames.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929, as used in Hashiguchi and Tamaki,
"Temporal Cross-attention for Action Recognition", ACCV workshops 2022, arXiv:2204.00452, Section 3.1 (Eqs. 1-3, 12-16),
and in Zhang, Hao and Ngo, "Token Shift Transformer for Video Classification", ACM MM 2021. Official code of the latter:
https://github.com/VideoNetworks/TokShift-Transformer at a7abb7e.

B clips, T frames, N patches per frame (N+1 tokens: index 0 is the class token), D width, h heads.

The network is timm's VisionTransformer with timm's parameter names. Three points where paper and code differ and the
code (which is also what the ImageNet-21k weights were trained with) is followed:
- Eq. 14 prints softmax(Q K^T / sqrt(D)); the code divides by sqrt(D/h), the width of a head (msca-softmax-scale).
- Eq. 16 prints the heads side by side and nothing after them; the code has the output projection
  (msca-no-output-projection).
- The paper averages "frame-wise features"; the code averages the logits, which is the same thing for a linear head.
The head starts at zero, as the code's `zero_head=True` does when it loads ImageNet weights; `zero_head=False` is for a
training from random weights, where a head of zeros would keep gradients from the rest of the network at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vtbench.models.framewise import ClipSizes, Count, Framewise, Width
from vtbench.models.weights.vit import from_distilled, from_google, from_tokshift


@dataclass(frozen=True, kw_only=True)
class ViTSizes(ClipSizes):
    """Sizes of a ViT on frames; the defaults are ViT-B/16's.

    - patch_size: side of a patch in pixels, which divides img_size
    - embed_dim: D, a multiple of num_heads
    - depth: blocks
    - num_heads: h
    """

    patch_size: Width = 16
    embed_dim: Width = 768
    depth: Count = 12
    num_heads: Count = 12

    at_least_one = (*ClipSizes.at_least_one, "patch_size", "embed_dim", "depth", "num_heads")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.img_size % self.patch_size:
            raise ValueError(f"img_size={self.img_size}: must be a multiple of patch_size={self.patch_size}")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim={self.embed_dim}: must be a multiple of num_heads={self.num_heads}")


class FramewiseViT(Framewise, VisionTransformer):
    """timm's VisionTransformer on clips: (B, T, 3, H, W) -> (B, num_classes).

    Its state dict is that of timm's `vit_base_patch16_224` at the same sizes.
    """

    foreign_weights = (from_tokshift, from_google, from_distilled)

    def __init__(self, config: ViTSizes, *, zero_head: bool = True, drop_path: float = 0.0) -> None:
        """`zero_head`: whether the classification head starts at zero. `drop_path`: rate of stochastic depth in the
        last block, rising from 0 in the first."""
        super().__init__(
            img_size=config.img_size,
            patch_size=config.patch_size,
            num_classes=config.num_classes,
            embed_dim=config.embed_dim,
            depth=config.depth,
            num_heads=config.num_heads,
            drop_path_rate=drop_path,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )
        self.config = config
        for block in self.blocks:
            block.attn.fused_attn = True  # scaled_dot_product_attention whatever timm's environment variable says
        if zero_head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)


@dataclass(frozen=True, kw_only=True)
class ViTConfig(ViTSizes):
    """The frame-wise ViT; the defaults are the row "ViT" of MSCA's tables 1 to 5.

    - zero_head: whether the classification head starts at zero
    """

    zero_head: bool = True

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        return FramewiseViT(self, zero_head=self.zero_head)


def vit_b16(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """The frame-wise ViT of MSCA's tables, on ViT-B/16."""
    return ViTConfig(num_classes, num_frames, img_size).build()


def vit_b16_base2d(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """Base2D of LAPS's Table 3, on ViT-B/16: as vit_b16, but for a head that starts at random."""
    return ViTConfig(num_classes, num_frames, img_size, zero_head=False).build()
