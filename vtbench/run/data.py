"""The data module of a training or an evaluation: the one place where a training becomes lists, frames, clips and
transforms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtbench.datasets import (
    ClipSampling,
    CompressedFrames,
    DecodedFrames,
    Loading,
    TestViews,
    VideoData,
    VideoFolder,
    build_data,
)
from vtbench.datasets.cache import SHARED
from vtbench.datasets.synthetic.videos import SyntheticFolder
from vtbench.errors import DataError, SpecError
from vtbench.methods.base import Validation
from vtbench.naming import guarded
from vtbench.papers.datasets import NO_FLIP, Dataset, load_dataset, wrong_split
from vtbench.papers.spec.recipe import Augment, Data
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.settings import Settings
from vtbench.video.modalities import TestModalities, TrainModalities
from vtbench.video.transforms import TestTransform, TrainTransform


@dataclass(frozen=True)
class Batches:
    """How one optimiser step is made of forward passes, and the learning rate that goes with it."""

    batch_size: int
    accumulate: int
    lr: float


def split_batch(training: Training, micro_batch: int | None) -> Batches:
    """The spec's effective batch in forward passes of `micro_batch` clips (None: as the spec says).

    The effective batch stays as near to the spec's as whole passes allow, and the learning rate follows it linearly
    (the official TokenShift configs: "using linear-scale rule to adjust this value").
    """
    train = training.train
    if micro_batch is None or micro_batch == train.batch_size:
        return Batches(train.batch_size, train.accumulate, train.lr)
    accumulate = max(1, round(train.effective_batch / micro_batch))
    return Batches(micro_batch, accumulate, train.lr * micro_batch * accumulate / train.effective_batch)


def make_synthetic_videos(training: Training, settings: Settings, evaluations: Sequence[Evaluation]) -> None:
    """Make the synthetic videos that a training and its evaluations will read, where they are not there yet."""
    for data in {training.data, *(evaluation.data for evaluation in evaluations)}:
        if load_dataset(data.dataset).synthetic:
            data_module(data, training, settings).setup()


# ---- where the videos are --------------------------------------------------------------------------------------------


def video_folder(
    name: str,
    root: Path | None = None,
    *,
    split: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> VideoFolder:
    """The videos of a data set, with what its dataset.yaml says of them: classes, flip labels, groups, split files.

    - root: their folder; a synthetic set without one lies below `data/` and is made as small as it is asked for
    - split: number of the official split, for a set that has several
    - limit_train, limit_test: use only that many videos

    Raises DataError for an unknown set, a split that it lacks, and, with the option to give, a real set without folder.
    """
    facts = load_dataset(name)
    if wrong := wrong_split(facts, split):
        raise DataError(f"data.split {wrong}")
    lists = facts.lists(split)
    common: dict[str, Any] = {
        "name": name,
        "num_classes": facts.num_classes,
        "class_names": facts.classes,
        "flip_labels": facts.flip_labels or {},
        "group": facts.about.group,
        "train": lists.train,
        "test": lists.test,
        "limit_train": limit_train,
        "limit_test": limit_test,
    }
    if facts.synthetic:
        made = numbers(facts, None, None) if root is not None else numbers(facts, limit_train, limit_test)
        return SyntheticFolder(root, **made, **common)  # type: ignore[arg-type]
    if root is None:
        raise DataError(
            f"the data set '{name}' has no folder: give --data {name}=PATH, or data: {{{name}: PATH}} in vtbench.yaml"
        )
    return VideoFolder(root, **common)


def numbers(facts: Dataset, train: int | None, test: int | None) -> dict[str, int]:
    """How many videos a synthetic set makes, at most `train` and `test`."""
    return {"num_train": facts.num_videos("train", train), "num_test": facts.num_videos("test", test)}


# ---- a training as objects -------------------------------------------------------------------------------------------


def data_module(
    data: Data,
    training: Training,
    settings: Settings,
    *,
    evaluation: Evaluation | None = None,
    validation: Validation | None = None,
) -> VideoData:
    """The data module of a training, with what its method validates on, or of one of its evaluations. Raises DataError
    and SpecError, also for a data module of the user's that does not take what it is given."""
    facts = load_dataset(data.dataset)
    augment = training.augment
    if augment.flip and not facts.flip_allowed:
        raise SpecError(f"augment.flip is {augment.flip}: {NO_FLIP.format(data.dataset)}")
    protocol = evaluation.eval if evaluation else None
    below_paper = training.scale != "paper"
    if protocol:
        crops, short_side = protocol.crops, protocol.short_side
    else:
        crops = validation.crops if validation else 1
        # Held-out videos are seen at the size that is trained on, where they are the only ones that a training tests.
        short_side = augment.short_side[0] if validation and validation.holdout else data.size
    train_transform, test_transform = _transforms(data, augment, short_side=short_side, crops=crops)
    cache = SHARED if below_paper else None
    with guarded(facts.module, "data module", "its __init__ must take what that of VideoData takes"):
        return build_data(
            data.dataset,
            module=facts.module,
            videos=video_folder(
                data.dataset,
                settings.data.get(data.dataset),
                split=data.split,
                limit_train=data.limit_train,
                limit_test=data.limit_test,
            ),
            frames=DecodedFrames(cache)
            if data.modalities is None
            else CompressedFrames(data.modalities, motion=data.motion, cache=cache),
            sampling=ClipSampling(data.num_frames, data.stride),  # no stride where data.sampling is segments
            train_transform=train_transform,
            test_transform=test_transform,
            flip=float(augment.flip),
            views=TestViews(protocol.clips, protocol.clip_sampling) if protocol else TestViews(),
            loading=Loading(
                batch_size=split_batch(training, settings.batch_size).batch_size,
                num_workers=0 if below_paper else settings.num_workers,
                eval_batch_size=8 if below_paper else 1,
            ),
            validate_on=(validation.holdout or "test") if validation else None,
            seed=protocol.clip_seed if protocol and protocol.clip_seed is not None else training.seed,
        )


def _transforms(data: Data, augment: Augment, *, short_side: int, crops: int) -> tuple[Any, Any]:
    """The transforms of training and testing: of decoded frames, or of the modalities of compressed video."""
    given = {name: value for name, value in dataclasses.asdict(augment).items() if name != "flip"}
    shared = {name: given[name] for name in ("interpolation", "mean", "std")}
    if data.modalities is None:
        return (
            TrainTransform(size=data.size, **given),
            TestTransform(size=data.size, short_side=short_side, crops=crops, **shared),
        )
    frames_only = [name for name, value in given.items() if value is not None and name not in (*shared, "short_side")]
    if frames_only:
        raise SpecError(f"augment.{min(frames_only)} is for decoded frames, not for modalities of compressed video")
    return (
        TrainModalities(size=data.size, short_side=augment.short_side, **shared),
        TestModalities(size=data.size, short_side=short_side, crops=crops, **shared),
    )
