"""TokenShift against a plain loop over Eqs. 8 and 9 of arXiv:2204.00452."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from vtbench.models import build
from vtbench.models.tokenshift import TokenShiftBlock, shift_class_token

BOUNDARIES = ["zero", "replicate", "cyclic"]
TINY: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 4,
    "img_size": 16,
    "patch_size": 8,
    "embed_dim": 12,
    "depth": 2,
    "num_heads": 4,
}


def loop(clip: Tensor, channels: int, first: str, boundary: str) -> Tensor:
    """Eqs. 8, 9 for one clip (T, N+1, D): the first `channels` from t-1 (Eq. 8) or from t+1 (official code)."""
    num_frames, _, width = clip.shape
    out = clip.clone()
    for t in range(num_frames):
        for d in range(width):
            if d < channels:
                source = t - 1 if first == "previous" else t + 1
            elif d < 2 * channels:
                source = t + 1 if first == "previous" else t - 1
            else:
                continue
            if 0 <= source < num_frames:
                out[t, 0, d] = clip[source, 0, d]
            elif boundary == "zero":
                out[t, 0, d] = 0
            elif boundary == "replicate":
                out[t, 0, d] = clip[t, 0, d]
            else:
                out[t, 0, d] = clip[source % num_frames, 0, d]
    return out


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("first", ["next", "previous"])
@pytest.mark.parametrize("channels", [0, 1, 2, 4])
def test_shift_equals_the_loop(channels: int, first: str, boundary: str) -> None:
    x = torch.randn(3, 4, 5, 8)
    expected = torch.stack([loop(clip, channels, first, boundary) for clip in x])
    actual = shift_class_token(x.flatten(0, 1), num_frames=4, channels=channels, first=first, boundary=boundary)
    assert torch.equal(actual.unflatten(0, (3, 4)), expected)


def test_block_shifts_before_attention_and_before_mlp() -> None:
    network = build("tokenshift", **TINY)
    block, x = network.blocks[0], torch.randn(4, 5, 12)
    assert isinstance(block, TokenShiftBlock)
    z = loop(x, 3, "next", "zero")  # Eq. 4
    z = block.attn(block.norm1(z)) + z  # Eq. 5
    z = loop(z, 3, "next", "zero")  # Eq. 6
    torch.testing.assert_close(block(x), block.mlp(block.norm2(z)) + z, rtol=0, atol=1e-6)  # Eq. 7


def test_no_channel_shifted_is_the_vit_to_the_bit() -> None:
    clips = torch.randn(2, 4, 3, 16, 16)
    network, vit = build("tokenshift", **TINY, shift_fraction=0.0), build("vit", **TINY)
    vit.load_state_dict(network.state_dict())
    torch.nn.init.normal_(vit.head.weight)
    network.head.load_state_dict(vit.head.state_dict())
    assert torch.equal(network(clips), vit(clips))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shift_fraction": 0.6}, r"shift_fraction=0.6: must be in \[0, 0.5\]"),
        ({"shift_fraction": -0.1}, "shift_fraction=-0.1"),
        ({"shift_fraction": 0.1}, "shift_fraction=0.1.*12 channels"),
        ({"first": "last"}, "first is 'last'.*previous, next"),
        ({"boundary": "mirror"}, "boundary is 'mirror'"),
    ],
)
def test_impossible_arguments_are_named(build_unchecked: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_unchecked("tokenshift", **TINY, **arguments)
