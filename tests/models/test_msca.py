"""MSCA against plain loops over Eqs. 12-23 of arXiv:2204.00452, and what the paper says about it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import Attention
from torch import Tensor

from vtbench.layers.shift import shift_slices
from vtbench.models import build
from vtbench.models.msca import CrossSizes, MSCAttention

SHIFTED = ["q", "k", "v", "qk", "kv", "qv", "qkv"]
BOUNDARIES = ["zero", "replicate", "cyclic"]
CLIPS, FRAMES, TOKENS, HEADS, WIDTH = 2, 3, 6, 5, 20
TINY: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 4,
    "img_size": 16,
    "patch_size": 8,
    "embed_dim": 12,
    "depth": 3,
    "num_heads": 4,
}


NOTHING_SHIFTED: dict[str, dict[str, Any]] = {
    "msca": {"backward_heads": 0, "forward_heads": 0},
    "msca_patch": {"backward_patches": 0, "forward_patches": 0},
}


def attention(**arguments: Any) -> tuple[Attention, MSCAttention, Tensor]:
    torch.manual_seed(0)
    plain = Attention(WIDTH, num_heads=HEADS, qkv_bias=True)
    places = {"start": 0, "sizes": (1, 2), "direction": "heads"}
    places |= {name: arguments.pop(name) for name in places if name in arguments}
    x = 2 * torch.randn(CLIPS * FRAMES, TOKENS, WIDTH)
    config = CrossSizes(num_classes=1, num_frames=FRAMES, **arguments)
    return plain, MSCAttention(plain, config, **places), x


def frame(x: list[Tensor], t: int, boundary: str) -> Tensor:
    """x[t], also beyond the ends of the clip."""
    if 0 <= t < len(x):
        return x[t]
    if boundary == "zero":
        return torch.zeros_like(x[0])
    return x[min(max(t, 0), len(x) - 1)] if boundary == "replicate" else x[t % len(x)]


def a(q: Tensor, k: Tensor) -> Tensor:
    """Eq. 14 with the scale of a head."""
    return torch.softmax(q @ k.T / (WIDTH / HEADS) ** 0.5, dim=-1)


def projections(plain: Attention, clip: Tensor) -> dict[str, list[list[Tensor]]]:
    """Eqs. 12, 15: name -> frame -> head -> (tokens, D/h)."""
    weights = dict(zip("qkv", plain.qkv.weight.split(WIDTH), strict=True))
    biases = dict(zip("qkv", plain.qkv.bias.split(WIDTH), strict=True))
    return {n: [list((z @ weights[n].T + biases[n]).split(WIDTH // HEADS, dim=1)) for z in clip] for n in "qkv"}


def loop_over_heads(plain: Attention, x: Tensor, shifted: str, backward: int, forward: int, boundary: str) -> Tensor:
    """Eqs. 16-18 and the five variants between them."""
    output = []
    for clip in x.unflatten(0, (CLIPS, FRAMES)):
        parts = projections(plain, clip)
        for t in range(FRAMES):
            heads = []
            for i in range(HEADS):
                offset = -1 if i < backward else 1 if i < backward + forward else 0
                q, k, v = (
                    frame([heads_of_t[i] for heads_of_t in parts[n]], t + (offset if n in shifted else 0), boundary)
                    for n in "qkv"
                )
                heads.append(a(q, k) @ v)
            output.append(torch.cat(heads, dim=1) @ plain.proj.weight.T + plain.proj.bias)
    return torch.stack(output)


def loop_over_tokens(
    plain: Attention, x: Tensor, shifted: str, start: int, backward: int, forward: int, boundary: str
) -> Tensor:
    """Eqs. 21-23 and the five variants between them."""
    output = []
    for clip in x.unflatten(0, (CLIPS, FRAMES)):
        parts = projections(plain, clip)
        for t in range(FRAMES):
            heads = []
            for i in range(HEADS):
                primed = {}
                for name in "qkv":
                    rows = []
                    for n in range(TOKENS):
                        m = n - start
                        offset = 0 if m < 0 else -1 if m < backward else 1 if m < backward + forward else 0
                        offset = offset if name in shifted else 0
                        rows.append(frame([heads_of_t[i] for heads_of_t in parts[name]], t + offset, boundary)[n])
                    primed[name] = torch.stack(rows)
                heads.append(a(primed["q"], primed["k"]) @ primed["v"])
            output.append(torch.cat(heads, dim=1) @ plain.proj.weight.T + plain.proj.bias)
    return torch.stack(output)


@pytest.mark.parametrize(("shifted", "boundary"), list(product(SHIFTED, BOUNDARIES)))
def test_head_direction_equals_the_loop(shifted: str, boundary: str) -> None:
    for backward, forward in [(1, 2), (3, 2)]:
        plain, ours, x = attention(direction="heads", shifted=shifted, sizes=(backward, forward), boundary=boundary)
        expected = loop_over_heads(plain, x, shifted, backward, forward, boundary)
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("shifted", "boundary"), list(product(SHIFTED, BOUNDARIES)))
def test_patch_direction_equals_the_loop(shifted: str, boundary: str) -> None:
    for start, backward, forward in [(0, 2, 1), (1, 1, 3)]:
        plain, ours, x = attention(
            direction="tokens", shifted=shifted, start=start, sizes=(backward, forward), boundary=boundary
        )
        expected = loop_over_tokens(plain, x, shifted, start, backward, forward, boundary)
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("direction", ["heads", "tokens"])
def test_every_variant_differs_from_every_other(direction: str) -> None:
    outputs = {}
    for shifted in SHIFTED:
        _, ours, x = attention(direction=direction, shifted=shifted)
        outputs[shifted] = ours(x)
    for one, other in product(SHIFTED, SHIFTED):
        if one < other:
            assert (outputs[one] - outputs[other]).abs().max() > 1e-2, (one, other)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_msca_qkv_is_the_feature_shift_of_the_heads(boundary: str) -> None:
    plain, ours, x = attention(direction="heads", shifted="qkv", boundary=boundary)
    heads: list[Tensor] = []
    plain.proj.register_forward_pre_hook(lambda module, inputs: heads.append(inputs[0]))
    plain(x)
    width = WIDTH // HEADS
    clips = heads[0].unflatten(0, (CLIPS, FRAMES))
    shifted = shift_slices(clips, dim=3, sizes=(width, 2 * width), offsets=(-1, 1), boundary=boundary).flatten(0, 1)
    with torch.no_grad():
        expected = shifted @ plain.proj.weight.T + plain.proj.bias
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("direction", ["heads", "tokens"])
@pytest.mark.parametrize("shifted", SHIFTED)
def test_nothing_shifted_is_plain_attention_to_the_bit(direction: str, shifted: str) -> None:
    plain, ours, x = attention(direction=direction, shifted=shifted, sizes=(0, 0))
    assert torch.equal(ours(x), plain(x))


def test_msca_sits_in_the_last_blocks() -> None:
    for count, expected in [(None, "111"), (0, "000"), (1, "001"), (2, "011"), (3, "111")]:
        for name, sizes in [
            ("msca", {"backward_heads": 0, "forward_heads": 1}),
            ("msca_patch", {"backward_patches": 0, "forward_patches": 1}),
        ]:
            network = build(name, **TINY, num_msca_blocks=count, **sizes)
            assert "".join(str(int(isinstance(b.attn, MSCAttention))) for b in network.blocks) == expected


def test_class_token_counts_among_the_patches_unless_left_out() -> None:
    with_token = build("msca_patch", **TINY, backward_patches=2, forward_patches=0)
    without = build("msca_patch", **TINY, backward_patches=2, forward_patches=0, include_class_token=False)
    assert (with_token.blocks[0].attn.start, without.blocks[0].attn.start) == (0, 1)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("msca", {"backward_heads": 3, "forward_heads": 2}, "backward_heads=3, forward_heads=2.*num_heads=4"),
        ("msca", {"backward_heads": -1}, "backward_heads=-1"),
        ("msca", {"num_msca_blocks": 4}, r"num_msca_blocks=4: must be 0 to 3"),
        ("msca", {"shifted": "vk"}, "shifted is 'vk'.*qkv"),
        ("msca", {"boundary": "mirror"}, "boundary is 'mirror'.*cyclic"),
        ("msca_patch", {"backward_patches": 3, "forward_patches": 3}, "at most 5.*with the class token"),
        (
            "msca_patch",
            {"backward_patches": 3, "forward_patches": 2, "include_class_token": False},
            "at most 4.*without",
        ),
        ("msca_patch", {"num_msca_blocks": -1}, "num_msca_blocks=-1"),
        ("msca_patch", {"shifted": ""}, "shifted is ''"),
        ("msca_patch", {"boundary": "mirror"}, "boundary is 'mirror'"),
    ],
)
def test_impossible_arguments_are_named(
    build_unchecked: Any, name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_unchecked(name, **{**TINY, **NOTHING_SHIFTED[name], **arguments})


@pytest.mark.parametrize("name", NOTHING_SHIFTED)
def test_how_much_is_shifted_must_be_said(name: str) -> None:
    for left_out in NOTHING_SHIFTED[name]:
        with pytest.raises(TypeError, match=left_out):
            build(name, **TINY, **{other: 1 for other in NOTHING_SHIFTED[name] if other != left_out})


def test_all_heads_and_all_tokens_may_be_shifted() -> None:
    clips = torch.randn(1, 4, 3, 16, 16)
    assert build("msca", **TINY, backward_heads=2, forward_heads=2)(clips).isfinite().all()
    assert build("msca_patch", **TINY, backward_patches=2, forward_patches=3)(clips).isfinite().all()
