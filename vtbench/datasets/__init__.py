"""Data sets as LightningDataModules. Importing this package imports neither torch nor Lightning; `build_data` does."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from vtbench.datasets.base import VideoData

__all__ = ["DATASETS", "build_data"]

DATASETS: dict[str, str] = {
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


def build_data(name: str, **arguments: Any) -> VideoData:
    """The data module called `name` in DATASETS, built from its keyword arguments (see `VideoData`).

    Raises UsageError, naming the nearest name, if there is none.
    """
    if name not in DATASETS:
        raise UsageError(f"no data set '{name}'{did_you_mean(name, DATASETS)}")
    module, _, attribute = DATASETS[name].partition(":")
    data: VideoData = getattr(importlib.import_module(module), attribute)(**arguments)
    return data
