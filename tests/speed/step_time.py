"""Training steps side by side on this machine's CPU, as ratios: MSCA-KV and TokenShift over the frame-wise ViT, and
TokenShift over the official code.

    python tests/speed/step_time.py --official <checkout of VideoNetworks/TokShift-Transformer>

Every round takes one step (forward, cross-entropy, backward, SGD with momentum) of every network, in a new random
order, so that a slow spell of the machine meets all of them alike; a ratio is taken within its round. Printed are the
median over the rounds, the quartiles, and the ratio of the fastest steps. Needs nothing else running and, at the
default size, 6 GB of memory. Not a test: pytest does not collect it.

Targets (ViT-B/16, 8 frames of 224 pixels): MSCA-KV / ViT and TokenShift / ViT at most 1.03, TokenShift / official at
most 0.9.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from vtbench.models import build

NUM_CLASSES = 400


def official_tokenshift(checkout: Path, options: argparse.Namespace) -> nn.Module:
    """The official TokShift network at the sizes of `options`, from a checkout of the official code."""
    if not (checkout / "vit_models" / "modeling_tokshift.py").is_file():
        sys.exit(f"{checkout}: no vit_models/modeling_tokshift.py; clone VideoNetworks/TokShift-Transformer")
    # At the end of the path: the checkout has an old timm of its own, which must not be found before the installed one.
    sys.path.append(str(checkout))
    try:
        from model.video_net import VideoNet
        from vit_models import modeling_tokshift
    except ModuleNotFoundError as e:
        sys.exit(
            f"the official code needs '{e.name}', which vtbench does not: pip install --target extra {e.name} and run "
            "again with PYTHONPATH=extra"
        )
    config = modeling_tokshift.configs.get_b16_config()
    config.patches.size = (options.patch_size, options.patch_size)
    config.hidden_size = options.embed_dim
    config.transformer.mlp_dim = 4 * options.embed_dim
    config.transformer.num_heads = options.num_heads
    config.transformer.num_layers = options.depth
    modeling_tokshift.CONFIGS["ViT-timed"] = config
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a line per block
        return VideoNet(
            NUM_CLASSES,
            options.frames,
            "RGB",
            backbone="ViT-timed",
            net="TokShift",
            partial_bn=False,
            is_shift=True,
            shift_div=4,
            vit_img_size=options.size,
        )


def step(network: nn.Module, options: argparse.Namespace) -> Callable[[], float]:
    """A function that takes one training step and returns its wall time in seconds."""
    network.train()  # as a statement: the official method returns nothing
    clips = torch.randn(options.batch, options.frames, 3, options.size, options.size)
    labels = torch.randint(NUM_CLASSES, (options.batch,))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def take() -> float:
        begin = time.perf_counter()
        nn.functional.cross_entropy(network(clips), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - begin

    return take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, help="checkout of the official TokenShift code")
    parser.add_argument("--embed-dim", type=int, default=768)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--num-heads", type=int, default=12)
    parser.add_argument("--patch-size", type=int, default=16)
    parser.add_argument("--size", type=int, default=224, help="pixels per side")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1, help="clips per step")
    parser.add_argument("--repeats", type=int, default=15, help="rounds that count, after one that does not")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    sizes = {
        "num_classes": NUM_CLASSES,
        "num_frames": options.frames,
        "img_size": options.size,
        "patch_size": options.patch_size,
        "embed_dim": options.embed_dim,
        "depth": options.depth,
        "num_heads": options.num_heads,
    }
    networks = {
        "ViT": build("vit", **sizes),
        "MSCA-KV": build("msca", **sizes, shifted="kv", backward_heads=1, forward_heads=1),
        "TokenShift": build("tokenshift", **sizes),
    }
    ratios = [("MSCA-KV", "ViT", 1.03), ("TokenShift", "ViT", 1.03)]
    if options.official:
        networks["official TokenShift"] = official_tokenshift(options.official, options)
        ratios.append(("TokenShift", "official TokenShift", 0.9))

    steps = {name: step(network, options) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(options.repeats + 1):
        for name in random.sample(list(steps), len(steps)):
            duration = steps[name]()
            if repeat:
                seconds[name].append(duration)
        print(f"\rround {repeat} of {options.repeats}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)

    print(
        f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}: width {options.embed_dim}, depth "
        f"{options.depth}, {options.batch} x {options.frames} x {options.size} px, {options.repeats} rounds"
    )
    for name, durations in seconds.items():
        print(f"{name:20} median {statistics.median(durations):8.3f} s a step, fastest {min(durations):8.3f} s")
    for name, reference, target in ratios:
        rounds = [a / b for a, b in zip(seconds[name], seconds[reference], strict=True)]
        low, middle, high = statistics.quantiles(rounds, n=4) if len(rounds) > 1 else rounds * 3
        fastest = min(seconds[name]) / min(seconds[reference])
        print(
            f"{name + ' / ' + reference:32} median {middle:.3f} (quartiles {low:.3f} to {high:.3f}), "
            f"fastest {fastest:.3f}; target at most {target}"
        )


if __name__ == "__main__":
    main()
