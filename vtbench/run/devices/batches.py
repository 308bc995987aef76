"""The batch of a recipe, in forward passes of the devices that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vtbench.errors import UsageError
from vtbench.papers.trainings import Training
from vtbench.run.engine import Engine


@dataclass(frozen=True)
class Batches:
    """How one optimiser step is made of forward passes, and the learning rate that goes with it."""

    batch_size: int
    """Clips per forward pass of each process."""
    accumulate: int
    """Forward passes of each process per optimiser step."""
    lr: float
    processes: int = 1
    whole: int | None = None
    """Clips of a forward pass of the single process that several stand for: an epoch has as many clips as whole ones
    give. None: those of all processes together."""

    @property
    def effective(self) -> int:
        """Clips per optimiser step."""
        return self.batch_size * self.accumulate * self.processes


def split_batch(
    training: Training,
    micro_batch: int | Literal["auto"] | None,
    engine: Engine = Engine(),  # noqa: B008 (frozen)
) -> Batches:
    """The spec's effective batch in forward passes of `micro_batch` clips of each process; None: the spec's passes,
    shared out; "auto": the largest that there may be.

    The effective batch stays the spec's. Only where `micro_batch` or the engine's `accumulate` leave no way to, it is
    as near as whole passes allow, and the learning rate follows it linearly (the official TokenShift configs: "using
    linear-scale rule to adjust this value"). Raises UsageError for a batch that the processes cannot share out.
    """
    train, count = training.train, engine.processes
    effective = train.effective_batch
    if micro_batch is None and engine.accumulate is None and count == 1:
        return Batches(train.batch_size, train.accumulate, train.lr)
    if isinstance(micro_batch, int):
        accumulate = engine.accumulate or max(1, round(effective / (micro_batch * count)))
        whole = train.batch_size if count > 1 and micro_batch * count * accumulate == effective else None
        lr = train.lr * micro_batch * accumulate * count / effective
        return Batches(micro_batch, accumulate, lr, count, whole)
    passes = count * (engine.accumulate or 1)
    if effective % passes:
        what = f"--devices {engine.devices}" + (f" --num-nodes {engine.num_nodes}" if engine.num_nodes > 1 else "")
        what += f" --accumulate {engine.accumulate}" if engine.accumulate else ""
        fit = [number for number in range(1, effective + 1) if effective % number == 0]
        raise UsageError(
            f"{what}: an update of {effective} clips cannot be shared out evenly to {passes} passes; their number must "
            f"be one of {', '.join(map(str, fit))}, or give --batch-size N, with which the learning rate follows"
        )
    each = effective // count
    if engine.accumulate:
        size = each // engine.accumulate
    elif micro_batch == "auto":
        size = each
    elif train.batch_size % count == 0:
        size = train.batch_size // count
    else:
        size = max(number for number in range(1, train.batch_size + 1) if each % number == 0)
    return Batches(size, each // size, train.lr, count, train.batch_size if count > 1 else None)


def too_many_clips(
    batches: Batches, training: Training, micro_batch: int | Literal["auto"] | None, there: int, whose: str
) -> str | None:
    """Why options ask for more clips than there are videos to train on: the learning rate would follow a batch that
    never exists. None if they do not.

    - micro_batch: as it was given to `split_batch`
    - there: videos
    - whose: the beginning of a sentence on them, as "ucf101 has"
    """
    if isinstance(micro_batch, int) and micro_batch > there:
        return f"--batch-size {micro_batch}: {whose} {there} videos to train on; give at most {there}"
    if batches.effective > max(there, training.train.effective_batch):
        parts = f"{batches.batch_size} x {batches.processes} devices x {batches.accumulate} passes"
        return (
            f"{batches.effective} clips per update ({parts}): {whose} {there} videos to train on; lower --batch-size, "
            "--accumulate or --devices"
        )
    return None


def test_batches(training: Training, engine: Engine) -> Batches:
    """What a test needs to know: the processes that share the videos."""
    return Batches(training.train.batch_size, training.train.accumulate, training.train.lr, engine.processes)


def smaller(batches: Batches) -> int | None:
    """The next size of a forward pass to try where this one needs too much memory: half of it, or the largest below
    that of which whole passes make the same batch. None where it is one clip."""
    each = batches.batch_size * batches.accumulate
    return max((size for size in range(1, batches.batch_size // 2 + 1) if each % size == 0), default=None)
