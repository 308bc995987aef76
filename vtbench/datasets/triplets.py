"""What a clip takes from a compressed video at each of its frames: I-frame, motion vectors, residual and sound.

MM-ViT (arXiv:2108.09322) section 4.1: "8 uniformly sampled triplets of I-frames, motion vectors, residuals", and "audio
features that are temporally aligned with the visual features". A triplet is that of one frame: the I-frame of its
group of pictures, and its own motion vectors and residual. A frame that is an I-frame has neither, and stands for the
one before it, as in CoViAR's official code (dataset.py), the first of all for the one after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vtbench.audio.logmel import segments
from vtbench.audio.waveform import read_sound
from vtbench.video.compressed import CompressedReader
from vtbench.video.files import version

__all__ = ["DAMAGED_SOUND", "SILENT", "TripletSource", "clear_cache", "predicted_frames"]

SILENT = "silent"
"""Said of a file without a sound track, of which sound is asked: it counts as silence."""
DAMAGED_SOUND = "damaged sound"
"""Said of a file of whose sound some packets do not decode: in their place is silence."""


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
    remark: str | None = None


# Decoded files by (path, size, time of change, what is read): shared by all data modules of this process.
_decoded: dict[tuple[object, ...], _Video] = {}


def _compact(array: np.ndarray) -> np.ndarray:
    """The same numbers in less memory: without the fourth byte of pixels, and vectors, which are quarters of pixels, in
    half precision unless they are longer than it can tell apart (512 pixels)."""
    if array.dtype == np.float32 and np.array_equal(half := array.astype(np.float16), array):
        return half
    return np.ascontiguousarray(array)


def clear_cache() -> None:
    """Forget the decoded files."""
    _decoded.clear()


class TripletSource:
    """Reads the modalities of frames of a file.

    modalities: some of iframe, motion, residual, audio. motion: the convention of motion vectors and residuals (see
    vtbench.video.compressed). cache: keep what was read of every file, in memory, for all data modules of this process.
    """

    def __init__(self, *, modalities: Sequence[str], motion: Literal["previous", "iframe"] | None, cache: bool) -> None:
        self.modalities, self.motion, self.cache = tuple(modalities), motion, cache

    def __call__(
        self, file: Path, choose: Callable[[int], np.ndarray]
    ) -> tuple[Mapping[str, Tensor], np.ndarray, str | None]:
        """The modalities of the distinct frames that `choose(num_video_frames)` asks for, (U, ...) each; for each
        number asked, in its shape, which of them it is; and SILENT or DAMAGED_SOUND where sound is asked and the file
        is so. Raises VideoError."""
        if not self.cache:
            with CompressedReader(file) as reader:
                asked = predicted_frames(choose(reader.num_frames), reader.gops)
                video = self._decode(file, reader, np.unique(asked), self.modalities)
        else:
            # Shared by networks with other modalities: what one of them lacks is added, not everything read again.
            key = (*version(file), self.motion)
            there = _decoded[key].modalities if key in _decoded else {}
            if lacking := [name for name in self.modalities if name not in there]:
                with CompressedReader(file) as reader:
                    everything = np.unique(predicted_frames(np.arange(reader.num_frames), reader.gops))
                    video = self._decode(file, reader, everything, lacking)
                remark = video.remark or (_decoded[key].remark if there else None)
                compact = {name: _compact(array) for name, array in video.modalities.items()}
                _decoded[key] = dataclasses.replace(video, modalities=compact | there, remark=remark)
            video = _decoded[key]
            asked = predicted_frames(choose(video.num_frames), video.gops)
        numbers, which = np.unique(asked, return_inverse=True)
        found = {name: video.modalities[name] for name in self.modalities}
        if self.cache:
            rows = [video.row[number] for number in numbers.tolist()]
            found = {name: array[rows] for name, array in found.items()}
        clip = {name: torch.from_numpy(array) for name, array in found.items()}
        clip = {name: x.float() if x.dtype == torch.float16 else x for name, x in clip.items()}
        return clip, which.reshape(asked.shape), video.remark if "audio" in self.modalities else None

    def _decode(self, file: Path, reader: CompressedReader, numbers: np.ndarray, modalities: Sequence[str]) -> _Video:
        read: dict[str, np.ndarray] = {}
        if "residual" in modalities or "iframe" in modalities:
            triplets = reader.triplets(numbers, convention=self.motion or "previous")
            read = {"iframe": triplets.iframes, "motion": triplets.motion, "residual": triplets.residuals}
        elif "motion" in modalities:
            read = {"motion": reader.motion(numbers, convention=self.motion or "previous")[0]}
        remark = None
        if "audio" in modalities:
            sound = read_sound(file)
            remark = DAMAGED_SOUND if sound.damaged_packets else None if sound.has_track else SILENT
            seconds = reader.seconds[numbers]
            read["audio"], _ = segments(sound.waveform, seconds, start_s=sound.start_s, end_s=sound.end_s)
        return _Video(
            num_frames=reader.num_frames,
            gops=reader.gops,
            row={number: row for row, number in enumerate(numbers.tolist())},
            modalities={name: read[name] for name in modalities},
            remark=remark,
        )
