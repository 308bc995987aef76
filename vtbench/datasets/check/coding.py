"""How the videos of a data set are coded, in words: codec, size and frame rate, of one file or of a sample of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vtbench.datasets.manifests import Entry, sample_of
from vtbench.errors import VideoError
from vtbench.video.files import BAD_INPUT, open_video, reason
from vtbench.video.stills import FrameFolder

__all__ = ["coding_of", "sample_of_codings"]

SAMPLE = 64
"""Videos of a split that are looked at."""


def coding_of(file: Path) -> str:
    """Codec, width x height as coded and frames per second of a file, as `h264 340x256 29.97`, from its headers; of a
    folder of frames `jpeg 176x100`. Raises VideoError."""
    if file.is_dir():
        with FrameFolder(file) as folder:
            height, width = folder.frames([0]).shape[1:3]
        return f"jpeg {width}x{height}"
    try:
        with open_video(file) as container:
            stream = container.streams.video[0]
            codec = stream.codec_context
            rate = f" {float(stream.average_rate):.4g}" if stream.average_rate else ""
            return f"{codec.codec.canonical_name} {codec.width}x{codec.height}{rate}"
    except BAD_INPUT as error:
        raise VideoError(file, reason(error)) from error


def sample_of_codings(entries: Sequence[Entry], count: int = SAMPLE) -> str:
    """How `count` of the videos are coded, the commonest first, as `h264 340x256 30: 61, h264 256x340 25: 3`.

    Which are looked at depends on their ids alone. What cannot be read counts as `unreadable`.
    """
    found: Counter[str] = Counter()
    for entry in sample_of(entries, count):
        try:
            found[coding_of(entry.file)] += 1
        except VideoError:
            found["unreadable"] += 1
    return ", ".join(f"{coding}: {number}" for coding, number in found.most_common())
