"""Which frames of a video make a clip. Integers only.

A clip of T frames, `stride` apart, starts at some frame of a video of n frames. Three things are rules with names, as
the papers' codes have them differently: which starts training draws (`Starts`), where the clips of a test start
(`TestStarts`), and which frames follow a start (`Spread`). A video that is shorter than a clip starts again.

The codes, whose integers the tests hold these against for every length from 1 to 400:

- TokenShift: github.com/VideoNetworks/TokShift-Transformer at a7abb7e, data/dataset.py
- LAPS: github.com/VideoNetworks/LAPS-transformer at bf1a249, data/decoder.py
- PST: github.com/MartinXM/TPS at e913d2a, mmaction/datasets/pipelines/loading.py

Segments: `segment_clip` spreads one clip over the whole video, the uniform sampling of PST section 4.2.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from vtbench.fields import not_one_of

__all__ = ["Spread", "Starts", "TestStarts", "last_start", "segment_clip", "test_clips", "train_clip"]

Starts = Literal["span", "no_last", "no_first"]
"""The starts that training draws from, each as likely as the others; None counts num_frames * stride frames for a clip,
as mmaction does for PST, and draws 0, ..., n - num_frames * stride.

- span: a clip is (num_frames - 1) * stride + 1 frames, from its first to its last
- no_last: as None, without the last start (TokenShift's code), which numpy's `randint` leaves out
- no_first: as None, without start 0 (LAPS's code: its start is a real number, and the next frame is the first)
"""

TestStarts = Literal["uniform", "random", "spread", "centred", "uniform_beyond"]
"""Where the clips of a test start.

- uniform: clip x at floor(x * n / clips), held to the last start that training draws
- random: each drawn as in training (MSCA section 4.1)
- spread: clip x at x / clips of the last start, rounded up (LAPS's code: it stops short of the last start)
- centred: in the middle of the x-th of `clips` equal parts of the starts (mmaction, in PST's code)
- uniform_beyond: as uniform, held to one frame beyond the last start, which still lies in the video for a stride above
  1 (TokenShift's code)
"""

Spread = Literal["linspace"]
"""The frames that follow a start; None: each `stride` frames after the one before. linspace: as many, evenly spread
over num_frames * stride frames, both ends included, rounded down (LAPS's code: 8 frames of stride 8 are 9 apart)."""


def last_start(num_video_frames: int, *, num_frames: int, stride: int, starts: Starts | None = None) -> int:
    """The largest start frame that a training clip may have; at least 0."""
    if min(num_video_frames, num_frames, stride) < 1:
        raise ValueError(f"need at least one frame: {num_video_frames=}, {num_frames=}, {stride=}")
    if starts is not None and starts not in get_args(Starts):
        raise ValueError(f"starts {not_one_of(starts, get_args(Starts))}")
    window = (num_frames - 1) * stride + 1 if starts == "span" else num_frames * stride
    return max(num_video_frames - window - (starts == "no_last"), 0)


def train_clip(
    num_video_frames: int,
    *,
    num_frames: int,
    stride: int,
    rng: np.random.Generator,
    starts: Starts | None = None,
    spread: Spread | None = None,
) -> np.ndarray:
    """One clip with a random start: int64 (num_frames,) frame numbers."""
    last = last_start(num_video_frames, num_frames=num_frames, stride=stride, starts=starts)
    start = rng.integers(1 if starts == "no_first" and last else 0, last, endpoint=True)
    return (start + _offsets(num_frames, stride, spread)) % num_video_frames


def test_clips(
    num_video_frames: int,
    *,
    num_frames: int,
    stride: int,
    clips: int,
    mode: TestStarts = "uniform",
    rng: np.random.Generator | None = None,
    starts: Starts | None = None,
    spread: Spread | None = None,
) -> np.ndarray:
    """The clips of a multi-view test: int64 (clips, num_frames) frame numbers.

    - mode: where they start
    - rng: of mode "random", whose seed the caller records
    - starts: what training draws, for the modes that hold to it (uniform, random)
    """
    if clips < 1:
        raise ValueError(f"need at least one clip, not {clips}")
    if mode == "random":
        if rng is None:
            raise ValueError("random test clips need a random generator")
        return np.stack(
            [
                train_clip(
                    num_video_frames, num_frames=num_frames, stride=stride, rng=rng, starts=starts, spread=spread
                )
                for _ in range(clips)
            ]
        )
    numbers = np.arange(clips, dtype=np.int64)
    last = last_start(num_video_frames, num_frames=num_frames, stride=stride)  # as all three codes count
    if mode == "uniform":
        held = last_start(num_video_frames, num_frames=num_frames, stride=stride, starts=starts)
        first = np.minimum(numbers * num_video_frames // clips, held)
    elif mode == "uniform_beyond":
        first = np.minimum((numbers * (num_video_frames / clips)).astype(np.int64), last + 1 if last else 0)
    elif mode == "spread":
        first = -(-(last * numbers) // clips)
    elif mode == "centred":
        part = (max(num_video_frames - num_frames * stride, 0) + 1) / clips
        fits = num_video_frames >= num_frames * stride
        first = (numbers * part + part / 2).astype(np.int64) if fits else np.zeros_like(numbers)
    else:
        raise ValueError(f"mode {not_one_of(mode, get_args(TestStarts))}")
    return (first[:, None] + _offsets(num_frames, stride, spread)) % num_video_frames


def _offsets(num_frames: int, stride: int, spread: Spread | None) -> np.ndarray:
    """Distance of the frames of a clip from its start."""
    numbers = np.arange(num_frames, dtype=np.int64)
    if spread is None:
        return stride * numbers
    if spread != "linspace":
        raise ValueError(f"spread {not_one_of(spread, get_args(Spread))}")
    return numbers * (num_frames * stride - 1) // max(num_frames - 1, 1)


def segment_clip(num_video_frames: int, *, num_frames: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """One frame of each of `num_frames` equal segments of the video: int64 (num_frames,) frame numbers, ascending.

    Of n frames, segment i holds those from round(s * i) to round(s * (i + 1)), both included, with s = (n - 1) /
    num_frames and halves rounded to even. With `rng`, one of them is drawn uniformly (training); without, the middle
    one is taken, rounded down (test). Neighbouring segments share a frame, and a video shorter than the clip repeats
    frames.

    Source: `get_seq_frames` of the official PST code, which took it from SlowFast (slowfast/datasets/ssv2.py).
    """
    if min(num_video_frames, num_frames) < 1:
        raise ValueError(f"need at least one frame: {num_video_frames=}, {num_frames=}")
    bounds = np.round((num_video_frames - 1) / num_frames * np.arange(num_frames + 1)).astype(np.int64)
    first, last = bounds[:-1], bounds[1:]
    return (first + last) // 2 if rng is None else rng.integers(first, last, endpoint=True)
