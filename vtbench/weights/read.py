"""Read a file of weights without executing anything in it: safetensors, torch files, and Google's `.npz`."""

from __future__ import annotations

import argparse
import io
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from vtbench.errors import WeightsError
from vtbench.files import why_no_file

__all__ = ["read_bytes", "read_file", "refuse_odd", "refuse_other_types"]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of numbers that weights are taken from. They are copied into the network's own type."""
MOST_UNPACKED = 1 << 30
"""Bytes that an archive may always unpack to, and that a tensor may take beyond what the file holds of it."""


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
    if why := why_no_file(path):
        raise WeightsError(f"{path}: {why}; check the path of the weights")
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
        _refuse_inflating(content)
        with torch.serialization.safe_globals(_beside_weights()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is said once, by us
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as e:  # torch, numpy, zipfile and zlib raise a dozen kinds, MemoryError for a size that is none
        reason, remedy = str(e).strip().split("\n")[0] or type(e).__name__, "get the file again"
        if isinstance(e, pickle.UnpicklingError):  # torch's own words recommend to run what is in the file
            reason = "not a torch file of plain tensors"
            if found := re.search(r"Unsupported global: GLOBAL (\S+)", str(e)):
                reason, remedy = f"{reason}, it holds {found[1]}", "save its state dict alone, where you trust the file"
        kind = "numpy archive" if path.suffix == ".npz" else "safetensors or torch checkpoint"
        raise WeightsError(f"{path}: not a readable {kind} ({reason}); {remedy}") from e


def refuse_odd(path: Path, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError, naming the key, for a tensor that is no plain numbers: sparse, quantised, complex,
    without its numbers (meta), of bytes, or of far more numbers than the file holds."""
    for key, tensor in state.items():
        if tensor.is_quantized:
            what = "is quantised"
        elif tensor.layout != torch.strided:
            what = f"is sparse ({str(tensor.layout).removeprefix('torch.')})"
        elif tensor.is_complex():
            what = "holds complex numbers"
        elif tensor.device.type == "meta":
            what = "has a shape and no numbers (meta)"
        elif tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() + MOST_UNPACKED:
            what = f"states {tensor.numel()} numbers, which the file does not hold"
        elif tensor.dtype not in (*FLOATS, torch.int64, torch.int32, torch.bool):
            what = f"is {_type(tensor)}"
        else:
            continue
        raise WeightsError(f"{path}: {key} {what}; save it as a plain tensor of floating point numbers")


def refuse_other_types(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise WeightsError for whole numbers where a network has floating point numbers: those of a quantised file lack
    their scale. A counter may come as a floating point number, as an average over checkpoints has it."""
    for name, tensor in state.items():
        if name in wanted and wanted[name].is_floating_point() and not tensor.is_floating_point():
            raise WeightsError(
                f"{path}: {name} is {_type(tensor)}, the network's is {_type(wanted[name])}; give the weights as they "
                "were trained"
            )


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _refuse_inflating(content: bytes) -> None:
    """Raise ValueError for an archive that says that it unpacks to far more than it is: weights hardly compress."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(MOST_UNPACKED, 20 * len(content)):
        raise ValueError(f"it unpacks to {unpacked / 1e6:.0f} MB")


def _arrays(content: bytes) -> Mapping[str, Tensor]:
    _refuse_inflating(content)
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}
