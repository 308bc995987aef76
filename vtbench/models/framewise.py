"""What frame-wise networks share: an image network on every frame, logits averaged over the frames of a clip.

Temporal networks are made of these by exchanging blocks for ones that look at other frames, so they share it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor

from vtbench.fields import not_one_of

Count = Annotated[int, Ge(1), Le(1000)]
"""Blocks, heads and the like."""
Counts = Annotated[tuple[int, ...], Ge(1), Le(1000)]
"""The same by stages."""
Width = Annotated[int, Ge(1), Le(100_000)]
"""Channels of a token, pixels of a patch."""


@dataclass(frozen=True)
class ClipSizes:
    """What every network is built for. Arguments of networks are written once, in a dataclass derived from this one
    that has `build()`, and reach networks and blocks as this one object.

    - num_classes: outputs
    - num_frames: T of a clip
    - img_size: H = W of a frame, in pixels

    Raises ValueError, naming the argument, where one is impossible or is not among the choices of its type.
    """

    num_classes: int
    num_frames: int
    img_size: int = 224

    at_least_one: ClassVar[tuple[str, ...]] = ("num_classes", "num_frames", "img_size")
    """The sizes that must be 1 or more."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            value, arms = getattr(self, name), (hint, *get_args(hint))
            choices = [choice for arm in arms if get_origin(arm) is Literal for choice in get_args(arm)]
            if choices and value not in choices and not (value is None and type(None) in arms):
                raise ValueError(f"{name} {not_one_of(value, choices)}")
        for name in self.at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1")


def check_clips(clips: Tensor, sizes: ClipSizes) -> None:
    """ValueError that names the arguments unless clips are (B, num_frames, 3, img_size, img_size)."""
    expected = (sizes.num_frames, 3, sizes.img_size, sizes.img_size)
    if clips.ndim != 5 or tuple(clips.shape[1:]) != expected:
        raise ValueError(
            f"clips of shape {tuple(clips.shape)}: must be (B, {', '.join(map(str, expected))}), "
            f"that is num_frames={sizes.num_frames} frames of img_size={sizes.img_size}"
        )


class Framewise:
    """Mixed into an image network that has `forward_features` and `forward_head`: (B, T, 3, H, W) -> (B, num_classes).

    The network sets `config`, what it was built from.
    """

    config: ClipSizes
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[[Tensor], Tensor]

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B classes"]:
        """Logits, the mean over the frames of each frame's logits. Raises ValueError for another T, H or W."""
        check_clips(clips, self.config)
        frames = clips.flatten(0, 1)  # (B T, 3, H, W)
        logits = self.forward_head(self.forward_features(frames))  # (B T, classes)
        return logits.unflatten(0, (-1, self.config.num_frames)).mean(dim=1)
