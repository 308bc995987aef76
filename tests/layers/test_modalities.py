"""Against plain loops over Eqs. 8, 16 and 17 to 20 of arXiv:2108.09322."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from vtbench.layers.modalities import attention_along, from_windows, shift_merge, to_windows


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("start", "stop"), [(1, 2), (2, 3), (3, 4), (1, 3), (2, 4), (1, 4)])
def test_attention_along_axes_equals_the_loop(start: int, stop: int, masked: bool) -> None:
    shape = (2, 3, 4, 2)  # B, T, S, N
    q, k, v = (random(*shape, 2, 5) for _ in range(3))
    along = list(product(*map(range, shape[start:stop])))
    mask = ~torch.eye(len(along), dtype=torch.bool) if masked else None
    expected = torch.empty_like(q)
    for place in product(*map(range, shape)):
        seen = [(*place[:start], *other, *place[stop:]) for other in along]
        seen = [other for other in seen if not masked or other != place]
        for head in range(2):
            scores = torch.stack([q[place][head] @ k[other][head] / 5**0.5 for other in seen])
            expected[place][head] = sum(w * v[o][head] for w, o in zip(scores.softmax(0), seen, strict=True))
    torch.testing.assert_close(
        attention_along(q, k, v, start=start, stop=stop, mask=mask), expected, rtol=0, atol=1e-12
    )


def test_shift_merge_is_equations_17_to_20() -> None:
    v = random(2, 3, 4, 5, 8)
    i, m, r, a = v.unbind(2)  # (B, T, N, D) each
    for number, own in enumerate((i, m, r, a)):
        part = slice(2 * number, 2 * number + 2)
        expected = torch.cat([i[..., part], m[..., part], r[..., part], a[..., part]], dim=-1) + own
        assert torch.equal(shift_merge(v)[:, :, number], expected)


@pytest.mark.parametrize("modalities", [1, 2, 3, 6])
def test_shift_merge_has_as_many_portions_as_modalities(modalities: int) -> None:
    v, size = random(1, 2, modalities, 3, 12), 12 // modalities
    for s, j in product(range(modalities), repeat=2):
        at, of = slice(j * size, (j + 1) * size), slice(s * size, (s + 1) * size)
        assert torch.equal(shift_merge(v)[:, :, s, :, at], v[:, :, s, :, at] + v[:, :, j, :, of])


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_windows_hold_neighbouring_places_row_by_row(size: int) -> None:
    x = torch.arange(2 * 36 * 3).view(2, 6, 6, 3)
    expected = [
        frame[row : row + size, column : column + size].flatten(0, 1)
        for frame in x
        for row in range(0, 6, size)
        for column in range(0, 6, size)
    ]
    windows = to_windows(x, size=size)
    assert torch.equal(windows, torch.stack(expected))
    assert torch.equal(from_windows(windows, size=size, side=6), x)
