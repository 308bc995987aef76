"""Data sets as LightningDataModules. Importing this package imports neither torch nor Lightning; `build_data` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError
from vtbench.naming import load

if TYPE_CHECKING:
    from vtbench.datasets.base import VideoData

__all__ = ["DATASETS", "build_data"]

DATASETS: dict[str, str] = {
    "folder": "vtbench.datasets.base:VideoData",
    "kinetics400": "vtbench.datasets.kinetics:Kinetics400",
    "kinetics600": "vtbench.datasets.kinetics:Kinetics600",
    "ucf101": "vtbench.datasets.ucf101:UCF101",
    "egtea": "vtbench.datasets.egtea:EGTEA",
    "sthv1": "vtbench.datasets.something:SomethingV1",
    "sthv2": "vtbench.datasets.something:SomethingV2",
    "diving48": "vtbench.datasets.diving48:Diving48",
    "cycle": "vtbench.datasets.synthetic:Cycle",
    "events": "vtbench.datasets.synthetic:Events",
    "stills": "vtbench.datasets.synthetic:Stills",
    "bits": "vtbench.datasets.synthetic:Bits",
    "silent_bits": "vtbench.datasets.synthetic:SilentBits",
}
"""Data module by the name of its data set; `folder` is that of any other set of videos with lists."""


def build_data(name: str, *, module: str | None = None, **arguments: Any) -> VideoData:
    """The data module of the data set `name`, built from its keyword arguments (see `VideoData`).

    module: which data module, of DATASETS or `package.module:Class`; by default the one called `name`. Raises
    UsageError, naming the nearest name, if there is none, for a module that cannot be imported, and for a class that is
    no VideoData.
    """
    return data_class(module or name)(name=name, **arguments)


def data_class(module: str) -> type[VideoData]:
    """The class of a data module. Raises UsageError as `build_data` does."""
    from vtbench.datasets.base import VideoData

    found = load(module, DATASETS, "data set")
    if not (isinstance(found, type) and issubclass(found, VideoData)):
        raise UsageError(f"data module {module}: must be a subclass of vtbench.datasets.base.VideoData")
    return found
