"""Time to read I-frames, motion and residuals against plain decoding of the same frames, as ratios; and how near
motion compensation comes to the decoded frame, per codec.

    python tests/speed/compressed_time.py [--repeats 5] [--seconds 10]

Makes its own files: two textures that move by fractions of a pixel, 340 x 256, 30 frames a second, an I-frame every 12,
no B-frames. Times are CPU seconds of one thread; the cases of a file take turns, and the best of all turns counts.

Eight triplets are one P-frame of each of eight GOPs, drawn anew in each turn, with their vectors and residuals. They
are held against opening the file, seeking to the same eight GOPs and decoding all their frames, and (the harder figure)
only those up to the frame asked for, which nobody can do without. Whole files are held against decoding every frame and
converting none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import encoded

from vtbench.video.compressed import CompressedReader

RATE, HEIGHT, WIDTH = 30, 256, 340
X264 = {"preset": "veryfast", "profile": "baseline", "crf": "23", "x264-params": "keyint=12:ref=1:scenecut=0:threads=1"}


def mpeg4(quantiser: int, flags: str = "") -> dict[str, str]:
    q, trade_off = str(quantiser), str(118 * quantiser)
    fixed = {"qmin": q, "qmax": q, "lmin": trade_off, "lmax": trade_off}
    return {"g": "12", "bf": "0", **fixed} | ({"flags": flags} if flags else {})


# name: file, encoder, its options.
TIMED = {
    "mpeg4 q1": ("q1.mp4", "mpeg4", mpeg4(1)),
    "mpeg4 q5": ("q5.mp4", "mpeg4", mpeg4(5)),
    "h264 crf 23, 1 reference": ("h264.mp4", "libx264", X264),
}
OTHERS = {
    "mpeg4 q5, four vectors": ("4mv.mp4", "mpeg4", mpeg4(5, "+mv4") | {"mbd": "rd"}),
    "mpeg4 q5, quarter pixels": ("qpel.mp4", "mpeg4", mpeg4(5, "+qpel")),
    "flv1 q5": ("flv1.flv", "flv", mpeg4(5)),
    "h263+ q5": ("h263.avi", "h263p", mpeg4(5)),
    "mpeg2 q5": ("mpeg2.mkv", "mpeg2video", mpeg4(5)),
}


def moving_pictures(count: int) -> list[np.ndarray]:
    """Two random textures that move by fractions of a pixel, one seen through a window, and a little noise."""
    side, rng = 512, np.random.default_rng(0)
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    frequency = np.hypot(fy, fx)
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    spectrum *= np.exp(-((frequency / 0.15) ** 2) / 2) / (frequency + 1 / 64)
    scale = 40 / np.fft.irfft2(spectrum).std()

    def moved(x: float, y: float) -> np.ndarray:
        return 128 + scale * np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fx * x + fy * y)))[:HEIGHT, :WIDTH]

    frames = []
    for t in range(count):
        frame, left = moved(2.7 * t, 1.3 * t), 40 + t % 150
        frame[60:160, left : left + 120] = moved(200 - 1.6 * t, 80 + 2.2 * t)[60:160, left : left + 120]
        frame += rng.normal(0, 2, frame.shape)
        colours = np.stack([frame, 0.7 * frame + 30, 255 - 0.8 * frame], axis=-1)
        frames.append(np.clip(colours.round(), 0, 255).astype(np.uint8))
    return frames


def plain(path: Path, stretches: list[tuple[int, int]] | None) -> None:
    """Open and decode all frames, or these stretches, each from an I-frame on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if stretches is None:
            assert sum(1 for _ in container.decode(stream)) > 0
            return
        tick = round(1 / RATE / stream.time_base)
        for first, last in stretches:
            container.seek(first * tick, stream=stream)
            frames = container.decode(stream)
            assert next(frames).pts == first * tick
            for _ in range(last - first - 1):
                next(frames)


def triplets(path: Path, asked: list[int], convention: str, compensation: str = "whole") -> None:
    with CompressedReader(path) as reader:
        reader.triplets(asked, convention=convention, compensation=compensation)  # type: ignore[arg-type]


def every_frame(path: Path, compensation: str | None) -> None:
    with CompressedReader(path) as reader:
        frames = reader.each_motion() if compensation is None else reader.each_triplet(compensation=compensation)  # type: ignore[arg-type]
        assert sum(1 for _ in frames) > 0


def best_times(turns: list[dict[str, Callable[[], None]]]) -> dict[str, float]:
    """Least CPU seconds of each case over the turns."""
    seconds: dict[str, list[float]] = {name: [] for name in turns[0]}
    for cases in turns:
        for name, case in cases.items():
            start = time.process_time()
            case()
            seconds[name].append(time.process_time() - start)
    return {name: min(values) for name, values in seconds.items()}


def print_times(kind: str, path: Path, repeats: int) -> None:
    with CompressedReader(path) as reader:
        gops = [gop for gop in reader.gops if gop[1] - gop[0] == 12]
    print(f"\n{kind}: {path.stat().st_size / 1e6:.1f} MB, {gops[-1][1]} frames of {WIDTH} x {HEIGHT}, GOP 12")
    # All eight positions of frames within their GOPs come evenly, so that turns can be compared.
    rng = np.random.default_rng(0)
    turns: list[dict[str, Callable[[], None]]] = []
    for _ in range(repeats):
        chosen = [gops[k] for k in sorted(rng.choice(len(gops), 8, replace=False))]
        asked = [
            first + int(n) for (first, _), n in zip(chosen, rng.permutation([1, 3, 4, 6, 7, 8, 10, 11]), strict=True)
        ]
        upto = [(first, n + 1) for (first, _), n in zip(chosen, asked, strict=True)]
        turns.append(
            {
                "8 GOPs": lambda chosen=chosen: plain(path, chosen),  # type: ignore[misc]
                "8 GOPs up to the frame": lambda upto=upto: plain(path, upto),  # type: ignore[misc]
                "previous, whole": lambda asked=asked: triplets(path, asked, "previous"),  # type: ignore[misc]
                "previous, bilinear": lambda asked=asked: triplets(path, asked, "previous", "bilinear"),  # type: ignore[misc]
                "iframe": lambda asked=asked: triplets(path, asked, "iframe"),  # type: ignore[misc]
            }
        )
    seconds = best_times(turns)
    whole, upto_seconds = seconds["8 GOPs"], seconds["8 GOPs up to the frame"]
    print(f"  8 triplets            {'ms':>7} {'/ the GOPs':>11} {'/ up to the frame':>18}")
    for name, value in seconds.items():
        print(f"  {name:22}{1e3 * value:6.1f} {value / whole:11.2f} {value / upto_seconds:18.2f}")
    cases: dict[str, Callable[[], None]] = {
        "plain decoding": lambda: plain(path, None),
        "vectors": lambda: every_frame(path, None),
        "and residuals, whole": lambda: every_frame(path, "whole"),
        "and residuals, bilinear": lambda: every_frame(path, "bilinear"),
    }
    seconds = best_times([cases] * repeats)
    print(f"  every frame           {'ms':>7} {'/ decoding':>11}")
    for name, value in seconds.items():
        print(f"  {name:22}{1e3 * value:6.1f} {value / seconds['plain decoding']:11.2f}")


def print_psnr(files: dict[str, Path]) -> None:
    def psnr(difference: np.ndarray) -> float:
        return float(10 * np.log10(255**2 / np.mean(difference.astype(float) ** 2)))

    print(
        f"\nPSNR in dB, RGB, frame 1 to 35    {'previous':>9} {'whole':>6} {'bilinear':>9} {'iframe':>7} {'intra':>6}"
    )
    for kind, path in files.items():
        with CompressedReader(path) as reader:
            asked = [n for first, last in reader.gops for n in range(first + 1, last) if n < 36]
            frames = reader.frames(range(36)).astype(int)
            whole, bilinear = (reader.triplets(asked, compensation=c) for c in ("whole", "bilinear"))  # type: ignore[arg-type]
            back = reader.triplets(asked, convention="iframe")
        previous = psnr(frames[asked] - frames[[n - 1 for n in asked]])
        values = f"{psnr(whole.residuals):6.2f} {psnr(bilinear.residuals):9.2f} {psnr(back.residuals):7.2f}"
        print(f"  {kind:31} {previous:9.2f} {values} {100 * whole.intra.mean():5.1f}%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    frames = moving_pictures(arguments.seconds * RATE)
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for kind, (name, codec, options) in (TIMED | OTHERS).items():
            shown = frames if kind in TIMED else frames[:36]
            files[kind] = encoded.encode(Path(folder) / name, shown, codec=codec, options=options, rate=RATE)
        print_psnr(files)
        for kind in TIMED:
            print_times(kind, files[kind], arguments.repeats)


if __name__ == "__main__":
    main()
