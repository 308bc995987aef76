"""PST against plain loops over Eqs. 4 and 5 of arXiv:2207.13259, and what the paper says about it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from vtbench.cost import count_macs
from vtbench.layers.patch_shift import PATTERNS, frame_offsets
from vtbench.layers.windows import Windows
from vtbench.models import build, pst
from vtbench.models.pst import (
    ChannelShiftAttention,
    ChannelShiftBlock,
    PatchShift,
    PatchShiftAttention,
    PatchShiftBlock,
    shifted_bias,
    shifted_places,
)
from vtbench.models.swin import WindowAttention

SIZES: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 10,
    "img_size": 24,
    "tubelet_size": 2,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": (2, 2, 3),
    "num_heads": (1, 2, 4),
    "window_size": 3,  # maps of 12, 6 and 3
    "stages": (1, 2, 3),
}
VIT: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 9,
    "img_size": 40,
    "patch_size": 8,
    "embed_dim": 16,
    "depth": 4,
    "num_heads": 2,
}


def randomise(model: nn.Module) -> nn.Module:
    """Random weights everywhere, large enough for uneven attention, in double precision."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 and "table" not in name else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.double().eval()


def network(**arguments: Any) -> Any:
    return randomise(build("pst", **{**SIZES, **arguments}))


def vit(**arguments: Any) -> Any:
    return randomise(build("pst_vit", **{**VIT, **arguments}))


def clips(sizes: dict[str, Any] = SIZES, count: int = 2) -> Tensor:
    shape = (count, sizes["num_frames"], 3, sizes["img_size"], sizes["img_size"])
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def logits(model: nn.Module, frames: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(clips() if frames is None else frames)
    return result


# ---- one attention -----------------------------------------------------------------------------------------------


def region(position: int, length: int, window: int, shift: int) -> int:
    """Which part of a rolled axis tokens may attend within."""
    return 0 if not shift or position < length - window else 1 if position < length - shift else 2


def loop(
    attention: WindowAttention,
    clip: Tensor,
    windows: Windows,
    *,
    offsets: Tensor,
    shift_back: bool = True,
    shift_rpe: bool = True,
    key_frame: str = "same",
) -> Tensor:
    """Eq. 5 for one clip (T, H, W, C): every window of Swin for itself, filled by Eq. 4 from the other frames."""
    frames, width, heads = windows.size[0], clip.shape[-1], attention.num_heads
    padded, (_, rows, columns) = windows.padded, windows.window
    full = clip.new_zeros(*padded, width)
    full[: windows.size[0], : windows.size[1], : windows.size[2]] = clip
    out = torch.empty_like(full)
    inside = list(product(*map(range, windows.window)))
    first_frames: list[int] = []  # of the first window in time, for the keys of the official code
    for corner in product(*(range(0, n, part) for n, part in zip(padded, windows.window, strict=True))):
        rolled = [[c + i for c, i in zip(corner, place, strict=True)] for place in inside]
        homes = [tuple((p + s) % n for p, s, n in zip(place, windows.shift, padded, strict=True)) for place in rolled]
        sources = [
            ((t + int(offsets[i, j])) % frames, row, column)
            for (t, row, column), (_, i, j) in zip(homes, inside, strict=True)
        ]
        regions = [
            [region(*axis) for axis in zip(place, padded, windows.window, windows.shift, strict=True)]
            for place in rolled
        ]
        of_query = [t for t, _, _ in (sources if shift_rpe else homes)]
        if corner[0] == 0 and corner[1:] == (0, 0):
            first_frames = of_query
        of_key = of_query if key_frame == "same" else first_frames
        tokens = torch.stack([full[source] for source in sources])
        q, k, v = attention.qkv(tokens).unflatten(-1, (3, heads, -1)).unbind(1)  # (N, h, C/h)
        mixed = torch.empty_like(q)
        for head, n in product(range(heads), range(len(inside))):
            scores = q[n, head] @ k[:, head].T / (width // heads) ** 0.5
            for m in range(len(inside)):
                t = of_query[n] - of_key[m] + frames - 1
                i, j = inside[n][1] - inside[m][1] + rows - 1, inside[n][2] - inside[m][2] + columns - 1
                entry = (t * (2 * rows - 1) + i) * (2 * columns - 1) + j
                allowed = regions[n] == regions[m]
                scores[m] += attention.relative_position_bias_table[entry, head] if allowed else -torch.inf
            mixed[n, head] = torch.softmax(scores, dim=0) @ v[:, head]
        for token, place in zip(attention.proj(mixed.flatten(1)), sources if shift_back else homes, strict=True):
            out[place] = token
    return out[: windows.size[0], : windows.size[1], : windows.size[2]]


LAYOUTS = {
    "unmoved": Windows((5, 6, 3), (1, 3, 3), (0, 0, 0)),
    "moved": Windows((5, 6, 6), (1, 3, 3), (0, 1, 1)),
    "padded": Windows((5, 5, 4), (1, 3, 3), (0, 1, 1)),
    "dagger": Windows((6, 3, 3), (2, 3, 3), (0, 0, 0)),
    "dagger-moved": Windows((6, 4, 3), (2, 3, 3), (1, 1, 0)),
}
every_layout = pytest.mark.parametrize("windows", LAYOUTS.values(), ids=LAYOUTS)


@torch.no_grad()
def compare(attention: WindowAttention, windows: Windows, **arguments: Any) -> None:
    x = torch.randn(2, *windows.size, 8, dtype=torch.float64)
    expected = torch.stack([loop(attention, clip, windows, **arguments) for clip in x])
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"shift_back": False},
        {"shift_rpe": False},
        {"key_frame": "first"},
        {"shift_rpe": False, "key_frame": "first"},
        {"positive": "next"},
        {"pattern": "center-one"},
    ],
    ids=lambda arguments: "-".join(map(str, arguments.items())) or "default",
)
@every_layout
def test_attention_with_a_patch_shift_equals_the_loop(windows: Windows, arguments: dict[str, Any]) -> None:
    shift = PatchShift(**arguments)
    chosen = dataclasses.asdict(shift)
    attention = randomise(PatchShiftAttention(8, 2, windows, shift))
    assert isinstance(attention, WindowAttention)
    offsets = frame_offsets(chosen.pop("pattern"), 3, 3, num_frames=windows.size[0], positive=chosen.pop("positive"))
    compare(attention, windows, offsets=offsets, **chosen)


@pytest.mark.parametrize("key_frame", ["same", "first"])
@every_layout
def test_attention_with_a_channel_shift_equals_the_loop(windows: Windows, key_frame: str) -> None:
    attention = randomise(ChannelShiftAttention(8, 2, windows, channel_shift=0.25, key_frame=key_frame))
    x = torch.randn(2, *windows.size, 8, dtype=torch.float64)
    shifted = x.clone()
    last = windows.size[0] - 1
    for t, head in product(range(last + 1), range(2)):
        shifted[:, t, ..., 4 * head] = x[:, max(t - 1, 0), ..., 4 * head]
        shifted[:, t, ..., 4 * head + 1] = x[:, min(t + 1, last), ..., 4 * head + 1]
    zero = torch.zeros(3, 3, dtype=torch.int64)
    with torch.no_grad():
        expected = [loop(attention, clip, windows, offsets=zero, key_frame=key_frame) for clip in shifted]
        torch.testing.assert_close(attention(x), torch.stack(expected), rtol=0, atol=1e-12)


def test_an_eighth_of_the_channels_of_each_head_is_shifted_in_each_direction() -> None:
    with torch.device("meta"):
        model = build("pst", num_classes=2, num_frames=32)
    channels = [block.attn.channels for stage in (1, 2, 3, 4) for block in list(model.blocks(stage))[::2]]
    assert channels == [4] * 6  # of 32


@pytest.mark.parametrize("key_frame", ["same", "first"])
@pytest.mark.parametrize("pattern", ["c-9", "a-3"])
@pytest.mark.parametrize(
    "windows",
    [
        Windows((16, 7, 7), (1, 7, 7), (0, 0, 0)),
        Windows((16, 14, 14), (1, 7, 7), (0, 3, 3)),
        Windows((16, 7, 7), (2, 7, 7), (0, 0, 0)),
        Windows((6, 14, 7), (2, 7, 7), (1, 3, 0)),
    ],
)
def test_bias_entries_of_shifted_patches_equal_the_loop(windows: Windows, pattern: str, key_frame: str) -> None:
    frames, span = windows.size[0], windows.window[0]
    offsets = frame_offsets(pattern, 7, 7, num_frames=frames, positive="previous").flatten().repeat(span)
    sources = shifted_places(windows.places(), offsets, num_frames=frames)
    entries = shifted_bias(windows, sources, key_frame=key_frame)
    inside = torch.tensor(list(product(range(span), range(7), range(7))))
    for step in range(frames // span):
        t = torch.tensor(
            [
                [
                    (step * span + f + windows.shift[0] + int(o)) % frames
                    for (f, _, _), o in zip(inside, offsets, strict=True)
                ],
                [(f + windows.shift[0] + int(o)) % frames for (f, _, _), o in zip(inside, offsets, strict=True)],
            ]
        )
        query, key = t[0], t[0] if key_frame == "same" else t[1]
        expected = (query[:, None] - key + frames - 1) * 169
        for axis, scale in ((1, 13), (2, 1)):
            expected += (inside[:, None, axis] - inside[:, axis] + 6) * scale
        assert torch.equal(entries[step if len(entries) > 1 else 0], expected)


def test_biases_depend_on_the_frame_only_where_frames_differ() -> None:
    windows = Windows((5, 6, 6), (1, 3, 3), (0, 1, 1))
    assert len(shifted_bias(windows, windows.places(), key_frame="same")) == 1
    assert len(shifted_bias(windows, windows.places(), key_frame="first")) == 5
    # Within a clip a shift by one frame is the same for all, only at its ends patches come from the other end.
    offsets = frame_offsets("a-3", 3, 3, num_frames=5, positive="next").flatten()
    entries = shifted_bias(windows, shifted_places(windows.places(), offsets, num_frames=5), key_frame="same")
    assert all(torch.equal(entries[t], entries[1]) for t in (2, 3))
    assert not torch.equal(entries[0], entries[1]) and not torch.equal(entries[4], entries[1])


# ---- which frames a patch sees -----------------------------------------------------------------------------------

T, SIDE = 20, 4  # more frames than a block of any pattern reaches


def blocks_of(pattern: str, *, positive: str = "next", shift_back: bool = True) -> tuple[nn.Module, nn.Module]:
    """A whole block without a shift and a TPS block, on one window of 4 x 4 patches: every named pattern is whole."""
    sizes = {"num_classes": 2, "num_frames": T, "img_size": 16, "tubelet_size": 1, "embed_dim": 8, "window_size": 4}
    sizes |= {"depths": (2,), "num_heads": (2,), "stages": (1,), "channel_shift": 0.0}
    arguments = {"pattern": pattern, "positive": positive, "shift_back": shift_back}
    plain, shifting = randomise(build("pst", **sizes, **arguments)).blocks(1)
    return plain, shifting


def seen(blocks: list[nn.Module]) -> list[list[set[int]]]:
    """For every frame and patch of the output the frames of the input that change it."""
    x = torch.randn(1, T, SIDE, SIDE, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(*blocks)
    found: list[list[set[int]]] = [[set() for _ in range(SIDE**2)] for _ in range(T)]
    with torch.no_grad():
        before = model(x)
        for frame in range(T):
            other = x.clone()
            other[:, frame] = -other[:, frame] + 0.1
            changed = (model(other) - before).abs().amax(dim=(0, 4)).flatten(1) > 1e-12
            for t, n in changed.nonzero().tolist():
                found[t][n].add(frame)
    return found


def expected_to_be_seen(offsets: list[int], earlier: list[list[set[int]]] | None = None) -> list[list[set[int]]]:
    """A patch goes to where the shift puts it, and sees what is put beside it."""
    earlier = earlier or [[{t}] * SIDE**2 for t in range(T)]
    return [
        [set().union(*(earlier[(t - own + other) % T][m] for m, other in enumerate(offsets))) for own in offsets]
        for t in range(T)
    ]


@pytest.mark.parametrize("positive", ["previous", "next"])
@pytest.mark.parametrize("name", PATTERNS)
def test_a_patch_sees_as_many_frames_as_the_name_of_the_pattern_says(name: str, positive: str) -> None:
    found = seen([blocks_of(name, positive=positive)[1]])
    offsets = frame_offsets(name, SIDE, SIDE, num_frames=T, positive=positive).flatten().tolist()
    assert found == expected_to_be_seen(offsets)
    assert {len(frames) for patches in found for frames in patches} == {int(name.split("-")[1])}


@pytest.mark.parametrize(("name", "field"), [("even-2", 3), ("a-3", 5), ("b-4", 7), ("c-9", 17)])
def test_the_field_grows_from_block_to_block_only_with_attention_within_frames_between(name: str, field: int) -> None:
    plain, shifting = blocks_of(name)
    offsets = frame_offsets(name, SIDE, SIDE, num_frames=T, positive="next").flatten().tolist()
    once = expected_to_be_seen(offsets)
    assert seen([shifting, shifting]) == once  # the same patches meet again: Section 3.3's "alternative shift"
    twice = expected_to_be_seen(offsets, expected_to_be_seen([0] * SIDE**2, once))
    assert seen([shifting, plain, shifting]) == twice
    assert max(len(frames) for patches in twice for frames in patches) >= field


def test_without_shifting_back_patches_stay_where_they_were_put() -> None:
    found = seen([blocks_of("a-3", shift_back=False)[1]])
    # Beside what a frame was filled from, the residual adds the patch that was there before.
    assert found == [[{(t - 1) % T, t, (t + 1) % T}] * SIDE**2 for t in range(T)]


# ---- which block has what ----------------------------------------------------------------------------------------


def kinds(model: Any) -> str:
    """P for a patch shift, C for a channel shift, - for neither, stage by stage."""

    def stages() -> Iterator[str]:
        for stage in (1, 2, 3):
            yield "".join(
                "P" if isinstance(block.attn, PatchShiftAttention) else "C" if block.attn.channels else "-"
                for block in model.blocks(stage)
            )

    return " ".join(stages())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "CP CP CPC"),
        ({"channel_shift": 0.0}, "-P -P -P-"),
        ({"pattern": "none"}, "CC CC CCC"),
        ({"alternate": False}, "PP PP PPP"),
        ({"stages": (1,)}, "CP -- ---"),
        ({"stages": (3, 1)}, "CP -- CPC"),
        ({"stages": (2,), "alternate": False}, "-- PP ---"),
        ({"pattern": "none", "channel_shift": 0.0}, "-- -- ---"),
    ],
)
def test_shifts_are_in_the_blocks_that_the_arguments_say(arguments: dict[str, Any], expected: str) -> None:
    assert kinds(network(**arguments)) == expected


def test_the_defaults_are_pst_t_of_the_paper() -> None:
    with torch.device("meta"):
        model = build("pst", num_classes=400, num_frames=32)
        written = build(
            "pst",
            num_classes=400,
            num_frames=32,
            pattern=((-4, 1, 2), (-1, 0, 3), (-2, -3, 4)),
            stages=(1, 2, 3, 4),
            alternate=True,
            shift_back=True,
            shift_rpe=True,
            channel_shift=1 / 8,
        )
    for stage in (1, 2, 3, 4):
        for one, other in zip(model.blocks(stage), written.blocks(stage), strict=True):
            assert type(one.attn) is type(other.attn)
            buffers = dict(other.attn.named_buffers())
            for name, buffer in one.attn.named_buffers():
                assert torch.equal(buffer, buffers[name]), name


@pytest.mark.parametrize(
    "arguments",
    [{"pattern": ((0,),), "channel_shift": 0.0}, {"pattern": "none", "channel_shift": 0.0}],
    ids=["zeros", "none"],
)
def test_without_shifts_pst_is_the_2d_swin_with_the_biases_of_one_frame(arguments: dict[str, Any]) -> None:
    ours = network(**arguments)
    plain = build("swin", **{name: size for name, size in SIZES.items() if name != "stages"}).double().eval()
    state = ours.state_dict()
    for name, table in state.items():
        if name.endswith("relative_position_bias_table"):
            state[name] = table.unflatten(0, (9, 25))[4]  # the middle of 2 T - 1: no difference in time
    plain.load_state_dict(state)
    torch.testing.assert_close(logits(ours), logits(plain), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "others",
    [
        {"shift_back": False},
        {"shift_rpe": False},
        {"positive": "next"},
        {"key_frame": "first"},
        {"channel_shift": 0.25},
        {"pattern": "b-4"},
        {"alternate": False},
        {"stages": (1,)},
        {"window_frames": 5},
    ],
)
def test_every_argument_changes_the_network(others: dict[str, Any]) -> None:
    assert (logits(network(**others)) - logits(network())).abs().max() > 1e-3


@pytest.mark.parametrize("others", [{"shift_rpe": False}, {"key_frame": "first"}])
def test_where_biases_do_not_depend_on_time_their_choice_does_not_matter(others: dict[str, Any]) -> None:
    models = network(), network(**others)
    for model in models:
        with torch.no_grad():
            for name, table in model.named_parameters():
                if name.endswith("relative_position_bias_table"):
                    table.copy_(table[:25].repeat(9, 1))
    torch.testing.assert_close(*map(logits, models), rtol=0, atol=1e-12)


@pytest.mark.parametrize("arguments", [{}, {"pattern": "none"}, {"channel_shift": 0.0}, {"window_frames": 5}])
def test_no_parameter_is_added_or_lost(arguments: dict[str, Any]) -> None:
    shapes = {key: tensor.shape for key, tensor in network().state_dict().items()}
    assert {key: tensor.shape for key, tensor in network(**arguments).state_dict().items()} == shapes


def test_shifts_cost_no_multiplication() -> None:
    shape = (1, *clips().shape[1:])
    counts = [
        count_macs(network(**arguments).float(), shape)
        for arguments in ({}, {"pattern": "none"}, {"channel_shift": 0.0}, {"pattern": "none", "channel_shift": 0.0})
    ]
    assert counts.count(counts[0]) == 4


# ---- symmetries --------------------------------------------------------------------------------------------------


def tubelets(order: list[int]) -> Tensor:
    return clips().unflatten(1, (-1, 2))[:, order].flatten(1, 2)


@pytest.mark.parametrize("arguments", [{"pattern": "none"}, {"channel_shift": 0.0}])
def test_both_shifts_know_the_direction_of_time(arguments: dict[str, Any]) -> None:
    model = network(**arguments)
    assert (logits(model) - logits(model, tubelets([4, 3, 2, 1, 0]))).abs().amax(dim=1).min() > 1e-3


def test_reading_from_before_instead_of_after_is_reversing_time() -> None:
    previous, following = (network(positive=positive, channel_shift=0.0) for positive in ("previous", "next"))
    state = following.state_dict()
    for name, table in state.items():
        if name.endswith("relative_position_bias_table"):
            state[name] = table.unflatten(0, (9, 25)).flip(0).flatten(0, 1)  # differences in time change their sign
    previous.load_state_dict(state)
    torch.testing.assert_close(logits(previous, tubelets([4, 3, 2, 1, 0])), logits(following), rtol=0, atol=1e-12)


def test_patches_come_round_in_a_circle() -> None:
    model = network(channel_shift=0.0, shift_rpe=False)
    torch.testing.assert_close(logits(model, tubelets([2, 3, 4, 0, 1])), logits(model), rtol=0, atol=1e-12)


def test_dropout_acts_in_training_only() -> None:
    for arguments in ({"head_dropout": 0.5, "drop_path": 0.0}, {"head_dropout": 0.0, "drop_path": 0.6}):
        model = network(**arguments)
        tested = logits(model)
        assert torch.equal(logits(model), tested)
        model.train()
        assert not torch.equal(logits(model), tested)
    plain = network(head_dropout=0.0, drop_path=0.0)
    assert torch.equal(logits(plain), tested) and torch.equal(logits(plain.train()), tested)


# ---- DeiT --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positive", ["previous", "next"])
@pytest.mark.parametrize("pattern", ["a-3", "c-9", "uneven"])
def test_a_block_of_deit_with_a_patch_shift_equals_the_loop(pattern: str, positive: str) -> None:
    torch.manual_seed(0)
    plain = randomise(Block(12, num_heads=3, qkv_bias=True))
    offsets = frame_offsets(pattern, 4, 4, num_frames=6, positive=positive).flatten()
    x = torch.randn(2 * 6, 17, 12, dtype=torch.float64)
    residual = x.unflatten(0, (2, 6)).clone()
    normed = plain.norm1(x).unflatten(0, (2, 6))
    for clip in range(2):
        attended = []
        for t in range(6):
            patches = [normed[clip, (t + int(offsets[n])) % 6, 1 + n] for n in range(16)]
            attended.append(plain.attn(torch.stack([normed[clip, t, 0], *patches])[None])[0])
        for t in range(6):
            residual[clip, t, 0] += attended[t][0]
            for n in range(16):
                residual[clip, (t + int(offsets[n])) % 6, 1 + n] += attended[t][1 + n]
    y = residual.flatten(0, 1)
    expected = y + plain.mlp(plain.norm2(y))
    block = PatchShiftBlock(plain, offsets=offsets, num_frames=6)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_class_tokens_of_deit_do_not_go_to_other_frames() -> None:
    plain = randomise(Block(12, num_heads=3, qkv_bias=True))
    block = PatchShiftBlock(
        plain, offsets=frame_offsets("a-3", 4, 4, num_frames=6, positive="next").flatten(), num_frames=6
    )
    assert torch.equal(block.order[::17], torch.arange(6) * 17)
    x = torch.randn(6, 17, 12, dtype=torch.float64)
    other = x.clone()
    other[3, 0] *= -1
    with torch.no_grad():
        changed = (block(other) - block(x)).abs().amax(dim=2) > 1e-12
    # Patches of frame 3 and those that were put beside its class token; of the other class tokens none.
    assert changed[:, 0].nonzero().flatten().tolist() == [3]
    assert changed[:, 1:].any(dim=1).nonzero().flatten().tolist() == [2, 3, 4]


def test_a_block_of_deit_with_tsm_equals_tsm() -> None:
    plain = randomise(Block(16, num_heads=2, qkv_bias=True))
    x = torch.randn(2 * 5, 10, 16, dtype=torch.float64)
    normed = plain.norm1(x).unflatten(0, (2, 5))
    shifted = torch.zeros_like(normed)  # Lin et al., Section 3: 1/8 from either neighbour, zeros beyond the ends
    for t in range(5):
        if t < 4:
            shifted[:, t, :, :2] = normed[:, t + 1, :, :2]
        if t > 0:
            shifted[:, t, :, 2:4] = normed[:, t - 1, :, 2:4]
        shifted[:, t, :, 4:] = normed[:, t, :, 4:]
    y = x + plain.attn(shifted.flatten(0, 1))
    expected = y + plain.mlp(plain.norm2(y))
    torch.testing.assert_close(ChannelShiftBlock(plain, channels=2, num_frames=5)(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [Block, PatchShiftBlock] * 2),
        ({"pattern": "none"}, [Block] * 4),
        ({"pattern": "none", "channel_shift": 0.125}, [ChannelShiftBlock] * 4),
    ],
)
def test_shifts_are_in_the_blocks_of_deit_that_the_paper_says(arguments: dict[str, Any], expected: list[type]) -> None:
    assert [type(block) for block in vit(**arguments).blocks] == expected


@pytest.mark.parametrize("arguments", [{"pattern": "none"}, {"pattern": ((0,),)}])
def test_without_shifts_deit_is_the_frame_wise_vit(arguments: dict[str, Any]) -> None:
    model, plain = vit(**arguments), randomise(build("vit", **VIT))
    torch.testing.assert_close(logits(model, clips(VIT)), logits(plain, clips(VIT)), rtol=0, atol=1e-12)
    assert (logits(vit(), clips(VIT)) - logits(plain, clips(VIT))).abs().max() > 1e-3


@pytest.mark.parametrize("arguments", [{}, {"pattern": "none", "channel_shift": 0.125}, {"pattern": "none"}])
def test_stochastic_depth_of_deit_acts_in_training_only(arguments: dict[str, Any]) -> None:
    model, x = vit(**arguments, drop_path=0.6), clips(VIT)
    tested = logits(model, x)
    assert torch.equal(tested, logits(model, x)) and not torch.equal(tested, logits(model.train(), x))
    still = vit(**arguments, drop_path=0.0)
    assert torch.equal(tested, logits(still, x)) and torch.equal(tested, logits(still.train(), x))


# ---- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "e-25"}, "pattern is 'e-25', must be one of none, center-one, uneven, even-2"),
        ({"pattern": "d-16"}, "pattern='d-16': shifts by 7 frames, the network has num_frames=5 after the tubelet"),
        ({"pattern": ((0, 1), (1,))}, "has rows of 1 and 2 numbers"),
        ({"pattern": ()}, r"pattern=\(\): is empty"),
        ({"positive": "after"}, "positive is 'after', must be one of previous, next"),
        ({"key_frame": "last"}, "key_frame is 'last', must be one of same, first"),
        ({"stages": (4,)}, r"stages=\[4\]: must be different numbers from 1 to 3"),
        ({"stages": (0, 1)}, r"stages=\[0, 1\]: must be"),
        ({"stages": (1, 1)}, r"stages=\[1, 1\]: must be different"),
        ({"stages": ()}, r"stages=\[\]: must be different numbers from 1 to 3"),
        ({"channel_shift": 0.6}, r"channel_shift=0.6: must be in \[0, 0.5\]"),
        ({"channel_shift": -0.125}, "channel_shift=-0.125"),
        ({"channel_shift": 0.1}, "channel_shift=0.1: is no whole number of the 8 channels of a head"),
    ],
)
def test_impossible_arguments_are_named(
    build_unchecked: Any, arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for checked in (PatchShiftAttention, ChannelShiftAttention):
        monkeypatch.setattr(checked, "__init__", inspect.unwrap(checked.__init__))
    monkeypatch.setattr(pst, "frame_offsets", inspect.unwrap(frame_offsets))
    with pytest.raises(ValueError, match=message) as error:
        build_unchecked("pst", **{**SIZES, **arguments})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel_shift": 0.125}, "channel_shift=0.125: is for pattern none"),
        ({"pattern": "none", "channel_shift": 0.6}, r"channel_shift=0.6: must be in \[0, 0.5\]"),
        ({"pattern": "none", "channel_shift": 0.1}, "channel_shift=0.1: must be .* a whole number of 16 channels"),
        ({"pattern": "d-16", "num_frames": 8}, "pattern='d-16': shifts by 8 frames"),
        ({"img_size": 41}, "img_size=41: must be a multiple of patch_size=8"),
    ],
)
def test_impossible_arguments_of_deit_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build("pst_vit", **{**VIT, **arguments})
    assert "\n" not in str(error.value)
