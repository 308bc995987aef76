"""MSCA: Hashiguchi and Tamaki, "Temporal Cross-attention for Action Recognition", ACCV workshops 2022, Section 3.2.

arXiv:2204.00452. The paper names no code of its own; it builds on TokenShift's,
https://github.com/VideoNetworks/TokShift-Transformer.

B clips, T frames, N patches per frame (N+1 tokens: index 0 is the class token), D width, h heads.

Queries, keys and values are computed in every frame (Eq. 12); some of them are then taken from the neighbouring frames
before the attention, either those of the first heads (Eqs. 17, 18) or those of the first tokens (Eqs. 21-23). Nothing
else changes: no parameter and no multiplication is added to the frame-wise ViT.

Readings, where the text leaves a choice:
- "Backward" heads and tokens read from t-1, "forward" ones from t+1, as Eqs. 17 and 21 print
  (msca-shift-direction-name).
- The first h_b heads are backward, the next h_f forward, as the text and Table 1 say; the bounds printed in Eqs. 17 and
  18 would give h_b - 1 and h_f (msca-head-bounds).
- Eq. 21 counts tokens from 0, the class token, so it is among the backward ones; the "shift %" of Table 4 is over N+1
  (msca-patch-bounds-base). `include_class_token=False` starts at the first patch instead.
- Frames beyond the ends of the clip: `boundary`, by default zeros, as in the TokenShift code (msca-boundary-frames).
  Zero keys give uniform attention weights; zero values give a head output of zero.
- Eqs. 22, 23: head i of the token-shifted K' and V' (msca-eq22-index).
- The scale is sqrt(D/h) (msca-softmax-scale), and the output projection of the ViT follows the heads
  (msca-no-output-projection). "MSCA-QKV is a feature shift" is true of the heads, before that projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from timm.models.vision_transformer import Attention
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vtbench.layers.shift import Boundary, shift_slices
from vtbench.models.vit import FramewiseViT, ViTSizes

Shifted = Literal["q", "k", "v", "qk", "kv", "qv", "qkv"]
"""Which of query, key and value are taken from the neighbouring frames."""
Direction = Literal["heads", "tokens"]
"""What is counted from the front to say which part of them is."""


@dataclass(frozen=True, kw_only=True)
class CrossSizes(ViTSizes):
    """What MSCA in the head direction and in the patch direction share, besides the sizes of a ViT.

    - shifted: which of query, key and value are taken from the neighbouring frames
    - num_msca_blocks: blocks with MSCA, the last ones (Section 4.4: "near the end (or top)"); None is all
    - boundary: what lies beyond the ends of a clip
    """

    shifted: Shifted = "kv"
    num_msca_blocks: int | None = None
    boundary: Boundary = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_msca_blocks is not None and not 0 <= self.num_msca_blocks <= self.depth:
            raise ValueError(
                f"num_msca_blocks={self.num_msca_blocks}: must be 0 to {self.depth}, the number of blocks (depth)"
            )

    def with_attention(self, *, direction: Direction, start: int, sizes: tuple[int, int]) -> FramewiseViT:
        """A ViT with MSCA in its last blocks."""
        network = FramewiseViT(self)
        first = 0 if self.num_msca_blocks is None else self.depth - self.num_msca_blocks
        for block in network.blocks[first:]:
            block.attn = MSCAttention(block.attn, self, direction=direction, start=start, sizes=sizes)
        return network


class MSCAttention(nn.Module):
    """Multi-head self/cross-attention (Eq. 17 and its variants) in place of a timm attention module.

    It takes over the projections of `attention`, so parameter names (and the random numbers spent on them) stay the
    ViT's. Of the projections named in `config.shifted`, along `direction`, the sizes[0] entries (heads or tokens) from
    index `start` on are read from t-1 and the sizes[1] after them from t+1.
    """

    def __init__(
        self, attention: Attention, config: CrossSizes, *, direction: Direction, start: int, sizes: tuple[int, int]
    ) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.num_heads, self.config = attention.num_heads, config
        self.dim = {"tokens": 2, "heads": 3}[direction]
        self.start, self.sizes = start, sizes

    def shift(self, x: Float[Tensor, "BT tokens h d"]) -> Float[Tensor, "BT tokens h d"]:
        """K' and V' of Eqs. 17, 18 and 21 to 23, or Q' likewise."""
        clips = x.unflatten(0, (-1, self.config.num_frames))  # (B, T, N+1, h, D/h)
        return shift_slices(
            clips, dim=self.dim, start=self.start, sizes=self.sizes, offsets=(-1, 1), boundary=self.config.boundary
        ).flatten(0, 1)

    def forward(
        self, x: Float[Tensor, "BT tokens D"], attn_mask: None = None, is_causal: bool = False
    ) -> Float[Tensor, "BT tokens D"]:
        """Attention over the tokens of each frame, some of them from its neighbours. timm's blocks pass the two last
        arguments, which have no meaning here."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B T, N+1, 3, h, D/h), Eq. 12
        # Shifted before the transposition: the copies then are contiguous as the attention reads them, so that the
        # shift costs 1% of the attention instead of 6%.
        q, k, v = (
            (self.shift(part) if name in self.config.shifted else part).transpose(1, 2)  # (B T, h, N+1, D/h)
            for name, part in zip("qkv", qkv.unbind(2), strict=True)
        )
        heads = scaled_dot_product_attention(q, k, v)  # (B T, h, N+1, D/h), Eqs. 17, 18, 22, 23
        return self.proj(heads.transpose(1, 2).flatten(2))


@dataclass(frozen=True, kw_only=True)
class MSCAConfig(CrossSizes):
    """MSCA in the head direction: MSCA-KV (Eq. 17), MSCA-V (Eq. 18) and the other five of `shifted` (Tables 1 to 3).

    - backward_heads: h_b, the first heads, which read from t-1
    - forward_heads: h_f, the next ones, which read from t+1; both together are at most num_heads
    """

    backward_heads: int
    forward_heads: int

    def __post_init__(self) -> None:
        super().__post_init__()
        backward, forward = self.backward_heads, self.forward_heads
        if min(backward, forward) < 0 or backward + forward > self.num_heads:
            raise ValueError(
                f"backward_heads={backward}, forward_heads={forward}: must be at least 0 and together at most "
                f"num_heads={self.num_heads}"
            )

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        return self.with_attention(direction="heads", start=0, sizes=(self.backward_heads, self.forward_heads))


@dataclass(frozen=True, kw_only=True)
class MSCAPatchConfig(CrossSizes):
    """MSCA in the patch direction: MSCA-pKV (Eqs. 21, 22), MSCA-pV (Eq. 23) and the other five (Tables 4 and 5).

    - backward_patches: N_b, the first tokens, which read from t-1
    - forward_patches: N_f, the next ones, which read from t+1 (the header of Table 4 prints N_b twice, msca-nb-nb)
    - include_class_token: whether the count begins at token 0, the class token, or at token 1

    Both numbers together are at most the number of tokens counted.
    """

    backward_patches: int
    forward_patches: int
    include_class_token: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        backward, forward = self.backward_patches, self.forward_patches
        tokens = (self.img_size // self.patch_size) ** 2 + self.include_class_token
        if min(backward, forward) < 0 or backward + forward > tokens:
            raise ValueError(
                f"backward_patches={backward}, forward_patches={forward}: must be at least 0 and together at most "
                f"{tokens}, the tokens of a frame {'with' if self.include_class_token else 'without'} the class token"
            )

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        start, sizes = 0 if self.include_class_token else 1, (self.backward_patches, self.forward_patches)
        return self.with_attention(direction="tokens", start=start, sizes=sizes)


# ---- as the tables name them -----------------------------------------------------------------------------------------


def _heads(shifted: Shifted, *sizes: int) -> FramewiseViT:
    """One head from either neighbour, in all blocks: what Section 4.2 keeps for Tables 2 and 3."""
    return MSCAConfig(*sizes, shifted=shifted, backward_heads=1, forward_heads=1, num_msca_blocks=12).build()


def _patches(shifted: Shifted, *sizes: int) -> FramewiseViT:
    """Eight tokens from either neighbour, in all blocks: Table 5."""
    return MSCAPatchConfig(*sizes, shifted=shifted, backward_patches=8, forward_patches=8, num_msca_blocks=12).build()


def msca_q(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-Q of Table 2, on ViT-B/16."""
    return _heads("q", num_classes, num_frames, img_size)


def msca_k(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-K of Table 2, on ViT-B/16."""
    return _heads("k", num_classes, num_frames, img_size)


def msca_v(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-V of Table 2, on ViT-B/16."""
    return _heads("v", num_classes, num_frames, img_size)


def msca_qk(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-QK of Table 2, on ViT-B/16."""
    return _heads("qk", num_classes, num_frames, img_size)


def msca_kv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-KV of Table 2, on ViT-B/16."""
    return _heads("kv", num_classes, num_frames, img_size)


def msca_qv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-QV of Table 2, on ViT-B/16."""
    return _heads("qv", num_classes, num_frames, img_size)


def msca_qkv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-QKV of Table 2, on ViT-B/16."""
    return _heads("qkv", num_classes, num_frames, img_size)


def msca_pq(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pQ of Table 5, on ViT-B/16."""
    return _patches("q", num_classes, num_frames, img_size)


def msca_pk(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pK of Table 5, on ViT-B/16."""
    return _patches("k", num_classes, num_frames, img_size)


def msca_pv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pV of Table 5, on ViT-B/16."""
    return _patches("v", num_classes, num_frames, img_size)


def msca_pqk(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pQK of Table 5, on ViT-B/16."""
    return _patches("qk", num_classes, num_frames, img_size)


def msca_pkv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pKV of Table 5, on ViT-B/16."""
    return _patches("kv", num_classes, num_frames, img_size)


def msca_pqv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pQV of Table 5, on ViT-B/16."""
    return _patches("qv", num_classes, num_frames, img_size)


def msca_pqkv(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """MSCA-pQKV of Table 5, on ViT-B/16."""
    return _patches("qkv", num_classes, num_frames, img_size)
