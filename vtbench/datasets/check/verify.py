"""Lists held against folders, without opening a video: what was understood, what is there, what does not fit."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vtbench.datasets.manifests import Entry, How, Split, VideoFolder, in_both
from vtbench.datasets.quarantine import IN_QUARANTINE, place_of

__all__ = ["SplitReport", "extra_videos", "overlap", "read_split"]


@dataclass(frozen=True)
class SplitReport:
    """One split of a data set as its lists and its folder have it.

    - split: train or test
    - lists: the files that were read, or the folder of class folders
    - how: what they are: split file, official lists, class folders
    - entries: the listed videos, in order
    - num_classes: classes of the data set
    """

    split: Split
    lists: Sequence[Path]
    how: How
    entries: Sequence[Entry]
    num_classes: int

    @property
    def there(self) -> int:
        """Listed videos whose file is there."""
        return len(self.entries) - len(self.missing)

    @functools.cached_property
    def missing(self) -> list[Entry]:
        """Listed videos whose file is not there."""
        return [entry for entry in self.entries if entry.problem and not entry.problem.startswith(IN_QUARANTINE)]

    @functools.cached_property
    def quarantined(self) -> list[Entry]:
        """Listed videos that a quarantine file names."""
        return [entry for entry in self.entries if entry.problem and entry.problem.startswith(IN_QUARANTINE)]

    @property
    def empty_classes(self) -> list[int]:
        """Labels that no listed video has."""
        return sorted(set(range(self.num_classes)) - {entry.label for entry in self.entries})

    @functools.cached_property
    def repeated(self) -> list[str]:
        """Ids of files that are listed more than once."""
        places = [place_of(entry.file) for entry in self.entries]
        count = Counter(places)
        every = zip(self.entries, places, strict=True)
        return list(dict.fromkeys(entry.video_id for entry, place in every if count[place] > 1))

    @functools.cached_property
    def contradicting(self) -> list[str]:
        """Ids of videos that are listed with more than one label, however their path is spelled."""
        labels: dict[str, int] = {}
        both = [
            entry.video_id
            for entry in self.entries
            if {labels.setdefault(name, entry.label) for name in (entry.video_id, place_of(entry.file))}
            != {entry.label}
        ]
        return list(dict.fromkeys(both))


def read_split(videos: VideoFolder, split: Split) -> SplitReport:
    """Read the lists of a split. Raises DataError as VideoFolder.read does."""
    how, lists = videos.found(split)
    return SplitReport(split, lists, how, videos.read(split), videos.num_classes)


def overlap(train: SplitReport, test: SplitReport) -> list[str]:
    """Ids of training videos whose file is listed to test on too."""
    return [entry.video_id for entry, _ in in_both(train.entries, test.entries)]


def extra_videos(videos: VideoFolder, reports: Iterable[SplitReport]) -> list[str]:
    """Paths, from the root, of videos in the folder that none of the lists names."""
    root = f"{videos.root}/"
    listed = {str(entry.file).removeprefix(root) for report in reports for entry in report.entries}
    return sorted(path for paths in videos.index.videos.values() for path in paths if path not in listed)
