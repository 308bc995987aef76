"""Small folders laid out as eight real data sets are when they have been downloaded: the official files in their own
format, a few classes, and videos that are copies of one short file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import encoded
import numpy as np

from vtbench.papers.datasets import load_dataset

Written = tuple[Path, str, str]
"""What the tests expect of a video: the file, its id, its class by name or number."""


class Source:
    """One short file of each kind, made once, of which the videos are copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copy(self, target: Path) -> Path:
        made = self.folder / f"short{target.suffix}"
        if not made.exists():
            codec = {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(target.suffix, "libx264")
            options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
            encoded.encode(made, encoded.numbered(12), codec=codec, options=options, rate=12)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, target)
        return target


def jpeg_frames(folder: Path, frames: Iterator[np.ndarray] | list[np.ndarray]) -> Path:
    """A folder of 00001.jpg, 00002.jpg, ..."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.height, encoder.width = frame.shape[:2]
        encoder.pix_fmt, encoder.time_base = "yuvj420p", encoded.Fraction(1, 12)
        encoder.options = {"q": "2"}
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuvj420p")
        picture.pts = 0
        data = b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None)))
        (folder / f"{number:05d}.jpg").write_bytes(data)
    return folder


def kinetics(root: Path, source: Source, name: str = "kinetics400", *, videos: int = 4) -> dict[str, list[Written]]:
    """annotations/train.csv and val.csv as DeepMind has them; train/<class>/ with underscores, val/ flat."""
    classes = [label for label in load_dataset(name).classes or () if " " in label][:videos]
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    for split, column in (("train", "train"), ("test", "val")):
        lines = ["label,youtube_id,time_start,time_end,split"]
        for k, label in enumerate(classes):
            youtube = f"-{split[:2]}_{k}AbC{k}{k}"[:11]
            start = 7 * k
            lines.append(f'"{label}",{youtube},{start},{start + 10},{column}')
            stem = f"{youtube}_{start:06d}_{start + 10:06d}"
            place = f"train/{label.replace(' ', '_')}" if split == "train" else "val"
            lists[split].append((source.copy(root / place / f"{stem}.mp4"), stem, label))
        file = root / "annotations" / f"{column}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    return lists


def kinetics600(root: Path, source: Source) -> dict[str, list[Written]]:
    return kinetics(root, source, "kinetics600")


def ucf101(root: Path, source: Source) -> dict[str, list[Written]]:
    """ucfTrainTestlist/ and UCF-101/<class>/."""
    classes = load_dataset("ucf101").classes or ()
    folder = root / "ucfTrainTestlist"
    folder.mkdir(parents=True)
    index = "".join(f"{number} {name}\r\n" for number, name in enumerate(classes, start=1))
    (folder / "classInd.txt").write_text(index)
    chosen = [classes[0], "HandstandPushups", classes[-1]]
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    for split, groups in (("train", (8, 9)), ("test", (1,))):
        lines = []
        for name in chosen:
            for group in groups:
                stem = f"v_{name.replace('Handstand', 'HandStand')}_g{group:02d}_c01.avi"
                number = f" {classes.index(name) + 1}" if split == "train" else ""
                lines.append(f"{name}/{stem}{number}")
                lists[split].append((source.copy(root / "UCF-101" / name / stem), f"{name}/{stem}", name))
        for k in (1, 2, 3):
            (folder / f"{split}list0{k}.txt").write_text("\n".join(lines) + "\n")
    return lists


def hmdb51(root: Path, source: Source) -> dict[str, list[Written]]:
    """testTrainMulti_7030_splits/ and <class>/, with signs in the names; videos marked 0 are in neither list."""
    classes = load_dataset("hmdb51").classes or ()
    folder = root / "testTrainMulti_7030_splits"
    folder.mkdir(parents=True)
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    for name in classes:
        lines = [f"#20_Rhythm_(clap)_{name}_u_nm_np1_fr_goo_9.avi 0 "]  # in neither list, and not there
        for k, mark in enumerate((1, 2, 0) if name in (classes[0], classes[-1]) else ()):
            video = f"#20_Rhythm_(clap)_{name}_u_nm_np1_fr_goo_{k}.avi"
            lines.append(f"{video} {mark} ")
            path = source.copy(root / name / video)
            if mark:
                lists["train" if mark == 1 else "test"].append((path, f"{name}/{video}", name))
        for k in (1, 2, 3):
            (folder / f"{name}_test_split{k}.txt").write_text("".join(f"{line}\n" for line in lines))
    return lists


def sthv1(root: Path, source: Source, *, train: int = 3, test: int = 2) -> dict[str, list[Written]]:
    """CSV of id;label, and folders of JPEG frames."""
    classes = load_dataset("sthv1").classes or ()
    root.mkdir(parents=True, exist_ok=True)
    (root / "something-something-v1-labels.csv").write_text("".join(f"{name}\n" for name in classes))
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    number = 100000
    for split, called, count in (("train", "train", train), ("test", "validation", test)):
        lines = []
        for k in range(count):
            number += 1
            frames = jpeg_frames(root / "20bn-something-something-v1" / str(number), list(encoded.numbered(10 + k)))
            lines.append(f"{number};{classes[5 * k]}")
            lists[split].append((frames, str(number), classes[5 * k]))
        (root / f"something-something-v1-{called}.csv").write_text("".join(f"{line}\n" for line in lines))
    return lists


def sthv2(root: Path, source: Source) -> dict[str, list[Written]]:
    """labels/*.json with templates in brackets, and webm files."""
    classes = load_dataset("sthv2").classes or ()
    folder = root / "labels"
    folder.mkdir(parents=True)
    (folder / "labels.json").write_text(json.dumps({name: str(k) for k, name in enumerate(classes)}))
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    number = 0
    for split, called, count in (("train", "train", 3), ("test", "validation", 2)):
        videos = []
        for k in range(count):
            number += 1
            name = classes[k]
            template = name.replace("something", "[something]")
            videos.append({"id": str(number), "label": "a cup", "template": template, "placeholders": ["a cup"]})
            lists[split].append(
                (source.copy(root / "20bn-something-something-v2" / f"{number}.webm"), str(number), name)
            )
        (folder / f"{called}.json").write_text(json.dumps(videos))
    (folder / "test.json").write_text(json.dumps([{"id": "9"}]))
    return lists


def diving48(root: Path, source: Source) -> dict[str, list[Written]]:
    """Diving48_V2_*.json, the vocabulary, and rgb/."""
    classes = load_dataset("diving48").classes or ()
    root.mkdir(parents=True, exist_ok=True)
    (root / "Diving48_vocab.json").write_text(json.dumps([name.split("_") for name in classes]))
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    for split, count in (("train", 3), ("test", 2)):
        videos = []
        for k in range(count):
            name = f"_8Vy3dl{split[:2]}2w_{k:05d}"
            videos.append({"vid_name": name, "label": 10 + k, "start_frame": 0, "end_frame": 12})
            lists[split].append((source.copy(root / "rgb" / f"{name}.mp4"), name, str(10 + k)))
        (root / f"Diving48_V2_{split}.json").write_text(json.dumps(videos))
    return lists


def egtea(root: Path, source: Source) -> dict[str, list[Written]]:
    """action_annotation/*.txt, and cropped_clips/<video>/<clip>.mp4."""
    folder = root / "action_annotation"
    folder.mkdir(parents=True)
    (folder / "action_idx.txt").write_text("".join(f"Open part_{k} {k}\n" for k in range(1, 107)))
    lists: dict[str, list[Written]] = {"train": [], "test": []}
    for split, person in (("train", "OP01"), ("test", "P26")):
        lines = []
        for k in range(3):
            video = f"{person}-R0{k + 1}-PastaSalad"
            clip = f"{video}-{66680 + k}-{68130 + k}-F00160{k}-F00163{k}"
            lines.append(f"{clip} {50 * k + 1} 2 18 ")
            lists[split].append((source.copy(root / "cropped_clips" / video / f"{clip}.mp4"), clip, str(50 * k)))
        for k in (1, 2, 3):
            (folder / f"{split}_split{k}.txt").write_text("".join(f"{line}\n" for line in lines))
    return lists


SETS = {
    "kinetics400": kinetics,
    "kinetics600": kinetics600,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "sthv1": sthv1,
    "sthv2": sthv2,
    "diving48": diving48,
    "egtea": egtea,
}
"""Data set -> what makes a folder that looks like its download."""
