"""Videos as a LightningDataModule: training batches, a validation that is named, and test views."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

import lightning
import numpy as np
from torch.utils.data import DataLoader

from vtbench.datasets.clips import (
    HOLDOUT,
    ClipSampling,
    EpochSampler,
    Loading,
    ReadLog,
    TestVideos,
    TestViews,
    TrainLoader,
    TrainVideos,
    Unreadable,
    train_loader,
    view_loader,
)
from vtbench.datasets.frames import DecodedFrames, FrameSource
from vtbench.datasets.manifests import (
    Entry,
    Split,
    VideoFolder,
    VideoLists,
    refuse_lacking,
    refuse_overlap,
    refuse_unusable,
    size_of,
)
from vtbench.datasets.sharing import OfAll, SharedBatches, batch_sizes
from vtbench.errors import DataError

__all__ = ["VideoData"]


class VideoData(lightning.LightningDataModule):
    """Training batches and test videos of a data set.

        data = VideoData(
            VideoFolder("/data/ucf101", num_classes=101, train=["split1_train"], test=["split1_test"]),
            sampling=ClipSampling(num_frames=8, stride=32),
            train_transform=TrainTransform(size=224, short_side=(256, 320)),
            test_transform=TestTransform(size=224, short_side=256, crops=3),
            views=TestViews(clips=10),
            loading=Loading(batch_size=8, num_workers=4),
        )

    - videos: which videos there are (VideoFolder, VideoLists)
    - sampling: which frames make a clip
    - train_transform: called as train_transform(frames, flip=..., rng=...) with the frames of a clip as `frames` gives
      them, uint8 (T, 3, H, W) or by modality; gives the clip
    - test_transform: called as test_transform(frames), gives (crops, T, ...)
    - frames: the decoder, anything callable like FrameSource; None: DecodedFrames()
    - flip: probability that a training clip is mirrored, which may change its label (`videos.flip_labels`)
    - flip_sided: whether clips are mirrored too where that changes the label
    - views: which clips of a test video are seen
    - loading: batch sizes and worker processes. With a cache in `frames`, each worker has a cache of its own
    - missing: share of the listed videos of a split that may be missing, in quarantine or unreadable: 0.01 is one in a
      hundred, and no video of fewer
    - validate_on: nothing (None), a share (above 0, below 1) of the training videos, which are not trained on then, or
      "test", the test videos. The share is drawn in whole groups (`videos.group`) from the seed, at least one
    - seed: of the order, the clips and the hold-out

    The training loader gives (clips float32 (B, T, 3, S, S), labels int64 (B,)). A video that cannot be read is left
    out of its batch (clips are None where that leaves none), `notice` is called once for it, and it stands in
    `unreadable`; DataError beyond `missing`. The other loaders give lists of items as described at TestVideos, in the
    order of the split file, in which such videos are misses.

    A data set with particulars of its own is a subclass: `read` gives its lists, `prepare_data` makes or downloads the
    videos, `group` says what is held out together.

    Raises ValueError for a share outside its range, and for several clips without a stride.
    """

    notice: Callable[[str], None] = staticmethod(lambda text: None)
    """Called with a line of text for whoever waits for a training, e.g. on a video that cannot be read."""

    folder_class: ClassVar[type[VideoFolder]] = VideoFolder
    """What `build_data` makes of the arguments that say where the videos are."""

    def __init__(
        self,
        videos: VideoFolder | VideoLists,
        *,
        sampling: ClipSampling,
        train_transform: Callable[..., Any],
        test_transform: Callable[..., Any],
        frames: FrameSource | None = None,
        flip: float = 0.0,
        flip_sided: bool = True,
        views: TestViews = TestViews(),  # noqa: B008 (frozen)
        loading: Loading = Loading(),  # noqa: B008 (frozen)
        missing: float = 0.01,
        validate_on: float | Literal["test"] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if sampling.stride is None and views != TestViews():
            raise ValueError(
                "segments of the whole video (stride None) make 1 uniform clip, not "
                f"{views.clips} {views.sampling} clips"
            )
        if isinstance(validate_on, str) and validate_on != "test":
            raise ValueError(f"validate_on is a share, 'test' or None, not {validate_on!r}")
        if isinstance(validate_on, int | float) and not 0 < validate_on < 1:
            raise ValueError(f"the share to validate on is {validate_on}, must be above 0 and below 1")
        if not 0 <= missing <= 1:
            raise ValueError(f"the share of videos that may be missing is {missing}, must be 0 to 1")
        self.videos, self.sampling, self.views, self.loading = videos, sampling, views, loading
        self.missing = missing
        self.unreadable: dict[str, str] = {}
        """Training videos that could not be read so far -> why."""
        self.of_all: OfAll | None = None
        """As for `gather`, where no process may be without clips while others have some, e.g. because a batch norm
        waits for all of them: training clips are then shared out again. None: each does what it can read."""
        self.train_transform, self.test_transform = train_transform, test_transform
        self.frames = DecodedFrames() if frames is None else frames
        self.flip, self.flip_sided, self.validate_on, self.seed = flip, flip_sided, validate_on, seed
        self._listed: dict[Split, list[Entry]] = {}
        self._skipped: frozenset[str] = frozenset()
        # Where several processes share the test videos, one of them may have none; Lightning refuses that otherwise.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._epoch = 0
        self._sampler: EpochSampler | None = None
        self._log: ReadLog | None = None
        self._resumed: dict[str, Any] = {}
        self._noticed: set[str] = set()
        """Those of `unreadable` that the present training loader has found."""

    # -- lists --------------------------------------------------------------------------------------------------------

    def setup(self, stage: str | None = None) -> None:
        """Read and check the lists that `stage` needs ("fit", "validate", "test", "predict"; None: all), once. Raises
        DataError."""
        validated: tuple[Split, ...] = ("test",) if self.validate_on == "test" else ("train",) if self.holdout else ()
        needed: dict[str, tuple[Split, ...]] = {
            "fit": ("train", *validated),
            "validate": validated,
            "test": ("test",),
            "predict": ("test",),
        }
        for split in needed.get(stage or "", ("train", "test")):
            self.listed(split)
            self._refuse_lacking(split)
        if {"train", "test"} <= self._listed.keys():
            refuse_overlap(self._listed["train"], self._listed["test"])
        if "train" in self._listed and not self.train_entries:  # _held_out refuses too
            raise DataError(
                f"{self.videos.where}: none of {len(self._listed['train'])} listed videos is there to train on; check "
                "the folder with `vtbench data check`"
            )

    def read(self, split: Split) -> list[Entry]:
        """The videos of a split, in order, for a subclass to read them in its own way. Raises DataError."""
        return self.videos.read(split)

    def group(self, entry: Entry) -> str:
        """Training videos of one group are held out together, or not at all."""
        return self.videos.group_of(entry)

    def listed(self, split: Split) -> list[Entry]:
        """All videos of a split, read once. A test does not need the training videos, nor the other way."""
        if split not in self._listed:
            if not self._listed:
                self.prepare_data()
            entries = self.read(split)
            refuse_unusable(entries, split, self.videos.where)
            self._listed[split] = entries
        return self._listed[split]

    def lacking(self, split: Split) -> dict[str, str]:
        """The listed videos of a split that are missing or in quarantine -> which of the two, with the file."""
        return {
            entry.video_id: f"{entry.source}: {entry.file}: {entry.problem}"
            for entry in self.listed(split)
            if entry.problem
        }

    def _refuse_lacking(self, split: Split) -> None:
        also = self.unreadable if split == "train" else {}
        refuse_lacking(self.listed(split), self.missing, split, self.videos.where, also=also)

    @property
    def num_classes(self) -> int:
        """Number of classes of the data set."""
        return self.videos.num_classes

    @property
    def train_entries(self) -> list[Entry]:
        """The training videos that are there, without those that are held out."""
        return self._usable(held_out=False)

    @property
    def holdout_entries(self) -> list[Entry]:
        """The training videos that are there and held out; at least one where there is a `holdout`."""
        return self._usable(held_out=True)

    def _usable(self, *, held_out: bool) -> list[Entry]:
        held = self._held_out
        entries = (entry for entry in self.listed("train") if not entry.problem)
        return [entry for entry in entries if bool(held and self.group(entry) in held) is held_out]

    @property
    def test_entries(self) -> list[Entry]:
        """The test videos, all of which a test must account for."""
        return self.listed("test")

    @property
    def holdout(self) -> float | None:
        """The share of the training videos that is held out, if that is what is validated on."""
        return None if isinstance(self.validate_on, str) else self.validate_on

    @functools.cached_property
    def _held_out(self) -> frozenset[str]:
        """The groups that are held out, drawn from the seed."""
        if self.holdout is None:
            return frozenset()
        sizes = Counter(self.group(entry) for entry in self.listed("train") if not entry.problem)
        left = max(1, round(self.holdout * sizes.total()))
        names, chosen = list(sizes), set()
        for k in np.random.default_rng([self.seed, HOLDOUT]).permutation(len(names)).tolist():
            if left <= 0:
                break
            chosen.add(names[k])
            left -= sizes[names[k]]
        if len(chosen) == len(names):
            raise DataError(
                f"{self.videos.where}: with {self.holdout:.0%} held out, none of {sizes.total()} training videos is "
                "left to train on; give more videos"
            )
        return frozenset(chosen)

    def fingerprint(self, split: Split) -> str:
        """12 hex digits over id, label and size in bytes (of a folder of frames, their number) of every video of a
        split, in order: changes when a video is added, dropped, missing, relabelled or replaced by one of another size,
        or others are held out."""
        digest = hashlib.sha256()
        for entry in self.listed(split):
            size = None if entry.problem else size_of(entry.file)
            digest.update(f"{entry.video_id}\0{entry.label}\0{'missing' if size is None else size}\n".encode())
        for entry in self.holdout_entries if split == "train" else ():
            digest.update(f"{entry.video_id}\0held out\n".encode())
        return digest.hexdigest()[:12]

    # -- loaders ------------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> TrainLoader:
        """Shuffled batches of random clips."""
        videos = TrainVideos(
            self.train_entries,
            frames=self.frames,
            sampling=self.sampling,
            transform=self.train_transform,
            flip=self.flip,
            flip_labels=self.videos.flip_labels,
            flip_sided=self.flip_sided,
            seed=self.seed,
        )
        self._log, self._sampler = videos.log, EpochSampler(len(videos), seed=self.seed)
        self._sampler.set_epoch(self._epoch)
        # Added to those found so far: precise_bn goes through a loader of its own once the training is over.
        self.unreadable |= self._resumed.get("unreadable", {})
        self._refuse_unreadable()
        self._noticed = set(self._resumed.get("unreadable", {}))
        read = self._resumed.get("read")
        if read is not None and len(read) == len(videos):
            self._log.load(read)
        self._resumed = {}
        loader = train_loader(videos, self._sampler, self.loading, self._on_unreadable)
        loader.of_all = self.of_all
        return loader

    def state_dict(self) -> dict[str, Any]:
        """For Lightning's checkpoint: which training videos were read so far, and which could not be."""
        return {"unreadable": dict(self.unreadable), "read": None if self._log is None else self._log.state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Have the next training loader continue from `state_dict`."""
        self._resumed = state_dict

    def _on_unreadable(self, video: Unreadable) -> None:
        if video.video_id not in self._noticed:
            self._noticed.add(video.video_id)
            self.unreadable[video.video_id] = video.reason
            self.notice(f"trains without {video.video_id}: {video.reason}")
            self._refuse_unreadable()

    def _refuse_unreadable(self) -> None:
        """Raise DataError where more training videos than may be could not be read, or all of them."""
        if not self.unreadable:
            return
        self._refuse_lacking("train")
        if self._log is not None and len(self.unreadable) == len(self._log):
            last = list(self.unreadable.values())[-1]
            raise DataError(f"{self.videos.where}: no video to train on can be read; the last: {last}")

    def gather(self, of_all: OfAll) -> None:
        """Where several processes trained together: take over what each of them found in the videos of its share.
        `of_all` gives the values of all of them. Raises DataError, in each of them, where they found too many together
        that cannot be read."""
        for unreadable, log in of_all((self.unreadable, self._log)):
            self.unreadable = {**self.unreadable, **unreadable}
            if self._log is not None and log is not None:
                self._log.update(log)
        self._refuse_unreadable()

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """What `validate_on` names, in the views of a test; no loader where it is None."""
        if self.validate_on is None:
            return []
        entries = self.test_entries if self.validate_on == "test" else self.holdout_entries
        return view_loader(self._views(entries), self.loading)

    def test_dataloader(self) -> DataLoader:
        """The test videos but for those to be skipped."""
        return view_loader(self._views(self.test_entries), self.loading, skip=self._skipped)

    def predict_dataloader(self) -> DataLoader:
        """As for a test."""
        return self.test_dataloader()

    def _views(self, entries: list[Entry]) -> TestVideos:
        return TestVideos(
            entries,
            frames=self.frames,
            sampling=self.sampling,
            views=self.views,
            transform=self.test_transform,
            seed=self.seed,
        )

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass over the training loader is; Lightning's trainer does this by itself."""
        self._epoch = epoch
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    def part_of_batch(self, number: int) -> float:
        """Where several processes train together, the size of a training batch of all of them, counted from 0, as a
        part of a full one; the last of an epoch may be smaller."""
        share = self.loading.share
        if share is None or self._sampler is None:
            return 1.0
        return SharedBatches(self._sampler, self.loading.batch_size, share).part(number)

    @property
    def batch_sizes(self) -> list[int]:
        """Clips of each training batch of an epoch, of all processes together."""
        return batch_sizes(len(self.train_entries), self.loading.batch_size, self.loading.share)

    def skip(self, video_ids: Iterable[str]) -> None:
        """Leave these test videos out of the loaders of tests and predictions, as they were scored before. Replaces the
        ids of an earlier call."""
        self._skipped = frozenset(video_ids)

    # -- audio --------------------------------------------------------------------------------------------------------

    @property
    def has_audio(self) -> bool:
        """Whether clips come with audio."""
        return bool(getattr(self.frames, "has_audio", False))

    @property
    def silent_train_videos(self) -> int | None:
        """Training videos without an audio track, as the last training loader found; None if it has not been through
        them (but for a last batch that is left out), or clips come without audio."""
        if not self.has_audio or self._log is None or self._log.unread >= self.loading.clips_left_out:
            return None
        return self._log.silent
