"""Batch norm over processes: with one process it is torch's; tests/run/jobs/test_ranks.py has several."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from vtbench.layers.batchnorm import CpuSyncBatchNorm, has_batch_norm, is_synchronised, synchronised


@pytest.fixture
def group() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("norm", "shape"),
    [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (4, 3, 5, 2)), (nn.BatchNorm3d, (2, 3, 2, 2, 2))],
)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_of_one_process_it_is_torchs(norm: type[nn.Module], shape: tuple[int, ...], momentum: float | None) -> None:
    torch.manual_seed(0)
    plain, ours = (nn.Sequential(norm(3, momentum=momentum)) for _ in range(2))
    synchronised(ours, gpu=False)
    assert isinstance(ours[0], CpuSyncBatchNorm)
    for _ in range(2):
        x = torch.randn(shape) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        weights = torch.randn(shape)
        (plain(a) * weights).sum().backward()
        (ours(b) * weights).sum().backward()
        assert torch.allclose(a.grad, b.grad, atol=1e-5)
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], tensor, atol=1e-6), name
    assert torch.allclose(plain[0].weight.grad, ours[0].weight.grad, atol=1e-5)
    assert torch.allclose(plain.eval()(x), ours.eval()(x), atol=1e-5)


def test_names_weights_and_everything_else_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.LayerNorm(2))
    before = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    assert has_batch_norm(network)
    assert not is_synchronised(network)
    synchronised(network, gpu=False)
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict().items()} == before
    assert [type(module).__name__ for module in network.modules() if not list(module.children())] == [
        "Conv2d", "CpuSyncBatchNorm", "ReLU", "LayerNorm",
    ]  # fmt: skip
    assert is_synchronised(network)
    assert not has_batch_norm(nn.Linear(1, 1))
