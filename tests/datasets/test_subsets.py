"""Subsets of a data set: by the hash of the videos' names, and by published lists."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vtbench.datasets import VideoFolder
from vtbench.datasets.subsets import hash_of, subset_of
from vtbench.errors import DataError
from vtbench.papers.datasets import load_dataset


def test_the_hash_is_of_the_name_alone() -> None:
    """Whatever the folders and the container: everybody takes the same videos."""
    name = "abc_000010_000020"
    one = int(hashlib.sha256(name.encode()).hexdigest()[:14], 16) / 16**14
    for video in (
        f"train/abseiling/{name}.mp4",
        f"{name}.webm",
        f"/data/k400/{name}.avi",
        f"train\\abseiling\\{name}.mp4",
    ):
        assert hash_of(video) == one
    assert hash_of("abc_000010_000021.mp4") != one


def test_shares_are_what_they_say_and_lie_in_each_other() -> None:
    videos = [f"{number}.webm" for number in range(1, 20_001)]
    chosen = {}
    for share in (0.1, 0.5):
        wanted = subset_of(share, None)
        assert wanted is not None
        chosen[share] = {video for video in videos if wanted(video)}
        assert len(chosen[share]) == pytest.approx(share * len(videos), rel=0.05)
    assert chosen[0.1] < chosen[0.5]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        subset_of(share, None)


def test_a_list_names_videos_by_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("abcdefghijk\n-_cdefghijk\r\n\n")
    wanted = subset_of(None, tmp_path / "ids.txt")
    assert wanted is not None
    for video in ("train/x/abcdefghijk_000010_000020.mp4", "abcdefghijk.mkv", "-_cdefghijk_000001_000011.mp4"):
        assert wanted(video)
    for video in ("abcdefghijkl.mp4", "abcdefghij_000010_000020.mp4", "x_abcdefghijk.mp4", "-_000001_000011.mp4"):
        assert not wanted(video)
    assert subset_of(None, None) is None


def test_a_list_that_is_not_there_or_empty_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ids\.txt: no such file; it lists the videos of the subset: `subsets` in"):
        subset_of(None, tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_text("\n")
    with pytest.raises(DataError, match=r"ids\.txt: names no videos; put a name in each line"):
        subset_of(None, tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"ids\.txt: cannot be read as text in UTF-8"):
        subset_of(None, tmp_path / "ids.txt")


def folder_with(root: Path, names: list[str], *, there: list[str]) -> Path:
    for split in ("train", "validation"):
        (root / split).mkdir(parents=True)
        for name in there:
            (root / split / name).touch()
        (root / f"{split}.csv").write_text("path,label\n" + "".join(f"{split}/{name},0\n" for name in names))
    return root


def test_only_the_videos_of_the_subset_have_to_be_there(tmp_path: Path) -> None:
    """The official split file may list all of the set."""
    names = [f"{number}.webm" for number in range(1, 41)]
    half = [name for name in names if hash_of(name) < 0.5]
    assert 0 < len(half) < 40
    root = folder_with(tmp_path, names, there=half)
    videos = VideoFolder(root, num_classes=1, share=0.5)
    assert [entry.video_id for entry in videos.read("train")] == [f"train/{name}" for name in half]
    assert len(videos.read("test")) == len(half)
    few = VideoFolder(root, num_classes=1, share=0.5, limit_train=3)
    assert [entry.file.name for entry in few.read("train")] == half[:3]
    assert all(entry.problem is None for entry in videos.read("train"))
    assert sum(entry.problem is not None for entry in VideoFolder(root, num_classes=1).read("train")) == 40 - len(half)


def test_class_folders_and_lists_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        (tmp_path / split / "abseiling").mkdir(parents=True)
        for name in ("abcdefghijk_000010_000020", "ABCDEFGHIJK_000010_000020"):
            (tmp_path / split / "abseiling" / f"{name}.mp4").touch()
    (tmp_path / "train_ytid_list.txt").write_text("abcdefghijk\n")
    (tmp_path / "val_ytid_list.txt").write_text("ABCDEFGHIJK\n")
    facts = load_dataset("kinetics400")
    videos = VideoFolder(tmp_path, **facts.video_arguments(None, None, None, whole=True, subset="mini200"))
    assert [entry.file.stem[:11] for split in ("train", "test") for entry in videos.read(split)] == [
        "abcdefghijk",
        "ABCDEFGHIJK",
    ]
    (tmp_path / "val_ytid_list.txt").write_text("nothing\n")
    with pytest.raises(DataError, match="validation: none of its 2 videos is in the subset; are they named as the set"):
        videos.read("test")


def test_a_byte_order_mark_does_not_hide_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfabc\r\ndef\r\n")
    wanted = subset_of(None, tmp_path / "names.txt")
    assert wanted is not None and wanted("train/abc.mp4") and wanted("def_000001_000011.mp4") and not wanted("ghi.mp4")
