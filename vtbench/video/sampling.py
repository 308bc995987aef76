"""Which frames of a video make a clip. Integers only.

The rules are those of the TokenShift code that MSCA section 4.1 follows (github.com/VideoNetworks/TokShift-Transformer,
data/dataset.py, `read_random_clip` and `read_clip`): a clip takes `num_frames` frames `stride` apart from its start
frame, and a video shorter than that wraps round to its beginning.

    frame i of a clip = (start + i * stride) mod n,     last start = max(n - num_frames * stride, 0)

with n the number of frames of the video. Where this differs from the official code, the function says so.
"""

from __future__ import annotations

import numpy as np

__all__ = ["last_start", "test_clips", "train_clip"]


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
        raise ValueError(f"clip sampling is 'uniform' or 'random', not {mode!r}")
    last = last_start(num_video_frames, num_frames=num_frames, stride=stride)
    starts = np.minimum(np.arange(clips, dtype=np.int64) * num_video_frames // clips, last)
    return (starts[:, None] + stride * np.arange(num_frames, dtype=np.int64)) % num_video_frames
