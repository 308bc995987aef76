"""Where the frames of a clip come from: anything callable like FrameSource; here the decoder of whole frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vtbench.clips import Clips
from vtbench.datasets.cache import FileCache
from vtbench.video.decode import VideoReader
from vtbench.video.files import version
from vtbench.video.stills import FrameFolder

__all__ = ["SILENT", "Choose", "DecodedFrames", "FrameSource", "open_reader"]

Choose = Callable[[int], np.ndarray]
"""From the number of frames in a video to the numbers of those that are wanted, in any shape."""


FrameSource = Callable[[Path, Choose], tuple[Clips, np.ndarray, str | None]]
"""Reads frames of a file: source(file, choose) gives three values.

- the distinct frames that `choose(number of frames in the file)` asks for, (U, ...), as the transforms take them: one
  tensor, or one by modality
- for each number asked, in the shape asked, which of the U frames it is
- a note on the file for whoever reads the results, or None

It raises VideoError for a file that cannot be read. A source of clips with audio has an attribute `has_audio` that is
true, and gives the note SILENT for files without any.
"""

SILENT = "silent"
"""The note on a file without an audio track, where audio is asked for: it counts as silence."""


class DecodedFrames:
    """The FrameSource of decoded frames: uint8 (U, 3, H, W) RGB at the file's own size. A file may be a folder of JPEG
    frames.

    cache: where to keep every file as a whole (frames x height x width x 3 bytes); None: keep nothing.
    """

    def __init__(self, cache: FileCache | None = None) -> None:
        self.cache = cache

    def __call__(self, file: Path, choose: Choose, /) -> tuple[Tensor, np.ndarray, None]:
        """The frames asked for, as FrameSource has it. Raises VideoError."""
        if self.cache is None:
            with open_reader(file) as reader:
                pixels, which = reader.chosen(choose)
        else:
            key = ("frames", *version(file))
            video = self.cache.get(key)
            if video is None:
                with open_reader(file) as reader:
                    video, _ = reader.chosen(np.arange)
                self.cache.put(key, video, video.nbytes)
            numbers, which = np.unique(wanted := choose(len(video)), return_inverse=True)
            pixels, which = video[numbers], which.reshape(wanted.shape)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), which, None


def open_reader(file: Path) -> VideoReader | FrameFolder:
    """A reader of a video file, or of a folder of JPEG frames. Raises VideoError."""
    return FrameFolder(file) if file.is_dir() else VideoReader(file)
