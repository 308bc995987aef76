"""Data sets as LightningDataModules. Importing this package imports neither torch nor Lightning; what is asked of it
does."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

from vtbench.errors import UsageError, unknown
from vtbench.naming import guarded, load

if TYPE_CHECKING:
    from vtbench.datasets.cache import FileCache
    from vtbench.datasets.clips import ClipSampling, Loading, TestViews
    from vtbench.datasets.compressed import CompressedFrames
    from vtbench.datasets.frames import DecodedFrames
    from vtbench.datasets.manifests import Entry, VideoFolder, VideoLists, read_manifest
    from vtbench.datasets.module import VideoData

__all__ = [
    "DATASETS",
    "ClipSampling",
    "CompressedFrames",
    "DecodedFrames",
    "Entry",
    "FileCache",
    "Loading",
    "TestViews",
    "VideoData",
    "VideoFolder",
    "VideoLists",
    "build_data",
    "read_manifest",
]

DATASETS: dict[str, str] = {
    "folder": "vtbench.datasets.module:VideoData",
    "cycle": "vtbench.datasets.synthetic.videos:SyntheticData",
    "events": "vtbench.datasets.synthetic.videos:SyntheticData",
    "stills": "vtbench.datasets.synthetic.videos:SyntheticData",
    "bits": "vtbench.datasets.synthetic.videos:SyntheticData",
    "silent_bits": "vtbench.datasets.synthetic.videos:SyntheticData",
}
"""Data module by the name of its data set; `folder` is that of any set of videos with split files."""

_PLACES = {
    "ClipSampling": "clips",
    "CompressedFrames": "compressed",
    "DecodedFrames": "frames",
    "Entry": "manifests",
    "FileCache": "cache",
    "Loading": "clips",
    "TestViews": "clips",
    "VideoData": "module",
    "VideoFolder": "manifests",
    "VideoLists": "manifests",
    "read_manifest": "manifests",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def build_data(name: str, *, module: str | None = None, **arguments: Any) -> VideoData:
    """The data module of the data set `name`.

        build_data("cycle", sampling=ClipSampling(8, stride=4), train_transform=..., test_transform=...)
        build_data("ucf101", root="/data/ucf101", num_classes=101, sampling=..., ...)

    - module: which data module, of DATASETS or `package.module:Class`; by default the one called `name`, otherwise
      `folder`
    - arguments: those of the data module (see VideoData). `videos` may be left out; the arguments of VideoFolder (of a
      synthetic set: of SyntheticFolder) are then given here too

    Raises UsageError for a module that cannot be imported, for a class that is no VideoData, and, naming the nearest
    name, for a data set that is neither in DATASETS nor given a `root`.
    """
    if module is None and name not in DATASETS and not {"root", "videos"} & arguments.keys():
        raise UsageError(f"{unknown('data set', name, DATASETS)} (any other needs root=PATH)")
    found = data_class(module or (name if name in DATASETS else "folder"))
    if "videos" not in arguments:
        places = {field.name for field in dataclasses.fields(found.folder_class)} & arguments.keys()
        arguments["videos"] = found.folder_class(name=name, **{key: arguments.pop(key) for key in places})
    with guarded(module or name, "data module", "its __init__ must take what that of VideoData takes"):
        return found(**arguments)


def data_class(module: str) -> type[VideoData]:
    """The class of a data module. Raises UsageError as `build_data` does."""
    from vtbench.datasets.module import VideoData

    found = load(module, DATASETS, "data set")
    if not (isinstance(found, type) and issubclass(found, VideoData)):
        raise UsageError(f"data module {module}: must be a subclass of vtbench.datasets.module.VideoData")
    return found
