"""Diving48, V2 labels: single dives of 48 kinds (Li, Li and Vasconcelos, "RESOUND", ECCV 2018).

Layout under the root: train.csv and validation.csv (path,label), the latter being the official test list. A label is a
class number or a class name ("Back_15som_05Twis_FREE": take-off, somersaults, twists, position).
"""

from __future__ import annotations

from typing import ClassVar

from vtbench.datasets.base import VideoData

__all__ = ["Diving48"]


class Diving48(VideoData):
    """Diving48 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "diving48"
