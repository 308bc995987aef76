"""Which pixels of I-frames, motion vectors and residuals a network sees: MM-ViT section 4.1.

Videos are 340 x 256; "random horizontal flipping and random cropping (224 x 224) are applied to I-frames, motion
vectors and residuals", one draw for all of them, and tests take three crops. The scaling of motion vectors and
residuals is not printed; vectors of 20 pixels and residuals of 128 levels are the ends of the scale, as in CoViAR
(arXiv:1712.00636, dataset.py of its official code), on which the paper builds. `Scale` says what they become.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from vtbench.fields import not_one_of
from vtbench.video.transforms import CropRule, crop_corners

__all__ = ["MAX_MOTION", "MAX_RESIDUAL", "Scale", "TestModalities", "TrainModalities"]

Scale = Literal["coviar"]
"""What the ends of the scale of motion vectors and residuals become; None: -1 and 1. coviar: both are rounded towards
zero to levels of 0 to 255 around 128; motion is level / 255 - 0.5, the residual that divided by ImageNet's standard
deviation of each colour (-2.2 to 2.2), as CoViAR's code has it. One difference: it resizes levels, here floats are
resized first; files of 340 x 256 are not resized at all."""

COVIAR_STD = (0.229, 0.224, 0.225)

MAX_MOTION = 20.0
"""Pixels; longer components are cut."""
MAX_RESIDUAL = 128.0
"""Levels of 255; larger differences are cut."""

PICTURES = ("iframe", "motion", "residual")


class _Modalities:
    """What training and testing share. mean, std: of I-frames, pixels in [0, 1]. scale: of the others, see Scale."""

    def __init__(
        self,
        *,
        size: int,
        interpolation: str = "bilinear",
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
        scale: Scale | None = None,
    ) -> None:
        if scale is not None and scale not in get_args(Scale):
            raise ValueError(f"scale {not_one_of(scale, get_args(Scale))}")
        self.size, self.scale = size, scale
        self.interpolation = InterpolationMode(interpolation)
        self.mean, self.std = (torch.tensor(numbers).reshape(-1, 1, 1) for numbers in (mean, std))

    def resize(self, pictures: Mapping[str, Tensor], short_side: int) -> dict[str, Tensor]:
        """To `short_side` pixels on the shorter side; vectors become shorter by as much as the picture does."""
        resized = {}
        for name, picture in pictures.items():
            height, width = picture.shape[-2:]
            shorter = min(height, width)
            if shorter == short_side:
                resized[name] = picture
                continue
            size = [short_side * height // shorter, short_side * width // shorter]
            pixels = picture if picture.dtype == torch.uint8 else picture.float()
            resized[name] = F.resize(pixels, size, interpolation=self.interpolation, antialias=True)
            if name == "motion":
                resized[name] = resized[name] * torch.tensor([size[1] / width, size[0] / height]).reshape(2, 1, 1)
        return resized

    def cut(self, pictures: Mapping[str, Tensor], top: int, left: int) -> dict[str, Tensor]:
        """A square of `size` at (top, left), normalised: I-frames by mean and std, the others by `scale`."""
        clip = {name: p[..., top : top + self.size, left : left + self.size].float() for name, p in pictures.items()}
        if "iframe" in clip:
            clip["iframe"] = (clip["iframe"] / 255).sub_(self.mean).div_(self.std)
        for name, largest in (("motion", MAX_MOTION), ("residual", MAX_RESIDUAL)):
            if name in clip and self.scale is None:
                clip[name] = (clip[name] / largest).clamp_(-1, 1)
            elif name in clip:
                level = (clip[name] * ((127.5 if name == "motion" else 128) / largest)).trunc_()
                clip[name] = level.add_(128).clamp_(0, 255).div_(255).sub_(0.5)
        if self.scale is not None and "residual" in clip:
            clip["residual"].div_(torch.tensor(COVIAR_STD).reshape(-1, 1, 1))
        return clip


class TrainModalities(_Modalities):
    """One flip, one short side and one crop for all modalities of a training clip. short_side: (least, most) length of
    the shorter side, both included."""

    def __init__(self, *, short_side: Sequence[int], **shared: object) -> None:
        super().__init__(**shared)  # type: ignore[arg-type]
        self.short_side = (int(short_side[0]), int(short_side[1]))
        if not self.size <= self.short_side[0] <= self.short_side[1]:
            raise ValueError(
                f"short side {list(short_side)} must be an increasing range from the crop size {self.size}"
            )

    def __call__(self, clip: Mapping[str, Tensor], *, flip: bool, rng: np.random.Generator) -> dict[str, Tensor]:
        """iframe uint8, motion in pixels and residual in levels (T, C, H, W) to float32 (T, C, size, size); audio stays
        as it is. A flip also turns the horizontal component of the vectors."""
        pictures = {name: clip[name] for name in PICTURES if name in clip}
        if flip:
            pictures = {name: picture.flip(-1) for name, picture in pictures.items()}
            if "motion" in pictures:
                pictures["motion"] = pictures["motion"] * torch.tensor([-1, 1]).reshape(2, 1, 1)
        side = int(rng.integers(*self.short_side, endpoint=True))
        if pictures:
            pictures = self.resize(pictures, side)
            height, width = next(iter(pictures.values())).shape[-2:]
            top, left = (int(rng.integers(room - self.size, endpoint=True)) for room in (height, width))
            pictures = self.cut(pictures, top, left)
        return {**clip, **pictures}


class TestModalities(_Modalities):
    """Fixed crops, 1 or 3, from a short side of `short_side`; `crop_rule` is a name of CropRule."""

    __test__ = False

    def __init__(self, *, short_side: int, crops: int, crop_rule: CropRule | None = None, **shared: object) -> None:
        super().__init__(**shared)  # type: ignore[arg-type]
        if short_side < self.size:
            raise ValueError(f"a crop of {self.size} does not fit in frames with a short side of {short_side}")
        self.short_side, self.crops, self.crop_rule = short_side, crops, crop_rule

    def __call__(self, clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modalities (T, ...) to views (crops, T, ...), all with the same audio."""
        pictures = self.resize({name: clip[name] for name in PICTURES if name in clip}, self.short_side)
        views: dict[str, Tensor] = {name: x.expand(self.crops, *x.shape) for name, x in clip.items()}
        if pictures:
            height, width = next(iter(pictures.values())).shape[-2:]
            corners = crop_corners(height, width, self.size, self.crops, rule=self.crop_rule)
            cuts = [self.cut(pictures, top, left) for top, left in corners]
            views |= {name: torch.stack([cut[name] for cut in cuts]) for name in pictures}
        return views
