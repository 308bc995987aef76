"""Official annotation files, read in folders that look like the downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import encoded
import lookalikes
import numpy as np
import pytest
from datamodules import video_data

from vtbench.datasets.folders import FolderIndex
from vtbench.datasets.frames import DecodedFrames
from vtbench.datasets.manifests import VideoFolder
from vtbench.errors import DataError, VideoError
from vtbench.papers.datasets import load_dataset
from vtbench.video.stills import FrameFolder


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> lookalikes.Source:
    return lookalikes.Source(tmp_path_factory.mktemp("source"))


def folder_of(name: str, root: Path, *, split: int | None = None, **changes: Any) -> VideoFolder:
    facts = load_dataset(name)
    split = split or (1 if facts.about.splits > 1 else None)
    return VideoFolder(root, **(facts.video_arguments(split, None, None, whole=True) | changes))


def number(name: str, label: str) -> int:
    classes = load_dataset(name).classes
    return classes.index(label) if classes and label in classes else int(label)


@pytest.mark.parametrize("name", lookalikes.SETS)
def test_a_download_is_read_as_it_is(name: str, source: lookalikes.Source, tmp_path: Path) -> None:
    expected = lookalikes.SETS[name](tmp_path / "set", source)
    for split in (1, 2, 3) if load_dataset(name).about.splits > 1 else (None,):
        videos = folder_of(name, tmp_path / "set", split=split)
        for part in ("train", "test"):
            entries = videos.read(part)  # type: ignore[arg-type]
            found = [(entry.file, entry.video_id, entry.label, entry.problem) for entry in entries]
            assert found == [(file, vid, number(name, label), None) for file, vid, label in expected[part]]
            assert all(entry.source.startswith(str(tmp_path / "set")) for entry in entries)


@pytest.mark.parametrize("name", lookalikes.SETS)
def test_its_clips_come_out_of_the_loader(name: str, source: lookalikes.Source, tmp_path: Path) -> None:
    expected = lookalikes.SETS[name](tmp_path / "set", source)
    augment = {"short_side": (34, 38), "flip": 0.0, "interpolation": "bilinear", "mean": 0.5, "std": 0.5}
    module = video_data(
        name, videos=folder_of(name, tmp_path / "set"), augment=augment, stride=None, num_frames=4, batch_size=2
    )
    module.setup()
    clips, labels = next(iter(module.train_dataloader()))
    assert clips.shape == (2, 4, 3, 32, 32)
    assert set(labels.tolist()) <= {number(name, label) for _, _, label in expected["train"]}
    assert all("error" not in item for batch in module.test_dataloader() for item in batch)


# -- frames as JPEG ---------------------------------------------------------------------------------------------------


def test_a_folder_of_frames_reads_like_a_video(tmp_path: Path) -> None:
    folder = lookalikes.jpeg_frames(tmp_path / "12", list(encoded.numbered(30)))
    frames, which, note = DecodedFrames()(folder, lambda n: np.array([[n - 1, 3], [3, 0]]))
    assert note is None and [
        [encoded.read_number(frames[u].permute(1, 2, 0).numpy()) for u in row] for row in which
    ] == [
        [29, 3],
        [3, 0],
    ]
    original = np.stack(list(encoded.numbered(30)))
    with FrameFolder(folder) as reader:
        assert reader.num_frames == 30
        assert np.abs(reader.frames(range(30)).astype(int) - original).mean() < 5
    with pytest.raises(IndexError):
        FrameFolder(folder).frames([30])


def test_bad_folders_of_frames_are_named(tmp_path: Path) -> None:
    folder = lookalikes.jpeg_frames(tmp_path / "12", list(encoded.numbered(6)))
    (folder / "notes.txt").write_text("left aside")
    assert FrameFolder(folder).num_frames == 6
    (folder / "00004.jpg").write_bytes((folder / "00004.jpg").read_bytes()[:200])
    with pytest.raises(VideoError, match=r"12: 00004\.jpg cannot be decoded: .*truncated"):
        FrameFolder(folder).frames([2, 3])
    assert FrameFolder(folder).frames([2]).shape[0] == 1
    (folder / "00004.jpg").rename(folder / "00009.jpg")
    with pytest.raises(VideoError, match=r"12: frame 4 is missing: 00005\.jpg follows 00003\.jpg"):
        FrameFolder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match=r"is a folder without numbered JPEG frames"):
        FrameFolder(tmp_path / "empty")


def test_frames_of_another_size_are_named(tmp_path: Path) -> None:
    frames = list(encoded.numbered(3))
    folder = lookalikes.jpeg_frames(tmp_path / "12", [frames[0], frames[1][:48], frames[2]])
    with pytest.raises(VideoError, match="frame size changes within the folder"):
        FrameFolder(folder).frames([0, 1])


# -- where lists and videos are found ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["train/air_drumming", "air drumming", "k400/videos_train", "", "train_256/air_drumming"]
)
@pytest.mark.parametrize("stem", ["a-_b_000007_000017", "a-_b_7_17", "a-_b"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_kinetics_is_found_in_its_common_layouts(place: str, stem: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    file = tmp_path / place / f"{stem}{suffix}"
    file.touch()
    (tmp_path / "kinetics400").mkdir()
    head = "\ufefflabel,youtube_id,time_start,time_end,split,is_cc\n"
    (tmp_path / "kinetics400" / "kinetics_400_train.csv").write_text(f"{head}air drumming,a-_b,7.0,17,train,0\n")
    [entry] = folder_of("kinetics400", tmp_path).read("train")
    assert (entry.video_id, entry.file, entry.label, entry.problem) == ("a-_b_000007_000017", file, 1, None)


def test_of_two_files_of_a_name_the_one_of_split_and_class_counts(tmp_path: Path) -> None:
    for place in ("train/air_drumming", "train/zumba", "val/air_drumming"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a_000001_000011.mp4").touch()
    (tmp_path / "train.csv").write_text("label,youtube_id,time_start,time_end,split\nair drumming,a,1,11,train\n")
    (tmp_path / "val.csv").write_text("label,youtube_id,time_start,time_end,split\nair drumming,a,1,11,val\n")
    videos = folder_of("kinetics400", tmp_path)
    found = [videos.read(split)[0].file.relative_to(tmp_path).as_posix() for split in ("train", "test")]  # type: ignore[arg-type]
    assert found == ["train/air_drumming/a_000001_000011.mp4", "val/air_drumming/a_000001_000011.mp4"]
    (tmp_path / "train" / "air_drumming" / "a_000001_000011.mkv").touch()
    with pytest.raises(
        DataError, match=r"train\.csv:2: .*a_000001_000011\.mkv and .*a_000001_000011\.mp4 could both be"
    ):
        folder_of("kinetics400", tmp_path).read("train")


def test_a_file_that_would_be_two_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    lines = "label,youtube_id,time_start,time_end,split\nair drumming,a,1,11,train\nzumba,a,21,31,train\n"
    (tmp_path / "train.csv").write_text(lines)
    with pytest.raises(DataError, match=r"train\.csv:3: .*a\.mp4 would be both a_000021_000031 and a_000001_000011"):
        folder_of("kinetics400", tmp_path).read("train")


def test_an_avi_beside_its_mp4_counts_where_the_list_says_avi(source: lookalikes.Source, tmp_path: Path) -> None:
    [(file, _, _), *_] = lookalikes.ucf101(tmp_path, source)["train"]
    file.with_suffix(".mp4").touch()
    assert folder_of("ucf101", tmp_path).read("train")[0].file == file
    file.unlink()
    assert folder_of("ucf101", tmp_path).read("train")[0].file == file.with_suffix(".mp4"), "as `data prepare` names it"


def test_own_split_files_come_before_official_lists_and_those_before_class_folders(
    source: lookalikes.Source, tmp_path: Path
) -> None:
    lookalikes.kinetics(tmp_path, source)
    assert len(folder_of("kinetics400", tmp_path).read("train")) == 4
    (tmp_path / "train.csv").write_text("path,label\nval/x.mp4,zumba\n")
    assert [entry.video_id for entry in folder_of("kinetics400", tmp_path).read("train")] == ["val/x.mp4"]
    (tmp_path / "train.csv").write_bytes((tmp_path / "annotations" / "train.csv").read_bytes())
    assert len(folder_of("kinetics400", tmp_path).read("train")) == 4, "the same file twice"
    (tmp_path / "train.csv").write_text((tmp_path / "annotations" / "train.csv").read_text().replace("7,17", "8,18"))
    with pytest.raises(
        DataError, match=r"annotations/train\.csv and .*/train\.csv: both could be the list to train on"
    ):
        folder_of("kinetics400", tmp_path).read("train")
    (tmp_path / "train.csv").unlink()
    (tmp_path / "annotations" / "train.csv").unlink()
    with pytest.raises(
        DataError, match=r"train: has no videos of 396 of 400 classes \(abseiling, .*complete it, or list"
    ):
        folder_of("kinetics400", tmp_path).read("train")
    (tmp_path / "train").rename(tmp_path / "videos")
    missing = r"neither train\.csv \(path,label\) nor an official one \(train\.csv, .*\) nor class folders in train/"
    with pytest.raises(DataError, match=missing):
        folder_of("kinetics400", tmp_path).read("train")


def test_links_are_followed_and_circles_end(source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.kinetics(tmp_path / "store", source)
    root = tmp_path / "set"
    root.mkdir()
    for name in ("train", "val", "annotations"):
        (root / name).symlink_to(tmp_path / "store" / name)
    (root / "again").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    index = FolderIndex(root)
    assert index.num_videos == 8 and len(index.lists) == 2
    assert all(entry.problem is None for entry in folder_of("kinetics400", root).read("train"))


def test_a_picture_among_videos_or_folders_hides_nothing(source: lookalikes.Source, tmp_path: Path) -> None:
    expected = lookalikes.ucf101(tmp_path / "ucf", source)["train"]
    for number in range(6):
        (expected[0][0].parent / f"thumb{number}.jpg").touch()
    assert all(entry.problem is None for entry in folder_of("ucf101", tmp_path / "ucf").read("train"))
    expected = lookalikes.sthv1(tmp_path / "ssv1", source)["train"]
    (expected[0][0].parent / "sample1.jpg").touch()
    assert all(entry.problem is None for entry in folder_of("sthv1", tmp_path / "ssv1").read("train"))


def test_a_video_of_the_other_version_of_something_something_is_not_taken(
    source: lookalikes.Source, tmp_path: Path
) -> None:
    (folder, number_, _), *_ = lookalikes.sthv1(tmp_path, source)["train"]
    folder.rename(folder.parent / "other")
    source.copy(tmp_path / "v2" / f"{number_}.webm")
    assert folder_of("sthv1", tmp_path).read("train")[0].problem is not None
    source.copy(tmp_path / "again" / f"{number_}.mp4")
    assert folder_of("sthv1", tmp_path).read("train")[0].file == tmp_path / "again" / f"{number_}.mp4"


def test_hmdb51_lacks_no_list_of_a_class(source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.hmdb51(tmp_path, source)
    (tmp_path / "testTrainMulti_7030_splits" / "wave_test_split1.txt").write_text("")
    with pytest.raises(DataError, match=r"lists of 50 of 51 classes: .*wave_test_split1\.txt is not written as one"):
        folder_of("hmdb51", tmp_path).read("train")
    assert len(folder_of("hmdb51", tmp_path, split=2).read("train")) == 2


@pytest.mark.parametrize("text", ['"path","label"\n"x.avi","0"\n', "\n\npath,label\nx.avi,0\n"])
def test_own_split_files_may_be_quoted(text: str, source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.ucf101(tmp_path, source)
    (tmp_path / "split1_train.csv").write_text(text)
    assert [entry.video_id for entry in folder_of("ucf101", tmp_path).read("train")] == ["x.avi"]


@pytest.mark.parametrize("text", ["path;label\nx.avi;0\n", "x.avi,0\n", ""])
def test_a_split_file_that_is_none_is_refused_beside_official_lists(
    text: str, source: lookalikes.Source, tmp_path: Path
) -> None:
    lookalikes.ucf101(tmp_path, source)
    (tmp_path / "split1_train.csv").write_text(text)
    with pytest.raises(DataError, match=r"split1_train\.csv:1: the header is .*, must be 'path,label'"):
        folder_of("ucf101", tmp_path).read("train")


def test_kinetics_may_have_all_splits_in_one_file(source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.kinetics(tmp_path, source)
    lists = [tmp_path / "annotations" / f"{name}.csv" for name in ("train", "val")]
    text = lists[0].read_text() + lists[1].read_text().partition("\n")[2]
    for file in lists:
        file.unlink()
    (tmp_path / "kinetics400.csv").write_text(text)
    videos = folder_of("kinetics400", tmp_path)
    assert [len(videos.read(split)) for split in ("train", "test")] == [4, 4]  # type: ignore[arg-type]


def test_a_list_in_another_encoding_is_named(source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.ucf101(tmp_path, source)
    file = tmp_path / "ucfTrainTestlist" / "trainlist01.txt"
    file.write_text(file.read_text(), encoding="utf-16")
    with pytest.raises(DataError, match=r"trainlist01\.txt is called as one and not written as one: get it again"):
        folder_of("ucf101", tmp_path).read("train")


def test_class_folders_called_by_numbers_are_these_classes(tmp_path: Path) -> None:
    for label in range(106):
        (tmp_path / "split1_test" / str(label)).mkdir(parents=True)
        (tmp_path / "split1_test" / str(label) / f"clip{label}.mp4").touch()
    entries = folder_of("egtea", tmp_path).read("test")
    assert all(entry.file.stem == f"clip{entry.label}" for entry in entries) and len(entries) == 106


def test_class_folders_hold_videos_that_are_there_or_missing_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "a"
    (folder / "dir.mp4").mkdir(parents=True)
    (folder / "._x.mp4").touch()
    (folder / "x.mp4").touch()
    (folder / "broken.mp4").symlink_to(tmp_path / "nowhere")
    entries = VideoFolder(tmp_path, num_classes=1).read("train")
    assert [(entry.file.name, entry.problem) for entry in entries] == [
        ("broken.mp4", "a link to a file that is not there"),
        ("x.mp4", None),
    ]


# -- what is wrong with a list ----------------------------------------------------------------------------------------


def test_a_video_that_is_not_there_stays_in_the_list(source: lookalikes.Source, tmp_path: Path) -> None:
    [(file, _, _), *_] = lookalikes.diving48(tmp_path / "set", source)["train"]
    file.unlink()
    entry = folder_of("diving48", tmp_path / "set").read("train")[0]
    assert entry.problem == f"no video of the name {file.stem} in {tmp_path / 'set'}"


def changed(root: Path, file: str, old: str, new: str) -> None:
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))


BAD = {
    ("kinetics400", "annotations/train.csv", "youtube_id", "video"): "has no list of the videos|has no videos of 396",
    ("kinetics400", "annotations/train.csv", "time_end", "end"): r"train\.csv:1: has no column time_end",
    (
        "kinetics400",
        "annotations/train.csv",
        "7,17",
        "7,x",
    ): r"train\.csv:3: the time_end is 'x', must be a whole number",
    ("kinetics400", "annotations/train.csv", "air drumming", "air drummer"): (
        r"train\.csv:2: kinetics400 has no class 'air drummer'; did you mean 'air drumming'"
    ),
    ("ucf101", "ucfTrainTestlist/trainlist01.txt", "g08_c01.avi 1\n", "g08_c01 1\n"): (
        r"trainlist01\.txt:1: .* must be Class/video\.avi|no list"
    ),
    ("ucf101", "ucfTrainTestlist/classInd.txt", "2 ApplyLipstick", "2 Lipstick"): (
        r"classInd\.txt: class 1 is 'Lipstick', and 'ApplyLipstick' in the official order"
    ),
    ("sthv1", "something-something-v1-train.csv", "100002;", "100002,"): r"train\.csv:2: .* must be id;label",
    ("sthv2", "labels/train.json", "[something]", "[thing]"): r"train\.json\[0\]: sthv2 has no class",
    ("sthv2", "labels/labels.json", '"1"', '"200"'): r"labels\.json: class 1 is .* in the official order",
    ("diving48", "Diving48_V2_train.json", '"label": 11', '"label": 48'): (
        r"Diving48_V2_train\.json\[1\]: label 48 is outside 0 to 47"
    ),
    ("diving48", "Diving48_vocab.json", '["Back", "15som", "15Twis", "FREE"]', '["Back", "15som", "15Twis", "PIKE"]'): (
        r"Diving48_vocab\.json: class 1 is 'Back_15som_15Twis_PIKE', and 'Back_15som_15Twis_FREE'"
    ),
    ("egtea", "action_annotation/train_split1.txt", " 51 2 18", " 0 2 18"): r"train_split1\.txt:2: .* from 1,",
    ("egtea", "action_annotation/train_split1.txt", " 51 2 18", " 107 2 18"): (
        r"train_split1\.txt:2: label 106 is outside 0 to 105"
    ),
    ("hmdb51", "testTrainMulti_7030_splits/brush_hair_test_split1.txt", "goo_1.avi 2", "goo_1.avi 3"): (
        r"brush_hair_test_split1\.txt:3: .* must be video\.avi and 0, 1 or 2"
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}-{case[1].rpartition('/')[2]}-{case[3]}")
def test_bad_lists_are_one_line_with_file_and_place(
    case: tuple[str, str, str, str], source: lookalikes.Source, tmp_path: Path
) -> None:
    name, file, old, new = case
    lookalikes.SETS[name](tmp_path / "set", source)
    changed(tmp_path / "set", file, old, new)
    with pytest.raises(DataError, match=BAD[case]) as caught:
        folder_of(name, tmp_path / "set").read("train")
    assert len(str(caught.value).splitlines()) == 1


def test_diving48_v1_is_not_taken_for_v2(source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.diving48(tmp_path, source)
    (tmp_path / "Diving48_V2_train.json").unlink()
    videos = [{"vid_name": f"v{k}", "label": 0} for k in range(16067)]
    (tmp_path / "Diving48_train.json").write_text(json.dumps(videos))
    with pytest.raises(
        DataError, match=r"Diving48_train\.json\[15027\]: more than the 15027 videos of the official list"
    ):
        folder_of("diving48", tmp_path).read("train")


@pytest.mark.parametrize(
    ("given", "read_as"), [("kinetics600", "kinetics400"), ("sthv1", "sthv2"), ("egtea", "ucf101")]
)
def test_the_folder_of_another_set_is_refused(
    given: str, read_as: str, source: lookalikes.Source, tmp_path: Path
) -> None:
    lookalikes.SETS[given](tmp_path / "set", source)
    file = tmp_path / "set" / "annotations" / "train.csv"
    if file.exists():  # both Kinetics share most classes
        file.write_text(file.read_text() + "zumba party,x,1,11,train\n")
    with pytest.raises(DataError, match=r"has no list of the videos to train on|has no class"):
        folder_of(read_as, tmp_path / "set").read("train")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[{", b"", b"{}"])
def test_a_damaged_list_is_named(content: bytes, source: lookalikes.Source, tmp_path: Path) -> None:
    lookalikes.diving48(tmp_path, source)
    (tmp_path / "Diving48_V2_train.json").write_bytes(content)
    (tmp_path / "Diving48_vocab.json").write_bytes(content)
    with pytest.raises(DataError, match=r"Diving48_vocab\.json|has no list of the videos to train on") as caught:
        folder_of("diving48", tmp_path).read("train")
    assert len(str(caught.value).splitlines()) == 1
