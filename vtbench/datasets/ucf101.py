"""UCF101: clips of 101 human actions from YouTube (Soomro et al., arXiv:1212.0402).

Three official splits. Layout under the root: split1_train.csv and split1_test.csv (path,label), likewise for splits 2
and 3. A label is a class number or a class name ("ApplyEyeMakeup").
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from vtbench.datasets.base import Entry, VideoData

__all__ = ["UCF101"]


class UCF101(VideoData):
    """UCF101 from a folder; nothing is downloaded. Arguments as in VideoData, with `split` 1, 2 or 3."""

    dataset_name: ClassVar[str] = "ucf101"

    def group(self, entry: Entry) -> str:
        """Clips of one group were cut from one video ("v_YoYo_g07_c03": group 7 of its class)."""
        return re.sub(r"_c\d+$", "", Path(entry.video_id).stem)
