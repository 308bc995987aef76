"""What holds for every network in MODELS, and for every variant of the temporal ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import nn

from vtbench.clips import Clips, map_modalities
from vtbench.models import MODELS, build

COMMON: dict[str, Any] = {"num_classes": 5, "num_frames": 4}
SIZES: dict[str, dict[str, Any]] = {
    "vit": {**COMMON, "img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 4},
    "visformer": {
        **COMMON,
        "img_size": 32,
        "init_channels": 4,
        "embed_dim": 16,
        "depths": (1, 1, 1),
        "num_heads": 2,
    },
    "rest": {**COMMON, "img_size": 40, "embed_dim": 16, "depths": (1, 1, 1, 1)},
    "swin": {
        **COMMON,
        "img_size": 16,
        "tubelet_size": 1,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": (2, 1),
        "num_heads": (1, 2),
        "window_size": 4,
    },
}
SIZES["pst"] = {**SIZES["swin"], "stages": (1, 2)}
SIZES["mmvit"] = {**SIZES["vit"], "modalities": ("iframe", "motion", "residual", "audio"), "audio_dim": 6}
"""Sizes of the frame-wise networks, and of those made of them."""
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(("vit", "tokenshift", "msca", "msca_patch"), ("vit", {})),
    **dict.fromkeys(("visformer", "laps_visformer"), ("visformer", {})),
    **dict.fromkeys(("rest", "laps_rest"), ("rest", {})),
    "laps_vit": ("vit", {"zero_head": False}),
    "pst_vit": ("vit", {}),
    "swin": ("swin", {}),
    "mmvit": ("mmvit", {}),
    "pst": ("pst", {"pattern": "none", "channel_shift": 0.0}),  # swin, but for the size of its tables of biases
}
"""Network -> the frame-wise network that it is without anything temporal, and its arguments."""
TIMM = {"vit": "vit_base_patch16_224", "visformer": "visformer_small"}
SHIFTED = ["q", "k", "v", "qk", "kv", "qv", "qkv"]
BOUNDARIES = ["zero", "replicate", "cyclic"]
Networks = dict[str, tuple[str, dict[str, Any]]]
FRAMEWISE: Networks = {name: (name, {}) for name in ("vit", "visformer", "rest", "swin")}
LAPS: dict[str, dict[str, Any]] = {"laps_visformer": {}, "laps_rest": {}, "laps_vit": {"shift_fraction": 1 / 3}}
"""The shift in each: an eighth of a head if nothing else is said, but a head of the ViT has 6 channels here."""
UNSHIFTED: Networks = {
    **{f"{name}-3d": (name, {"attention": "joint", "shift": "none"}) for name in LAPS},
    **{f"{name}-leap": (name, {"levels": (1, 2), "shift": "none"}) for name in LAPS},
}
SHIFTING: Networks = {
    "tokenshift": ("tokenshift", {}),
    "tokenshift-eq8": ("tokenshift", {"first": "previous"}),
    **{f"msca-{s}": ("msca", {"shifted": s, "backward_heads": 1, "forward_heads": 1}) for s in SHIFTED},
    **{f"msca-p{s}": ("msca_patch", {"shifted": s, "backward_patches": 2, "forward_patches": 2}) for s in SHIFTED},
    "msca-pkv-patches-only": (
        "msca_patch",
        {"backward_patches": 2, "forward_patches": 2, "include_class_token": False},
    ),
    "msca-kv-last-block": ("msca", {"backward_heads": 1, "forward_heads": 1, "num_msca_blocks": 1}),
    **{f"{name}-periodic": (name, {"attention": "framewise", **shift}) for name, shift in LAPS.items()},
    **{f"{name}-plain": (name, {"attention": "framewise", "shift": "plain"}) for name in LAPS},
}
TEMPORAL: Networks = {
    **SHIFTING,
    **{name: (name, {"levels": (1, 2), **shift}) for name, shift in LAPS.items()},
    "laps_rest-next-by-stage": ("laps_rest", {"levels": (2, 1), "loop": "stage", "first": "next"}),
}
UNBOUNDED: Networks = {
    "swin-local": ("swin", {"window_frames": 2}),
    "swin-joint": ("swin", {"window_frames": 4}),
    "swin-sparse": ("swin", {"window_frames": 4, "attention": "sparse"}),
    "pst": ("pst", {"pattern": "b-4"}),
    "pst-dagger": ("pst", {"pattern": "b-4", "window_frames": 2}),
    "pst-patches": ("pst", {"pattern": "a-3", "channel_shift": 0.0}),
    "pst-everywhere": ("pst", {"pattern": "a-3", "alternate": False}),
    "pst-channels": ("pst", {"pattern": "none"}),
    "pst-not-back": ("pst", {"pattern": "a-3", "shift_back": False, "shift_rpe": False}),
    "pst-code": ("pst", {"pattern": "b-4", "key_frame": "first"}),
    "pst_vit": ("pst_vit", {"pattern": "b-4"}),
    "pst_vit-tsm": ("pst_vit", {"pattern": "none", "channel_shift": 0.125}),
}
"""Temporal networks that have no argument for what lies beyond the ends of a clip."""
MODALITIES: Networks = {
    "mmvit-i": ("mmvit", {"variant": "I"}),
    "mmvit-ii": ("mmvit", {"variant": "II"}),
    "mmvit-iii": ("mmvit", {}),
    "mmvit-iii-co": ("mmvit", {"cross_modal": "co", "order": "MTS"}),
    "mmvit-iii-shift-merge": ("mmvit", {"cross_modal": "shift_merge"}),
    "mmvit-iv": ("mmvit", {"variant": "IV"}),
}
UNBOUNDED |= MODALITIES
EVERY = {**FRAMEWISE, **UNSHIFTED, **TEMPORAL, **UNBOUNDED}
BOUNDED = {f"{label}-{b}": (name, {**a, "boundary": b}) for label, (name, a) in TEMPORAL.items() for b in BOUNDARIES}
EVERY_BOUNDARY = {**FRAMEWISE, **UNSHIFTED, **BOUNDED, **UNBOUNDED}


def every(networks: Networks) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "arguments"), list(networks.values()), ids=list(networks))


every_model = every(EVERY)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small run several times slower on several threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(name: str, arguments: dict[str, Any], *, seed: int = 0) -> nn.Module:
    """With random weights everywhere, also in the head, large enough for uneven attention."""
    model = build(name, **SIZES[BACKBONES[name][0]], **arguments)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim in (2, 4) else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.eval()


def clips(name: str, count: int = 2) -> Clips:
    size = SIZES[BACKBONES[name][0]]["img_size"]
    generator = torch.Generator().manual_seed(1)
    if name == "mmvit":
        shapes = {"iframe": (3, size, size), "motion": (2, size, size), "residual": (3, size, size), "audio": (6,)}
        return {name: torch.randn(count, 4, *shape, generator=generator) for name, shape in shapes.items()}
    return torch.randn(count, 4, 3, size, size, generator=generator)


def test_every_model_is_tested_here() -> None:
    assert {name for name, _ in EVERY.values()} == set(MODELS)


@every_model
def test_clips_become_logits(name: str, arguments: dict[str, Any]) -> None:
    assert network(name, arguments)(clips(name, 3)).shape == (3, 5)


@pytest.mark.parametrize(
    "label",
    ["vit", "tokenshift", "msca-kv", "msca-pkv", "visformer", "laps_visformer", "laps_visformer-3d", "laps_vit-leap"],
)
def test_parameter_names_and_shapes_at_full_size_are_timms(label: str) -> None:
    name, arguments = EVERY[label]
    with torch.device("meta"):
        reference = timm.create_model(TIMM[BACKBONES[name][0]], num_classes=400)
        ours = build(name, num_classes=400, num_frames=8, **arguments)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in reference.state_dict().items()}


# Swin's windows of several frames have more biases to draw; MM-ViT's variants have attentions of their own.
@every({label: what for label, what in EVERY.items() if what[0] not in ("swin", "mmvit") or label == "swin"})
def test_same_seed_gives_the_weights_of_the_backbone(name: str, arguments: dict[str, Any]) -> None:
    backbone, others = BACKBONES[name]
    torch.manual_seed(3)
    ours = build(name, **SIZES[backbone], **arguments).state_dict()
    torch.manual_seed(3)
    reference = build(backbone, **SIZES[backbone], **others).state_dict()
    assert list(ours) == list(reference)
    assert all(torch.equal(ours[key], reference[key]) for key in reference)


@every({**BOUNDED, **UNBOUNDED})
def test_reversing_time_changes_temporal_networks(name: str, arguments: dict[str, Any]) -> None:
    model = network(name, arguments)
    with torch.no_grad():
        change = (model(clips(name)) - model(map_modalities(lambda x: x.flip(1), clips(name)))).abs().amax(dim=1)
    assert change.min() > 1e-3


@every({label: EVERY[label] for label in (*FRAMEWISE, *(f"{name}-3d" for name in LAPS))})
def test_the_order_of_frames_does_not_change_networks_that_cannot_see_it(name: str, arguments: dict[str, Any]) -> None:
    model = network(name, arguments)
    with torch.no_grad():
        for order in ([3, 2, 1, 0], [2, 0, 3, 1]):
            torch.testing.assert_close(model(clips(name)), model(clips(name)[:, order]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *[("msca", {"shifted": s, "backward_heads": 0, "forward_heads": 0}) for s in SHIFTED],
        *[("msca_patch", {"shifted": s, "backward_patches": 0, "forward_patches": 0}) for s in SHIFTED],
        ("tokenshift", {"shift_fraction": 0.0}),
        ("msca", {"backward_heads": 2, "forward_heads": 2, "num_msca_blocks": 0}),
        ("msca_patch", {"backward_patches": 2, "forward_patches": 2, "num_msca_blocks": 0}),
        *[
            (name, {"attention": "framewise", **shift})
            for name in LAPS
            for shift in ({"shift": "none"}, {"shift_fraction": 0.0}, {"shift": "plain", "shift_fraction": 0.0})
        ],
        ("pst", {"pattern": ((0,),), "channel_shift": 0.0}),
        ("pst_vit", {"pattern": "none"}),
        ("pst_vit", {"pattern": ((0,),)}),
    ],
)
def test_without_a_shift_every_network_is_its_backbone_to_the_bit(name: str, arguments: dict[str, Any]) -> None:
    backbone, others = BACKBONES[name]
    with torch.no_grad():
        assert torch.equal(network(name, arguments)(clips(name)), network(backbone, others)(clips(name)))


@every_model
def test_gradients_reach_every_parameter(name: str, arguments: dict[str, Any]) -> None:
    if arguments.get("variant") == "IV":
        pytest.skip("its last convolution is behind the last attention that the class token takes part in")
    model = network(name, arguments)
    for training in (True, False):  # in training a batch norm takes the bias before it away: only eval can tell
        model.train(training).zero_grad()
        nn.functional.cross_entropy(model(clips(name)), torch.tensor([1, 4])).backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
    for key, parameter in model.named_parameters():
        if not key.endswith(("transform_conv.bias", ".k.bias")):  # add the same to all logits of a softmax
            assert parameter.grad is not None and parameter.grad.any(), key


@every(EVERY_BOUNDARY)
def test_clips_of_a_batch_do_not_see_each_other(name: str, arguments: dict[str, Any]) -> None:
    model = network(name, arguments)  # in eval mode: in training a batch norm mixes them
    batch = clips(name, 3)
    with torch.no_grad():
        before = model(batch)
        map_modalities(lambda x: x[1].fill_(float("nan")), batch)
        after = model(batch)
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and after[1].isnan().all()


@every_model
def test_state_dict_round_trip_keeps_the_output(name: str, arguments: dict[str, Any]) -> None:
    one, other = network(name, arguments, seed=0), network(name, arguments, seed=1)
    with torch.no_grad():
        assert not torch.equal(one(clips(name)), other(clips(name)))
        other.load_state_dict(one.state_dict(), strict=True)
        assert torch.equal(one(clips(name)), other(clips(name)))


@every(SHIFTING)
def test_one_frame_is_enough_where_frames_need_no_partner(name: str, arguments: dict[str, Any]) -> None:
    model = build(name, **{**SIZES[BACKBONES[name][0]], "num_frames": 1}, **arguments).eval()
    assert model(clips(name)[:, :1]).isfinite().all()


def test_naming_the_models_does_not_import_torch() -> None:
    code = "import sys, vtbench.models; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
