"""Training steps (or, with --infer, forward passes) side by side on this machine's CPU, as ratios: the networks of one
paper over the frame-wise network that they start from, and over their official code, which `vtbench speed` does not
know.

    python tests/speed/step_time.py msca --official <checkout of VideoNetworks/TokShift-Transformer>
    python tests/speed/step_time.py laps --official-laps <checkout of VideoNetworks/LAPS-transformer>
    python tests/speed/step_time.py pst --official-pst <checkout of MartinXM/TPS> [--infer]

Every round takes one step (forward, cross-entropy, backward, SGD with momentum) of every network, in a new random
order, so that a slow spell of the machine meets all of them alike; a ratio is taken within its round. Printed are the
median over the rounds, the quartiles, and the ratio of the fastest steps. Needs nothing else running and, at the
default size, 6 GB of memory. Not a test: pytest does not collect it.

Targets, for 8 frames of 224 pixels, of PST 32:
- msca (ViT-B/16): MSCA-KV / ViT and TokenShift / ViT at most 1.03, TokenShift / official at most 0.9;
- laps (Visformer-S): P-Shift / Base2D at most 1.03, LA at most 1.10, LAPS at most 1.12, LAPS / official at most 0.95;
- pst (Swin-T): PST-T / 2D Swin-T at most 1.07 (the paper's own, of the latency), PST-T / official at most 0.95.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from vtbench.models import build

NUM_CLASSES = 400
Compared = tuple[dict[str, nn.Module], list[tuple[str, str, float | None]]]
"""The networks by name, and (network, reference, largest ratio aimed at)."""


def add_checkout(checkout: Path, part: str) -> None:
    """Make an official checkout importable, of which `part` is a file."""
    if not (checkout / part).is_file():
        sys.exit(f"{checkout}: no {part}; clone the repository that --help names")
    # At the end of the path: the checkouts have an old timm of their own, which must not be found before the installed.
    sys.path.append(str(checkout))


def official_tokenshift(options: argparse.Namespace) -> nn.Module:
    """The official TokShift network at the sizes of `options`."""
    add_checkout(options.official, "vit_models/modeling_tokshift.py")
    from model.video_net import VideoNet
    from vit_models import modeling_tokshift

    config = modeling_tokshift.configs.get_b16_config()
    config.patches.size = (options.patch_size, options.patch_size)
    config.hidden_size = options.embed_dim
    config.transformer.mlp_dim = 4 * options.embed_dim
    config.transformer.num_heads = options.num_heads
    config.transformer.num_layers = options.depth
    modeling_tokshift.CONFIGS["ViT-timed"] = config
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


def msca(options: argparse.Namespace) -> Compared:
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
    ratios: list[tuple[str, str, float | None]] = [("MSCA-KV", "ViT", 1.03), ("TokenShift", "ViT", 1.03)]
    if options.official:
        networks["official TokenShift"] = official_tokenshift(options)
        ratios.append(("TokenShift", "official TokenShift", 0.9))
    return networks, ratios


def official_laps(net: str, options: argparse.Namespace) -> nn.Module:
    """The official network `net` on Visformer-S, with the paper's levels and share of shifted channels."""
    from model.video_net import VideoNet

    backbone = {224: "visformer_small", 320: "visformer_small_hr", 360: "visformer_small_er"}.get(options.size)
    if backbone is None:
        sys.exit(f"--size {options.size}: the official code has 224, 320 and 360")
    levels = SimpleNamespace(S2_SKIP_LEVEL=[1, 2, 3, 1], S3_SKIP_LEVEL=[2, 3, 1, 2])
    cfg = SimpleNamespace(MODEL=levels)
    return VideoNet(NUM_CLASSES, options.frames, "RGB", backbone=backbone, net=net, fold_div=8, cfg=cfg)


def laps(options: argparse.Namespace) -> Compared:
    sizes = {"num_classes": NUM_CLASSES, "num_frames": options.frames, "img_size": options.size}
    networks = {
        "Base2D": build("visformer", **sizes),
        "plain shift": build("laps_visformer", **sizes, attention="framewise", shift="plain"),
        "P-Shift": build("laps_visformer", **sizes, attention="framewise"),
        "LA": build("laps_visformer", **sizes, shift="none"),
        "LAPS": build("laps_visformer", **sizes),
        "Base3D": build("laps_visformer", **sizes, attention="joint", shift="none"),
    }
    targets = {"plain shift": None, "P-Shift": 1.03, "LA": 1.10, "LAPS": 1.12, "Base3D": None}
    ratios: list[tuple[str, str, float | None]] = [(name, "Base2D", target) for name, target in targets.items()]
    if options.official_laps:
        add_checkout(options.official_laps, "visformer/models_LAPS.py")
        networks["official LAPS"] = official_laps("Visformer_LAPS", options)
        networks["official Base2D"] = official_laps("Visformer", options)
        ratios += [("LAPS", "official LAPS", 0.95), ("Base2D", "official Base2D", None)]
    return networks, ratios


def official_pst(options: argparse.Namespace) -> nn.Module:
    """The official PST-T, and the mean and linear layer of its head."""
    if (options.frames, options.size) != (32, 224):
        sys.exit(f"--frames {options.frames} --size {options.size}: the official code has 32 frames of 224 pixels")
    if not (options.official_pst / "mmaction/models/backbones/swin_transformer2d_tps.py").is_file():
        sys.exit(
            f"{options.official_pst}: no backbone swin_transformer2d_tps.py; clone the repository that --help names"
        )
    sys.path.append(str(Path(__file__).parents[1] / "golden"))
    from generate_pst import BACKBONES, stand_in_for_mmcv

    stand_in_for_mmcv(options.official_pst)
    backbone = importlib.import_module(f"{BACKBONES}.swin_transformer2d_tps").SwinTransformer2D_TPS(
        patch_size=(2, 4, 4), window_size=(1, 7, 7), patch_norm=True, drop_path_rate=0.1
    )

    class Official(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = backbone, nn.Linear(768, NUM_CLASSES)

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return self.head(self.backbone(clips.transpose(1, 2)).mean(dim=(2, 3, 4)))

    return Official()


def pst(options: argparse.Namespace) -> Compared:
    sizes = {"num_classes": NUM_CLASSES, "num_frames": options.frames, "img_size": options.size}
    networks = {
        "2D Swin-T": build("swin", **sizes),
        "PST-T": build("pst", **sizes),
        "patch-only": build("pst", **sizes, channel_shift=0.0),
        "channel-only": build("pst", **sizes, pattern="none"),
        "Joint": build("swin", **sizes, window_frames=options.frames // 2),
    }
    targets = {"PST-T": 1.07, "patch-only": None, "channel-only": None, "Joint": None}
    ratios: list[tuple[str, str, float | None]] = [(name, "2D Swin-T", target) for name, target in targets.items()]
    if options.official_pst:
        networks["official PST-T"] = official_pst(options)
        ratios.append(("PST-T", "official PST-T", 0.95))
    return networks, ratios


def step(network: nn.Module, options: argparse.Namespace) -> Callable[[], float]:
    """A function that takes one training step, or one forward pass, and returns its wall time in seconds."""
    network.train(not options.infer)  # as a statement: the official method returns nothing
    clips = torch.randn(options.batch, options.frames, 3, options.size, options.size)
    labels = torch.randint(NUM_CLASSES, (options.batch,))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def infer() -> float:
        begin = time.perf_counter()
        with torch.inference_mode():
            network(clips)
        return time.perf_counter() - begin

    def take() -> float:
        begin = time.perf_counter()
        nn.functional.cross_entropy(network(clips), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - begin

    return infer if options.infer else take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    papers = parser.add_subparsers(required=True)
    for paper in (msca, laps, pst):
        arguments = papers.add_parser(paper.__name__)
        arguments.set_defaults(paper=paper)
        arguments.add_argument("--size", type=int, default=224, help="pixels per side")
        arguments.add_argument("--frames", type=int, default=32 if paper is pst else 8)
        arguments.add_argument("--infer", action="store_true", help="forward passes instead of training steps")
        arguments.add_argument("--batch", type=int, default=1, help="clips per step")
        arguments.add_argument("--repeats", type=int, default=15, help="rounds that count, after one that does not")
        arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
        if paper is msca:
            arguments.add_argument("--official", type=Path, help="checkout of VideoNetworks/TokShift-Transformer")
            arguments.add_argument("--embed-dim", type=int, default=768)
            arguments.add_argument("--depth", type=int, default=12)
            arguments.add_argument("--num-heads", type=int, default=12)
            arguments.add_argument("--patch-size", type=int, default=16)
        elif paper is laps:
            arguments.add_argument("--official-laps", type=Path, help="checkout of VideoNetworks/LAPS-transformer")
        else:
            arguments.add_argument("--official-pst", type=Path, help="checkout of MartinXM/TPS")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the official codes print a line per block
            networks, ratios = options.paper(options)
    except ModuleNotFoundError as e:
        sys.exit(
            f"the official code needs '{e.name}', which vtbench does not: pip install --target extra {e.name} and run "
            "again with PYTHONPATH=extra"
        )

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
        f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}: {' '.join(sys.argv[1:])}: "
        f"{options.batch} x {options.frames} x {options.size} px, {options.repeats} rounds"
    )
    for name, durations in seconds.items():
        print(f"{name:20} median {statistics.median(durations):8.3f} s, fastest {min(durations):8.3f} s")
    for name, reference, target in ratios:
        rounds = [a / b for a, b in zip(seconds[name], seconds[reference], strict=True)]
        low, middle, high = statistics.quantiles(rounds, n=4) if len(rounds) > 1 else rounds * 3
        fastest = min(seconds[name]) / min(seconds[reference])
        print(
            f"{name + ' / ' + reference:32} median {middle:.3f} (quartiles {low:.3f} to {high:.3f}), "
            f"fastest {fastest:.3f}{f'; target at most {target}' if target else ''}"
        )


if __name__ == "__main__":
    main()
