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

from typing import Literal, get_args

from jaxtyping import Float
from timm.models.vision_transformer import Attention
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from vtbench.layers.shift import Boundary, shift_slices
from vtbench.models.framewise import check_choice
from vtbench.models.vit import FramewiseViT

Shifted = Literal["q", "k", "v", "qk", "kv", "qv", "qkv"]
"""Which of query, key and value are taken from the neighbouring frames."""


class MSCAttention(nn.Module):
    """Multi-head self/cross-attention (Eq. 17 and its variants) in place of a timm attention module.

    It takes over the projections of `attention`, so parameter names (and the random numbers spent on them) stay the
    ViT's. Of the projections named in `shifted`, along `direction` (the heads or the tokens), `backward` entries from
    index `start` on are read from t-1 and the `forward` ones after them from t+1.
    """

    def __init__(
        self,
        attention: Attention,
        *,
        num_frames: int,
        shifted: Shifted,
        direction: Literal["heads", "tokens"],
        start: int,
        backward: int,
        forward: int,
        boundary: Boundary,
    ) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.num_heads = attention.num_heads
        self.num_frames = num_frames
        self.shifted = shifted
        self.dim = {"tokens": 2, "heads": 3}[direction]
        self.start = start
        self.sizes = (backward, forward)
        self.boundary = boundary

    def shift(self, x: Float[Tensor, "BT tokens h d"]) -> Float[Tensor, "BT tokens h d"]:
        clips = x.unflatten(0, (-1, self.num_frames))  # (B, T, N+1, h, D/h)
        return shift_slices(
            clips, dim=self.dim, start=self.start, sizes=self.sizes, offsets=(-1, 1), boundary=self.boundary
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
            (self.shift(part) if name in self.shifted else part).transpose(1, 2)  # (B T, h, N+1, D/h)
            for name, part in zip("qkv", qkv.unbind(2), strict=True)
        )
        heads = scaled_dot_product_attention(q, k, v)  # (B T, h, N+1, D/h), Eqs. 17, 18, 22, 23
        return self.proj(heads.transpose(1, 2).flatten(2))


def _with_msca(
    network: FramewiseViT,
    *,
    num_msca_blocks: int | None,
    shifted: Shifted,
    direction: Literal["heads", "tokens"],
    start: int,
    backward: int,
    forward: int,
    boundary: Boundary,
) -> FramewiseViT:
    """`network` with MSCA in its last `num_msca_blocks` blocks (Section 4.4: "near the end (or top)"), or in all."""
    depth = len(network.blocks)
    if num_msca_blocks is None:
        num_msca_blocks = depth
    if not 0 <= num_msca_blocks <= depth:
        raise ValueError(f"num_msca_blocks={num_msca_blocks}: must be 0 to {depth}, the number of blocks (depth)")
    for block in network.blocks[depth - num_msca_blocks :]:
        block.attn = MSCAttention(
            block.attn,
            num_frames=network.num_frames,
            shifted=shifted,
            direction=direction,
            start=start,
            backward=backward,
            forward=forward,
            boundary=boundary,
        )
    return network


def msca(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    shifted: Literal["q", "k", "v", "qk", "kv", "qv", "qkv"] = "kv",
    backward_heads: int = 0,
    forward_heads: int = 0,
    num_msca_blocks: int | None = None,
    boundary: Literal["zero", "replicate", "cyclic"] = "zero",
) -> FramewiseViT:
    """MSCA in the head direction: MSCA-KV (Eq. 17), MSCA-V (Eq. 18) and the other five of `shifted` (Tables 1 to 3).

    The first `backward_heads` heads (h_b) read from t-1, the next `forward_heads` (h_f) from t+1; together at most
    num_heads. `num_msca_blocks` counts from the top of the network; None is all. Raises ValueError, naming the
    argument, where an argument is impossible.
    """
    check_choice("shifted", shifted, get_args(Shifted))
    check_choice("boundary", boundary, get_args(Boundary))
    if min(backward_heads, forward_heads) < 0 or backward_heads + forward_heads > num_heads:
        raise ValueError(
            f"backward_heads={backward_heads}, forward_heads={forward_heads}: must be at least 0 and together at most "
            f"num_heads={num_heads}"
        )
    network = FramewiseViT(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
    )
    return _with_msca(
        network,
        num_msca_blocks=num_msca_blocks,
        shifted=shifted,
        direction="heads",
        start=0,
        backward=backward_heads,
        forward=forward_heads,
        boundary=boundary,
    )


def msca_patch(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    shifted: Literal["q", "k", "v", "qk", "kv", "qv", "qkv"] = "kv",
    backward_patches: int = 0,
    forward_patches: int = 0,
    num_msca_blocks: int | None = None,
    include_class_token: bool = True,
    boundary: Literal["zero", "replicate", "cyclic"] = "zero",
) -> FramewiseViT:
    """MSCA in the patch direction: MSCA-pKV (Eqs. 21, 22), MSCA-pV (Eq. 23) and the other five (Tables 4 and 5).

    The first `backward_patches` tokens (N_b) read from t-1, the next `forward_patches` (N_f; the header of Table 4
    prints N_b twice, msca-nb-nb) from t+1. Token 0 is the class token; `include_class_token=False` begins the count at
    token 1. Together at most the number of tokens counted. `num_msca_blocks` counts from the top of the network; None
    is all. Raises ValueError, naming the argument, where an argument is impossible.
    """
    check_choice("shifted", shifted, get_args(Shifted))
    check_choice("boundary", boundary, get_args(Boundary))
    network = FramewiseViT(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
    )
    start = 0 if include_class_token else 1
    tokens = network.patch_embed.num_patches + 1 - start
    if min(backward_patches, forward_patches) < 0 or backward_patches + forward_patches > tokens:
        raise ValueError(
            f"backward_patches={backward_patches}, forward_patches={forward_patches}: must be at least 0 and together "
            f"at most {tokens}, the tokens of a frame {'with' if include_class_token else 'without'} the class token"
        )
    return _with_msca(
        network,
        num_msca_blocks=num_msca_blocks,
        shifted=shifted,
        direction="tokens",
        start=start,
        backward=backward_patches,
        forward=forward_patches,
        boundary=boundary,
    )
