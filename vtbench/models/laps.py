"""LAPS: Zhang, Cheng, Hao and Ngo, "Long-term Leap Attention, Short-term Periodic Shift for Video Classification",
ACM MM 2022, arXiv:2207.05526. Official code: https://github.com/VideoNetworks/LAPS-transformer at bf1a249.

Leap attention and periodic shift in place of the frame-wise attention of an image network (Section 3; Tables 1 to 6),
and what Table 1 compares them with: joint (3D) attention and the plain temporal shift. No parameter is added.

B clips, T frames, N tokens per frame, h heads of width z, D = h z.

Order, as in the code: projections, attention (Eqs. 7-13), heads side by side (Eq. 14), shift (Eqs. 16-18), output
projection. The paper's "P-Shift + LA" is leap attention first (laps-cascade-order), and Eq. 14 prints no output
projection, which the ImageNet weights have (laps-output-projection); projections are D x D, not z x z as in Eq. 7
(laps-per-head-projection).

Where paper and code differ, the arguments choose; the defaults are the paper's, in brackets what gives the code's:
- `shift_fraction`: 1/8 of a head's channels in each direction (0.25 in the configs published with the code; 0.125 in
  those of its version 1, and in ResT's);
- `first`: Eq. 16 reads the first group of channels from t-1 ("next": from t+1);
- `levels` and `loop`: R = 1, 2, 3 over the whole depth, "we loop pyramid level R by values [1, 2, 3]" (Visformer with
  32 frames: levels 1 to 5; ViT: [1, 2, 3, 1]; ResT: loop "stage", which starts anew in every stage).
The attention scale is the same: the code multiplies q and k by z^(-1/4) each (laps-attention-scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal, get_args

from jaxtyping import Float, Shaped
from timm.models.visformer import Attention as TimmVisformerAttention
from timm.models.vision_transformer import Attention as TimmViTAttention
from torch import Tensor, nn

from vtbench.layers.attention import group_frames, grouped_attention, leap_step, ungroup_frames
from vtbench.layers.shift import Boundary, First, periodic_shift, temporal_shift
from vtbench.models.framewise import check_choice
from vtbench.models.rest import FramewiseResT, ResTAttention
from vtbench.models.visformer import FramewiseVisformer
from vtbench.models.vit import FramewiseViT

Attention = Literal["leap", "joint", "framewise"]
"""Which frames attend to each other: pairs (LA), all (3D), none (2D)."""
Shift = Literal["periodic", "plain", "none"]
"""What is exchanged between neighbouring frames after the attention: channels of every head, of all heads, nothing."""
Loop = Literal["depth", "stage"]
"""Whether the list of levels is repeated over all attention blocks, or anew in every stage."""


@dataclass(frozen=True)
class Temporal:
    """What one attention block does between frames."""

    num_frames: int
    size: int
    """Frames that attend to each other, `step` apart: 1, 2 (leap) or T (joint)."""
    step: int
    shift: Shift
    fraction: float
    first: First
    boundary: Boundary

    @property
    def groups(self) -> dict[str, int]:
        """Which frames attend to each other, as vtbench.layers.attention takes it."""
        return {"num_frames": self.num_frames, "size": self.size, "step": self.step}

    def channels(self, num_heads: int, head_dim: int) -> int:
        """Channels that are shifted in each direction: of a head (periodic) or of all (plain)."""
        if self.shift == "none":
            return 0
        of = head_dim if self.shift == "periodic" else num_heads * head_dim
        channels = round(self.fraction * of)
        if channels != self.fraction * of:
            what = "the channels of a head" if self.shift == "periodic" else "the channels"
            raise ValueError(f"shift_fraction={self.fraction}: is no whole number of the {of} channels ({what})")
        return channels

    def merge_heads(self, heads: Shaped[Tensor, "BT ..."], *, dim: int, channels: int) -> Shaped[Tensor, "BT ..."]:
        """Heads in dimension `dim` and their channels in dim + 1 side by side (Eq. 14), some of them shifted."""
        clips = heads.unflatten(0, (-1, self.num_frames))
        if self.shift == "periodic":
            # On the heads as they lie: what the shift copies is then in the order that merging them needs.
            shifted = periodic_shift(clips, dim=dim + 1, channels=channels, first=self.first, boundary=self.boundary)
            return shifted.flatten(0, 1).flatten(dim, dim + 1)
        clips = clips.flatten(dim + 1, dim + 2)
        if self.shift == "plain":
            clips = temporal_shift(clips, dim=dim + 1, channels=channels, first=self.first, boundary=self.boundary)
        return clips.flatten(0, 1)


class _TakenOver(nn.Module):
    """Has the projections of a timm attention module, so that parameter names stay."""

    def __init__(self, attention: TimmViTAttention | TimmVisformerAttention, temporal: Temporal) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.num_heads, self.temporal = attention.num_heads, temporal
        self.channels = temporal.channels(attention.num_heads, attention.head_dim)


class LAPSViTAttention(_TakenOver):
    """In place of timm's ViT attention."""

    def forward(
        self, x: Float[Tensor, "BT N D"], attn_mask: None = None, is_causal: bool = False
    ) -> Float[Tensor, "BT N D"]:
        """timm's blocks pass the two last arguments, which have no meaning here."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B T, h, N, z), Eq. 7
        heads = grouped_attention(q, k, v, **self.temporal.groups)
        return self.proj(self.temporal.merge_heads(heads.transpose(1, 2), dim=2, channels=self.channels))


class LAPSVisformerAttention(_TakenOver):
    """In place of timm's Visformer attention, on maps."""

    def forward(self, x: Float[Tensor, "BT D H W"]) -> Float[Tensor, "BT D H W"]:
        qkv = self.qkv(x).flatten(2).unflatten(1, (3, self.num_heads, -1))  # (B T, 3, h, z, N), Eq. 7
        q, k, v = qkv.transpose(3, 4).unbind(1)
        heads = grouped_attention(q, k, v, **self.temporal.groups)  # (B T, h, N, z)
        maps = self.temporal.merge_heads(heads.transpose(2, 3), dim=1, channels=self.channels)
        return self.proj(maps.unflatten(2, x.shape[2:]))


class LAPSResTAttention(ResTAttention):
    """ResT's attention over groups of frames; mixing and normalising of the weights act on a group's whole map."""

    def __init__(self, dim: int, *, num_heads: int, sr_ratio: int, temporal: Temporal) -> None:
        super().__init__(dim, num_heads=num_heads, sr_ratio=sr_ratio)
        self.temporal = temporal
        self.channels = temporal.channels(num_heads, dim // num_heads)

    def attend(
        self, q: Float[Tensor, "BT h N d"], k: Float[Tensor, "BT h M d"], v: Float[Tensor, "BT h M d"]
    ) -> Float[Tensor, "BT h N d"]:
        q, k, v = (group_frames(x, **self.temporal.groups) for x in (q, k, v))
        return ungroup_frames(super().attend(q, k, v), **self.temporal.groups)

    def merge(self, heads: Float[Tensor, "BT h N d"]) -> Float[Tensor, "BT N D"]:
        return self.temporal.merge_heads(heads.transpose(1, 2), dim=2, channels=self.channels)


def _temporal(
    *,
    num_frames: int,
    stages: tuple[int, ...],
    attention: Attention,
    levels: tuple[int, ...] | None,
    loop: Loop | None,
    shift: Shift,
    shift_fraction: float | None,
    first: First | None,
    boundary: Boundary | None,
) -> list[Temporal]:
    """What each attention block does, in order; `stages` are the numbers of attention blocks of each stage.

    Raises ValueError that names the argument. `levels` (and `loop`) belong to leap attention, `shift_fraction`, `first`
    and `boundary` to a shift; left out, they are as the paper has them.
    """
    check_choice("attention", attention, get_args(Attention))
    check_choice("shift", shift, get_args(Shift))
    check_choice("loop", loop or "depth", get_args(Loop))
    check_choice("first", first or "previous", get_args(First))
    check_choice("boundary", boundary or "zero", get_args(Boundary))
    if attention != "leap" and (levels is not None or loop is not None):
        raise ValueError(f"levels={levels}, loop={loop}: belong to attention='leap', not to {attention!r}")
    if shift == "none" and not (shift_fraction is first is boundary is None):
        raise ValueError(f"shift_fraction={shift_fraction}, first={first}, boundary={boundary}: belong to a shift")
    fraction = 0.125 if shift_fraction is None else shift_fraction
    if not 0 <= fraction <= 0.5:
        raise ValueError(f"shift_fraction={fraction}: must be in [0, 0.5], there are two groups of channels")
    if levels is not None and not levels:
        raise ValueError("levels=[]: must name at least one pyramid level")
    looped = cycle(levels or (1, 2, 3))
    blocks: list[Temporal] = []
    for depth in stages:
        if loop == "stage":
            looped = cycle(levels or (1, 2, 3))
        for level in islice(looped, max(depth, 0)):  # the network will refuse a negative depth
            size, step = {"leap": (2, 0), "joint": (num_frames, 1), "framewise": (1, 1)}[attention]
            blocks.append(
                Temporal(
                    num_frames=num_frames,
                    size=size,
                    step=step or leap_step(num_frames, level),
                    shift=shift,
                    fraction=fraction,
                    first=first or "previous",
                    boundary=boundary or "zero",
                )
            )
    return blocks


def laps_visformer(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    init_channels: int = 32,
    embed_dim: int = 384,
    depths: tuple[int, int, int] = (7, 4, 4),
    num_heads: int = 6,
    attention: Literal["leap", "joint", "framewise"] = "leap",
    levels: tuple[int, ...] | None = None,
    loop: Literal["depth", "stage"] | None = None,
    shift: Literal["periodic", "plain", "none"] = "periodic",
    shift_fraction: float | None = None,
    first: Literal["previous", "next"] | None = None,
    boundary: Literal["zero", "replicate", "cyclic"] | None = None,
) -> FramewiseVisformer:
    """LAPS in the second and third stage of a Visformer (4 + 4 blocks of Visformer-S), and Table 1's other attentions.

    `levels`: pyramid levels R (Eq. 15), looped over the attention blocks; default (1, 2, 3). `shift_fraction`: share of
    the channels of a head (plain shift: of all channels) in each direction, in [0, 0.5]; default 1/8. `first`,
    `boundary`, `loop`: see the head of this file; defaults previous, zero, depth. Raises ValueError, naming the
    argument, where an argument is impossible.
    """
    temporal = _temporal(
        num_frames=num_frames,
        stages=tuple(depths)[1:],
        attention=attention,
        levels=levels,
        loop=loop,
        shift=shift,
        shift_fraction=shift_fraction,
        first=first,
        boundary=boundary,
    )
    network = FramewiseVisformer(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        init_channels=init_channels,
        embed_dim=embed_dim,
        depths=depths,
        num_heads=num_heads,
    )
    for block, what in zip(network.attention_blocks, temporal, strict=True):
        block.attn = LAPSVisformerAttention(block.attn, what)
    return network


def laps_rest(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    embed_dim: int = 64,
    depths: tuple[int, int, int, int] = (2, 2, 6, 2),
    attention: Literal["leap", "joint", "framewise"] = "leap",
    levels: tuple[int, ...] | None = None,
    loop: Literal["depth", "stage"] | None = None,
    shift: Literal["periodic", "plain", "none"] = "periodic",
    shift_fraction: float | None = None,
    first: Literal["previous", "next"] | None = None,
    boundary: Literal["zero", "replicate", "cyclic"] | None = None,
) -> FramewiseResT:
    """LAPS in all four stages of a ResT; arguments as of `laps_visformer`."""
    temporal = _temporal(
        num_frames=num_frames,
        stages=tuple(depths),
        attention=attention,
        levels=levels,
        loop=loop,
        shift=shift,
        shift_fraction=shift_fraction,
        first=first,
        boundary=boundary,
    )
    blocks = iter(temporal)
    return FramewiseResT(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        embed_dim=embed_dim,
        depths=depths,
        attention=lambda dim, **sizes: LAPSResTAttention(dim, **sizes, temporal=next(blocks)),
    )


def laps_vit(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    patch_size: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    attention: Literal["leap", "joint", "framewise"] = "leap",
    levels: tuple[int, ...] | None = None,
    loop: Literal["depth", "stage"] | None = None,
    shift: Literal["periodic", "plain", "none"] = "periodic",
    shift_fraction: float | None = None,
    first: Literal["previous", "next"] | None = None,
    boundary: Literal["zero", "replicate", "cyclic"] | None = None,
) -> FramewiseViT:
    """LAPS in all blocks of a ViT, class tokens included; arguments as of `laps_visformer`. A ViT is one stage.

    The head starts at random, as in the official code (`timm/models/vit_laps.py`), not at zero as TokenShift's does.
    """
    temporal = _temporal(
        num_frames=num_frames,
        stages=(depth,),
        attention=attention,
        levels=levels,
        loop=loop,
        shift=shift,
        shift_fraction=shift_fraction,
        first=first,
        boundary=boundary,
    )
    network = FramewiseViT(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        zero_head=False,
    )
    for block, what in zip(network.blocks, temporal, strict=True):
        block.attn = LAPSViTAttention(block.attn, what)
    return network
