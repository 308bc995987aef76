"""Clips a second that the loader of compressed video gives, against those that the mini network trains on.

    python tests/speed/loader_time.py [--workers 2] [--clips 512] [--data FOLDER]

The set is `bits` (MPEG-4 part 2 and AAC, 80 x 64, 32 frames; made in a temporary folder unless its own is given), the
network that of mmvit/table1:mm-vit-iii-merged at mini scale. Nothing is kept of a file between clips: each is opened,
decoded, compensated and heard anew, as at paper scale; runs at mini scale keep all files in memory. A training step is
the encoder of sound, forward, backward and the optimiser, on one thread as in a run, on batches that lie ready. Last,
one worker on files of the paper's size: 10 s, 340 x 256, 30 frames a second, an I-frame every 12, eight triplets,
crops of 224.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import encoded
from compressed_time import RATE, TIMED, moving_pictures
from datamodules import video_data

from vtbench.datasets.module import VideoData
from vtbench.methods import build_method
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Training
from vtbench.run.assemble import audio_spec
from vtbench.run.network import spec_of

ROW = "mmvit/table1:mm-vit-iii-merged"


def mini_training() -> Training:
    return measurements(select([ROW])[0], "mini")[0].evaluation.training


def bits(training: Training, *, folder: Path, clips: int, workers: int) -> VideoData:
    """The training's data, files read anew for each clip by `workers` processes."""
    data = training.data
    module = video_data(
        data.dataset,
        root=folder,
        num_train=clips,
        num_test=1,
        num_frames=data.num_frames,
        stride=None,
        size=data.size,
        augment={"short_side": training.augment.short_side, "flip": training.augment.flip},
        batch_size=training.train.batch_size,
        num_workers=workers,
        modalities=data.modalities,
        motion=data.motion,
    )
    module.setup("fit")
    return module


def loaded_per_second(module: VideoData) -> float:
    """Clips a second of one epoch, from the first batch on: starting the processes is paid once a training."""
    batches = iter(module.train_dataloader())
    next(batches)
    start = time.perf_counter()
    count = sum(len(labels) for _, labels in batches)
    return count / (time.perf_counter() - start)


def trained_per_second(training: Training, module: VideoData, *, steps: int = 20) -> float:
    """Clips a second that training takes, the best of `steps` steps."""
    torch.set_num_threads(1)
    method = build_method(
        training.train.method,
        spec_of(training.network),
        lr=training.train.lr,
        optimizer="adamw",
        weight_decay=training.train.arguments["weight_decay"],
        epochs=1,
        warmup_epochs=0,
        schedule="cosine",
        label_smoothing=0.0,
        **audio_spec(training.data, None),
    ).train()
    optimizer = torch.optim.AdamW(method.network.parameters(), lr=training.train.lr)
    seconds = []
    for clips, labels in itertools.islice(itertools.cycle(itertools.islice(module.train_dataloader(), 4)), steps):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(method(clips), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return training.train.batch_size / min(seconds)


def paper_sized(folder: Path, kind: str, *, files: int = 8) -> VideoData:
    """A set of one encoded file, listed several times."""
    name, codec, options = TIMED[kind]
    encoded.encode(folder / name, moving_pictures(10 * RATE), codec=codec, options=options, rate=RATE)
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text("path,label\n" + f"{name},0\n" * files)
    module = video_data(
        "videos",
        root=folder,
        num_classes=1,
        num_frames=8,
        stride=None,
        size=224,
        augment={"short_side": (256, 256), "flip": 0.5},
        batch_size=1,
        num_workers=1,
        modalities=("iframe", "motion", "residual", "audio"),
        motion="previous",
    )
    module.setup("fit")
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--data", type=Path, help="folder of the set bits, made there if it is not there")
    arguments = parser.parse_args()
    training = mini_training()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data or Path(scratch) / "bits"
        module = bits(training, folder=folder, clips=arguments.clips, workers=arguments.workers)
        loaded, trained = loaded_per_second(module), trained_per_second(training, module)
        print(f"bits, 80 x 64, 8 triplets with sound, {arguments.workers} workers: {loaded:6.1f} clips/s loaded")
        print(
            f"{ROW} (mini), one thread: {trained:6.1f} clips/s trained on, {loaded / trained:.2f} times as many loaded"
        )
        for kind in TIMED:
            rate = loaded_per_second(paper_sized(Path(scratch), kind, files=16))
            print(f"{kind}, 340 x 256, 8 triplets, silent, crops of 224, 1 worker: {rate:6.1f} clips/s loaded")


if __name__ == "__main__":
    main()
