"""Load a checkpoint into a network and account for every key of both.

Known formats: a state dict in timm's names (`.safetensors`, or a torch file, also below a `state_dict` or `model` key),
a Lightning checkpoint of ours (the network's keys begin with `network.`), and a checkpoint of the official TokenShift
code, recognised by its keys. Files are read with `weights_only=True`: nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vtbench.errors import WeightsError
from vtbench.weights.tokshift import convert_tokshift, is_tokshift

NETWORK = "network."
"""What a LightningModule of ours calls the network it was given, as a prefix of keys."""
SHOWN = 3
"""How many offending keys an error lists of each kind."""


@dataclass(frozen=True)
class LoadReport:
    """What became of every key. Each key of the file is in exactly one of `used`, `renamed` and `left_out`; each key of
    the model in exactly one of `used`, the values of `renamed`, and `missing`.

    - format: `timm`, `lightning` or `tokshift`
    - used: keys taken under their own name; the prefix of a wrapper (`network.`, `module.`) is not counted as a name
    - renamed: key of the file -> key of the model (three official keys share one `qkv`)
    - left_out: key of the file -> why it was not used
    - missing: keys of the model that keep the values they had
    - resized: key of the model -> how it was made to fit, for example "14x14 -> 7x7 patches"
    """

    format: str
    used: tuple[str, ...]
    renamed: dict[str, str]
    left_out: dict[str, str]
    missing: tuple[str, ...]
    resized: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.format} checkpoint: {len(self.used)} keys used, {len(self.renamed)} renamed"]
        parts += [f"{key} resized {how}" for key, how in self.resized.items()]
        parts += [f"{key} left out ({why})" for key, why in self.left_out.items()]
        parts += [f"missing: {', '.join(self.missing)}" if self.missing else "nothing missing"]
        return "; ".join(parts)


def load_weights(model: nn.Module, path: str | Path, *, expect_head: bool = False) -> LoadReport:
    """Copy the weights in the file `path` into `model`, in place, and report on every key.

    `expect_head=False` is for starting a training: the file's classification head (`head`, and `pre_logits` of
    ImageNet-21k) is left out whatever its size, and the model's head stays as it was. `expect_head=True` is for
    testing: the head must be there and fit. Position embeddings of another grid are resized with timm's
    `resample_abs_pos_embed` (bicubic, antialiased; the official TokenShift code resizes linearly). Anything else that
    does not fit is an error, and the model is then unchanged.

    Raises WeightsError for a file that is missing, unreadable or of another network.
    """
    path = Path(path)
    format_, state, left_out = _read(path)
    renamed: dict[str, str] = {}
    if is_tokshift(state):
        format_ = "tokshift"
        try:
            state, renamed = convert_tokshift(state)
        except (KeyError, RuntimeError) as e:  # one of query, key, value is missing, or they cannot be stacked
            raise WeightsError(
                f"{path}: TokenShift checkpoint with a broken attention ({e}); get the file again"
            ) from e
    content = f"{format_} checkpoint of {len(state)} tensors ({', '.join(list(state)[:SHOWN])}, ...)"

    if not expect_head:
        original = {name: key for key, name in renamed.items()}
        for name in [name for name in state if name.split(".")[0] in ("head", "pre_logits")]:
            del state[name]
            key = original.get(name, name)
            renamed.pop(key, None)
            left_out[key] = "head for other classes"
    wanted = model.state_dict()
    resized = _fit_positions(model, state)

    missing = [name for name in wanted if name not in state]
    absent = [name for name in missing if expect_head or not name.startswith("head.")]
    unknown = [name for name in state if name not in wanted]
    unfit = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if absent or unknown or unfit:
        differences = [
            f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
            for kind, names in (("missing", absent), ("unknown", unknown), ("of another shape", unfit))
            if names
        ]
        raise WeightsError(
            f"{path}: {content} of another network than this {type(model).__name__}: {'; '.join(differences)}; give a "
            "checkpoint of the same width, depth, patch size" + (" and classes" if expect_head else "")
        )
    model.load_state_dict(state, strict=False)
    return LoadReport(
        format=format_,
        used=tuple(name for name in state if name not in renamed.values()),
        renamed=renamed,
        left_out=left_out,
        missing=tuple(missing),
        resized=resized,
    )


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits. Raises WeightsError if the file cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as e:
        raise WeightsError(f"{path}: cannot be read ({e.strerror}); check the path") from e


def _read(path: Path) -> tuple[str, dict[str, Tensor], dict[str, str]]:
    """(format, state dict without the prefixes of wrappers, key -> why it is left out)."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; check the path of the weights")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError, SafetensorError) as e:
        reason = str(e).strip().split("\n")[0] or type(e).__name__
        if isinstance(e, pickle.UnpicklingError):  # torch's own words recommend to run what is in the file
            reason = "not a torch file of plain tensors"
        raise WeightsError(
            f"{path}: not a readable safetensors or torch checkpoint ({reason}); get the file again"
        ) from e

    lightning = isinstance(content, Mapping) and "pytorch-lightning_version" in content
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise WeightsError(
            f"{path}: holds no state dict (tensors by name, alone or below 'state_dict' or 'model'); give a checkpoint"
        )
    state = dict(content)
    if not lightning:
        prefix = "module." if all(key.startswith("module.") for key in state) else ""  # DistributedDataParallel
        return "timm", {key.removeprefix(prefix): tensor for key, tensor in state.items()}, {}
    left_out = {key: "not part of the network" for key in state if not key.startswith(NETWORK)}
    network = {key.removeprefix(NETWORK): tensor for key, tensor in state.items() if key.startswith(NETWORK)}
    return "lightning", network, left_out


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _fit_positions(model: Any, state: dict[str, Tensor]) -> dict[str, str]:
    """Resize the position embeddings in `state` to the model's grid where only the grid differs; says how."""
    name = "pos_embed"
    wanted = model.state_dict().get(name)
    given = state.get(name)
    if wanted is None or given is None or given.ndim != 3 or given.shape[::2] != wanted.shape[::2]:
        return {}
    prefix = model.num_prefix_tokens
    side = math.isqrt(max(given.shape[1] - prefix, 0))
    height, width = model.patch_embed.grid_size
    if given.shape == wanted.shape or side < 1 or side**2 + prefix != given.shape[1]:
        return {}
    from timm.layers import resample_abs_pos_embed  # late: see build() in vtbench/models

    state[name] = resample_abs_pos_embed(
        given, new_size=[height, width], old_size=[side, side], num_prefix_tokens=prefix
    )
    return {name: f"{side}x{side} -> {height}x{width} patches"}
