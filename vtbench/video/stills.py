"""Folders of numbered JPEG frames, as Something-Something V1 is given out, read like a video file."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from vtbench.errors import VideoError
from vtbench.video.files import BAD_INPUT, reason, refuse_amount, refuse_size

__all__ = ["FrameFolder"]

_NAME = re.compile(r"\D*?0*(\d+)\.jpe?g", re.IGNORECASE)


class FrameFolder:
    """Reads frames of a folder of JPEG files by number, as VideoReader reads those of a file. Use it in a `with` block.

    Files are called by a number, `00001.jpg` or `img_00001.jpg`, without a gap; the lowest is frame 0, whatever it is.
    Raises VideoError, naming folder and file, for a folder without any, a gap, two files of one number, and pictures
    that cannot be decoded or differ in size.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.frames_decoded = 0
        try:
            found = [(int(match[1]), file) for file in self.path.iterdir() if (match := _NAME.fullmatch(file.name))]
        except BAD_INPUT as error:
            raise VideoError(self.path, reason(error)) from error
        if not found:
            raise VideoError(self.path, "is a folder without numbered JPEG frames (00001.jpg)")
        found.sort()
        for (one, file), (other, next_file) in itertools.pairwise(found):
            if other == one:
                raise VideoError(self.path, f"{file.name} and {next_file.name} are both frame {one}")
            if other != one + 1:
                raise VideoError(self.path, f"frame {one + 1} is missing: {next_file.name} follows {file.name}")
        self.files = [file for _, file in found]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between calls."""

    @property
    def num_frames(self) -> int:
        """Number of frames in the folder, at least 1."""
        return len(self.files)

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames at `indices`, in the order asked, repeats included.

        indices: frame numbers in [0, num_frames). Returns uint8 RGB (len(indices), H, W, 3). Raises IndexError for a
        number outside the video and VideoError for a picture that cannot be read.
        """
        wanted = [int(i) for i in indices]
        if not wanted:
            raise ValueError("no frame numbers given")
        if min(wanted) < 0 or max(wanted) >= len(self.files):
            raise IndexError(f"{self.path}: frames {min(wanted)} to {max(wanted)} asked of {len(self.files)}")
        found: dict[int, np.ndarray] = {}
        for number in sorted(set(wanted)):
            found[number] = self._picture(self.files[number])
            refuse_amount(self.path, len(wanted), *found[number].shape[1::-1])
        shapes = {picture.shape for picture in found.values()}
        if len(shapes) > 1:
            sizes = sorted((shape[1], shape[0]) for shape in shapes)
            raise VideoError(self.path, f"frame size changes within the folder: {sizes}", self.frames_decoded)
        return np.stack([found[i] for i in wanted])

    def chosen(self, choose: Callable[[int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The distinct frames that `choose(num_frames)` asks for, in any shape, uint8 (U, H, W, 3), and for each number
        asked, in its shape, which of them it is. Raises as `frames` does."""
        wanted = np.asarray(choose(self.num_frames))
        numbers, which = np.unique(wanted, return_inverse=True)
        return self.frames(numbers), which.reshape(wanted.shape)

    def sequential(self) -> Iterator[np.ndarray]:
        """All frames in order, uint8 RGB (H, W, 3). Raises VideoError."""
        size = None
        for file in self.files:
            picture = self._picture(file)
            size = size or picture.shape
            if picture.shape != size:
                raise VideoError(self.path, f"{file.name} has another size than the first", self.frames_decoded)
            yield picture

    def _picture(self, file: Path) -> np.ndarray:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused here
                with Image.open(file, formats=["JPEG"]) as picture:
                    refuse_size(file, *picture.size)
                    pixels = np.asarray(picture.convert("RGB"))
        except (*BAD_INPUT, Image.DecompressionBombError) as error:
            what = "is no JPEG file" if isinstance(error, Image.UnidentifiedImageError) else reason(error)
            raise VideoError(self.path, f"{file.name} cannot be decoded: {what}", self.frames_decoded) from error
        self.frames_decoded += 1
        return pixels
