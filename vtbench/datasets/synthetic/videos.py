"""The synthetic sets as a data module: the videos are made when they are first needed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vtbench.datasets.manifests import VideoFolder
from vtbench.datasets.module import VideoData
from vtbench.datasets.synthetic.generate import CLASSES, FLIP_LABELS, default_root, generate
from vtbench.errors import DataError

__all__ = ["SyntheticData", "SyntheticFolder"]


@dataclass(frozen=True)
class SyntheticFolder(VideoFolder):
    """A folder whose videos a data module makes.

    - root: the folder; None: `default_root`
    - num_train, num_test: how many videos it makes
    - data_seed: what they are drawn from

    Of vtbench's own sets, `name` says which; their classes and flip labels need not be given, and are checked if they
    are: raises DataError.
    """

    root: Path = None  # type: ignore[assignment]  # a Path once it is made
    _: dataclasses.KW_ONLY
    num_classes: int = 0
    num_train: int = 1024
    num_test: int = 256
    data_seed: int = 0

    def __post_init__(self) -> None:
        if self.root is None:
            root = default_root(self.name, num_train=self.num_train, num_test=self.num_test, seed=self.data_seed)
            object.__setattr__(self, "root", root)
        if self.name in CLASSES:
            known, flips = len(CLASSES[self.name]), FLIP_LABELS[self.name]
            if self.num_classes not in (0, known):
                raise DataError(f"synthetic set '{self.name}' has {known} classes, not {self.num_classes}")
            if self.flip_labels and dict(self.flip_labels) != flips:
                raise DataError(f"mirroring '{self.name}' changes labels by {flips}, not {dict(self.flip_labels)}")
            object.__setattr__(self, "num_classes", known)
            object.__setattr__(self, "flip_labels", flips)
        super().__post_init__()


class SyntheticData(VideoData):
    """One of the sets of vtbench.datasets.synthetic, as a SyntheticFolder; the other arguments are VideoData's."""

    folder_class: ClassVar[type[VideoFolder]] = SyntheticFolder

    def prepare_data(self) -> None:
        """Generate the videos if they are not there."""
        videos = self.videos
        assert isinstance(videos, SyntheticFolder)
        generate(videos.root, videos.name, num_train=videos.num_train, num_test=videos.num_test, seed=videos.data_seed)
