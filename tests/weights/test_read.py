"""Files as the programs of others save them: read, every key accounted for, nothing executed."""

from __future__ import annotations

import argparse
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from vtbench.errors import WeightsError
from vtbench.models import build
from vtbench.weights import load_weights
from vtbench.weights.read import read_file

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}


def vit(num_classes: int = 7) -> nn.Module:
    return build("vit", num_classes=num_classes, num_frames=2, **SIZES)


def google(path: Path) -> Path:
    """A small file in the layout of Google's ViT-B_16.npz."""
    dim, heads, width = 48, 4, 12
    shapes: dict[str, tuple[int, ...]] = {
        "cls": (1, 1, dim),
        "Transformer/posembed_input/pos_embedding": (1, 17, dim),
        "embedding/kernel": (8, 8, 3, dim),
        "embedding/bias": (dim,),
        "Transformer/encoder_norm/scale": (dim,),
        "Transformer/encoder_norm/bias": (dim,),
        "pre_logits/kernel": (dim, dim),
        "pre_logits/bias": (dim,),
        "head/kernel": (dim, 7),
        "head/bias": (7,),
    }
    for number in range(2):
        block = f"Transformer/encoderblock_{number}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        shapes |= {f"{block}/LayerNorm_{n}/{leaf}": (dim,) for n in (0, 2) for leaf in ("scale", "bias")}
        shapes |= {f"{attention}/{part}/kernel": (dim, heads, width) for part in ("query", "key", "value")}
        shapes |= {f"{attention}/{part}/bias": (heads, width) for part in ("query", "key", "value")}
        shapes |= {f"{attention}/out/kernel": (heads, width, dim), f"{attention}/out/bias": (dim,)}
        shapes |= {f"{block}/MlpBlock_3/Dense_0/kernel": (dim, 4 * dim), f"{block}/MlpBlock_3/Dense_0/bias": (4 * dim,)}
        shapes |= {f"{block}/MlpBlock_3/Dense_1/kernel": (4 * dim, dim), f"{block}/MlpBlock_3/Dense_1/bias": (dim,)}
    draw = np.random.RandomState(0)
    np.savez(path, **{name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()})
    return path


def test_googles_file_is_read_as_timm_reads_it(tmp_path: Path) -> None:
    file = google(tmp_path / "ViT-B_16.npz")
    theirs = timm.models.vision_transformer.VisionTransformer(num_classes=7, **SIZES)
    theirs.load_pretrained(str(file))
    ours = vit()
    report = load_weights(ours, file)
    assert report.format == "google" and set(report.missing) == {"head.weight", "head.bias"}
    assert sorted(report.left_out) == ["head/bias", "head/kernel", "pre_logits/bias", "pre_logits/kernel"]
    assert len(report.renamed) + len(report.left_out) == len(read_file(file))
    state = ours.state_dict()
    assert all(torch.equal(state[name], value) for name, value in theirs.state_dict().items() if name in state
               and not name.startswith("head"))  # fmt: skip


def test_googles_file_without_a_key_is_broken(tmp_path: Path) -> None:
    arrays = dict(np.load(google(tmp_path / "w.npz")))
    del arrays["Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel"]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(WeightsError, match=r"w.npz: Google's checkpoint with a broken attention \('key'\)"):
        load_weights(vit(), tmp_path / "w.npz")


def test_objects_in_a_numpy_archive_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", cls=np.array([object()], dtype=object))
    with pytest.raises(WeightsError, match=r"w.npz: not a readable numpy archive \(Object arrays cannot be loaded"):
        load_weights(vit(), tmp_path / "w.npz")
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(WeightsError, match=r"half.npz: not a readable numpy archive"):
        load_weights(vit(), tmp_path / "half.npz")


def test_a_distilled_deit_starts_a_network_without_its_token(tmp_path: Path) -> None:
    theirs = timm.models.deit.VisionTransformerDistilled(num_classes=5, **SIZES)
    torch.save({"model": theirs.state_dict()}, tmp_path / "deit.pth")
    ours = vit()
    report = load_weights(ours, tmp_path / "deit.pth")
    assert report.format == "deit"
    assert {key for key, why in report.left_out.items() if "distillation" in why} == {
        "dist_token", "head_dist.weight", "head_dist.bias",
    }  # fmt: skip
    assert torch.equal(ours.pos_embed, theirs.pos_embed[:, [0, *range(2, 18)]])  # type: ignore[attr-defined]


@pytest.fixture
def yacs(monkeypatch: pytest.MonkeyPatch) -> type:
    """yacs.config.CfgNode as a program has it that saves with it; gone again where the file is read."""
    module = types.ModuleType("yacs.config")

    class CfgNode(dict):
        """As there: a dict with attributes of its own."""

        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            self.__dict__["__immutable__"] = False

    CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode


def test_settings_and_numbers_beside_weights_are_read_and_nothing_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yacs: type
) -> None:
    state = vit().state_dict()
    beside = {
        "namespace": argparse.Namespace(lr=0.1, model="visformer_small"),
        "config": yacs({"MODEL": yacs({"NAME": "swin"})}),
        "number": np.float64(76.04),
        "whole": np.int64(3),
    }
    for name, value in beside.items():
        torch.save({"state_dict": state, "args": value}, tmp_path / f"{name}.pth")
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")
    for name in beside:
        found = read_file(tmp_path / f"{name}.pth")["args"]
        assert load_weights(vit(), tmp_path / f"{name}.pth", expect_head=True).missing == ()
        if name == "config":
            assert found == {"MODEL": {"NAME": "swin"}} and type(found).__module__ != "yacs.config"
    assert "yacs.config" not in sys.modules


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_what_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": vit().state_dict(), "args": argparse.Namespace(x=Bomb())}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"not a torch file of plain tensors, it holds exec"):
        load_weights(vit(), tmp_path / "w.pth")
