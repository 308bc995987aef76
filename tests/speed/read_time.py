"""Time to read clips against plain sequential decoding of the same file, as ratios from alternating runs.

    python tests/speed/read_time.py [--repeats 5]

Makes its own 10-second H.264 + AAC file (340 x 256, 300 frames, one keyframe per 250 frames, 3 B-frames). The reference
decodes every frame with PyAV, one thread, and converts none. `8x32` is one training clip up to the pixels; `30 views`
is the decode that serves 10 clips x 3 crops; `30 views, transformed` adds resize, crops and normalisation.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import torch

sys.path.extend([str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])])

import encoded

from vtbench.video import sampling, transforms
from vtbench.video.decode import VideoReader

NUM_FRAMES = 300


def moving_pictures() -> Iterator[np.ndarray]:
    """A pan over a fixed random texture with coarse and fine detail."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 60, (600, 1000, 3))
    coarse = np.kron(rng.integers(0, 180, (38, 63, 3)), np.ones((16, 16, 1), int))[:600, :1000]
    for n in range(NUM_FRAMES):
        y, x = n % 300, (2 * n) % 600
        yield (fine + coarse)[y : y + 256, x : x + 340].astype(np.uint8)


def sequential(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        assert sum(1 for _ in container.decode(video=0)) == NUM_FRAMES


def clip(path: Path) -> None:
    with VideoReader(path) as reader:
        rng = np.random.default_rng(0)
        reader.frames(sampling.train_clip(reader.num_frames, num_frames=8, stride=32, rng=rng))


def views(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with VideoReader(path) as reader:
        asked = sampling.test_clips(reader.num_frames, num_frames=8, stride=32, clips=10)
        numbers, which = np.unique(asked, return_inverse=True)
        return reader.frames(numbers), which.reshape(asked.shape)


def views_transformed(path: Path) -> None:
    frames, which = views(path)
    crops = transforms.TestTransform(size=224, short_side=224, crops=3)(torch.from_numpy(frames).permute(0, 3, 1, 2))
    assert crops[:, torch.from_numpy(which)].shape == (3, 10, 8, 3, 224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    cases: dict[str, Callable[[Path], object]] = {
        "sequential decode": sequential,
        "8x32": clip,
        "30 views": views,
        "30 views, transformed": views_transformed,
    }
    with tempfile.TemporaryDirectory() as folder:
        options = {"preset": "veryfast", "x264-params": "keyint=250:bframes=3:threads=1", "crf": "23"}
        path = encoded.encode(Path(folder) / "a.mp4", moving_pictures(), options=options, rate=30, sound=True)
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(repeats):
            for name, case in cases.items():
                start = time.process_time()
                case(path)
                seconds[name].append(time.process_time() - start)
    print(f"{'':24} {'ms (CPU)':>9} {'ratio':>6}   best of {repeats}; ratio: median over alternating runs")
    for name, values in seconds.items():
        ratio = statistics.median(v / s for v, s in zip(values, seconds["sequential decode"], strict=True))
        print(f"{name:24} {1e3 * min(values):9.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
