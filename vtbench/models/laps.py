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
  32 frames: levels 1 to 5; ViT: [1, 2, 3, 1]; ResT: loop "stage", which restarts in every stage).
The attention scale is the same: the code multiplies q and k by z^(-1/4) each (laps-attention-scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal

from jaxtyping import Float, Shaped
from timm.models.visformer import Attention as TimmVisformerAttention
from timm.models.vision_transformer import Attention as TimmViTAttention
from torch import Tensor, nn

from vtbench.layers.attention import group_frames, grouped_attention, leap_step, ungroup_frames
from vtbench.layers.shift import Boundary, First, periodic_shift, temporal_shift
from vtbench.models.framewise import ClipSizes
from vtbench.models.rest import FramewiseResT, ResTAttention, ResTConfig
from vtbench.models.visformer import FramewiseVisformer, VisformerConfig
from vtbench.models.vit import FramewiseViT, ViTSizes

Attention = Literal["leap", "joint", "framewise"]
"""Which frames attend to each other: pairs (LA), all (3D), none (2D)."""
Shift = Literal["periodic", "plain", "none"]
"""What is exchanged between neighbouring frames after the attention: channels of every head, of all heads, nothing."""
Loop = Literal["depth", "stage"]
"""Whether the list of levels is repeated over all attention blocks, or restarts in every stage."""


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
        """Attention, then the shift (Eqs. 7-18), and the output projection."""
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
        """Eqs. 8-13: ResT's attention over the tokens of each group of frames."""
        q, k, v = (group_frames(x, **self.temporal.groups) for x in (q, k, v))
        return ungroup_frames(super().attend(q, k, v), **self.temporal.groups)

    def merge(self, heads: Float[Tensor, "BT h N d"]) -> Float[Tensor, "BT N D"]:
        """Eqs. 14, 16-18."""
        return self.temporal.merge_heads(heads.transpose(1, 2), dim=2, channels=self.channels)


@dataclass(frozen=True, kw_only=True)
class LeapShift(ClipSizes):
    """What LAPS adds to a backbone, and Table 1's other attentions. Arguments left out are as the paper has them.

    - attention, shift: see Attention and Shift
    - levels: pyramid levels R (Eq. 15) of leap attention, looped over the attention blocks; by default (1, 2, 3)
    - loop: of the levels, by default "depth"
    - shift_fraction: share of the channels of a head (plain shift: of all channels) that is read from either neighbour,
      in [0, 0.5]; by default 1/8
    - first: where a shift reads its first group of channels from, by default "previous"
    - boundary: what a shift reads beyond the ends of a clip, by default "zero"
    """

    attention: Attention = "leap"
    levels: tuple[int, ...] | None = None
    loop: Loop | None = None
    shift: Shift = "periodic"
    shift_fraction: float | None = None
    first: First | None = None
    boundary: Boundary | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction, first, boundary = self.shift_fraction, self.first, self.boundary
        if self.attention != "leap" and (self.levels is not None or self.loop is not None):
            raise ValueError(
                f"levels={self.levels}, loop={self.loop}: belong to attention='leap', not to {self.attention!r}"
            )
        if self.shift == "none" and not (fraction is first is boundary is None):
            raise ValueError(f"shift_fraction={fraction}, first={first}, boundary={boundary}: belong to a shift")
        if fraction is not None and not 0 <= fraction <= 0.5:
            raise ValueError(f"shift_fraction={fraction}: must be in [0, 0.5], there are two groups of channels")
        if self.levels is not None and not self.levels:
            raise ValueError("levels=[]: must name at least one pyramid level")

    def temporal(self, *stages: int) -> list[Temporal]:
        """What each attention block does, in order; `stages` are the numbers of attention blocks of each stage."""
        looped = cycle(self.levels or (1, 2, 3))
        blocks: list[Temporal] = []
        for depth in stages:
            if self.loop == "stage":
                looped = cycle(self.levels or (1, 2, 3))
            for level in islice(looped, depth):
                frames = self.num_frames
                size, step = {"leap": (2, 0), "joint": (frames, 1), "framewise": (1, 1)}[self.attention]
                blocks.append(
                    Temporal(
                        num_frames=frames,
                        size=size,
                        step=step or leap_step(frames, level),
                        shift=self.shift,
                        fraction=0.125 if self.shift_fraction is None else self.shift_fraction,
                        first=self.first or "previous",
                        boundary=self.boundary or "zero",
                    )
                )
        return blocks


# ---- networks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LAPSVisformerConfig(LeapShift, VisformerConfig):
    """LAPS in the second and third stage of a Visformer (4 + 4 blocks of Visformer-S)."""

    def build(self) -> FramewiseVisformer:
        """The network, weights drawn at random."""
        network = FramewiseVisformer(self)
        for block, what in zip(network.attention_blocks, self.temporal(*self.depths[1:]), strict=True):
            block.attn = LAPSVisformerAttention(block.attn, what)
        return network


@dataclass(frozen=True, kw_only=True)
class LAPSResTConfig(LeapShift, ResTConfig):
    """LAPS in all four stages of a ResT."""

    def build(self) -> FramewiseResT:
        """The network, weights drawn at random."""
        blocks = iter(self.temporal(*self.depths))
        return FramewiseResT(
            self, attention=lambda dim, **sizes: LAPSResTAttention(dim, **sizes, temporal=next(blocks))
        )


@dataclass(frozen=True, kw_only=True)
class LAPSViTConfig(LeapShift, ViTSizes):
    """LAPS in all blocks of a ViT, class tokens included. A ViT is one stage.

    The head starts at random, as in the official code (`timm/models/vit_laps.py`), not at zero as TokenShift's does.
    """

    def build(self) -> FramewiseViT:
        """The network, weights drawn at random."""
        network = FramewiseViT(self, zero_head=False)
        for block, what in zip(network.blocks, self.temporal(self.depth), strict=True):
            block.attn = LAPSViTAttention(block.attn, what)
        return network


# ---- as the tables name them -----------------------------------------------------------------------------------------

LEAP: dict[str, Any] = {"levels": (1, 2, 3), "loop": "depth"}
SHIFTED: dict[str, Any] = {"shift_fraction": 0.125, "first": "previous", "boundary": "zero"}
"""The paper's leap attention and shift."""


def base3d_visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """Base3D of Table 1: joint attention."""
    return LAPSVisformerConfig(num_classes, num_frames, img_size, attention="joint", shift="none").build()


def plain_shift_visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """Plain Shift of Table 1, frame-wise attention."""
    plain: dict[str, Any] = {"attention": "framewise", "shift": "plain"}
    return LAPSVisformerConfig(num_classes, num_frames, img_size, **plain, **SHIFTED).build()


def p_shift_visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """P-Shift of Table 1, frame-wise attention."""
    return LAPSVisformerConfig(num_classes, num_frames, img_size, attention="framewise", **SHIFTED).build()


def la_visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """LA of Table 1, no shift."""
    return LAPSVisformerConfig(num_classes, num_frames, img_size, shift="none", **LEAP).build()


def laps_visformer_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseVisformer:
    """LAPS of Tables 1 and 3 to 5, on Visformer-S; the tables' (B), (L), (H) and (E) have larger clips."""
    return LAPSVisformerConfig(num_classes, num_frames, img_size, **LEAP, **SHIFTED).build()


def laps_visformer_b(num_classes: int = 400, num_frames: int = 8, img_size: int = 320) -> FramewiseVisformer:
    """LAPS (B) of Table 3."""
    return laps_visformer_s(num_classes, num_frames, img_size)


def laps_visformer_l(num_classes: int = 400, num_frames: int = 16, img_size: int = 320) -> FramewiseVisformer:
    """LAPS (L) of Tables 3 and 4."""
    return laps_visformer_s(num_classes, num_frames, img_size)


def laps_visformer_h(num_classes: int = 400, num_frames: int = 32, img_size: int = 320) -> FramewiseVisformer:
    """LAPS (H) of Tables 3 to 6."""
    return laps_visformer_s(num_classes, num_frames, img_size)


def laps_visformer_e(num_classes: int = 400, num_frames: int = 32, img_size: int = 360) -> FramewiseVisformer:
    """LAPS (E) of Tables 3 and 4."""
    return laps_visformer_s(num_classes, num_frames, img_size)


def laps_rest_s(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseResT:
    """LAPS (RS) of Table 3, on ResT-Small."""
    return LAPSResTConfig(num_classes, num_frames, img_size, **LEAP, **SHIFTED).build()


def laps_rest_b(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseResT:
    """LAPS (RB) of Table 3, on ResT-Base."""
    return LAPSResTConfig(num_classes, num_frames, img_size, embed_dim=96, **LEAP, **SHIFTED).build()


def laps_rest_l(num_classes: int = 400, num_frames: int = 32, img_size: int = 320) -> FramewiseResT:
    """LAPS (RL) of Table 3, on ResT-Large."""
    large: dict[str, Any] = {"embed_dim": 96, "depths": (2, 2, 18, 2)}
    return LAPSResTConfig(num_classes, num_frames, img_size, **large, **LEAP, **SHIFTED).build()


def laps_vit_b16(num_classes: int = 400, num_frames: int = 8, img_size: int = 224) -> FramewiseViT:
    """LAPS (VT) of Table 3, on ViT-B/16."""
    return LAPSViTConfig(num_classes, num_frames, img_size, **LEAP, **SHIFTED).build()
