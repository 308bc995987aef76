from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import draw
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from vtbench.video import transforms


def frames(height: int = 40, width: int = 48, count: int = 5, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=g)


def pixels(x: Tensor) -> Tensor:
    """Undo (x / 255 - 0.5) / 0.5."""
    return ((x * 0.5 + 0.5) * 255).round().to(torch.uint8)


class Fixed:
    """A stand-in for the random generator that gives prescribed numbers."""

    def __init__(self, integers: list[int], random: float = 1.0, uniform: float = 1.0) -> None:
        self.queue, self.fixed_random, self.fixed_uniform = integers, random, uniform
        self.ranges: list[tuple[int, ...]] = []

    def integers(self, *bounds: int, endpoint: bool) -> int:
        assert endpoint
        self.ranges.append(bounds)
        return self.queue.pop(0)

    def random(self) -> float:
        return self.fixed_random

    def uniform(self, low: float, high: float) -> float:
        return self.fixed_uniform


@pytest.mark.parametrize(("height", "width"), [(40, 48), (48, 40), (40, 40), (240, 427), (427, 240)])
def test_short_side_is_resized_and_aspect_kept(height: int, width: int) -> None:
    resized = transforms.resize_short_side(frames(height, width, 1), 37)
    official = (int(np.floor(1.0 * max(height, width) / min(height, width) * 37)), 37)
    assert resized.shape[-2:] == (official if height > width else official[::-1])
    assert resized.dtype == torch.uint8
    same = frames(height, width, 1)
    assert torch.equal(transforms.resize_short_side(same, min(height, width)), same)


def test_training_crop_is_where_it_was_drawn_and_the_same_in_all_frames() -> None:
    clip = frames(count=1).expand(4, -1, -1, -1)
    transform = transforms.TrainTransform(size=32, short_side=[40, 44])
    rng = Fixed([40, 3, 11])
    out = transform(clip, flip=False, rng=rng)
    assert rng.ranges == [(40, 44), (8,), (16,)]
    assert torch.equal(pixels(out), clip[..., 3:35, 11:43])
    assert torch.equal(out[0], out[3])
    mirrored = transform(clip, flip=True, rng=Fixed([40, 3, 11]))
    assert torch.equal(pixels(mirrored), clip.flip(-1)[..., 3:35, 11:43])


def test_resize_comes_before_the_crop() -> None:
    clip = frames()
    out = transforms.TrainTransform(size=32, short_side=[34, 60])(clip, flip=False, rng=Fixed([50, 18, 28]))
    whole = F.resize(clip, [50, 60], interpolation=InterpolationMode.BICUBIC, antialias=True)
    assert torch.equal(pixels(out), whole[..., 18:, 28:])


COLOURS = {
    "brightness": (F.adjust_brightness, 1.7),
    "saturation": (F.adjust_saturation, 2.5),
    "gamma": (F.adjust_gamma, 0.8),
    "hue": (F.adjust_hue, 0.3),
}


@pytest.mark.parametrize("step", COLOURS)
def test_each_colour_step_is_applied_to_the_whole_clip(step: str) -> None:
    clip = frames(32, 32)
    adjust, factor = COLOURS[step]
    # The range of the others is a point that changes nothing.
    transform = transforms.TrainTransform(size=32, short_side=[32, 32], color=1.0, **{step: [factor, factor]})
    rng = np.random.default_rng(0)
    out = transform(clip, flip=False, rng=rng)
    changed = adjust(clip, factor)
    assert (pixels(out).int() - changed.int()).abs().max() <= 2  # the other three steps round
    assert not torch.equal(changed, clip)


def test_colour_steps_come_in_the_official_order() -> None:
    clip = frames(32, 32)
    ranges = {step: [factor, factor] for step, (_, factor) in COLOURS.items()}
    transform = transforms.TrainTransform(size=32, short_side=[32, 32], color=1.0, **ranges)
    expected = clip
    for adjust, factor in COLOURS.values():
        expected = adjust(expected, factor)
    assert torch.equal(pixels(transform(clip, flip=False, rng=np.random.default_rng(0))), expected)


def test_colour_is_applied_as_often_as_asked() -> None:
    clip = frames(32, 32, 1)
    transform = transforms.TrainTransform(size=32, short_side=[32, 32], color=0.1, brightness=[0.4, 0.5])
    rng = np.random.default_rng(0)
    changed = sum(not torch.equal(pixels(transform(clip, flip=False, rng=rng)), clip) for _ in range(500))
    assert 30 <= changed <= 70


def test_crops_reach_every_corner_position() -> None:
    # A clip whose pixels are their own column and row number shows where each crop begins.
    row, column = torch.meshgrid(torch.arange(34), torch.arange(36), indexing="ij")
    clip = torch.stack([row, column, row]).to(torch.uint8)[None]
    transform = transforms.TrainTransform(size=32, short_side=[34, 34])
    rng = np.random.default_rng(0)
    corners = {tuple(pixels(transform(clip, flip=False, rng=rng))[0, :2, 0, 0].tolist()) for _ in range(300)}
    assert corners == {(top, left) for top in range(3) for left in range(5)}


def test_output_is_normalised() -> None:
    clip = torch.tensor([0, 255], dtype=torch.uint8).repeat(2, 3, 32, 16)
    transform = transforms.TestTransform(size=32, short_side=32, crops=1, mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 4.0])
    out = transform(clip)
    assert out.dtype == torch.float32
    assert torch.allclose(out[0, 0, :, 0, 0], torch.tensor([-0.1, -0.1, -0.075]))
    assert torch.allclose(out[0, 0, :, 0, 1], torch.tensor([0.9, 0.4, 0.175]))


def test_three_crops_are_left_centre_right_and_one_is_the_centre() -> None:
    clip = frames(40, 50)
    three = transforms.TestTransform(size=40, short_side=40, crops=3)(clip)
    assert three.shape == (3, 5, 3, 40, 40)
    for crop, left in zip(three, (0, 5, 10), strict=True):
        assert torch.equal(pixels(crop), clip[..., left : left + 40])
    one = transforms.TestTransform(size=40, short_side=40, crops=1)(clip)
    assert torch.equal(one, three[1:2])


def test_crops_of_portrait_videos_are_top_centre_bottom() -> None:
    clip = frames(51, 40)
    three = transforms.TestTransform(size=36, short_side=40, crops=3)(clip)
    for crop, top in zip(three, (0, 7, 15), strict=True):
        assert torch.equal(pixels(crop), clip[..., top : top + 36, 2:38])


CROPS = json.loads((Path(__file__).parents[1] / "golden" / "crops.json").read_text())
"""A few pixels of test crops of the official codes; see tests/golden/README.md."""


@pytest.mark.parametrize("size", draw.PICTURE_SIZES, ids=str)
@pytest.mark.parametrize(
    ("code", "short_side", "crops", "resize", "crop_rule", "within"),
    [
        ("laps", 224, 3, "interpolate", "ceil", 0.001),
        ("pst", 224, 3, "mmcv", "mmaction", 1.001),  # its fixed-point arithmetic may differ by one level
        ("pst", 256, 1, "mmcv", "mmaction", 1.001),
    ],
)
def test_test_crops_show_the_official_codes_pixels(
    code: str, short_side: int, crops: int, resize: Any, crop_rule: Any, within: float, size: tuple[int, int]
) -> None:
    transform = transforms.TestTransform(
        size=224, short_side=short_side, crops=crops, interpolation="bilinear", resize=resize, crop_rule=crop_rule,
        mean=0.0, std=1 / 255,
    )  # fmt: skip
    views = transform(torch.from_numpy(draw.picture(*size)).permute(2, 0, 1)[None])[:, 0].permute(0, 2, 3, 1).numpy()
    golden = np.array(CROPS[code]["pixels"]["x".join(map(str, size))])
    wanted = golden[:3] if crops == 3 else golden[3:]
    assert np.abs(np.stack([draw.grid(view) for view in views]) - wanted).max() < within


def test_unknown_rules_of_crops_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="crop rule is 'ciel', must be one of ceil, mmaction; did you mean 'ceil'"):
        transforms.crop_corners(30, 40, 24, 3, rule="ciel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="resize is 'opencv', must be one of interpolate, mmcv"):
        transforms.resize_short_side(torch.zeros(1, 3, 8, 8), 4, how="opencv")  # type: ignore[arg-type]


def test_crops_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="short side"):
        transforms.TrainTransform(size=224, short_side=[200, 330])
    with pytest.raises(ValueError, match="does not fit"):
        transforms.TestTransform(size=224, short_side=200, crops=3)
    with pytest.raises(ValueError, match="1 or 3 crops"):
        transforms.TestTransform(size=32, short_side=32, crops=5)(frames())


def test_the_same_seed_gives_the_same_clip() -> None:
    transform = transforms.TrainTransform(
        size=24, short_side=[26, 40], color=0.5, brightness=[0.5, 2], saturation=[0.5, 3], hue=[-0.5, 0.5]
    )
    a, b, c = (transform(frames(), flip=False, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_recipe_without_the_newer_steps_draws_what_it_always_drew() -> None:
    """Bit for bit: committed weights were trained on these clips."""
    ranges = {"brightness": [0.5, 2.0], "saturation": [0.5, 3.0], "gamma": [0.8, 1.2], "hue": [-0.5, 0.5]}
    transform = transforms.TrainTransform(size=32, short_side=[34, 44], color=0.5, **ranges)
    rng, again = (np.random.default_rng(7) for _ in range(2))
    for _ in range(10):
        expected = transforms.resize_short_side(frames(), int(again.integers(34, 44, endpoint=True)))
        height, width = expected.shape[-2:]
        top, left = int(again.integers(height - 32, endpoint=True)), int(again.integers(width - 32, endpoint=True))
        expected = expected[..., top : top + 32, left : left + 32]
        for step, (adjust, _) in COLOURS.items():
            apply, factor = again.random() < 0.5, float(again.uniform(*ranges[step]))
            expected = adjust(expected, factor) if apply else expected
        assert torch.equal(transform(frames(), flip=False, rng=rng), (expected.float() / 255 - 0.5) / 0.5)


def test_without_ranges_no_colour_is_changed_or_drawn() -> None:
    clip, rng = frames(32, 32), np.random.default_rng(0)
    none = dict.fromkeys(("color", *COLOURS))
    out = transforms.TrainTransform(size=32, short_side=[32, 32], **none)(clip, flip=False, rng=rng)
    assert torch.equal(pixels(out), clip)
    assert rng.random() == np.random.default_rng(0).random()


def test_a_resized_crop_keeps_to_its_ranges_and_is_the_same_in_all_frames() -> None:
    # Pixels are their own row and column: what a crop shows from edge to edge tells its height and width.
    row, column = torch.meshgrid(torch.arange(200), torch.arange(240), indexing="ij")
    clip = torch.stack([row, column, row]).to(torch.uint8).expand(3, -1, -1, -1)
    transform = transforms.TrainTransform(size=40, short_side=[200, 200], crop="resized", interpolation="bilinear")
    rng = np.random.default_rng(0)
    areas, aspects, corners = [], [], set()
    for _ in range(300):
        out = pixels(transform(clip, flip=False, rng=rng))
        assert out.shape == (3, 3, 40, 40)
        assert torch.equal(out[0], out[1]) and torch.equal(out[0], out[2])
        height, width = ((out[0, c, -6, -6] - out[0, c, 5, 5]).item() * 40 / 29 for c in (0, 1))
        areas.append(height * width / (200 * 240))
        aspects.append(width / height)
        corners.add((out[0, 0, 0, 0].item(), out[0, 1, 0, 0].item()))
    assert 0.07 < min(areas) < 0.15 and 0.85 < max(areas) < 1.03
    assert 0.7 < min(aspects) < 0.8 and 1.28 < max(aspects) < 1.4
    assert len(corners) > 200


def test_auto_augment_is_torchvisions_imagenet_policy_on_the_cropped_clip() -> None:
    clip = frames()
    transform = transforms.TrainTransform(size=32, short_side=[40, 40], auto_augment="imagenet")
    changed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        top, left = int(rng.integers(8, endpoint=True)), int(rng.integers(16, endpoint=True))
        crop = clip[..., top : top + 32, left : left + 32]
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.integers(2**63)))
            expected = v2.AutoAugment()(crop)
        out = pixels(transform(clip, flip=False, rng=np.random.default_rng(seed)))
        assert torch.equal(out, expected)
        changed += not torch.equal(expected, crop)
    assert changed > 30


def test_auto_augment_does_the_same_to_all_frames() -> None:
    clip = frames(count=1).expand(4, -1, -1, -1)
    transform = transforms.TrainTransform(size=32, short_side=[40, 40], auto_augment="imagenet")
    rng = np.random.default_rng(0)
    for _ in range(100):
        out = transform(clip, flip=False, rng=rng)
        assert all(torch.equal(out[0], other) for other in out[1:])


def test_erasing_sets_one_rectangle_of_all_frames_to_the_mean() -> None:
    clip = frames(40, 40).clamp(min=1)
    arguments = {"size": 40, "short_side": [40, 40], "mean": 0.0, "std": 1.0}
    transform = transforms.TrainTransform(**arguments, erasing=0.5)
    whole = transforms.TrainTransform(**arguments)(clip, flip=False, rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(300):
        out = transform(clip, flip=False, rng=rng)
        gone = (out == 0).all(dim=(0, 1))
        assert torch.equal(out, whole * ~gone)  # everything else is as it was
        if gone.any():
            rows, columns = gone.any(dim=1).sum().item(), gone.any(dim=0).sum().item()
            assert gone.sum() == rows * columns
            sizes.append(rows * columns / 1600)
    assert 120 < len(sizes) < 180
    assert 0.01 < min(sizes) < 0.05 and 0.28 < max(sizes) < 0.36


def test_erasing_comes_after_the_normalisation() -> None:
    transform = transforms.TrainTransform(size=40, short_side=[40, 40], erasing=1.0, mean=-1.0, std=1.0)
    out = transform(frames(40, 40), flip=False, rng=np.random.default_rng(0))
    assert (out == 0).any() and not ((out > 0) & (out < 1)).any()


STEPS = {"crop": "resized", "auto_augment": "imagenet", "erasing": 0.5}


@pytest.mark.parametrize("step", [{key: value} for key, value in STEPS.items()] + [STEPS], ids=str)
def test_a_clip_depends_on_its_generator_alone_and_leaves_torchs_as_it_was(step: dict[str, object]) -> None:
    transform = transforms.TrainTransform(size=24, short_side=[26, 30], **step)
    clips = []
    for torch_seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(torch_seed)
            before = torch.get_rng_state()
            rng = np.random.default_rng(5)
            clips.append([transform(frames(), flip=False, rng=rng) for _ in range(8)])
            assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(*clips, strict=True))
    assert len({clip.numpy().tobytes() for clip in clips[0]}) == 8


def test_unknown_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="crop is 'square', must be one of None, resized"):
        transforms.TrainTransform(size=32, short_side=[32, 32], crop="square")
    with pytest.raises(ValueError, match="auto_augment is 'cifar10', must be one of None, imagenet"):
        transforms.TrainTransform(size=32, short_side=[32, 32], auto_augment="cifar10")
