"""Checkpoints of the official LAPS code, with the keys and shapes that tests/golden/laps.json says it has."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import draw
import laps_inputs
import pytest
import torch
from timm.layers import resample_abs_pos_embed_nhwc
from torch import Tensor, nn

from vtbench.errors import WeightsError
from vtbench.models import build
from vtbench.weights import load_weights

SHAPES: dict[str, dict[str, list[int]]] = json.loads((Path(__file__).parents[2] / "golden" / "laps.json").read_text())[
    "shapes"
]
HEAD = ["head.weight", "head.bias"]
NETWORKS = {"visformer": ["visformer", "laps_visformer"], "rest": ["rest", "laps_rest"], "vit": ["vit", "laps_vit"]}
FORMATS = {"visformer": "laps-visformer", "rest": "rest", "vit": "timm"}
FAMILIES = {"visformer": "Visformer", "rest": "ResT", "vit": "ViT"}
every_family = pytest.mark.parametrize("family", list(NETWORKS))


def network(name: str, **arguments: Any) -> nn.Module:
    family = name.removeprefix("laps_")
    sizes = {"num_classes": laps_inputs.NUM_CLASSES, "num_frames": laps_inputs.NUM_FRAMES, **laps_inputs.SIZES[family]}
    if name == "laps_vit":
        sizes["shift_fraction"] = 1 / 4
    return build(name, **{**sizes, **arguments})


def official_state(family: str, prefix: str = "") -> dict[str, Tensor]:
    return {prefix + key: torch.from_numpy(array) for key, array in draw.weights(SHAPES[family]).items()}


def saved(state: dict[str, Tensor], path: Path, **others: Any) -> Path:
    """A file as the official training writes it."""
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    scheduler = {"milestones": Counter({10: 1, 15: 1, 18: 1}), "gamma": 0.1, "_last_lr": [0.1]}
    content = {"epoch": 18, "best_acc1": 76.04, "optimizer": optimizer, "scheduler": scheduler, "state_dict": state}
    torch.save({**content, **others}, path)
    return path


def expected_state(family: str) -> dict[str, Tensor]:
    """The official values under our names."""
    return {key.replace(".bn.", "."): tensor for key, tensor in official_state(family).items()}


@pytest.mark.parametrize("prefix", ["module.base_model.", "base_model.", "module.", ""])
@pytest.mark.parametrize("expect_head", [True, False])
@every_family
def test_official_checkpoint_loads_into_every_network_of_its_family(
    family: str, expect_head: bool, prefix: str, tmp_path: Path
) -> None:
    path = saved(official_state(family, prefix), tmp_path / "best_ckpt_e18.pth")
    expected = expected_state(family)
    for name in NETWORKS[family]:
        model = network(name)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        report = load_weights(model, path, expect_head=expect_head)
        assert report.format == FORMATS[family] and not report.resized
        in_file = Counter([*report.used, *report.renamed, *report.left_out])
        in_model = Counter([*report.used, *report.renamed.values(), *report.missing])
        assert in_file == Counter(list(SHAPES[family])) and in_model == Counter(list(before))
        assert list(report.missing) == ([] if expect_head else HEAD) and set(report.left_out) == set(report.missing)
        for key, tensor in model.state_dict().items():
            kept = key in HEAD and not expect_head
            assert torch.equal(tensor, before[key] if kept else expected[key]), key


def test_batch_norms_of_a_visformer_are_renamed_and_nothing_else(tmp_path: Path) -> None:
    report = load_weights(network("visformer"), saved(official_state("visformer"), tmp_path / "a.pth"))
    assert report.renamed["stem.1.bn.num_batches_tracked"] == "stem.1.num_batches_tracked"
    assert report.renamed["patch_embed1.norm.bn.weight"] == "patch_embed1.norm.weight"
    assert report.renamed["stage2.3.norm1.bn.running_var"] == "stage2.3.norm1.running_var"
    assert report.renamed["norm.bn.running_mean"] == "norm.running_mean"
    assert all(".bn." in key for key in report.renamed) and not any(".bn." in key for key in report.used)


def test_image_weights_of_ten_thousand_classes_start_a_training(tmp_path: Path) -> None:
    state = official_state("visformer")
    state["head.weight"], state["head.bias"] = torch.ones(10450, 64), torch.ones(10450)
    path = tmp_path / "Visformer_s_in10k.pth"
    torch.save({"model": state}, path)
    model = network("laps_visformer")
    report = load_weights(model, path)
    assert report.format == "laps-visformer" and set(report.left_out) == set(HEAD)
    assert model.head.weight.shape == (7, 64)
    with pytest.raises(WeightsError, match=r"Visformer checkpoint.*head.weight \(10450, 64\) for \(7, 64\)"):
        load_weights(model, path, expect_head=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("img_size", "grids"), [(96, (12, 6, 3)), (56, (7, 3, 1))])
def test_positions_of_all_three_stages_are_resized(
    img_size: int, grids: tuple[int, ...], dtype: torch.dtype, tmp_path: Path
) -> None:
    state = {key: tensor.to(dtype) if tensor.ndim else tensor for key, tensor in official_state("visformer").items()}
    model = network("laps_visformer", img_size=img_size)
    report = load_weights(model, saved(state, tmp_path / "72.pth"))
    olds = {"pos_embed1": 9, "pos_embed2": 4, "pos_embed3": 2}
    assert report.resized == {
        name: f"{old}x{old} -> {new}x{new} patches" for (name, old), new in zip(olds.items(), grids, strict=True)
    }
    for (name, old), new in zip(olds.items(), grids, strict=True):
        assert name in report.used
        maps = resample_abs_pos_embed_nhwc(state[name].permute(0, 2, 3, 1), new_size=[new, new]).permute(0, 3, 1, 2)
        assert maps.shape[2:] == (new, new) and old != new
        assert torch.equal(model.state_dict()[name], maps.float())
    with torch.no_grad():
        assert model.eval()(torch.zeros(1, 8, 3, img_size, img_size)).isfinite().all()


def test_a_rest_starts_at_any_resolution(tmp_path: Path) -> None:
    report = load_weights(network("laps_rest", img_size=96), saved(official_state("rest"), tmp_path / "rest.pth"))
    assert list(report.missing) == HEAD and not report.resized


@pytest.mark.parametrize(
    ("family", "name"),
    [(family, name) for family in NETWORKS for other in NETWORKS if other != family for name in NETWORKS[other]],
)
def test_checkpoint_of_another_backbone_is_one_line_and_changes_nothing(family: str, name: str, tmp_path: Path) -> None:
    model = network(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    path = saved(official_state(family, "module.base_model."), tmp_path / "other.pth")
    for expect_head in (True, False):
        with pytest.raises(WeightsError, match=rf"{FAMILIES[family]} checkpoint of {len(SHAPES[family])} ten") as error:
            load_weights(model, path, expect_head=expect_head)
        message = str(error.value)
        assert message.startswith(str(path)) and "\n" not in message and type(model).__name__ in message
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_lightning_checkpoint_of_a_rest_is_named_for_what_it_holds(tmp_path: Path) -> None:
    state = official_state("rest", "network.")
    path = saved(state, tmp_path / "last.ckpt", **{"pytorch-lightning_version": "2.6.0"})
    assert load_weights(network("rest"), path).format == "lightning"
    with pytest.raises(WeightsError, match="ResT checkpoint"):
        load_weights(network("visformer"), path)


@pytest.mark.parametrize(
    ("family", "key", "ours"),
    [
        ("visformer", "stage3.1.norm2.bn.running_var", "stage3.1.norm2.running_var"),
        ("rest", "stage2.0.attn.transform_conv.bias", "stage2.0.attn.transform_conv.bias"),
        ("vit", "blocks.4.mlp.fc2.weight", "blocks.4.mlp.fc2.weight"),
    ],
)
def test_a_missing_key_is_an_error(family: str, key: str, ours: str, tmp_path: Path) -> None:
    state = official_state(family)
    del state[key]
    path = saved(state, tmp_path / "hole.pth")
    with pytest.raises(WeightsError, match=rf"{FAMILIES[family]} checkpoint.*1 missing \({ours}\)"):
        load_weights(network(NETWORKS[family][1]), path)


@every_family
def test_file_without_head_is_enough_to_start_but_not_to_test(family: str, tmp_path: Path) -> None:
    state = {key: tensor for key, tensor in official_state(family).items() if key not in HEAD}
    path = saved(state, tmp_path / "body.pth")
    assert list(load_weights(network(NETWORKS[family][1]), path).missing) == HEAD
    with pytest.raises(WeightsError, match=r"2 missing \(head.weight, head.bias\)"):
        load_weights(network(NETWORKS[family][1]), path, expect_head=True)


def test_a_file_with_a_foreign_object_says_which_and_what_to_do(tmp_path: Path) -> None:
    path = saved(official_state("rest"), tmp_path / "best.pth", made=datetime.date(2022, 10, 10))
    with pytest.raises(WeightsError, match=r"best.pth: not a readable .*holds datetime.date\); save its state dict"):
        load_weights(network("rest"), path)
