"""Small encoded videos whose frames carry their own number, in the kinds of file people have."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS, CELL = 8, 12  # frame numbers below 256, in cells large enough to survive any codec
WIDTH, HEIGHT = BITS * CELL, 64


def numbered_frame(number: int) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH, 3): a band with the number in binary, over a texture that moves with it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame = np.stack(
        [(x * 3 + number * 5) % 256, (y * 4 + number * 3) % 256, (x + y + number * 7) % 256], axis=-1
    ).astype(np.uint8)
    for bit in range(BITS):
        frame[: 2 * CELL, bit * CELL : (bit + 1) * CELL] = 235 if number >> bit & 1 else 20
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number in a frame made by `numbered_frame`, after coding."""
    cells = [frame[3 : 2 * CELL - 3, bit * CELL + 3 : (bit + 1) * CELL - 3].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, level in enumerate(cells) if level > 128)


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rate: int = 25,
    pts: Sequence[int] | None = None,
    sound: bool = False,
    pix_fmt: str = "yuv420p",
    tag: str | None = None,
) -> Path:
    """Write frames (uint8 (H, W, 3) each) to `path`; pts in units of 1/rate seconds, 0, 1, 2, ... unless given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = None
        count = 0
        for frame, stamp in zip(frames, itertools.count() if pts is None else pts, strict=False):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = Fraction(1, rate)
                stream.codec_context.thread_count = 1
                if tag:
                    stream.codec_context.codec_tag = tag
                audio = out.add_stream("aac", rate=16000, layout="mono") if sound else None
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = stamp, Fraction(1, rate)
            out.mux(stream.encode(picture))
            count += 1
        assert stream is not None
        out.mux(stream.encode(None))
        if audio is not None:
            write_tone(out, audio, seconds=count / rate)
    return path


def with_empty_track(path: Path) -> Path:
    """An mpeg-ts of 20 frames that announces a track of sound and has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=25, options=x264(12))
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        out.add_stream("aac", rate=16000, layout="mono")
        for frame in numbered(20):
            out.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(picture.encode(None))
    return path


def write_tone(out: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    wave = 0.1 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * 16000)) / 16000)
    sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
    sound.sample_rate, sound.pts = 16000, 0
    out.mux(stream.encode(sound))
    out.mux(stream.encode(None))


def x264(keyint: int, *more: str) -> dict[str, str]:
    """Options for an H.264 stream with a keyframe every `keyint` frames and x264's usual B-frames."""
    return {"preset": "veryfast", "x264-params": ":".join([f"keyint={keyint}", "scenecut=0", "threads=1", *more])}


def numbered(n: int) -> Iterable[np.ndarray]:
    return (numbered_frame(i) for i in range(n))


def copied(source: Path, target: Path, *, first_key: int = 0, in_coding_order: bool = False) -> Path:
    """Packets of `source` from its keyframe number `first_key` on, without decoding. With `in_coding_order` their
    stamps are those of the order of coding, as a copy from avi leaves them."""
    with av.open(str(source)) as src, av.open(str(target), "w") as out:
        stream = src.streams.video[0]
        copy = out.add_stream_from_template(stream)
        keys = 0
        for count, packet in enumerate(packet for packet in src.demux(stream) if packet.size):
            keys += packet.is_keyframe
            if keys <= first_key:
                continue
            if in_coding_order:
                ticks = round(1 / (25 * packet.time_base))
                packet.pts = packet.dts = count * ticks
            packet.stream = copy
            out.mux(packet)
    return target


def remux_from(source: Path, target: Path, seconds: float) -> Path:
    """Copy `source` from a time on without decoding, as `ffmpeg -ss T -c copy` does: packets from the keyframe before
    T, and an edit list that hides those shown before T."""
    with (
        av.open(str(source)) as src,
        av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as out,
    ):
        stream = src.streams.video[0]
        copy = out.add_stream_from_template(stream)
        cut = round(seconds / stream.time_base)
        src.seek(cut, stream=stream)
        for packet in src.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= cut
            packet.dts -= cut
            packet.stream = copy
            out.mux(packet)
    return target
