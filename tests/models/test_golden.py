"""Our networks on converted official weights give the official code's logits (see tests/golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import draw
import laps_inputs
import pst_inputs
import pytest
import tokshift_inputs
import torch
from torch import Tensor

from vtbench.layers.patch_shift import PATTERNS, frame_offsets, patch_shift
from vtbench.models import build
from vtbench.weights import load_weights

GOLDEN = Path(__file__).parent.parent / "golden"
TOKSHIFT: dict[str, Any] = json.loads((GOLDEN / "tokshift.json").read_text())
LAPS: dict[str, Any] = json.loads((GOLDEN / "laps.json").read_text())
PST: dict[str, Any] = json.loads((GOLDEN / "pst.json").read_text())

CODE = {"first": "next"}
"""What the official LAPS code has otherwise than the paper."""
P_SHIFT = {"attention": "framewise", "shift": "periodic", "shift_fraction": 1 / 4, **CODE}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "visformer": ("visformer", {}),
    "visformer-3d": ("laps_visformer", {"attention": "joint", "shift": "none"}),
    "visformer-plain": ("laps_visformer", {**P_SHIFT, "shift": "plain"}),
    "visformer-periodic": ("laps_visformer", P_SHIFT),
    "visformer-leap": ("laps_visformer", {"attention": "leap", "shift": "none"}),
    "visformer-laps-4": ("laps_visformer", {"shift_fraction": 1 / 4, **CODE}),
    "visformer-laps-8": ("laps_visformer", CODE),
    "rest": ("rest", {}),
    "rest-3d": ("laps_rest", {"attention": "joint", "shift": "none"}),
    "rest-laps-8": ("laps_rest", {"loop": "stage", **CODE}),
    "vit-laps-4": ("laps_vit", {"levels": (1, 2, 3, 1), "shift_fraction": 1 / 4, **CODE}),
}
"""Name in laps.json, which begins with the family -> our network and its arguments."""
FORMATS = {"visformer": "laps-visformer", "rest": "rest", "vit": "timm"}


def saved(shapes: dict[str, list[int]], prefix: str, path: Path, **drawn: Any) -> Path:
    """A file as the official trainings write it: DistributedDataParallel around VideoNet."""
    state = {prefix + key: torch.from_numpy(array) for key, array in draw.weights(shapes, **drawn).items()}
    torch.save({"epoch": 12, "state_dict": state}, path)
    return path


def clips(inputs: Any, img_size: int) -> Tensor:
    drawn = draw.clips(count=inputs.NUM_CLIPS, num_frames=inputs.NUM_FRAMES, img_size=img_size)
    return torch.from_numpy(drawn)


@pytest.fixture
def tokshift_checkpoint(tmp_path: Path) -> Path:
    return saved(TOKSHIFT["shapes"], "module.", tmp_path / "official.pth.tar")


def tokshift_logits(model: str, checkpoint: Path, **arguments: Any) -> Tensor:
    inputs = tokshift_inputs
    network = build(
        model, num_classes=inputs.NUM_CLASSES, num_frames=inputs.NUM_FRAMES, **inputs.SIZES, **arguments
    ).eval()
    report = load_weights(network, checkpoint, expect_head=True)
    assert report.format == "tokshift" and not report.missing and not report.left_out
    with torch.no_grad():
        return network(clips(inputs, inputs.SIZES["img_size"]))


@pytest.mark.parametrize(
    ("model", "arguments"), [("vit", {}), ("tokenshift", {"shift_fraction": 1 / tokshift_inputs.FOLD_DIV})]
)
def test_logits_of_the_official_tokshift_code(model: str, arguments: dict[str, Any], tokshift_checkpoint: Path) -> None:
    expected = torch.tensor(TOKSHIFT["logits"][model])
    torch.testing.assert_close(tokshift_logits(model, tokshift_checkpoint, **arguments), expected, rtol=0, atol=1e-5)


def test_golden_logits_tell_the_tokshift_networks_apart(tokshift_checkpoint: Path) -> None:
    expected = torch.tensor(TOKSHIFT["logits"]["tokenshift"])
    for others in ({"first": "previous"}, {"boundary": "replicate"}, {"boundary": "cyclic"}, {"shift_fraction": 0.125}):
        assert (tokshift_logits("tokenshift", tokshift_checkpoint, **others) - expected).abs().max() > 1e-3
    assert (torch.tensor(TOKSHIFT["logits"]["vit"]) - expected).abs().max() > 1e-3


def laps_logits(name: str, folder: Path, *, dtype: torch.dtype = torch.float64, **others: Any) -> Tensor:
    """Logits of our network for `name` of laps.json, with `others` among its arguments."""
    family = name.split("-")[0]
    model, arguments = NETWORKS[name]
    sizes = laps_inputs.SIZES[family]
    network = build(
        model,
        num_classes=laps_inputs.NUM_CLASSES,
        num_frames=laps_inputs.NUM_FRAMES,
        **sizes,
        **{**arguments, **others},
    )
    path = saved(LAPS["shapes"][family], "module.base_model.", folder / "official.pth")
    report = load_weights(network, path, expect_head=True)
    assert report.format == FORMATS[family] and not report.missing and not report.left_out
    with torch.no_grad():
        return network.to(dtype).eval()(clips(laps_inputs, sizes["img_size"]).to(dtype))


def test_every_official_laps_network_is_compared() -> None:
    assert list(NETWORKS) == list(LAPS["logits"])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_of_the_official_laps_code(name: str, dtype: torch.dtype, tolerance: float, tmp_path: Path) -> None:
    expected = torch.tensor(LAPS["logits"][name], dtype=dtype)
    torch.testing.assert_close(laps_logits(name, tmp_path, dtype=dtype), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("visformer-plain", {"shift": "periodic"}),
        ("visformer-periodic", {"first": "previous"}),
        ("visformer-leap", {"levels": (1, 2, 3, 1)}),
        ("visformer-leap", {"levels": (2, 3, 1)}),
        ("visformer-leap", {"loop": "stage"}),
        ("visformer-laps-4", {"shift_fraction": 1 / 8}),
        ("visformer-laps-8", {"boundary": "replicate"}),
        ("rest-laps-8", {"first": "previous"}),
        ("rest-laps-8", {"loop": "depth"}),
        ("rest-laps-8", {"boundary": "cyclic"}),
        ("vit-laps-4", {"levels": (1, 2, 3)}),
    ],
)
def test_golden_logits_tell_the_laps_networks_apart(name: str, others: dict[str, Any], tmp_path: Path) -> None:
    expected = torch.tensor(LAPS["logits"][name], dtype=torch.float64)
    assert (laps_logits(name, tmp_path, **others) - expected).abs().max() > 1e-2


OFFICIAL_PST = {"stages": (1, 2), "key_frame": "first"}
"""What the official PST code has otherwise than `pst` by default, of two stages here."""
SWIN_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "pst": ("pst", OFFICIAL_PST),
    "pst-channels": ("pst", {"pattern": "none", **OFFICIAL_PST}),
    "pst-patches": ("pst", {"channel_shift": 0.0, **OFFICIAL_PST}),
    "pst-patches-everywhere": ("pst", {"alternate": False, **OFFICIAL_PST}),
    "pst-2d": ("pst", {"pattern": "none", "channel_shift": 0.0, **OFFICIAL_PST}),
    **{f"swin-{frames}": ("swin", {"window_frames": frames}) for frames in pst_inputs.WINDOW_FRAMES},
}
"""Name in pst.json -> our network and its arguments."""


def pst_logits(name: str, folder: Path, *, dtype: torch.dtype = torch.float64, **others: Any) -> Tensor:
    """Logits of our network for `name` of pst.json, with `others` among its arguments."""
    model, arguments = SWIN_NETWORKS[name]
    inputs = pst_inputs
    network = build(
        model,
        num_classes=inputs.NUM_CLASSES,
        num_frames=inputs.NUM_FRAMES,
        **inputs.SIZES,
        **{**arguments, **others},
    )
    family = "pst" if model == "pst" else name
    path = saved(PST["shapes"][family], "", folder / "official.pth", sharpness=inputs.SHARPNESS)
    report = load_weights(network, path, expect_head=True)
    assert not report.missing and not report.left_out and not report.used and not report.resized
    with torch.no_grad():
        return network.to(dtype).eval()(clips(inputs, inputs.SIZES["img_size"]).to(dtype))


def test_every_official_pst_network_is_compared() -> None:
    assert list(SWIN_NETWORKS) == list(PST["logits"])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", SWIN_NETWORKS)
def test_logits_of_the_official_pst_code(name: str, dtype: torch.dtype, tolerance: float, tmp_path: Path) -> None:
    expected = torch.tensor(PST["logits"][name], dtype=dtype)
    torch.testing.assert_close(pst_logits(name, tmp_path, dtype=dtype), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("pst", {"key_frame": "same"}),
        ("pst", {"positive": "next"}),
        ("pst", {"pattern": "b-4"}),
        ("pst", {"stages": (1,)}),
        ("pst", {"shift_back": False}),
        ("pst", {"shift_rpe": False}),
        ("pst", {"channel_shift": 0.0625}),
        ("pst-channels", {"channel_shift": 0.0}),
        ("pst-patches", {"positive": "next"}),
        ("pst-patches-everywhere", {"alternate": True}),
        ("pst-2d", {"key_frame": "same"}),
    ],
)
def test_golden_logits_tell_the_pst_networks_apart(name: str, others: dict[str, Any], tmp_path: Path) -> None:
    expected = torch.tensor(PST["logits"][name], dtype=torch.float64)
    assert (pst_logits(name, tmp_path, **others) - expected).abs().max() > 1e-3


def test_patches_shift_as_in_the_official_code() -> None:
    offsets = frame_offsets(PATTERNS["c-9"], 7, 7, num_frames=16, positive="previous").flatten()
    tokens = torch.arange(16 * 49).view(1, 16, 49, 1)
    for golden, sign in ((PST["shift"], 1), (PST["shift_back"], -1)):
        assert patch_shift(tokens, sign * offsets)[0, ..., 0].tolist() == golden
