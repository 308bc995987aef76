"""Training steps in float32, bfloat16 and compiled, in turns, as ratios; and how busy the device is with the loader.

    python tests/speed/gpu_steps.py [--device cuda] [--scale paper] [--rows msca/table2:msca-kv laps/table1:laps ...]

A step is forward, cross-entropy, backward and SGD with momentum on `--batch` clips that lie on the device. Every round
takes a step of every kind, in a new random order; printed are medians and the ratio within a round. With the loader,
clips are decoded from H.264 files by `--workers` processes, and the share of the time that the device computes is
printed: steps alone over steps with the loader. Not a test: pytest does not collect it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datamodules import video_data
from library_time import make_files

from vtbench.models import build
from vtbench.papers.resolve import measurements
from vtbench.papers.select import select
from vtbench.papers.trainings import Training
from vtbench.run.network import spec_of

ROWS = ("msca/table2:tokenshift", "msca/table2:msca-kv", "laps/table1:laps", "pst/table2e:pst")
KINDS = ("32-true", "bf16-mixed", "bf16-mixed compiled")


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stepper:
    """One network and its optimiser."""

    def __init__(self, training: Training, kind: str, device: torch.device) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = build(**spec_of(training.network)).to(device).train()
        self.device, self.mixed = device, kind.startswith("bf16")
        if kind.endswith("compiled"):
            self.network.compile()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9)

    def step(self, clips: torch.Tensor, labels: torch.Tensor) -> float:
        """Milliseconds of a training step."""
        synchronise(self.device)
        started = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            loss = F.cross_entropy(self.network(clips), labels)
        loss.backward()
        self.optimizer.step()
        synchronise(self.device)
        return (time.perf_counter() - started) * 1000


def compare(selector: str, scale: str, device: torch.device, batch: int, seconds: float, kinds: Sequence[str]) -> None:
    training = measurements(select([selector])[0], scale, 0)[0].evaluation.training  # type: ignore[arg-type]
    data = training.data
    clips = torch.randn(batch, data.num_frames, 3, data.size, data.size, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    steppers = {kind: Stepper(training, kind, device) for kind in kinds}
    for stepper in steppers.values():  # compiles, and allocates
        for _ in range(3):
            stepper.step(clips, labels)
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(taken[kinds[0]]) < 3:
        for kind in random.sample(list(kinds), len(kinds)):
            taken[kind].append(steppers[kind].step(clips, labels))
    for kind in kinds:
        ratio = statistics.median(one / plain for one, plain in zip(taken[kind], taken[kinds[0]], strict=True))
        print(
            f"{selector}: {kind}: {statistics.median(taken[kind]):.2f} ms a step of {batch}, {ratio:.3f} of {kinds[0]}"
        )


def with_loader(selector: str, scale: str, device: torch.device, batch: int, workers: int, steps: int) -> None:
    training = measurements(select([selector])[0], scale, 0)[0].evaluation.training  # type: ignore[arg-type]
    data = training.data
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (file,) = make_files(folder, ["kinetics-256"], seconds=6).values()
        lines = [f"{file.name},0" for _ in range((steps + 3) * batch)]
        for split in ("train", "validation"):
            (folder / f"{split}.csv").write_text("\n".join(["path,label", *lines]) + "\n")
        module = video_data(
            "videos", root=folder, num_classes=1, num_frames=data.num_frames, stride=2, size=data.size,
            augment={"short_side": (data.size, data.size), "flip": 0.5}, batch_size=batch, num_workers=workers,
        )  # fmt: skip
        module.setup("fit")
        stepper, alone, started = Stepper(training, KINDS[1], device), 0.0, 0.0
        for number, (clips, labels) in enumerate(module.train_dataloader()):
            if number == 3:
                alone, started = 0.0, time.perf_counter()
            assert isinstance(clips, torch.Tensor)
            alone += stepper.step(clips.to(device, non_blocking=True), labels.to(device)) / 1000
        whole = time.perf_counter() - started
    print(f"{selector}: with {workers} loader workers: {steps * batch / whole:.1f} clips a second, the device computes "
          f"{alone / whole:.0%} of the time")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--rows", nargs="*", default=ROWS)
    parser.add_argument(
        "--kinds", nargs="*", default=KINDS, metavar="KIND", help="the first is what others are compared with"
    )
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    device = torch.device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}, {args.scale} scale")
    tools: list[Callable[[], None]] = []
    for row in args.rows:
        tools.append(lambda row=row: compare(row, args.scale, device, args.batch, args.seconds, args.kinds))  # type: ignore[misc]
    tools.append(lambda: with_loader(args.rows[0], args.scale, device, args.batch, args.workers, args.steps))
    for tool in tools:
        try:
            tool()
        except Exception as error:  # one that does not work must not keep the others from being measured
            print(f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    main()
