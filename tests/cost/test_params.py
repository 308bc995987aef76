from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from vtbench.cost import count_params
from vtbench.models import build


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vit", {}),
        ("tokenshift", {}),
        ("msca", {"backward_heads": 1, "forward_heads": 1}),
        ("msca_patch", {"backward_patches": 8, "forward_patches": 8}),
    ],
)
def test_vit_base_has_86_1063_million_and_shifts_add_none(name: str, arguments: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = build(name, num_classes=400, num_frames=8, **arguments)
    assert count_params(network) == {
        "all": 86_106_256,
        "no_bn_affine": 86_106_256,
        "no_head": 86_106_256 - 769 * 400,
        "thop": 85_915_792,
    }


def test_resnet_conventions() -> None:
    with torch.device("meta"):
        network = torchvision.models.resnet18()
    batch_norms = 2 * (5 * 64 + 5 * 128 + 5 * 256 + 5 * 512)
    assert count_params(network) == {
        "all": 11_689_512,
        "no_bn_affine": 11_689_512 - batch_norms,
        "no_head": 11_689_512 - 513 * 1000,
        "thop": 11_689_512 - batch_norms,
    }


def test_a_shared_parameter_counts_once() -> None:
    one, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.weight = one.weight
    assert count_params(nn.Sequential(one, other)) == {"all": 15, "no_bn_affine": 15, "no_head": 15, "thop": 15}
