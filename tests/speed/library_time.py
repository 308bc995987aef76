"""Time to read clips with vtbench against torchcodec, decord and pytorchvideo, as ratios from alternating runs.

    python tests/speed/library_time.py [--repeats 15] [--files kinetics-256 ...] [--loads "8 x 32" ...]
    python tests/speed/library_time.py --quick

Makes its own files: pictures that pan by fractions of a pixel, with things that move across them and a little noise.

- kinetics-256, kinetics-720: 340 x 256 and 1280 x 720, H.264 as x264's preset medium has it (3 B-frames, a keyframe
  every 250 frames) with AAC in mp4, 30 frames a second, 10 s
- ssv2: 427 x 240, VP9 in webm, 12 frames a second, 4 s
- ucf: 320 x 240, MPEG-4 part 2 with B-frames in avi, 25 frames a second, 7 s
- short-256: kinetics-720 encoded again at a short side of 256, x264 at CRF 18, a closed group every 12 frames

Two levels. "frames": the distinct frames of a load as uint8. "batch": from the file to float32 crops of 224,
normalised; one crop of a short side of 256, or, for the 30 views, three crops of a short side of 224. pytorchvideo has
no frames by number: its `get_clip` of the clip's time and uniform_temporal_subsample stand for both levels. Its own
transforms do not import with this torchvision, so torchvision's are used for all the others, antialiased bicubic as in
vtbench, on uint8 (for pytorchvideo, which decodes to floats, on floats).

Every case opens its file, since a data set has too many to keep open. The libraries take turns on the same frame
numbers, which are drawn again in each turn. A cell is their time over vtbench's: the median of the turns with quartiles
in CPU seconds, then the median in wall seconds. More than 1 means that vtbench is faster. Everything runs on one
thread. Libraries that are not installed are left out with a line.

To install them: `pip install decord torchcodec`, a torchcodec that matches torch (its README has a table). torchcodec
also needs the shared libraries of FFmpeg 4 to 8, as in the package `ffmpeg` of Debian or conda-forge. To give it the
very FFmpeg that PyAV has, as the fairest comparison does, make links named libavcodec.so.62 and so on to the files in
the folder `av.libs`, which lies beside the package `av`, and put the folder of the links into LD_LIBRARY_PATH.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torchvision.transforms import InterpolationMode, v2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import encoded

from vtbench.datasets.clips import views_of
from vtbench.video.decode import VideoReader
from vtbench.video.sampling import segment_clip, test_clips, train_clip
from vtbench.video.transforms import TestTransform, crop_corners

MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
SIZE = 224
WON = 1.1
"""What is named below the table: libraries that are faster by more than this."""


# -- files ------------------------------------------------------------------------------------------------------------


def pictures(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """uint8 (height, width, 3) each: a pan over a texture, three patches that move across it, and noise."""
    rng = np.random.default_rng(0)
    zoom = height / 256

    def texture(h: int, w: int) -> np.ndarray:
        # Octaves of smooth noise: much at low frequencies and little at high ones, as in photographs.
        total = np.zeros((h, w, 3), np.float32)
        for octave in range(2, 8):
            cell = max(round(zoom * 256 / 2**octave), 1)
            coarse = rng.standard_normal((h // cell + 2, w // cell + 2, 3)).astype(np.float32)
            y, x = np.arange(h) / cell, np.arange(w) / cell
            fy, fx = (y % 1).astype(np.float32)[:, None, None], (x % 1).astype(np.float32)[None, :, None]
            iy, ix = y.astype(int)[:, None], x.astype(int)[None]
            upper = coarse[iy, ix] * (1 - fx) + coarse[iy, ix + 1] * fx
            lower = coarse[iy + 1, ix] * (1 - fx) + coarse[iy + 1, ix + 1] * fx
            total += (upper * (1 - fy) + lower * fy) * (60 / 1.7 ** (octave - 2))
        return total + 128

    def shifted(image: np.ndarray, y: float, x: float, h: int, w: int) -> np.ndarray:
        top, left, fy, fx = int(y), int(x), np.float32(y % 1), np.float32(x % 1)
        part = image[top : top + h + 1, left : left + w + 1]
        rows = part[:-1] * (1 - fy) + part[1:] * fy
        return rows[:, :-1] * (1 - fx) + rows[:, 1:] * fx

    ground = texture(height + round(60 * zoom), width + round(120 * zoom))
    side = round(70 * zoom)
    things = [texture(side + 40, side + 40) for _ in range(4)]
    noise = [rng.normal(0, 5, (height, width, 3)).astype(np.float32) for _ in range(5)]
    for n in range(count):
        wave = np.sin(2 * np.pi * n / 240)
        picture = shifted(ground, 25 * zoom * (1 + wave), 50 * zoom * (1 + np.cos(2 * np.pi * n / 310)), height, width)
        for k, thing in enumerate(things):
            x = round((n * (1.3 + 0.7 * k) * zoom + 130 * k * zoom) % (width - side))
            y = round((0.5 + 0.45 * np.sin(2 * np.pi * n / (90 + 40 * k) + k)) * (height - side))
            picture[y : y + side, x : x + side] = shifted(thing, 20 + 15 * wave, 20 - 15 * wave, side, side)
        yield np.clip(picture + noise[n % 5], 0, 255).astype(np.uint8)


X264 = {"preset": "medium", "crf": "23", "x264-params": "threads=1"}


def kinetics(path: Path, *, width: int, height: int, seconds: float) -> Path:
    shown = pictures(width, height, round(30 * seconds))
    return encoded.encode(path.with_suffix(".mp4"), shown, options=X264, rate=30, sound=True)


def ssv2(path: Path, *, seconds: float) -> Path:
    options = {"deadline": "good", "cpu-used": "3", "crf": "33", "b": "0", "auto-alt-ref": "1", "lag-in-frames": "16"}
    shown = pictures(428, 240, round(12 * seconds))
    cut = (picture[:, :427] for picture in shown)
    return encoded.encode(path.with_suffix(".webm"), cut, codec="libvpx-vp9", options=options, rate=12)


def ucf(path: Path, *, seconds: float) -> Path:
    options = {"bf": "2", "g": "250", "qmin": "4", "qmax": "4", "sc_threshold": "1000000000"}
    shown = pictures(320, 240, round(25 * seconds))
    return encoded.encode(path.with_suffix(".avi"), shown, codec="mpeg4", options=options, rate=25, tag="XVID")


def short_side(path: Path, *, source: Path) -> Path:
    """`source` at a short side of 256, a closed group of pictures every 12 frames."""
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24", width=456, height=256) for frame in container.decode(video=0)]
    options = {
        "preset": "medium",
        "crf": "18",
        "x264-params": "threads=1:keyint=12:min-keyint=12:open-gop=0:scenecut=0",
    }
    return encoded.encode(path.with_suffix(".mp4"), frames, options=options, rate=30, sound=True)


FILES: dict[str, Callable[[Path, float | None], Path]] = {
    "kinetics-256": lambda path, seconds: kinetics(path, width=340, height=256, seconds=seconds or 10),
    "kinetics-720": lambda path, seconds: kinetics(path, width=1280, height=720, seconds=seconds or 10),
    "short-256": lambda path, _: short_side(path, source=path.with_name("kinetics-720.mp4")),
    "ssv2": lambda path, seconds: ssv2(path, seconds=seconds or 4),
    "ucf": lambda path, seconds: ucf(path, seconds=seconds or 7),
}
"""What makes a file, from its path without suffix and its length in seconds, None for its own. short-256 needs
kinetics-720."""


def make_files(folder: Path, names: Sequence[str], *, seconds: float | None = None) -> dict[str, Path]:
    """Name -> file."""
    return {name: next(folder.glob(f"{name}.*"), None) or FILES[name](folder / name, seconds) for name in names}


# -- loads ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """choose(number of frames, rng): frame numbers, (clips, T). short_side, crops: of the batch."""

    choose: Callable[[int, np.random.Generator], np.ndarray]
    short_side: int = 256
    crops: int = 1


LOADS = {
    "8 x 32": Load(lambda n, rng: train_clip(n, num_frames=8, stride=32, rng=rng)[None]),
    "32 x 2": Load(lambda n, rng: train_clip(n, num_frames=32, stride=2, rng=rng)[None]),
    "8 segments": Load(lambda n, rng: segment_clip(n, num_frames=8, rng=rng)[None]),
    "30 views": Load(lambda n, rng: test_clips(n, num_frames=8, stride=32, clips=10), short_side=224, crops=3),
}

Choose = Callable[[int], np.ndarray]
"""From the number of frames to frame numbers, (clips, T)."""


# -- libraries --------------------------------------------------------------------------------------------------------


def vtbench_frames(path: Path, choose: Choose) -> tuple[torch.Tensor, np.ndarray]:
    with VideoReader(path) as reader:
        wanted = choose(reader.num_frames)
        numbers, which = np.unique(wanted, return_inverse=True)
        return torch.from_numpy(reader.frames(numbers)).permute(0, 3, 1, 2), which.reshape(wanted.shape)


def torchcodec_frames(path: Path, choose: Choose) -> tuple[torch.Tensor, np.ndarray]:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="exact")
    wanted = choose(decoder.metadata.num_frames)
    numbers, which = np.unique(wanted, return_inverse=True)
    return decoder.get_frames_at(numbers.tolist()).data, which.reshape(wanted.shape)


def decord_frames(path: Path, choose: Choose) -> tuple[torch.Tensor, np.ndarray]:
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    wanted = choose(len(reader))
    numbers, which = np.unique(wanted, return_inverse=True)
    pixels = torch.from_numpy(reader.get_batch(numbers.tolist()).asnumpy())
    return pixels.permute(0, 3, 1, 2), which.reshape(wanted.shape)


def pytorchvideo_clips(path: Path, choose: Choose) -> list[torch.Tensor]:
    """float32 (C, T, H, W) of each clip, in [0, 255]."""
    from pytorchvideo.data.encoded_video import EncodedVideo

    video = EncodedVideo.from_path(str(path), decode_audio=False)
    with av.open(str(path)) as container:  # to say the frame numbers that the others are asked for in seconds
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
    clips = []
    for numbers in choose(round(float(video.duration) * rate)):
        first, last = numbers.min() / rate, (numbers.max() + 1) / rate
        clip = video.get_clip(first, min(last, float(video.duration)))["video"]
        at = torch.linspace(0, clip.shape[1] - 1, len(numbers)).clamp(0, clip.shape[1] - 1).long()
        clips.append(clip.index_select(1, at))  # uniform_temporal_subsample
    video.close()
    return clips


def torchvision_batch(frames: torch.Tensor, load: Load) -> torch.Tensor:
    """(U, 3, H, W) uint8, or float in [0, 1], to float32 (crops, U, 3, SIZE, SIZE)."""
    frames = v2.functional.resize(frames, [load.short_side], interpolation=InterpolationMode.BICUBIC, antialias=True)
    height, width = frames.shape[-2:]
    crops = []
    for top, left in crop_corners(height, width, SIZE, load.crops):
        crop = v2.functional.crop(frames, top, left, SIZE, SIZE)
        crop = v2.functional.to_dtype(crop, torch.float32, scale=True)
        crops.append(v2.functional.normalize(crop, list(MEAN), list(STD)))
    return torch.stack(crops)


def vtbench_batch(path: Path, choose: Choose, load: Load) -> torch.Tensor:
    frames, which = vtbench_frames(path, choose)
    transform = TestTransform(size=SIZE, short_side=load.short_side, crops=load.crops, mean=MEAN, std=STD)
    return views_of(transform(frames), which)


def with_torchvision(
    read: Callable[[Path, Choose], tuple[torch.Tensor, np.ndarray]], path: Path, choose: Choose, load: Load
) -> torch.Tensor:
    frames, which = read(path, choose)
    return torchvision_batch(frames, load)[:, torch.from_numpy(which)]


def pytorchvideo_batch(path: Path, choose: Choose, load: Load) -> torch.Tensor:
    clips = pytorchvideo_clips(path, choose)
    return torch.stack([torchvision_batch(clip.transpose(0, 1) / 255, load) for clip in clips], dim=1)


FRAMES: dict[str, Callable[[Path, Choose], Any]] = {
    "vtbench": vtbench_frames,
    "torchcodec": torchcodec_frames,
    "decord": decord_frames,
    "pytorchvideo": pytorchvideo_clips,
}
BATCH: dict[str, Callable[[Path, Choose, Load], torch.Tensor]] = {
    "vtbench": vtbench_batch,
    "torchcodec": functools.partial(with_torchvision, torchcodec_frames),
    "decord": functools.partial(with_torchvision, decord_frames),
    "pytorchvideo": pytorchvideo_batch,
}
MODULES = {
    "torchcodec": "torchcodec.decoders",
    "decord": "decord",
    "pytorchvideo": "pytorchvideo.data.encoded_video",
}
SEQUENTIAL = "sequential decode"


def sequential(path: Path) -> None:
    """Every frame with PyAV, none converted."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        assert sum(1 for _ in container.decode(video=0))


def installed(names: Sequence[str]) -> list[str]:
    """vtbench and those of the libraries that are there; a line for each that is not."""
    found = ["vtbench"]
    for name in names:
        try:
            importlib.import_module(MODULES[name])
        except (ImportError, OSError, RuntimeError) as error:  # torchcodec: RuntimeError without FFmpeg's libraries
            print(f"{name} is left out: {' '.join(str(error).split())[:100]}")
        else:
            found.append(name)
    return found


# -- times ------------------------------------------------------------------------------------------------------------


Case = Callable[[np.random.Generator], object]


@dataclass
class Times:
    """Seconds of one case, by turn."""

    cpu: dict[int, float]
    wall: dict[int, float]


def alternate(cases: Mapping[str, Case], repeats: int) -> dict[str, Times]:
    """Run the cases in turn, `repeats` times, each time with equal random numbers for all. The order changes from turn
    to turn. A case that fails is left out from then on, with a line. One that takes more than two seconds has three
    turns."""
    times = {name: Times({}, {}) for name in cases}
    names = list(cases)
    for turn in range(-1, repeats):  # turn -1 warms up
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name not in times or (turn > 2 and times[name].wall[0] > 2):
                continue
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                result = cases[name](np.random.default_rng(max(turn, 0)))
            except Exception as error:
                print(f"{name} fails: {' '.join(str(error).split())[:160]}")
                del times[name]
                continue
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            del result
            if turn >= 0:
                times[name].cpu[turn], times[name].wall[turn] = cpu, wall
    return times


def ratio(other: Times, ours: Times) -> tuple[list[float], float]:
    """Quartiles of the ratios of CPU seconds, and the median of those of wall seconds."""
    ratios = [other.cpu[turn] / ours.cpu[turn] for turn in other.cpu]
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return quartiles, statistics.median(other.wall[turn] / ours.wall[turn] for turn in other.wall)


def cell(other: Times | None, ours: Times) -> str:
    if other is None:
        return "-"
    (low, middle, high), wall = ratio(other, ours)
    return f"{middle:.2f} ({low:.2f} to {high:.2f}), {wall:.2f}"


def cases_of(path: Path, load: Load, level: str, libraries: Sequence[str]) -> dict[str, Case]:
    def run(library: str, rng: np.random.Generator) -> object:
        def choose(count: int) -> np.ndarray:
            return load.choose(count, rng)

        return FRAMES[library](path, choose) if level == "frames" else BATCH[library](path, choose, load)

    cases: dict[str, Case] = {SEQUENTIAL: lambda _: sequential(path)}
    return cases | {library: functools.partial(run, library) for library in libraries}


def measure(files: Mapping[str, Path], loads: Sequence[str], libraries: Sequence[str], repeats: int) -> None:
    """Print the table."""
    others = libraries[1:]
    print("\n| file | load | level | vtbench, CPU ms | of a sequential decode | " + " | ".join(others) + " |")
    print("| --- | --- | --- | ---: | ---: |" + " --- |" * len(others))
    lost = []
    for file, path in files.items():
        for name in loads:
            for level in ("frames", "batch"):
                times = alternate(cases_of(path, LOADS[name], level, libraries), repeats)
                ours = times["vtbench"]
                share = 1 / ratio(times[SEQUENTIAL], ours)[0][1]
                cells = [cell(times.get(library), ours) for library in others]
                row = [file, name, level, f"{1e3 * statistics.median(ours.cpu.values()):.1f}", f"{share:.2f}", *cells]
                print("| " + " | ".join(row) + " |", flush=True)
                for library in others:
                    if library in times and (won := 1 / ratio(times[library], ours)[0][1]) > WON:
                        lost.append(f"{library} is {won:.2f} times as fast as vtbench: {file}, {name}, {level}")
    if others:
        print("\n" + "\n".join(lost or [f"No library is more than {WON - 1:.0%} faster than vtbench anywhere."]))


def measure_short_side(files: Mapping[str, Path], repeats: int) -> None:
    """A clip from the file of 720 lines against one from its copy of 256."""
    names = ("kinetics-720", "short-256")
    cases = {name: cases_of(files[name], LOADS["8 x 32"], "batch", ["vtbench"])["vtbench"] for name in names}
    times = alternate(cases, repeats)
    text = cell(times["kinetics-720"], times["short-256"])
    print(f"\n8 x 32, batch: kinetics-720 takes {text} times as long as short-256.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="turns (default: 15)")
    parser.add_argument("--files", nargs="+", choices=list(FILES), default=list(FILES))
    parser.add_argument("--loads", nargs="+", choices=list(LOADS), default=list(LOADS))
    parser.add_argument("--against", nargs="*", choices=list(MODULES), default=list(MODULES))
    parser.add_argument("--folder", type=Path, help="where the files are kept; those that are there are taken")
    parser.add_argument("--quick", action="store_true", help="a try: two seconds of small files, two turns")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    libraries = installed(given.against)
    if given.quick:
        given.files, given.loads, given.repeats = ["kinetics-256", "ssv2", "ucf"], ["8 x 32", "30 views"], 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        files = make_files(folder, given.files, seconds=2 if given.quick else None)
        for name, path in files.items():
            print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")
        measure(files, given.loads, libraries, given.repeats)
        if {"kinetics-720", "short-256"} <= set(files):
            measure_short_side(files, given.repeats)


if __name__ == "__main__":
    main()
