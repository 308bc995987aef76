"""Swin transformers of other code in ours. Networks that they are of run beside them, with random weights."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import draw
import pst_inputs
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import SwinTransformer
from torchvision.models.video.swin_transformer import SwinTransformer3d

from vtbench.errors import WeightsError
from vtbench.models import build
from vtbench.models.weights.swin import from_swin
from vtbench.weights import LoadReport, load_weights

OFFICIAL: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "pst.json").read_text())
SIZES: dict[str, Any] = {"embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2)}
HEAD = ["head.weight", "head.bias"]
TABLE = "features.0.1.attn.relative_position_bias_table"
EMBEDDING = "patch_embed.proj.weight"
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "swin-2d": ("swin", {}),
    "swin-local": ("swin", {"window_frames": 2}),
    "swin-joint": ("swin", {"window_frames": 4}),
    "pst": ("pst", {"stages": (1, 2), "pattern": "b-4"}),
    "pst-dagger": ("pst", {"stages": (1, 2), "pattern": "b-4", "window_frames": 2}),
}


def network(name: str, **arguments: Any) -> nn.Module:
    model, others = NETWORKS[name]
    return build(model, **{"num_classes": 7, "num_frames": 8, "img_size": 56, **SIZES, **others, **arguments}).eval()


def image_network(kind: str, **arguments: Any) -> nn.Module:
    """A 2D Swin of timm or of torchvision, of the sizes of our networks and with random weights everywhere."""
    sizes = {"window_size": 7, "num_classes": 7, **SIZES, **arguments}
    if kind == "timm":
        model = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, img_size=56, **sizes)
    else:
        sizes |= {"depths": list(sizes["depths"]), "num_heads": list(sizes["num_heads"])}
        model = SwinTransformer(patch_size=[4, 4], **{**sizes, "window_size": [sizes["window_size"]] * 2})
    return randomised(model)


def randomised(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 and "table" not in name else 0.3
            parameter.normal_(std=1.5 * scale)
    return model.eval()


def microsofts(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's state dict as Microsoft's code writes it: patches merge at the end of a stage, buffers are kept."""
    renamed = {"head.fc.weight": "head.weight", "head.fc.bias": "head.bias"}
    late = {key.replace("layers.1.downsample", "layers.0.downsample"): tensor for key, tensor in state.items()}
    late = {renamed.get(key, key): tensor for key, tensor in late.items()}
    for stage in (0, 1):
        for block in (0, 1):
            late[f"layers.{stage}.blocks.{block}.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.int64)
    return {**late, "layers.0.blocks.1.attn_mask": torch.zeros(4, 49, 49)}


def mmactions(family: str) -> dict[str, Tensor]:
    """A state dict with the keys and shapes that tests/golden/pst.json says the official code has."""
    drawn = draw.weights(OFFICIAL["shapes"][family], sharpness=pst_inputs.SHARPNESS)
    buffers = {key: torch.zeros(shape, dtype=torch.int64) for key, shape in OFFICIAL["buffers"][family].items()}
    return {**{key: torch.from_numpy(values) for key, values in drawn.items()}, **buffers}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def accounted(report: LoadReport, keys: list[str], model: nn.Module) -> None:
    """Every key of the file and of the model is in exactly one place."""
    assert Counter([*report.used, *report.renamed, *report.left_out]) == Counter(keys)
    in_model = Counter([*report.used, *report.renamed.values(), *report.missing])
    assert in_model == Counter(model.state_dict().keys())


# ---- images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["timm", "swin", "torchvision"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_still_clip_has_the_logits_of_its_image(name: str, kind: str, tmp_path: Path) -> None:
    # Whatever frames a network attends to, they are the same, and so are the biases of all differences in time.
    reference = image_network("timm" if kind == "swin" else kind)
    state = microsofts(reference.state_dict()) if kind == "swin" else reference.state_dict()
    model = network(name)
    report = load_weights(model, saved({"model": state}, tmp_path / "image.pth"), expect_head=True)
    assert report.format == kind and not report.missing
    accounted(report, list(state), model)
    assert all(key.endswith(("_index", "_mask")) for key in report.left_out)
    image = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        actual = model(image[:, None].expand(-1, 8, -1, -1, -1))
        torch.testing.assert_close(actual, reference(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["timm", "torchvision"])
def test_single_frames_are_spread_over_tubelets_and_differences_in_time(kind: str, tmp_path: Path) -> None:
    state = image_network(kind).state_dict()
    model = network("pst")
    report = load_weights(model, saved(state, tmp_path / "image.pth"))
    assert report.resized == {
        EMBEDDING: "1 -> 2 frames",
        **{key: "2D -> 7 differences in time" for key in model.state_dict() if key.endswith("table")},
    }
    assert set(report.missing) == set(HEAD) and "head for other classes" in report.left_out.values()
    ours = model.state_dict()
    embedding = state["patch_embed.proj.weight" if kind == "timm" else "features.0.0.weight"]
    assert torch.equal(ours[EMBEDDING].sum(dim=2), embedding) and ours[EMBEDDING].shape[2] == 2
    assert torch.equal(ours[EMBEDDING][:, :, 0], ours[EMBEDDING][:, :, 1])
    table = state[TABLE.replace("features.0", "layers.0.blocks" if kind == "timm" else "features.1")]
    for time in ours[TABLE].split(169):
        assert torch.equal(time, table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", ["swin-2d", "pst"])
def test_biases_of_other_windows_are_resized_as_the_official_code_does(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    state = {key: tensor.to(dtype) for key, tensor in image_network("timm").state_dict().items()}
    model = network(name, window_size=4)
    report = load_weights(model, saved(state, tmp_path / "image.pth"))
    times = 7 if name == "pst" else 1
    how = "7x7 -> 4x4 patches of a window" + (", 2D -> 7 differences in time" if name == "pst" else "")
    assert {report.resized[key] for key in model.state_dict() if key.endswith("table")} == {how}
    maps = state["layers.1.blocks.0.attn.relative_position_bias_table"].float().T.reshape(1, 2, 13, 13)
    expected = F.interpolate(maps, size=(7, 7), mode="bicubic").reshape(2, 49).T.repeat(times, 1)
    actual = model.state_dict()["features.2.0.attn.relative_position_bias_table"]
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "embed_dim", "third"), [("tiny", 96, 6), ("base", 128, 18)])
def test_at_full_size_timms_names_are_those_of_pst(name: str, embed_dim: int, third: int) -> None:
    heads = tuple(embed_dim // 32 * 2**stage for stage in range(4))
    with torch.device("meta"):
        state = timm.create_model(f"swin_{name}_patch4_window7_224", num_classes=400).state_dict()
        model = build(
            "pst", num_classes=400, num_frames=32, embed_dim=embed_dim, depths=(2, 2, third, 2), num_heads=heads
        )
    converted = from_swin(state, {})
    assert converted is not None and converted.format == "timm"
    ours = {key: list(tensor.shape) for key, tensor in converted.state.items()}
    for key, shape in ours.items():
        if key.endswith("table"):
            shape[0] *= 31
    ours[EMBEDDING][2] *= 2
    assert ours == {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


# ---- videos ------------------------------------------------------------------------------------------------------


def torchvisions() -> nn.Module:
    sizes = {"embed_dim": 16, "depths": [2, 2], "num_heads": [1, 2], "num_classes": 7}
    return randomised(SwinTransformer3d(patch_size=[2, 4, 4], window_size=[2, 7, 7], **sizes))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_torchvisions_video_networks_load_as_they_are(prefix: str, tmp_path: Path) -> None:
    reference, model = torchvisions(), network("swin-local")
    state = {prefix + key: tensor for key, tensor in reference.state_dict().items()}
    report = load_weights(model, saved(state, tmp_path / "swin3d.pth"), expect_head=True)
    assert report.format == "torchvision" and not report.renamed and not report.resized
    accounted(report, list(reference.state_dict()), model)
    assert len(report.left_out) == 4 and set(report.left_out.values()) == {"no weight, computed from the sizes"}
    clips = torch.randn(2, 8, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(model(clips), reference(clips.transpose(1, 2)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("expect_head", [True, False])
@pytest.mark.parametrize("family", ["pst", "swin-1", "swin-8"])
def test_official_checkpoint(family: str, expect_head: bool, prefix: str, tmp_path: Path) -> None:
    state = mmactions(family)
    content = {
        "meta": {"epoch": 30, "mmcv_version": "1.3.3"},
        "state_dict": {prefix + key: tensor for key, tensor in state.items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
    }
    arguments = {"window_frames": 1} if family == "pst" else {"window_frames": int(family.split("-")[1])}
    model = network("pst" if family == "pst" else "swin-2d", num_frames=32, **arguments)
    report = load_weights(model, saved(content, tmp_path / "best.pth"), expect_head=expect_head)
    assert report.format == ("pst" if family == "pst" else "video-swin") and not report.resized
    accounted(report, list(state), model)
    assert list(report.missing) == ([] if expect_head else HEAD)
    heads = set() if expect_head else {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"}
    assert set(report.left_out) == {*OFFICIAL["buffers"][family], *heads}
    assert report.renamed["backbone.layers.0.downsample.norm.weight"] == "features.1.norm.weight"
    assert report.renamed["backbone.layers.1.blocks.0.mlp.fc2.bias"] == "features.2.0.mlp.3.bias"
    ours = model.state_dict()
    for key, name in report.renamed.items():
        assert torch.equal(ours[name], state[key]), key


def test_weights_of_windows_of_one_frame_are_those_of_windows_of_two(tmp_path: Path) -> None:
    path = saved(mmactions("pst"), tmp_path / "pst.pth")
    one, two = network("pst", num_frames=32), network("pst-dagger", num_frames=32)
    for model in (one, two):
        assert not load_weights(model, path, expect_head=True).resized
    assert all(torch.equal(tensor, two.state_dict()[key]) for key, tensor in one.state_dict().items())


# ---- our own -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("frames", [{"num_frames": 1, "tubelet_size": 1}, {"num_frames": 4}], ids=["images", "videos"])
def test_our_2d_swin_starts_every_network(name: str, frames: dict[str, int], tmp_path: Path) -> None:
    start, model = randomised(network("swin-2d", **frames)), network(name)
    path = tmp_path / "weights.safetensors"
    save_file(start.state_dict(), path)
    report = load_weights(model, path)
    accounted(report, list(start.state_dict()), model)
    assert (EMBEDDING in report.resized) == ("tubelet_size" in frames)
    assert (TABLE in report.resized) == (name != "swin-2d")
    with torch.no_grad():
        model.head.load_state_dict(start.head.state_dict())
        image = torch.randn(2, 1, 3, 56, 56)
        expected = start(image.expand(-1, frames["num_frames"], -1, -1, -1))
        torch.testing.assert_close(model(image.expand(-1, 8, -1, -1, -1)), expected, rtol=0, atol=1e-5)


def test_biases_of_several_frames_are_resized_frame_by_frame(tmp_path: Path) -> None:
    start, model = randomised(network("pst")), network("pst", window_size=4)
    report = load_weights(model, saved(start.state_dict(), tmp_path / "weights.pth"))
    assert report.resized[TABLE] == "7x7 -> 4x4 patches of a window"
    for old, new in zip(start.state_dict()[TABLE].split(169), model.state_dict()[TABLE].split(49), strict=True):
        expected = F.interpolate(old.T.reshape(1, 1, 13, 13), size=(7, 7), mode="bicubic").reshape(1, 49).T
        torch.testing.assert_close(new, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_our_weights_come_back_as_they_are(name: str, tmp_path: Path) -> None:
    one, other = randomised(network(name)), network(name)
    path = tmp_path / "weights.safetensors"
    save_file(one.state_dict(), path)
    report = load_weights(other, path, expect_head=True)
    assert (report.resized, report.renamed, report.left_out, report.missing) == ({}, {}, {}, ())
    assert all(torch.equal(tensor, other.state_dict()[key]) for key, tensor in one.state_dict().items())


def test_a_report_says_alike_things_once(tmp_path: Path) -> None:
    state = microsofts(image_network("timm").state_dict())
    said = str(load_weights(network("pst"), saved(state, tmp_path / "image.pth")))
    assert "swin checkpoint" in said and said.count("2D -> 7 differences in time") == 1
    assert "5 keys (layers.0.blocks.0.attn.relative_position_index, " in said
    assert "head.weight, head.bias left out (head for other classes)" in said


# ---- what does not fit -------------------------------------------------------------------------------------------


def vit_state() -> dict[str, Tensor]:
    return timm.create_model("vit_tiny_patch16_224", depth=1, img_size=32).state_dict()


WRONG = {
    "another width": (lambda: image_network("timm", embed_dim=32).state_dict(), r"Swin checkpoint .*of another shape"),
    "deeper": (
        lambda: image_network("timm", depths=(2, 4)).state_dict(),
        r"26 unknown \(features.2.2.norm1.weight, .*checkpoint of the same width, depth, patch size$",
    ),
    "more stages": (
        lambda: image_network("torchvision", depths=(2, 2, 1), num_heads=(1, 2, 4), window_size=3).state_dict(),
        r"unknown \(features.3.reduction.weight",
    ),
    "other heads": (
        lambda: image_network("timm", num_heads=(2, 4)).state_dict(),
        r"4 of another shape \(features.0.0.attn.relative_position_bias_table \(169, 2\) for \(1183, 1\)",
    ),
    "other frames": (
        lambda: mmactions("swin-8"),
        r"4 of another shape \(features.0.0.attn.relative_position_bias_table \(2535, 1\) for \(1183, 1\), .*; "
        r"give a checkpoint of the same width, depth, patch size, heads, frames$",
    ),
    "longer tubelets": (
        lambda: network("pst", tubelet_size=4, num_frames=16).state_dict(),
        r"1 of another shape \(patch_embed.proj.weight \(16, 3, 4, 4, 4\) for \(16, 3, 2, 4, 4\)\)",
    ),
    "second version": (
        lambda: timm.create_model(
            "swinv2_tiny_window8_256", depths=(1, 1), num_heads=(1, 1), embed_dim=16
        ).state_dict(),
        r"checkpoint .* of another network than this VideoSwin.*logit_scale",
    ),
    "a ViT": (vit_state, r"ViT checkpoint .* of another network than this VideoSwin"),
    "a hole": (
        lambda: {k: v for k, v in image_network("timm").state_dict().items() if k != "layers.1.blocks.1.mlp.fc1.bias"},
        r"Swin checkpoint .*1 missing \(features.2.1.mlp.0.bias\)",
    ),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_checkpoint_of_another_network_is_one_line_and_changes_nothing(
    content: Any, message: str, tmp_path: Path
) -> None:
    model = network("pst")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    path = saved(content(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(model, path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_a_swin_is_no_vit(tmp_path: Path) -> None:
    vit = build("vit", num_classes=7, num_frames=8, img_size=56, patch_size=8, embed_dim=16, depth=2, num_heads=1)
    path = saved(image_network("timm").state_dict(), tmp_path / "swin.pth")
    with pytest.raises(WeightsError, match=r"Swin checkpoint .* of another network than this FramewiseViT"):
        load_weights(vit, path)


def test_two_tensors_for_one_weight_are_an_error(tmp_path: Path) -> None:
    state = image_network("timm").state_dict()
    path = saved({**state, "head.weight": state["head.fc.weight"]}, tmp_path / "two.pth")
    with pytest.raises(WeightsError, match=r"two.pth: Swin checkpoint with two tensors for head.weight; get the file"):
        load_weights(network("pst"), path)


def test_head_of_other_classes_cannot_be_tested(tmp_path: Path) -> None:
    path = saved(image_network("timm", num_classes=1000).state_dict(), tmp_path / "image.pth")
    with pytest.raises(WeightsError, match=r"head.weight \(1000, 32\) for \(7, 32\).* and classes$"):
        load_weights(network("pst"), path, expect_head=True)


# ---- DeiT --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"pattern": "none"}, {"pattern": "none", "channel_shift": 0.125}])
def test_deit_starts_a_pst_vit(arguments: dict[str, Any], tmp_path: Path) -> None:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 2}
    deit = randomised(timm.create_model("deit_small_patch16_224", pretrained=False, num_classes=7, **sizes))
    model = build("pst_vit", num_classes=7, num_frames=9, **sizes, **arguments).eval()
    path = saved({"model": deit.state_dict()}, tmp_path / "deit.pth")
    report = load_weights(model, path, expect_head=True)
    assert report.format == "timm" and not report.renamed and not report.left_out and not report.missing
    if "channel_shift" in arguments:
        return  # zeros beyond the ends of a clip: not the same for a still one
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        actual = model(image[:, None].expand(-1, 9, -1, -1, -1))
        torch.testing.assert_close(actual, deit(image), rtol=0, atol=1e-5)
