"""Write crops.json: pixels of test crops as the official codes of LAPS and PST cut them.

    PYTHONPATH=extra python tests/golden/generate_crops.py \
        --laps <checkout of VideoNetworks/LAPS-transformer> --pst <checkout of MartinXM/TPS>

PST's code needs `mmcv` (`pip install --target extra mmcv-lite mmengine-lite opencv-python-headless addict yapf`), which
vtbench does not; of its augmentations.py only the classes that resize and crop are run. Nothing of them is copied; the
file says which commits were run.
"""

from __future__ import annotations

import argparse
import ast
import json
import types
import warnings
from pathlib import Path
from typing import Any

import draw
import mmcv
import mmengine
import numpy as np
import torch
from generate_clips import git, module_of
from torch.nn.modules.utils import _pair

CLASSES = ("_init_lazy_if_proper", "RandomCrop", "CenterCrop", "ThreeCrop", "Resize")


def laps(code: Any, picture: np.ndarray) -> list[Any]:
    """Left, centre and right crop of 224 of a short side of 224."""
    frames = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    frames, _ = code.random_short_side_scale_jitter(frames, 224, 224)
    return [code.uniform_crop(frames, 224, number)[0][0].permute(1, 2, 0).numpy() for number in range(3)]


def pst(code: Any, picture: np.ndarray) -> list[Any]:
    """Left, centre and right crop of 224 of a short side of 224, and the centre of one of 256."""

    def cut(short_side: int, crop: Any) -> list[np.ndarray]:
        results = {"imgs": [picture], "img_shape": picture.shape[:2], "modality": "RGB"}
        return crop(code.Resize(scale=(-1, short_side))(results))["imgs"]

    left, right, middle = cut(224, code.ThreeCrop(224))
    return [left, middle, right, *cut(256, code.CenterCrop(224))]


def classes(source: str) -> types.SimpleNamespace:
    """What is run of augmentations.py."""
    body = [node for node in ast.parse(source).body if getattr(node, "name", "") in CLASSES]
    for node in body:
        node.decorator_list = []  # type: ignore[attr-defined]
    mmcv.is_tuple_of = mmengine.is_tuple_of  # moved there since
    names: dict[str, Any] = {"np": np, "mmcv": mmcv, "warnings": warnings, "_pair": _pair}
    exec(compile(ast.Module(body, []), "augmentations.py", "exec"), names)
    return types.SimpleNamespace(**names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laps", type=Path, required=True)
    parser.add_argument("--pst", type=Path, required=True)
    given = parser.parse_args()
    codes = {
        "laps": (laps, module_of(given.laps, "data/transform.py")),
        "pst": (pst, classes(git(given.pst, "show", "HEAD:mmaction/datasets/pipelines/augmentations.py"))),
    }
    golden: dict[str, Any] = {
        name: {
            "commit": git(getattr(given, name), "rev-parse", "HEAD").strip(),
            "pixels": {
                f"{height}x{width}": [
                    np.round(draw.grid(crop).astype(float), 3).tolist()
                    for crop in run(code, draw.picture(height, width))
                ]
                for height, width in draw.PICTURE_SIZES
            },
        }
        for name, (run, code) in codes.items()
    }
    Path(__file__).with_name("crops.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
