"""What frame-wise networks share: an image network on every frame, logits averaged over the frames of a clip.

Temporal networks are made of these by exchanging blocks for ones that look at other frames, so they share it too.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """ValueError that names the argument unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}={value!r}: must be one of {', '.join(choices)}")


def check_sizes(**sizes: int) -> None:
    """ValueError that names the argument for a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}={size}: must be at least 1")


def check_clips(clips: Tensor, *, num_frames: int, img_size: int) -> None:
    """ValueError that names the arguments unless clips are (B, num_frames, 3, img_size, img_size)."""
    expected = (num_frames, 3, img_size, img_size)
    if clips.ndim != 5 or tuple(clips.shape[1:]) != expected:
        raise ValueError(
            f"clips of shape {tuple(clips.shape)}: must be (B, {', '.join(map(str, expected))}), "
            f"that is num_frames={num_frames} frames of img_size={img_size}"
        )


class Framewise:
    """Mixed into an image network that has `forward_features` and `forward_head`: (B, T, 3, H, W) -> (B, num_classes).

    The network sets `num_frames` (T; temporal networks need it inside their blocks) and `img_size` (H = W, pixels).
    """

    num_frames: int
    img_size: int
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[[Tensor], Tensor]

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B classes"]:
        """Logits, the mean over the frames of each frame's logits. Raises ValueError for another T, H or W."""
        check_clips(clips, num_frames=self.num_frames, img_size=self.img_size)
        frames = clips.flatten(0, 1)  # (B T, 3, H, W)
        logits = self.forward_head(self.forward_features(frames))  # (B T, classes)
        return logits.unflatten(0, (-1, self.num_frames)).mean(dim=1)
