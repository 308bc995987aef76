"""Temporal patch shift against the plain loop over Eq. 4 of arXiv:2207.13259, and its patterns against Fig. 5."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from vtbench.layers.patch_shift import (
    PATTERNS,
    WINDOW_PATTERNS,
    frame_offsets,
    inverse_order,
    patch_shift,
    patch_shift_order,
    reorder,
    tile_pattern,
)

FIGURE_5 = """
 0  1  0  1     0  1  0  1    -4  1  2 -4     0  1  2  3
-1  0 -1  0    -1  2 -1  2    -1  0  3 -1    -1 -7  4  5
 0  1  0  1     0  1  0  1    -2 -3  4 -2    -2 -4  7  6
-1  0 -1  0    -1  2 -1  2    -4  1  2 -4    -3 -5 -6  8
"""
PRINTED = torch.tensor([[int(n) for n in line.split()] for line in FIGURE_5.strip().splitlines()])
FRAMES, ROWS, COLUMNS = 9, 5, 7
every_pattern = pytest.mark.parametrize("pattern", [*PATTERNS, *WINDOW_PATTERNS, ((0, -3, 5),), ((2,), (-1,), (0,))])
every_meaning = pytest.mark.parametrize("positive", ["previous", "next"])


def clips(dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(2, FRAMES, ROWS * COLUMNS, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return x.requires_grad_(dtype == torch.float64)


def offsets(pattern: Any, positive: str = "next") -> Tensor:
    return frame_offsets(pattern, ROWS, COLUMNS, num_frames=FRAMES, positive=positive).flatten()


# ---- patterns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "place"), [("a-3", 0), ("b-4", 1), ("c-9", 2), ("d-16", 3)])
def test_patterns_are_those_of_figure_5(name: str, place: int) -> None:
    assert torch.equal(tile_pattern(PATTERNS[name], 4, 4), PRINTED[:, 4 * place :][:, :4])


@pytest.mark.parametrize("name", PATTERNS)
def test_every_frame_of_the_field_has_an_even_share_of_the_pattern(name: str) -> None:
    numbers = [n for row in PATTERNS[name] for n in row]
    field = int(name.split("-")[1])
    assert sorted(set(numbers)) == list(range(min(numbers), min(numbers) + field))
    shares = {n: numbers.count(n) for n in set(numbers)}
    assert shares == {-1: 1, 0: 2, 1: 1} if name == "a-3" else len(set(shares.values())) == 1


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 7), (4, 10), (3, 2)])
def test_a_pattern_begins_at_the_corner_and_is_cut_at_the_far_edges(rows: int, columns: int) -> None:
    tiled = tile_pattern(PATTERNS["c-9"], rows, columns)
    assert tiled.shape == (rows, columns)
    for i in range(rows):
        for j in range(columns):
            assert tiled[i, j] == PATTERNS["c-9"][i % 3][j % 3]


@pytest.mark.parametrize(("rows", "columns", "centre"), [(7, 7, (3, 3)), (4, 4, (2, 2)), (1, 1, (0, 0))])
def test_center_one_shifts_the_middle_patch(rows: int, columns: int, centre: tuple[int, int]) -> None:
    found = frame_offsets("center-one", rows, columns, num_frames=2, positive="next")
    assert found.sum() == 1 and found[centre] == 1


@pytest.mark.parametrize("side", [2, 3, 4, 7, 8])
def test_uneven_shifts_as_many_patches_as_even_2_all_on_the_left(side: int) -> None:
    uneven, even = (frame_offsets(name, side, side, num_frames=2, positive="next") for name in ("uneven", "even-2"))
    assert uneven.sum() == even.sum() == side**2 // 2
    assert uneven[:, : side // 2].all() and not uneven[:, (side + 1) // 2 :].any()
    if side % 2:
        assert uneven[:, side // 2].tolist() == [1] * (side // 2) + [0] * (side // 2 + 1)


@every_pattern
def test_positive_numbers_are_read_from_frames_before_or_after(pattern: Any) -> None:
    assert torch.equal(offsets(pattern, "previous"), -offsets(pattern, "next"))
    assert offsets(pattern).any()


# ---- the shift ---------------------------------------------------------------------------------------------------


@every_meaning
@every_pattern
def test_patch_shift_equals_the_loop(pattern: Any, positive: str) -> None:
    x, expected = clips(), torch.empty_like(clips())
    grid = PATTERNS.get(pattern, pattern) if isinstance(pattern, str) else pattern
    for t in range(FRAMES):
        for n in range(ROWS * COLUMNS):
            i, j = divmod(n, COLUMNS)
            if pattern == "center-one":
                number = int((i, j) == (ROWS // 2, COLUMNS // 2))
            elif pattern == "uneven":
                number = int(j * ROWS + i < ROWS * COLUMNS // 2)
            else:
                number = grid[i % len(grid)][j % len(grid[0])]
            a = float(number != 0)
            other = x[:, (t + number * (1 if positive == "next" else -1)) % FRAMES, n]
            expected[:, t, n] = a * other + (1 - a) * x[:, t, n]  # Eq. 4
    assert torch.equal(patch_shift(x, offsets(pattern, positive)), expected)


@every_meaning
@every_pattern
def test_shifting_back_is_the_inverse(pattern: Any, positive: str) -> None:
    x, there = clips(), offsets(pattern, positive)
    shifted = patch_shift(x, there)
    assert not torch.equal(shifted, x)
    assert torch.equal(patch_shift(shifted, -there), x)


def test_a_pattern_of_zeros_shifts_nothing() -> None:
    assert torch.equal(patch_shift(clips(), offsets([[0]])), clips())
    assert torch.equal(patch_shift(clips(), offsets([[0, 0], [0, 0]])), clips())


@every_pattern
def test_reading_from_before_instead_of_after_is_reversing_time(pattern: Any) -> None:
    backward = patch_shift(clips(), offsets(pattern, "previous"))
    assert torch.equal(patch_shift(clips().flip(1), offsets(pattern, "next")).flip(1), backward)


def test_a_shift_by_all_frames_is_none() -> None:
    assert torch.equal(patch_shift(clips(), torch.full((ROWS * COLUMNS,), FRAMES)), clips())


def test_the_input_is_left_alone() -> None:
    x = clips()
    patch_shift(x, offsets("c-9")).mul_(0)
    assert torch.equal(x, clips())


# ---- one gather --------------------------------------------------------------------------------------------------


def permutation() -> Tensor:
    return torch.randperm(FRAMES * 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 3])
def test_reorder_equals_the_loop(count: int) -> None:
    x, order = torch.randn(count, FRAMES * 4, 3), permutation()
    expected = torch.stack([torch.stack([clip[order[i]] for i in range(len(order))]) for clip in x])
    assert torch.equal(reorder(x, order, inverse_order(order)), expected)
    assert torch.equal(reorder(expected, inverse_order(order), order), x)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("strided", [False, True])
def test_gradient_of_reorder_is_that_of_indexing(count: int, strided: bool) -> None:
    order = permutation()
    inverse = inverse_order(order)
    x = torch.randn(count, FRAMES * 4, 3, dtype=torch.float64)
    ours, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    towards = torch.randn(count, 3, FRAMES * 4, dtype=torch.float64).mT if strided else torch.randn_like(x)
    reorder(ours, order, inverse).backward(towards)
    plain[:, order].backward(towards)
    assert ours.grad is not None and plain.grad is not None
    assert torch.equal(ours.grad, plain.grad) and ours.grad.any()


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_of_reorder_are_those_of_differences(count: int) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    x = torch.randn(count, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: reorder(y, order, inverse_order(order)), x)
    assert torch.autograd.gradgradcheck(lambda y: reorder(y, order, inverse_order(order)), x)


def test_gradient_of_a_patch_shift_goes_to_the_patch_that_was_read() -> None:
    x = clips(torch.float64)
    patch_shift(x, offsets("c-9"))[0, 2, 8, 1].backward()
    assert x.grad is not None and x.grad.nonzero().tolist() == [[0, 2, 8, 1]]  # the middle of the pattern
    x.grad = None
    patch_shift(x, offsets("c-9"))[0, 2, 0, 1].backward()
    assert x.grad.nonzero().tolist() == [[0, 7, 0, 1]]  # -4, over the first frame to the last ones


def test_an_order_is_a_permutation_of_every_token() -> None:
    order = patch_shift_order(offsets("d-16"), num_frames=FRAMES)
    assert torch.equal(order.sort().values, torch.arange(FRAMES * ROWS * COLUMNS))
    assert torch.equal(order[inverse_order(order)], torch.arange(len(order)))


# ---- arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "num_frames", "message"),
    [
        ([[0, 1], [2]], 8, r"pattern=\[\[0, 1\], \[2\]\]: has rows of 1 and 2 numbers; make them equal"),
        ([], 8, r"pattern=\[\]: is empty; give rows"),
        ([[]], 8, r"pattern=\[\[\]\]: is empty; give rows"),
        ("e-25", 8, "pattern is 'e-25', must be one of none, center-one, uneven, even-2, a-3, b-4, c-9, d-16, a grid"),
        ("c-9", 4, "pattern='c-9': shifts by 4 frames, the network has num_frames=4 .*; take a pattern"),
        ([[0, -3]], 3, r"shifts by 3 frames, the network has num_frames=3"),
        ("center-one", 1, "shifts by 1 frames, the network has num_frames=1"),
    ],
)
def test_impossible_patterns_are_named(pattern: Any, num_frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        frame_offsets(pattern, 7, 7, num_frames=num_frames, positive="next")
    assert "\n" not in str(error.value)
    if "shifts by" in message:
        frame_offsets(pattern, 7, 7, num_frames=num_frames + 1, positive="next")


def test_an_unknown_meaning_of_positive_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="positive is 'after', must be one of previous, next"):
        inspect.unwrap(frame_offsets)("c-9", 7, 7, num_frames=16, positive="after")
