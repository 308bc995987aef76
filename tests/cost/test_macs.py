from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import timm.layers
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.cost import count_macs
from vtbench.models import build


def meta(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=400, num_frames=8, **arguments)


def fvcore_total(model: nn.Module, shape: tuple[int, ...]) -> int:
    """The count of the real tool, on CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore traces with torch.jit, which is deprecated
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(model.eval(), torch.zeros(shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return int(analysis.total())


@pytest.fixture
def unfused() -> Iterator[None]:
    """fvcore does not see scaled_dot_product_attention."""
    timm.layers.set_fused_attn(False)
    yield
    timm.layers.set_fused_attn(True)


class EveryRule(nn.Module):
    """One of each operator that fvcore has a rule for, with and without affine."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.grouped = nn.Conv2d(8, 8, 3, groups=4)
        self.transposed = nn.ConvTranspose2d(8, 6, 3, stride=2)
        self.bn, self.bn_plain = nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False)
        self.gn, self.gn_plain = nn.GroupNorm(2, 6), nn.GroupNorm(2, 6, affine=False)
        self.instance, self.instance_plain = nn.InstanceNorm2d(6, affine=True), nn.InstanceNorm2d(6)
        self.ln, self.ln_plain = nn.LayerNorm(6), nn.LayerNorm(6, elementwise_affine=False)
        self.pool = nn.AdaptiveAvgPool2d(5)
        self.linear = nn.Linear(6, 7, bias=False)
        self.last = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.transposed(self.grouped(self.conv(x)))
        x = self.gn_plain(self.gn(self.bn_plain(self.bn(x))))
        x = self.instance_plain(self.instance(x))
        x = F.interpolate(self.pool(x), scale_factor=2, mode="nearest")
        x = F.interpolate(x, size=(9, 9), mode="bilinear")
        x = F.grid_sample(x, torch.zeros(x.shape[0], 4, 4, 2, device=x.device), align_corners=False)
        tokens = x.flatten(2).transpose(1, 2)  # (B, 16, 6)
        tokens = self.ln_plain(self.ln(tokens))
        tokens = tokens + torch.bmm(tokens @ tokens.transpose(1, 2), tokens)
        tokens = tokens + torch.einsum("abc,acd->abd", tokens @ tokens.transpose(1, 2), tokens)
        tokens = self.linear(tokens)
        return torch.mm(self.last(tokens[:, None])[:, 0, 0], torch.ones(1, 3, device=x.device))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda: timm.create_model("vit_tiny_patch16_224", img_size=96), (2, 3, 96, 96)),
        (lambda: timm.create_model("swin_tiny_patch4_window7_224"), (1, 3, 224, 224)),
        (lambda: timm.create_model("visformer_tiny"), (1, 3, 224, 224)),
        (torchvision.models.resnet18, (2, 3, 64, 64)),
        (torchvision.models.mobilenet_v3_small, (1, 3, 64, 64)),
        (EveryRule, (2, 3, 16, 16)),
    ],
    ids=["vit_tiny", "swin_tiny", "visformer_tiny", "resnet18", "mobilenet_v3", "every rule"],
)
def test_fvcore_convention_equals_fvcore(unfused: None, model: Any, shape: tuple[int, ...]) -> None:
    network = model()
    assert count_macs(network, shape)["fvcore"] == fvcore_total(network, shape)


def test_fused_attention_counts_like_unfused() -> None:
    shape = (1, 3, 96, 96)
    fused = count_macs(timm.create_model("vit_tiny_patch16_224", img_size=96), shape)
    timm.layers.set_fused_attn(False)
    try:
        unfused = count_macs(timm.create_model("vit_tiny_patch16_224", img_size=96), shape)
    finally:
        timm.layers.set_fused_attn(True)
    assert fused == unfused
    attention = 12 * 2 * 37 * 37 * 192  # blocks, products, tokens, tokens, width
    assert fused["matmul"] - fused["thop"] == attention


def test_vit_base_at_8_frames_costs_what_was_measured_before() -> None:
    counted = count_macs(meta("vit"), (1, 8, 3, 224, 224))
    assert counted == {"fvcore": 140_658_235_392, "matmul": 140_506_939_392, "thop": 134_784_319_488}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tokenshift", {}),
        ("msca", {"backward_heads": 1, "forward_heads": 1}),
        ("msca", {"shifted": "qkv", "backward_heads": 4, "forward_heads": 4}),
        ("msca_patch", {"backward_patches": 8, "forward_patches": 8}),
    ],
)
def test_shifts_add_no_mac(name: str, arguments: dict[str, Any]) -> None:
    small = {"img_size": 32, "patch_size": 8}
    shape = (1, 8, 3, 32, 32)
    assert count_macs(meta(name, **small, **arguments), shape) == count_macs(meta("vit", **small), shape)


def test_clips_cost_in_proportion_to_their_number() -> None:
    network = meta("vit", img_size=32, depth=2)
    one, three = (count_macs(network, (n, 8, 3, 32, 32)) for n in (1, 3))
    assert three == {convention: 3 * macs for convention, macs in one.items()}


def test_convolutions_count_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(4, 6, (1, 3, 3), groups=2, padding=(0, 1, 1))
            self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
            self.functional = nn.Parameter(torch.zeros(7, 5, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(self.up(self.conv(x)[:, :, 0]), self.functional)

    conv = 6 * 2 * 8 * 8 * 2 * 9  # outputs (6, 2, 8, 8), inputs per group 2, kernel 9
    up = 6 * 8 * 8 * 5 * 4  # inputs (6, 8, 8), outputs 5, kernel 4
    functional = 7 * 16 * 16 * 5
    counted = count_macs(Net(), (1, 4, 2, 8, 8))
    assert counted == {"fvcore": conv + up + functional, "matmul": conv + up + functional, "thop": conv + up}


def test_counting_leaves_the_model_alone() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train()
    before = network[0].weight.clone()
    count_macs(network, (1, 4))
    assert network.training and network[0].weight.device.type == "cpu" and torch.equal(network[0].weight, before)
    assert not network[0]._forward_hooks
