"""What lies in a user's folder: its videos by name, and the files that may be lists, found in one walk.

A video is a file with a suffix of VIDEO_SUFFIXES, or a folder of numbered JPEG frames (see vtbench.video.stills).
"""

# ruff: noqa: PTH110, PTH116, PTH119, PTH122 (plain strings: there may be several hundred thousand of them)

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtbench.datasets.classes import plain_name
from vtbench.errors import DataError

__all__ = ["VIDEO_SUFFIXES", "FolderIndex"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg")

LIST_SUFFIXES = (".csv", ".json", ".txt")

_FRAME = re.compile(r"\D*\d+\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True)
class FolderIndex:
    """The videos and lists below `root`.

    - videos: name without suffix -> paths from the root, sorted
    - lists: paths of .csv, .json and .txt files, sorted
    """

    root: Path
    videos: dict[str, list[str]]
    lists: list[Path]

    @classmethod
    def of(cls, root: Path) -> FolderIndex:
        """Walk the folder once. Links to folders are followed, each folder once, so a circle of links ends. Folders of
        frames are not listed but for their first file. Raises DataError for a folder that cannot be read."""
        videos: dict[str, list[str]] = {}
        lists: list[Path] = []
        seen: set[tuple[int, int]] = set()
        waiting = [""]
        while waiting:
            place = waiting.pop()
            try:
                status = os.stat(root / place)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(root / place) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        name, suffix = os.path.splitext(entry.name)
                        suffix = suffix.lower()
                        path = f"{place}/{entry.name}" if place else entry.name
                        if entry.is_symlink() and not os.path.exists(root / path):  # to nothing, or to itself
                            continue
                        if suffix in VIDEO_SUFFIXES:
                            videos.setdefault(name, []).append(path)
                        elif suffix in LIST_SUFFIXES:
                            lists.append(root / path)
                        elif place and suffix in (".jpg", ".jpeg") and _FRAME.fullmatch(entry.name):
                            videos.setdefault(os.path.basename(place), []).append(place)
                            break
                        elif entry.is_dir():
                            waiting.append(path)
            except OSError as error:
                raise DataError(f"{root / place}: cannot be read: {error.strerror}; make it readable") from error
        for paths in videos.values():
            paths.sort()
        return cls(root, videos, sorted(lists))

    @property
    def num_videos(self) -> int:
        """Videos in the folder, listed or not."""
        return sum(map(len, self.videos.values()))

    def find(self, names: Sequence[str], *, source: str, within: Sequence[str] = ()) -> str | None:
        """The path of a video that may have one of these names, with or without suffix; None where there is none.

        Of several files of a name: the one with the suffix that the name states, then the one in folders called as
        `within` says (a class, a split), each in turn. Raises DataError, naming two, where that leaves several.
        """
        for name in names:
            base = os.path.basename(name)
            stem, suffix = os.path.splitext(base)
            paths = self.videos.get(stem if suffix.lower() in VIDEO_SUFFIXES else base)
            if not paths:
                continue
            if len(paths) > 1:
                paths = _nearest(paths, name, within)
            if len(paths) > 1:
                raise DataError(
                    f"{source}: {self.root}: {paths[0]} and {paths[1]} could both be it; move one of them away"
                )
            return paths[0]
        return None


def _nearest(paths: list[str], name: str, within: Sequence[str]) -> list[str]:
    exact = [path for path in paths if f"/{path}".endswith(f"/{name}")]
    paths = exact or [path for path in paths if os.path.basename(path) == os.path.basename(name)] or paths
    for folder in within:
        if len(paths) > 1:
            wanted = plain_name(folder)
            inside = [path for path in paths if wanted in map(plain_name, path.split("/")[:-1])]
            paths = inside or [path for path in paths if _contains(path, wanted)] or paths
    return paths


def _contains(path: str, wanted: str) -> bool:
    """Whether a folder on the way holds the word, as `videos_train_256` does `train`."""
    return any(wanted in plain_name(part).split("_") for part in path.split("/")[:-1])
