"""Lists and folders that are odd or hostile: one line that names file and line, and nothing that never ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import encoded
import pytest

from vtbench.datasets import VideoFolder
from vtbench.datasets.check.scan import read_scan
from vtbench.datasets.check.verify import overlap, read_split
from vtbench.datasets.folders import FolderIndex
from vtbench.datasets.manifests import Entry, in_both, read_manifest, refuse_overlap, refuse_unusable
from vtbench.datasets.official import OfficialLists
from vtbench.datasets.prepared import read_prepared
from vtbench.datasets.quarantine import read_quarantine
from vtbench.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos to train on and one to test on, with split files."""
    for name in ("train/a.mp4", "train/b.mp4", "validation/c.mp4"):
        encoded.encode(tmp_path / name, encoded.numbered(2))
    (tmp_path / "train.csv").write_text("path,label\ntrain/a.mp4,0\ntrain/b.mp4,1\n")
    (tmp_path / "validation.csv").write_text("path,label\nvalidation/c.mp4,0\n")
    return tmp_path


def videos(folder: Path) -> VideoFolder:
    return VideoFolder(folder, num_classes=2)


def read(folder: Path) -> list[Entry]:
    return read_manifest(folder / "train.csv", root=folder, num_classes=2)


ODD: dict[str, tuple[str, str]] = {
    "a path out of the folder": ("../b.mp4,0", "train.csv:2: '../b.mp4' leads out of "),
    "a path that leaves in its middle": ("train/../../b.mp4,0", "leads out of "),
    "a row of many columns": ("a.mp4," * 10**6, "train.csv:2: 'a.mp4,a.mp4,a.mp4,a.mp4,a.mp4,...' must be path,label"),
    "a number of many digits": (f"train/a.mp4,{'9' * 5000}", "train.csv:2: this data set has no class '999"),
    "a cell without end": (f"train/a.mp4,{'x' * 200_000}", "cannot be read as CSV: field larger than field limit"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_line_is_named(kind: str, folder: Path) -> None:
    line, message = ODD[kind]
    (folder / "train.csv").write_text(f"path,label\n{line}\n")
    with pytest.raises(DataError) as error:
        read(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_header_of_many_columns_is_shown_by_its_first(folder: Path) -> None:
    (folder / "train.csv").write_text("path," * 10**6 + "\n")
    with pytest.raises(DataError, match=r"train\.csv:1: the header is 'path,path,path,path,path,\.\.\.', must be"):
        read(folder)


@pytest.mark.parametrize("path", ["a\0b.mp4", "x" * 300, "x/" * 3000 + "y", "train/a.mp4/b"])
def test_a_path_that_no_file_can_have_is_missing_with_its_line(path: str, folder: Path) -> None:
    (folder / "train.csv").write_text(f"path,label\n{path},0\n")
    (entry,) = read(folder)
    assert entry.problem and entry.source.endswith("train.csv:2")
    assert refuse_unusable([entry], "train", "here") is None, "it is one missing video"


def test_an_absolute_path_and_one_that_returns_are_taken(folder: Path) -> None:
    (folder / "train.csv").write_text(f"path,label\n{folder}/train/a.mp4,0\ntrain/../train/b.mp4,1\n..a.mp4,1\n")
    assert [entry.problem for entry in read(folder)] == [None, None, "no such file"]


# -- the same video twice ----------------------------------------------------------------------------------------------

LINKS: dict[str, Callable[[Path, Path], object]] = {
    "the same path": lambda old, new: None,
    "a hard link": lambda old, new: os.link(old, new),
    "a symbolic link": lambda old, new: new.symlink_to(old),
}


@pytest.mark.parametrize("name", ["train/a.mp4", "./train/a.mp4"])
def test_a_training_video_with_two_labels_is_refused_with_both_lines(name: str, folder: Path) -> None:
    with (folder / "train.csv").open("a") as file:
        file.write(f"{name},0\n")
    refuse_unusable(read(folder), "train", "here")  # twice with the same label: its weight is doubled, as may be meant
    with (folder / "train.csv").open("a") as file:
        file.write(f"{name},1\n")
    with pytest.raises(
        DataError, match=rf"train\.csv:5: '{name}' has label 1, and 0 at .*train\.csv:[24]; keep one of"
    ):
        refuse_unusable(read(folder), "train", "here")
    assert read_split(videos(folder), "train").contradicting == [name]


@pytest.mark.parametrize("how", LINKS)
def test_a_test_video_that_is_trained_on_is_refused_with_both_lines(how: str, folder: Path) -> None:
    LINKS[how](folder / "validation" / "c.mp4", folder / "train" / "c.mp4")
    name = "validation/c.mp4" if how == "the same path" else "train/c.mp4"
    with (folder / "train.csv").open("a") as file:
        file.write(f"{name},0\n")
    with pytest.raises(DataError, match=rf"train\.csv:4: '{name}' is listed to train on, and to test on at .*n\.csv:2"):
        refuse_overlap(videos(folder).read("train"), videos(folder).read("test"))
    assert overlap(read_split(videos(folder), "train"), read_split(videos(folder), "test")) == [name]


def test_copies_and_missing_files_are_other_videos(folder: Path) -> None:
    (folder / "train" / "copy.mp4").write_bytes((folder / "validation" / "c.mp4").read_bytes())
    with (folder / "train.csv").open("a") as file:
        file.write("train/copy.mp4,0\ntrain/gone.mp4,0\n")
    with (folder / "validation.csv").open("a") as file:
        file.write("validation/gone.mp4,0\n")
    assert in_both(videos(folder).read("train"), videos(folder).read("test")) == []


# -- what never ends ---------------------------------------------------------------------------------------------------


def test_pipes_in_place_of_lists_are_not_opened(folder: Path) -> None:
    (folder / "train.csv").unlink()
    os.mkfifo(folder / "train.csv")
    with pytest.raises(DataError, match=r"train\.csv: is a named pipe, a file of path,label is wanted"):
        videos(folder).read("train")
    official = OfficialLists("kinetics", train=["*train*"], test=["*val*"])
    assert official.find(FolderIndex(folder).lists, "train", 2) == []
    started = time.monotonic()
    assert not official.recognises(folder / "train.csv")
    assert time.monotonic() - started < 1


def test_json_that_is_nested_by_the_thousand_is_refused(tmp_path: Path) -> None:
    official = OfficialLists("diving48", train=["*"], test=["*"])
    for text in ("[" * 100_000, f'[{{"vid_name": {"9" * 5000}, "label": 1}}]'):
        (tmp_path / "list.json").write_text(text)
        with pytest.raises(DataError, match=r"list\.json: is not JSON of a list of videos"):
            list(official.read([tmp_path / "list.json"], "train"))
    (tmp_path / "prepared.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"prepared\.json: cannot be read as JSON"):
        read_prepared(tmp_path)


# -- marks and digits --------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_read_over_in_every_list_of_ours(tmp_path: Path) -> None:
    mark = "\ufeff"
    line = f"{tmp_path}/a.mp4,12,1764230400123456789"
    (tmp_path / "quarantine.csv").write_text(f"{mark}file,size,changed,reason\n{line},broken\n", encoding="utf-8")
    assert read_quarantine(tmp_path / "quarantine.csv").files[0].changed == 1764230400123456789
    header = "file,size,changed,frames,coding,problem"
    (tmp_path / "scan.csv").write_text(f"{mark}{header}\n{line},3,h264,\n", encoding="utf-8")
    assert [one.frames for one in read_scan(tmp_path / "scan.csv").values()] == [3]


@pytest.mark.parametrize("digits", ["²", "٣", "9" * 5000])
def test_digits_that_are_none_are_refused_with_their_line(digits: str, tmp_path: Path) -> None:
    (tmp_path / "quarantine.csv").write_text(f"file,size,changed,reason\na.mp4,{digits},3,broken\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"quarantine\.csv:2: must be file,size,changed,reason; remove the line"):
        read_quarantine(tmp_path / "quarantine.csv")
    (tmp_path / "labels.json").write_text(json.dumps({"Holding something": digits}))
    official = OfficialLists("something", train=["*"], test=["*"], classes=["labels.json"])
    with pytest.raises(DataError, match=r"labels\.json: must be class -> number"):
        official.refuse_other_classes([tmp_path / "labels.json"], ["Holding something"])
