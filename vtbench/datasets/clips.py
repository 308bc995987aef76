"""From videos to clips: random clips for training, all views for testing, and the loaders of both.

What is drawn for a training video depends on (seed, epoch, index of the video) and on nothing else, so the number of
worker processes and a restart between epochs leave every clip as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, default_collate
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from vtbench.clips import Clips, map_modalities
from vtbench.datasets.frames import SILENT, FrameSource
from vtbench.datasets.manifests import Entry
from vtbench.datasets.sharing import OfAll, Share, SharedBatches, shared_out_again
from vtbench.errors import VideoError, VtbenchError
from vtbench.processes.bystanders import stand_by
from vtbench.video.sampling import Spread, Starts, TestStarts, segment_clip, test_clips, train_clip

__all__ = [
    "ClipSampling",
    "EpochSampler",
    "Loading",
    "ReadLog",
    "TestVideos",
    "TestViews",
    "TrainLoader",
    "TrainVideos",
    "Unreadable",
    "train_loader",
    "view_loader",
    "views_of",
]

# First numbers of the seeds of the kinds of draws, which must not share random numbers; HOLDOUT is the data module's.
_ORDER, _TRAIN, _TEST, HOLDOUT = 0, 1, 2, 3


# -- what is asked for ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClipSampling:
    """Which frames make a clip: `num_frames` frames `stride` apart, or, without a stride, one frame of each of
    `num_frames` equal segments of the whole video. See vtbench.video.sampling, also for `starts`, the starts that are
    drawn in training, and `spread`, which frames follow a start in training."""

    num_frames: int
    stride: int | None = None
    starts: Starts | None = None
    spread: Spread | None = None

    def train(self, num_video_frames: int, rng: np.random.Generator) -> np.ndarray:
        """The frame numbers of a random clip, (num_frames,)."""
        if self.stride is None:
            return segment_clip(num_video_frames, num_frames=self.num_frames, rng=rng)
        return train_clip(
            num_video_frames,
            num_frames=self.num_frames,
            stride=self.stride,
            rng=rng,
            starts=self.starts,
            spread=self.spread,
        )

    def test(self, num_video_frames: int, views: TestViews, rng: np.random.Generator) -> np.ndarray:
        """The frame numbers of the clips of a test, (views.clips, num_frames)."""
        if self.stride is None:
            return segment_clip(num_video_frames, num_frames=self.num_frames)[None]
        return test_clips(
            num_video_frames,
            num_frames=self.num_frames,
            stride=self.stride,
            clips=views.clips,
            mode=views.sampling,
            rng=rng,
            starts=self.starts,
            spread=views.spread,
        )


@dataclass(frozen=True)
class TestViews:
    """Which clips of a test video are seen: `clips` of them, which start where `sampling` says and whose frames follow
    as `spread` says. How many crops each has is the test transform's affair."""

    __test__ = False

    clips: int = 1
    sampling: TestStarts = "uniform"
    spread: Spread | None = None


@dataclass(frozen=True)
class Loading:
    """How videos are loaded.

    - batch_size: clips per training batch
    - num_workers: processes that decode; 0: this process
    - eval_batch_size: videos, each with all its views, per batch of a validation or test
    - share: where several processes train or test together, which part of each batch this one takes, and which videos:
      every so many-th. None: all
    """

    batch_size: int = 1
    num_workers: int = 0
    eval_batch_size: int = 1
    share: Share | None = None

    @property
    def clips_left_out(self) -> int:
        """Fewer clips than this are left out at the end of an epoch."""
        return max(self.share.whole, self.share.processes) if self.share else self.batch_size


# -- training ---------------------------------------------------------------------------------------------------------


class ReadLog:
    """Which training videos have been read, and which of them are silent; shared by the worker processes."""

    def __init__(self, num_videos: int) -> None:
        self._state = torch.zeros(num_videos, dtype=torch.uint8).share_memory_()
        """Of each video: 0 not read yet, 1 read (or found unreadable), 2 silent."""

    def __len__(self) -> int:
        return len(self._state)

    def add(self, index: int, note: str | None) -> None:
        """Video `index` was read, with this note."""
        self._state[index] = 2 if note == SILENT else 1

    def update(self, other: ReadLog) -> None:
        """Take over what another log of the same videos has."""
        torch.maximum(self._state, other._state, out=self._state)

    @property
    def state(self) -> Tensor:
        """What is noted so far, uint8 (N,), for another log of the same videos to continue from."""
        return self._state.clone()

    def load(self, state: Tensor) -> None:
        """Continue from the `state` of another log."""
        self._state.copy_(state)

    @property
    def unread(self) -> int:
        """Videos not read yet."""
        return int((self._state == 0).sum())

    @property
    def silent(self) -> int:
        """Videos found to have no audio track."""
        return int((self._state == 2).sum())


@dataclass(frozen=True)
class Unreadable:
    """A training video that could not be read: its id and why."""

    video_id: str
    reason: str


class TrainVideos(Dataset[tuple[Clips, int] | Unreadable]):
    """Random clips for training; items are asked for by (epoch, index), as EpochSampler gives them.

    An item is (clip float32 (T, 3, S, S) or, by modality, (T, ...), label), or Unreadable: workers hand it over as a
    value, and the loader leaves it out of its batch. Nothing takes its place.

    - transform: called as transform(frames, flip=..., rng=...), see vtbench.video.transforms
    - flip: probability of mirroring a clip; flip_labels: what that makes of its label
    - flip_sided: whether clips of the labels in `flip_labels` are mirrored too
    - log: notes every video that is read
    """

    __test__ = False

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        frames: FrameSource,
        sampling: ClipSampling,
        transform: Callable[..., Clips],
        flip: float,
        flip_labels: Mapping[int, int],
        seed: int,
        flip_sided: bool = True,
    ) -> None:
        self.entries = list(entries)
        self.frames, self.sampling, self.transform = frames, sampling, transform
        self.flip, self.flip_labels, self.flip_sided = flip, dict(flip_labels), flip_sided
        self.seed = seed
        self.log = ReadLog(len(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Clips, int] | Unreadable:
        epoch, index = key
        entry = self.entries[index]
        rng = np.random.default_rng([self.seed, _TRAIN, epoch, index])
        try:
            frames, which, note = self.frames(entry.file, lambda n: self.sampling.train(n, rng))
        except VideoError as error:
            self.log.add(index, None)
            return Unreadable(entry.video_id, str(error))
        self.log.add(index, note)
        flip = bool(rng.random() < self.flip) and (self.flip_sided or entry.label not in self.flip_labels)
        label = self.flip_labels.get(entry.label, entry.label) if flip else entry.label
        if not np.array_equal(which, np.arange(which.size)):  # else each frame once and in order, as they lie there
            frames = map_modalities(lambda x: x[torch.from_numpy(which)], frames)
        return self.transform(frames, flip=flip, rng=rng), label


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) of all videos in an order that depends on (seed, epoch).

    Carrying the epoch in the key keeps long-lived worker processes up to date. Lightning calls `set_epoch`.
    """

    def __init__(self, num_videos: int, *, seed: int) -> None:
        self.num_videos, self.seed, self.epoch = num_videos, seed, 0
        self.skip = 0
        """How many videos the next pass leaves out at its start: those that an interrupted one gave."""

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass is."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, _ORDER, self.epoch]).permutation(self.num_videos)
        order, self.skip = order[self.skip :], 0
        return iter([(self.epoch, int(index)) for index in order])

    def __len__(self) -> int:
        return self.num_videos


def _collate(items: list[tuple[Clips, int] | Unreadable]) -> tuple[Clips | None, Tensor, list[Unreadable]]:
    read = [item for item in items if not isinstance(item, Unreadable)]
    clips = map_modalities(_stacked, *(clip for clip, _ in read)) if read else None
    labels = torch.tensor([label for _, label in read], dtype=torch.int64)
    return clips, labels, [item for item in items if isinstance(item, Unreadable)]


def _stacked(*several: Tensor) -> Tensor:
    """(B, ...), contiguous: convolutions of another layout round otherwise. A worker writes it to the memory that it
    shares with the main process, rather than to its own first."""
    batch: Tensor = default_collate(list(several))
    return batch.contiguous()


class TrainLoader(DataLoader):
    """A DataLoader of batches (clips, labels) without the videos that cannot be read, which go to `on_unreadable`. What
    that raises ends the pass. The clips of a batch of which none is left are None."""

    on_unreadable: Callable[[Unreadable], None]
    order: EpochSampler
    clips_per_batch: int
    """Of all processes that train together."""
    share: Share | None
    of_all: OfAll | None = None
    """See VideoData.of_all."""

    def start_after(self, batches: int) -> None:
        """Have the next pass leave out its first batches, without reading their videos. `len` stays that of a whole
        pass."""
        self.order.skip = batches * self.clips_per_batch

    def close(self) -> None:
        """End the worker processes; the next pass starts new ones."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()
        self._iterator = None

    def __iter__(self) -> Iterator[tuple[Clips | None, Tensor]]:  # type: ignore[override]
        if self._iterator is not None:
            # A new iterator draws a seed, one whose workers stay does not. Dropout draws from the same generator: it
            # must not depend on the number of workers, nor on which pass is the first of a process.
            torch.empty((), dtype=torch.int64).random_()
        batches = super().__iter__()
        try:
            for clips, labels, unreadable in batches:
                for video in unreadable:
                    self.on_unreadable(video)
                if self.of_all is not None and self.share is not None:
                    clips, labels = shared_out_again(clips, labels, self.share, self.of_all)
                yield clips, labels
        except VtbenchError:
            # End the workers here: left to the garbage collector, they are waited for, five seconds each.
            self._iterator = None
            del batches
            raise


def train_loader(
    videos: TrainVideos, sampler: EpochSampler, loading: Loading, on_unreadable: Callable[[Unreadable], None]
) -> TrainLoader:
    """Batches (clips float32 (B, T, 3, S, S), labels int64 (B,)) in the order of `sampler`; see TrainLoader.

    The last batch of an epoch is left out if it would be smaller, unless it is the only one (the official TokenShift
    code drops it too)."""
    batches: dict[str, Any]
    if loading.share:
        batches = {"batch_sampler": SharedBatches(sampler, loading.batch_size, loading.share)}
    else:
        full = len(videos) >= loading.batch_size
        batches = {"batch_size": loading.batch_size, "sampler": sampler, "drop_last": full}
    loader = TrainLoader(
        videos,
        **batches,
        collate_fn=_collate,
        num_workers=loading.num_workers,
        persistent_workers=loading.num_workers > 0,
        worker_init_fn=stand_by,
        pin_memory=torch.cuda.is_available(),
    )
    loader.on_unreadable = on_unreadable
    loader.order, loader.share = sampler, loading.share
    loader.clips_per_batch = loading.batch_size * (loading.share.processes if loading.share else 1)
    return loader


# -- testing ----------------------------------------------------------------------------------------------------------


class TestVideos(Dataset[dict[str, Any]]):
    """All views of one test video per item, from one decode.

    An item is {"video_id", "label", "views", "distinct_views"}: views float32 (clips * crops, T, 3, S, S) or, by
    modality, (clips * crops, T, ...), view v being crop v % crops of clip v // crops, how many of them differ, and
    "note" where the source has one; or {"video_id", "label", "error"} for a video that cannot be read, to be counted as
    a miss. Random clips depend on the seed and the video's id, and on nothing else.

    transform: called as transform(frames), gives (crops, U, ...), see vtbench.video.transforms.
    """

    __test__ = False

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        frames: FrameSource,
        sampling: ClipSampling,
        views: TestViews,
        transform: Callable[..., Clips],
        seed: int,
    ) -> None:
        self.entries = list(entries)
        self.frames, self.sampling, self.views = frames, sampling, views
        self.transform, self.seed = transform, seed

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entry = self.entries[index]
        item: dict[str, Any] = {"video_id": entry.video_id, "label": entry.label}
        if entry.problem:
            return item | {"error": f"{entry.file}: {entry.problem}"}
        rng = np.random.default_rng([self.seed, _TEST, *entry.video_id.encode()])
        try:
            frames, which, note = self.frames(entry.file, lambda n: self.sampling.test(n, self.views, rng))
        except VideoError as error:
            return item | {"error": str(error)}
        if note:
            item["note"] = note
        crops = self.transform(frames)  # (crops, U, 3, S, S)
        views = map_modalities(lambda x: views_of(x, which), crops)
        return item | {"views": views, "distinct_views": _distinct(crops, which)}


def views_of(crops: Tensor, which: np.ndarray) -> Tensor:
    """The views of a video, (clips * crops, T, ...), crops of a clip side by side.

    crops: (crops, U, ...), the crops of U frames; which: (clips, T), the frame of each place in each clip.
    """
    num_crops, num_frames = crops.shape[:2]
    places = np.arange(num_crops)[:, None] * num_frames + which[:, None]  # (clips, crops, T)
    # One gather, and dimensions in their order before it: views are a hundred megabytes and more, crops far less.
    views = crops.contiguous().flatten(0, 1)[torch.from_numpy(places.reshape(-1))]
    return views.unflatten(0, (-1, which.shape[1]))


def _distinct(crops: Clips, which: np.ndarray) -> int:
    """How many of the views of a video differ: its clips in their frames, its crops in their pixels."""
    pictures = [crops] if isinstance(crops, Tensor) else list(crops.values())
    different: list[list[Tensor]] = []
    for crop in range(len(pictures[0])):
        view = [picture[crop, which[0]] for picture in pictures]
        if not any(all(map(torch.equal, view, seen)) for seen in different):
            different.append(view)
    return len({clip.tobytes() for clip in which}) * len(different)


def view_loader(videos: TestVideos, loading: Loading, *, skip: Collection[str] = ()) -> DataLoader:
    """Lists of items in the order of the videos, each once, but for the ids in `skip`; of several processes, this one's
    share of them."""
    left = [i for i, entry in enumerate(videos.entries) if entry.video_id not in skip]
    if loading.share:
        left = left[loading.share.process :: loading.share.processes]
    return DataLoader(
        Subset(videos, left),
        batch_size=loading.eval_batch_size,
        shuffle=False,
        collate_fn=list,
        num_workers=loading.num_workers,
        worker_init_fn=stand_by,
    )
