"""What a job reads, opened before anything is trained: lists, a sample of the files, weights. Without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vtbench import files
from vtbench.datasets.folders import FolderIndex
from vtbench.datasets.manifests import (
    Entry,
    Split,
    VideoFolder,
    refuse_lacking,
    refuse_overlap,
    refuse_unusable,
    sample_of,
)
from vtbench.errors import DataError, VideoError
from vtbench.papers.datasets import Dataset, load_dataset
from vtbench.papers.releases import other_release, releases
from vtbench.papers.spec.recipe import Data
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.devices.batches import Batches, too_many_clips
from vtbench.run.settings import Settings

SAMPLE = 8
"""Videos of a split that are opened."""


class _Read(NamedTuple):
    """A list of videos that a job reads."""

    dataset: str
    number: int | None
    subset: str | None
    split: Split
    compressed: bool

    @classmethod
    def of(cls, data: Data, split: Split) -> _Read:
        return cls(data.dataset, data.split, data.subset, split, data.modalities is not None)


class Inputs:
    """What the jobs of one command read. What several of them share is looked at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._indexes: dict[Path, FolderIndex] = {}
        self._splits: dict[tuple[_Read, bool], str | None] = {}
        self._tested: dict[_Read, list[Entry]] = {}
        self._sums: dict[Path, str] = {}
        self._usable: dict[_Read, int] = {}
        """Videos of a split that are there, where it was read."""

    # -- data ---------------------------------------------------------------------------------------------------------

    def lacking_data(self, training: Training, evaluations: Iterable[Evaluation]) -> list[str]:
        """Why the data sets of a training and its evaluations cannot be used, one line each; none if they can."""
        splits: list[tuple[Data, Split]] = [(evaluation.data, "test") for evaluation in evaluations]
        reads = dict.fromkeys(_Read.of(data, split) for data, split in ((training.data, "train"), *splits))
        reasons: dict[_Read, str | None] = {}
        for read in sorted(reads, key=lambda read: read.split):  # tests first: what is trained on is held against them
            folder, facts = self.settings.data.get(read.dataset), load_dataset(read.dataset)
            if facts.synthetic:
                if folder is not None and ":" not in facts.module:
                    reasons[read] = _why_not_made(facts, folder)
            elif folder is None:
                reasons[read] = f"data folder of {read.dataset} (--data {read.dataset}=PATH)"
            elif not folder.is_dir():
                reasons[read] = f"data folder of {read.dataset}: {folder} does not exist"
            elif ":" not in facts.module:  # a data module of the user's reads in its own way
                test = read._replace(split="test")
                tested = self._tested.get(test, []) if read.split == "train" and test in reads else []
                if (read, bool(tested)) not in self._splits:
                    self._splits[read, bool(tested)] = self._why_not(facts, read, folder, tested)
                reasons[read] = self._splits[read, bool(tested)]
        return list(dict.fromkeys(why for read in reads if (why := reasons.get(read))))

    def large_batch(self, training: Training, batches: Batches) -> str | None:
        """Why --batch-size and what goes with it cannot be used: there are fewer videos to train on, as far as that is
        known before they are listed for the training itself; None if they can."""
        given, data, facts = self.settings.batch_size, training.data, training.dataset
        if not isinstance(given, int):
            return None
        there: int | None
        if facts.synthetic:
            there = facts.num_videos("train", data.limit_train if data.dataset not in self.settings.data else None)
        else:
            there = self._usable.get(_Read.of(data, "train"))
        return None if there is None else too_many_clips(batches, training, given, there, f"{data.dataset} has")

    def _why_not(self, facts: Dataset, read: _Read, folder: Path, tested: Sequence[Entry]) -> str | None:
        arguments = facts.video_arguments(read.number, None, None, whole=True, subset=read.subset)
        walked = self._indexes.setdefault(folder, FolderIndex(folder))
        quarantine = self.settings.quarantine(facts.name)
        videos = VideoFolder(folder, **arguments, quarantine=quarantine, walked=walked)
        try:
            entries = videos.read(read.split)
            self._usable[read] = sum(not entry.problem for entry in entries)
            refuse_unusable(entries, read.split, f"{folder}")
            refuse_lacking(entries, self.settings.missing, read.split, f"{folder}")
            if read.split == "test":
                self._tested[read] = entries
            refuse_overlap(entries, tested)
            _open_some(entries, read.compressed)
        except (DataError, VideoError) as error:
            return str(error)
        return None

    # -- weights ------------------------------------------------------------------------------------------------------

    def lacking_weights(self, names: Sequence[str]) -> Iterator[str]:
        """Why named weights cannot be used, one line each."""
        for name in names:
            release, path = releases().get(name), self.settings.weights.get(name)
            if path is None:
                if release is None or release.sha256 is None:
                    yield f"weights {name} (--weights {name}=FILE)"
            elif not path.is_file():
                yield f"weights {name}: {path} does not exist"
            elif not path.stat().st_size:
                yield f"weights {name}: {path} is empty"
            elif not _is_of_weights(path):
                yield f"weights {name}: {path} is no file of weights (safetensors, torch's or numpy's)"
            elif release and release.sha256 and not self.settings.allow_other_weights:
                if path not in self._sums:
                    self._sums[path] = files.sha256(path)
                if wanted := other_release(name, self._sums[path]):
                    found = self._sums[path][:8]
                    yield f"weights {name}: {path} is {found}..., not the release {wanted}... (--allow-other-weights)"

    def downloads(self, names: Sequence[str]) -> list[str]:
        """What a run would download: "NAME, about 410 MB" of each of the weights that is not there yet."""
        made = []
        for name in names:
            release = releases().get(name)
            if name in self.settings.weights or release is None or not release.url or not release.sha256:
                continue
            if not (_hub() / release.url.rpartition("/")[2]).exists():
                made.append(name + (f", about {release.size_mb} MB" if release.size_mb else ""))
        return made


def _why_not_made(facts: Dataset, folder: Path) -> str | None:
    """Why a synthetic set cannot be in the folder given for it, or be made there."""
    from vtbench.datasets.synthetic.generate import refuse_unusable

    try:
        refuse_unusable(folder, facts.name, num_train=facts.num_videos("train"), num_test=facts.num_videos("test"))
    except DataError as error:
        return str(error)
    return None


def _open_some(entries: Sequence[Entry], compressed: bool) -> None:
    """Open a few of the videos, chosen by a hash of their ids. Raises the VideoError of the first if none can be
    read as the job reads them: single ones may be broken."""
    from vtbench.datasets.check.coding import coding_of
    from vtbench.video.compressed import CompressedReader

    chosen = sample_of(entries, SAMPLE)
    errors = []
    for entry in chosen:
        try:
            if compressed:
                CompressedReader(entry.file).close()
            else:
                coding_of(entry.file)
        except VideoError as error:
            errors.append(error)
    if chosen and len(errors) == len(chosen):
        raise errors[0]


def _is_of_weights(path: Path) -> bool:
    """Whether a file begins as safetensors, or as what torch and numpy write: zip or pickle."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[:2] in (b"PK", b"\x80\x02") or head[8:9] == b"{"


def _hub() -> Path:
    """Where torch keeps what it downloads, as torch.hub.get_dir says without importing torch."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("TORCH_HOME", cache_home / "torch")).expanduser() / "hub" / "checkpoints"
