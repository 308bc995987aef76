"""Polynomials fitted to counted multiply-adds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vtbench.cost.complexity import as_text, growth
from vtbench.layers.attention import ATTENTIONS, joint_attention
from vtbench.papers.code.signatures import Builders


def spatial(q: Tensor, k: Tensor, v: Tensor, *, num_frames: int) -> Tensor:
    return scaled_dot_product_attention(q, k, v)


def spatial_and_joint(q: Tensor, k: Tensor, v: Tensor, *, num_frames: int) -> Tensor:
    return spatial(q, k, v, num_frames=num_frames) + joint_attention(q, k, v, num_frames=num_frames)


def per_token(q: Tensor, k: Tensor, v: Tensor, *, num_frames: int) -> Tensor:
    return q @ torch.empty(q.shape[-1], 6 * q.shape[-1], device="meta")


def cubic(q: Tensor, k: Tensor, v: Tensor, *, num_frames: int) -> Tensor:
    for _ in range(num_frames * num_frames):
        v = spatial(q, k, v, num_frames=num_frames)
    return v


@pytest.mark.parametrize(
    ("attention", "terms"),
    [
        (spatial, {(2, 1): 1.0}),
        (spatial_and_joint, {(2, 1): 1.0, (2, 2): 1.0}),
        (per_token, {(1, 1): 24.0}),  # 6 d^2 multiply-adds are 3 d pairs, d = 8
    ],
)
def test_growth_finds_the_polynomial(attention: object, terms: dict[tuple[int, int], float]) -> None:
    assert growth(attention) == terms  # type: ignore[arg-type]


def test_a_growth_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no polynomial in N and T of degree 2"):
        growth(cubic)


def test_polynomials_in_words() -> None:
    assert as_text({(1, 2): 1.0, (2, 1): 1.0}) == "N^2 T + N T^2"
    assert as_text({(2, 2): 0.25, (0, 0): 3.0}) == "0.25 N^2 T^2 + 3"


def test_specs_can_name_every_attention() -> None:
    assert Builders().attentions() == list(ATTENTIONS)
