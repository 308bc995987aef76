"""Data modules from plain values, as many tests need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vtbench.datasets import build_data
from vtbench.datasets.cache import FileCache
from vtbench.datasets.clips import ClipSampling, Loading, TestViews
from vtbench.datasets.compressed import CompressedFrames
from vtbench.datasets.frames import DecodedFrames
from vtbench.datasets.module import VideoData
from vtbench.video.modalities import TestModalities, TrainModalities
from vtbench.video.transforms import TestTransform, TrainTransform


def video_data(
    name: str,
    *,
    num_frames: int = 8,
    stride: int | None = 4,
    size: int = 32,
    augment: Mapping[str, Any],
    clips: int = 1,
    crops: int = 1,
    clip_sampling: Any = "uniform",
    short_side: int | None = None,
    cache: FileCache | None = None,
    modalities: Sequence[str] | None = None,
    motion: Any = None,
    batch_size: int = 4,
    num_workers: int = 0,
    eval_batch_size: int = 1,
    **rest: Any,
) -> VideoData:
    """`build_data`, with `augment` as a spec has it and the views and transforms in single values."""
    pixels = {key: value for key, value in augment.items() if key in ("interpolation", "mean", "std")}
    given = {key: value for key, value in augment.items() if key != "flip"}
    train, test = (TrainTransform, TestTransform) if modalities is None else (TrainModalities, TestModalities)
    return build_data(
        name,
        sampling=ClipSampling(num_frames, stride),
        train_transform=train(size=size, **given),
        test_transform=test(size=size, short_side=short_side or size, crops=crops, **pixels),
        frames=DecodedFrames(cache) if modalities is None else CompressedFrames(modalities, motion=motion, cache=cache),
        flip=augment.get("flip", 0.0),
        views=TestViews(clips, clip_sampling),
        loading=Loading(batch_size, num_workers, eval_batch_size),
        **rest,
    )
