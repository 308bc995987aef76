"""Windows and their biases against literal loops, and against Swin's roll, view and permute."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch

from vtbench.layers.windows import Sizes, Windows, bias_entries

WINDOWS = [
    Windows((1, 4, 4), (1, 2, 2), (0, 0, 0)),
    Windows((1, 14, 14), (1, 7, 7), (0, 3, 3)),
    Windows((4, 6, 6), (2, 3, 3), (1, 1, 1)),
    Windows((4, 4, 4), (2, 2, 2), (1, 0, 1)),
    Windows((8, 3, 6), (4, 3, 3), (2, 0, 1)),
    Windows((2, 3, 3), (2, 3, 3), (0, 0, 0)),
    Windows((2, 5, 7), (1, 3, 4), (0, 1, 2)),  # padded to 6 x 8
    Windows((3, 4, 5), (2, 4, 2), (1, 0, 1)),  # padded to 4 frames and 6 columns
]
every_kind = pytest.mark.parametrize("windows", WINDOWS)


@every_kind
def test_order_is_roll_view_and_permute(windows: Windows) -> None:
    size, (t, h, w) = windows.padded, windows.window
    tokens = torch.arange(prod(size)).view(size)
    rolled = tokens.roll([-s for s in windows.shift], dims=(0, 1, 2))
    split = rolled.view(size[0] // t, t, size[1] // h, h, size[2] // w, w).permute(0, 2, 4, 1, 3, 5)
    assert torch.equal(windows.order(windows.places()), split.flatten())


@every_kind
def test_places_equal_the_loop(windows: Windows) -> None:
    expected = []
    for corner in product(*(range(0, n, part) for n, part in zip(windows.padded, windows.window, strict=True))):
        inside = product(*(range(part) for part in windows.window))
        expected.append(
            [
                [(c + i + s) % n for c, i, s, n in zip(corner, place, windows.shift, windows.padded, strict=True)]
                for place in inside
            ]
        )
    assert windows.places().tolist() == expected
    assert windows.places_inside().tolist() == [list(place) for place in product(*map(range, windows.window))]


@pytest.mark.parametrize(
    ("size", "window", "padded", "steps"),
    [
        ((8, 14, 14), (2, 7, 7), (8, 14, 14), 4),
        ((2, 5, 7), (1, 3, 4), (2, 6, 8), 2),
        ((3, 4, 5), (2, 4, 2), (4, 4, 6), 2),
        ((1, 7, 1), (1, 7, 7), (1, 7, 7), 1),
    ],
)
def test_maps_are_padded_to_whole_windows(size: Sizes, window: Sizes, padded: Sizes, steps: int) -> None:
    windows = Windows(size, window, (0, 0, 0))
    assert windows.padded == padded and windows.steps == steps


def region(position: int, length: int, window: int, shift: int) -> int:
    """Which of Swin's slices (0, -window), (-window, -shift), (-shift, None) of the rolled map a position is in; the
    last one is written last."""
    if position >= (length - shift if shift else 0):
        return 2
    return 1 if position >= length - window else 0


@every_kind
def test_masks_are_those_of_swin(windows: Windows) -> None:
    kinds, kind_of = windows.masks()
    corners = list(product(*(range(0, n, part) for n, part in zip(windows.padded, windows.window, strict=True))))
    assert len(kind_of) == len(corners) and len(kinds) <= 8
    for corner, kind in zip(corners, kind_of.tolist(), strict=True):
        regions = [
            [
                region(c + i, n, part, s)
                for c, i, n, part, s in zip(corner, place, windows.padded, windows.window, windows.shift, strict=True)
            ]
            for place in product(*map(range, windows.window))
        ]
        expected = torch.tensor([[0.0 if one == other else -torch.inf for other in regions] for one in regions])
        assert torch.equal(kinds[kind], expected)


def test_moved_windows_have_masks_and_unmoved_ones_forbid_nothing() -> None:
    assert all(bool(windows.masks()[0].isinf().any()) == any(windows.shift) for windows in WINDOWS)


@pytest.mark.parametrize("spans", [(1, 2, 2), (2, 2, 3), (3, 1, 2), (2, 7, 7)])
def test_bias_entries_equal_the_loop(spans: Sizes) -> None:
    differences = list(product(*(range(1 - span, span) for span in spans)))  # row-major
    places = list(product(*map(range, spans)))
    expected = [
        [differences.index(tuple(q - k for q, k in zip(query, key, strict=True))) for key in places] for query in places
    ]
    tensor = torch.tensor(places)
    assert bias_entries(tensor, tensor, spans).tolist() == expected
    assert {entry for row in expected for entry in row} == set(range(prod(2 * span - 1 for span in spans)))


def test_bias_entries_of_a_batch_are_those_of_each() -> None:
    queries, keys = torch.randint(0, 3, (4, 5, 3)), torch.randint(0, 3, (4, 5, 3))
    both = bias_entries(queries, keys, (3, 3, 3))
    assert both.shape == (4, 5, 5)
    for i in range(4):
        assert torch.equal(both[i], bias_entries(queries[i], keys[i], (3, 3, 3)))
