"""LAPS against plain loops over Eqs. 7-18 of arXiv:2207.05526, and what the paper says about it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.visformer import Attention as VisformerAttention
from timm.models.vision_transformer import Attention as ViTAttention
from torch import Tensor, nn

from vtbench.cost import count_macs
from vtbench.models import build
from vtbench.models.laps import LAPSVisformerAttention, LAPSViTAttention, Temporal

FRAMES = 8
BOUNDARIES = ["zero", "replicate", "cyclic"]
COMMON: dict[str, Any] = {"num_classes": 3, "num_frames": FRAMES}
TINY: dict[str, dict[str, Any]] = {
    "visformer": {
        **COMMON,
        "img_size": 32,
        "init_channels": 4,
        "embed_dim": 16,
        "depths": (1, 2, 1),
        "num_heads": 2,
    },
    "rest": {**COMMON, "img_size": 40, "embed_dim": 8, "depths": (1, 1, 2, 1)},
    "vit": {**COMMON, "img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2},
}
LEAP = {"attention": "leap", "shift": "none"}
P_SHIFT = {"attention": "framewise", "shift": "periodic"}
every_backbone = pytest.mark.parametrize("backbone", list(TINY))


def network(backbone: str, **arguments: Any) -> nn.Module:
    """With random weights everywhere, large enough for uneven attention, in double precision."""
    model = build(f"laps_{backbone}", **{**TINY[backbone], **arguments})
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim in (2, 4) else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.double().eval()


def clips(backbone: str) -> Tensor:
    size = TINY[backbone]["img_size"]
    return torch.randn(2, FRAMES, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


# ---- one block ---------------------------------------------------------------------------------------------------


def temporal(**arguments: Any) -> Temporal:
    leap = {"num_frames": FRAMES, "size": 2, "step": 2, "shift": "periodic", "fraction": 0.25}
    return Temporal(**{**leap, "first": "previous", "boundary": "zero", **arguments})


def frame(x: Tensor, t: int, boundary: str) -> Tensor:
    """x[t] of a clip (T, ...), also beyond its ends."""
    if 0 <= t < len(x):
        return x[t]
    if boundary == "zero":
        return torch.zeros_like(x[0])
    return x[min(max(t, 0), len(x) - 1)] if boundary == "replicate" else x[t % len(x)]


def loop(clip: Tensor, qkv: nn.Module, proj: nn.Module, heads: int, what: Temporal) -> Tensor:
    """Eqs. 7-18 in their order for one clip (T, N, D): every head and frame for itself, then the output projection."""
    width = clip.shape[2] // heads
    weights = qkv.weight.flatten(1).split(width)  # of the heads' queries, then keys, then values: (z, D) each
    biases = torch.zeros(3 * clip.shape[2]) if qkv.bias is None else qkv.bias
    merged = torch.empty_like(clip)
    for u in range(heads):
        q, k, v = (  # Eq. 7
            clip @ weights[i * heads + u].T + biases[(i * heads + u) * width :][:width] for i in range(3)
        )
        for t in range(FRAMES):
            if what.size == 2:
                low = t if t // what.step % 2 == 0 else t - what.step
                together = [low, low + what.step]
            else:
                together = [t] if what.size == 1 else list(range(FRAMES))
            keys, values = (torch.cat([x[s] for s in together]) for x in (k, v))  # Eqs. 10, 11
            merged[t, :, u * width :][:, :width] = torch.softmax(q[t] @ keys.T / width**0.5, dim=-1) @ values  # Eq. 12
    shifted = merged.clone()
    period = width if what.shift == "periodic" else clip.shape[2]
    channels = 0 if what.shift == "none" else int(what.fraction * period)
    sign = -1 if what.first == "previous" else 1
    for t in range(FRAMES):
        for d in range(clip.shape[2]):
            j = d % period
            offset = sign if j < channels else -sign if j < 2 * channels else 0  # Eqs. 16, 17, 18
            shifted[t, :, d] = frame(merged, t + offset, what.boundary)[:, d]
    return shifted @ proj.weight.flatten(1).T + (0 if proj.bias is None else proj.bias)


VARIANTS = [
    temporal(),
    temporal(step=4, first="next", boundary="replicate"),
    temporal(step=1, boundary="cyclic", fraction=0.5),
    temporal(shift="plain"),
    temporal(shift="none"),
    temporal(size=FRAMES, step=1, shift="plain", first="next"),
    temporal(size=1, step=1),
]


@pytest.mark.parametrize("what", VARIANTS)
def test_attention_of_a_vit_equals_the_loop(what: Temporal) -> None:
    torch.manual_seed(0)
    plain = ViTAttention(12, num_heads=3, qkv_bias=True)
    nn.init.normal_(plain.qkv.weight, std=0.6)
    x = torch.randn(2 * FRAMES, 5, 12)
    expected = [loop(clip, plain.qkv, plain.proj, 3, what) for clip in x.unflatten(0, (2, FRAMES))]
    torch.testing.assert_close(LAPSViTAttention(plain, what)(x), torch.cat(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("what", VARIANTS)
def test_attention_of_a_visformer_equals_the_loop(what: Temporal) -> None:
    torch.manual_seed(0)
    plain = VisformerAttention(12, num_heads=3)
    nn.init.normal_(plain.qkv.weight, std=0.6)
    x = torch.randn(2 * FRAMES, 12, 2, 3)  # maps
    tokens = x.flatten(2).transpose(1, 2).unflatten(0, (2, FRAMES))
    expected = torch.cat([loop(clip, plain.qkv, plain.proj, 3, what) for clip in tokens])
    actual = LAPSVisformerAttention(plain, what)(x)
    assert actual.shape == x.shape
    torch.testing.assert_close(actual.flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "what", [temporal(shift="none"), temporal(fraction=0.0), temporal(shift="plain", fraction=0.0)]
)
def test_heads_lie_side_by_side_in_their_order(what: Temporal) -> None:
    heads = torch.arange(2 * FRAMES * 5 * 3 * 4).reshape(2 * FRAMES, 5, 3, 4)  # (B T, N, m, z)
    expected = torch.cat(list(heads.unbind(2)), dim=2)  # Eq. 14
    assert torch.equal(what.merge_heads(heads, dim=2, channels=0), expected)
    maps = what.merge_heads(heads.permute(0, 2, 3, 1), dim=1, channels=0)  # (B T, m, z, N)
    assert torch.equal(maps, expected.transpose(1, 2))


# ---- cost --------------------------------------------------------------------------------------------------------


@every_backbone
@pytest.mark.parametrize("arguments", [{}, LEAP, P_SHIFT, {"attention": "joint"}, {"shift": "plain"}])
def test_no_parameter_is_added(backbone: str, arguments: dict[str, Any]) -> None:
    with torch.device("meta"):
        ours = build(f"laps_{backbone}", **TINY[backbone], **arguments).state_dict()
        reference = build(backbone, **TINY[backbone]).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in reference.items()}


@every_backbone
@pytest.mark.parametrize("attention", ["framewise", "leap", "joint"])
def test_a_shift_costs_no_multiplication(backbone: str, attention: str) -> None:
    size = TINY[backbone]["img_size"]
    counts = [
        count_macs(network(backbone, attention=attention, shift=shift).float(), (1, FRAMES, 3, size, size))
        for shift in ("none", "periodic", "plain")
    ]
    assert counts[0] == counts[1] == counts[2]


def test_pairs_double_the_products_of_attention_and_joint_attention_multiplies_them_by_the_frames() -> None:
    matmul = {}
    for attention in ("framewise", "leap", "joint"):
        model = network("vit", attention=attention, shift="none").float()
        matmul[attention] = count_macs(model, (1, FRAMES, 3, 16, 16))["matmul"]
    products = TINY["vit"]["depth"] * FRAMES * 2 * 5**2 * TINY["vit"]["embed_dim"]  # "Complexity Analysis": T N^2
    assert matmul["leap"] - matmul["framewise"] == products
    assert matmul["joint"] - matmul["framewise"] == (FRAMES - 1) * products


@pytest.mark.parametrize(
    ("arguments", "gmacs"),
    [
        ({"attention": "framewise", "shift": "none"}, "39.074"),
        ({"attention": "joint", "shift": "none"}, "46.509"),
        ({}, "40.136"),
    ],
)
def test_visformer_s_has_the_multiplications_that_the_official_code_lists(
    arguments: dict[str, Any], gmacs: str
) -> None:
    with torch.device("meta"):
        model = build("laps_visformer", num_classes=400, num_frames=8, **arguments)
    assert f"{count_macs(model, (1, 8, 3, 224, 224))['fvcore'] / 1e9:.3f}" == gmacs


# ---- which frames are seen ---------------------------------------------------------------------------------------


def seen(**arguments: Any) -> list[str]:
    """For every frame of a ViT's output the frames of the clip it depends on, by gradient: "04" is 0 and 4."""
    model = network("vit", **arguments)
    frames = clips("vit")[0].requires_grad_()
    tokens = model.forward_features(frames).abs().sum(dim=(1, 2))
    found = []
    for t in range(FRAMES):
        (gradient,) = torch.autograd.grad(tokens[t], frames, retain_graph=True)
        found.append("".join(str(s) for s in range(FRAMES) if gradient[s].abs().max() > 0))
    return found


@pytest.mark.parametrize(
    ("levels", "depth", "expected"),
    [
        ((1,), 1, "04 15 26 37 04 15 26 37"),
        ((2,), 1, "02 13 02 13 46 57 46 57"),
        ((3,), 1, "01 01 23 23 45 45 67 67"),
        ((3, 3, 3), 3, "01 01 23 23 45 45 67 67"),
        ((1, 2), 2, "0246 1357 0246 1357 0246 1357 0246 1357"),
        ((1, 2), 3, "0246 1357 0246 1357 0246 1357 0246 1357"),
        ((2, 3), 2, "0123 0123 0123 0123 4567 4567 4567 4567"),
        ((1, 2, 3), 3, " ".join(["01234567"] * 8)),
        ((3, 1, 2), 3, " ".join(["01234567"] * 8)),
    ],
)
def test_leap_attention_sees_what_the_levels_say(levels: tuple[int, ...], depth: int, expected: str) -> None:
    assert seen(**LEAP, levels=levels, depth=depth) == expected.split()


@pytest.mark.parametrize("shift", ["periodic", "plain"])
@pytest.mark.parametrize(
    ("boundary", "depth", "expected"),
    [
        ("zero", 1, "01 012 123 234 345 456 567 67"),
        ("zero", 2, "012 0123 01234 12345 23456 34567 4567 567"),
        ("cyclic", 1, "017 012 123 234 345 456 567 067"),
    ],
)
def test_a_shift_sees_its_neighbours(shift: str, boundary: str, depth: int, expected: str) -> None:
    assert seen(attention="framewise", shift=shift, boundary=boundary, depth=depth) == expected.split()


def test_the_shift_comes_after_the_attention() -> None:
    # The other way round frame 2 would see the neighbours of 2 and of its partner 3: 1234.
    assert seen(levels=(3,), depth=1) == ["01", "0123", "0123", "2345", "2345", "4567", "4567", "67"]


def test_every_frame_sees_every_other_by_joint_attention_and_none_frame_by_frame() -> None:
    assert seen(attention="joint", shift="none", depth=1) == ["01234567"] * 8
    assert seen(attention="framewise", shift="none") == list("01234567")


# ---- symmetries --------------------------------------------------------------------------------------------------


def logits(model: nn.Module, frames: Tensor) -> Tensor:
    with torch.no_grad():
        return model(frames)


@every_backbone
@pytest.mark.parametrize("levels", [(1, 2, 3), (1,), (3, 2)])
def test_leap_attention_alone_does_not_know_the_direction_of_time(backbone: str, levels: tuple[int, ...]) -> None:
    model, frames = network(backbone, **LEAP, levels=levels), clips(backbone)
    torch.testing.assert_close(logits(model, frames), logits(model, frames.flip(1)), rtol=0, atol=1e-9)
    others = frames[:, [0, 2, 1, 3, 4, 5, 6, 7]]
    assert (logits(model, frames) - logits(model, others)).abs().max() > 1e-6


@every_backbone
@pytest.mark.parametrize(
    ("level", "swapped"),
    [(1, [4, 1, 2, 7, 0, 5, 6, 3]), (2, [2, 1, 0, 3, 4, 7, 6, 5]), (3, [1, 0, 2, 3, 4, 5, 7, 6])],
)
def test_frames_of_a_pair_can_be_swapped_in_leap_attention_of_one_level(
    backbone: str, level: int, swapped: list[int]
) -> None:
    model, frames = network(backbone, **LEAP, levels=(level,)), clips(backbone)
    torch.testing.assert_close(logits(model, frames), logits(model, frames[:, swapped]), rtol=0, atol=1e-9)
    other = network(backbone, **LEAP, levels=(level % 3 + 1,))
    assert (logits(other, frames) - logits(other, frames[:, swapped])).abs().max() > 1e-6


@every_backbone
def test_joint_attention_alone_does_not_know_the_order_of_frames(backbone: str) -> None:
    model, frames = network(backbone, attention="joint", shift="none"), clips(backbone)
    order = [5, 2, 7, 0, 1, 6, 4, 3]
    torch.testing.assert_close(logits(model, frames), logits(model, frames[:, order]), rtol=0, atol=1e-9)


@every_backbone
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("arguments", [{}, {"attention": "joint"}, P_SHIFT, {"shift": "plain"}])
def test_a_shift_knows_the_direction_of_time(backbone: str, arguments: dict[str, Any], boundary: str) -> None:
    model, frames = network(backbone, **arguments, boundary=boundary), clips(backbone)
    assert (logits(model, frames) - logits(model, frames.flip(1))).abs().amax(dim=1).min() > 1e-4


@every_backbone
def test_reading_the_other_way_round_is_reversing_time(backbone: str) -> None:
    previous, following = network(backbone, first="previous"), network(backbone, first="next")
    frames = clips(backbone)
    torch.testing.assert_close(logits(previous, frames), logits(following, frames.flip(1)), rtol=0, atol=1e-9)


# ---- arguments ---------------------------------------------------------------------------------------------------


def steps(model: nn.Module) -> str:
    return "".join(str(m.temporal.step) for m in model.modules() if hasattr(m, "temporal"))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("laps_visformer", {}, "4214" + "2142"),
        ("laps_visformer", {"loop": "depth"}, "4214" + "2142"),
        ("laps_visformer", {"loop": "stage"}, "4214" + "4214"),
        ("laps_visformer", {"levels": (3,)}, "1" * 8),
        ("laps_visformer", {"levels": (1, 2, 3, 1, 3)}, "4214" + "1421"),
        ("laps_rest", {"loop": "stage"}, "42" + "42" + "421421" + "42"),
        ("laps_rest", {}, "42" + "14" + "214214" + "21"),
        ("laps_vit", {"levels": (1, 2, 3, 1)}, "4214" * 3),
        ("laps_vit", {}, "421" * 4),
    ],
)
def test_levels_are_looped_over_the_depth_or_in_every_stage(
    name: str, arguments: dict[str, Any], expected: str
) -> None:
    with torch.device("meta"):
        assert steps(build(name, num_classes=3, num_frames=8, **arguments)) == expected


@every_backbone
def test_the_defaults_are_those_of_the_paper(backbone: str) -> None:
    written = {
        "attention": "leap",
        "levels": (1, 2, 3),
        "loop": "depth",
        "shift": "periodic",
        "shift_fraction": 0.125,
        "first": "previous",
        "boundary": "zero",
    }
    frames = clips(backbone)
    assert torch.equal(logits(network(backbone), frames), logits(network(backbone, **written), frames))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention": "2d"}, "attention is '2d', .*leap, joint, framewise"),
        ({"shift": "tsm"}, "shift is 'tsm', .*periodic, plain, none"),
        ({"loop": "block"}, "loop is 'block', .*depth, stage"),
        ({"first": "last"}, "first is 'last', .*previous, next"),
        ({"boundary": "mirror"}, "boundary is 'mirror'.*zero, replicate, cyclic"),
        ({"levels": (1, 4)}, "level R = 4 of num_frames=8.*one of 1, 2, 3"),
        ({"levels": (0,)}, "level R = 0 of num_frames=8.*one of 1, 2, 3"),
        ({"levels": ()}, r"levels=\[\]: must name at least one"),
        ({"num_frames": 6}, "level R = 2 of num_frames=6.*one of 1$"),
        ({"num_frames": 5}, "level R = 1 of num_frames=5.*odd"),
        ({"attention": "joint", "levels": (1,)}, r"levels=\(1,\).*belong to attention='leap', not to 'joint'"),
        ({"attention": "framewise", "loop": "depth"}, "loop=depth.*not to 'framewise'"),
        ({"shift": "none", "shift_fraction": 0.125}, "shift_fraction=0.125.*belong to a shift"),
        ({"shift": "none", "first": "next"}, "first=next.*belong to a shift"),
        ({"shift": "none", "boundary": "zero"}, "boundary=zero: belong to a shift"),
        ({"shift_fraction": 0.6}, r"shift_fraction=0.6: must be in \[0, 0.5\]"),
        ({"shift_fraction": -0.1}, "shift_fraction=-0.1"),
        ({"shift_fraction": 0.1}, r"shift_fraction=0.1.*8 channels \(the channels of a head\)"),
        ({"shift": "plain", "shift_fraction": 0.1}, r"shift_fraction=0.1.*(8|16) channels"),
        ({"num_frames": 0}, "num_frames=0"),
        ({"num_classes": 0}, "num_classes=0"),
    ],
)
@every_backbone
def test_impossible_arguments_are_named(
    build_unchecked: Any, backbone: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_unchecked(f"laps_{backbone}", **{**TINY[backbone], **arguments})


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        ("visformer", {"depths": (1, -1, 1)}, r"depths=\[1, -1, 1\]: must be .* three stages"),
        ("rest", {"depths": (1, 1, -1, 1)}, r"depths=\[1, 1, -1, 1\]: must be .* four stages"),
        ("vit", {"depth": -1}, "depth=-1: must be at least 1"),
    ],
)
def test_impossible_depths_are_named(backbone: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(f"laps_{backbone}", **{**TINY[backbone], **arguments})
