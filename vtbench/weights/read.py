"""Read a file of weights without executing anything in it: safetensors, torch files, and Google's `.npz`."""

from __future__ import annotations

import argparse
import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vtbench.errors import WeightsError

__all__ = ["read_bytes", "read_file"]


def _beside_weights() -> list[Any]:
    """What programs save beside weights, and what torch may make of it: settings and numpy's numbers. All of it is
    plain data."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_)
    return [
        argparse.Namespace,
        (OrderedDict, "yacs.config.CfgNode"),  # a dict too; nothing of yacs is imported
        *((scalar, name) for name in names),
        np.dtype,
        *{type(np.dtype(kind)) for kind in kinds},
    ]


def read_bytes(path: Path) -> bytes:
    """The content of a file, read once: what is hashed is then what is loaded. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; check the path of the weights")
    try:
        return path.read_bytes()
    except OSError as e:
        raise WeightsError(f"{path}: cannot be read ({e.strerror}); check the path") from e


def read_file(path: Path, content: bytes | None = None) -> Any:
    """What a file, or the `content` read from it, holds, tensors as tensors; of an `.npz`, its arrays by name. Raises
    WeightsError if it cannot be read, and for objects that are neither tensors nor what programs save beside them."""
    content = read_bytes(path) if content is None else content
    try:
        if path.suffix == ".safetensors":
            return load(content)
        if path.suffix == ".npz":
            return _arrays(content)
        with torch.serialization.safe_globals(_beside_weights()):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (
        *(OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError),
        *(pickle.UnpicklingError, SafetensorError, zipfile.BadZipFile),
    ) as e:
        reason, remedy = str(e).strip().split("\n")[0] or type(e).__name__, "get the file again"
        if isinstance(e, pickle.UnpicklingError):  # torch's own words recommend to run what is in the file
            reason = "not a torch file of plain tensors"
            if found := re.search(r"Unsupported global: GLOBAL (\S+)", str(e)):
                reason, remedy = f"{reason}, it holds {found[1]}", "save its state dict alone, where you trust the file"
        kind = "numpy archive" if path.suffix == ".npz" else "safetensors or torch checkpoint"
        raise WeightsError(f"{path}: not a readable {kind} ({reason}); {remedy}") from e


def _arrays(content: bytes) -> Mapping[str, Tensor]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}
