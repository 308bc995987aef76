"""VGGish: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017, arXiv:1609.09430, as
released with AudioSet: https://github.com/tensorflow/models/tree/master/research/audioset/vggish (`vggish_slim.py`).
What MM-ViT (arXiv:2108.09322, Section 3.2) embeds a second of audio with, Phi in its Eq. 4; no classifier, so not in
MODELS.

State dict keys are those of https://github.com/harritaylor/torchvggish, whose files models/weights/vggish.py reads.
Differs from the article: 128 and not 3087 outputs, as released.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

ROWS, BANDS = 96, 64
"""Size of a patch of log-mel values (0.975 s)."""
CONVOLUTIONS_BEFORE_POOL = (1, 1, 2, 2)


class VGGish(nn.Module):
    """Log-mel patches (..., 96, 64) (audio/logmel.py), any leading sizes -> embeddings (..., embed_dim).

    - channels: of the six convolutions; hidden: width of the two layers before the last
    - embed_dim: of the output
    - final_relu: ReLU after the last layer. torchvggish has it, and so had the release until it was taken out in
      `vggish_slim.py`; the weights are the same

    Layers begin with He's initialisation, so that a small network can be trained from scratch: the release has no
    normalisation, and at its own standard deviation of 0.01 a signal vanishes.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (64, 128, 256, 256, 512, 512),
        hidden: int = 4096,
        embed_dim: int = 128,
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        if len(channels) != sum(CONVOLUTIONS_BEFORE_POOL) or min(*channels, hidden, embed_dim) < 1:
            raise ValueError(
                f"VGGish has six convolutions and positive widths, not channels {tuple(channels)}, hidden {hidden}, "
                f"embed_dim {embed_dim}"
            )
        features: list[nn.Module] = []
        widths = iter(channels)
        before = 1
        for convolutions in CONVOLUTIONS_BEFORE_POOL:
            for _ in range(convolutions):
                width = next(widths)
                features += [nn.Conv2d(before, width, kernel_size=3, padding=1), nn.ReLU()]
                before = width
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        shrunk = 2 ** len(CONVOLUTIONS_BEFORE_POOL)
        layers: list[nn.Module] = [nn.Linear(ROWS // shrunk * (BANDS // shrunk) * before, hidden), nn.ReLU()]
        layers += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, embed_dim)]
        self.embeddings = nn.Sequential(*layers, *([nn.ReLU()] if final_relu else []))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, patches: Float[Tensor, "*leading 96 64"]) -> Float[Tensor, "*leading embed_dim"]:
        """The embedding of each patch."""
        x = self.features(patches.reshape(-1, 1, ROWS, BANDS))
        x = x.permute(0, 2, 3, 1).flatten(1)  # (patches, 6, 4, channels): the order in which TensorFlow flattens
        return self.embeddings(x).reshape(*patches.shape[:-2], -1)


class MelStatistics(nn.Module):
    """Log-mel patches (..., 96, 64) -> (..., 128): mean and standard deviation of each band over time, both brought to
    about -1 to 1. No weights: it stands for VGGish where there are no pretrained ones (the small scales)."""

    def forward(self, patches: Float[Tensor, "*any 96 64"]) -> Float[Tensor, "*any 128"]:
        """Means, then deviations."""
        mean, std = patches.mean(dim=-2), patches.std(dim=-2)
        # Silence is log(0.01) = -4.6, a full tone about 2.
        return torch.cat(((mean + 2.5) / 2, std - 1), dim=-1)
