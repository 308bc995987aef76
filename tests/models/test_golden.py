"""Our networks on converted official weights give the official code's logits (see tests/golden/README.md)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vtbench.models import build
from vtbench.weights import load_weights

GOLDEN = Path(__file__).parent.parent / "golden"


def _load_inputs() -> Any:
    spec = importlib.util.spec_from_file_location("tokshift_inputs", GOLDEN / "tokshift_inputs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


inputs = _load_inputs()


def logits(model: str, checkpoint: Path, **arguments: Any) -> torch.Tensor:
    network = build(
        model, num_classes=inputs.NUM_CLASSES, num_frames=inputs.NUM_FRAMES, **inputs.SIZES, **arguments
    ).eval()
    report = load_weights(network, checkpoint, expect_head=True)
    assert report.format == "tokshift" and not report.missing and not report.left_out
    with torch.no_grad():
        return network(torch.from_numpy(inputs.clips()))


@pytest.fixture
def golden() -> dict[str, Any]:
    return json.loads((GOLDEN / "tokshift.json").read_text())


@pytest.fixture
def checkpoint(golden: dict[str, Any], tmp_path: Path) -> Path:
    """A file as the official training writes it: DistributedDataParallel around VideoNet."""
    state = {f"module.{key}": torch.from_numpy(array) for key, array in inputs.weights(golden["shapes"]).items()}
    torch.save({"epoch": 12, "arch": "ViT-B_16", "state_dict": state}, tmp_path / "official.pth.tar")
    return tmp_path / "official.pth.tar"


@pytest.mark.parametrize(("model", "arguments"), [("vit", {}), ("tokenshift", {"shift_fraction": 1 / inputs.FOLD_DIV})])
def test_logits_of_the_official_code(
    model: str, arguments: dict[str, Any], golden: dict[str, Any], checkpoint: Path
) -> None:
    expected = torch.tensor(golden["logits"][model])
    torch.testing.assert_close(logits(model, checkpoint, **arguments), expected, rtol=0, atol=1e-5)


def test_golden_logits_tell_the_networks_apart(golden: dict[str, Any], checkpoint: Path) -> None:
    expected = torch.tensor(golden["logits"]["tokenshift"])
    for others in ({"first": "previous"}, {"boundary": "replicate"}, {"boundary": "cyclic"}, {"shift_fraction": 0.125}):
        assert (logits("tokenshift", checkpoint, **others) - expected).abs().max() > 1e-3
    assert (torch.tensor(golden["logits"]["vit"]) - expected).abs().max() > 1e-3
