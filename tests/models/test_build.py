"""From a name to a network, and to an encoder of audio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vtbench.errors import UsageError, WeightsError
from vtbench.models import AUDIO_ENCODERS, AUDIO_WEIGHTS, MODELS, VARIANTS, build, build_audio_encoder
from vtbench.naming import load

LAB = """
from dataclasses import dataclass
from torch import nn

class Network(nn.Linear):
    def __init__(self, *, num_classes: int, num_frames: int, img_size: int = 224) -> None:
        super().__init__(num_frames, num_classes)

    def build(self):
        raise AssertionError("a network is one already")

@dataclass(frozen=True)
class Config:
    num_classes: int
    num_frames: int
    img_size: int = 224

    def build(self):
        return nn.Linear(self.num_frames, self.num_classes)

def function(*, num_classes, num_frames, img_size=224):
    return nn.Linear(num_frames, num_classes)

@dataclass
class Nothing:
    num_classes: int
    num_frames: int
"""


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_of_a_stranger.py").write_text(LAB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_of_a_stranger", raising=False)


@pytest.mark.parametrize("builder", ["function", "Network", "Config"])
def test_a_function_a_class_and_a_dataclass_build_a_network(builder: str) -> None:
    network = build(f"lab_of_a_stranger:{builder}", num_classes=5, num_frames=4)
    assert network(torch.zeros(2, 4)).shape == (2, 5)


def test_what_builds_no_network_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"lab_of_a_stranger:Nothing: gave Nothing, not a torch\.nn\.Module"):
        build("lab_of_a_stranger:Nothing", num_classes=5, num_frames=4)


def test_an_argument_that_a_network_does_not_have_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"vit\(\) has no argument 'num_frame'; did you mean 'num_frames'\?"):
        build("vit", num_classes=5, num_frame=4)


def test_a_network_says_what_it_was_built_from() -> None:
    arguments: dict[str, Any] = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3}
    network = build("msca", num_classes=5, num_frames=4, **arguments, backward_heads=1, forward_heads=0)
    assert network.config.build().state_dict().keys() == network.state_dict().keys()
    assert (network.config.depth, network.config.shifted, network.config.boundary) == (2, "kv", "zero")
    with pytest.raises(AttributeError):
        network.config.depth = 3


def test_no_network_has_two_names() -> None:
    assert not set(MODELS) & set(VARIANTS)


# ---- encoders of audio -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUDIO_ENCODERS)
def test_encoders_make_features_of_128_numbers(name: str) -> None:
    with torch.no_grad():
        assert build_audio_encoder(name)(torch.randn(2, 3, 96, 64)).shape == (2, 3, 128)


def test_an_unknown_encoder_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no audio encoder 'vgish'; did you mean 'vggish'"):
        build_audio_encoder("vgish")


def test_an_encoder_of_the_users_is_built() -> None:
    assert type(build_audio_encoder("torch.nn:Identity")).__name__ == "Identity"


def test_an_encoder_with_weights_loads_them(tmp_path: Path) -> None:
    assert set(AUDIO_WEIGHTS) <= set(AUDIO_ENCODERS)
    saved, other = build_audio_encoder("vggish"), build_audio_encoder("vggish")
    torch.save(saved.state_dict(), tmp_path / "vggish.pth")
    read = load("vggish", AUDIO_WEIGHTS, "weights of an audio encoder")
    assert not read(other, tmp_path / "vggish.pth").missing
    assert all(torch.equal(value, saved.state_dict()[key]) for key, value in other.state_dict().items())
    with pytest.raises(WeightsError, match=r"absent\.pth: no such file"):
        read(other, tmp_path / "absent.pth")


def test_the_tables_import_no_torch() -> None:
    code = "import sys; from vtbench.models import AUDIO_ENCODERS, AUDIO_WEIGHTS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
