"""Which pixels of the frames a network sees: MSCA section 4.1, with the magnitudes of the official TokenShift code, and
what PST needs beyond it.

Section 4.1 gives the steps and their probabilities; the code it builds on
(github.com/VideoNetworks/TokShift-Transformer, data/augmentation.py) gives their order - flip, short side, crop,
brightness, saturation, gamma, hue - and the ranges the factors are drawn from. Every draw is made once per clip, so a
clip keeps one geometry and one colouring.

Differences from that code: the ranges of short sides and crop corners include their upper end (numpy's `randint` leaves
it out there, the paper's "[244, 330]" includes it), the resize is torchvision's antialiased one on uint8, and test
crops of portrait videos are top, centre and bottom (there, three times the same pixels).

PST section 4.2 names AutoAugment, and so it is here; the official code (github.com/MartinXM/TPS,
mmaction/datasets/pipelines) has a RandAugment in its place, and before and after it a crop of random area and aspect
(mmaction's RandomResizedCrop) and random erasing (timm's), whose ranges are taken over. All three are torchvision's.
They draw from torch's global generator, which is seeded from the clip's own for as long as they do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from vtbench.fields import not_one_of

__all__ = ["CropRule", "Resize", "TestTransform", "TrainTransform", "crop_corners", "resize_short_side"]

Resize = Literal["interpolate", "mmcv"]
"""How test frames are resized; None: antialiased, on uint8, the longer side rounded down (as PIL in TokenShift's code).

- interpolate: not antialiased, on floats, the longer side rounded down (LAPS's code, data/transform.py)
- mmcv: not antialiased, on uint8, the longer side rounded to the nearest number (mmcv.imresize, in PST's code, whose
  fixed-point arithmetic gives one level less in an eighth of the pixels)
"""

CropRule = Literal["ceil", "mmaction"]
"""Where test crops lie; None: offsets of centres rounded down, the third crop at the far edge (TokenShift's code).

- ceil: offsets of centres rounded up (LAPS's code, data/transform.py, uniform_crop)
- mmaction: as None, but the third crop as far from the second as the first (ThreeCrop, in PST's code)
"""


def resize_short_side(
    frames: Tensor, short_side: int, interpolation: str = "bicubic", *, how: Resize | None = None
) -> Tensor:
    """Resize (..., H, W) to `short_side` pixels on the shorter side; the longer one keeps the aspect. uint8 stays
    uint8, but for `interpolate`, which gives float32 on the same scale."""
    if how is not None and how not in get_args(Resize):
        raise ValueError(f"resize {not_one_of(how, get_args(Resize))}")
    height, width = frames.shape[-2:]
    shorter = min(height, width)
    if how == "mmcv":  # int(side * scale + 0.5) there, in floating point
        scale = short_side / shorter
        size = [int(height * scale + 0.5), int(width * scale + 0.5)]
    else:
        size = [short_side * height // shorter, short_side * width // shorter]
    if size == [height, width]:
        return frames
    if how is None:
        return F.resize(frames, size, interpolation=InterpolationMode(interpolation), antialias=True)
    pixels = F.resize(frames.to(torch.float32), size, interpolation=InterpolationMode(interpolation), antialias=False)
    return pixels if how == "interpolate" else pixels.round_().to(frames.dtype)


def crop_corners(
    height: int, width: int, size: int, crops: int, *, rule: CropRule | None = None
) -> list[tuple[int, int]]:
    """(top, left) of the test crops of a `height` x `width` frame along its longer side.

    1 crop: the centre. 3 crops: left, centre, right (top, centre, bottom if the frame is taller than wide), MSCA
    section 4.1.
    """
    if min(height, width) < size:
        raise ValueError(f"a crop of {size} does not fit in frames of {height} x {width}")
    if rule is not None and rule not in get_args(CropRule):
        raise ValueError(f"crop rule {not_one_of(rule, get_args(CropRule))}")
    up = rule == "ceil"
    bottom, right = height - size, width - size
    top, left = (bottom + up) // 2, (right + up) // 2
    if crops == 1:
        return [(top, left)]
    if crops == 3:
        if rule == "mmaction":
            bottom, right = 2 * top, 2 * left
        if height > width:
            return [(0, left), (top, left), (bottom, left)]
        return [(top, 0), (top, left), (top, right)]
    raise ValueError(f"1 or 3 crops, not {crops}")


def _normalise(frames: Tensor, mean: float | Sequence[float], std: float | Sequence[float]) -> Tensor:
    """(T, 3, H, W) of [0, 255] to float32 (x / 255 - mean) / std."""
    clip = torch.empty_like(frames, dtype=torch.float32)
    # Whole pictures of the mean and of the deviation: channels lie side by side in memory, and three numbers at a time
    # take five times as long. Frame by frame, what is computed stays in the processor's cache.
    means, stds = (torch.empty_like(clip[0]).copy_(torch.tensor(numbers).reshape(-1, 1, 1)) for numbers in (mean, std))
    for frame, pixels in zip(clip, frames, strict=True):
        frame.copy_(pixels).div_(255).sub_(means).div_(stds)
    return clip


@contextlib.contextmanager
def _torch_draws_from(rng: np.random.Generator) -> Iterator[None]:
    """Torch's global CPU generator, for as long as this lasts, gives numbers that depend on `rng` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**63)))  # torch.manual_seed would seed the GPUs too
        yield


class TrainTransform:
    """Random resize, crop and colour of one training clip: flip, short side, crop, AutoAugment, colour steps,
    normalisation, erasing, in this order. Each is drawn once per clip.

    size: side of the square crop in pixels. short_side: (least, most) length of the shorter side after resizing, drawn
    as an integer, both included. crop: None for a square of `size` at a random place; "resized" for a crop of 8 to 100
    percent of the area and an aspect of 3/4 to 4/3, resized to `size`. auto_augment: "imagenet" for the policy that
    AutoAugment (arXiv:1805.09501) learned there: up to two operations, the same for all frames, with nearest-neighbour
    interpolation and black beyond the edges; autocontrast, equalise and contrast measure each frame on its own. color:
    probability of each of the four colour steps. brightness, saturation, gamma: ranges of the factors, 1 changes
    nothing. hue: range of the shift in turns, within [-0.5, 0.5]. A step without a range is left out. erasing:
    probability that a rectangle of 2 to 33 percent of the area, of an aspect of 0.3 to 3.3, is set to 0 after the
    normalisation. mean, std: on the scale of [0, 1].
    """

    def __init__(
        self,
        *,
        size: int,
        short_side: Sequence[int],
        crop: str | None = None,
        auto_augment: str | None = None,
        color: float | None = None,
        brightness: Sequence[float] | None = None,
        saturation: Sequence[float] | None = None,
        gamma: Sequence[float] | None = None,
        hue: Sequence[float] | None = None,
        erasing: float | None = None,
        interpolation: str = "bicubic",
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
    ) -> None:
        self.size = size
        self.short_side = (int(short_side[0]), int(short_side[1]))
        if not size <= self.short_side[0] <= self.short_side[1]:
            raise ValueError(f"short side {list(short_side)} must be an increasing range from the crop size {size} on")
        if crop not in (None, "resized"):
            raise ValueError(f"crop {not_one_of(crop, (None, 'resized'))}")
        if auto_augment not in (None, "imagenet"):
            raise ValueError(f"auto_augment {not_one_of(auto_augment, (None, 'imagenet'))}")
        self.resized_crop = self.auto_augment = self.erase = None
        if crop:
            self.resized_crop = v2.RandomResizedCrop(
                size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), interpolation=InterpolationMode(interpolation)
            )
        if auto_augment:
            self.auto_augment = v2.AutoAugment(AutoAugmentPolicy.IMAGENET)
        if erasing is not None:
            self.erase = v2.RandomErasing(erasing, scale=(0.02, 1 / 3), ratio=(0.3, 3.3))
        self.color = color or 0.0
        steps = (
            (F.adjust_brightness, brightness),
            (F.adjust_saturation, saturation),
            (F.adjust_gamma, gamma),
            (F.adjust_hue, hue),
        )
        self.color_steps = [(adjust, limits) for adjust, limits in steps if limits is not None]
        self.interpolation = interpolation
        self.mean, self.std = mean, std

    def __call__(self, frames: Tensor, *, flip: bool, rng: np.random.Generator) -> Tensor:
        """uint8 (T, 3, H, W) to float32 (T, 3, size, size). `flip`: mirror left and right, decided by the caller, who
        also knows what that does to the label. The same state of `rng` gives the same result."""
        if flip:
            frames = F.horizontal_flip(frames)
        frames = resize_short_side(frames, int(rng.integers(*self.short_side, endpoint=True)), self.interpolation)
        if self.resized_crop:
            with _torch_draws_from(rng):
                frames = self.resized_crop(frames)
        else:
            height, width = frames.shape[-2:]
            top = int(rng.integers(height - self.size, endpoint=True))
            left = int(rng.integers(width - self.size, endpoint=True))
            frames = frames[..., top : top + self.size, left : left + self.size]
        if self.auto_augment:
            with _torch_draws_from(rng):
                frames = self.auto_augment(frames)
        for adjust, (least, most) in self.color_steps:
            # Both numbers are drawn in any case, so that switching one step off leaves the draws of the others alone.
            apply, factor = rng.random() < self.color, float(rng.uniform(least, most))
            if apply:
                frames = adjust(frames, factor)
        clip = _normalise(frames, self.mean, self.std)
        if self.erase:
            with _torch_draws_from(rng):
                clip = self.erase(clip)
        return clip


class TestTransform:
    """Resize and fixed crops for testing; the arguments are those of TrainTransform, `crops` is 1 or 3, `resize` and
    `crop_rule` are names of Resize and CropRule."""

    def __init__(
        self,
        *,
        size: int,
        short_side: int,
        crops: int,
        interpolation: str = "bicubic",
        resize: Resize | None = None,
        crop_rule: CropRule | None = None,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.5,
    ) -> None:
        if short_side < size:
            raise ValueError(f"a crop of {size} does not fit in frames with a short side of {short_side}")
        self.size, self.short_side, self.crops = size, short_side, crops
        self.resize, self.crop_rule = resize, crop_rule
        self.interpolation, self.mean, self.std = interpolation, mean, std

    def __call__(self, frames: Tensor) -> Tensor:
        """uint8 (T, 3, H, W) to float32 (crops, T, 3, size, size)."""
        frames = resize_short_side(frames, self.short_side, self.interpolation, how=self.resize)
        size = self.size
        height, width = frames.shape[-2:]
        corners = crop_corners(height, width, size, self.crops, rule=self.crop_rule)
        if len(corners) == 1:
            top, left = corners[0]
            return _normalise(frames[..., top : top + size, left : left + size], self.mean, self.std)[None]
        pixels = _normalise(frames, self.mean, self.std)  # once what the crops share
        crops = torch.empty(len(corners), *pixels.shape[:-2], size, size)  # in this order in memory, as views are
        for crop, (top, left) in zip(crops, corners, strict=True):
            crop.copy_(pixels[..., top : top + size, left : left + size])
        return crops
