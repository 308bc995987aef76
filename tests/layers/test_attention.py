"""Attention over several frames against plain loops over Algorithm 1 of arXiv:2207.05526."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vtbench.layers.attention import (
    ATTENTIONS,
    group_frames,
    joint_attention,
    leap_attention,
    leap_step,
    ungroup_frames,
)

CLIPS, HEADS, TOKENS, KEYS, WIDTH = 2, 3, 5, 4, 6
ALLOWED = [(8, 1), (8, 2), (8, 3), (6, 1), (2, 1), *[(16, level) for level in range(1, 5)], (32, 1), (32, 4), (32, 5)]
every_allowed_level = pytest.mark.parametrize(("num_frames", "level"), ALLOWED)


def pairs(num_frames: int, level: int) -> list[tuple[int, int]]:
    """Lines 1 to 12 of Algorithm 1, frames counted from 0."""
    step = num_frames / 2**level
    first: list[int] = []
    second: list[int] = []
    for t in range(num_frames):
        if t not in first + second:
            first.append(t)
            second.append(int(t + step))
    return list(zip(sorted(first), sorted(second), strict=True))


def attend_together(q: Tensor, k: Tensor, v: Tensor, frames: tuple[int, ...], out: list[list[Tensor]]) -> None:
    """Lines 13 to 18 for one group of frames of one clip (T, h, N, z); Eq. 12 with the transposition."""
    for head in range(HEADS):
        queries, keys, values = (torch.cat([x[t, head] for t in frames]) for x in (q, k, v))
        mixed = torch.softmax(queries @ keys.T / WIDTH**0.5, dim=-1) @ values
        for t, part in zip(frames, mixed.split(TOKENS), strict=True):
            out[t][head] = part


def loop(q: Tensor, k: Tensor, v: Tensor, num_frames: int, groups: list[tuple[int, ...]]) -> Tensor:
    clips = []
    for clip in zip(*(x.unflatten(0, (-1, num_frames)) for x in (q, k, v)), strict=True):
        out = [[torch.empty(0)] * HEADS for _ in range(num_frames)]
        for frames in groups:
            attend_together(*clip, frames, out)
        clips.append(torch.stack([torch.stack(heads) for heads in out]))
    return torch.cat(clips)


def projections(num_frames: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    batch = CLIPS * num_frames
    q = 2 * torch.randn(batch, HEADS, TOKENS, WIDTH)
    return q, 2 * torch.randn(batch, HEADS, KEYS, WIDTH), torch.randn(batch, HEADS, KEYS, WIDTH)


@every_allowed_level
def test_leap_attention_equals_the_loop(num_frames: int, level: int) -> None:
    q, k, v = projections(num_frames)
    expected = loop(q, k, v, num_frames, pairs(num_frames, level))
    torch.testing.assert_close(leap_attention(q, k, v, num_frames=num_frames, level=level), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 2, 5, 8])
def test_joint_attention_equals_the_loop(num_frames: int) -> None:
    q, k, v = projections(num_frames)
    expected = loop(q, k, v, num_frames, [tuple(range(num_frames))])
    torch.testing.assert_close(joint_attention(q, k, v, num_frames=num_frames), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("level", "printed"),
    [
        (1, [(0, 4), (1, 5), (2, 6), (3, 7)]),
        (2, [(0, 2), (1, 3), (4, 6), (5, 7)]),
        (3, [(0, 1), (2, 3), (4, 5), (6, 7)]),
    ],
)
def test_frames_are_paired_as_figure_3_prints(level: int, printed: list[tuple[int, int]]) -> None:
    assert pairs(8, level) == printed
    frames = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 2, 1)
    grouped = group_frames(frames, num_frames=8, size=2, step=leap_step(8, level))
    assert [tuple(group[0, ::2, 0].tolist()) for group in grouped] == printed


@pytest.mark.parametrize(
    ("num_frames", "size", "step"), [(8, 2, 4), (8, 2, 2), (8, 2, 1), (6, 2, 3), (6, 6, 1), (3, 1, 1)]
)
def test_ungrouping_is_the_inverse_of_grouping(num_frames: int, size: int, step: int) -> None:
    x = torch.randn(2 * num_frames, HEADS, TOKENS, WIDTH)
    grouped = group_frames(x, num_frames=num_frames, size=size, step=step)
    assert grouped.shape == (2 * num_frames // size, HEADS, size * TOKENS, WIDTH)
    assert torch.equal(ungroup_frames(grouped, num_frames=num_frames, size=size, step=step), x)


def test_groups_of_one_frame_are_the_input_itself() -> None:
    x = torch.randn(4, HEADS, TOKENS, WIDTH)
    assert group_frames(x, num_frames=4, size=1, step=1) is x
    assert ungroup_frames(x, num_frames=4, size=1, step=1) is x


def test_neighbours_are_grouped_without_a_copy_where_they_lie_side_by_side() -> None:
    x = torch.randn(8, TOKENS, HEADS, WIDTH).transpose(1, 2)  # as a ViT's projections lie
    assert group_frames(x, num_frames=4, size=2, step=1).data_ptr() == x.data_ptr()
    assert group_frames(x, num_frames=4, size=2, step=2).data_ptr() != x.data_ptr()


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("strided", ["channels", "tokens", "frames"])
def test_inputs_need_not_be_contiguous(strided: str, level: int) -> None:
    expected = leap_attention(*projections(8), num_frames=8, level=level)
    dim = {"channels": 3, "tokens": 2, "frames": 0}[strided]
    # Every second place of a tensor twice as long, with nan between; "channels" last in memory as in a Visformer.
    q, k, v = (
        torch.stack((x, torch.full_like(x, torch.nan)), dim=dim + 1).flatten(dim, dim + 1) for x in projections(8)
    )
    places = (slice(None),) * dim + (slice(0, None, 2),)
    q, k, v = (x[places] for x in (q, k, v))
    assert not q.is_contiguous()
    torch.testing.assert_close(leap_attention(q, k, v, num_frames=8, level=level), expected, rtol=0, atol=1e-6)
    q, k, v = (x.transpose(2, 3).contiguous().transpose(2, 3) for x in (q, k, v))
    torch.testing.assert_close(leap_attention(q, k, v, num_frames=8, level=level), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("level", [1, 2, 3, None])
def test_gradients_equal_those_of_the_loop(level: int | None) -> None:
    ours = [x.requires_grad_() for x in projections(8)]
    plain = [x.requires_grad_() for x in projections(8)]
    towards = torch.randn(CLIPS * 8, HEADS, TOKENS, WIDTH)
    if level is None:
        (joint_attention(*ours, num_frames=8) * towards).sum().backward()
        (loop(*plain, 8, [tuple(range(8))]) * towards).sum().backward()
    else:
        (leap_attention(*ours, num_frames=8, level=level) * towards).sum().backward()
        (loop(*plain, 8, pairs(8, level)) * towards).sum().backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-5)
        assert one.grad is not None and one.grad.abs().max() > 0.1


@pytest.mark.parametrize(
    ("num_frames", "level", "allowed"),
    [
        (8, 0, "one of 1, 2, 3$"),
        (8, -1, "one of 1, 2, 3$"),
        (8, 4, "one of 1, 2, 3$"),
        (6, 2, "one of 1$"),
        (32, 6, "one of 1, 2, 3, 4, 5$"),
        (12, 3, "one of 1, 2$"),
        (5, 1, "none, as the number of frames is odd$"),
        (1, 1, "none, as the number of frames is odd$"),
    ],
)
def test_a_level_that_is_no_whole_step_names_those_that_are(num_frames: int, level: int, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"level R = {level} of num_frames={num_frames}.*allowed for R: {allowed}"):
        leap_step(num_frames, level)
    q, k, v = projections(num_frames)
    with pytest.raises(ValueError, match=rf"level R = {level}"):
        leap_attention(q, k, v, num_frames=num_frames, level=level)


def test_the_step_halves_from_level_to_level_down_to_one_frame() -> None:
    steps = [leap_step(32, level) for level in range(1, 6)]
    assert steps[0] == 16 and steps[-1] == 1 and all(wide == 2 * narrow for wide, narrow in pairwise(steps))


def allowed(name: str, num_frames: int, places: int) -> Tensor:
    """Which of the T N tokens of a clip attend to which, (T N, T N), by the words of arXiv:2207.13259, Section 4.3."""
    tokens = list(product(range(num_frames), range(places)))
    offsets = [(0, 1, 0, -1)[place % 4] for place in range(places)]

    def together(a: tuple[int, int], b: tuple[int, int]) -> bool:
        (t, n), (u, m) = a, b
        match name:
            case "joint":
                return True
            case "local":
                return n * 4 // places == m * 4 // places
            case "sparse":
                return a == b or (n % 2 == m % 2 == 0)
            case _:  # the frames in which a patch shift puts both
                return (t - offsets[n]) % num_frames == (u - offsets[m]) % num_frames

    return torch.tensor([[together(a, b) for b in tokens] for a in tokens])


@pytest.mark.parametrize("name", ["joint", "local", "sparse", "patch_shift"])
def test_schemes_equal_masked_joint_attention(name: str) -> None:
    frames, places = 4, 8
    q, k, v = (torch.randn(CLIPS * frames, HEADS, places, WIDTH) for _ in range(3))
    clips = [x.unflatten(0, (CLIPS, frames)).transpose(1, 2).flatten(2, 3) for x in (q, k, v)]  # (B, h, T N, d)
    expected = scaled_dot_product_attention(*clips, attn_mask=allowed(name, frames, places))
    expected = expected.unflatten(2, (frames, places)).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(ATTENTIONS[name](q, k, v, num_frames=frames), expected, rtol=0, atol=1e-5)


def test_divided_attention_is_in_time_then_in_space() -> None:
    frames, places = 3, 5
    q, k, v = (torch.randn(CLIPS * frames, HEADS, places, WIDTH) for _ in range(3))
    expected = torch.empty_like(v)
    for clip, head in product(range(CLIPS), range(HEADS)):
        of_clip = slice(clip * frames, (clip + 1) * frames)
        queries, keys, values = (x[of_clip, head] for x in (q, k, v))  # (T, N, d)
        mixed = torch.empty_like(values)
        for n in range(places):
            mixed[:, n] = torch.softmax(queries[:, n] @ keys[:, n].T / WIDTH**0.5, dim=-1) @ values[:, n]
        for t in range(frames):
            expected[clip * frames + t, head] = torch.softmax(queries[t] @ keys[t].T / WIDTH**0.5, dim=-1) @ mixed[t]
    torch.testing.assert_close(ATTENTIONS["divided"](q, k, v, num_frames=frames), expected, rtol=0, atol=1e-5)
