"""The data module of a training or an evaluation, from what the paper side says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vtbench.datasets import build_data
from vtbench.errors import DataError, SpecError
from vtbench.methods.base import Validation
from vtbench.naming import guarded
from vtbench.papers.datasets import NO_FLIP, Dataset, load_dataset, wrong_split
from vtbench.papers.spec.recipe import Data
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.settings import Settings


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


def prepare(training: Training, settings: Settings, evaluations: Sequence[Evaluation]) -> None:
    """Make the synthetic videos that a training and its evaluations will read, where they are not there yet."""
    for data in {training.data, *(evaluation.data for evaluation in evaluations)}:
        if load_dataset(data.dataset).synthetic:
            data_module(data, training, settings).setup()


def videos(data: Data, settings: Settings) -> dict[str, Any]:
    """Where the videos are and how many of them to use, as arguments of a data module.

    A synthetic set without a folder of its own lies below `data/` and is made as small as it is asked for. Raises
    DataError, with the option to give, for a real data set without a folder.
    """
    facts, root = load_dataset(data.dataset), settings.data.get(data.dataset)
    limits = {"limit_train": data.limit_train, "limit_test": data.limit_test}
    if wrong := wrong_split(facts, data.split):
        raise DataError(f"data.split {wrong}")
    if data.split is not None:
        limits["split"] = data.split
    if not facts.synthetic:
        if root is None:
            raise DataError(
                f"the data set '{data.dataset}' has no folder: give --data {data.dataset}=PATH, or "
                f"data: {{{data.dataset}: PATH}} in vtbench.yaml"
            )
        return {"root": root, "class_names": facts.classes, **limits}
    if root is not None:
        return {"root": root, **numbers(facts, None, None), **limits}
    return {"root": None, **numbers(facts, data.limit_train, data.limit_test)}


def numbers(facts: Dataset, train: int | None, test: int | None) -> dict[str, int]:
    return {"num_train": facts.num_videos("train", train), "num_test": facts.num_videos("test", test)}


def data_module(
    data: Data,
    training: Training,
    settings: Settings,
    *,
    evaluation: Evaluation | None = None,
    validation: Validation | None = None,
) -> Any:
    facts = load_dataset(data.dataset)
    if training.augment.flip and not facts.flip_allowed:
        raise SpecError(f"augment.flip is {training.augment.flip}: {NO_FLIP.format(data.dataset)}")
    protocol = evaluation.eval if evaluation else None
    crops = protocol.crops if protocol else validation.crops if validation else 1
    holdout = validation.holdout if validation else None
    # Held-out videos are seen at the size that is trained on, where they are the only ones that a training tests.
    size = training.augment.short_side[0] if holdout else data.size
    arguments = {
        **videos(data, settings),
        "num_classes": facts.num_classes,
        "num_frames": data.num_frames,
        "stride": data.stride,  # None where data.sampling is segments
        "size": data.size,
        "augment": dataclasses.asdict(training.augment),
        "flip_labels": facts.flip_labels,
        "batch_size": split_batch(training, settings.batch_size).batch_size,
        "num_workers": settings.num_workers if training.scale == "paper" else 0,
        "seed": protocol.clip_seed if protocol and protocol.clip_seed is not None else training.seed,
        "clips": protocol.clips if protocol else 1,
        "crops": crops,
        "clip_sampling": protocol.clip_sampling if protocol else "uniform",
        "short_side": protocol.short_side if protocol else size,
        "cache": training.scale != "paper",
        "eval_batch_size": 1 if training.scale == "paper" else 8,
        "modalities": data.modalities,
        "motion": data.motion,
        "holdout": holdout,
    }
    with guarded(facts.module, "data module", "change its __init__"):
        return build_data(data.dataset, module=facts.module, **arguments)
