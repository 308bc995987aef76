"""What networks are fed: one tensor of frames, or several modalities by name. B clips or V views, T frames.

Frames are (B, T, 3, H, W). Compressed video is `iframe` and `residual` (B, T, 3, H, W) and `motion` (B, T, 2, H, W),
with `audio` as log-mel patches (B, T, 96, 64). `map_modalities` does the same to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Clips = Tensor | Mapping[str, Tensor]


def map_modalities(function: Callable[..., Any], *clips: Any) -> Any:
    """A function of tensors (or of their shapes), modality by modality where there are several."""
    if not isinstance(clips[0], Mapping):
        return function(*clips)
    return {name: function(*(one[name] for one in clips)) for name in clips[0]}


def split(clips: Clips, size: int) -> list[Clips]:
    """Parts of at most `size` along the first axis."""
    if isinstance(clips, Tensor):
        return list(clips.split(size))
    return [dict(zip(clips, part, strict=True)) for part in zip(*(x.split(size) for x in clips.values()), strict=True)]
