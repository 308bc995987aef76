"""Release files of weights, held to their checksums."""

from __future__ import annotations

from pathlib import Path

import torch.hub

from vtbench.errors import WeightsError
from vtbench.weights.load import sha256_of


def hosted_file(name: str, url: str, sha256: str) -> Path:
    """The file of the weights `name` at `url`, downloaded into torch's hub folder ($TORCH_HOME) on first use.

    `sha256`: the first digits of its SHA-256. Raises WeightsError when it cannot be had, or when what came or what lies
    there has another checksum.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    elsewhere = f"or download {url} elsewhere and give --weights {name}=FILE"
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256, progress=False)
        except (OSError, RuntimeError) as error:  # no network, a full disk; another checksum
            raise WeightsError(f"the weights '{name}' cannot be downloaded: {error}; try again, {elsewhere}") from error
    elif not (found := sha256_of(path)).startswith(sha256):
        raise WeightsError(f"{path}: has SHA-256 {found[:8]}..., not {sha256}...; remove it, {elsewhere}")
    return path
