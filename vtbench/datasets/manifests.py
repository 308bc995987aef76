"""Which videos a data set has: split files and class folders, read and checked.

A split file is a CSV file with the header `path,label`: paths relative to the root (or absolute), labels as class
numbers from 0 or as class names. Where there is none, class folders root/<split>/<class>/ will do.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vtbench.datasets.subsets import subset_of
from vtbench.errors import DataError, unknown

__all__ = ["Entry", "Split", "VideoFolder", "VideoLists", "Videos", "read_class_folders", "read_manifest"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg")

Split = Literal["train", "test"]


UNNAMED = "the data set"
"""What messages call a data set that was given no name."""


@dataclass(frozen=True)
class Entry:
    """One video: its path as the split file gives it (its id), the file, its class number, and where it is listed."""

    video_id: str
    file: Path
    label: int
    source: str


# -- sets of videos ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Videos(ABC):
    """The videos of a data set, and what its labels mean. `VideoFolder` reads them from a folder, `VideoLists` is given
    them.

    - num_classes: number of classes
    - class_names: their names, where split files may use them
    - flip_labels: label -> label of the mirrored video, for those that mirroring changes
    - group: a regular expression with one group, searched for in the id of a video. Videos for which that group is the
      same, e.g. clips cut from one video, are held out together. None: each video is its own group
    - name: what the data set is called in messages

    Raises ValueError for flip labels that two flips do not restore.
    """

    num_classes: int
    class_names: Sequence[str] | None = None
    flip_labels: Mapping[int, int] = dataclasses.field(default_factory=dict)
    group: str | None = None
    name: str = UNNAMED

    def __post_init__(self) -> None:
        flips = self.flip_labels
        if any(flips.get(b) != a or not 0 <= a < self.num_classes for a, b in flips.items()):
            raise ValueError(f"mirroring twice must restore every label, which {dict(flips)} does not")

    @abstractmethod
    def read(self, split: Split) -> list[Entry]:
        """The videos of a split, in order. Raises DataError for what is not as it should be."""

    def group_of(self, entry: Entry) -> str:
        """The group of a video. Raises DataError for an id in which `group` is not found."""
        if self.group is None:
            return entry.video_id
        found = re.search(self.group, entry.video_id)
        if found is None or found.group(1) is None:
            raise DataError(
                f"{entry.source}: '{entry.video_id}' is in no group of {self.name}: the pattern {self.group!r} does "
                "not match; rename the video, or correct the pattern (`group`)"
            )
        return found.group(1)

    @property
    def where(self) -> str:
        """Where the videos are, for messages."""
        return self.name


@dataclass(frozen=True, kw_only=True)
class VideoLists(Videos):
    """Videos given as lists, e.g. from `read_manifest`."""

    train: Sequence[Entry] = ()
    test: Sequence[Entry] = ()

    def read(self, split: Split) -> list[Entry]:
        """The list of a split."""
        return list(self.train if split == "train" else self.test)


@dataclass(frozen=True)
class VideoFolder(Videos):
    """A folder of videos with split files or class folders, read when they are first needed.

    - root: the folder; paths in split files are relative to it
    - train, test: names that the split files and folders may have, without the suffix .csv; the first that is there is
      taken
    - share, listed: use only the videos of a subset, as vtbench.datasets.subsets says: those whose hash is below a
      share of all hashes, or those that a file in the folder names ({"train": NAME, "test": NAME})
    - limit_train, limit_test: use only that many videos, from the start
    """

    root: Path
    _: dataclasses.KW_ONLY
    train: Sequence[str] = ("train",)
    test: Sequence[str] = ("validation", "val")
    share: float | None = None
    listed: Mapping[Split, str] | None = None
    limit_train: int | None = None
    limit_test: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        super().__post_init__()

    def read(self, split: Split) -> list[Entry]:
        """The videos of a split: of the first split file that is there, otherwise of class folders.

        Raises DataError for a missing folder, and for anything in the list that is not as it should be."""
        if not self.root.is_dir():
            option = "" if self.name == UNNAMED else f" as --data {self.name}=PATH"
            raise DataError(f"{self.root}: no such folder; give the folder of {self.name}{option}")
        if split == "train":
            return self._read(self.train, split)[: self.limit_train]
        return self._read(self.test, split)[: self.limit_test]

    def _read(self, names: Sequence[str], split: Split) -> list[Entry]:
        options = {"root": self.root, "num_classes": self.num_classes, "class_names": self.class_names}
        options["wanted"] = subset_of(self.share, self.root / self.listed[split] if self.listed else None)
        files = [self.root / f"{name}.csv" for name in names]
        manifest = next((path for path in files if path.exists()), None)
        if manifest is None:
            for name in names:
                if (self.root / name).is_dir():
                    return read_class_folders(self.root / name, **options)  # type: ignore[arg-type]
        return read_manifest(manifest or files[0], **options)  # type: ignore[arg-type]

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.root)


def refuse_unusable(entries: Sequence[Entry], split: Split, where: str) -> None:
    """Raise DataError for an empty list, and, naming both lines, for a test video listed twice: it would be scored
    twice. where: where the videos are, for messages."""
    if not entries:
        raise DataError(f"{where}: no videos to {split} on are listed")
    if split == "train":
        return
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.video_id in seen:
            raise DataError(f"{entry.source}: '{entry.video_id}' is listed twice; first at {seen[entry.video_id]}")
        seen[entry.video_id] = entry.source


# -- files and folders ------------------------------------------------------------------------------------------------


def read_manifest(
    manifest: Path,
    *,
    root: Path,
    num_classes: int,
    class_names: Sequence[str] | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> list[Entry]:
    """The lines of the split file `manifest` in order, only those of `wanted` videos where it is given.

    Raises DataError with file and line for anything that is not as it should be: no such file, a wrong header, no
    lines, a wrong number of columns, an unknown label, a missing video.
    """
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataError(f"{manifest}: no such manifest; it lists the videos as lines of path,label") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot be read as CSV: {error}") from error
    if not rows or rows[0][1] != ["path", "label"]:
        found = ",".join(rows[0][1]) if rows else ""
        raise DataError(f"{manifest}:1: the header is '{found}', must be 'path,label'")
    if len(rows) == 1:
        raise DataError(f"{manifest}: lists no videos; add lines of path,label")
    entries = []
    for line, row in rows[1:]:
        source = f"{manifest}:{line}"
        if len(row) != 2 or not all(row):
            raise DataError(f"{source}: '{','.join(row)}' must be path,label")
        entries.append(Entry(row[0], root / row[0], _label(row[1], source, num_classes, class_names), source))
    entries = _wanted(entries, wanted, str(manifest))
    missing = [entry for entry in entries if not entry.file.is_file()]
    if missing:
        several = f" ({len(missing)} of {len(entries)} files are missing: " if len(missing) > 1 else ""
        names = ", ".join(entry.video_id for entry in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{missing[0].source}: {missing[0].file}: no such file{several}{names + ')' if several else ''}; "
            "complete the folder or remove the lines"
        )
    return entries


def _wanted(entries: list[Entry], wanted: Callable[[str], bool] | None, where: str) -> list[Entry]:
    """The entries of a subset. Raises DataError if there are none."""
    kept = entries if wanted is None else [entry for entry in entries if wanted(entry.video_id)]
    if entries and not kept:
        raise DataError(
            f"{where}: none of its {len(entries)} videos is in the subset; are they named as the set's own?"
        )
    return kept


def _label(text: str, source: str, num_classes: int, class_names: Sequence[str] | None) -> int:
    names = list(class_names or ())
    if text in names:  # before numbers: a class may be called "1"
        return names.index(text)
    try:
        label = int(text)
    except ValueError:
        remedy = "" if names else "; give class numbers, or a classes.txt for names"
        raise DataError(f"{source}: {unknown('class', text, names, of='this data set')}{remedy}") from None
    if not 0 <= label < num_classes:
        raise DataError(f"{source}: label {label} is outside 0 to {num_classes - 1}")
    return label


def read_class_folders(
    folder: Path,
    *,
    root: Path,
    num_classes: int,
    class_names: Sequence[str] | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> list[Entry]:
    """Videos under folder/<class>/, sorted by class and name, only `wanted` ones where that is given. Without
    `class_names` the sorted folder names are the classes, provided there are `num_classes` of them. Raises DataError if
    the folders do not fit the classes."""
    found = sorted(p.name for p in folder.iterdir() if p.is_dir())
    names = list(class_names) if class_names is not None else found
    if class_names is None and len(found) != num_classes:
        raise DataError(f"{folder}: has {len(found)} class folders, the data set has {num_classes} classes")
    entries = []
    for name in found:
        if name not in names:
            raise DataError(f"{folder / name}: {unknown('class', name, names, of='this data set')}")
        for file in sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in VIDEO_SUFFIXES):
            entries.append(Entry(str(file.relative_to(root)), file, names.index(name), str(file)))
    if not entries:
        raise DataError(f"{folder}: has no videos in class folders")
    return _wanted(entries, wanted, str(folder))
