"""Which frames of a video make a clip. Integers only.

Dense clips follow the rules of the TokenShift code, as MSCA section 4.1 does
(github.com/VideoNetworks/TokShift-Transformer, data/dataset.py, `read_random_clip` and `read_clip`): a clip takes
`num_frames` frames `stride` apart from its start frame, and a video shorter than that wraps round to its beginning.

    frame i of a clip = (start + i * stride) mod n,     last start = max(n - num_frames * stride, 0)

with n the number of frames of the video. Where this differs from the official code, the function says so.

Segments: `segment_clip` spreads one clip over the whole video, the uniform sampling of PST section 4.2.
"""

from __future__ import annotations

import numpy as np

from vtbench.fields import not_one_of

__all__ = ["last_start", "segment_clip", "test_clips", "train_clip"]


def last_start(num_video_frames: int, *, num_frames: int, stride: int) -> int:
    """The largest start frame a clip may have: its `num_frames * stride` frames long window still fits; at least 0."""
    if min(num_video_frames, num_frames, stride) < 1:
        raise ValueError(f"need at least one frame: {num_video_frames=}, {num_frames=}, {stride=}")
    return max(num_video_frames - num_frames * stride, 0)


def train_clip(num_video_frames: int, *, num_frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """One clip with a uniformly random start in [0, last start]: int64 (num_frames,) frame numbers.

    The official code draws with numpy's `randint(0, last_start)`, whose upper end is exclusive, so the last possible
    start never occurs there. That is taken for a slip; here every start occurs. Over a 300-frame video at 8 x 32 the
    difference is one start of 45.
    """
    start = rng.integers(last_start(num_video_frames, num_frames=num_frames, stride=stride), endpoint=True)
    return (start + stride * np.arange(num_frames, dtype=np.int64)) % num_video_frames


def test_clips(
    num_video_frames: int,
    *,
    num_frames: int,
    stride: int,
    clips: int,
    mode: str = "uniform",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """The clips of a multi-view test: int64 (clips, num_frames) frame numbers.

    mode "uniform": clip x starts at frame floor(x * n / clips), held to the last start. The official code holds it to
    one frame beyond the last start (`np.clip(start, 0, n - num_frames * stride + 1)`), which still stays inside the
    video whenever stride > 1; here the clips are the ones training can draw.
    mode "random": each clip is drawn as in training (MSCA section 4.1: "one clip was sampled as in training, and this
    was repeated 10 times"), from `rng`, whose seed the caller records.
    """
    if clips < 1:
        raise ValueError(f"need at least one clip, not {clips}")
    if mode == "random":
        if rng is None:
            raise ValueError("random test clips need a random generator")
        return np.stack(
            [train_clip(num_video_frames, num_frames=num_frames, stride=stride, rng=rng) for _ in range(clips)]
        )
    if mode != "uniform":
        raise ValueError(f"mode {not_one_of(mode, ('uniform', 'random'))}")
    last = last_start(num_video_frames, num_frames=num_frames, stride=stride)
    starts = np.minimum(np.arange(clips, dtype=np.int64) * num_video_frames // clips, last)
    return (starts[:, None] + stride * np.arange(num_frames, dtype=np.int64)) % num_video_frames


def segment_clip(num_video_frames: int, *, num_frames: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """One frame of each of `num_frames` equal segments of the video: int64 (num_frames,) frame numbers, ascending.

    Of n frames, segment i holds those from round(s * i) to round(s * (i + 1)), both included, with s = (n - 1) /
    num_frames and halves rounded to even. With `rng`, one of them is drawn uniformly (training); without, the middle
    one is taken, rounded down (test). Neighbouring segments share a frame, and a video shorter than the clip repeats
    frames.

    Source: `get_seq_frames` of the official PST code (github.com/MartinXM/TPS, mmaction/datasets/pipelines/loading.py),
    which took it from SlowFast (slowfast/datasets/ssv2.py).
    """
    if min(num_video_frames, num_frames) < 1:
        raise ValueError(f"need at least one frame: {num_video_frames=}, {num_frames=}")
    bounds = np.round((num_video_frames - 1) / num_frames * np.arange(num_frames + 1)).astype(np.int64)
    first, last = bounds[:-1], bounds[1:]
    return (first + last) // 2 if rng is None else rng.integers(first, last, endpoint=True)
