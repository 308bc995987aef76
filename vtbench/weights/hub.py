"""Weights that can be had by name alone: each is one release file, held to the checksum in its name."""

from __future__ import annotations

from pathlib import Path

import torch.hub

from vtbench.errors import WeightsError
from vtbench.weights.load import sha256_of

_TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download"

HOSTED = {
    # Google's ViT-B/16 of ImageNet-21k as timm first published it. timm itself takes it from a hub today, where neither
    # revision nor checksum is fixed.
    "vit_base_patch16_224.orig_in21k": f"{_TIMM}/v0.1-vitjx/jx_vit_base_patch16_224_in21k-e5005f0a.pth",
    # As the authors of DeiT publish it.
    "deit_small_patch16_224.fb_in1k": "https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth",
}
"""timm's name of the weights -> release file; after the last "-" stand the first 8 digits of its SHA-256."""


def hosted_file(name: str) -> Path:
    """The file of the weights `name` of HOSTED, downloaded into torch's hub folder ($TORCH_HOME) on first use.

    Raises WeightsError when it cannot be had, or when what came or what lies there has another checksum.
    """
    url = HOSTED[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    checksum = path.stem.rpartition("-")[2]
    elsewhere = f"or download {url} elsewhere and give --weights {name}=FILE"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum, progress=False)
        except (OSError, RuntimeError) as error:  # no network, a full disk; another checksum
            raise WeightsError(f"the weights '{name}' cannot be downloaded: {error}; try again, {elsewhere}") from error
    elif not (found := sha256_of(path)).startswith(checksum):
        raise WeightsError(f"{path}: has SHA-256 {found[:8]}..., not {checksum}...; remove it, {elsewhere}")
    return path
