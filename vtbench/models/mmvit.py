"""MM-ViT: Chen and Ho, "MM-ViT: Multi-Modal Video Transformer for Compressed Video Action Recognition", WACV 2022,
arXiv:2108.09322, Sections 3.2 and 3.3. No public code.

B clips, T frames (triplets of I-frame, motion vectors and residual, and their audio), S modalities, N patches of a
frame, D width (the paper's d), h heads. Tokens are (B, T, S, N, D), the class token is (B, 1, 1, 1, D).

Variants: I joint attention; II time, then space, both across modalities; III time, modalities, space, in any order; IV
is III within windows. Where the paper is silent, what reproduces its numbers of parameters is taken, all six of which
this layout has to the printed digit (without the classifier), then what TimeSformer does (Bertasius et al., ICML 2021,
arXiv:2102.05095, https://github.com/facebookresearch/TimeSformer at a5ef29a), whose block this one extends:
- The class token takes no part in the attention over time and over modalities. In that over space it is copied into
  every group of patches that attend to each other (frame, modality, window), and what comes back is averaged. Copied
  into the groups of all attentions, III with three modalities would cost 0.83 TMACs, not the printed 0.75. It follows
  that what stands behind the attention over space in the last block cannot reach the logits: IV's convolution, the
  attentions that an order has there (TSM, STM, SMT, MST; ST). Their parameters get no gradient.
- It has no position of its own; patches have a table of places for each visual modality and one of `max_frames` = 16
  times for each modality, of which T frames take the first T rows.
- Every added attention has a second linear layer behind its output projection. It starts at zero, and so do the times,
  so that with the weights of a ViT the network starts as that ViT on every frame of every modality.
- Shift-merge drops the projections of queries and keys; the printed 143.98 M leave room for one more layer norm in each
  block, which here stands behind the merge (without it: 143.97 M). Portions are of the whole width and as many as the
  modalities (mmvit-shift-merge-three): a third of 768 is whole, a third of the 64 of a head is not. Four portions for
  three modalities would leave open what fills the fourth quarter.
- IV has windows of half the frame's height and width (M = N / 4) and half the frames (F = T / 2). Its "convolution
  layer after the temporal and spatial attention" is one, behind the later of both: depthwise, with bias, over the map
  of each frame and modality with the kernel of the spatial window, zeros around it, on a residual branch, starting at
  zero. 158.60 M leave no room for another one over time (mmvit-conv-window), so windows of frames meet in the class
  token only. A window of even size reaches one patch further up and to the left.
- II's "across all modalities" holds for both of its attentions (mmvit-merged-complexity), and Eq. 8's s' runs over all
  modalities (mmvit-eq8-index).

Multiply-accumulates of one clip (matmuls and convolutions, without VGGish) agree with the paper for I (1.26 T), II
(0.85) and III with three modalities (0.75; 1.51 with 16 frames), but not for III and IV with four: 1.00 (merged and
co), 0.92 (shift-merge) and 0.99 (IV) against 0.82, 0.78 and 0.72 (mmvit-flops-modalities).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.layers.modalities import attention_along, from_windows, shift_merge, to_windows
from vtbench.models.framewise import Width
from vtbench.models.vit import ViTSizes
from vtbench.models.weights.mmvit import from_vit
from vtbench.models.weights.vit import from_distilled, from_google, from_tokshift

CHANNELS = {"iframe": 3, "motion": 2, "residual": 3}
"""Of the visual modalities."""
MODALITIES = (*CHANNELS, "audio")
"""In the order of S."""
Variant = Literal["I", "II", "III", "IV"]
CrossModal = Literal["merged", "co", "shift_merge"]
"""Whose keys and values a modality sees: those of all, of all others; or no attention but an exchange of values."""
Over = Literal["time", "time and modality", "modality"]
"""Which patches of one place attend to each other."""
AXES: dict[Over, tuple[int, int]] = {"time": (2, 3), "time and modality": (2, 4), "modality": (3, 4)}
"""First axis and the one behind the last, of (B, windows, frames, S, N, D)."""

Branches = tuple[Tensor | None, Tensor]
"""What a step of a block adds to the class token (None: nothing) and to the patches."""


class Attention(nn.Module):
    """What all attentions have: layer norm, queries, keys and values of h heads (Eqs. 5-7), output projection."""

    def __init__(self, dim: int, *, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))  # apart: see attention_along
        self.proj = nn.Linear(dim, dim)

    def attend(
        self, x: Float[Tensor, "*axes D"], *, start: int, stop: int, mask: Bool[Tensor, "L L"] | None = None
    ) -> Float[Tensor, "*axes D"]:
        """Attention over the axes `start` to `stop` - 1."""
        y = self.norm(x)
        q, k, v = (project(y).unflatten(-1, (self.num_heads, -1)) for project in (self.q, self.k, self.v))
        return self.proj(attention_along(q, k, v, start=start, stop=stop, mask=mask).flatten(-2))


class PatchAttention(Attention):
    """Over time (Eq. 12), over time and modalities (Eq. 9), or over modalities (MCA of Eq. 13): patches of one place.

    `frames`: of a window of time; `co`: a modality does not see itself (Eq. 16 with s' of all modalities but s), for
    the attention over modalities.
    """

    def __init__(self, dim: int, *, num_heads: int, over: Over, frames: int, co: bool = False) -> None:
        super().__init__(dim, num_heads=num_heads)
        self.fc = nn.Linear(dim, dim)
        self.axes, self.frames, self.co = AXES[over], frames, co

    def forward(self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]) -> Branches:
        """Over the patches of one place; nothing for the class token."""
        start, stop = self.axes
        mask = ~torch.eye(x.shape[2], dtype=torch.bool, device=x.device) if self.co else None
        y = self.attend(x.unflatten(1, (-1, self.frames)), start=start, stop=stop, mask=mask)
        return None, self.fc(y).view(x.shape)


class ShiftMerge(nn.Module):
    """Exchange of values between the modalities of one place and frame, without attention (Eqs. 13, 17-20)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.merged_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.v, self.proj, self.fc = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]) -> Branches:
        """Exchange of values; nothing for the class token."""
        merged = shift_merge(self.v(self.norm(x)))
        return None, self.fc(self.proj(self.merged_norm(merged)))


class GroupAttention(Attention):
    """Over space (Eq. 14), space and modalities (Eq. 10) or everything (Eq. 8): groups of patches, the class token in
    each.

    `groups` of a clip: 1 (all patches), T (frames) or T S (frames of a modality); `window`: patches of a side of the
    windows into which the last are cut, if they are.
    """

    def __init__(self, dim: int, *, num_heads: int, groups: int, window: int | None = None) -> None:
        super().__init__(dim, num_heads=num_heads)
        self.groups, self.window = groups, window

    def forward(self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]) -> Branches:
        """Over the patches of each group and the class token."""
        patches = x.reshape(len(x), self.groups, -1, x.shape[-1])  # (B, groups, L, D)
        if self.window:
            side = round(patches.shape[2] ** 0.5)
            maps = patches.flatten(0, 1).unflatten(1, (side, side))
            patches = to_windows(maps, size=self.window).unflatten(0, (len(x), -1))
        copies = cls.flatten(1, 3)[:, None].expand(-1, patches.shape[1], -1, -1)
        y = self.attend(torch.cat((copies, patches), dim=2), start=2, stop=3)
        cls_branch, patches = y[:, :, :1].mean(dim=1), y[:, :, 1:]
        if self.window:
            patches = from_windows(patches.flatten(0, 1), size=self.window, side=side)
        return cls_branch[:, None, None], patches.reshape(x.shape)


class WindowConv(nn.Module):
    """Variant IV's convolution, across the borders of windows: depthwise, as large as a window."""

    def __init__(self, dim: int, *, window: int, side: int) -> None:
        """`window`, `side`: patches of a side of the windows, and of the frame."""
        super().__init__()
        self.side = side
        self.depthwise = nn.Conv2d(dim, dim, window, padding=window // 2, groups=dim)

    def forward(self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]) -> Branches:
        """Over the map of each frame and modality; nothing for the class token."""
        maps = x.flatten(0, 2).transpose(1, 2).unflatten(2, (self.side, self.side))  # (B T S, D, H, W)
        y = self.depthwise(maps)[..., : self.side, : self.side]  # an even kernel has one row and column too many
        return None, y.flatten(2).transpose(1, 2).reshape(x.shape)


class MLP(nn.Module):
    """Eqs. 11 and 15."""

    def __init__(self, dim: int, *, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]) -> Branches:
        """For the class token and the patches alike."""
        return self.branch(cls), self.branch(x)

    def branch(self, x: Float[Tensor, "*axes D"]) -> Float[Tensor, "*axes D"]:
        """What is added to x."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Steps one after the other, each on a residual branch (Eqs. 9-15).

    `drop_path`: how often in training a step is left out for a clip (stochastic depth).
    """

    def __init__(self, steps: Mapping[str, nn.Module], *, drop_path: float) -> None:
        super().__init__()
        for name, step in steps.items():
            self.add_module(name, step)
        self.steps, self.drop_path = tuple(steps), drop_path

    def forward(
        self, cls: Float[Tensor, "B 1 1 1 D"], x: Float[Tensor, "B T S N D"]
    ) -> tuple[Float[Tensor, "B 1 1 1 D"], Float[Tensor, "B T S N D"]]:
        """The class token and the patches after all steps."""
        for name in self.steps:
            cls_branch, branch = self.get_submodule(name)(cls, x)
            if self.training and self.drop_path:
                kept = torch.empty_like(cls[..., :1]).bernoulli_(1 - self.drop_path) / (1 - self.drop_path)
                cls_branch, branch = None if cls_branch is None else kept * cls_branch, kept * branch
            cls = cls if cls_branch is None else cls + cls_branch
            x = x + branch
        return cls, x


@dataclass(frozen=True, kw_only=True)
class MMViTConfig(ViTSizes):
    """MM-ViT; the defaults are MM-ViT III (Merged-Att.) of Table 1, without stochastic depth. A frame, of which
    num_frames are T, is a triplet.

    - modalities: some or all of the four, in this order
    - variant: I to IV; see the head of this file
    - order: of time T, space S and modalities M in a block (Table 2), a permutation of TMS (II: of TS), the default
    - cross_modal: of III and IV, by default "merged"
    - mlp_ratio: hidden units of an MLP, as a multiple of D
    - max_frames: rows of the tables of times, at least num_frames
    - audio_dim: of the embedding of a segment of audio
    - drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first

    Impossible are, for IV, an odd number of frames or of patches of a side, for co-attention a single modality, for
    shift-merge a width that is no multiple of the number of modalities, and arguments that are not the variant's.
    """

    modalities: tuple[str, ...] = ("iframe", "motion", "residual", "audio")
    variant: Variant = "III"
    order: str | None = None
    cross_modal: CrossModal | None = None
    mlp_ratio: float = 4.0
    max_frames: Width = 16
    audio_dim: Width = 128
    drop_path: float = 0.0

    at_least_one = (*ViTSizes.at_least_one, "audio_dim")

    def __post_init__(self) -> None:
        super().__post_init__()
        modalities, embed_dim, frames = tuple(self.modalities), self.embed_dim, self.num_frames
        if not modalities or modalities != tuple(name for name in MODALITIES if name in modalities):
            raise ValueError(
                f"modalities={list(modalities)}: must be one or more of {', '.join(MODALITIES)}, each once, in this "
                "order"
            )
        if self.order is not None and (not self.letters or sorted(self.order) != sorted(self.letters)):
            wanted = f"must be a permutation of {self.letters} in variant {self.variant}"
            raise ValueError(f"order={self.order!r}: {wanted if self.letters else 'variant I has none'}")
        if self.cross_modal is not None and "M" not in self.letters:
            raise ValueError(
                f"cross_modal={self.cross_modal!r}: belongs to the variants III and IV, not to {self.variant}"
            )
        if frames > self.max_frames:
            raise ValueError(
                f"num_frames={frames}: must be at most max_frames={self.max_frames}, the rows of the times"
            )
        if self.variant == "IV" and frames % 2:
            raise ValueError(f"num_frames={frames}: must be even in variant IV, whose windows have half the frames")
        if self.variant == "IV" and self.side % 2:
            raise ValueError(
                f"img_size={self.img_size}: must be an even number of patches of {self.patch_size} in variant IV, "
                "whose windows have half of a side"
            )
        if self.cross_modal == "co" and len(modalities) == 1:
            raise ValueError(f"cross_modal='co': needs other modalities than {modalities[0]} alone; take merged")
        if self.cross_modal == "shift_merge" and embed_dim % len(modalities):
            raise ValueError(
                f"embed_dim={embed_dim}: must be a multiple of the {len(modalities)} modalities, whose values "
                "shift_merge splits into as many equal portions"
            )
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path={self.drop_path}: must be in [0, 1)")
        if round(self.mlp_ratio * embed_dim) < 1:
            raise ValueError(f"mlp_ratio={self.mlp_ratio}: leaves no hidden unit of an MLP")

    @property
    def letters(self) -> str:
        """The steps of a block before the MLP, in the default order; none in variant I."""
        return {"I": "", "II": "TS"}.get(self.variant, "TMS")

    @property
    def side(self) -> int:
        """Patches of a side of the frame."""
        return self.img_size // self.patch_size

    def steps(self) -> dict[str, nn.Module]:
        """The steps of a block, by name and in order."""
        dim, num_heads, frames = self.embed_dim, self.num_heads, self.num_frames
        window = self.side // 2 if self.variant == "IV" else None
        steps: dict[str, nn.Module] = {}
        if self.variant == "I":
            steps["joint"] = GroupAttention(dim, num_heads=num_heads, groups=1)
        for letter in self.order or self.letters:
            if letter == "T":
                steps["time"] = PatchAttention(
                    dim,
                    num_heads=num_heads,
                    over="time and modality" if self.variant == "II" else "time",
                    frames=frames // 2 if self.variant == "IV" else frames,
                )
            elif letter == "S":
                groups = frames if self.variant == "II" else frames * len(self.modalities)
                steps["space"] = GroupAttention(dim, num_heads=num_heads, groups=groups, window=window)
            elif self.cross_modal == "shift_merge":
                steps["modality"] = ShiftMerge(dim)
            else:
                steps["modality"] = PatchAttention(
                    dim, num_heads=num_heads, over="modality", frames=frames, co=self.cross_modal == "co"
                )
            if window and "conv" not in steps and {"time", "space"} <= set(steps):
                steps["conv"] = WindowConv(dim, window=window, side=self.side)
        steps["mlp"] = MLP(dim, hidden=round(self.mlp_ratio * dim))
        return steps

    def build(self) -> MMViT:
        """The network, weights drawn at random."""
        return MMViT(self)


class MMViT(nn.Module):
    """Embeddings of the modalities, blocks, classifier on the class token."""

    foreign_weights = (from_tokshift, from_google, from_distilled, from_vit)

    def __init__(self, config: MMViTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_patches = config.side**2
        blocks = [
            Block(config.steps(), drop_path=config.drop_path * i / max(config.depth - 1, 1))
            for i in range(config.depth)
        ]
        dim = config.embed_dim
        visual = [name for name in config.modalities if name in CHANNELS]
        self.patch_embed = nn.ModuleDict(
            {
                name: nn.Conv2d(CHANNELS[name], dim, config.patch_size, stride=config.patch_size)
                if name in CHANNELS
                else nn.Linear(config.audio_dim, dim)
                for name in config.modalities
            }
        )
        self.pos_embed = nn.ParameterDict({name: torch.empty(self.num_patches, dim) for name in visual})
        self.time_embed = nn.ParameterDict({name: torch.zeros(config.max_frames, dim) for name in config.modalities})
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, config.num_classes)
        self.init_weights()

    def init_weights(self) -> None:
        """As TimeSformer's; zero where a new branch ends, so that it adds nothing at first."""
        for parameter in (self.cls_token, *self.pos_embed.values()):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            last = {PatchAttention: "fc", ShiftMerge: "fc", WindowConv: "depthwise"}.get(type(module))
            if last:
                for parameter in module.get_submodule(last).parameters():
                    nn.init.zeros_(parameter)

    def embed(self, name: str, clips: Tensor) -> Float[Tensor, "B T N D"]:
        """Tokens of a modality: a linear map and positions (Eqs. 1-3), audio at every place alike (Eq. 4)."""
        embed, times = self.patch_embed[name], self.time_embed[name][: self.config.num_frames, None]  # (T, 1, D)
        if name == "audio":
            return (embed(clips)[:, :, None] + times).expand(-1, -1, self.num_patches, -1)
        patches = embed(clips.flatten(0, 1)).flatten(2).transpose(1, 2)  # (B T, N, D)
        return patches.unflatten(0, (-1, self.config.num_frames)) + (self.pos_embed[name] + times)

    def check(self, clips: Mapping[str, Tensor]) -> None:
        """ValueError unless `clips` holds the network's modalities in the sizes it was built for."""
        sizes, modalities = self.config, self.config.modalities
        if set(clips) != set(modalities):
            raise ValueError(f"clips of {', '.join(clips) or 'nothing'}: this network takes {', '.join(modalities)}")
        batch = len(clips[modalities[0]])
        for name in modalities:
            frame = (CHANNELS[name], sizes.img_size, sizes.img_size) if name in CHANNELS else (sizes.audio_dim,)
            if tuple(clips[name].shape) != (batch, sizes.num_frames, *frame):
                raise ValueError(
                    f"{name} of shape {tuple(clips[name].shape)}: must be "
                    f"({batch}, {', '.join(map(str, (sizes.num_frames, *frame)))}), that is as many clips as of "
                    f"{modalities[0]}, of num_frames={sizes.num_frames}"
                )

    def forward(self, clips: Mapping[str, Tensor]) -> Float[Tensor, "B classes"]:
        """Logits of {"iframe": (B, T, 3, H, W), "motion": (B, T, 2, H, W), "residual": (B, T, 3, H, W), "audio":
        (B, T, audio_dim)}, of these the modalities that the network has, no others. Raises ValueError otherwise, and
        for other sizes than the network's."""
        self.check(clips)
        x = torch.stack([self.embed(name, clips[name]) for name in self.config.modalities], dim=2)  # (B, T, S, N, D)
        # A copy: in inference mode torch's FLOP counter stumbles over a view of a parameter.
        cls = self.cls_token[:, None, None].repeat(len(x), 1, 1, 1, 1)
        for block in self.blocks:
            cls, x = block(cls, x)
        return self.head(self.norm(cls.flatten(1)))


# ---- as Table 1 names them -------------------------------------------------------------------------------------------


def _of_table_1(*sizes: int, modalities: tuple[str, ...], **steps: Any) -> MMViT:
    return MMViTConfig(*sizes, modalities=modalities, drop_path=0.1, **steps).build()


def mmvit_i(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT I."""
    return _of_table_1(num_classes, num_frames, img_size, modalities=modalities, variant="I")


def mmvit_ii(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT II."""
    return _of_table_1(num_classes, num_frames, img_size, modalities=modalities, variant="II", order="TS")


def mmvit_iii(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT III (Merged-Att.), "MM-ViT" in Tables 2 to 6."""
    return _of_table_1(num_classes, num_frames, img_size, modalities=modalities, order="TMS", cross_modal="merged")


def mmvit_iii_co(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT III (Co-Att.)."""
    return _of_table_1(num_classes, num_frames, img_size, modalities=modalities, order="TMS", cross_modal="co")


def mmvit_iii_shift_merge(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT III (Shift-Merge Att.)."""
    return _of_table_1(num_classes, num_frames, img_size, modalities=modalities, order="TMS", cross_modal="shift_merge")


def mmvit_iv(
    num_classes: int = 101, num_frames: int = 8, img_size: int = 224, *, modalities: tuple[str, ...] = MODALITIES
) -> MMViT:
    """MM-ViT IV (Merged-Att.)."""
    sizes = (num_classes, num_frames, img_size)
    return _of_table_1(*sizes, modalities=modalities, variant="IV", order="TMS", cross_modal="merged")
