from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from vtbench.models import build

TINY: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 4,
    "img_size": 32,
    "init_channels": 4,
    "embed_dim": 16,
    "depths": (1, 1, 1),
    "num_heads": 2,
}


def test_logits_are_the_mean_of_timms_over_the_frames() -> None:
    torch.manual_seed(0)
    reference = timm.create_model(
        "visformer_small", num_classes=3, img_size=32, init_channels=4, embed_dim=16, depth=(1, 1, 1), num_heads=2
    ).eval()
    network = build("visformer", **TINY).eval()
    network.load_state_dict(reference.state_dict())
    clips = torch.randn(2, 4, 3, 32, 32)
    expected = torch.stack([reference(clips[:, t]) for t in range(4)]).mean(dim=0)
    torch.testing.assert_close(network(clips), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("img_size", "params_m", "printed"),  # printed: MODEL_ZOO.md of the official code; arXiv:2207.05526, Table 3
    [(224, 39.7582, "39.758"), (320, 40.0324, "40.0"), (360, 40.1624, "40.2")],
)
def test_visformer_s_has_the_published_size(img_size: int, params_m: float, printed: str) -> None:
    with torch.device("meta"):
        network = build("visformer", num_classes=400, num_frames=8, img_size=img_size)
    ours = sum(p.numel() for p in network.parameters()) / 1e6
    assert round(ours, 4) == params_m and f"{ours:.{len(printed) - 3}f}" == printed


@pytest.mark.parametrize(
    ("img_size", "grids"), [(224, (28, 14, 7)), (320, (40, 20, 10)), (360, (45, 22, 11)), (34, (4, 2, 1))]
)
def test_odd_maps_are_halved_rounding_down(img_size: int, grids: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = build("visformer", num_classes=5, num_frames=2, img_size=img_size).eval()
        assert network(torch.empty(1, 2, 3, img_size, img_size)).shape == (1, 5)
    maps = (network.pos_embed1, network.pos_embed2, network.pos_embed3)
    assert tuple(m.shape[2] for m in maps) == tuple(m.shape[3] for m in maps) == grids


def test_the_second_and_third_stage_attend() -> None:
    with torch.device("meta"):
        network = build("visformer", num_classes=5, num_frames=2)
    assert len(network.attention_blocks) == 8
    assert [module.attn for module in network.stage1] == [None] * 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"init_channels": 0}, "init_channels=0"),
        ({"num_heads": 0}, "num_heads=0"),
        ({"img_size": 30}, "img_size=30: must be even and at least 32"),
        ({"img_size": 33}, "img_size=33: must be even"),
        ({"patch_size": 12}, "patch_size=12: must be a multiple of 8"),
        ({"embed_dim": 20}, "embed_dim=20.*num_heads=2 and of 8"),
        ({"embed_dim": 16, "num_heads": 3}, "embed_dim=16.*num_heads=3"),
        ({"depths": (1, 1)}, r"depths=\[1, 1\].*three stages"),
        ({"depths": (1, -1, 1)}, r"depths=\[1, -1, 1\].*three stages"),
        ({"depths": (0, 0, 0)}, r"depths=\[0, 0, 0\].*three stages"),
    ],
)
def test_impossible_sizes_are_named(build_unchecked: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_unchecked("visformer", **{**TINY, **arguments})


@pytest.mark.parametrize("embed_dim", [8, 24, 40])
def test_any_width_of_whole_groups_and_heads_will_do(embed_dim: int) -> None:
    assert build("visformer", **{**TINY, "embed_dim": embed_dim})(torch.randn(2, 4, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3, 3, 32, 32), (1, 4, 3, 32, 48), (2, 8, 3, 32, 32)])
def test_clips_of_other_frames_or_size_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, 4, 3, 32, 32\).*num_frames=4"):
        build("visformer", **TINY)(torch.zeros(shape))
