from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from vtbench.errors import WeightsError
from vtbench.models import build
from vtbench.weights import Foreign, LoadReport, load_weights, save_network, sha256_of

SIZES: dict[str, Any] = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3}
HEAD = ["head.weight", "head.bias"]


ASKED: dict[str, dict[str, int]] = {
    "msca": {"backward_heads": 1, "forward_heads": 1},
    "msca_patch": {"backward_patches": 1, "forward_patches": 1},
}
"""What a network asks for besides its sizes."""


def network(name: str = "vit", **arguments: Any) -> nn.Module:
    return build(name, num_frames=2, **{"num_classes": 5, **SIZES, **ASKED.get(name, {}), **arguments})


def timm_state(**arguments: Any) -> dict[str, Tensor]:
    """A state dict of timm's ViT with random values in every entry."""
    model = timm.create_model("vit_base_patch16_224", **{"num_classes": 5, **SIZES, **arguments})
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(tensor.shape, generator=generator) for key, tensor in model.state_dict().items()}


def saved(content: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def accounted(report: LoadReport, file_keys: list[str], model: nn.Module) -> None:
    """Every key of the file and of the model is in exactly one place."""
    in_file = Counter([*report.used, *report.renamed, *report.left_out])
    assert in_file == Counter(file_keys)
    in_model = Counter([*report.used, *set(report.renamed.values()), *report.missing])
    assert in_model == Counter(model.state_dict().keys())


WRAPPERS = {
    "bare": lambda state: state,
    "model": lambda state: {"model": state, "epoch": 3},
    "state_dict": lambda state: {"state_dict": state, "optimizer": {"lr": 0.1}},
    "distributed": lambda state: {"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}},
}


@pytest.mark.parametrize("name", ["vit", "tokenshift", "msca", "msca_patch"])
@pytest.mark.parametrize(
    ("suffix", "wrapper"), [(".safetensors", "bare"), *[(s, w) for s in (".pth", ".pt") for w in WRAPPERS]]
)
def test_timm_state_dict_loads_into_every_network(name: str, suffix: str, wrapper: str, tmp_path: Path) -> None:
    state = timm_state()
    path = saved(WRAPPERS[wrapper](state), tmp_path / f"vit{suffix}")
    model = network(name)
    report = load_weights(model, path, expect_head=True)
    assert (report.format, report.missing, report.left_out, report.renamed) == ("timm", (), {}, {})
    accounted(report, list(state), model)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("classes", [5, 21843])
def test_head_is_left_out_when_a_training_starts(classes: int, tmp_path: Path) -> None:
    state = timm_state(num_classes=classes)
    state["pre_logits.fc.weight"] = torch.zeros(12, 12)
    model = network()
    report = load_weights(model, saved(state, tmp_path / "in21k.pth"))
    assert set(report.left_out) == {*HEAD, "pre_logits.fc.weight"} and list(report.missing) == HEAD
    accounted(report, list(state), model)
    assert not model.state_dict()["head.weight"].any() and not model.state_dict()["head.bias"].any()


def test_file_without_head_is_enough_to_start_but_not_to_test(tmp_path: Path) -> None:
    state = {key: tensor for key, tensor in timm_state().items() if key not in HEAD}
    path = saved(state, tmp_path / "body.pth")
    assert list(load_weights(network(), path).missing) == HEAD
    with pytest.raises(WeightsError, match=r"2 missing \(head.weight, head.bias\)"):
        load_weights(network(), path, expect_head=True)


def test_full_vit_b16_of_timm_misses_nothing_but_the_head(tmp_path: Path) -> None:
    with torch.device("meta"):
        reference = timm.create_model("vit_base_patch16_224.orig_in21k", pretrained=False, num_classes=21843)
        model = build("msca", num_classes=400, num_frames=8, backward_heads=1, forward_heads=1)
    keys = list(reference.state_dict())
    state = {
        k: torch.full(v.shape, float(i), dtype=torch.half) for i, (k, v) in enumerate(reference.state_dict().items())
    }
    path = saved(state, tmp_path / "vit_base_patch16_224.orig_in21k.safetensors")
    model = model.to_empty(device="cpu")
    report = load_weights(model, path)
    assert list(report.missing) == HEAD and set(report.left_out) == set(HEAD)
    accounted(report, keys, model)
    for key, tensor in model.state_dict().items():
        if key not in HEAD:
            assert tensor.dtype == torch.float32 and tensor.flatten()[-1] == keys.index(key)


def test_lightning_checkpoint_of_ours(tmp_path: Path) -> None:
    state = timm_state()
    content = {
        "pytorch-lightning_version": "2.6.0",
        "epoch": 1,
        "state_dict": {**{f"network.{k}": v for k, v in state.items()}, "top1.total": torch.tensor(3)},
        "hyper_parameters": {"lr": 0.1},
    }
    model = network("msca")
    report = load_weights(model, saved(content, tmp_path / "last.ckpt"), expect_head=True)
    assert report.format == "lightning" and report.left_out == {"top1.total": "not part of the network"}
    accounted(report, [*state, "top1.total"], model)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


def official_state() -> dict[str, Tensor]:
    """timm's random state under the names of the official code, query, key and value apart."""
    official = {}
    parts = {"norm1": "attention_norm", "norm2": "ffn_norm", "attn.proj": "attn.out", "mlp": "ffn"}
    for key, tensor in timm_state().items():
        if key.startswith("blocks."):
            _, number, rest = key.split(".", 2)
            layer = f"transformer.encoder.layer.{number}."
            if rest.startswith("attn.qkv"):
                for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                    official[f"{layer}attn.{part}.{key.split('.')[-1]}"] = third
                continue
            for ours, theirs in parts.items():
                if rest.startswith(ours):
                    official[layer + rest.replace(ours, theirs)] = tensor
        else:
            new = key.replace("patch_embed.proj", "transformer.embeddings.patch_embeddings")
            new = new.replace("pos_embed", "transformer.embeddings.position_embeddings")
            new = new.replace("cls_token", "transformer.embeddings.cls_token")
            official["transformer.encoder.encoder_" + key if key.startswith("norm.") else new] = tensor
    return official


@pytest.mark.parametrize("prefix", ["", "base_model.", "module.base_model."])
@pytest.mark.parametrize("expect_head", [True, False])
def test_official_tokshift_checkpoint(prefix: str, expect_head: bool, tmp_path: Path) -> None:
    state = {prefix + key: tensor for key, tensor in official_state().items()}
    model = network("tokenshift")
    path = saved({"epoch": 18, "state_dict": state, "best_acc1": torch.tensor(77.0)}, tmp_path / "best.pth.tar")
    report = load_weights(model, path, expect_head=expect_head)
    assert report.format == "tokshift"
    accounted(report, [key.removeprefix(prefix) for key in state], model)
    assert list(report.missing) == ([] if expect_head else HEAD)
    expected = timm_state()
    for key, tensor in model.state_dict().items():
        if expect_head or key not in HEAD:
            assert torch.equal(tensor, expected[key]), key


def test_official_checkpoint_with_a_hole_is_an_error(tmp_path: Path) -> None:
    state = official_state()
    del state["transformer.encoder.layer.1.attn.key.bias"]
    with pytest.raises(WeightsError, match=r"hole.pth.*TokenShift.*key"):
        load_weights(network("tokenshift"), saved(state, tmp_path / "hole.pth"))


@pytest.mark.parametrize("img_size", [8, 32])
def test_positions_of_another_grid_are_resized(img_size: int, tmp_path: Path) -> None:
    state = timm_state()
    model = network(img_size=img_size)
    report = load_weights(model, saved(state, tmp_path / "vit.pth"))
    side = img_size // 8
    assert report.resized == {"pos_embed": f"2x2 -> {side}x{side} patches"} and "pos_embed" in report.used
    expected = resample_abs_pos_embed(state["pos_embed"], new_size=[side, side])
    assert torch.equal(model.state_dict()["pos_embed"], expected)
    assert torch.equal(expected[:, 0], state["pos_embed"][:, 0])
    assert "2x2" in str(report)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda: timm.create_model("resnet10t").state_dict(),
            r"checkpoint of \d+ tensors \(conv1.*missing.*unknown",
        ),
        (lambda: timm_state(depth=3), r"12 unknown \(blocks.2.norm1.weight"),
        (lambda: timm_state(depth=1), r"12 missing \(blocks.1.norm1.weight"),
        (lambda: timm_state(embed_dim=24), r"of another shape \(cls_token \(1, 1, 24\) for \(1, 1, 12\)"),
        (lambda: timm_state(patch_size=4), r"1 of another shape \(patch_embed.proj.weight \(12, 3, 4, 4\)"),
        (lambda: timm_state(reg_tokens=1), r"reg_token"),
    ],
)
def test_checkpoint_of_another_network_names_what_differs(content: Any, message: str, tmp_path: Path) -> None:
    model = network()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    path = saved(content(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(model, path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_head_of_other_classes_cannot_be_tested(tmp_path: Path) -> None:
    path = saved(timm_state(num_classes=7), tmp_path / "seven.pth")
    with pytest.raises(WeightsError, match=r"head.weight \(7, 12\) for \(5, 12\).*and classes"):
        load_weights(network(), path, expect_head=True)


class Unknown:
    """Not a tensor, not a plain container."""


@pytest.mark.parametrize(
    "name", ["broken.pth", "broken.safetensors", "cut.pth", "cut.safetensors", "empty.pth", "code.pth"]
)
def test_unreadable_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.startswith("broken"):
        path.write_bytes(b"not a checkpoint at all" * 50)
    elif name.startswith("empty"):
        path.touch()
    elif name.startswith("code"):
        torch.save({"state_dict": Unknown()}, path)
    else:
        saved(timm_state(), path)
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(WeightsError, match=rf"{name}: not a readable safetensors or torch checkpoint") as error:
        load_weights(network(), path)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "nowhere.pth", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(WeightsError, match=what):
            load_weights(network(), path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {"a": 1}}, torch.zeros(3), {"state_dict": {}}])
def test_file_without_a_state_dict_is_an_error(content: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds no state dict"):
        load_weights(network(), saved(content, tmp_path / "other.pth"))


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"weights" * 100_000)
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="nowhere"):
        sha256_of(tmp_path / "nowhere")


class Strangers(nn.Linear):
    """A network of the user's that knows files of other code: `w` is its weight, `b` would be its bias."""

    @staticmethod
    def of_old_code(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Foreign | None:
        if "w" not in state:
            return None
        if state["w"].ndim != 2:
            raise ValueError("old checkpoint whose w is no matrix")
        weights = {"weight": state["w"], **{key: tensor for key, tensor in state.items() if key not in ("w", "step")}}
        left_out = {"step": "no weight"} if "step" in state else {}
        return Foreign("old", weights, {"w": ("weight",)}, left_out, lacks=("bias",))

    foreign_weights = (of_old_code,)


def test_a_network_of_the_users_brings_its_own_filter(tmp_path: Path) -> None:
    path = saved({"w": torch.ones(2, 3), "step": torch.tensor(1)}, tmp_path / "old.pth")
    network = Strangers(3, 2)
    report = load_weights(network, path)
    assert report == LoadReport("old", (), {"w": "weight"}, {"step": "no weight"}, ("bias",), sha256=sha256_of(path))
    assert torch.equal(network.weight, torch.ones(2, 3))
    with pytest.raises(WeightsError, match=r"1 missing \(bias\)"):
        load_weights(Strangers(3, 2), path, expect_head=True)
    with pytest.raises(WeightsError, match=r"unknown \(b\)"):
        load_weights(Strangers(3, 2), saved({"w": torch.ones(2, 3), "b": torch.ones(2)}, tmp_path / "more.pth"))
    with pytest.raises(WeightsError, match=r"broken\.pth: old checkpoint whose w is no matrix; get the file again"):
        load_weights(Strangers(3, 2), saved({"w": torch.ones(2)}, tmp_path / "broken.pth"))
    own = saved(Strangers(3, 2).state_dict(), tmp_path / "own.pth")
    assert load_weights(Strangers(3, 2), own, expect_head=True).used == ("weight", "bias")


def test_weights_can_be_read_by_whoever_can_read_other_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_network(nn.Linear(2, 2), tmp_path / "weights.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights.safetensors").stat().st_mode) == 0o640
