"""What lies in a user's folder: its videos by name, and the files that may be lists, found in one walk.

A video is a file with a suffix of VIDEO_SUFFIXES, or a folder of numbered JPEG frames (see vtbench.video.stills).
"""

# ruff: noqa: PTH110, PTH116, PTH119, PTH122 (plain strings: there may be several hundred thousand of them)

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vtbench.datasets.classes import plain_name
from vtbench.errors import DataError

__all__ = ["VIDEO_SUFFIXES", "FolderIndex", "files_below"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg")

LIST_SUFFIXES = (".csv", ".json", ".txt")

_FRAME = re.compile(r"\D*\d+\.jpe?g", re.IGNORECASE)


class FolderIndex:
    """The videos and lists below `root`, found in one walk when they are first asked for.

    Links to folders are followed, each folder once, so a circle of links ends. A folder of frames is one that holds
    numbered JPEG files and neither videos nor folders. Hidden files and links to nothing do not count. Asking raises
    DataError for a folder that cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def videos(self) -> dict[str, list[str]]:
        """Name without suffix -> paths from the root, sorted."""
        return self._found[0]

    @property
    def lists(self) -> list[Path]:
        """Paths of .csv, .json and .txt files, sorted."""
        return self._found[1]

    @functools.cached_property
    def _found(self) -> tuple[dict[str, list[str]], list[Path]]:
        root = self.root
        videos: dict[str, list[str]] = {}
        lists: list[Path] = []
        for place, files, folders in _walk(root):
            frames, any_video = False, False
            for entry in files:
                name, suffix = os.path.splitext(entry)
                suffix = suffix.lower()
                path = f"{place}/{entry}" if place else entry
                if suffix in VIDEO_SUFFIXES:
                    videos.setdefault(name, []).append(path)
                    any_video = True
                elif suffix in LIST_SUFFIXES:
                    lists.append(root / path)
                elif suffix in (".jpg", ".jpeg"):
                    frames = frames or _FRAME.fullmatch(entry) is not None
            if frames and place and not folders and not any_video:
                videos.setdefault(os.path.basename(place), []).append(place)
        for paths in videos.values():
            paths.sort()
        return videos, sorted(lists)

    @property
    def num_videos(self) -> int:
        """Videos in the folder, listed or not."""
        return sum(map(len, self.videos.values()))

    def find(
        self, names: Sequence[str], *, source: str, within: Sequence[str] = (), suffixes: Collection[str] | None = None
    ) -> str | None:
        """The path of a video that may have one of these names, with or without suffix; None where there is none.

        suffixes: those that it may have, "" for a folder of frames; None: any.

        Of several files of a name: the one with the suffix that the name states, then the one in folders called as
        `within` says (a class, a split), each in turn. Raises DataError, naming two, where that leaves several.
        """
        for name in names:
            base = os.path.basename(name)
            stem, suffix = os.path.splitext(base)
            paths = self.videos.get(stem if suffix.lower() in VIDEO_SUFFIXES else base)
            if suffixes is not None:
                paths = [path for path in paths or () if _suffix(path) in suffixes]
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


def _suffix(path: str) -> str:
    """The suffix of a video in small letters; "" of a folder of frames, whatever its name."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix if suffix in VIDEO_SUFFIXES else ""


def files_below(root: Path) -> list[Path]:
    """Every file below a folder, also behind links to folders, sorted; without hidden ones. A link to nothing is a
    file. Raises DataError for a folder that cannot be read."""
    return sorted(root / place / name for place, files, _ in _walk(root, broken=True) for name in files)


def _walk(root: Path, *, broken: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """(path from `root`, names of files, names of folders) of each folder, once. `broken`: links to nothing are files
    too."""
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        place = waiting.pop()
        files: list[str] = []
        folders: list[str] = []
        try:
            status = os.stat(root / place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    # To nothing, or to itself.
                    if entry.is_symlink() and not os.path.exists(entry.path):
                        if broken:
                            files.append(entry.name)
                        continue
                    (folders if entry.is_dir() else files).append(entry.name)
        except OSError as error:
            raise DataError(f"{root / place}: cannot be read: {error.strerror}; make it readable") from error
        waiting += [f"{place}/{name}" if place else name for name in folders]
        yield place, files, folders
