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

from functools import partial

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vtbench.models.framewise import Framewise, check_sizes


class FramewiseViT(Framewise, VisionTransformer):
    """timm's VisionTransformer on clips: (B, T, 3, H, W) -> (B, num_classes).

    Its state dict is that of timm's `vit_base_patch16_224` at the same sizes.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int,
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        zero_head: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        check_sizes(
            num_classes=num_classes,
            num_frames=num_frames,
            img_size=img_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
        )
        if img_size % patch_size:
            raise ValueError(f"img_size={img_size}: must be a multiple of patch_size={patch_size}")
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim={embed_dim}: must be a multiple of num_heads={num_heads}")
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            num_classes=num_classes,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            drop_path_rate=drop_path,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )
        self.num_frames = num_frames
        self.img_size = img_size
        for block in self.blocks:
            block.attn.fused_attn = True  # scaled_dot_product_attention whatever timm's environment variable says
        if zero_head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)


def vit(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    zero_head: bool = True,
) -> FramewiseViT:
    """The frame-wise ViT; the defaults are ViT-B/16, the row "ViT" of MSCA's tables 1 to 5.

    img_size and patch_size in pixels; `zero_head`: whether the classification head starts at zero. Raises ValueError,
    naming the argument, for sizes below 1, an img_size that is no multiple of patch_size, or an embed_dim that is no
    multiple of num_heads.
    """
    return FramewiseViT(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        zero_head=zero_head,
    )
