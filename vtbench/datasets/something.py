"""Something-Something V1 and V2: clips of 174 actions on objects, named by templates (Goyal et al., arXiv:1706.04261).

Layout under the root: train.csv and validation.csv (path,label). A label is a class number or a template without its
brackets ("Pushing something from left to right"). Test results are on the validation split: the test labels are not
public. V1 is given out as frames, which have to be encoded to video files first (data_manifests/README.md).
"""

from __future__ import annotations

from typing import ClassVar

from vtbench.datasets.base import VideoData

__all__ = ["SomethingV1", "SomethingV2"]


class SomethingV1(VideoData):
    """Something-Something V1 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "sthv1"


class SomethingV2(VideoData):
    """Something-Something V2 from a folder; nothing is downloaded. Arguments as in VideoData."""

    dataset_name: ClassVar[str] = "sthv2"
