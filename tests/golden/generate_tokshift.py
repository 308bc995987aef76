"""Write tokshift.json: logits of the official TokenShift code at the sizes of tokshift_inputs.py.

    python tests/golden/generate_tokshift.py --official <checkout of VideoNetworks/TokShift-Transformer>

Needs torch, scipy and, for the official configurations, ml_collections (`pip install ml_collections`), which is no
dependency of vtbench. Nothing of the official code is copied; the file says which commit was run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import draw
import tokshift_inputs as inputs
import torch

BACKBONE = "ViT-golden"


def run(net: str) -> tuple[dict[str, list[int]], list[list[float]]]:
    """(shapes of the official state dict, logits) of the official network `net`, "ViT" or "TokShift"."""
    if net == "ViT":
        from vit_models import modeling as module
    else:
        from vit_models import modeling_tokshift as module
    from model.video_net import VideoNet

    config = module.configs.get_b16_config()
    config.patches.size = (inputs.SIZES["patch_size"],) * 2
    config.hidden_size = inputs.SIZES["embed_dim"]
    config.transformer.mlp_dim = 4 * inputs.SIZES["embed_dim"]
    config.transformer.num_heads = inputs.SIZES["num_heads"]
    config.transformer.num_layers = inputs.SIZES["depth"]
    module.CONFIGS[BACKBONE] = config
    network = VideoNet(
        inputs.NUM_CLASSES,
        inputs.NUM_FRAMES,
        "RGB",
        backbone=BACKBONE,
        net=net,
        partial_bn=False,
        is_shift=net == "TokShift",
        shift_div=inputs.FOLD_DIV,
        vit_img_size=inputs.SIZES["img_size"],
    )
    network.eval()  # the official method returns nothing
    shapes = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    network.load_state_dict({key: torch.from_numpy(values) for key, values in draw.weights(shapes).items()})
    clips = draw.clips(count=inputs.NUM_CLIPS, num_frames=inputs.NUM_FRAMES, img_size=inputs.SIZES["img_size"])
    with torch.no_grad():
        logits = network(torch.from_numpy(clips))
    return shapes, logits.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", required=True, type=Path, help="checkout of the official code")
    official = parser.parse_args().official
    sys.path.insert(0, str(official))
    commit = subprocess.run(
        ["git", "-C", str(official), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    shapes, vit = run("ViT")
    shapes_tokshift, tokshift = run("TokShift")
    assert shapes == shapes_tokshift
    golden = {
        "source": "https://github.com/VideoNetworks/TokShift-Transformer",
        "commit": commit,
        "torch": torch.__version__,
        "shapes": shapes,
        "logits": {"vit": vit, "tokenshift": tokshift},
    }
    path = Path(__file__).with_name("tokshift.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
