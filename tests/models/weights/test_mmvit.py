"""MM-ViT from a ViT: what becomes of every key, and that the network then sees each modality as the ViT does."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import tokshift_inputs
import torch
from torch import nn

from vtbench.errors import WeightsError
from vtbench.models import build
from vtbench.weights import LoadReport, load_weights

SIZES = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
ALL = ("iframe", "motion", "residual", "audio")


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build("vit", num_classes=7, num_frames=1, img_size=16, **SIZES)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    return tmp_path / "vit.pth"


def mmvit(**arguments: object) -> nn.Module:
    return build(
        "mmvit", **{"num_classes": 3, "num_frames": 2, "img_size": 16, "modalities": ALL, **SIZES, **arguments}
    )


def start(network: nn.Module, path: Path) -> LoadReport:
    report = load_weights(network, path)
    taken = {name for names in report.renamed.values() for name in names.split(", ")} | set(report.used)
    assert taken | set(report.missing) == set(network.state_dict()) and not taken & set(report.missing)
    given = torch.load(path, weights_only=True)
    assert set(report.renamed) | set(report.left_out) | set(report.used) >= set(given)
    return report


@pytest.mark.parametrize(
    "arguments",
    [{"variant": "I"}, {"variant": "II"}, {}, {"cross_modal": "co"}, {"cross_modal": "shift_merge"}, {"variant": "IV"}],
)
def test_every_variant_starts_from_a_vit_and_every_key_is_accounted_for(vit: Path, arguments: dict[str, str]) -> None:
    network = mmvit(**arguments)
    report = start(network, vit)
    given, state = torch.load(vit, weights_only=True), network.state_dict()
    first = "joint" if arguments.get("variant") == "I" else "space"
    for number, name in enumerate("qkv"):
        part = given["blocks.1.attn.qkv.weight"][16 * number : 16 * number + 16]
        assert torch.equal(state[f"blocks.1.{first}.{name}.weight"], part)
    assert torch.equal(state["patch_embed.residual.weight"], given["patch_embed.proj.weight"])
    assert torch.equal(state["pos_embed.motion"], given["pos_embed"][0, 1:])
    assert torch.equal(state["cls_token"], given["cls_token"] + given["pos_embed"][:, :1])
    assert {"patch_embed.motion.weight", "patch_embed.audio.bias", "time_embed.iframe", "head.weight"} <= set(
        report.missing
    )
    assert "head.weight" in report.left_out


def test_the_network_then_is_the_vit_on_a_still_clip_of_one_modality(vit: Path) -> None:
    frame_wise = build("vit", num_classes=7, num_frames=1, img_size=16, **SIZES)
    frame_wise.load_state_dict(torch.load(vit, weights_only=True))
    network = mmvit(modalities=("iframe",), num_classes=7)
    start(network, vit)
    network.head.load_state_dict(frame_wise.head.state_dict())
    still = torch.randn(2, 1, 3, 16, 16)
    ours = network.eval()({"iframe": still.expand(-1, 2, -1, -1, -1)})
    assert torch.allclose(ours, frame_wise.eval()(still), atol=1e-5)


def test_positions_fit_another_grid(vit: Path) -> None:
    report = start(mmvit(img_size=32), vit)
    assert report.resized["pos_embed.iframe"] == "2x2 -> 4x4 patches"


def test_its_own_checkpoint_is_used_as_it_is(tmp_path: Path) -> None:
    network = mmvit()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    report = load_weights(mmvit(), tmp_path / "own.pth", expect_head=True)
    assert set(report.used) == set(network.state_dict()) and not report.renamed and not report.missing


@pytest.mark.parametrize("subset", [s for n in range(1, 5) for s in itertools.combinations(ALL, n)])
def test_every_subset_of_modalities_starts_from_a_vit(vit: Path, subset: tuple[str, ...]) -> None:
    report = start(mmvit(modalities=subset), vit)
    pictures = {"iframe", "residual"} & set(subset)
    left = {key for key, why in report.left_out.items() if why == "no modality for it"}
    assert ("patch_embed.proj.weight" in left) == (not pictures)
    assert ("pos_embed" in left) == (subset == ("audio",))


@pytest.mark.parametrize(
    "lacking", ["time_embed.", "blocks.0.time.fc.", "patch_embed.motion.", "blocks.1.modality.fc."]
)
def test_a_network_that_goes_on_from_another_lacks_nothing(tmp_path: Path, lacking: str) -> None:
    state = {name: tensor for name, tensor in mmvit().state_dict().items() if not name.startswith(lacking)}
    torch.save(state, tmp_path / "own.pth")
    with pytest.raises(WeightsError, match=r"of another network than this MMViT: .* missing"):
        load_weights(mmvit(num_classes=5), tmp_path / "own.pth", expect_head=False)


def test_a_vit_of_another_width_is_refused(vit: Path) -> None:
    network = mmvit(embed_dim=32)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match="of another network than this MMViT"):
        load_weights(network, vit)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_keys_of_a_vit_of_other_code_are_accounted_for_by_their_own_names(tmp_path: Path) -> None:
    names = {
        "transformer.embeddings.patch_embeddings.weight": (16, 3, 8, 8),
        "transformer.embeddings.cls_token": (1, 1, 16),
        "transformer.encoder.encoder_norm.weight": (16,),
        "head.weight": (7, 16),
    }
    for number in range(2):
        layer = f"transformer.encoder.layer.{number}"
        names |= {f"{layer}.attn.{part}.weight": (16, 16) for part in ("query", "key", "value", "out")}
    with pytest.raises(WeightsError, match=r"ViT checkpoint of .* of another network than this MMViT: .* missing"):
        official = {name: torch.randn(shape) for name, shape in names.items()}
        torch.save(official, tmp_path / "part.pth")
        load_weights(mmvit(modalities=("iframe",)), tmp_path / "part.pth")

    golden = json.loads((Path(__file__).parents[2] / "golden" / "tokshift.json").read_text())
    sizes = {**tokshift_inputs.SIZES}
    official = {name.removeprefix("base_model."): torch.randn(shape) for name, shape in golden["shapes"].items()}
    torch.save(official, tmp_path / "official.pth")
    network = build("mmvit", num_classes=3, num_frames=2, modalities=("iframe",), **sizes)
    report = load_weights(network, tmp_path / "official.pth")
    assert report.format == "tokshift"
    assert sorted([*report.used, *report.renamed, *report.left_out]) == sorted(official)
    query, key, value = (f"transformer.encoder.layer.0.attn.{part}.weight" for part in ("query", "key", "value"))
    assert torch.equal(network.state_dict()["blocks.0.time.k.weight"], official[key])
    assert "blocks.0.space.q.weight" in report.renamed[query] and "blocks.0.time.v.bias" not in report.renamed[value]
