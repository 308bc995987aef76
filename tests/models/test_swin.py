"""Swin on video against torchvision's SwinTransformer3d unmodified, and sparse attention against a plain loop."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

from vtbench.layers.windows import Windows
from vtbench.models import build
from vtbench.models.swin import SparseAttention, VideoSwin

SIZES: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 8,
    "img_size": 24,
    "tubelet_size": 2,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": (2, 2, 1),
    "num_heads": (1, 2, 4),
    "window_size": 3,  # maps of 12, 6 and 3
}


def network(**arguments: Any) -> VideoSwin:
    """With random weights everywhere, large enough for uneven attention, in double precision."""
    torch.manual_seed(0)
    model = build("swin", **{**SIZES, **arguments})
    assert isinstance(model, VideoSwin)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 and "table" not in name else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.double().eval()


def clips(count: int = 2, **arguments: Any) -> Tensor:
    sizes = {**SIZES, **arguments}
    shape = (count, sizes["num_frames"], 3, sizes["img_size"], sizes["img_size"])
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


# ---- torchvision -------------------------------------------------------------------------------------------------


def torchvisions(ours: VideoSwin, **arguments: Any) -> nn.Module:
    """The network that ours is made of, unmodified, with the same weights."""
    sizes = {**SIZES, **arguments}
    reference = SwinTransformer3d(
        patch_size=[sizes["tubelet_size"], sizes["patch_size"], sizes["patch_size"]],
        embed_dim=sizes["embed_dim"],
        depths=list(sizes["depths"]),
        num_heads=list(sizes["num_heads"]),
        window_size=[sizes["window_frames"], sizes["window_size"], sizes["window_size"]],
        num_classes=sizes["num_classes"],
    )
    missing, unexpected = reference.load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected and all(key.endswith("relative_position_index") for key in missing)
    return reference.double().eval()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("window_frames", [1, 2, 4], ids=["2d", "local", "joint"])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"window_size": 4, "depths": (2, 2), "num_heads": (1, 2)},  # a map of 6, padded to 8
        {"window_size": 5, "depths": (2, 2), "num_heads": (1, 2)},  # maps of 12 and 6, padded to 15 and 10
        {"img_size": 14, "window_size": 2},  # maps of 7, 4 and 2: an odd map is halved
        {"tubelet_size": 1, "num_frames": 4, "patch_size": 4, "depths": (3,), "num_heads": (2,)},
    ],
    ids=["even", "padded", "padded-twice", "odd", "one-stage"],
)
def test_logits_and_gradients_are_torchvisions(sizes: dict[str, Any], window_frames: int, count: int) -> None:
    arguments = {**sizes, "window_frames": window_frames}
    ours = network(**arguments)
    reference = torchvisions(ours, **arguments)
    x = clips(count, **arguments)
    actual, expected = ours(x), reference(x.transpose(1, 2))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)
    labels = torch.tensor([4, 1])[:count]
    for logits in (actual, expected):
        nn.functional.cross_entropy(logits, labels).backward()
    theirs = dict(reference.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-9)


def test_parameters_at_full_size_are_torchvisions() -> None:
    with torch.device("meta"):
        ours = build("swin", num_classes=400, num_frames=32, window_frames=8).state_dict()
        reference = SwinTransformer3d(
            patch_size=[2, 4, 4], embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=[8, 7, 7]
        ).state_dict()
    weights = {key: tensor.shape for key, tensor in reference.items() if not key.endswith("relative_position_index")}
    assert {key: tensor.shape for key, tensor in ours.items()} == weights


# ---- which windows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window_frames", "expected"),
    [
        (1, [(0, 0, 0), (0, 3, 3), (0, 0, 0), (0, 0, 0)]),
        (2, [(0, 0, 0), (1, 3, 3), (0, 0, 0), (1, 0, 0)]),
        (16, [(0, 0, 0), (0, 3, 3), (0, 0, 0), (0, 0, 0)]),
    ],
)
def test_every_second_block_moves_its_windows_where_there_are_several(
    window_frames: int, expected: list[tuple[int, int, int]]
) -> None:
    arguments = {"img_size": 56, "depths": (2, 2), "num_heads": (1, 2), "embed_dim": 8, "window_frames": window_frames}
    with torch.device("meta"):
        model = build("swin", num_classes=2, num_frames=32, **arguments)
    windows = [model.blocks(stage)[i].attn.windows for stage in (1, 2) for i in (0, 1)]
    assert [w.shift for w in windows] == expected
    assert [w.size for w in windows] == [(16, 14, 14), (16, 14, 14), (16, 7, 7), (16, 7, 7)]
    assert {w.window for w in windows} == {(window_frames, 7, 7)}


def tubelets(x: Tensor, order: list[int]) -> Tensor:
    return x.unflatten(1, (-1, 2))[:, order].flatten(1, 2)


def test_windows_of_one_frame_do_not_know_the_order_of_tubelets() -> None:
    x, order = clips(), [2, 0, 3, 1]
    one, several = network(window_frames=1), network(window_frames=2)
    with torch.no_grad():
        torch.testing.assert_close(one(x), one(tubelets(x, order)), rtol=0, atol=1e-12)
        assert (several(x) - several(tubelets(x, order))).abs().max() > 1e-3
        assert (one(x) - one(x.flip(1))).abs().max() > 1e-3  # within a tubelet it does


# ---- sparse attention --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0, 1, 2, 3])
def test_sparse_attention_equals_the_loop(phase: int) -> None:
    torch.manual_seed(0)
    windows = Windows((2, 4, 6), (2, 4, 3), (0, 0, 0))
    attention = SparseAttention(6, 2, windows, phase=phase).double()
    nn.init.normal_(attention.relative_position_bias_table)
    nn.init.normal_(attention.qkv.weight)
    x = torch.randn(1, 2, 4, 6, 6, dtype=torch.float64)
    expected = torch.empty_like(x)
    q, k, v = attention.qkv(x[0]).chunk(3, dim=-1)
    among = [0, 0]
    for left in (0, 3):
        inside = [(t, i, j) for t in range(2) for i in range(4) for j in range(3)]
        taken = [(t, i, j) for t, i, j in inside if i % 2 == phase // 2 and j % 2 == phase % 2]
        among = [among[0] + len(taken), among[1] + len(inside)]
        for t, i, j in inside:
            heads = []
            for head in (slice(0, 3), slice(3, 6)):
                own = v[t, i, left + j, head]
                if (t, i, j) not in taken:
                    heads.append(own)
                    continue
                logits, values = [], []
                for s, m, n in taken:
                    entry = ((t - s + 1) * 7 + i - m + 3) * 5 + j - n + 2
                    bias = attention.relative_position_bias_table[entry, head.start // 3]
                    logits.append(q[t, i, left + j, head] @ k[s, m, left + n, head] / 3**0.5 + bias)
                    values.append(v[s, m, left + n, head])
                heads.append(torch.softmax(torch.stack(logits), dim=0) @ torch.stack(values))
            expected[0, t, i, left + j] = attention.proj(torch.cat(heads))
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-12)
    assert sorted(attention.taken.tolist()) == [12 * t + 3 * i + j for t, i, j in taken]


def test_a_quarter_of_the_patches_of_every_frame_attends_in_each_of_four_blocks() -> None:
    model = network(attention="sparse", window_frames=4, window_size=6, depths=(4, 4), num_heads=(1, 2))
    taken = [block.attn.taken.tolist() for stage in (1, 2) for block in model.blocks(stage)]
    assert [len(t) for t in taken] == [4 * 9] * 8
    assert taken[:4] == taken[4:] and sorted(n for block in taken[:4] for n in block) == list(range(4 * 36))


# ---- training and testing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [{"head_dropout": 0.5, "drop_path": 0.0}, {"head_dropout": 0.0, "drop_path": 0.6}]
)
def test_dropout_acts_in_training_only(arguments: dict[str, float]) -> None:
    model, x = network(**arguments), clips()
    with torch.no_grad():
        tested = model(x)
        assert torch.equal(model(x), tested)
        model.train()
        assert not torch.equal(model(x), tested) and not torch.equal(model(x), model(x))
        plain = network(head_dropout=0.0, drop_path=0.0)
        assert torch.equal(plain(x), tested) and torch.equal(plain.train()(x), tested)


def test_stochastic_depth_rises_from_nothing_to_its_rate() -> None:
    model = network(drop_path=0.2)
    rates = [block.stochastic_depth.p for stage in (1, 2, 3) for block in model.blocks(stage)]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


# ---- arguments ---------------------------------------------------------------------------------------------------

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"num_frames": 7}, "num_frames=7: must be a multiple of tubelet_size=2"),
    ({"img_size": 25}, "img_size=25: must be a multiple of patch_size=2"),
    ({"window_frames": 3}, "window_frames=3: must divide the 4 frames after the tubelet"),
    ({"window_frames": 8}, "window_frames=8: must divide the 4 frames after the tubelet"),
    ({"window_frames": 0}, "window_frames=0: must be at least 1"),
    ({"window_size": 4}, "window_size=4: the map of stage 3 has 3 x 3 patches and cannot hold it; take smaller"),
    ({"num_heads": (1, 3, 4)}, r"num_heads=\[1, 3, 4\]: 3 do not divide 16, the width of stage 2"),
    ({"num_heads": (1, 2)}, r"depths=\[2, 2, 1\], num_heads=\[1, 2\]: give one of each"),
    ({"depths": (2, 0, 1)}, r"depths=\[2, 0, 1\].*at least 1"),
    ({"depths": (1,), "num_heads": (1,)}, r"depths=\[1\]: must be at least 2 blocks"),
    ({"drop_path": 1.0}, r"drop_path=1.0: must be in \[0, 1\)"),
    ({"head_dropout": -0.1}, r"head_dropout=-0.1: must be in \[0, 1\)"),
    ({"num_classes": 0}, "num_classes=0: must be at least 1"),
    ({"tubelet_size": 0}, "tubelet_size=0: must be at least 1"),
]


@pytest.mark.parametrize("builder", ["swin", "pst"])
@pytest.mark.parametrize(("arguments", "message"), IMPOSSIBLE)
def test_impossible_sizes_are_named(arguments: dict[str, Any], message: str, builder: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build(builder, **{**SIZES, **({"stages": (1,)} if builder == "pst" else {}), **arguments})
    assert "\n" not in str(error.value)


def test_no_stages_are_named() -> None:
    with pytest.raises(ValueError, match=r"depths=\[\], num_heads=\[\]: give one of each"):
        network(depths=(), num_heads=())


def test_an_unknown_attention_is_named(build_unchecked: Any) -> None:
    with pytest.raises(ValueError, match="attention is 'dense', must be one of window, sparse"):
        build_unchecked("swin", **SIZES, attention="dense")


@pytest.mark.parametrize("shape", [(1, 4, 3, 24, 24), (1, 8, 3, 24, 12), (1, 8, 1, 24, 24)])
def test_clips_of_another_size_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(B, 8, 3, 24, 24\), that is num_frames=8 frames of img_size=24"):
        inspect.unwrap(VideoSwin.forward)(network(), torch.zeros(shape))
