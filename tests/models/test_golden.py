"""Our networks on converted official weights give the official code's logits (see tests/golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import draw
import laps_inputs
import pytest
import tokshift_inputs
import torch
from torch import Tensor

from vtbench.models import build
from vtbench.weights import load_weights

GOLDEN = Path(__file__).parent.parent / "golden"
TOKSHIFT: dict[str, Any] = json.loads((GOLDEN / "tokshift.json").read_text())
LAPS: dict[str, Any] = json.loads((GOLDEN / "laps.json").read_text())

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


def saved(shapes: dict[str, list[int]], prefix: str, path: Path) -> Path:
    """A file as the official trainings write it: DistributedDataParallel around VideoNet."""
    state = {prefix + key: torch.from_numpy(array) for key, array in draw.weights(shapes).items()}
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
