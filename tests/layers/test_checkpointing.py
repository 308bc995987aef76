"""Blocks that are computed twice: the same numbers, and less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from vtbench.layers.checkpointing import blocks_of, checkpoint_blocks
from vtbench.models import build
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.run.network import spec_of

ROWS = ["msca/table2:msca-kv", "laps/table1:laps", "laps/table3:laps-rs", "pst/table2e:pst", "mmvit/table2:tsm"]


class Block(nn.Module):
    """With everything that a second pass could do differently."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear, self.drop = nn.BatchNorm1d(8), nn.Linear(8, 8), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8) to (B, 8)."""
        return x + self.drop(self.linear(self.norm(x)).relu())


class Stacked(nn.Module):
    """Two blocks and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Block(), Block()]), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8) to (B, 2)."""
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_outputs_gradients_statistics_and_names_are_the_same() -> None:
    torch.manual_seed(0)
    plain = Stacked()
    twice = copy.deepcopy(plain)
    checkpoint_blocks(twice)
    x = torch.randn(4, 8)
    passes: list[int] = []
    twice.blocks[0].linear.register_forward_hook(lambda *_: passes.append(1))
    for network in (plain, twice):
        torch.manual_seed(1)
        network(x).square().sum().backward()
    assert len(passes) == 2
    assert list(plain.state_dict()) == list(twice.state_dict())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(twice.state_dict()[name], tensor), name
    for a, b in zip(plain.parameters(), twice.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert torch.equal(plain.eval()(x), twice.eval()(x))


@pytest.mark.parametrize("selector", ROWS)
def test_every_family_has_blocks(selector: str) -> None:
    training = measurements(select([selector])[0], "smoke", 0)[0].evaluation.training
    network = build(**spec_of(training.network))
    blocks = blocks_of(network)
    assert len(blocks) >= 2
    inside = [name for name, _ in network.named_parameters() if any(part.isdigit() for part in name.split("."))]
    assert sum(len(list(block.parameters())) for block in blocks) > 0.6 * len(inside)
