"""One pass of a network: what it computes with, and which of its errors say that memory is short."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from known_costs import CPU
from torch import Tensor, nn

from vtbench.cost.passes import Case, Machine, build_pass, is_out_of_memory


def test_a_training_step_trains_without_changing_the_weights() -> None:
    made: list[nn.Linear] = []

    def build() -> nn.Module:
        made.append(nn.Linear(3, 2))
        return made[-1]

    step = build_pass(Case(build, (3,)), "train", 2, CPU)
    before = made[0].weight.clone()
    step()
    assert made[0].training and torch.equal(made[0].weight, before)


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_the_precision_is_that_of_the_products(precision: str, dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []

    class Head(nn.Linear):
        def forward(self, clips: Tensor) -> Tensor:
            logits = super().forward(clips)
            seen.append(logits.dtype)
            return logits

    for work in ("infer", "train"):
        build_pass(Case(partial(Head, 3, 2), (3,)), work, 1, Machine("cpu", precision))()
    assert seen == [dtype, dtype]


def test_an_allocation_that_the_system_refuses_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
