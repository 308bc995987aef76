"""Parts of a data set that are the same for everybody: chosen by a hash of the videos' names, or by published lists.

A video is known by the name of its file without folder and suffix: `abc_000010_000020` of
`train/abseiling/abc_000010_000020.mp4`. Other folders or another container so choose the same videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vtbench.errors import DataError

__all__ = ["hash_of", "name_of", "subset_of"]


def name_of(video_id: str) -> str:
    """The name by which a video is known: its path without folders and suffix."""
    return PurePosixPath(video_id.replace("\\", "/")).stem


def hash_of(video_id: str) -> float:
    """A number in [0, 1) that depends on a video's name alone: the first 7 bytes of its SHA-256, as a
    fraction. A smaller share of a set is so part of every larger one."""
    return int.from_bytes(hashlib.sha256(name_of(video_id).encode()).digest()[:7], "big") / 2**56


def subset_of(share: float | None, listed: Path | None) -> Callable[[str], bool] | None:
    """Whether a video, by its id, is in a subset; None where all are.

    - share: those whose hash is below it, in (0, 1)
    - listed: a file with a name in each line. It is of the videos of this name, and of those of which it is the
      beginning up to a "_": Kinetics' files are called after the YouTube id and the seconds.

    Raises ValueError for a share outside (0, 1), and DataError for a file that cannot be read or names nothing.
    """
    if share is not None:
        if not 0 < share < 1:
            raise ValueError(f"share is {share}, must be above 0 and below 1")
        limit = share
        return lambda video_id: hash_of(video_id) < limit
    if listed is None:
        return None
    try:
        names = frozenset(line.strip() for line in listed.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except FileNotFoundError:
        raise DataError(
            f"{listed}: no such file; it lists the videos of the subset: `subsets` in the data set's dataset.yaml says "
            "where it comes from"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listed}: cannot be read as text in UTF-8: {error}") from error
    if not names:
        raise DataError(f"{listed}: names no videos; put a name in each line")
    return lambda video_id: not names.isdisjoint(_beginnings(name_of(video_id)))


def _beginnings(name: str) -> list[str]:
    """A name and its beginnings up to each "_"."""
    return [name, *(name[:place] for place, letter in enumerate(name) if letter == "_")]
