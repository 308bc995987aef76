"""EGTEA Gaze+: first-person clips of 106 cooking actions (Li et al., "In the Eye of Beholder", ECCV 2018).

Three official splits. Layout under the root: split1_train.csv and split1_test.csv (path,label), likewise for splits 2
and 3. A label is a class number from 0; the official lists count from 1.
"""

from __future__ import annotations

from typing import ClassVar

from vtbench.datasets.base import VideoData

__all__ = ["EGTEA"]


class EGTEA(VideoData):
    """EGTEA Gaze+ from a folder; nothing is downloaded. Arguments as in VideoData, with `split` 1, 2 or 3."""

    dataset_name: ClassVar[str] = "egtea"
