"""Kinetics-400 and Kinetics-600, 10-second clips of 400 and 600 human actions, as section 4.1 of MSCA and of MM-ViT use
them (Kay et al., arXiv:1705.06950; Carreira et al., arXiv:1808.01340).

Layout under the root: train.csv and validation.csv (path,label), or class folders train/<class>/ and
validation/<class>/ with the videos in them. Test results are on the validation split, as printed in the papers.
"""

from __future__ import annotations

from typing import ClassVar

from vtbench.datasets.base import VideoData

__all__ = ["Kinetics400", "Kinetics600"]


class Kinetics400(VideoData):
    """Kinetics-400 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "kinetics400"


class Kinetics600(VideoData):
    """Kinetics-600 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "kinetics600"
