"""What a clip takes from a compressed video at each of its frames: I-frame, motion vectors, residual and audio.

MM-ViT (arXiv:2108.09322) section 4.1: "8 uniformly sampled triplets of I-frames, motion vectors, residuals", and "audio
features that are temporally aligned with the visual features". A triplet is that of one frame: the I-frame of its
group of pictures, and its own motion vectors and residual. A frame that is an I-frame has neither, and stands for the
one before it, as in CoViAR's official code (dataset.py), the first of all for the one after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vtbench.audio.logmel import segments
from vtbench.audio.waveform import read_audio
from vtbench.datasets.cache import FileCache
from vtbench.datasets.frames import SILENT, Choose
from vtbench.video.compressed import CompressedReader
from vtbench.video.files import version

__all__ = ["DAMAGED_AUDIO", "CompressedFrames", "predicted_frames"]

DAMAGED_AUDIO = "damaged audio"
"""The note on a file some of whose audio packets do not decode: they are replaced by silence."""


def predicted_frames(numbers: np.ndarray, gops: Sequence[tuple[int, int]]) -> np.ndarray:
    """`numbers` with every I-frame replaced by the frame before it, or after it where there is none that is predicted.

    gops: (first, last + 1) frame of each group of pictures, the first being its I-frame; one has more than one frame.
    """
    predicted = np.setdiff1d(np.arange(gops[0][0], gops[-1][1]), [first for first, _ in gops])
    return predicted[np.maximum(np.searchsorted(predicted, numbers, side="right") - 1, 0)]


@dataclass(frozen=True)
class _Video:
    """One decoded file: the modalities of its predicted frames, of those that were asked for."""

    num_frames: int
    gops: list[tuple[int, int]]
    row: dict[int, int]
    """Number of a predicted frame -> its place in the arrays."""
    modalities: dict[str, np.ndarray]
    note: str | None = None

    @property
    def num_bytes(self) -> int:
        return sum(array.nbytes for array in self.modalities.values())


def _compact(array: np.ndarray) -> np.ndarray:
    """The same numbers in less memory: without the fourth byte of pixels, and vectors, which are quarters of pixels, in
    half precision unless they are longer than it can tell apart (512 pixels)."""
    if array.dtype == np.float32 and np.array_equal(half := array.astype(np.float16), array):
        return half
    return np.ascontiguousarray(array)


class CompressedFrames:
    """The FrameSource (see vtbench.datasets.frames) of modalities of compressed video.

    - modalities: some of iframe, motion, residual, audio
    - motion: the convention of motion vectors and residuals (see vtbench.video.compressed); None: "previous"
    - cache: where to keep what was read of every file; None: keep nothing
    """

    def __init__(
        self,
        modalities: Sequence[str],
        *,
        motion: Literal["previous", "iframe"] | None = None,
        cache: FileCache | None = None,
    ) -> None:
        self.modalities, self.motion, self.cache = tuple(modalities), motion, cache

    @property
    def has_audio(self) -> bool:
        """Whether clips come with audio."""
        return "audio" in self.modalities

    def __call__(self, file: Path, choose: Choose, /) -> tuple[Mapping[str, Tensor], np.ndarray, str | None]:
        """The modalities of the distinct frames that `choose(num_video_frames)` asks for, (U, ...) each; for each
        number asked, in its shape, which of them it is; and SILENT or DAMAGED_AUDIO for such a file if audio is asked
        for. Raises VideoError."""
        if self.cache is None:
            with CompressedReader(file) as reader:
                asked = predicted_frames(choose(reader.num_frames), reader.gops)
                video = self._decode(file, reader, np.unique(asked), self.modalities)
        else:
            video = self._cached(file, self.cache)
            asked = predicted_frames(choose(video.num_frames), video.gops)
        numbers, which = np.unique(asked, return_inverse=True)
        found = {name: video.modalities[name] for name in self.modalities}
        if self.cache is not None:
            rows = [video.row[number] for number in numbers.tolist()]
            found = {name: array[rows] for name, array in found.items()}
        clip = {name: torch.from_numpy(array) for name, array in found.items()}
        clip = {name: x.float() if x.dtype == torch.float16 else x for name, x in clip.items()}
        return clip, which.reshape(asked.shape), video.note if self.has_audio else None

    def _cached(self, file: Path, cache: FileCache) -> _Video:
        """The whole file, with at least the modalities asked for. It is shared by networks with other modalities: what
        one of them lacks is added, the rest is not read again."""
        key = ("compressed", *version(file), self.motion)
        found: _Video | None = cache.get(key)
        there = found.modalities if found else {}
        lacking = [name for name in self.modalities if name not in there]
        if found is not None and not lacking:
            return found
        with CompressedReader(file) as reader:
            everything = np.unique(predicted_frames(np.arange(reader.num_frames), reader.gops))
            video = self._decode(file, reader, everything, lacking)
        note = video.note or (found.note if found else None)
        compact = {name: _compact(array) for name, array in video.modalities.items()}
        video = dataclasses.replace(video, modalities=compact | there, note=note)
        cache.put(key, video, video.num_bytes)
        return video

    def _decode(self, file: Path, reader: CompressedReader, numbers: np.ndarray, modalities: Sequence[str]) -> _Video:
        read: dict[str, np.ndarray] = {}
        if "residual" in modalities or "iframe" in modalities:
            triplets = reader.triplets(numbers, convention=self.motion or "previous")
            read = {"iframe": triplets.iframes, "motion": triplets.motion, "residual": triplets.residuals}
        elif "motion" in modalities:
            read = {"motion": reader.motion(numbers, convention=self.motion or "previous")[0]}
        note = None
        if "audio" in modalities:
            audio = read_audio(file)
            note = DAMAGED_AUDIO if audio.damaged_packets else None if audio.has_track else SILENT
            seconds = reader.seconds[numbers]
            read["audio"], _ = segments(audio.waveform, seconds, start_s=audio.start_s, end_s=audio.end_s)
        return _Video(
            num_frames=reader.num_frames,
            gops=reader.gops,
            row={number: row for row, number in enumerate(numbers.tolist())},
            modalities={name: read[name] for name in modalities},
            note=note,
        )
