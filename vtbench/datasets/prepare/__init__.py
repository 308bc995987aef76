"""Re-encode a folder of videos, once, to files from which clips are read quickly and exactly: `prepare`.

`H264` is for methods that take frames, `Mpeg4` for those that read compressed video.
"""

from vtbench.datasets.prepare.folder import Reencoded, prepare
from vtbench.datasets.prepare.h264 import H264
from vtbench.datasets.prepare.mpeg4 import Mpeg4

__all__ = ["H264", "Mpeg4", "Reencoded", "prepare"]
