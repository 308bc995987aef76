"""Real data sets by name, on small files laid out as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from vtbench.datasets import build_data
from vtbench.errors import DataError
from vtbench.spec.datasets import load_dataset

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


def data(name: str, root: Path, **arguments: Any) -> Any:
    facts = load_dataset(name)
    return build_data(
        name,
        root=root,
        num_classes=facts.num_classes,
        class_names=facts.classes,
        num_frames=8,
        stride=4,
        size=32,
        augment=AUGMENT,
        batch_size=2,
        **arguments,
    )


def test_ucf101_reads_the_lists_of_the_split_that_is_asked_for(tmp_path: Path, two_second_clip: Path) -> None:
    root = folder(tmp_path, two_second_clip, ["ApplyEyeMakeup", "YoYo"], split=1)
    made = data("ucf101", root, split=1, clips=5, crops=3, short_side=32)
    clips, labels = next(iter(made.train_dataloader()))
    assert clips.shape == (2, 8, 3, 32, 32) and set(labels.tolist()) == {0, 100}
    (video,) = next(iter(made.test_dataloader()))
    assert video["views"].shape == (15, 8, 3, 32, 32) and "test" in video["video_id"]
    with pytest.raises(DataError, match=r"split2_train\.csv: no such manifest"):
        data("ucf101", root, split=2).setup()


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
