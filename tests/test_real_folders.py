"""The whole path at paper scale on folders that look like downloads, one row a paper, but for the size of the network:
official lists, the printed sampling and recipe, the test's views, a line of results. Nothing is converted first but for
compressed input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lookalikes
import pytest
import torch

from vtbench.datasets.prepare import Mpeg4, prepare
from vtbench.models import build
from vtbench.models.vggish import VGGish
from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.results import folders
from vtbench.run.evaluate import evaluate
from vtbench.run.jobs.dry import dry_run
from vtbench.run.recording import to_record
from vtbench.run.settings import Settings
from vtbench.run.train import train
from vtbench.weights import save_network

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

VIT = "vit_base_patch16_224.orig_in21k"
ROWS = {
    "msca/table2:msca-kv": (
        ["model.embed_dim=24", "model.depth=1", "model.num_heads=12", "model.num_msca_blocks=1", "data.size=32"],
        30,
    ),
    "laps/table1:laps": (
        ["model.init_channels=8", "model.embed_dim=48", "model.depths=[1, 2, 2]", "data.size=64"],
        15,
    ),
    "pst/table2a:none": (
        ["model.embed_dim=8", "model.depths=[2, 2, 2, 2]", "model.num_heads=[1, 2, 4, 8]"],
        1,
    ),
    "mmvit/table3:no-audio@split1": (["model.embed_dim=24", "model.depth=1"], 3),
}
"""Row -> what makes its network small, and the views of a test."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    (root / "source").mkdir()
    source = lookalikes.Source(root / "source")
    lookalikes.kinetics(root / "k400", source)
    lookalikes.sthv1(root / "sthv1", source)
    lookalikes.ucf101(root / "ucf101", source)
    done = prepare(root / "ucf101", root / "ucf101-mpeg4", encoding=Mpeg4(quantiser=5), report=lambda line: None)
    assert not done.failed
    return {"kinetics400": root / "k400", "sthv1": root / "sthv1", "ucf101": root / "ucf101-mpeg4"}


def start_of(row: str, changes: Sequence[str], folder: Path) -> dict[str, Path]:
    """Random weights of the layout that the row starts from."""
    (changed,) = changed_rows(select([row]), (), changes)
    training = measurements(changed, "paper", 0)[0].evaluation.training
    made = {}
    for name in training.weights:
        path = folder / (f"{name}.pth" if name == "vggish" else f"{name}.safetensors")
        if name == "vggish":
            torch.save(VGGish().state_dict(), path)
        else:
            size = {
                key: value
                for key, value in training.model.arguments.items()
                if key in ("embed_dim", "depth", "depths", "num_heads", "init_channels", "patch_size")
            }
            kind = "vit" if name.startswith("vit") else "swin" if name.startswith("swin") else "visformer"
            extra = {"tubelet_size": 1} if kind == "swin" else {}
            network = build(kind, num_classes=7, num_frames=1, img_size=training.data.size, **size, **extra)
            save_network(network, path)
        made[name] = path
    return made


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_each_paper_is_tried_on_a_download(row: str, sets: dict[str, Path], tmp_path: Path) -> None:
    changes, views = ROWS[row]
    settings = Settings(
        data=sets, weights=start_of(row, changes, tmp_path), allow_other_weights=True, num_workers=1, results=tmp_path
    )
    trained, tested = dry_run(changed_rows(select([row]), (), changes), settings, "paper", 0, 2)
    assert 1 <= trained.videos <= 2 and tested.videos == 2  # one may be held out
    assert trained.loss is not None and 0 < trained.loss < 10
    assert tested.clips == 2 * views


def test_jpeg_frames_are_trained_and_tested_on_and_the_record_says_which_data_it_was(
    sets: dict[str, Path], tmp_path: Path
) -> None:
    row = "pst/table2a:none"
    changes = [
        *ROWS[row][0],
        "train.epochs=1",
        "train.warmup_epochs=0.0",
        "train.batch_size=2",
        "train.precision=32-true",
    ]
    (changed,) = changed_rows(select([row]), (), changes)
    (measurement,) = measurements(changed, "paper", 0)
    weights = start_of(row, changes, tmp_path)
    settings = Settings(results=tmp_path / "r", data=sets, weights=weights, allow_other_weights=True, num_workers=0)
    folder = train(measurement.evaluation.training, settings)
    record = to_record(measurement, evaluate(measurement.evaluation, settings), settings)
    assert (record.train_videos, record.train_missing, record.train_unreadable) == (3, 0, 0)
    assert (record.videos_expected, record.videos_decoded) == (2, 2)
    assert record.data_files == "train: jpeg 96x64: 3; test: jpeg 96x64: 2"
    assert record.data_encoding is None and record.top1_decoded == record.top1
    assert record.train_fingerprint != record.data_fingerprint
    assert not (folder / folders.LEFT_OUT).exists()


def test_a_reencoded_folder_stands_in_the_record(sets: dict[str, Path]) -> None:
    from vtbench.run.assemble import about_files, data_module
    from vtbench.run.devices.batches import split_batch

    evaluation = measurements(select(["mmvit/table3:no-audio@split1"])[0], "paper", 0)[0].evaluation
    settings = Settings(data=sets, num_workers=0)
    module = data_module(evaluation.training, settings, split_batch(evaluation.training, None), evaluation=evaluation)
    about = about_files(module, module.test_entries)
    assert about["data_files"] == "mpeg4 340x256 12: 3"
    assert about["data_encoding"].startswith("mpeg4 340x256 quantiser=5 gop=12 of ")
