"""Whether a training run can resume from the last.ckpt in its folder: looked at before Lightning loads it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vtbench.files import regular
from vtbench.results import folders
from vtbench.weights import sha256_of
from vtbench.weights.load import compare, counted


def why_unusable(folder: Path, method: nn.Module, training_key: str) -> str | None:
    """Why not: the file is damaged, or of another network or training; None if it can be resumed from."""
    path = folder / folders.CHECKPOINT
    try:
        if (broken := zipfile.ZipFile(regular(path)).testzip()) is not None:
            return f"is damaged (in {broken})"
        content = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception:  # zipfile and torch raise a dozen kinds for a damaged file
        return "cannot be read"
    ours = content.get("callbacks", {}).get("EpochCheckpoint") if isinstance(content, Mapping) else None
    if ours is None or not isinstance(content.get("state_dict"), Mapping):
        return "is no checkpoint of a training run"
    if ours.get("training_key", training_key) != training_key:
        return f"belongs to another training run ({ours['training_key']})"
    # An audio encoder is not kept in checkpoints.
    wanted = {name: tensor for name, tensor in method.state_dict().items() if not name.startswith("audio_encoder.")}
    differences = compare(wanted, content["state_dict"])
    if any(differences.values()):
        return f"belongs to another network: {counted(differences)}"
    return _why_not_best(folder, content["callbacks"].get("BestWeights", {}))


def _why_not_best(folder: Path, state: Mapping[str, Any]) -> str | None:
    epoch, sha256 = state.get("epoch", 0), state.get("sha256")
    if not epoch:
        return None
    best = folder / folders.BEST.format(epoch)
    if not best.is_file():
        return f"needs {best.name}, which is gone"
    return None if sha256 is None or sha256_of(best) == sha256 else f"needs {best.name}, which is another file now"
