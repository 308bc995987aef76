"""Files as torchvggish has them, read into small networks of the same layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vtbench.errors import WeightsError
from vtbench.models.vggish import VGGish
from vtbench.models.weights.vggish import load_vggish

WIDTHS = (2, 3, 4, 4, 5, 5)


def network() -> VGGish:
    return VGGish(channels=WIDTHS, hidden=7, embed_dim=6)


def ports() -> dict[str, Tensor]:
    """A state dict in the port's keys, at our small widths; made without our network."""
    torch.manual_seed(1)
    state = {}
    for number, before, width in zip((0, 3, 6, 8, 11, 13), (1, *WIDTHS), WIDTHS, strict=False):
        state[f"features.{number}.weight"] = torch.randn(width, before, 3, 3)
        state[f"features.{number}.bias"] = torch.randn(width)
    for number, before, width in ((0, 6 * 4 * 5, 7), (2, 7, 7), (4, 7, 6)):
        state[f"embeddings.{number}.weight"] = torch.randn(width, before)
        state[f"embeddings.{number}.bias"] = torch.randn(width)
    return state


def pca() -> dict[str, Tensor]:
    return {"pproc.pca_matrix": torch.randn(6, 6), "pproc.pca_means": torch.randn(6, 1)}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def equal(model: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_key_is_used(prefix: str, tmp_path: Path) -> None:
    state, model = ports(), network()
    content = {prefix + key: tensor for key, tensor in state.items()}
    report = load_vggish(model, saved(content, tmp_path / "vggish.pth"))
    assert report.format == "torchvggish" and set(report.used) == set(state) and len(report.used) == 18
    assert not (report.renamed or report.left_out or report.missing or report.resized)
    assert str(report) == "torchvggish checkpoint: 18 keys used, 0 renamed; nothing missing"
    assert equal(model, state)


def test_the_pca_is_left_out_and_said(tmp_path: Path) -> None:
    state, model = ports(), network()
    report = load_vggish(model, saved({"state_dict": {**pca(), **state}}, tmp_path / "whole.pth"))
    assert set(report.used) == set(state) and equal(model, state)
    assert report.left_out == dict.fromkeys(pca(), "PCA of the embeddings, not part of the network")


def with_names(rename: Callable[[str], str]) -> dict[str, Tensor]:
    return {rename(key): tensor for key, tensor in ports().items()}


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "the PCA's own file": (
        lambda: {"pca_eigen_vectors": torch.zeros(6, 6), "pca_means": torch.zeros(6)},
        r"checkpoint of 2 tensors \(pca_eigen_vectors, pca_means, ...\), not of torchvggish's weights for this VGGish: "
        r"18 missing \(features.0.weight, features.0.bias, features.3.weight, ...\); 2 unknown \(pca_eigen_vectors, "
        r"pca_means\); give vggish-10086976.pth of harritaylor/torchvggish",
    ),
    "torchaudio's names": (
        lambda: with_names(lambda key: key.replace("embeddings.", "embedding_network.")),
        r"6 missing \(embeddings.0.weight, .*6 unknown \(embedding_network.0.weight",
    ),
    "TensorFlow's order of sizes": (
        lambda: {key: t.permute(2, 3, 1, 0) if t.ndim == 4 else t for key, t in ports().items()},
        r"6 of another shape \(features.0.weight \(3, 3, 1, 2\) for \(2, 1, 3, 3\)",
    ),
    "other widths": (
        lambda: VGGish(channels=WIDTHS, hidden=9, embed_dim=6).state_dict(),
        r"5 of another shape .* build the network in VGGish's own sizes$",
    ),
    "a hole": (
        lambda: {key: tensor for key, tensor in ports().items() if key != "features.13.bias"},
        r"checkpoint of 17 tensors .*VGGish: 1 missing \(features.13.bias\); give",
    ),
    "one tensor more": (lambda: {**ports(), "head.weight": torch.zeros(3, 6)}, r"VGGish: 1 unknown \(head.weight\)"),
    "only a PCA": (pca, r"checkpoint of 0 tensors \(none\), .*18 missing"),
    "no state dict": ([1, 2], r"holds no state dict"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_another_layout_is_one_line_and_changes_nothing(content: Any, message: str, tmp_path: Path) -> None:
    model = network()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    path = saved(content() if callable(content) else content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message) as error:
        load_vggish(model, path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert equal(model, before)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent.pth: no such file; check the path"):
        load_vggish(network(), tmp_path / "absent.pth")
    (tmp_path / "vggish_model.ckpt").write_bytes(b"TensorFlow's" * 99)
    with pytest.raises(WeightsError, match=r"vggish_model.ckpt: not a readable safetensors or torch checkpoint"):
        load_vggish(network(), tmp_path / "vggish_model.ckpt")
