"""What all that read video files share: how one is opened, how FFmpeg's errors read, and which version was read."""

from __future__ import annotations

import stat
from pathlib import Path

import av

from vtbench.errors import VideoError

__all__ = ["BAD_INPUT", "MAX_PIXELS", "open_video", "reason", "version"]

BAD_INPUT = (av.error.FFmpegError, OSError, IndexError, ValueError)
"""What PyAV raises on bad input: its own tree, IndexError for a missing stream, ValueError for impossible values."""

MAX_PIXELS = 1 << 26
"""Pixels of the largest picture that is decoded, 8192 x 8192. A damaged header may state any size, for which a decoder
takes memory, several pictures of it, before it finds the damage."""


def open_video(path: Path) -> av.container.InputContainer:
    """Open a file for reading. Raises VideoError for what is no regular file, which might never end, for an empty file,
    for pictures of an unknown codec and for those of more than MAX_PIXELS; BAD_INPUT for what FFmpeg cannot open."""
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
        if codec.width * codec.height > MAX_PIXELS:
            size = f"{codec.width} x {codec.height}"
            raise VideoError(path, f"has pictures of {size}, more than {MAX_PIXELS} pixels; get the file again")
    return container


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
