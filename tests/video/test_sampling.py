from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from vtbench.video import sampling

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "clips.json").read_text())
"""What the official codes take of videos of 1 to 400 frames; see tests/golden/README.md."""

LENGTHS = range(1, 401)


def starts_of(mode: str, *, num_frames: int, stride: int, clips: int) -> list[list[int]]:
    return [
        sampling.test_clips(n, num_frames=num_frames, stride=stride, clips=clips, mode=mode)[:, 0].tolist()  # type: ignore[arg-type]
        for n in LENGTHS
    ]


def drawn(n: int, **options: Any) -> tuple[int, int]:
    """The first and the last start that training draws."""
    ends = []
    for end in ("low", "high"):
        rng = mock.Mock(integers=lambda *given, endpoint, end=end: bound(given, end))
        ends.append(int(sampling.train_clip(n, rng=rng, **options)[0]))
    return ends[0], ends[1]


def bound(given: tuple[int, ...], end: str) -> int:
    low, high = given if len(given) == 2 else (0, given[0])
    return low if end == "low" else high


def test_clips_are_the_official_codes_integers_at_every_length_to_400() -> None:
    assert starts_of("uniform_beyond", num_frames=8, stride=32, clips=10) == GOLDEN["tokenshift"]["test"]
    assert starts_of("spread", num_frames=8, stride=8, clips=5) == GOLDEN["laps"]["test8"]
    assert starts_of("spread", num_frames=32, stride=8, clips=5) == GOLDEN["laps"]["test32"]
    assert starts_of("centred", num_frames=32, stride=2, clips=4) == GOLDEN["pst"]["test"]
    segments = [sampling.segment_clip(n, num_frames=32).tolist() for n in LENGTHS]
    assert segments == GOLDEN["pst"]["segments"]


def test_training_draws_the_official_codes_starts_at_every_length_to_400() -> None:
    for n in LENGTHS:
        assert drawn(n, num_frames=8, stride=32, starts="no_last") == tuple(GOLDEN["tokenshift"]["starts"][n - 1])
        assert drawn(n, num_frames=32, stride=2) == tuple(GOLDEN["pst"]["starts"][n - 1])


def test_frames_of_a_laps_clip_are_the_official_codes() -> None:
    for num_frames, lengths in ((8, (40, 64, 400)), (32, (100, 256, 400))):
        for n, frames in zip(lengths, GOLDEN["laps"][f"spread{num_frames}"], strict=True):
            clips = sampling.test_clips(n, num_frames=num_frames, stride=8, clips=5, mode="spread", spread="linspace")
            assert clips[0].tolist() == frames


def test_laps_training_starts_leave_out_the_first_frame_where_there_is_another() -> None:
    assert drawn(65, num_frames=8, stride=8, starts="no_first") == (1, 1)
    assert (
        drawn(64, num_frames=8, stride=8, starts="no_first")
        == drawn(20, num_frames=8, stride=8, starts="no_first")
        == (0, 0)
    )


@pytest.mark.parametrize("n", [1, 224, 225, 226, 250, 256, 300])
def test_a_span_is_counted_from_first_to_last_frame(n: int) -> None:
    assert drawn(n, num_frames=8, stride=32, starts="span") == (0, max(n - 225, 0))


@pytest.mark.parametrize("mode", ["spread", "centred"])
@pytest.mark.parametrize(("num_frames", "stride", "clips"), [(8, 8, 5), (32, 8, 5), (32, 2, 4), (8, 32, 10), (1, 1, 7)])
def test_clips_are_distinct_wherever_there_are_as_many_starts(
    mode: sampling.TestStarts, num_frames: int, stride: int, clips: int
) -> None:
    for n in range(1, 500):
        found = sampling.test_clips(n, num_frames=num_frames, stride=stride, clips=clips, mode=mode)
        last = sampling.last_start(n, num_frames=num_frames, stride=stride)
        assert found.min() >= 0 and found.max() < n
        if last >= clips:
            assert len({clip.tobytes() for clip in found}) == clips
            assert found[:, 0].max() <= last


def even_starts(n: int, num_frames: int, stride: int, clips: int) -> list[int]:
    """At even parts of the video, held to the last start."""
    last = n - num_frames * stride
    return [min(int(x * (n / clips)), last) if last > 0 else 0 for x in range(clips)]


@pytest.mark.parametrize("n", [1, 5, 31, 32, 33, 40, 255, 256, 257, 258, 300, 1000])
@pytest.mark.parametrize(("num_frames", "stride"), [(8, 32), (8, 4), (32, 2), (1, 1)])
def test_uniform_clips_lie_at_even_parts_of_the_video(n: int, num_frames: int, stride: int) -> None:
    rng = np.random.default_rng(n)
    last = max(n - num_frames * stride, 0)
    for _ in range(20):
        clip = sampling.train_clip(n, num_frames=num_frames, stride=stride, rng=rng)
        start = clip[0]
        assert clip.dtype == np.int64
        assert 0 <= start <= last
        assert clip.tolist() == [(start + i * stride) % n for i in range(num_frames)]
    clips = sampling.test_clips(n, num_frames=num_frames, stride=stride, clips=10)
    assert clips.shape == (10, num_frames)
    assert clips[:, 0].tolist() == even_starts(n, num_frames, stride, 10)
    assert clips.tolist() == [[(c[0] + i * stride) % n for i in range(num_frames)] for c in clips]


def test_every_start_is_drawn_in_training_the_last_included() -> None:
    rng = np.random.default_rng(0)
    starts = {int(sampling.train_clip(40, num_frames=8, stride=4, rng=rng)[0]) for _ in range(500)}
    assert starts == set(range(9))


def test_long_videos_do_not_wrap_and_short_ones_do() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        clip = sampling.train_clip(300, num_frames=8, stride=32, rng=rng)
        assert (np.diff(clip) == 32).all()
    assert sampling.train_clip(100, num_frames=8, stride=32, rng=rng).tolist() == [0, 32, 64, 96, 28, 60, 92, 24]


def test_random_test_clips_repeat_with_the_seed_and_differ_among_themselves() -> None:
    def draw(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        return sampling.test_clips(300, num_frames=8, stride=32, clips=10, mode="random", rng=rng).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert len({clip[0] for clip in draw(1)}) > 1
    assert all(0 <= clip[0] <= 44 for clip in draw(1))


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        sampling.last_start(0, num_frames=8, stride=32)
    with pytest.raises(ValueError, match="at least one clip"):
        sampling.test_clips(300, num_frames=8, stride=32, clips=0)
    with pytest.raises(ValueError, match="mode is 'unifrom', must be one of uniform, random, spread"):
        sampling.test_clips(300, num_frames=8, stride=32, clips=1, mode="unifrom")
    with pytest.raises(ValueError, match="generator"):
        sampling.test_clips(300, num_frames=8, stride=32, clips=1, mode="random")


def official_segments(n: int, num_frames: int) -> list[tuple[int, int]]:
    """First and last frame of each segment by the PST code's rule (get_seq_frames)."""
    segment = (n - 1) / num_frames
    return [(int(np.round(segment * i)), int(np.round(segment * (i + 1)))) for i in range(num_frames)]


@pytest.mark.parametrize("n", [1, 2, 5, 12, 31, 32, 33, 48, 64, 65, 117, 300])
@pytest.mark.parametrize("num_frames", [1, 8, 32])
def test_segments_follow_the_official_rule(n: int, num_frames: int) -> None:
    segments = official_segments(n, num_frames)
    middle = sampling.segment_clip(n, num_frames=num_frames)
    assert middle.dtype == np.int64
    assert middle.tolist() == [(first + last) // 2 for first, last in segments]
    rng = np.random.default_rng(n)
    for _ in range(20):
        clip = sampling.segment_clip(n, num_frames=num_frames, rng=rng)
        assert clip.dtype == np.int64 and clip.shape == (num_frames,)
        assert all(first <= frame <= last for frame, (first, last) in zip(clip, segments, strict=True))


def test_every_frame_of_a_segment_is_drawn_in_training_and_the_whole_video_is_reached() -> None:
    rng = np.random.default_rng(0)
    clips = np.stack([sampling.segment_clip(33, num_frames=8, rng=rng) for _ in range(300)])
    assert [set(drawn) for drawn in clips.T.tolist()] == [set(range(4 * i, 4 * i + 5)) for i in range(8)]


def test_segments_repeat_with_the_seed_and_differ_from_draw_to_draw() -> None:
    a, b = (np.random.default_rng(1) for _ in range(2))
    first = sampling.segment_clip(100, num_frames=8, rng=a)
    assert first.tolist() == sampling.segment_clip(100, num_frames=8, rng=b).tolist()
    assert first.tolist() != sampling.segment_clip(100, num_frames=8, rng=a).tolist()


def test_segments_of_a_short_video_repeat_frames_in_order() -> None:
    clip = sampling.segment_clip(5, num_frames=8)
    assert clip.tolist() == [0, 0, 1, 2, 2, 2, 3, 4]
    assert sampling.segment_clip(1, num_frames=4, rng=np.random.default_rng(0)).tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="at least one frame"):
        sampling.segment_clip(0, num_frames=8)
