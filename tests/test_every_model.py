"""What holds for every network in MODELS, and for every variant of the temporal ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from vtbench.models import MODELS, build

SIZES: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 4,
    "img_size": 16,
    "patch_size": 8,
    "embed_dim": 24,
    "depth": 2,
    "num_heads": 4,
}
SHIFTED = ["q", "k", "v", "qk", "kv", "qv", "qkv"]
BOUNDARIES = ["zero", "replicate", "cyclic"]
TEMPORAL: dict[str, tuple[str, dict[str, Any]]] = {
    "tokenshift": ("tokenshift", {}),
    "tokenshift-eq8": ("tokenshift", {"first": "previous"}),
    **{f"msca-{s}": ("msca", {"shifted": s, "backward_heads": 1, "forward_heads": 1}) for s in SHIFTED},
    **{f"msca-p{s}": ("msca_patch", {"shifted": s, "backward_patches": 2, "forward_patches": 2}) for s in SHIFTED},
    "msca-pkv-patches-only": (
        "msca_patch",
        {"backward_patches": 2, "forward_patches": 2, "include_class_token": False},
    ),
    "msca-kv-last-block": ("msca", {"backward_heads": 1, "forward_heads": 1, "num_msca_blocks": 1}),
}
EVERY = {"vit": ("vit", {}), **TEMPORAL}
every_model = pytest.mark.parametrize(("name", "arguments"), list(EVERY.values()), ids=list(EVERY))
every_temporal_model = pytest.mark.parametrize(("name", "arguments"), list(TEMPORAL.values()), ids=list(TEMPORAL))
every_boundary = pytest.mark.parametrize("boundary", BOUNDARIES)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run several times slower on several threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(name: str, arguments: dict[str, Any], *, seed: int = 0) -> nn.Module:
    """With random weights everywhere, also in the head, large enough for uneven attention."""
    model = build(name, **SIZES, **arguments)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim in (2, 4) else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.eval()


def clips(count: int = 2) -> Tensor:
    return torch.randn(count, 4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_every_model_is_tested_here() -> None:
    assert {name for name, _ in EVERY.values()} == set(MODELS)


@every_model
def test_clips_become_logits(name: str, arguments: dict[str, Any]) -> None:
    assert network(name, arguments)(clips(3)).shape == (3, 5)


@pytest.mark.parametrize("label", ["vit", "tokenshift", "msca-kv", "msca-pkv"])
def test_parameter_names_and_shapes_at_full_size_are_timms(label: str) -> None:
    name, arguments = EVERY[label]
    with torch.device("meta"):
        reference = timm.create_model("vit_base_patch16_224", num_classes=400)
        ours = build(name, num_classes=400, num_frames=8, **arguments)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in reference.state_dict().items()}


@every_model
def test_same_seed_gives_the_weights_of_the_vit(name: str, arguments: dict[str, Any]) -> None:
    torch.manual_seed(3)
    ours = build(name, **SIZES, **arguments).state_dict()
    torch.manual_seed(3)
    reference = build("vit", **SIZES).state_dict()
    assert all(torch.equal(ours[key], reference[key]) for key in reference)


@every_temporal_model
@every_boundary
def test_reversing_time_changes_temporal_networks(name: str, arguments: dict[str, Any], boundary: str) -> None:
    model = network(name, {**arguments, "boundary": boundary})
    with torch.no_grad():
        change = (model(clips()) - model(clips().flip(1))).abs().amax(dim=1)
    assert change.min() > 1e-3


def test_the_order_of_frames_does_not_change_the_vit() -> None:
    model = network("vit", {})
    with torch.no_grad():
        for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
            torch.testing.assert_close(model(clips()), model(clips()[:, order]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *[("msca", {"shifted": s}) for s in SHIFTED],
        *[("msca_patch", {"shifted": s}) for s in SHIFTED],
        ("tokenshift", {"shift_fraction": 0.0}),
        ("msca", {"backward_heads": 2, "forward_heads": 2, "num_msca_blocks": 0}),
        ("msca_patch", {"backward_patches": 2, "forward_patches": 2, "num_msca_blocks": 0}),
    ],
)
def test_without_a_shift_every_network_is_the_vit_to_the_bit(name: str, arguments: dict[str, Any]) -> None:
    with torch.no_grad():
        assert torch.equal(network(name, arguments)(clips()), network("vit", {})(clips()))


@every_model
def test_gradients_reach_every_parameter(name: str, arguments: dict[str, Any]) -> None:
    model = network(name, arguments).train()
    nn.functional.cross_entropy(model(clips()), torch.tensor([1, 4])).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), key


@every_model
@every_boundary
def test_clips_of_a_batch_do_not_see_each_other(name: str, arguments: dict[str, Any], boundary: str) -> None:
    model = network(name, arguments if name == "vit" else {**arguments, "boundary": boundary})
    batch = clips(3)
    with torch.no_grad():
        before = model(batch)
        batch[1] = float("nan")
        after = model(batch)
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and after[1].isnan().all()


@every_model
def test_state_dict_round_trip_keeps_the_output(name: str, arguments: dict[str, Any]) -> None:
    one, other = network(name, arguments, seed=0), network(name, arguments, seed=1)
    with torch.no_grad():
        assert not torch.equal(one(clips()), other(clips()))
        other.load_state_dict(one.state_dict(), strict=True)
        assert torch.equal(one(clips()), other(clips()))


@every_temporal_model
def test_one_frame_is_enough(name: str, arguments: dict[str, Any]) -> None:
    model = build(name, **{**SIZES, "num_frames": 1}, **arguments)
    assert model(clips()[:, :1]).isfinite().all()


def test_naming_the_models_does_not_import_torch() -> None:
    code = "import sys, vtbench.models; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
