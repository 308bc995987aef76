"""data_manifests/<name>/: what a data set is (dataset.yaml) and its classes (classes.txt)."""

from __future__ import annotations

# ruff: noqa: RUF009 (key() makes a dataclasses.field)
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vtbench.errors import DataError, unknown
from vtbench.fields import key
from vtbench.papers.code.signatures import Builders
from vtbench.papers.roots import Root, datasets, refuse_conflict, shown
from vtbench.papers.spec.document import Node, build, described, read_yaml

Split = Literal["train", "test"]
FOLDER = "folder"
"""The data module for a folder of videos with split files."""
NO_FLIP = "a mirrored video of {} has no label; set augment.flip: 0 in the row"


@dataclass(frozen=True, kw_only=True)
class Flip:
    """What a horizontal flip does to a label. Exactly one key; no `flip` at all means that it does nothing."""

    labels: dict[str, str] | None = key("class -> class that it becomes; others stay", default=None)
    forbidden: bool = key("true: a flipped video has no label", default=False)

    def __post_init__(self) -> None:
        if bool(self.labels) == self.forbidden:
            raise ValueError("flip holds either labels or forbidden: true")


def _names(node: Node) -> tuple[str, ...]:
    """One name, or several of which the first that is there counts."""
    names = [item.value for item in node.value] if isinstance(node.value, list) else [node.value]
    if not names or not all(isinstance(name, str) and name for name in names):
        node.fail(f"must be the name of a split file, without .csv, or a list of them, not {described(node)}")
    for name in names:
        if {"{", "}"} & set(name.replace("{split}", "")):
            node.fail(f"is {name!r}, in which only {{split}} may stand in braces")
    return tuple(names)


@dataclass(frozen=True, kw_only=True)
class Lists:
    """Names of the split files, without `.csv`, or of the folders of class folders. Of several names the first that is
    there counts."""

    train: tuple[str, ...] = key("the split file of the training videos", read=_names)
    test: tuple[str, ...] = key("the split file of the test videos", read=_names)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """How many videos there are to train on and to test on: what synthetic sets make, an estimate for real ones."""

    train: int = key("videos to train on", unit="videos", at_least=1)
    test: int = key("videos to test on", unit="videos", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Official:
    """The annotation files that the data set comes with. Of several patterns the first that any file fits counts."""

    format: str = key("how they are written, one of vtbench.datasets.official.FORMATS")
    train: tuple[str, ...] = key("patterns of the names of the lists to train on", read=_names)
    test: tuple[str, ...] = key("patterns of the names of the lists to test on", read=_names)
    classes: tuple[str, ...] = key("patterns of the name of the file of class names in order", default=(), read=_names)
    at_most: Splits | None = key(
        "most videos that the lists hold; with more they are of another version. Not set: not known", default=None
    )


def _pattern(node: Node) -> str:
    """A regular expression with one group."""
    if not isinstance(node.value, str):
        node.fail(f"must be a regular expression, as text, not {described(node)}")
    try:
        groups = re.compile(node.value).groups
    except (re.error, OverflowError, RecursionError) as error:
        node.fail(f"is not a regular expression: {error}; see Python's re, and quote it with '...'")
    if groups != 1:
        node.fail(
            f"has {groups} groups in parentheses, must have one, which is what the videos of a group share; "
            "write (?:...) for others"
        )
    return node.value


def _share(value: float) -> None:
    if value >= 1:
        raise ValueError(f"is {value:g}, must be below 1")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Files in the user's folder that name the videos of a subset, one in a line: the beginning of a file's name, up to
    a "_" or the suffix."""

    train: str = key("the file of the training videos")
    test: str = key("the file of the test videos")


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A named part of a data set, the same for everybody. Labels and classes stay those of the whole set."""

    why: str = key("what it is, and where its lists come from")
    share: float | None = key(
        "the videos whose hash is below this share of all hashes (vtbench.datasets.subsets)",
        default=None,
        above=0,
        check=_share,
    )
    listed: Listed | None = key("files in the user's folder that name its videos", default=None)
    num_videos: Splits | None = key("videos per split; not set: the share of the data set's", default=None)

    def __post_init__(self) -> None:
        if (self.share is None) == (self.listed is None):
            raise ValueError("a subset holds exactly one of share and listed")
        if self.listed is not None and self.num_videos is None:
            raise ValueError("a subset by lists gives num_videos")


@dataclass(frozen=True, kw_only=True)
class _DatasetFile:
    title: str = key("the data set's full name")
    source: str = key("where it comes from")
    licence: str = key("terms of the videos and of the labels")
    num_classes: int = key("number of classes", at_least=1)
    synthetic: bool = key("true: the data module makes the videos itself", default=False)
    module: str | None = key(
        "the LightningDataModule, a name of vtbench.datasets.DATASETS or package.module:Class; not set: the one of the "
        "data set's own name, else folders of videos with lists",
        default=None,
    )
    num_videos: Splits = key("videos per split")
    splits: int = key("official splits; with more than one a spec says which (data.split)", default=1, at_least=1)
    lists: Lists | None = key(
        "names of the split files; {split} in them is the number of the official split. Not set: train, and validation "
        "or val; with several splits split{split}_train and split{split}_test",
        default=None,
    )
    official: Official | None = key(
        "the annotation files that the data set comes with, which are read where there are no split files; {split} in "
        "a pattern is the number of the official split",
        default=None,
    )
    group: str | None = key(
        "regular expression with one group, searched for in a video's path: training videos for which it is the same "
        "(clips cut from one video) are held out together. Not set: each on its own",
        default=None,
        read=_pattern,
    )
    metrics: tuple[str, ...] = key(
        "metrics of vtbench.metrics that the data set's users report beside top-1: measured in every test on it",
        default=(),
    )
    flip: Flip | None = key("what a horizontal flip does to a label", default=None)
    subsets: dict[str, Subset] = key("parts of it that a spec may name (data.subset)", default={})

    def __post_init__(self) -> None:
        if self.synthetic and self.subsets:
            raise ValueError("subsets are of real data; data.limit_train and limit_test make a synthetic set smaller")


ONE = Lists(train=("train",), test=("validation", "val"))
SEVERAL = Lists(train=("split{split}_train",), test=("split{split}_test",))
"""The names of split files where dataset.yaml gives none, for one official split and for several."""


@dataclass(frozen=True)
class Dataset:
    """A data set. The line number of a class (from 0) is its label."""

    name: str
    root: Root
    about: _DatasetFile
    classes: tuple[str, ...] | None
    """None where the names come with the user's own list."""

    def lists(self, split: int | None) -> Lists:
        """The names of the split files of an official split (None: the only one)."""
        several = self.about.splits > 1
        lists = self.about.lists or (SEVERAL if several else ONE)
        return Lists(train=_numbered(lists.train, split), test=_numbered(lists.test, split))

    def _official(self, about: Official, split: int | None) -> dict[str, Any]:
        """Arguments of vtbench.datasets.official.OfficialLists for an official split."""
        most = about.at_most
        return {
            "format": about.format,
            "train": _numbered(about.train, split),
            "test": _numbered(about.test, split),
            "classes": about.classes,
            "at_most": (most.train, most.test) if most else (None, None),
        }

    def video_arguments(
        self,
        split: int | None,
        limit_train: int | None,
        limit_test: int | None,
        *,
        whole: bool,
        subset: str | None = None,
    ) -> dict[str, Any]:
        """What a data module has to know of the videos: arguments of vtbench.datasets.VideoFolder but for the folder.

        - split: number of the official split, for a set that has several
        - limit_train, limit_test: use only that many videos
        - whole: whether a synthetic set is made as a whole, or only as much of it as is used
        - subset: one of its subsets

        Raises DataError for a split or a subset that the set lacks.
        """
        if wrong := wrong_split(self, split):
            raise DataError(f"data.split {wrong}")
        if wrong := wrong_subset(self, subset):
            raise DataError(f"data.subset {wrong}")
        lists = self.lists(split)
        made: dict[str, Any] = {}
        if self.synthetic:
            made["num_train"] = self.num_videos("train", None if whole else limit_train)
            made["num_test"] = self.num_videos("test", None if whole else limit_test)
        if self.about.official:
            made["official"] = self._official(self.about.official, split)
        if subset is not None:
            part = self.about.subsets[subset]
            listed = part.listed
            made |= {"share": part.share, "listed": {"train": listed.train, "test": listed.test} if listed else None}
        return {
            **made,
            "name": self.name,
            "num_classes": self.num_classes,
            "class_names": self.classes,
            "flip_labels": self.flip_labels or {},
            "group": self.about.group,
            "train": lists.train,
            "test": lists.test,
            "limit_train": limit_train,
            "limit_test": limit_test,
        }

    @property
    def module(self) -> str:
        """The data module: a name of vtbench.datasets.DATASETS, or package.module:Class."""
        named = Builders().data_modules()
        return self.about.module or (self.name if self.root.own and self.name in named else FOLDER)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.about.num_classes

    def num_videos(self, split: Split, limit: int | None = None, subset: str | None = None) -> int:
        """Videos of a split, or of a subset of it, at most `limit`; for real data sets an estimate, as copies
        differ."""
        part = self.about.subsets[subset] if subset is not None else None
        count: int = getattr(part.num_videos if part and part.num_videos else self.about.num_videos, split)
        if part is not None and part.share is not None and part.num_videos is None:
            count = round(part.share * count)
        return count if limit is None else min(count, limit)

    @property
    def synthetic(self) -> bool:
        """Whether its data module makes the videos itself."""
        return self.about.synthetic

    @property
    def flip_allowed(self) -> bool:
        """False where a flipped video has no label."""
        return not (self.about.flip and self.about.flip.forbidden)

    @property
    def flip_labels(self) -> dict[int, int] | None:
        """Label -> label of the flipped video, for the labels that change; None if none does."""
        if self.about.flip is None or not self.about.flip.labels or not self.classes:
            return None
        return {self.classes.index(old): self.classes.index(new) for old, new in self.about.flip.labels.items()}


def _numbered(names: tuple[str, ...], split: int | None) -> tuple[str, ...]:
    return tuple(name.replace("{split}", str(split)) for name in names)


def wrong_split(dataset: Dataset, split: int | None) -> str | None:
    """What is wrong with `data.split` for a data set; None if nothing is."""
    splits = dataset.about.splits
    if splits == 1:
        return None if split is None else f"is {split}, and {dataset.name} has one official split; leave it out"
    if split is None or split > splits:
        given = "not set" if split is None else split
        return f"is {given}, and {dataset.name} has official splits 1 to {splits}; give one of them"
    return None


def wrong_subset(dataset: Dataset, subset: str | None) -> str | None:
    """What is wrong with `data.subset` for a data set; None if nothing is."""
    if subset is None or subset in dataset.about.subsets:
        return None
    if dataset.synthetic:
        return f"is {subset}, and {dataset.name} is synthetic: data.limit_train and limit_test make it smaller"
    return f"is {subset}: {unknown('subset', subset, dataset.about.subsets, of=dataset.name)}"


def dataset_names() -> list[str]:
    """The data sets of all roots, by name."""
    return list(datasets())


def load_dataset(name: str) -> Dataset:
    """One data set.

    Raises DataError if there is none of this name or its classes do not fit, SpecError for its YAML.
    """
    if name not in datasets():
        raise DataError(unknown("data set", name, datasets()))
    refuse_conflict("data set", name)
    return _load_dataset(*datasets()[name])


@cache
def _load_dataset(root: Root, folder: Path) -> Dataset:
    path = folder / "dataset.yaml"
    top = read_yaml(path)
    about = build(_DatasetFile, top)
    classes = None
    listing = folder / "classes.txt"
    if listing.is_file():
        try:
            classes = tuple(listing.read_text(encoding="utf-8-sig").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{shown(listing)}: cannot be read as text in UTF-8: {error}") from error
        if len(set(classes)) != about.num_classes or len(classes) != about.num_classes:
            raise DataError(
                f"{shown(listing)}: has {len(classes)} lines, {len(set(classes))} of them different; "
                f"dataset.yaml says num_classes: {about.num_classes}"
            )
    if about.flip and about.flip.labels:
        pairs = top.value["flip"].value["labels"]
        if classes is None:
            raise DataError(f"{shown(listing)}: not there, and flip.labels of dataset.yaml needs it")
        for old, node in pairs.value.items():
            for named in (old, node.value):
                if named not in classes:
                    node.fail(unknown("class", named, classes, of="classes.txt"))
            if about.flip.labels.get(node.value) != old:
                node.fail(f"flipping twice must give {old!r} back; add {node.value}: {old}")
    if about.official and about.official.format not in (known := Builders().official_formats()):
        top.value["official"].value["format"].fail(unknown("format of official lists", about.official.format, known))
    for block, names in (("lists", about.lists), ("official", about.official)):
        for name in ("train", "test") if names else ():
            node = top.value[block].value[name]
            for text in getattr(names, name):
                if ("{split}" in text) != (about.splits > 1):
                    has, advice = (
                        (f"there are {about.splits} official splits", "write {split} where its number stands")
                        if about.splits > 1
                        else ("there is one official split", "leave {split} out, or give `splits`")
                    )
                    node.fail(f"is {text!r}, and {has}; {advice}")
    for number, metric in enumerate(about.metrics):
        if metric not in (measurable := Builders().metrics()):
            top.value["metrics"].value[number].fail(unknown("metric", metric, measurable))
    if about.module:
        Builders(home=None if root.own else root.folder).data_module(top.value["module"])
    elif about.synthetic and not root.own:
        top.value["synthetic"].fail("its data module makes the videos; name it, as module: package.module:Class")
    return Dataset(folder.name, root, about, classes)
