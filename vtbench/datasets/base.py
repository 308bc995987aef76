"""A folder of videos and two manifests as a LightningDataModule: what every data set here shares.

A manifest is a CSV file with the header `path,label`: paths relative to the root (or absolute), labels as class numbers
from 0 or as class names. Without manifests, class folders root/train/<class>/ and root/validation/<class>/ will do.

What is drawn for a training video depends on (seed, epoch, index of the video) and on nothing else, so the number of
worker processes and a restart between epochs leave every clip as it was.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from vtbench.clips import Clips, each
from vtbench.datasets import triplets
from vtbench.datasets.triplets import SILENT, TripletSource
from vtbench.errors import DataError, VideoError, did_you_mean
from vtbench.video.decode import VideoReader
from vtbench.video.files import version
from vtbench.video.modalities import TestModalities, TrainModalities
from vtbench.video.sampling import segment_clip, test_clips, train_clip
from vtbench.video.transforms import TestTransform, TrainTransform

__all__ = ["Entry", "EpochSampler", "TestVideos", "TrainVideos", "VideoData", "clear_cache", "read_manifest"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg")

# First numbers of the seeds of the four kinds of draws, which must not share random numbers.
_ORDER, _TRAIN, _TEST, _HOLDOUT = 0, 1, 2, 3

# Decoded videos by (path, size, time of change): shared by all data modules of this process that ask for a cache.
_decoded: dict[tuple[str, int, int], np.ndarray] = {}


@dataclass(frozen=True)
class Entry:
    """One video: its path as the manifest gives it (its id), the file, its class number, and the manifest line."""

    video_id: str
    file: Path
    label: int
    source: str


# -- manifests --------------------------------------------------------------------------------------------------------


def read_manifest(
    manifest: Path, *, root: Path, num_classes: int, class_names: Sequence[str] | None = None
) -> list[Entry]:
    """The lines of `manifest` in order. Raises DataError with file and line for anything that is not as it should be:
    no manifest, a wrong header, no lines, a wrong number of columns, an unknown label, a missing file."""
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        raise DataError(f"{manifest}: no such manifest; it lists the videos as lines of path,label") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot be read as CSV: {error}") from error
    if not rows or rows[0][1] != ["path", "label"]:
        found = ",".join(rows[0][1]) if rows else ""
        raise DataError(f"{manifest}:1: the header is '{found}', must be 'path,label'")
    if len(rows) == 1:
        raise DataError(f"{manifest}: lists no videos; add lines of path,label")
    entries = []
    for line, row in rows[1:]:
        source = f"{manifest}:{line}"
        if len(row) != 2 or not all(row):
            raise DataError(f"{source}: '{','.join(row)}' must be path,label")
        entries.append(Entry(row[0], root / row[0], _label(row[1], source, num_classes, class_names), source))
    missing = [entry for entry in entries if not entry.file.is_file()]
    if missing:
        several = f" ({len(missing)} of {len(entries)} files are missing: " if len(missing) > 1 else ""
        names = ", ".join(entry.video_id for entry in missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise DataError(
            f"{missing[0].source}: {missing[0].file}: no such file{several}{names + ')' if several else ''}; "
            "complete the folder or remove the lines"
        )
    return entries


def _label(text: str, source: str, num_classes: int, class_names: Sequence[str] | None) -> int:
    names = list(class_names or ())
    if text in names:  # before numbers: a class may be called "1"
        return names.index(text)
    try:
        label = int(text)
    except ValueError:
        hint = did_you_mean(text, names) if names else "; give class numbers, or a classes.txt for names"
        raise DataError(f"{source}: label '{text}' is not a class of this data set{hint}") from None
    if not 0 <= label < num_classes:
        raise DataError(f"{source}: label {label} is outside 0 to {num_classes - 1}")
    return label


def read_class_folders(
    folder: Path, *, root: Path, num_classes: int, class_names: Sequence[str] | None = None
) -> list[Entry]:
    """Videos under folder/<class>/, sorted by class and name. Without `class_names` the sorted folder names are the
    classes, provided there are `num_classes` of them. Raises DataError if the folders do not fit the classes."""
    found = sorted(p.name for p in folder.iterdir() if p.is_dir())
    names = list(class_names) if class_names is not None else found
    if class_names is None and len(found) != num_classes:
        raise DataError(f"{folder}: has {len(found)} class folders, the data set has {num_classes} classes")
    entries = []
    for name in found:
        if name not in names:
            raise DataError(f"{folder / name}: no class of this data set is called '{name}'{did_you_mean(name, names)}")
        for file in sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in VIDEO_SUFFIXES):
            entries.append(Entry(str(file.relative_to(root)), file, names.index(name), str(file)))
    if not entries:
        raise DataError(f"{folder}: has no videos in class folders")
    return entries


def _refuse_doubles(entries: Sequence[Entry]) -> None:
    """A test video listed twice would be scored twice. Raises DataError naming both lines."""
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.video_id in seen:
            raise DataError(f"{entry.source}: '{entry.video_id}' is listed twice; first at {seen[entry.video_id]}")
        seen[entry.video_id] = entry.source


# -- videos to clips --------------------------------------------------------------------------------------------------


def clear_cache() -> None:
    """Forget the decoded videos that `cache=True` keeps."""
    _decoded.clear()
    triplets.clear_cache()


Choose = Callable[[int], np.ndarray]
"""From the number of frames in a video to the numbers of those that are wanted, in any shape."""

Source = Callable[[Path, Choose], tuple[Clips, np.ndarray, str | None]]
"""Reads what is wanted of a file: the distinct frames (U, ...), in one piece or by modality, for each number asked, in
the shape asked, which of them it is, and what is to be remarked of the file (see TripletSource). Raises VideoError."""


def read_frames(file: Path, choose: Choose, *, cache: bool) -> tuple[Tensor, np.ndarray, None]:
    """The Source of decoded frames, uint8 (U, 3, H, W). With `cache` every file is kept as a whole."""
    if not cache:
        with VideoReader(file) as reader:
            numbers, which = np.unique(wanted := choose(reader.num_frames), return_inverse=True)
            pixels = reader.frames(numbers)
    else:
        key = version(file)
        if key not in _decoded:
            with VideoReader(file) as reader:
                _decoded[key] = reader.frames(range(reader.num_frames))
        numbers, which = np.unique(wanted := choose(len(_decoded[key])), return_inverse=True)
        pixels = _decoded[key][numbers]
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), which.reshape(wanted.shape), None


class TrainVideos(Dataset[tuple[Clips, int] | VideoError]):
    """Random clips for training; items are asked for by (epoch, index), as EpochSampler gives them.

    An item is (clip float32 (T, 3, S, S) or, by modality, (T, ...), label), or the VideoError of a video that cannot be
    read: workers hand it over as a value, and the loader raises it in the main process.
    """

    __test__ = False

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        num_frames: int,
        stride: int | None,
        source: Source,
        transform: Callable[..., Clips],
        flip: float,
        flip_labels: Mapping[int, int],
        seed: int,
    ) -> None:
        self.entries = list(entries)
        self.num_frames, self.stride = num_frames, stride
        self.source, self.transform, self.seed = source, transform, seed
        self.flip, self.flip_labels = flip, dict(flip_labels)
        self.read = torch.zeros(len(self.entries), dtype=torch.uint8).share_memory_()
        """Of each video: not read yet 0, read 1, found SILENT 2. Workers write into it too."""

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Clips, int] | VideoError:
        epoch, index = key
        entry = self.entries[index]
        rng = np.random.default_rng([self.seed, _TRAIN, epoch, index])
        try:
            frames, which, remark = self.source(entry.file, lambda n: self._clip(n, rng))
        except VideoError as error:
            return VideoError(
                error.path,
                f"{error.reason}; training needs every video: mend it or take {entry.source} out",
                error.frames_decoded,
            )
        self.read[index] = 2 if remark == SILENT else 1
        flip = bool(rng.random() < self.flip)
        label = self.flip_labels.get(entry.label, entry.label) if flip else entry.label
        if not np.array_equal(which, np.arange(which.size)):  # else each frame once and in order, as they lie there
            frames = each(lambda x: x[torch.from_numpy(which)], frames)
        return self.transform(frames, flip=flip, rng=rng), label

    def _clip(self, num_video_frames: int, rng: np.random.Generator) -> np.ndarray:
        if self.stride is None:
            return segment_clip(num_video_frames, num_frames=self.num_frames, rng=rng)
        return train_clip(num_video_frames, num_frames=self.num_frames, stride=self.stride, rng=rng)


class TestVideos(Dataset[dict[str, Any]]):
    """All views of one test video per item, from one decode.

    An item is {"video_id", "label", "views"}: views float32 (clips * crops, T, 3, S, S) or, by modality, (clips *
    crops, T, ...), view v being crop v % crops of clip v // crops, and "remark" where the source has one; or
    {"video_id", "label", "error"} for a video that cannot be read, to be counted as a miss.
    """

    __test__ = False

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        num_frames: int,
        stride: int | None,
        clips: int,
        clip_sampling: str,
        source: Source,
        transform: Callable[..., Clips],
        seed: int,
    ) -> None:
        self.entries = list(entries)
        self.num_frames, self.stride, self.clips, self.clip_sampling = num_frames, stride, clips, clip_sampling
        self.source, self.transform, self.seed = source, transform, seed

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, Any]:
        entry = self.entries[index]
        item: dict[str, Any] = {"video_id": entry.video_id, "label": entry.label}
        rng = np.random.default_rng([self.seed, _TEST, index])
        try:
            frames, which, remark = self.source(entry.file, lambda n: self._clips(n, rng))
        except VideoError as error:
            return item | {"error": str(error)}
        if remark:
            item["remark"] = remark
        crops = self.transform(frames)  # (crops, U, 3, S, S)
        # (crops, clips, T, 3, S, S), then (clips * crops, T, 3, S, S)
        views = each(lambda x: x[:, torch.from_numpy(which)].transpose(0, 1).flatten(0, 1), crops)
        return item | {"views": views}

    def _clips(self, num_video_frames: int, rng: np.random.Generator) -> np.ndarray:
        if self.stride is None:
            return segment_clip(num_video_frames, num_frames=self.num_frames)[None]
        return test_clips(
            num_video_frames,
            num_frames=self.num_frames,
            stride=self.stride,
            clips=self.clips,
            mode=self.clip_sampling,
            rng=rng,
        )


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) of all videos in an order that depends on (seed, epoch).

    Carrying the epoch in the key keeps long-lived worker processes up to date. Lightning calls `set_epoch`.
    """

    def __init__(self, num_videos: int, *, seed: int) -> None:
        self.num_videos, self.seed, self.epoch = num_videos, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, _ORDER, self.epoch]).permutation(self.num_videos)
        return iter([(self.epoch, int(index)) for index in order])

    def __len__(self) -> int:
        return self.num_videos


def _collate(items: list[tuple[Clips, int] | VideoError]) -> tuple[Clips, Tensor] | VideoError:
    clips, labels = [], []
    for item in items:
        if isinstance(item, VideoError):
            return item
        clips.append(item[0])
        labels.append(item[1])
    return each(lambda *several: torch.stack(several), *clips), torch.tensor(labels)


class TrainLoader(DataLoader):
    """A DataLoader that raises the VideoError of an unreadable video as it is, whichever process met it.

    torch would raise a worker's error as a RuntimeError that holds a traceback."""

    def __iter__(self) -> Iterator[tuple[Clips, Tensor]]:  # type: ignore[override]
        error = None
        batches = super().__iter__()
        for batch in batches:
            if isinstance(batch, VideoError):
                error = batch
                break
            yield batch
        if error is not None:
            # End the workers here: left to the garbage collector, they are waited for, five seconds each.
            self._iterator = None
            del batches
            raise error


# -- the data module --------------------------------------------------------------------------------------------------


class VideoData(lightning.LightningDataModule):
    """Training batches and test videos from a folder with manifests.

    root: folder the manifest paths are relative to. num_frames, stride: a clip of frames `stride` apart; stride None:
    one frame of each of num_frames equal segments of the whole video, which makes one clip. size: side of the crops in
    pixels.
    augment: `flip` (probability of mirroring) and the arguments of TrainTransform but for `size`; its interpolation,
    mean and std hold for testing too. flip_labels: what mirroring makes of a label, for those it changes; a set that
    forbids mirroring is given flip 0. class_names: for manifests with names. short_side: of test frames (default:
    size). clips, crops, clip_sampling: the views of a test video. cache: keep every decoded video in memory (uint8, so
    frames x height x width x 3 bytes each) for all data modules of this process; loading then happens in this process.
    limit_train, limit_test: use only that many videos from the start of a manifest. eval_batch_size: videos per test
    batch. split: number of the official split, for sets that have several: its lists are split1_train.csv and
    split1_test.csv. modalities, motion: clips by modality from compressed video (see TripletSource), with the arguments
    of TrainModalities in `augment`; stride is None then. holdout: share of the training videos, in whole groups drawn
    from the seed, that are validated on (in the views of a test video) and not trained on; at least one. name: what the
    data set is called in messages (default: `dataset_name`).

    train_dataloader: (clips float32 (B, T, 3, S, S), labels int64 (B,)); the last batch of an epoch is left out if it
    would be smaller, unless it is the only one (the official TokenShift code drops it too). Raises VideoError for an
    unreadable video. test_dataloader: lists of items as described at TestVideos, in manifest order, every line once.
    """

    dataset_name: ClassVar[str] = "the data set"
    train_split: ClassVar[str] = "train"
    test_split: ClassVar[str] = "validation"
    also_called: ClassVar[dict[str, str]] = {"validation": "val"}
    """Split -> the name of its list or folder in other copies of the same set, used where there is none of the first
    name."""

    def __init__(
        self,
        *,
        root: str | Path,
        num_classes: int,
        num_frames: int,
        stride: int | None,
        size: int,
        augment: Mapping[str, Any],
        batch_size: int,
        flip_labels: Mapping[int, int] | None = None,
        class_names: Sequence[str] | None = None,
        train_manifest: str | Path | None = None,
        test_manifest: str | Path | None = None,
        num_workers: int = 0,
        seed: int = 0,
        clips: int = 1,
        crops: int = 1,
        clip_sampling: str = "uniform",
        short_side: int | None = None,
        cache: bool = False,
        limit_train: int | None = None,
        limit_test: int | None = None,
        eval_batch_size: int = 1,
        split: int | None = None,
        modalities: Sequence[str] | None = None,
        motion: Literal["previous", "iframe"] | None = None,
        holdout: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.name = name or self.dataset_name
        self.num_classes, self.class_names = num_classes, class_names
        if stride is None and (clips != 1 or clip_sampling != "uniform"):
            raise ValueError(
                f"segments of the whole video (stride None) make 1 uniform clip, not {clips} {clip_sampling}"
            )
        self.num_frames, self.stride = num_frames, stride
        self.flip_labels = dict(flip_labels or {})
        if any(self.flip_labels.get(b) != a or not 0 <= a < num_classes for a, b in self.flip_labels.items()):
            raise ValueError(f"mirroring twice must restore every label, which {self.flip_labels} does not")
        pixels = {k: v for k, v in augment.items() if k in ("interpolation", "mean", "std")}
        self.flip = float(augment.get("flip", 0.0))
        augment = {k: v for k, v in augment.items() if k != "flip"}
        self.source: Source
        self.train_transform: Callable[..., Clips]
        self.test_transform: Callable[..., Clips]
        if modalities is None:
            self.source = functools.partial(read_frames, cache=cache)
            self.train_transform = TrainTransform(size=size, **augment)
            self.test_transform = TestTransform(size=size, short_side=short_side or size, crops=crops, **pixels)
        else:
            extra = sorted(k for k, v in augment.items() if v is not None and k not in (*pixels, "short_side"))
            if extra:
                raise ValueError(f"augment.{extra[0]} is for decoded frames, not for modalities of compressed video")
            self.source = TripletSource(modalities=modalities, motion=motion, cache=cache)
            self.train_transform = TrainModalities(size=size, short_side=augment["short_side"], **pixels)
            self.test_transform = TestModalities(size=size, short_side=short_side or size, crops=crops, **pixels)
        self.manifests = (train_manifest, test_manifest)
        self.batch_size, self.eval_batch_size, self.num_workers, self.seed = (
            batch_size,
            eval_batch_size,
            0 if cache else num_workers,
            seed,
        )
        self.clips, self.clip_sampling, self.cache = clips, clip_sampling, cache
        self.limits = (limit_train, limit_test)
        self.holdout = holdout
        self.sound = "audio" in (modalities or ())
        self.lists = (self.train_split, self.test_split)
        if split is not None:
            self.lists = (f"split{split}_train", f"split{split}_test")
        self._entries: dict[str, list[Entry]] = {}
        self.tested: Collection[str] = ()
        """Ids of test videos that `test_dataloader` leaves out, as they were scored before."""
        self._epoch = 0
        self._sampler: EpochSampler | None = None
        self._read: Tensor | None = None

    def setup(self, stage: str | None = None) -> None:
        """Read and check the manifests that `stage` needs ("fit", "test"; None: both), once. Raises DataError."""
        for split in {"fit": ("train",), "test": ("test",)}.get(stage or "", ("train", "test")):
            self._list(split)
        if stage != "test":
            _ = self._held_out  # refuses what leaves nothing to train on

    def _list(self, split: str) -> list[Entry]:
        """The videos of "train" or "test". A test does not need the list of the training videos, nor the other way."""
        if split not in self._entries:
            if not self.root.is_dir():
                raise DataError(
                    f"{self.root}: no such folder; give the folder of {self.name} as --data {self.name}=PATH"
                )
            index = ("train", "test").index(split)
            entries = self._read_split(self.lists[index], self.manifests[index])[: self.limits[index]]
            if split == "test":
                _refuse_doubles(entries)
            self._entries[split] = entries
        return self._entries[split]

    def _read_split(self, split: str, manifest: str | Path | None) -> list[Entry]:
        names = (split, self.also_called.get(split, split))
        if manifest is None:
            manifest = next((path for name in names if (path := self.root / f"{name}.csv").exists()), None)
        if manifest is None:
            for name in names:
                if (self.root / name).is_dir():
                    return read_class_folders(
                        self.root / name, root=self.root, num_classes=self.num_classes, class_names=self.class_names
                    )
            manifest = self.root / f"{split}.csv"
        return read_manifest(Path(manifest), root=self.root, num_classes=self.num_classes, class_names=self.class_names)

    @property
    def train_entries(self) -> list[Entry]:
        """The training videos, without those that are held out."""
        held = self._held_out
        return [entry for entry in self._list("train") if not held or self.group(entry) not in held]

    @property
    def holdout_entries(self) -> list[Entry]:
        """The training videos that are held out; at least one where there is a `holdout`."""
        held = self._held_out
        return [entry for entry in self._list("train") if held and self.group(entry) in held]

    def group(self, entry: Entry) -> str:
        """Training videos of one group are held out together, or not at all. Here each is its own."""
        return entry.video_id

    @functools.cached_property
    def _held_out(self) -> frozenset[str]:
        """The groups that are held out, drawn from the seed."""
        if self.holdout is None:
            return frozenset()
        sizes = Counter(map(self.group, self._list("train")))
        left = max(1, round(self.holdout * sizes.total()))
        names, chosen = list(sizes), set()
        for k in np.random.default_rng([self.seed, _HOLDOUT]).permutation(len(names)).tolist():
            if left <= 0:
                break
            chosen.add(names[k])
            left -= sizes[names[k]]
        if len(chosen) == len(names):
            raise DataError(
                f"{self.root}: with {self.holdout:.0%} held out, none of {sizes.total()} training videos is left to "
                "train on; give more videos"
            )
        return frozenset(chosen)

    @property
    def test_entries(self) -> list[Entry]:
        """The test videos, all of which a test must account for."""
        return self._list("test")

    def fingerprint(self, split: Literal["train", "test"]) -> str:
        """12 hex digits over path, label and size in bytes of every video of a split, in order: changes when a video
        is added, dropped, relabelled or replaced by one of another size, or others are held out."""
        digest = hashlib.sha256()
        for entry in self._list(split):
            digest.update(f"{entry.video_id}\0{entry.label}\0{entry.file.stat().st_size}\n".encode())
        for entry in self.holdout_entries if split == "train" else ():
            digest.update(f"{entry.video_id}\0held out\n".encode())
        return digest.hexdigest()[:12]

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass over the training loader is; Lightning's trainer does this by itself."""
        self._epoch = epoch
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    def train_dataloader(self) -> TrainLoader:
        videos = TrainVideos(
            self.train_entries,
            num_frames=self.num_frames,
            stride=self.stride,
            source=self.source,
            transform=self.train_transform,
            flip=self.flip,
            flip_labels=self.flip_labels,
            seed=self.seed,
        )
        self._read = videos.read
        self._sampler = EpochSampler(len(videos), seed=self.seed)
        self._sampler.set_epoch(self._epoch)
        return TrainLoader(
            videos,
            batch_size=self.batch_size,
            sampler=self._sampler,
            drop_last=len(videos) >= self.batch_size,
            collate_fn=_collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    @property
    def silent_train_videos(self) -> int | None:
        """Training videos without a sound track, as the last training loader found; None if it has not been through
        them (but for a last batch that is left out), or no sound is asked for."""
        if not self.sound or self._read is None or int((self._read == 0).sum()) >= self.batch_size:
            return None
        return int((self._read == 2).sum())

    def test_dataloader(self) -> DataLoader:
        return self._views(self.test_entries, self.tested)

    def _views(self, entries: Sequence[Entry], tested: Collection[str] = ()) -> DataLoader:
        videos = TestVideos(
            entries,
            num_frames=self.num_frames,
            stride=self.stride,
            clips=self.clips,
            clip_sampling=self.clip_sampling,
            source=self.source,
            transform=self.test_transform,
            seed=self.seed,
        )
        left = [i for i, entry in enumerate(entries) if entry.video_id not in tested]
        remaining = Subset(videos, left)  # not a shorter list: the number of a video seeds its random clips
        return DataLoader(
            remaining, batch_size=self.eval_batch_size, shuffle=False, collate_fn=list, num_workers=self.num_workers
        )

    def val_dataloader(self) -> DataLoader:
        """The training videos that are held out, or, for `train.keep: best_on_test`, the test videos."""
        return self.test_dataloader() if self.holdout is None else self._views(self.holdout_entries)
