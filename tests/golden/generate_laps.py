"""Write laps.json: logits of the official LAPS and ResT code at the sizes of laps_inputs.py.

    python tests/golden/generate_laps.py --official <checkout of VideoNetworks/LAPS-transformer> \
        --rest <checkout of wofmanaf/ResT>

Needs torch and, for the official Visformer, einops (`pip install --target extra einops`, then PYTHONPATH=extra), which
is no dependency of vtbench. The checkout's own old timm is used, not the installed one. Nothing of the official code is
copied; the file says which commits were run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import draw
import laps_inputs as inputs
import torch
from torch import nn


def visformer(module: str, **arguments: Any) -> nn.Module:
    """The class Visformer of `visformer/<module>.py`, otherwise as its visformer_small."""
    official = importlib.import_module(f"visformer.{module}")
    sizes = inputs.SIZES["visformer"]
    return official.Visformer(
        img_size=sizes["img_size"],
        init_channels=sizes["init_channels"],
        num_classes=inputs.NUM_CLASSES,
        embed_dim=sizes["embed_dim"],
        depth=sizes["depths"],
        num_heads=sizes["num_heads"],
        attn_stage="011",
        spatial_conv="100",
        norm_layer=official.BatchNorm,
        conv_init=True,
        embedding_norm=official.BatchNorm,
        **arguments,
    )


def rest(module: str, **arguments: Any) -> nn.Module:
    """The class ResT of `<module>.py`, otherwise as its rest_small."""
    sizes = inputs.SIZES["rest"]
    return importlib.import_module(module).ResT(
        num_classes=inputs.NUM_CLASSES,
        embed_dims=[sizes["embed_dim"] * 2**stage for stage in range(4)],
        depths=sizes["depths"],
        qkv_bias=True,
        apply_transform=True,
        **arguments,
    )


def vit(**arguments: Any) -> nn.Module:
    from timm.models import vit_laps

    return vit_laps.VisionTransformer(num_classes=inputs.NUM_CLASSES, **inputs.SIZES["vit"], **arguments)


T = inputs.NUM_FRAMES
LEVELS: dict[str, Any] = {"s2_skip_level": [1, 2, 3, 1], "s3_skip_level": [2, 3, 1, 2]}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "visformer": partial(visformer, "models"),
    "visformer-3d": partial(visformer, "models_base3D", n_seg=T),
    "visformer-plain": partial(visformer, "models_plain_shift", n_seg=T, fold_div=4),
    "visformer-periodic": partial(visformer, "models_periodic_shift", n_seg=T, fold_div=4),
    "visformer-leap": partial(visformer, "models_LAPS", n_seg=T, fold_div=0, **LEVELS),
    "visformer-laps-4": partial(visformer, "models_LAPS", n_seg=T, fold_div=4, **LEVELS),
    "visformer-laps-8": partial(visformer, "models_LAPS", n_seg=T, fold_div=8, **LEVELS),
    "rest": partial(rest, "models.rest"),
    "rest-3d": partial(rest, "Rest.rest_All_T", n_seg=T),
    # ResT's levels count from 0, and every stage begins the list anew.
    "rest-laps-8": partial(rest, "Rest.rest_cyc_t", n_seg=T, fold_div=8, s2_skip_level=[0, 1, 2, 0]),
    "vit-laps-4": partial(vit, n_seg=T, fold_div=4, s2_skip_level=[1, 2, 3, 1]),
}
"""Name in laps.json, beginning with the family -> the official network."""


def shapes_of(network: nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in network.state_dict().items()}


def run(network: nn.Module, img_size: int) -> tuple[dict[str, list[int]], list[list[float]]]:
    """(shapes of the state dict, logits averaged over the frames as model/video_net.py does).

    In double precision: rounding would be the larger part of what two codes differ by.
    """
    network.eval().double()
    shapes = shapes_of(network)
    network.load_state_dict({key: torch.from_numpy(values) for key, values in draw.weights(shapes).items()})
    clips = draw.clips(count=inputs.NUM_CLIPS, num_frames=inputs.NUM_FRAMES, img_size=img_size)
    with torch.no_grad():
        logits = network(torch.from_numpy(clips).double().flatten(0, 1))
    return shapes, logits.unflatten(0, (inputs.NUM_CLIPS, inputs.NUM_FRAMES)).mean(dim=1).tolist()


def commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", required=True, type=Path, help="checkout of the official LAPS code")
    parser.add_argument("--rest", required=True, type=Path, help="checkout of the official ResT code")
    options = parser.parse_args()
    sys.path[:0] = [str(options.official), str(options.rest)]
    shapes: dict[str, dict[str, list[int]]] = {}
    logits = {}
    for name, build in NETWORKS.items():
        family = name.split("-")[0]
        found, logits[name] = run(build(), inputs.SIZES[family]["img_size"])
        assert shapes.setdefault(family, found) == found, name
    shapes["rest_small"] = shapes_of(importlib.import_module("models.rest").rest_small(num_classes=400))
    golden = {
        "source": "https://github.com/VideoNetworks/LAPS-transformer",
        "commit": commit(options.official),
        "rest_source": "https://github.com/wofmanaf/ResT",
        "rest_commit": commit(options.rest),
        "torch": torch.__version__,
        "logits": logits,
        "shapes": shapes,
    }
    path = Path(__file__).with_name("laps.json")
    # One key of a state dict a line, not one number.
    lines = json.dumps(golden, indent=1).replace(",\n    ", ", ").replace("[\n    ", "[").replace("\n   ]", "]")
    path.write_text(lines + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
