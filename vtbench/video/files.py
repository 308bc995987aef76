"""What all that read video files share: how FFmpeg's errors read, and which version of a file was read."""

from __future__ import annotations

from pathlib import Path

import av

from vtbench.errors import VideoError

__all__ = ["BAD_INPUT", "reason", "version"]

BAD_INPUT = (av.error.FFmpegError, OSError, IndexError, ValueError)
"""What PyAV raises on bad input: its own tree, IndexError for a missing stream, ValueError for impossible values."""


def reason(error: Exception) -> str:
    """What one of BAD_INPUT says, as the reason of a VideoError."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{text[0].lower()}{text[1:]}"


def version(path: Path) -> tuple[str, int, int]:
    """Path, size and time of change, which differ when a file was replaced. Raises VideoError if there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(path, reason(error)) from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns
