"""Real data sets by name, on small files laid out as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from datamodules import video_data

from vtbench.datasets import VideoFolder
from vtbench.errors import DataError
from vtbench.papers.datasets import load_dataset

AUGMENT: dict[str, Any] = {
    "short_side": (34, 38),
    "flip": 0.5,
    "interpolation": "bilinear",
    "mean": (0.486, 0.457, 0.407),
    "std": (0.229, 0.224, 0.225),
}


def folder(root: Path, clip: Path, names: list[str], split: int) -> Path:
    for part in ("train", "test"):
        lines = ["path,label"]
        for i, name in enumerate(names):
            video = Path(name) / f"v_{name}_g0{i}_{part}.mp4"
            (root / video).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, root / video)
            lines.append(f"{video},{name}")
        (root / f"split{split}_{part}.csv").write_text("\n".join(lines) + "\n")
    return root


def folder_of(name: str, root: Path, split: int | None) -> VideoFolder:
    return VideoFolder(root, **load_dataset(name).video_arguments(split, None, None, whole=True))


def data(name: str, root: Path, *, split: int | None = None, **options: Any) -> Any:
    return video_data(name, videos=folder_of(name, root, split), batch_size=2, **({"augment": AUGMENT} | options))


def test_ucf101_reads_the_lists_of_the_split_that_is_asked_for(tmp_path: Path, two_second_clip: Path) -> None:
    root = folder(tmp_path, two_second_clip, ["ApplyEyeMakeup", "YoYo"], split=1)
    made = data("ucf101", root, split=1, clips=5, crops=3, short_side=32)
    clips, labels = next(iter(made.train_dataloader()))
    assert clips.shape == (2, 8, 3, 32, 32) and set(labels.tolist()) == {0, 100}
    (video,) = next(iter(made.test_dataloader()))
    assert video["views"].shape == (15, 8, 3, 32, 32) and "test" in video["video_id"]
    missing = r"neither split2_train\.csv \(path,label\) nor an official one \(trainlist02\.txt\) nor class folders"
    with pytest.raises(DataError, match=missing):
        data("ucf101", root, split=2).setup()


PUSH = ("Pushing something from left to right", "Pushing something from right to left")
COMMA = "Lifting something up completely, then letting it drop down"


@pytest.mark.parametrize("name", ["sthv1", "sthv2"])
def test_something_something_takes_templates_and_a_flip_turns_left_into_right(
    name: str, tmp_path: Path, two_second_clip: Path
) -> None:
    for number in (1, 2):
        shutil.copy(two_second_clip, tmp_path / f"{number}.mp4")
    lines = f'path,label\n1.mp4,{PUSH[0]}\n2.mp4,"{COMMA}"\n'
    (tmp_path / "train.csv").write_text(lines)
    (tmp_path / "validation.csv").write_text(f"path,label\n1.mp4,{PUSH[1]}\n")
    facts = load_dataset(name)
    classes = facts.classes or ()
    labels = {}
    for flip in (0.0, 1.0):
        made = data(name, tmp_path, stride=None, augment=AUGMENT | {"flip": flip})
        dataset = made.train_dataloader().dataset
        labels[flip] = [classes[dataset[0, index][1]] for index in range(2)]
    assert labels == {0.0: [PUSH[0], COMMA], 1.0: [PUSH[1], COMMA]}
    (video,) = next(iter(made.test_dataloader()))
    assert classes[video["label"]] == PUSH[1] and video["views"].shape == (1, 8, 3, 32, 32)


def test_the_classes_of_something_something_are_the_official_ones_in_official_order() -> None:
    v1, v2 = load_dataset("sthv1").classes or (), load_dataset("sthv2").classes or ()
    assert len(v2) == 174 and list(v2) == sorted(v1)  # V2 is in alphabetical order, V1 is not
    swapped = {86: "Pulling", 87: "Pulling", 93: "Pushing", 94: "Pushing", 166: "Turning", 167: "Turning"}
    assert {label: v2[label].split()[0] for label in load_dataset("sthv2").flip_labels or ()} == swapped
    # mmaction2's configurations for the two sets: sthv1_flip_label_map and sthv2_flip_label_map
    assert load_dataset("sthv1").flip_labels == {2: 4, 4: 2, 30: 41, 41: 30, 52: 66, 66: 52}
    assert load_dataset("sthv2").flip_labels == {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}


def test_diving48_has_48_names_of_four_words(tmp_path: Path, two_second_clip: Path) -> None:
    shutil.copy(two_second_clip, tmp_path / "dive.mp4")
    for split in ("train", "validation"):
        (tmp_path / f"{split}.csv").write_text("path,label\ndive.mp4,Reverse_Dive_NoTwis_TUCK\n")
    made = data("diving48", tmp_path, stride=None)
    assert [entry.label for entry in (*made.train_entries, *made.test_entries)] == [47, 47]
    facts = load_dataset("diving48")
    assert (facts.num_videos("train"), facts.num_videos("test"), facts.flip_labels) == (15027, 1970, None)
    assert facts.classes is not None and {len(name.split("_")) for name in facts.classes} == {4}


def test_normalisation_is_per_channel(tmp_path: Path, two_second_clip: Path) -> None:
    root = folder(tmp_path, two_second_clip, ["YoYo"], split=1)
    (video,) = next(iter(data("ucf101", root, split=1).test_dataloader()))
    plain = data("ucf101", root, split=1)
    plain.test_transform.mean, plain.test_transform.std = 0.0, 1.0
    (raw,) = next(iter(plain.test_dataloader()))
    for channel, (mean, std) in enumerate(zip(AUGMENT["mean"], AUGMENT["std"], strict=True)):
        difference = video["views"][:, :, channel] * std + mean - raw["views"][:, :, channel]
        assert difference.abs().max() < 1e-6


def test_the_classes_of_ucf101_are_the_official_ones_in_official_order() -> None:
    classes = load_dataset("ucf101").classes
    assert classes is not None and len(classes) == 101
    assert (classes[0], classes[35], classes[36], classes[100]) == (
        "ApplyEyeMakeup",
        "HammerThrow",
        "HandstandPushups",
        "YoYo",
    )


def test_egtea_takes_class_numbers_and_refuses_names_it_does_not_know(tmp_path: Path, two_second_clip: Path) -> None:
    root = folder(tmp_path, two_second_clip, ["105"], split=1)
    (batch,) = [next(iter(data("egtea", root, split=1).train_dataloader()))]
    assert batch[1].tolist() == [105]
    (root / "split1_train.csv").write_text("path,label\n105/v_105_g00_train.mp4,106\n")
    with pytest.raises(DataError, match=r"split1_train\.csv:2: label 106 is outside 0 to 105"):
        data("egtea", root, split=1).setup()
