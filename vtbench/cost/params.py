"""Parameters of a network under the four conventions that the papers' digits need."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

HEAD_NAMES = ("head", "fc", "classifier")
"""What the last linear layer is called in timm, torchvision and the ResNets."""


def count_params(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters, a parameter that is used twice counted once.

    - `all`: every parameter.
    - `no_bn_affine`: without the weights and biases of batch normalisation (how the SlowFast and X3D papers print).
    - `no_head`: without the classification head (how MM-ViT prints), the top-level module named in HEAD_NAMES. A model
      without one has nothing to leave out.
    - `thop`: only the parameters of convolutions and linear layers, so no class token, no position embedding and no
      normalisation (how TokShift prints, with the tool of that name).
    """
    everything = _sizes([model])
    batch_norms = _sizes(m for m in model.modules() if isinstance(m, _BatchNorm))
    heads = _sizes(module for name, module in model.named_children() if name in HEAD_NAMES)
    leaves = _sizes(m for m in model.modules() if isinstance(m, (_ConvNd, nn.Linear)))
    total = sum(everything.values())
    return {
        "all": total,
        "no_bn_affine": total - sum(batch_norms.values()),
        "no_head": total - sum(heads.values()),
        "thop": sum(leaves.values()),
    }


def _sizes(modules: Iterable[nn.Module]) -> dict[int, int]:
    """Identity -> number of elements of every parameter below `modules`."""
    return {id(p): p.numel() for module in modules for p in module.parameters()}
