"""Do two worker processes load twice as fast as one, and does the memory of a worker stay flat?

    python tests/speed/worker_time.py [--clips 2000] [--turns 5]

Loads training clips of 8 frames at stride 32, one a batch, crops of 224 from a short side of 256, nothing kept between
clips. The files are those of library_time.py (kinetics-256, ssv2 and ucf, 2 s each, so that many clips can be read), as
frames; and MPEG-4 files in groups of 12, as I-frames, motion, residuals and audio.

Speed: one and two workers take turns. Clips a second count from the first clip on. They mean something only on a
machine with two free cores; the CPU milliseconds of a clip, in the workers and in the main process, do so on any. If
two workers spend as much a clip as one, and the main process little, nothing keeps them from being twice as fast.

Memory: of one worker, private and shared pages by their share (PSS) and all (RSS), after a quarter, a half, three
quarters and all of the clips.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import encoded
from compressed_time import moving_pictures, mpeg4
from datamodules import video_data
from library_time import make_files

from vtbench.datasets.module import VideoData

COMPRESSED = ("iframe", "motion", "residual", "audio")


def data(folder: Path, files: list[Path], *, clips: int, workers: int, compressed: bool) -> VideoData:
    """A set of these files in turn, `clips` of them in all."""
    lines = [f"{files[n % len(files)].name},0" for n in range(clips)]
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    module = video_data(
        "videos",
        root=folder,
        num_classes=1,
        num_frames=8,
        stride=None if compressed else 32,
        size=224,
        augment={"short_side": (256, 256), "flip": 0.5},
        batch_size=1,
        num_workers=workers,
        modalities=COMPRESSED if compressed else None,
        motion="previous" if compressed else None,
    )
    module.setup("fit")
    return module


def worker_files(folder: Path, *, compressed: bool) -> list[Path]:
    if not compressed:
        return list(make_files(folder, ["kinetics-256", "ssv2", "ucf"], seconds=2).values())
    path = folder / "compressed.mp4"
    return [encoded.encode(path, moving_pictures(60), codec="mpeg4", options=mpeg4(5), rate=30, sound=True)]


def speed(module: VideoData) -> tuple[float, float, float]:
    """Clips a second; CPU ms a clip in the workers, with what it takes to begin; and in the main process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    loader = module.train_dataloader()
    batches = iter(loader)
    next(batches)
    wall, cpu = time.perf_counter(), time.process_time()
    count = sum(1 for _ in batches)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    loader._iterator._shutdown_workers()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / wall, 1e3 * workers / (count + 1), 1e3 * cpu / count


def memory_mib() -> tuple[float, float]:
    """PSS and RSS of the one worker."""
    (worker,) = multiprocessing.active_children()
    lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return kib["Pss"] / 1024, kib["Rss"] / 1024


def memory(module: VideoData, clips: int) -> Iterator[tuple[int, float, float]]:
    for count, _ in enumerate(module.train_dataloader(), 1):
        if count % (clips // 4) == 0:
            yield count, *memory_mib()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    for compressed in (False, True):
        with tempfile.TemporaryDirectory() as scratch:
            folder, kind = Path(scratch), "compressed" if compressed else "frames"
            files = worker_files(folder, compressed=compressed)
            measured: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
            for _ in range(given.turns):
                for workers, results in measured.items():
                    module = data(folder, files, clips=given.clips // 10, workers=workers, compressed=compressed)
                    results.append(speed(module))
            for workers, results in measured.items():
                rate, inside, outside = (statistics.median(values) for values in zip(*results, strict=True))
                cost = f"CPU ms a clip {inside:.1f}, main process {outside:.1f}"
                print(f"{kind}, {workers} at work: {rate:.1f} clips/s, {cost}")
            pairs = list(zip(*measured.values(), strict=True))
            rate, cost_ratio = (statistics.median(two[k] / one[k] for one, two in pairs) for k in (0, 1))
            print(f"{kind}, two over one: {rate:.2f} clips/s, {cost_ratio:.2f} CPU ms a clip")
            module = data(folder, files, clips=given.clips, workers=1, compressed=compressed)
            first = 0.0
            for count, pss, rss in memory(module, given.clips):
                first = first or pss
                print(f"{kind}, after {count} clips: PSS {pss:.1f} MiB, RSS {rss:.1f} MiB, {pss / first - 1:+.1%}")


if __name__ == "__main__":
    main()
