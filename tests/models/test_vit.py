from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from vtbench.errors import UsageError
from vtbench.models import build

TINY: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 4,
    "img_size": 16,
    "patch_size": 8,
    "embed_dim": 12,
    "depth": 2,
    "num_heads": 4,
}


def test_logits_are_the_mean_of_timms_over_the_frames() -> None:
    torch.manual_seed(0)
    reference = timm.create_model(
        "vit_base_patch16_224", num_classes=3, img_size=16, patch_size=8, embed_dim=12, depth=2, num_heads=4
    ).eval()
    network = build("vit", **TINY).eval()
    network.load_state_dict(reference.state_dict())
    clips = torch.randn(2, 4, 3, 16, 16)
    expected = torch.stack([reference(clips[:, t]) for t in range(4)]).mean(dim=0)
    torch.testing.assert_close(network(clips), expected, rtol=0, atol=1e-6)


def test_head_starts_at_zero_and_norms_have_the_official_eps() -> None:
    network = build("vit", **TINY)
    assert not network.head.weight.any() and not network.head.bias.any()
    norms = [m for m in network.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert len(norms) == 2 * TINY["depth"] + 1 and {norm.eps for norm in norms} == {1e-6}


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("num_classes", 0, "num_classes=0"),
        ("num_frames", 0, "num_frames=0"),
        ("depth", 0, "depth=0"),
        ("img_size", 20, "img_size=20.*patch_size=8"),
        ("embed_dim", 14, "embed_dim=14.*num_heads=4"),
    ],
)
def test_impossible_sizes_are_named(argument: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("vit", **{**TINY, argument: value})


@pytest.mark.parametrize("shape", [(1, 3, 3, 16, 16), (1, 4, 3, 16, 24), (1, 4, 3, 8, 8), (2, 8, 3, 16, 16)])
def test_clips_of_other_frames_or_size_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, 4, 3, 16, 16\).*num_frames=4"):
        build("vit", **TINY)(torch.zeros(shape))


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model 'mcsa'; did you mean 'msca'"):
        build("mcsa")
