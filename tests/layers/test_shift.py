from __future__ import annotations

import inspect

import jaxtyping
import pytest
import torch
from torch import Tensor

from vtbench.layers.shift import periodic_shift, shift_frames, shift_slices, temporal_shift

BOUNDARIES = ["zero", "replicate", "cyclic"]


def frame(x: Tensor, t: int, boundary: str) -> Tensor:
    """Frame t of one clip x (T, ...), also beyond its ends."""
    num_frames = len(x)
    if 0 <= t < num_frames:
        return x[t]
    if boundary == "zero":
        return torch.zeros_like(x[0])
    return x[min(max(t, 0), num_frames - 1)] if boundary == "replicate" else x[t % num_frames]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("offset", [-7, -4, -2, -1, 0, 1, 3, 4, 9])
def test_shift_frames_equals_the_loop(offset: int, boundary: str) -> None:
    x = torch.randn(3, 4, 5, 2)
    expected = torch.stack([torch.stack([frame(clip, t + offset, boundary) for t in range(4)]) for clip in x])
    assert torch.equal(shift_frames(x, offset=offset, boundary=boundary), expected)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(("start", "sizes"), [(0, (1, 2)), (2, (1, 1)), (0, (0, 3)), (1, (4, 0)), (0, (3, 2))])
def test_shift_slices_equals_the_loop(dim: int, start: int, sizes: tuple[int, int], boundary: str) -> None:
    x = torch.randn(2, 3, 5, 5)
    expected = x.clone()
    for b in range(2):
        for t in range(3):
            for i in range(start, start + sum(sizes)):
                offset = -1 if i < start + sizes[0] else 1
                expected[b, t].select(dim - 2, i).copy_(frame(x[b], t + offset, boundary).select(dim - 2, i))
    actual = shift_slices(x, dim=dim, start=start, sizes=sizes, offsets=(-1, 1), boundary=boundary)
    assert torch.equal(actual, expected)


def test_shift_leaves_its_input_alone() -> None:
    x = torch.randn(2, 3, 4)
    before = x.clone()
    shift_slices(x, dim=2, sizes=(2, 2), offsets=(-1, 1), boundary="zero").mul_(0)
    assert torch.equal(x, before)


def test_gradient_goes_to_the_frame_that_was_read() -> None:
    x = torch.zeros(1, 4, 1, requires_grad=True)
    shift_frames(x, offset=-1, boundary="zero")[0, 2].sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("start", "sizes"), [(0, (3, 2)), (3, (1, 1)), (-1, (1, 1)), (0, (-1, 2))])
def test_slices_that_do_not_fit_are_an_error(start: int, sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at most 4"):
        shift_slices(torch.randn(1, 2, 4), dim=2, start=start, sizes=sizes, offsets=(-1, 1), boundary="zero")


def test_unknown_boundary_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"boundary is 'mirror', .*zero, replicate, cyclic"):
        inspect.unwrap(shift_frames)(torch.randn(1, 2, 3), offset=1, boundary="mirror")


def test_annotations_are_enforced_in_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        shift_frames(torch.randn(3), offset=1, boundary="zero")


def test_clips_and_frames_cannot_be_sliced() -> None:
    with pytest.raises(ValueError, match="dim=1: must be 2 or more"):
        shift_slices(torch.randn(1, 2, 4), dim=1, sizes=(1, 1), offsets=(-1, 1), boundary="zero")


def loop_over_heads(x: Tensor, channels: int, first: str, boundary: str) -> Tensor:
    """Eqs. 16 to 18 of arXiv:2207.05526 for clips (B, T, N, m, z), a' = b' = `channels`; "next" the other way round."""
    sign = -1 if first == "previous" else 1
    out = x.clone()
    for clip, to in zip(x, out, strict=True):
        for t in range(x.shape[1]):
            for u in range(x.shape[3]):
                for j in range(x.shape[4]):
                    offset = sign if j < channels else -sign if j < 2 * channels else 0
                    to[t, :, u, j] = frame(clip, t + offset, boundary)[:, u, j]
    return out


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("first", ["previous", "next"])
@pytest.mark.parametrize("channels", [0, 1, 2, 3])
def test_periodic_shift_equals_the_loop(channels: int, first: str, boundary: str) -> None:
    x = torch.randn(2, 4, 3, 2, 6)
    actual = periodic_shift(x, dim=3, channels=channels, first=first, boundary=boundary)
    assert torch.equal(actual, loop_over_heads(x, channels, first, boundary))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("first", ["previous", "next"])
@pytest.mark.parametrize("channels", [0, 1, 3, 6])
def test_plain_shift_is_the_periodic_shift_of_one_head_as_wide_as_all(channels: int, first: str, boundary: str) -> None:
    x = torch.randn(2, 4, 3, 12)
    expected = loop_over_heads(x.unsqueeze(3), channels, first, boundary).squeeze(3)
    assert torch.equal(temporal_shift(x, dim=3, channels=channels, first=first, boundary=boundary), expected)


def test_heads_may_lie_before_the_tokens_too() -> None:
    x = torch.randn(2, 4, 2, 6, 3)  # (B, T, m, z, N), as in a Visformer
    expected = loop_over_heads(x.movedim(4, 2), 2, "previous", "zero").movedim(2, 4)
    assert torch.equal(periodic_shift(x, dim=2, channels=2, first="previous", boundary="zero"), expected)


@pytest.mark.parametrize("first", ["previous", "next"])
def test_nothing_shifted_is_the_input_itself(first: str) -> None:
    x = torch.randn(2, 4, 3, 2, 6)
    assert periodic_shift(x, dim=3, channels=0, first=first, boundary="cyclic") is x
    assert temporal_shift(x, dim=4, channels=0, first=first, boundary="cyclic") is x


def test_more_channels_than_a_head_has_are_an_error() -> None:
    with pytest.raises(ValueError, match="at most 6"):
        periodic_shift(torch.randn(2, 4, 3, 2, 6), dim=3, channels=4, first="next", boundary="zero")
