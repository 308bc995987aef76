"""TokenShift: Zhang, Hao and Ngo, "Token Shift Transformer for Video Classification", ACM MM 2021, arXiv:2108.02432.

As described in Hashiguchi and Tamaki, arXiv:2204.00452, Section 3.1, Eqs. 4-9. Official code:
https://github.com/VideoNetworks/TokShift-Transformer at a7abb7e, `vit_models/modeling_tokshift.py`.

B clips, T frames, N patches per frame (N+1 tokens: index 0 is the class token), D width, h heads.

Differs from the official code: nothing in the numbers (tests/golden holds both together to 1e-5); it rewrites only
the class tokens, and attention is fused. Where the paper differs from the code:
- Eq. 8 reads the first group of channels from t-1 and the next group from t+1; the code reads the first from t+1 and
  the next from t-1. `first` chooses; the default is the code's, whose weights and numbers the paper reports. With
  groups of equal size this is a relabelling of channels for a network trained from scratch, but not for given weights.
- The bounds of Eq. 8 give D_b - 1 channels to the first group, the text and the code D_b (msca-channel-bounds).
- Eq. 8 leaves t = 1 and t = T open; the code puts zeros there (msca-boundary-frames).
- Eq. 9 passes tokens 1 <= n < N through and leaves token N open; it is passed through too (msca-token-range).
- Eq. 7 names z''; z''' of Eq. 6 is meant, as the code has it (msca-eq7-primes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vtbench.layers.shift import Boundary, First, temporal_shift
from vtbench.models.vit import FramewiseViT, ViTSizes


def shift_class_token(
    x: Float[Tensor, "BT tokens D"], *, num_frames: int, channels: int, first: First, boundary: Boundary
) -> Float[Tensor, "BT tokens D"]:
    """The class token's first `channels` channels from one neighbouring frame, the next `channels` from the other
    (Eq. 8); the patch tokens pass (Eq. 9)."""
    class_token, patches = x.split([1, x.shape[1] - 1], dim=1)
    frames = class_token.unflatten(0, (-1, num_frames))  # (B, T, 1, D)
    shifted = temporal_shift(frames, dim=3, channels=channels, first=first, boundary=boundary)
    return torch.cat((shifted.flatten(0, 1), patches), dim=1)


class TokenShiftBlock(nn.Module):
    """A timm block with a shift before the attention and another before the MLP (Eqs. 4-7).

    It takes over the modules of `block`, so parameter names (and the random numbers spent on them) stay the ViT's.
    """

    def __init__(self, block: Block, config: TokenShiftConfig) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = block.norm1, block.attn, block.norm2, block.mlp
        self.config = config

    def shift(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """Eqs. 8 and 9."""
        c = self.config
        return shift_class_token(x, num_frames=c.num_frames, channels=c.channels, first=c.first, boundary=c.boundary)

    def forward(self, x: Float[Tensor, "BT tokens D"]) -> Float[Tensor, "BT tokens D"]:
        """Eqs. 4 to 7."""
        x = self.shift(x)  # Eq. 4
        x = self.attn(self.norm1(x)) + x  # Eq. 5
        x = self.shift(x)  # Eq. 6
        return self.mlp(self.norm2(x)) + x  # Eq. 7


@dataclass(frozen=True, kw_only=True)
class TokenShiftConfig(ViTSizes):
    """TokenShift; the defaults are the ViT-B/16 of the official configuration `k400_tokshift_div4_8x32_base_224`.

    - shift_fraction: share of the D channels of the class token in *each* of the two groups, in [0, 0.5]; 0.25 is the
      code's `fold_div` 4, half of the channels in all. It must give a whole number of channels
    - first: which frame the first group is read from; see the head of this file
    - boundary: what lies beyond the ends of a clip
    """

    shift_fraction: float = 0.25
    first: First = "next"
    boundary: Boundary = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.shift_fraction <= 0.5:
            raise ValueError(
                f"shift_fraction={self.shift_fraction}: must be in [0, 0.5], there are two groups of channels"
            )
        if self.channels != self.shift_fraction * self.embed_dim:
            raise ValueError(
                f"shift_fraction={self.shift_fraction}: is no whole number of the {self.embed_dim} channels (embed_dim)"
            )

    @property
    def channels(self) -> int:
        """Of a group, D_b = D_f in Eq. 8."""
        return round(self.shift_fraction * self.embed_dim)

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        network = FramewiseViT(self)
        for i, block in enumerate(network.blocks):
            network.blocks[i] = TokenShiftBlock(block, self)
        return network


def tokenshift_b16(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """TokenShift of MSCA's Tables 2 and 5, on ViT-B/16."""
    return TokenShiftConfig(num_classes, num_frames, img_size).build()
