"""Which videos a data set has: split files, official lists and class folders, read and checked.

A split file is a CSV file with the header `path,label`: paths relative to the root (or absolute), labels as class
numbers from 0 or as class names. Where there is none, the lists that the data set was given out with are read as they
are (vtbench.datasets.official); where there are none either, class folders root/<split>/<class>/ will do.

Listed videos that are not there, or that a quarantine file names, stay in the list with their `problem`: what becomes
of them is the data module's affair.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vtbench.datasets.classes import class_number
from vtbench.datasets.folders import VIDEO_SUFFIXES, FolderIndex
from vtbench.datasets.official import OfficialLists
from vtbench.datasets.quarantine import place_of, read_quarantine, same_file
from vtbench.datasets.subsets import subset_of
from vtbench.errors import DataError, few
from vtbench.files import why_no_file

__all__ = ["Entry", "Split", "VideoFolder", "VideoLists", "Videos", "read_class_folders", "read_manifest"]

Split = Literal["train", "test"]
How = Literal["split file", "official lists", "class folders"]
"""What says which videos there are."""


SHOWN = 5
"""Columns of a line that a message shows."""
UNNAMED = "the data set"
"""What messages call a data set that was given no name."""


@dataclass(frozen=True)
class Entry:
    """One video.

    - video_id: its path as the split file gives it, or its id in the official list
    - file: the file, or the folder of its frames
    - label: its class number
    - source: where it is listed
    - problem: why it cannot be used, as far as that is known without reading it: it is missing, or in quarantine
    """

    video_id: str
    file: Path
    label: int
    source: str
    problem: str | None = None


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
    """A folder of videos with split files, official lists or class folders, read when they are first needed.

    - root: the folder; paths in split files are relative to it
    - train, test: names that the split files and folders may have, without the suffix .csv; the first that is there is
      taken
    - official: which files are the official lists, read where there are no split files, as OfficialLists or its
      arguments; None: of a set without any
    - quarantine: a file of videos not to be used, as `vtbench data check --decode` writes it; it need not be there
    - share, listed: use only the videos of a subset, as vtbench.datasets.subsets says: those whose hash is below a
      share of all hashes, or those that a file in the folder names ({"train": NAME, "test": NAME})
    - limit_train, limit_test: use only that many videos, from the start
    - walked: what lies in the folder, where another VideoFolder of it has it; None: found out when it is needed
    """

    root: Path
    _: dataclasses.KW_ONLY
    train: Sequence[str] = ("train",)
    test: Sequence[str] = ("validation", "val")
    official: OfficialLists | Mapping[str, Any] | None = None
    quarantine: Path | None = None
    share: float | None = None
    listed: Mapping[Split, str] | None = None
    limit_train: int | None = None
    limit_test: int | None = None
    walked: FolderIndex | None = dataclasses.field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        if isinstance(self.official, Mapping):
            object.__setattr__(self, "official", OfficialLists(**self.official))
        super().__post_init__()

    def read(self, split: Split) -> list[Entry]:
        """The videos of a split: of the first split file that is there, otherwise of the official lists, otherwise of
        class folders.

        Raises DataError for a missing folder, and for anything in the list that is not as it should be."""
        return self._read(split)[: self.limit_train if split == "train" else self.limit_test]

    def found(self, split: Split) -> tuple[How, list[Path]]:
        """What `read` reads, and what it is: a split file, official lists, or a folder of class folders. Raises
        DataError if there is nothing of these."""
        names = self.train if split == "train" else self.test
        if not self.root.is_dir():
            option = "" if self.name == UNNAMED else f" as --data {self.name}=PATH"
            raise DataError(f"{self.root}: no such folder; give the folder of {self.name}{option}")
        files = [self.root / f"{name}.csv" for name in names]
        manifest = next((path for path in files if path.exists()), None)
        official = self.official if isinstance(self.official, OfficialLists) else None
        # What is called as a split file and is neither one nor an official list is refused when it is read.
        if manifest is not None and (is_manifest(manifest) or official is None or not official.recognises(manifest)):
            return "split file", [manifest]
        if official is not None and (lists := official.find(self.index.lists, split, self.num_classes)):
            return "official lists", lists
        if manifest is None:
            for name in names:
                if (self.root / name).is_dir():
                    return "class folders", [self.root / name]
            if official is not None:
                patterns = official.train if split == "train" else official.test
                others = official.not_understood(self.index.lists, split)
                but = f"; {others[0]} is called as one and not written as one: get it again" if others else ""
                raise DataError(
                    f"{self.root}: has no list of the videos to {split} on: neither {files[0].name} (path,label) nor "
                    f"an official one ({', '.join(patterns)}) nor class folders in {names[0]}/{but}"
                )
        return "split file", [manifest or files[0]]

    @functools.cached_property
    def index(self) -> FolderIndex:
        """The videos and lists in the folder, from a walk through it."""
        return self.walked or FolderIndex(self.root)

    def _read(self, split: Split) -> list[Entry]:
        how, found = self.found(split)
        options = {"root": self.root, "num_classes": self.num_classes, "class_names": self.class_names}
        wanted = subset_of(self.share, self.root / self.listed[split] if self.listed else None)
        if how == "official lists":
            entries = self._official(found, split)
        elif how == "class folders":
            entries = read_class_folders(found[0], **options, complete=wanted is None)  # type: ignore[arg-type]
        else:
            entries = read_manifest(found[0], **options)  # type: ignore[arg-type]
        if wanted is not None:
            total, entries = len(entries), [entry for entry in entries if wanted(entry.video_id)]
            if not entries:
                raise DataError(
                    f"{found[0]}: none of its {total} videos is in the subset; are they named as the set's own?"
                )
        return read_quarantine(self.quarantine).applied(entries) if self.quarantine else entries

    def _official(self, lists: Sequence[Path], split: Split) -> list[Entry]:
        official = self.official
        assert isinstance(official, OfficialLists)
        official.refuse_other_classes(self.index.lists, self.class_names)
        others = {"train": ("train",), "test": ("val", "validation", "validate", "test")}[split]
        entries: list[Entry] = []
        taken: dict[str, Entry] = {}
        for listed in official.read(lists, split):
            label = class_number(
                listed.label,
                source=listed.source,
                num_classes=self.num_classes,
                class_names=self.class_names,
                name=self.name,
            )
            named = (self.class_names[label],) if self.class_names else ()
            path = self.index.find(
                listed.names, source=listed.source, within=(*others, *named), suffixes=listed.suffixes
            )
            problem = None if path else f"no video of the name {listed.names[0]} in {self.root}"
            file = self.root / (path or listed.names[0])
            entries.append(Entry(listed.video_id, file, label, listed.source, problem))
            other = taken.setdefault(path, entries[-1]) if path else entries[-1]
            if other.video_id != listed.video_id:
                raise DataError(
                    f"{listed.source}: {file} would be both {listed.video_id} and {other.video_id} ({other.source}); "
                    f"name files as {listed.names[0]}"
                )
        return entries

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.root)


def refuse_unusable(entries: Sequence[Entry], split: Split, where: str) -> None:
    """Raise DataError for an empty list, and, naming both lines, for a test video listed twice, which would be scored
    twice, and for a training video with two labels. where: where the videos are, for messages."""
    if not entries:
        raise DataError(f"{where}: no videos to {split} on are listed")
    seen: dict[str, Entry] = {}
    for entry in entries:
        for name in dict.fromkeys((entry.video_id, place_of(entry.file))):
            first = seen.get(name)
            if first is None:
                seen[name] = entry
                continue
            if split == "test":
                raise DataError(f"{entry.source}: '{entry.video_id}' is listed twice; first at {first.source}")
            if first.label != entry.label:
                raise DataError(
                    f"{entry.source}: '{entry.video_id}' has label {entry.label}, and {first.label} at "
                    f"{first.source}; keep one of the lines"
                )


def refuse_lacking(
    entries: Sequence[Entry],
    allowed: float,
    split: Split,
    where: str,
    *,
    also: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Raise DataError where a larger share of the videos of a split than `allowed` cannot be used.

    `also`: id -> why, of videos that were found to be unreadable besides those with a `problem`."""
    found = {e.video_id: f"{e.source}: {e.file}: {e.problem}" for e in entries if e.problem} | dict(also)
    if len(found) <= allowed * len(entries):
        return
    share = math.ceil(1000 * len(found) / len(entries)) / 1000
    raise DataError(
        f"{where}: {len(found)} of {len(entries)} videos to {split} on cannot be used, above the share of {allowed:g}: "
        f"{few(found.values(), '; ')}; complete the folder, or allow it with --missing {share:g}"
    )


def refuse_overlap(train: Sequence[Entry], test: Sequence[Entry]) -> None:
    """Raise DataError, naming both lines, for a file that is listed to train on and to test on."""
    both = in_both(train, test)
    if both:
        first, tested = both[0]
        more = f" ({len(both)} videos are in both lists)" if len(both) > 1 else ""
        raise DataError(
            f"{first.source}: '{first.video_id}' is listed to train on, and to test on at {tested.source}{more}; take "
            "it out of one of them"
        )


def in_both(train: Sequence[Entry], test: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """The training videos whose file is listed to test on too, however its path is spelled and also as a link, each
    with the test's. An id that both lists have may be of two files."""

    def names(entry: Entry) -> tuple[Hashable, ...]:
        return place_of(entry.file), (None if entry.problem else same_file(entry.file))

    tested = {name: entry for entry in test for name in names(entry) if name is not None}
    if not tested:  # there may be many to train on, and each is asked of the disk
        return []
    found = ((entry, next((tested[name] for name in names(entry) if name in tested), None)) for entry in train)
    return [(entry, both) for entry, both in found if both is not None]


def sample_of(entries: Sequence[Entry], count: int) -> list[Entry]:
    """`count` of the videos that can be used. Which depends on their ids alone."""
    usable = (entry for entry in entries if not entry.problem)
    return sorted(usable, key=lambda entry: hashlib.sha256(entry.video_id.encode()).digest())[:count]


def size_of(file: Path) -> int | None:
    """Bytes of a file; of a folder of frames, how many there are; None for what is not there any more."""
    try:
        return sum(1 for _ in file.iterdir()) if file.is_dir() else file.stat().st_size
    except OSError:
        return None


# -- files and folders ------------------------------------------------------------------------------------------------


def read_manifest(
    manifest: Path, *, root: Path, num_classes: int, class_names: Sequence[str] | None = None
) -> list[Entry]:
    """The lines of the split file `manifest` in order.

    Raises DataError with file and line for anything that is not as it should be: no such file, a wrong header, no
    lines, a wrong number of columns, an unknown label. A missing video is the `problem` of its entry.
    """
    if manifest.exists() and (why := why_no_file(manifest)):
        raise DataError(f"{manifest}: {why}, a file of path,label is wanted")
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.reader(opened)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataError(f"{manifest}: no such manifest; it lists the videos as lines of path,label") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot be read as CSV: {error}") from error
    if not rows or rows[0][1] != ["path", "label"]:
        found = few(rows[0][1], ",", SHOWN) if rows else ""
        raise DataError(f"{manifest}:1: the header is '{found}', must be 'path,label'")
    if len(rows) == 1:
        raise DataError(f"{manifest}: lists no videos; add lines of path,label")
    entries = []
    classes = {"num_classes": num_classes, "class_names": class_names}
    for line, row in rows[1:]:
        source = f"{manifest}:{line}"
        if len(row) != 2 or not all(row):
            raise DataError(f"{source}: '{few(row, ',', SHOWN)}' must be path,label")
        if ".." in row[0] and os.path.normpath(row[0]).split("/")[0] == "..":
            raise DataError(f"{source}: '{row[0]}' leads out of {root}; give a path within it, or an absolute one")
        label = class_number(row[1], source=source, **classes)  # type: ignore[arg-type]
        entries.append(Entry(row[0], root / row[0], label, source, _absence(root / row[0])))
    return entries


def _absence(file: Path) -> str | None:
    """Why a file cannot be there to read; None if it is."""
    try:
        file.stat()
    except FileNotFoundError:
        return "a link to a file that is not there" if file.is_symlink() else "no such file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def is_manifest(file: Path) -> bool:
    """Whether a file is CSV that begins with the header `path,label`, as `read_manifest` wants it."""
    if why_no_file(file):
        return False
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="replace") as opened:
            header = next((row for row in csv.reader(opened) if any(map(str.strip, row))), [])
    except (OSError, csv.Error):
        return False
    return [cell.strip() for cell in header] == ["path", "label"]


def read_class_folders(
    folder: Path,
    *,
    root: Path,
    num_classes: int,
    class_names: Sequence[str] | None = None,
    complete: bool = True,
) -> list[Entry]:
    """Videos under folder/<class>/, sorted by class and name. Without `class_names` the sorted folder names are the
    classes, provided there are `num_classes` of them; a name may be written with underscores for spaces. Raises
    DataError if the folders do not fit the classes or, where they are to be `complete`, lack one. Folders called by all
    numbers from 0 are these classes."""
    found = sorted(p.name for p in folder.iterdir() if p.is_dir())
    numbers = list(map(str, range(num_classes)))
    names = list(class_names) if class_names is not None else numbers if set(found) == set(numbers) else found
    if class_names is None and len(found) != num_classes:
        raise DataError(f"{folder}: has {len(found)} class folders, the data set has {num_classes} classes")
    entries = []
    lacking = dict(enumerate(names))
    for name in found:
        label = class_number(name, source=str(folder / name), num_classes=num_classes, class_names=names)
        files = sorted(p for p in (folder / name).iterdir() if _is_video(p))
        if files:
            lacking.pop(label, None)
        entries += [Entry(str(file.relative_to(root)), file, label, str(file), _absence(file)) for file in files]
    if not entries:
        raise DataError(f"{folder}: has no videos in class folders")
    if complete and lacking:
        raise DataError(
            f"{folder}: has no videos of {len(lacking)} of {len(names)} classes ({few(lacking.values())}); complete "
            "it, or list what you have as path,label"
        )
    return entries


def _is_video(file: Path) -> bool:
    """Whether a file of a class folder is a video by its name: not a hidden one, as other systems leave behind."""
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".") and not file.is_dir()
