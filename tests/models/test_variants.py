"""The networks that the papers' tables name are those of the rows' specs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

import vtbench.models
from vtbench.errors import SpecError
from vtbench.models import MODELS, VARIANTS, build
from vtbench.papers import select
from vtbench.papers.code.signatures import Builders
from vtbench.papers.network import Network
from vtbench.papers.resolve import network_of
from vtbench.run.network import outline

ROWS = {
    "vit_b16": "msca/table2:vit",
    "vit_b16_base2d": "laps/table3:vit-base2d",
    "tokenshift_b16": "msca/table2:tokenshift",
    **{f"msca_{part}": f"msca/table2:msca-{part}" for part in ("q", "k", "v", "qk", "kv", "qv", "qkv")},
    **{f"msca_p{part}": f"msca/table5:msca-p{part}" for part in ("q", "k", "v", "qk", "kv", "qv", "qkv")},
    "visformer_s": "laps/table3:visf-base2d",
    "base3d_visformer_s": "laps/table1:base3d",
    "plain_shift_visformer_s": "laps/table1:plain-shift",
    "p_shift_visformer_s": "laps/table1:p-shift",
    "la_visformer_s": "laps/table1:la",
    "laps_visformer_s": "laps/table3:laps",
    "laps_visformer_b": "laps/table3:laps-b",
    "laps_visformer_l": "laps/table3:laps-l",
    "laps_visformer_h": "laps/table3:laps-h",
    "laps_visformer_e": "laps/table3:laps-e",
    "rest_s": "laps/table3:rsts-base2d",
    "laps_rest_s": "laps/table3:laps-rs",
    "laps_rest_b": "laps/table3:laps-rb",
    "laps_rest_l": "laps/table3:laps-rl",
    "laps_vit_b16": "laps/table3:laps-vt",
    "swin_2d_t": "pst/table6:2d-swin-t",
    "swin_2d_b": "pst/table6:2d-swin-b",
    "video_swin_t": "pst/table6:video-swin-t",
    "video_swin_b": "pst/table6:video-swin-b",
    "pst_t": "pst/table3:pst-t-in1k-1x1",
    "pst_t_dagger": "pst/table3:pst-t-dagger",
    "pst_b": "pst/table3:pst-b-in21k-1x1",
    "pst_b_dagger": "pst/table3:pst-b-dagger",
    "deit_s_2d": "pst/table7:deit-s-2d",
    "deit_s_tsm": "pst/table7:deit-s-tsm",
    "deit_s_tps": "pst/table7:deit-s-tps",
    "mmvit_i": "mmvit/table1:mm-vit-i",
    "mmvit_ii": "mmvit/table1:mm-vit-ii",
    "mmvit_iii": "mmvit/table1:mm-vit-iii-merged",
    "mmvit_iii_co": "mmvit/table1:mm-vit-iii-co",
    "mmvit_iii_shift_merge": "mmvit/table1:mm-vit-iii-shift-merge",
    "mmvit_iv": "mmvit/table1:mm-vit-iv-merged",
}
BACKBONES = {"rest_b": "laps_rest_b", "rest_l": "laps_rest_l"}
"""Variants that no row has, and the variant whose parameters they have, as LAPS adds none."""


def shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def network_of_row(row: str) -> Network:
    network = network_of(select([row])[0], "paper")
    assert network is not None
    return network


def test_every_variant_is_compared_with_a_row() -> None:
    assert {*ROWS, *BACKBONES} == set(VARIANTS)


@pytest.mark.parametrize("name", ROWS)
def test_a_variant_is_the_network_of_its_row(name: str) -> None:
    of_row = network_of_row(ROWS[name])
    with torch.device("meta"):
        variant = build(name)
    assert shapes(variant) == shapes(outline(of_row))
    assert type(variant.config) is getattr(
        sys.modules[type(variant.config).__module__], MODELS[of_row.name].split(":")[1]
    )
    assert asdict(variant.config) == dict(of_row.arguments)


@pytest.mark.parametrize(("name", "other"), BACKBONES.items())
def test_a_backbone_has_the_parameters_of_the_network_made_of_it(name: str, other: str) -> None:
    with torch.device("meta"):
        assert shapes(build(name)) == shapes(build(other, num_frames=8))


def test_a_variant_takes_classes_frames_and_size() -> None:
    with torch.device("meta"):
        for name in VARIANTS:
            assert list(inspect.signature(inspect.unwrap(getattr(vtbench.models, name))).parameters)[:3] == [
                "num_classes", "num_frames", "img_size"
            ]  # fmt: skip
        config: Any = vtbench.models.msca_pkv(7, num_frames=4, img_size=112).config
    assert (config.num_classes, config.num_frames, config.img_size) == (7, 4, 112)


def test_without_audio_there_is_no_modality_for_it() -> None:
    of_row = network_of(select(["mmvit/table5:mm-vit-16"])[0], "paper")
    assert of_row is not None
    with torch.device("meta"):
        variant = build("mmvit_iii", num_classes=174, num_frames=16, modalities=("iframe", "motion", "residual"))
    assert asdict(variant.config) == dict(of_row.arguments)


def test_a_spec_names_no_variant() -> None:
    with pytest.raises(SpecError, match="no model 'msca_kv'"):
        Builders().signature("msca_kv")


@pytest.mark.slow
def test_variants_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import sys, vtbench.models; assert 'msca_kv' in dir(vtbench.models); assert 'torch' not in sys.modules\n"
        "from vtbench.models import msca_kv; assert 'torch' in sys.modules and msca_kv.__name__ == 'msca_kv'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'vtbench.models' has no attribute 'msca_vk'"):
        vtbench.models.msca_vk  # noqa: B018
