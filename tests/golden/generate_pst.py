"""Write pst.json: logits of the official PST code, and of the Video Swin in it, at the sizes of pst_inputs.py.

    PYTHONPATH=extra python tests/golden/generate_pst.py --official <checkout of MartinXM/TPS>

Needs torch, timm and einops (`pip install --target extra einops`), which is no dependency of vtbench; mmcv is not
needed, what the networks import of it they do not use here. Nothing of the official code is copied; the file says which
commit was run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import draw
import pst_inputs as inputs
import torch
from torch import Tensor, nn

T = inputs.NUM_FRAMES // 2
BACKBONES = "mmaction.models.backbones"


def stand_in_for_mmcv(checkout: Path) -> None:
    """Let the modules of the official backbones be imported alone: without mmcv, and without the rest of mmaction."""
    registry = SimpleNamespace(register_module=lambda: lambda cls: cls)
    modules: dict[str, dict[str, Any]] = {
        "mmcv": {},
        "mmcv.runner": {"load_checkpoint": None},
        "mmaction": {},
        "mmaction.utils": {"get_root_logger": None},
        "mmaction.models": {},
        "mmaction.models.builder": {"BACKBONES": registry},
        BACKBONES: {"__path__": [str(checkout / BACKBONES.replace(".", "/"))]},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update({"__path__": [], **content})
        sys.modules[name] = module


class Recognizer(nn.Module):
    """The backbone and, as the official I3DHead, the mean over all tokens and a linear layer; with their names."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.cls_head = nn.ModuleDict({"fc_cls": nn.Linear(backbone.num_features, inputs.NUM_CLASSES)})

    def forward(self, clips: Tensor) -> Tensor:
        return self.cls_head["fc_cls"](self.backbone(clips.transpose(1, 2)).mean(dim=(2, 3, 4)))


def sizes(window_frames: int) -> dict[str, Any]:
    return {
        "patch_size": (2, 4, 4),
        "window_size": (window_frames, 7, 7),
        "patch_norm": True,
        **{name: inputs.SIZES[name] for name in ("embed_dim", "depths", "num_heads")},
    }


def pst(*, shift_type: str = "psm", shifting: tuple[int, ...] = (0, 1)) -> nn.Module:
    """SwinTransformer2D_TPS. `shift_type` is an argument of its stages that it hard-codes: "psm" patches in every
    second block and channels in the others, "tsm" channels in all, anything else patches in all. `shifting`: which of
    two blocks shift at all, an argument of its attention that its blocks hard-code."""
    official = importlib.import_module(f"{BACKBONES}.swin_transformer2d_tps")
    layer = official.BasicLayer
    official.BasicLayer = lambda **arguments: layer(**{**arguments, "shift_type": shift_type})
    try:
        network = official.SwinTransformer2D_TPS(**sizes(1))
    finally:
        official.BasicLayer = layer
    for stage in network.layers:
        for i, block in enumerate(stage.blocks):
            block.attn.shift = i % 2 in shifting
    return network


def video_swin(window_frames: int) -> nn.Module:
    return importlib.import_module(f"{BACKBONES}.swin_transformer").SwinTransformer3D(**sizes(window_frames))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "pst": pst,
    "pst-channels": partial(pst, shift_type="tsm"),
    "pst-patches": partial(pst, shifting=(1,)),
    "pst-patches-everywhere": partial(pst, shift_type="all"),
    "pst-2d": partial(pst, shifting=()),
    **{f"swin-{frames}": partial(video_swin, frames) for frames in inputs.WINDOW_FRAMES},
}
"""Name in pst.json -> the official network."""


def run(network: nn.Module) -> tuple[dict[str, list[int]], dict[str, list[int]], list[list[float]]]:
    """(shapes of the parameters, shapes of the buffers, logits), in double precision: rounding would be the larger part
    of what two codes differ by."""
    network.eval().double()
    shapes = {name: list(parameter.shape) for name, parameter in network.named_parameters()}
    buffers = {name: list(buffer.shape) for name, buffer in network.named_buffers()}
    drawn = draw.weights(shapes, sharpness=inputs.SHARPNESS)
    state = {key: torch.from_numpy(values) for key, values in drawn.items()}
    network.load_state_dict({**network.state_dict(), **state})
    clips = draw.clips(count=inputs.NUM_CLIPS, num_frames=inputs.NUM_FRAMES, img_size=inputs.SIZES["img_size"])
    with torch.no_grad():
        return shapes, buffers, network(torch.from_numpy(clips).double()).tolist()


def patch_shift(*, back: bool) -> list[list[int]]:
    """For every frame and patch of a window the number t * 49 + n of the token that PatchShift puts there."""
    official = importlib.import_module(f"{BACKBONES}.swin_transformer2d_tps")
    tokens = torch.arange(T * 49).view(T, 1, 49, 1)
    shifted: list[list[int]] = official.PatchShift.shift(
        tokens, fold_div=1, inv=back, ratio=1, batch_size=1, frame_len=T
    )[:, 0, :, 0].tolist()
    return shifted


def commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", required=True, type=Path, help="checkout of the official PST code")
    options = parser.parse_args()
    stand_in_for_mmcv(options.official)
    shapes: dict[str, dict[str, list[int]]] = {}
    buffers: dict[str, dict[str, list[int]]] = {}
    logits = {}
    for name, build in NETWORKS.items():
        family = name if name.startswith("swin") else "pst"
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            found, others, logits[name] = run(Recognizer(build()))
        assert shapes.setdefault(family, found) == found and buffers.setdefault(family, others) == others, name
    golden = {
        "source": "https://github.com/MartinXM/TPS",
        "commit": commit(options.official),
        "torch": torch.__version__,
        "logits": logits,
        "shift": patch_shift(back=False),
        "shift_back": patch_shift(back=True),
        "shapes": shapes,
        "buffers": buffers,
    }
    path = Path(__file__).with_name("pst.json")
    # One key of a state dict or one frame a line, not one number.
    flat = re.sub(r"\[([^\[\]]+)\]", lambda found: f"[{' '.join(found[1].split())}]", json.dumps(golden, indent=1))
    path.write_text(flat + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
