"""What all that read video files share: how one is opened, how FFmpeg's errors read, and which version was read."""

from __future__ import annotations

import stat
from pathlib import Path

import av

from vtbench.errors import VideoError

__all__ = [
    "BAD_INPUT",
    "MAX_ASPECT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "open_video",
    "reason",
    "refuse_amount",
    "refuse_size",
    "version",
]

BAD_INPUT = (av.error.FFmpegError, OSError, IndexError, ValueError)
"""What PyAV raises on bad input: its own tree, IndexError for a missing stream, ValueError for impossible values."""

MAX_PIXELS = 1 << 25
"""Pixels of the largest picture that is decoded, 8192 x 4096: 8K, and no more. A damaged header may state any size, for
which a decoder takes memory, several pictures of it, before it finds the damage."""
MAX_ASPECT = 32
"""How many times as long as the short side the long one may be: resized to a short side, a strip would fill the
memory."""
MAX_BYTES = 4 << 30
"""Bytes that what is read of one video at once may take: 40 frames of 8K or 690 of full HD."""


def open_video(path: Path) -> av.container.InputContainer:
    """Open a file for reading. Raises VideoError for what is no regular file, which might never end, for an empty file,
    for pictures of an unknown codec and for those that `refuse_size` refuses; BAD_INPUT for what FFmpeg cannot open."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise VideoError(path, f"{reason(error)}; check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(path, "is a directory, not a video file; check the path")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(path, "is a pipe, a socket or a device, not a video file; copy it into one")
    if status.st_size == 0:
        raise VideoError(path, "is empty (0 bytes); get the file again")
    limit = {"max_pixels": str(MAX_PIXELS)}
    container = av.open(str(path), metadata_errors="ignore", options=limit)
    for stream in container.streams.video:
        codec = stream.codec_context
        if codec is None:
            raise VideoError(path, "the codec of its pictures is unknown to FFmpeg; convert it, or get it again")
        codec.options = limit
        refuse_size(path, codec.width, codec.height)
    return container


def refuse_size(path: Path, width: int, height: int) -> None:
    """Raise VideoError for pictures of more than MAX_PIXELS, or longer than MAX_ASPECT times their short side. A size
    that is not known yet is 0."""
    size = f"has pictures of {width} x {height}"
    if width * height > MAX_PIXELS:
        raise VideoError(path, f"{size}, more than {MAX_PIXELS} pixels; get the file again")
    if max(width, height) > MAX_ASPECT * min(width, height) > 0:
        raise VideoError(path, f"{size}, the long side more than {MAX_ASPECT} times the short one; get the file again")


def refuse_amount(path: Path, count: int, width: int, height: int, bytes_per_pixel: int = 3) -> None:
    """As `refuse_size`, and raise VideoError where `count` such pictures would take more than MAX_BYTES."""
    refuse_size(path, width, height)
    size = count * width * height * bytes_per_pixel
    if size > MAX_BYTES:
        raise VideoError(
            path,
            f"{count} frames of {width} x {height} take {size / 1e9:.1f} GB, more than the {MAX_BYTES / 1e9:.1f} GB "
            "that are read at once; re-encode it smaller, as `vtbench data prepare --short-side 256` does",
        )


def reason(error: Exception) -> str:
    """What one of BAD_INPUT says, as the reason of a VideoError."""
    if isinstance(error, av.error.EOFError):
        return "ends early"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{text[0].lower()}{text[1:]}"


def version(path: Path) -> tuple[str, int, int]:
    """Path, size and time of change, which differ when a file was replaced. Raises VideoError if there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(path, reason(error)) from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns
