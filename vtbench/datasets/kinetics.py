"""Kinetics-400: 10-second clips of 400 human actions (Kay et al., arXiv:1705.06950), as MSCA section 4.1 uses it.

Layout under the root: train.csv and validation.csv (path,label), or class folders train/<class>/ and
validation/<class>/ with the videos in them. Test results are on the validation split, as printed in the paper.
"""

from __future__ import annotations

from typing import ClassVar

from vtbench.datasets.base import VideoData

__all__ = ["Kinetics400"]


class Kinetics400(VideoData):
    """Kinetics-400 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "kinetics400"
