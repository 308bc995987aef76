"""MM-ViT's recipe of paper scale, but for the size of the network, on small files laid out as the real sets are and
prepared as theirs have to be."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import encoded
import numpy as np
import pytest
import torch
from lab import with_train

import vtbench
from vtbench.datasets.prepare import Mpeg4, prepare
from vtbench.errors import DataError, RunError
from vtbench.methods.base import Validation
from vtbench.models import build
from vtbench.models.vggish import VGGish
from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.papers.trainings import Measurement, Training
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.run.assemble import data_module
from vtbench.run.devices.batches import split_batch
from vtbench.run.evaluate import evaluate
from vtbench.run.jobs.dry import DryRun, dry_run
from vtbench.run.recording import to_record
from vtbench.run.settings import Settings
from vtbench.run.train import train
from vtbench.video.compressed import CompressedReader
from vtbench.weights import save_network

UCF_CLASSES = ("ApplyEyeMakeup", "BabyCrawling", "YoYo")
PUSH = ("Pushing something from left to right", "Pushing something from right to left")


def moving(count: int, height: int, width: int, seed: int) -> list[np.ndarray]:
    """A texture that slides two pixels a frame."""
    rng = np.random.default_rng(seed)
    texture = np.kron(
        rng.integers(0, 256, (height // 8 + 1, width // 4 + 1, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    return [texture[:height, 2 * t : 2 * t + width] for t in range(count)]


def listed(path: Path, lines: list[tuple[str, str]]) -> None:
    path.write_text("path,label\n" + "".join(f"{video},{label}\n" for video, label in lines))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """UCF101 (avi, 320 x 240, most without sound), Something-Something V2 (VP9, upright, no sound) and Kinetics-600
    (H.264 with B-frames and sound, 340 x 256), a few short videos each, as `data prepare --mpeg4` makes them."""
    folder = tmp_path_factory.mktemp("sets")
    ucf, sthv2, k600 = (folder / name for name in ("UCF101", "sthv2", "k600"))
    lines: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for k, name in enumerate(UCF_CLASSES):
        for group in range(5):
            video = f"{name}/v_{name}_g{group:02d}_c01.avi"
            frames = moving(30, 240, 320, 10 * k + group)
            # MPEG-4 part 2 with B-frames, as XviD makes them; sound in the last 50 classes only.
            encoded.encode(ucf / video, frames, codec="mpeg4", options={"bf": "1", "g": "25"}, sound=name == "YoYo")
            lines["train" if group < 4 else "test"].append((video, name))
    for split in (1, 2, 3):
        for part, videos in lines.items():
            listed(ucf / f"split{split}_{part}.csv", videos)
    vp9 = {"deadline": "realtime", "cpu-used": "8"}
    for k in range(4):
        encoded.encode(sthv2 / f"{k}.webm", moving(24, 240, 134, k), codec="libvpx-vp9", options=vp9, rate=12)
    listed(sthv2 / "train.csv", [(f"{k}.webm", PUSH[k % 2]) for k in range(3)])
    listed(sthv2 / "validation.csv", [("3.webm", PUSH[0])])
    x264 = encoded.x264(250, "bframes=3")
    for split, count in (("train", 3), ("validation", 1)):
        for k in range(count):
            encoded.encode(k600 / split / "abseiling" / f"{k}.mp4", moving(30, 256, 340, k), options=x264, sound=True)
        listed(k600 / f"{split}.csv", [(f"{split}/abseiling/{k}.mp4", "0") for k in range(count)])
    made = {}
    for name, source in (("ucf101", ucf), ("sthv2", sthv2), ("kinetics600", k600)):
        told: list[str] = []
        done = prepare(source, folder / f"{source.name}-mpeg4", encoding=Mpeg4(quantiser=5), report=told.append)
        assert not done.failed, told
        made[name] = folder / f"{source.name}-mpeg4"
    return made


def measured_as(row: str, name: str) -> Measurement:
    return {m.name: m for m in measurements(select([row])[0], "paper")}[name]


def module_of(training: Training, sets: dict[str, Path]) -> Any:
    holdout = training.train.arguments.get("holdout")
    validation = Validation(holdout=holdout) if holdout else None
    settings = Settings(data=sets, num_workers=0)
    data = data_module(training, settings, split_batch(training, None), validation=validation)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("row", "name", "shapes"),
    [
        ("mmvit/table1:mm-vit-iii-merged", "split2", {"iframe": 3, "motion": 2, "residual": 3, "audio": None}),
        ("mmvit/table1:mm-vit-iii-merged", "sthv2", {"iframe": 3, "motion": 2, "residual": 3}),
        ("mmvit/table6:mm-vit-16", "main", {"iframe": 3, "motion": 2, "residual": 3, "audio": None}),
    ],
)
def test_batches_of_the_prepared_sets(
    row: str, name: str, shapes: dict[str, int | None], sets: dict[str, Path]
) -> None:
    training = measured_as(row, name).evaluation.training
    data = module_of(dataclasses.replace(training, train=dataclasses.replace(training.train, batch_size=2)), sets)
    frames = training.data.num_frames
    clips, labels = next(iter(data.train_dataloader()))
    expected = {k: (2, frames, 96, 64) if c is None else (2, frames, c, 224, 224) for k, c in shapes.items()}
    assert {k: tuple(clip.shape) for k, clip in clips.items()} == expected and len(labels) == 2
    assert all(clip.dtype == torch.float32 for clip in clips.values())
    assert clips["motion"].abs().max() > 0 and clips["motion"].abs().max() <= 1
    (video,) = next(iter(data.test_dataloader()))
    assert {k: len(views) for k, views in video["views"].items()} == dict.fromkeys(shapes, 1)  # crops: the evaluation's


def tried(selector: str, sets: dict[str, Path], tmp_path: Path, limit: int) -> list[DryRun]:
    """A dry run with a small network, on starting weights and VGGish's of their layouts."""
    start = build("vit", num_classes=3, num_frames=1, img_size=224, patch_size=16, embed_dim=24, depth=1, num_heads=2)
    save_network(start, tmp_path / "vit.safetensors")
    torch.save(VGGish().state_dict(), tmp_path / "vggish.pth")
    files = {"vit_base_patch16_224.orig_in21k": tmp_path / "vit.safetensors", "vggish": tmp_path / "vggish.pth"}
    small = changed_rows(
        select([selector]), (), ["model.embed_dim=24", "model.depth=1", "model.num_heads=2", "train.lr=0.01"]
    )
    settings = Settings(data=sets, weights=files, allow_other_weights=True, num_workers=1)
    return dry_run(small, settings, "paper", 0, limit)


def test_mmvit_runs_with_its_plateau_its_splits_and_vggish(sets: dict[str, Path], tmp_path: Path) -> None:
    """Hold-out by groups, Nesterov, starting weights, and audio through VGGish with random weights of its layout."""
    train, test = tried("mmvit/table1:mm-vit-iii-merged@split2", sets, tmp_path, 6)
    assert (train.phase, test.phase, test.clips) == ("train", "test", 3 * 3)
    assert train.steps == 1 and train.videos < 6  # some are held out


@pytest.mark.slow
@pytest.mark.parametrize("selector", ["mmvit/table1:mm-vit-iii-merged@sthv2", "mmvit/table6:mm-vit-8"])
def test_mmvit_runs_on_its_other_data_sets(selector: str, sets: dict[str, Path], tmp_path: Path) -> None:
    """Something-Something V2, which has no sound, and Kinetics-600."""
    train, test = tried(selector, sets, tmp_path, 3)
    assert (train.phase, train.steps, test.phase, test.videos, test.clips) == ("train", 1, "test", 1, 3)
    assert train.loss is not None and 0 < train.loss < 10


def test_what_is_trained_on_moves_as_the_source_does(sets: dict[str, Path]) -> None:
    """The texture slides left by two pixels a frame of the source, so vectors point right, growing from the I-frame."""
    (file,) = sorted((sets["kinetics600"] / "validation" / "abseiling").glob("*.mp4"))
    with CompressedReader(file) as reader:
        motion = reader.triplets([3, 8], convention="iframe").motion[:, :, 64:192, 64:240]
    assert [np.median(field) for field in motion[:, 0]] == [6, 16]
    assert [np.median(field) for field in motion[:, 1]] == [0, 0]


def small(training: Training) -> Training:
    """The same training of a small network from random weights, for two epochs."""
    arguments = {**training.model.arguments, "embed_dim": 24, "depth": 1, "num_heads": 2, "drop_path": 0.0}
    return dataclasses.replace(
        training,
        model=dataclasses.replace(training.model, arguments=arguments),
        init=dataclasses.replace(training.init, weights=None),
        train=dataclasses.replace(training.train, epochs=2, batch_size=4, lr=0.01),
    )


def test_the_rate_follows_training_videos_that_are_held_out(sets: dict[str, Path], tmp_path: Path) -> None:
    training = small(measured_as("mmvit/table3:no-audio", "split1").evaluation.training)
    training = with_train(training, holdout=0.3, patience=1, epochs=4)
    module = module_of(training, sets)
    held, trained = ({e.video_id for e in part} for part in (module.holdout_entries, module.train_entries))
    listed_videos = {e.video_id for e in module.listed("train")}
    assert len(held) == 4 and not held & trained and held | trained == listed_videos
    assert {e.video_id for e in module_of(training, sets).holdout_entries} == held
    others = [module_of(dataclasses.replace(training, seed=seed), sets).holdout_entries for seed in range(1, 6)]
    assert any({e.video_id for e in part} != held for part in others)
    # A training is not continued with others held out.
    assert len({module_of(dataclasses.replace(training, seed=seed), sets).fingerprint("train") for seed in (0, 1)}) == 2
    assert module.fingerprint("train") == module_of(training, sets).fingerprint("train")
    items = [item for batch in module.val_dataloader() for item in batch]
    assert {item["video_id"] for item in items} == held
    # Seen as in training: nothing is resized, which would weaken residuals and shorten vectors.
    assert module.test_transform.short_side == training.augment.short_side[0] == 256

    accuracies = iter([50.0, 40.0, 40.0, 40.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vtbench.methods.base.measure", lambda *_, **__: {"top1": next(accuracies)})
        folder = train(training, Settings(results=tmp_path, data=sets))
    with (folder / folders.METRICS).open() as file:
        epochs = list(csv.DictReader(file))
    assert [float(line["val_top1"]) for line in epochs] == [50, 40, 40, 40]
    # patience 1: the second epoch without a new best lowers the rate, that of the epoch after it.
    assert [float(line["lr"]) for line in epochs] == pytest.approx([0.01, 0.01, 0.01, 0.001])


def test_held_out_videos_have_to_be_readable_and_some_have_to_be_left(sets: dict[str, Path], tmp_path: Path) -> None:
    training = small(measured_as("mmvit/table3:no-audio", "split1").evaluation.training)
    held = module_of(training, sets).holdout_entries[0]
    copy = tmp_path / "ucf"
    shutil.copytree(sets["ucf101"], copy)
    (copy / held.video_id).write_bytes(b"no video")
    with pytest.raises(RunError, match=rf"{held.video_id}.*; training needs every video: repair it or take it out"):
        train(training, Settings(results=tmp_path / "r", data={"ucf101": copy}))
    most = with_train(training, holdout=0.99)
    with pytest.raises(DataError, match="with 99% held out, none of 12 training videos is left to train on"):
        train(most, Settings(results=tmp_path / "r", data=sets))


def test_clips_cut_from_one_video_are_held_out_together(sets: dict[str, Path], tmp_path: Path) -> None:
    (video,) = sorted(sets["ucf101"].glob("YoYo/*g00_c01.mp4"))
    names = [f"YoYo/v_YoYo_g{group:02d}_c{clip:02d}.mp4" for group in range(1, 9) for clip in range(1, 5)]
    (tmp_path / "YoYo").mkdir()
    for name in names:
        shutil.copy(video, tmp_path / name)
    listed(tmp_path / "split1_train.csv", [(name, "YoYo") for name in names])
    shutil.copy(video, tmp_path / "test.mp4")
    listed(tmp_path / "split1_test.csv", [("test.mp4", "YoYo")])
    module = module_of(measured_as("mmvit/table3:no-audio", "split1").evaluation.training, {"ucf101": tmp_path})
    groups = [{entry.video_id[:-6] for entry in part} for part in (module.holdout_entries, module.train_entries)]
    assert len(module.holdout_entries) == 4 and not groups[0] & groups[1]


def test_the_recipe_runs_from_prepared_files_to_a_line_of_results(sets: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(VGGish().state_dict(), tmp_path / "vggish.pth")
    given = {"vggish": tmp_path / "vggish.pth"}
    settings = Settings(results=tmp_path / "r", data=sets, weights=given, allow_other_weights=True, num_workers=1)
    measurement = measured_as("mmvit/table1:mm-vit-iii-merged", "split3")
    training = small(measurement.evaluation.training)
    evaluation = dataclasses.replace(measurement.evaluation, training=training)
    folder = train(training, settings)
    with (folder / folders.METRICS).open() as file:
        epochs = list(csv.DictReader(file))
    assert [line["lr"] for line in epochs] == ["0.01", "0.01"] and all("val_top1" in line for line in epochs)
    done = folders.read_json(folder / folders.DONE)
    # Of the 12 videos of the list a tenth is held out; only those of one class have sound.
    assert done["videos"] == 11 and done["videos_silent"] in (7, 8)
    measured = evaluate(evaluation, settings)
    assert (measured["videos_expected"], measured["videos_silent"], measured["views"]) == (3, 2, 3)
    assert sorted(measured["remarks"].values()) == ["silent", "silent"]
    record = to_record(dataclasses.replace(measurement, evaluation=evaluation), measured, settings)
    assert record.init.startswith("scratch;vggish@") and record.init.endswith(" (not 10086976)")
    assert "held out" in record.selection
    assert (record.scale, record.videos_silent, record.device) == ("paper", 2, measured["device"])
    store = Store(settings.results)
    store.append(record)
    assert store.read() == [record]


class Mean(torch.nn.Module):
    """A network of the user's own for clips by modality."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2, 101)

    def forward(self, clips: dict[str, torch.Tensor]) -> torch.Tensor:
        means = [clips[name].flatten(1).mean(1) for name in ("iframe", "motion")]
        return self.head(torch.stack(means, dim=1))


def test_a_network_of_ones_own_is_tested_under_a_printed_protocol(sets: dict[str, Path]) -> None:
    selector = "mmvit/table3:no-audio@split1"
    record = vtbench.evaluate(selector, Mean(), sets["ucf101"])
    protocol = measured_as("mmvit/table3:no-audio", "split1").evaluation.eval
    assert record.views == protocol.clips * protocol.crops and record.scale == "paper"
    assert (record.videos_expected, record.videos_decoded, record.init) == (3, 3, "given")
    with pytest.raises(DataError, match="the data set 'ucf101' has no folder"):
        vtbench.evaluate(selector, Mean())
