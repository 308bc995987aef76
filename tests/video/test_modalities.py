"""One flip, one size and one crop for I-frames, motion vectors and residuals, and what each of them means after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vtbench.video.modalities import MAX_MOTION, MAX_RESIDUAL, TestModalities, TrainModalities

T, H, W, SIZE = 2, 40, 56, 32
PLAIN = {"mean": 0.0, "std": 1.0}


@pytest.fixture
def clip() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "iframe": torch.randint(0, 256, (T, 3, H, W), generator=generator, dtype=torch.uint8),
        "motion": torch.randint(-8, 9, (T, 2, H, W), generator=generator).float(),
        "residual": torch.randint(-100, 101, (T, 3, H, W), generator=generator, dtype=torch.int16),
        "audio": torch.randn(T, 96, 64, generator=generator),
    }


def train(clip: dict[str, Tensor], *, flip: bool, seed: int = 0, side: int = H) -> dict[str, Tensor]:
    transform = TrainModalities(size=SIZE, short_side=(side, side), **PLAIN)
    return transform(clip, flip=flip, rng=np.random.default_rng(seed))


def test_all_modalities_show_the_same_place(clip: dict[str, Tensor]) -> None:
    out = train(clip, flip=False)
    assert {name: x.shape for name, x in out.items()} == {
        "iframe": (T, 3, SIZE, SIZE),
        "motion": (T, 2, SIZE, SIZE),
        "residual": (T, 3, SIZE, SIZE),
        "audio": (T, 96, 64),
    }
    places = [
        (top, left)
        for top in range(H - SIZE + 1)
        for left in range(W - SIZE + 1)
        if torch.equal(clip["iframe"][..., top : top + SIZE, left : left + SIZE] / 255, out["iframe"])
    ]
    ((top, left),) = places
    crop = (..., slice(top, top + SIZE), slice(left, left + SIZE))
    assert torch.equal(out["motion"] * MAX_MOTION, clip["motion"][crop])
    assert torch.equal(out["residual"] * MAX_RESIDUAL, clip["residual"][crop].float())
    assert torch.equal(out["audio"], clip["audio"])


def test_a_flip_turns_vectors_and_not_only_the_picture(clip: dict[str, Tensor]) -> None:
    mirrored = {name: x.flip(-1) if x.ndim == 4 else x for name, x in clip.items()}
    out, other = train(clip, flip=True), train(mirrored, flip=False)
    assert torch.equal(out["iframe"], other["iframe"]) and torch.equal(out["residual"], other["residual"])
    assert torch.equal(out["motion"][:, 0], -other["motion"][:, 0])
    assert torch.equal(out["motion"][:, 1], other["motion"][:, 1])


def test_prediction_and_residual_are_the_frame_after_a_flip_and_a_crop() -> None:
    """Compensation with the flipped vectors, of the flipped frame, plus the flipped residual: bit by bit the frame."""
    generator = torch.Generator().manual_seed(1)
    reference, frame = torch.randint(0, 256, (2, 3, H, W), generator=generator)
    motion = torch.randint(-4, 5, (2, H, W), generator=generator)

    def predict(picture: Tensor, motion: Tensor) -> Tensor:
        y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
        return picture[:, (y + motion[1]).clamp(0, H - 1), (x + motion[0]).clamp(0, W - 1)]

    residual = (frame - predict(reference, motion)).to(torch.int16)
    clip = {"iframe": reference[None].to(torch.uint8), "motion": motion[None].float(), "residual": residual[None]}
    whole = TrainModalities(size=H, short_side=(H, H), **PLAIN)
    out = whole({name: x[..., :H] for name, x in clip.items()}, flip=True, rng=np.random.default_rng(0))
    turned = {name: x.flip(-1) for name, x in clip.items()}
    turned["motion"][:, 0] *= -1
    again = predict(turned["iframe"][0].long(), turned["motion"][0].long()) + turned["residual"][0]
    assert torch.equal(again, frame.flip(-1))
    expected = clip["motion"][..., :H].flip(-1) * torch.tensor([-1, 1])[:, None, None]
    assert torch.equal(out["motion"] * MAX_MOTION, expected)


def test_smaller_pictures_move_less(clip: dict[str, Tensor]) -> None:
    clip["motion"] = torch.full((T, 2, 2 * SIZE, 4 * SIZE), 8.0)
    clip["iframe"] = torch.zeros(T, 3, 2 * SIZE, 4 * SIZE, dtype=torch.uint8)
    clip["residual"] = torch.zeros(T, 3, 2 * SIZE, 4 * SIZE, dtype=torch.int16)
    out = train(clip, flip=False, side=SIZE)
    assert torch.allclose(out["motion"] * MAX_MOTION, torch.tensor(4.0))


def test_what_is_beyond_the_scale_is_cut(clip: dict[str, Tensor]) -> None:
    clip["motion"], clip["residual"] = clip["motion"] * 10, clip["residual"] * 5
    out = train(clip, flip=False)
    for name in ("motion", "residual"):
        assert (out[name].min(), out[name].max()) == (-1, 1)


def test_coviars_scale_is_half_and_by_imagenets_deviations() -> None:
    """Of its dataset.py: clip_and_scale, levels around 128, then level / 255 - 0.5, residuals over the deviation."""
    motion = torch.tensor([-30.0, -20.0, -0.3, 0.0, 0.3, 1.0, 20.0]).reshape(1, 1, 1, 7).expand(1, 2, 7, 7)
    residual = torch.tensor([-200, -128, -1, 0, 1, 127, 200]).reshape(1, 1, 1, 7).expand(1, 3, 7, 7)
    views = TestModalities(size=7, short_side=7, crops=1, scale="coviar")({"motion": motion, "residual": residual})
    levels = np.clip(np.array([-191, -127, -1, 0, 1, 6, 127]) + 128, 0, 255)
    assert views["motion"][0, 0, 1, 3].numpy() == pytest.approx(levels / 255 - 0.5, abs=1e-6)
    levels = np.clip(np.array([-200, -128, -1, 0, 1, 127, 200]) + 128, 0, 255)
    for colour, std in enumerate((0.229, 0.224, 0.225)):
        assert views["residual"][0, 0, colour, 3].numpy() == pytest.approx((levels / 255 - 0.5) / std, abs=1e-6)
    with pytest.raises(ValueError, match="scale is 'covar', must be one of coviar"):
        TestModalities(size=7, short_side=7, crops=1, scale="covar")


def test_the_three_crops_of_a_test_share_their_sound(clip: dict[str, Tensor]) -> None:
    views = TestModalities(size=SIZE, short_side=H, crops=3, **PLAIN)(clip)
    assert views["iframe"].shape == (3, T, 3, SIZE, SIZE) and views["audio"].shape == (3, T, 96, 64)
    top = (H - SIZE) // 2
    for view, left in enumerate((0, (W - SIZE) // 2, W - SIZE)):
        expected = clip["residual"][..., top : top + SIZE, left : left + SIZE]
        assert torch.equal(views["residual"][view] * MAX_RESIDUAL, expected.float())


def test_tests_look_at_the_size_that_is_asked_for(clip: dict[str, Tensor]) -> None:
    clip = {
        "iframe": torch.full((T, 3, 2 * SIZE, 4 * SIZE), 100, dtype=torch.uint8),
        "motion": torch.tensor([8.0, 4.0]).reshape(2, 1, 1).expand(T, 2, 2 * SIZE, 4 * SIZE).contiguous(),
    }
    clip["motion"][:, :, :, : 2 * SIZE] = 0  # the left half: the crop in the middle sees half of it, if all was resized
    views = TestModalities(size=SIZE, short_side=SIZE, crops=1, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))(clip)
    motion = views["motion"][0] * MAX_MOTION
    assert (motion[:, :, :, : SIZE // 2 - 2] == 0).all()
    assert torch.allclose(motion[:, 0, :, SIZE // 2 + 2 :], torch.tensor(4.0))
    assert torch.allclose(motion[:, 1, :, SIZE // 2 + 2 :], torch.tensor(2.0))
    expected = [(100 / 255 - mean) / std for mean, std in ((0.1, 0.5), (0.2, 0.25), (0.3, 2.0))]
    assert torch.allclose(views["iframe"][0, 0, :, 0, 0], torch.tensor(expected))


def test_vectors_shrink_by_what_each_side_does() -> None:
    motion = torch.full((1, 2, 33, 100), 10.0)
    resized = TestModalities(size=16, short_side=16, crops=1, **PLAIN).resize({"motion": motion}, 16)["motion"]
    assert resized.shape == (1, 2, 16, 48)
    assert torch.allclose(resized[0, :, 8, 24], torch.tensor([10 * 48 / 100, 10 * 16 / 33]))


def test_sound_alone_needs_no_pictures(clip: dict[str, Tensor]) -> None:
    assert list(train({"audio": clip["audio"]}, flip=True)) == ["audio"]
    assert TestModalities(size=SIZE, short_side=H, crops=3)({"audio": clip["audio"]})["audio"].shape == (3, T, 96, 64)


def test_impossible_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="must be an increasing range from the crop size 32"):
        TrainModalities(size=SIZE, short_side=(20, 40))
    with pytest.raises(ValueError, match="a crop of 32 does not fit"):
        TestModalities(size=SIZE, short_side=20, crops=1)
