"""Load a checkpoint into a network and account for every key of both.

Known formats: a state dict in the network's names (`.safetensors`, or a torch file, also below a `state_dict` or
`model` key), a Lightning checkpoint of ours (the network's keys begin with `network.`), and what the network knows of
other code: a class of networks may have `foreign_weights`, filters that give a `Foreign`. Nothing in a file is executed
(vtbench.weights.read).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vtbench import files
from vtbench.errors import WeightsError
from vtbench.weights.read import read_bytes, read_file, refuse_odd, refuse_other_types

NETWORK = "network."
"""What a LightningModule of ours calls the network it was given, as a prefix of keys."""
WRAPPERS = ("module.", "base_model.", NETWORK)
"""Prefixes of all keys, from outside in: DistributedDataParallel's, the official code's VideoNet's, our own."""
BIAS_TABLE = "relative_position_bias_table"
"""What a Swin transformer calls the learnt biases of a window, as the last part of a key."""
FAMILIES = {
    "blocks.0.attn.qkv.weight": "ViT",
    "pos_embed3": "Visformer",
    "stem.pos.pa_conv.weight": "ResT",
    f"features.0.0.attn.{BIAS_TABLE}": "Swin",
    f"layers.0.blocks.0.attn.{BIAS_TABLE}": "Swin",
}
"""A parameter that only one family of networks has; for messages."""
SHOWN = 3
"""How many offending keys an error lists of each kind."""


@dataclass(frozen=True)
class Foreign:
    """A state dict of other code in the names of a network of ours.

    - format: the code whose names it had
    - state: the tensors under the network's names; what the network does not have keeps its name
    - renamed: key -> the network's names for it, where they are others
    - left_out: key -> why the network does not use it; not in `state`
    - lacks: names of the network that the other code has nothing for: a start keeps them as they were drawn
    """

    format: str
    state: dict[str, Tensor]
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


Filter = Callable[[dict[str, Tensor], Mapping[str, Tensor]], Foreign | None]
"""Gives a state dict in a network's names; None for what it does not know. The second argument is the network's own
state dict. Raises ValueError for a state dict that it knows and that is broken."""


@dataclass(frozen=True)
class LoadReport:
    """What became of every key. Each key of the file is in exactly one of `used`, `renamed` and `left_out`; each key of
    the model in exactly one of `used`, the values of `renamed`, and `missing`.

    - format: `timm`, `lightning`, `tokshift`, `google` (its `.npz`), `deit` (distilled), `laps-visformer`, `rest`,
      `swin` (Microsoft's), `torchvision`, `video-swin` or `pst` (whose weights are those of `model.key_frame=first`);
      the names of the file
    - used: keys taken under their own name; the prefix of a wrapper (`network.`, `module.`, `base_model.`) is not
      counted as a name
    - renamed: key of the file -> key of the model (three official keys share one `qkv`), or keys, with commas between
      (where an MM-ViT starts from a ViT)
    - left_out: key of the file -> why it was not used
    - missing: keys of the model that keep the values they had
    - resized: key of the model -> how it was made to fit, for example "14x14 -> 7x7 patches", "2D -> 31 differences in
      time"
    - sha256: of the bytes that were loaded, 64 hexadecimal digits
    """

    format: str
    used: tuple[str, ...]
    renamed: dict[str, str]
    left_out: dict[str, str]
    missing: tuple[str, ...]
    resized: dict[str, str] = field(default_factory=dict)
    sha256: str = ""

    def __str__(self) -> str:
        parts = [f"{self.format} checkpoint: {len(self.used)} keys used, {len(self.renamed)} renamed"]
        parts += [f"{_listed(keys)} resized {how}" for how, keys in _grouped(self.resized).items()]
        parts += [f"{_listed(keys)} left out ({why})" for why, keys in _grouped(self.left_out).items()]
        parts += [f"missing: {', '.join(self.missing)}" if self.missing else "nothing missing"]
        return "; ".join(parts)


def load_weights(model: nn.Module, path: str | Path, *, expect_head: bool = False) -> LoadReport:
    """Copy the weights in the file `path` into `model`, in place, and report on every key.

    `expect_head=False` is for starting a training: the file's classification head (`head`, and `pre_logits` of
    ImageNet-21k) is left out whatever its size, and the model's head stays as it was. `expect_head=True` is for
    testing: the head must be there and fit. Position embeddings of another grid are resized as timm does it (bicubic,
    antialiased; the official TokenShift code resizes linearly; the official LAPS code does not, and fails where a
    Visformer is to start at another resolution). Weights of single frames start a network of tubelets, and of windows
    in time, as Video Swin's and PST's code has it: the patch embedding is spread evenly over the frames of a tubelet,
    tables of biases are repeated for all differences in time (and resized, bicubic, for windows of another size).
    Anything else that does not fit is an error, and the model is then unchanged.

    Raises WeightsError for a file that is missing, unreadable or of another network.
    """
    path, wanted = Path(path), model.state_dict()
    data = read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    format_, state, left_out = read_state(path, wanted, data)
    del data
    became: dict[str, tuple[str, ...]] = {key: (key,) for key in state}
    lacks: tuple[str, ...] = ()
    as_it_is = _of_same_names(state, wanted)
    families = {FAMILIES[key]: None for key in state if key in FAMILIES}
    for convert in getattr(model, "foreign_weights", ()):
        try:
            foreign: Foreign | None = convert(state, wanted)
        except ValueError as e:
            if as_it_is:
                continue
            raise WeightsError(f"{path}: {e}; get the file again") from e
        if foreign is None or (as_it_is and foreign.renamed):
            continue
        format_ = foreign.format if format_ == "timm" else format_
        state, lacks = foreign.state, (*lacks, *foreign.lacks)
        families |= {FAMILIES[name]: None for name in state if name in FAMILIES}
        for key, names in became.items():
            kept = [name for name in names if name not in foreign.left_out]
            if names and not kept:
                left_out[key] = foreign.left_out[names[0]]
            became[key] = tuple(new for name in kept for new in foreign.renamed.get(name, (name,)))
    family = next(iter(families), "" if format_ == "timm" else format_)
    content = f"{family} checkpoint of {len(became)} tensors ({', '.join(list(became)[:SHOWN])}, ...)".strip()

    if not expect_head:
        for key, names in became.items():
            if names and all(map(_is_head, names)):
                left_out[key], became[key] = "head for other classes", ()
        state = {name: tensor for name, tensor in state.items() if not _is_head(name)}
    refuse_other_types(path, state, wanted)
    resized = {**_fit_positions(model, state), **_fit_tubelets(wanted, state), **_fit_biases(model, state)}

    differences = compare(wanted, state)
    missing = differences["missing"]
    differences["missing"] = [name for name in missing if expect_head or not (_is_head(name) or name in lacks)]
    if any(differences.values()):
        biases = any(BIAS_TABLE in name for name in differences["of another shape"])
        alike = "width, depth, patch size" + (", heads, frames" if biases else "")
        raise WeightsError(
            f"{path}: {content} of another network than this {type(model).__name__}: {counted(differences)}; give a "
            f"checkpoint of the same {alike}" + (" and classes" if expect_head else _heads(wanted, state))
        )
    model.load_state_dict(state, strict=False)
    return LoadReport(
        format=format_,
        used=tuple(key for key, names in became.items() if names == (key,)),
        renamed={key: ", ".join(names) for key, names in became.items() if names and names != (key,)},
        left_out=left_out,
        missing=tuple(missing),
        resized=resized,
        sha256=sha256,
    )


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits. Raises WeightsError if the file cannot be read."""
    path = Path(path)
    if why := files.why_no_file(path):  # a device would never end
        raise WeightsError(f"{path}: {why}; check the path of the weights")
    try:
        return files.sha256(path)
    except OSError as e:
        raise WeightsError(f"{path}: cannot be read ({e.strerror}); check the path") from e


def compare(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """How the state dict of a file differs from a model's in keys and shapes: kind of difference -> the keys."""
    return {
        "missing": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ],
    }


def counted(differences: Mapping[str, Sequence[str]]) -> str:
    """What `compare` found, in words."""
    return "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in differences.items() if names)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _listed(names: Sequence[str]) -> str:
    return _first(names) if len(names) <= SHOWN else f"{len(names)} keys ({_first(names)})"


def _grouped(texts: dict[str, str]) -> dict[str, list[str]]:
    """Each text that stands beside keys -> its keys."""
    return {text: [key for key, other in texts.items() if other == text] for text in texts.values()}


def _is_head(name: str) -> bool:
    return name.split(".")[0] in ("head", "pre_logits")


def _of_same_names(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    """Whether a file has the very names of a model, but maybe for the head: then they mean what they say, whatever
    other code they remind of."""
    return {name for name in state if not _is_head(name)} == {name for name in wanted if not _is_head(name)}


def _heads(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What to say where nothing but the number of classes can differ."""
    alike = wanted.keys() == given.keys() and all(given[name].shape[1:] == wanted[name].shape[1:] for name in wanted)
    return "; a start leaves out the classification layer where it is called `head`" if alike else ""


def read_state(
    path: Path, wanted: Mapping[str, Tensor] | None = None, data: bytes | None = None
) -> tuple[str, dict[str, Tensor], dict[str, str]]:
    """(format, state dict without the prefixes of wrappers, key -> why it is left out) of a file, or of the `data` read
    from it, executing nothing in it. Format is "lightning" for a checkpoint of ours, else "timm". Prefixes stay where
    the state dict of the model, `wanted`, has them too. Raises WeightsError if it holds no state dict."""
    content = read_file(path, data)
    lightning = isinstance(content, Mapping) and "pytorch-lightning_version" in content
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise WeightsError(
            f"{path}: holds no state dict (tensors by name, alone or below 'state_dict' or 'model'); give a checkpoint"
        )
    state = dict(content)
    refuse_odd(path, state)
    if not lightning:
        for prefix in WRAPPERS if wanted is None or not _of_same_names(state, wanted) else ():
            if all(key.startswith(prefix) for key in state):
                state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        return "timm", state, {}
    left_out = {key: "not part of the network" for key in state if not key.startswith(NETWORK)}
    network = {key.removeprefix(NETWORK): tensor for key, tensor in state.items() if key.startswith(NETWORK)}
    return "lightning", network, left_out


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _fit_positions(model: Any, state: dict[str, Tensor]) -> dict[str, str]:
    """Resize the position embeddings in `state` to the model's grids where only the grid differs; says how."""
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc  # late: see build() in vtbench/models

    resized = {}
    for name, wanted in model.state_dict().items():
        given = state.get(name)
        if not name.startswith("pos_embed") or given is None or given.shape == wanted.shape:
            continue
        if given.ndim == wanted.ndim == 2 and given.shape[1] == wanted.shape[1]:  # MM-ViT: (H W, D)
            old, new = ([math.isqrt(len(table))] * 2 for table in (given, wanted))
            if old[0] * old[1] != len(given):
                continue
            state[name] = resample_abs_pos_embed(given[None], new_size=new, old_size=old, num_prefix_tokens=0)[0]
        elif given.ndim == wanted.ndim == 4 and given.shape[:2] == wanted.shape[:2]:  # Visformer: (1, D, H, W)
            old, new = list(given.shape[2:]), list(wanted.shape[2:])
            state[name] = resample_abs_pos_embed_nhwc(given.permute(0, 2, 3, 1), new_size=new).permute(0, 3, 1, 2)
        elif given.ndim == wanted.ndim == 3 and given.shape[::2] == wanted.shape[::2]:  # ViT: (1, prefix + H W, D)
            prefix = model.num_prefix_tokens
            side = math.isqrt(max(given.shape[1] - prefix, 0))
            if side < 1 or side**2 + prefix != given.shape[1]:
                continue
            old, new = [side, side], list(model.patch_embed.grid_size)
            state[name] = resample_abs_pos_embed(given, new_size=new, old_size=old, num_prefix_tokens=prefix)
        else:
            continue
        resized[name] = f"{old[0]}x{old[1]} -> {new[0]}x{new[1]} patches"
    return resized


def _fit_tubelets(wanted: Mapping[str, Tensor], state: dict[str, Tensor]) -> dict[str, str]:
    """Spread a patch embedding of single frames over the model's tubelets, so that a still clip is embedded as its
    image is; says how."""
    name = "patch_embed.proj.weight"
    given, shape = state.get(name), list(wanted[name].shape) if name in wanted else []
    if given is None or len(shape) != 5 or shape[2] == 1 or list(given.shape) != [*shape[:2], 1, *shape[3:]]:
        return {}
    state[name] = given.expand(shape) / shape[2]
    return {name: f"1 -> {shape[2]} frames"}


def _fit_biases(model: nn.Module, state: dict[str, Tensor]) -> dict[str, str]:
    """Resize the tables of relative position biases in `state` to the model's windows; says how.

    A table of single frames is that of every difference in time. Another number of differences in time than 1 or the
    model's own is left as it is: it does not fit.
    """
    resized = {}
    for name, wanted in model.state_dict().items():
        given = state.get(name)
        if not name.endswith(BIAS_TABLE) or given is None or given.shape == wanted.shape:
            continue
        if given.ndim != 2 or given.shape[1] != wanted.shape[1]:  # other heads
            continue
        module: Any = model.get_submodule(name.rpartition(".")[0])
        window = module.windows.window[-1]  # windows are square
        side = 2 * window - 1
        times, heads = len(wanted) // side**2, given.shape[1]
        for old_times in (times, 1):
            old_side = math.isqrt(len(given) // old_times)
            if old_side % 2 and old_times * old_side**2 == len(given):
                break
        else:
            continue
        how = []
        table = given.view(old_times, old_side, old_side, heads)
        if old_side != side:
            maps = table.permute(0, 3, 1, 2).float()
            table = F.interpolate(maps, size=(side, side), mode="bicubic").permute(0, 2, 3, 1)
            how.append(f"{old_side // 2 + 1}x{old_side // 2 + 1} -> {window}x{window} patches of a window")
        if old_times != times:
            how.append(f"2D -> {times} differences in time")
        state[name] = table.expand(times, -1, -1, -1).reshape(-1, heads)
        resized[name] = ", ".join(how)
    return resized
