"""MM-ViT: Chen and Ho, "MM-ViT: Multi-Modal Video Transformer for Compressed Video Action Recognition", WACV 2022,
arXiv:2108.09322, Sections 3.2 and 3.3. No public code.

B clips, T frames (triplets of I-frame, motion vectors and residual, and their sound), S modalities, N patches of a
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

From a ViT of timm (`vit_base_patch16_224`) to this network; `space` is `joint` in variant I:
- `cls_token` + `pos_embed[:, :1]` -> `cls_token`; `pos_embed[0, 1:]` -> `pos_embed.<modality>` of each visual modality
- `patch_embed.proj` -> `patch_embed.iframe` and `patch_embed.residual`, which have its three channels; motion vectors
  (two channels) and sound have no counterpart
- `blocks.<i>.norm1` -> `blocks.<i>.space.norm`, `.attn.qkv` in three -> `.space.q`, `.k`, `.v`, `.attn.proj` ->
  `.space.proj`; the same four again for `.time` and `.modality`, as TimeSformer starts its attention over time
  (shift-merge has `norm`, `v` and `proj` of them)
- `blocks.<i>.norm2` -> `blocks.<i>.mlp.norm`, `.mlp.fc1` and `.mlp.fc2` as they are; `norm` as it is
- new: `time_embed`, `blocks.<i>.{time,modality}.fc`, `blocks.<i>.modality.merged_norm`, `blocks.<i>.conv`, `head`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.layers.modalities import attention_along, from_windows, shift_merge, to_windows
from vtbench.models.framewise import check_choice, check_sizes

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
        return self.branch(cls), self.branch(x)

    def branch(self, x: Float[Tensor, "*axes D"]) -> Float[Tensor, "*axes D"]:
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
        for name in self.steps:
            cls_branch, branch = self.get_submodule(name)(cls, x)
            if self.training and self.drop_path:
                kept = torch.empty_like(cls[..., :1]).bernoulli_(1 - self.drop_path) / (1 - self.drop_path)
                cls_branch, branch = None if cls_branch is None else kept * cls_branch, kept * branch
            cls = cls if cls_branch is None else cls + cls_branch
            x = x + branch
        return cls, x


class MMViT(nn.Module):
    """Embeddings of the modalities, blocks, classifier on the class token. Arguments: see `mmvit`."""

    def __init__(
        self,
        blocks: list[Block],
        *,
        num_classes: int,
        num_frames: int,
        img_size: int,
        modalities: tuple[str, ...],
        patch_size: int,
        embed_dim: int,
        max_frames: int,
        audio_dim: int,
    ) -> None:
        super().__init__()
        self.num_frames, self.img_size = num_frames, img_size
        self.modalities, self.audio_dim = modalities, audio_dim
        self.num_patches = (img_size // patch_size) ** 2
        visual = [name for name in modalities if name in CHANNELS]
        self.patch_embed = nn.ModuleDict(
            {
                name: nn.Conv2d(CHANNELS[name], embed_dim, patch_size, stride=patch_size)
                if name in CHANNELS
                else nn.Linear(audio_dim, embed_dim)
                for name in modalities
            }
        )
        self.pos_embed = nn.ParameterDict({name: torch.empty(self.num_patches, embed_dim) for name in visual})
        self.time_embed = nn.ParameterDict({name: torch.zeros(max_frames, embed_dim) for name in modalities})
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, num_classes)
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
        """Tokens of a modality: a linear map and positions (Eqs. 1-3), sound at every place alike (Eq. 4)."""
        embed, times = self.patch_embed[name], self.time_embed[name][: self.num_frames, None]  # (T, 1, D)
        if name == "audio":
            return (embed(clips)[:, :, None] + times).expand(-1, -1, self.num_patches, -1)
        patches = embed(clips.flatten(0, 1)).flatten(2).transpose(1, 2)  # (B T, N, D)
        return patches.unflatten(0, (-1, self.num_frames)) + (self.pos_embed[name] + times)

    def check(self, clips: Mapping[str, Tensor]) -> None:
        """ValueError unless `clips` holds the network's modalities in the sizes it was built for."""
        if set(clips) != set(self.modalities):
            raise ValueError(
                f"clips of {', '.join(clips) or 'nothing'}: this network takes {', '.join(self.modalities)}"
            )
        batch = len(clips[self.modalities[0]])
        for name in self.modalities:
            frame = (CHANNELS[name], self.img_size, self.img_size) if name in CHANNELS else (self.audio_dim,)
            if tuple(clips[name].shape) != (batch, self.num_frames, *frame):
                raise ValueError(
                    f"{name} of shape {tuple(clips[name].shape)}: must be "
                    f"({batch}, {', '.join(map(str, (self.num_frames, *frame)))}), that is as many clips as of "
                    f"{self.modalities[0]}, of num_frames={self.num_frames}"
                )

    def forward(self, clips: Mapping[str, Tensor]) -> Float[Tensor, "B classes"]:
        """Logits of {"iframe": (B, T, 3, H, W), "motion": (B, T, 2, H, W), "residual": (B, T, 3, H, W), "audio":
        (B, T, audio_dim)}, of these the modalities that the network has, no others. Raises ValueError otherwise, and
        for other sizes than the network's."""
        self.check(clips)
        x = torch.stack([self.embed(name, clips[name]) for name in self.modalities], dim=2)  # (B, T, S, N, D)
        # A copy: in inference mode torch's FLOP counter stumbles over a view of a parameter.
        cls = self.cls_token[:, None, None].repeat(len(x), 1, 1, 1, 1)
        for block in self.blocks:
            cls, x = block(cls, x)
        return self.head(self.norm(cls.flatten(1)))


def _attentions(
    *,
    variant: Variant,
    order: str,
    cross_modal: CrossModal,
    num_frames: int,
    num_modalities: int,
    side: int,
    embed_dim: int,
    num_heads: int,
) -> dict[str, nn.Module]:
    """The steps of a block before the MLP, by name and in order; `side`: patches of a side of the frame."""
    if variant == "I":
        return {"joint": GroupAttention(embed_dim, num_heads=num_heads, groups=1)}
    window = side // 2 if variant == "IV" else None
    steps: dict[str, nn.Module] = {}
    for letter in order:
        if letter == "T":
            steps["time"] = PatchAttention(
                embed_dim,
                num_heads=num_heads,
                over="time and modality" if variant == "II" else "time",
                frames=num_frames // 2 if variant == "IV" else num_frames,
            )
        elif letter == "S":
            groups = num_frames if variant == "II" else num_frames * num_modalities
            steps["space"] = GroupAttention(embed_dim, num_heads=num_heads, groups=groups, window=window)
        elif cross_modal == "shift_merge":
            steps["modality"] = ShiftMerge(embed_dim)
        else:
            steps["modality"] = PatchAttention(
                embed_dim, num_heads=num_heads, over="modality", frames=num_frames, co=cross_modal == "co"
            )
        if window and "conv" not in steps and {"time", "space"} <= set(steps):
            steps["conv"] = WindowConv(embed_dim, window=window, side=side)
    return steps


def mmvit(
    *,
    num_classes: int,
    num_frames: int,
    img_size: int = 224,
    modalities: tuple[str, ...] = ("iframe", "motion", "residual", "audio"),
    variant: Literal["I", "II", "III", "IV"] = "III",
    order: str | None = None,
    cross_modal: Literal["merged", "co", "shift_merge"] | None = None,
    patch_size: int = 16,
    embed_dim: int = 768,
    depth: int = 12,
    num_heads: int = 12,
    mlp_ratio: float = 4.0,
    max_frames: int = 16,
    audio_dim: int = 128,
    drop_path: float = 0.0,
) -> MMViT:
    """MM-ViT; the defaults are MM-ViT III (Merged-Att.) of Table 1.

    - num_frames: triplets of a clip, T; max_frames: rows of the tables of times, at least T
    - img_size, patch_size in pixels; audio_dim: of the embedding of a segment of sound
    - modalities: some or all of the four, in this order
    - order of time T, space S and modalities M in a block (Table 2): a permutation of TMS (II: of TS), the default
    - cross_modal: of III and IV, default merged
    - drop_path: rate of stochastic depth in the last block, growing linearly from 0 in the first

    Raises ValueError, naming the argument, where one is impossible or does not belong to the variant: sizes that do not
    divide each other, for IV an odd number of frames or of patches of a side, for co-attention a single modality, for
    shift-merge a width that is no multiple of the number of modalities.
    """
    check_choice("variant", variant, get_args(Variant))
    check_choice("cross_modal", cross_modal or "merged", get_args(CrossModal))
    check_sizes(
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=embed_dim,
        depth=depth,
        num_heads=num_heads,
        audio_dim=audio_dim,
    )
    modalities = tuple(modalities)
    if not modalities or modalities != tuple(name for name in MODALITIES if name in modalities):
        raise ValueError(
            f"modalities={list(modalities)}: must be one or more of {', '.join(MODALITIES)}, each once, in this order"
        )
    letters = {"I": "", "II": "TS"}.get(variant, "TMS")
    if order is not None and (not letters or sorted(order) != sorted(letters)):
        raise ValueError(
            f"order={order!r}: "
            + (f"must be a permutation of {letters} in variant {variant}" if letters else "variant I has none")
        )
    if cross_modal is not None and "M" not in letters:
        raise ValueError(f"cross_modal={cross_modal!r}: belongs to the variants III and IV, not to {variant}")
    if img_size % patch_size:
        raise ValueError(f"img_size={img_size}: must be a multiple of patch_size={patch_size}")
    if embed_dim % num_heads:
        raise ValueError(f"embed_dim={embed_dim}: must be a multiple of num_heads={num_heads}")
    if num_frames > max_frames:
        raise ValueError(f"num_frames={num_frames}: must be at most max_frames={max_frames}, the rows of the times")
    if variant == "IV" and num_frames % 2:
        raise ValueError(f"num_frames={num_frames}: must be even in variant IV, whose windows have half the frames")
    if variant == "IV" and img_size // patch_size % 2:
        raise ValueError(
            f"img_size={img_size}: must be an even number of patches of {patch_size} in variant IV, whose windows have "
            "half of a side"
        )
    if cross_modal == "co" and len(modalities) == 1:
        raise ValueError(f"cross_modal='co': needs other modalities than {modalities[0]} alone; take merged")
    if cross_modal == "shift_merge" and embed_dim % len(modalities):
        raise ValueError(
            f"embed_dim={embed_dim}: must be a multiple of the {len(modalities)} modalities, whose values shift_merge "
            "splits into as many equal portions"
        )
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path={drop_path}: must be in [0, 1)")
    hidden = round(mlp_ratio * embed_dim)
    if hidden < 1:
        raise ValueError(f"mlp_ratio={mlp_ratio}: leaves no hidden unit of an MLP")

    blocks = []
    for i in range(depth):
        steps = _attentions(
            variant=variant,
            order=order or letters,
            cross_modal=cross_modal or "merged",
            num_frames=num_frames,
            num_modalities=len(modalities),
            side=img_size // patch_size,
            embed_dim=embed_dim,
            num_heads=num_heads,
        )
        steps["mlp"] = MLP(embed_dim, hidden=hidden)
        blocks.append(Block(steps, drop_path=drop_path * i / max(depth - 1, 1)))
    return MMViT(
        blocks,
        num_classes=num_classes,
        num_frames=num_frames,
        img_size=img_size,
        modalities=modalities,
        patch_size=patch_size,
        embed_dim=embed_dim,
        max_frames=max_frames,
        audio_dim=audio_dim,
    )
