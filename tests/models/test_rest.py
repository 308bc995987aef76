"""ResT against its official code's state dict and published sizes; its logits are in test_golden.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vtbench.models import build
from vtbench.models.rest import ResTAttention

TINY: dict[str, Any] = {"num_classes": 3, "num_frames": 4, "img_size": 40, "embed_dim": 8, "depths": (1, 1, 1, 1)}
BASE: dict[str, Any] = {"embed_dim": 96}
LARGE: dict[str, Any] = {"embed_dim": 96, "depths": (2, 2, 18, 2)}


def test_parameter_names_and_shapes_of_rest_small_are_the_official_ones() -> None:
    golden = json.loads((Path(__file__).parent.parent / "golden" / "laps.json").read_text())
    with torch.device("meta"):
        network = build("rest", num_classes=400, num_frames=8)
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == golden["shapes"]["rest_small"]


@pytest.mark.parametrize(
    ("sizes", "params_m", "printed"),  # printed: arXiv:2207.05526, Table 3
    [({}, 13.3719, "13.4"), (BASE, 29.8657, "29.9"), (LARGE, 51.2148, "51.2")],
)
def test_small_base_and_large_have_the_published_sizes(sizes: dict[str, Any], params_m: float, printed: str) -> None:
    with torch.device("meta"):
        network = build("rest", num_classes=400, num_frames=8, **sizes)
    ours = sum(p.numel() for p in network.parameters()) / 1e6
    assert round(ours, 4) == params_m and f"{ours:.1f}" == printed


@pytest.mark.parametrize(("img_size", "last"), [(224, 7), (320, 10), (360, 12), (33, 2), (40, 2), (100, 4)])
def test_any_resolution_will_do(img_size: int, last: int) -> None:
    with torch.device("meta"):
        network = build("rest", **{**TINY, "img_size": img_size}).eval()
        assert network.forward_features(torch.empty(4, 3, img_size, img_size)).shape == (4, 64, last, last)
        assert network(torch.empty(1, 4, 3, img_size, img_size)).shape == (1, 3)


def test_logits_are_the_mean_over_the_frames() -> None:
    torch.manual_seed(0)
    network = build("rest", **TINY).eval()
    frame_by_frame = build("rest", **{**TINY, "num_frames": 1}).eval()
    frame_by_frame.load_state_dict(network.state_dict())
    clips = torch.randn(2, 4, 3, 40, 40)
    expected = torch.stack([frame_by_frame(clips[:, t : t + 1]) for t in range(4)]).mean(dim=0)
    torch.testing.assert_close(network(clips), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("num_heads", "sr_ratio"), [(1, 4), (1, 1), (4, 2), (4, 1)])
def test_attention_equals_the_loop_over_eq_5(num_heads: int, sr_ratio: int) -> None:
    torch.manual_seed(0)
    dim, width = 16, 16 // num_heads
    module = ResTAttention(dim, num_heads=num_heads, sr_ratio=sr_ratio)
    x = 2 * torch.randn(2, 6 * 8, dim)
    reduced = x
    if sr_ratio > 1:
        maps = module.sr(x.transpose(1, 2).reshape(2, dim, 6, 8))
        reduced = module.sr_norm(maps.reshape(2, dim, -1).transpose(1, 2))
    keys, values = module.kv(reduced).split(dim, dim=-1)
    logits = [
        module.q(x)[..., u * width :][..., :width] @ keys[..., u * width :][..., :width].mT / width**0.5
        for u in range(num_heads)
    ]
    if num_heads > 1:
        weights, bias = module.transform_conv.weight[:, :, 0, 0], module.transform_conv.bias
        logits = [sum(weights[u, w] * logits[w] for w in range(num_heads)) + bias[u] for u in range(num_heads)]
    heads = []
    for u in range(num_heads):
        attention = logits[u].softmax(dim=-1)
        if num_heads > 1:  # IN(...) of Eq. 5: over all queries and keys of a head
            mean, var = attention.mean(dim=(1, 2), keepdim=True), attention.var(dim=(1, 2), correction=0, keepdim=True)
            attention = (attention - mean) / (var + 1e-5).sqrt()
        heads.append(attention @ values[..., u * width :][..., :width])
    expected = module.proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(module(x, (6, 8)), expected, rtol=0, atol=1e-4)


def test_convolutions_and_linear_layers_start_at_small_normals() -> None:
    torch.manual_seed(0)
    network = build("rest", num_classes=10, num_frames=1)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.numel() > 1000:
            assert abs(module.weight.std().item() - 0.02) < 0.003, name
        if isinstance(module, nn.Linear):
            assert not module.bias.any(), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"embed_dim": 0}, "embed_dim=0"),
        ({"embed_dim": 7}, "embed_dim=7: must be even"),
        ({"img_size": 32}, "img_size=32: must be at least 33"),
        ({"depths": (1, 1, 1)}, r"depths=\[1, 1, 1\].*four stages"),
        ({"depths": (1, 0, 1, 1)}, r"depths=\[1, 0, 1, 1\].*four stages, each at least 1"),
    ],
)
def test_impossible_sizes_are_named(build_unchecked: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_unchecked("rest", **{**TINY, **arguments})


@pytest.mark.parametrize("shape", [(1, 3, 3, 40, 40), (1, 4, 3, 40, 48), (2, 8, 3, 40, 40)])
def test_clips_of_other_frames_or_size_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, 4, 3, 40, 40\).*num_frames=4"):
        build("rest", **TINY)(torch.zeros(shape))
