"""VGGish's shapes, its order of flattening, and its ReLU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vtbench.models.vggish import MelStatistics, VGGish

SMALL: dict[str, Any] = {"channels": (2, 3, 4, 4, 5, 5), "hidden": 7, "embed_dim": 6}


def small(**arguments: Any) -> VGGish:
    torch.manual_seed(0)
    model = VGGish(**{**SMALL, **arguments}).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return model


def written_out(state: dict[str, Tensor], patch: Tensor) -> Tensor:
    """The released network on one patch (96, 64), layer by layer, up to the last layer, without the last ReLU."""
    x = patch[None]  # (1, 96, 64)
    for number, pool in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
        x = F.relu(F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1))
        x = F.max_pool2d(x, 2) if pool else x
    # TensorFlow's maps are (rows, bands, channels).
    flat = torch.stack([x[channel, row, band] for row in range(6) for band in range(4) for channel in range(len(x))])
    for number in (0, 2, 4):
        flat = state[f"embeddings.{number}.weight"] @ flat + state[f"embeddings.{number}.bias"]
        flat = F.relu(flat) if number < 4 else flat
    return flat


@pytest.mark.parametrize("final_relu", [True, False])
def test_equals_the_layers_written_out(final_relu: bool) -> None:
    model = small(final_relu=final_relu)
    patches = torch.randn(2, 96, 64)
    with torch.no_grad():
        expected = torch.stack([written_out(model.state_dict(), patch) for patch in patches])
        assert expected.min() < 0 < expected.max()
        torch.testing.assert_close(model(patches), F.relu(expected) if final_relu else expected)


def test_at_full_size_the_shapes_are_those_published() -> None:
    with torch.device("meta"):
        model = VGGish()
        assert model(torch.zeros(5, 3, 96, 64)).shape == (5, 3, 128)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    widths = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256), 13: (512, 512)}
    linear = {0: (4096, 12288), 2: (4096, 4096), 4: (128, 4096)}
    assert shapes == {
        **{f"features.{n}.weight": (*width, 3, 3) for n, width in widths.items()},
        **{f"features.{n}.bias": width[:1] for n, width in widths.items()},
        **{f"embeddings.{n}.weight": width for n, width in linear.items()},
        **{f"embeddings.{n}.bias": width[:1] for n, width in linear.items()},
    }
    assert sum(parameter.numel() for parameter in model.parameters()) == 72_141_184
    assert sum(parameter.numel() for parameter in model.features.parameters()) == 4_499_712


def test_leading_sizes_are_kept_and_patches_independent() -> None:
    model = small(final_relu=False)
    patches = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        together = model(patches)
        assert together.shape == (2, 3, 6)
        torch.testing.assert_close(together[1, 2], model(patches[1, 2]))


def test_a_signal_survives_the_first_weights_and_every_layer_learns() -> None:
    torch.manual_seed(0)
    model = VGGish(channels=(8, 8, 16, 16, 16, 16), hidden=64, embed_dim=64, final_relu=False)
    embeddings = model(torch.randn(4, 96, 64))
    assert 0.05 < embeddings.std() < 20
    embeddings.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("wrong", [{"channels": (4, 4, 4)}, {"hidden": 0}, {"channels": (2, 3, 4, 0, 5, 5)}])
def test_other_numbers_of_layers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="six convolutions and positive widths"):
        VGGish(**{**SMALL, **wrong})


def test_statistics_of_bands_tell_a_low_tone_from_a_high_one_and_from_silence() -> None:
    silence = torch.full((1, 96, 64), 0.01).log()
    low, high = silence.clone(), silence.clone()
    low[..., 5], high[..., 40] = 2.0, 2.0
    features = MelStatistics()(torch.cat((silence, low, high)))
    assert features.shape == (3, 128) and features.abs().max() < 2.5
    assert features[1].argmax() == 5 and features[2].argmax() == 40
    assert MelStatistics()(torch.zeros(2, 3, 96, 64)).shape == (2, 3, 128)
    assert not list(MelStatistics().parameters())
