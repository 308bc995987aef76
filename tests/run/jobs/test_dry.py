"""The dry run: the recipe of paper scale on small folders laid out as the real sets, with a small network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from vtbench.cli import main
from vtbench.errors import UsageError
from vtbench.methods.base import VideoClassifier
from vtbench.models import build
from vtbench.papers import select
from vtbench.papers.override import changed_rows
from vtbench.run.engine import Engine
from vtbench.run.jobs.dry import DryRun, dry_run
from vtbench.run.settings import Settings
from vtbench.weights import save_network

VIT = "vit_base_patch16_224.orig_in21k"
SMALL = {
    "msca/table2:msca-kv": ["model.embed_dim=24", "model.depth=1", "model.num_msca_blocks=1"],
    "laps/table1:laps": ["model.init_channels=8", "model.embed_dim=48", "model.depths=[1, 2, 2]", "init.scratch=true"],
    "pst/table4:pst-t": [
        "model.embed_dim=8",
        "model.depths=[2, 2, 2, 2]",
        "model.num_heads=[1, 2, 4, 8]",
        "init.scratch=true",
    ],
}
"""Row -> what makes its network small; all else is the printed recipe."""
OTHERS = {
    "sthv1": "pst/table2a:even-2",
    "sthv2": "pst/table3:pst-t-in1k-1x1@sthv2",
    "diving48": "pst/table5:pst-t-in1k",
    "ucf101": "laps/table5:laps",
    "egtea": "laps/table6:laps-h",
}
"""Data set -> a row that trains on it."""
FROM_SCRATCH = {"pst": SMALL["pst/table4:pst-t"], "laps": SMALL["laps/table1:laps"]}


@pytest.fixture(scope="module")
def sets(two_second_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sets of the four papers' rows that are decoded, of a few copies of a two-second clip each."""
    folder = tmp_path_factory.mktemp("sets")
    labels = {
        "kinetics400": "abseiling",
        "sthv1": "Pushing something from left to right",
        "sthv2": "Pushing something from left to right",
        "diving48": "Back_15som_05Twis_FREE",
        "ucf101": "YoYo",
        "egtea": "105",
    }
    for name, label in labels.items():
        parts = ("split1_train", "split1_test") if name in ("ucf101", "egtea") else ("train", "validation")
        for part, count in zip(parts, (4, 2), strict=True):
            lines = ["path,label"]
            for number in range(count):
                video = folder / name / f"{part}{number}_c01.mp4"
                video.parent.mkdir(exist_ok=True)
                shutil.copy(two_second_clip, video)
                lines.append(f"{video.name},{label}")
            (folder / name / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return {name: folder / name for name in labels}


def tried(row: str, sets: dict[str, Path], limit: int = 3, **settings: object) -> list[DryRun]:
    rows = changed_rows(select([row]), (), SMALL[row])
    return dry_run(rows, Settings(data=sets, num_workers=1, **settings), "paper", 0, limit)  # type: ignore[arg-type]


def test_msca_starts_from_weights_and_takes_one_accumulated_step(sets: dict[str, Path], tmp_path: Path) -> None:
    """SGD with milestones, accumulation, label smoothing, colours, a head of zeros: the loss is that of chance."""
    start = build("vit", num_classes=7, num_frames=1, img_size=224, patch_size=16, embed_dim=24, depth=1, num_heads=12)
    save_network(start, tmp_path / "vit.safetensors")
    weights = {VIT: tmp_path / "vit.safetensors"}
    train, test = tried("msca/table2:msca-kv", sets, weights=weights, allow_other_weights=True)
    assert (train.phase, train.videos, train.clips, train.steps) == ("train", 3, 3, 1)
    assert train.loss == pytest.approx(float(torch.tensor(400.0).log()), abs=1e-4)
    assert (test.phase, test.videos, test.clips, test.steps, test.loss) == ("test", 2, 2 * 30, None, None)
    assert train.precision == "32-true" and 0 < train.seconds < 600 and 0.1 < test.memory_gb < 64


def test_pst_runs_with_all_that_its_recipe_has(sets: dict[str, Path]) -> None:
    """AutoAugment, RandomResizedCrop, tubelets, drop path, head dropout, parameter groups, mixed precision where there
    is a GPU, four centred clips."""
    train, test = tried("pst/table4:pst-t", sets, limit=2)
    assert (train.steps, test.clips) == (1, 2 * 12)
    assert train.precision == ("16-mixed" if torch.cuda.is_available() else "32-true")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", OTHERS)
def test_a_row_of_every_other_data_set_runs(dataset: str, sets: dict[str, Path]) -> None:
    """Segments with erasing and sided classes; splits; a training on Kinetics that another starts from. Of MM-ViT's
    sets tests/test_paper_scale.py has UCF101, and its batches those of the others."""
    row = OTHERS[dataset]
    rows = changed_rows(select([row]), (), FROM_SCRATCH[row.partition("/")[0]])
    done = dry_run(rows, Settings(data=sets, num_workers=1), "paper", 0, 2)
    train, test = done[-2:]
    assert (train.phase, train.videos, train.steps, test.phase, test.videos) == ("train", 2, 1, "test", 2)
    assert train.loss is not None and 0 < train.loss < 10


def test_laps_runs_with_its_precise_batch_norm(sets: dict[str, Path]) -> None:
    train, test = tried("laps/table1:laps", sets, limit=2)
    assert train.steps == 1 and test.clips == 2 * 15


def test_nothing_is_written_and_each_phase_is_a_line(
    sets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "msca/table2:vit", "--scale", "smoke", "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == ["train", "train", "test"]
    assert lines[1].startswith("msca/table2:vit: train: 2 videos, 2 clips, 1 step, loss ")
    assert lines[-1] == "3 parts ran at smoke scale on 2 videos each; no result was written"
    assert not (tmp_path / "results").exists()


def test_of_several_devices_one_is_tried_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "msca/table1:vit", "--scale", "smoke", "--limit", "4", "--devices", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].partition(": train: ")[2].startswith("4 videos, 4 clips, 4 steps, ")
    assert lines[-1] == (
        "3 parts ran on one of 4 devices, with its share of an update, at smoke scale on 4 videos each; no result was "
        "written"
    )


def test_of_several_devices_the_largest_pass_of_one_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its share of an update, not in the whole of it."""
    monkeypatch.chdir(tmp_path)
    tried: list[int] = []
    step = VideoClassifier.training_step

    def counted(self: VideoClassifier, batch: Any, batch_idx: int) -> Any:
        tried.append(len(batch[1]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(VideoClassifier, "training_step", counted)
    rows = changed_rows(select(["msca/table1:vit"]), (), ["train.accumulate=2", "init.scratch=true"])
    settings = Settings(batch_size="auto", engine=Engine(devices=4))
    train, _ = dry_run(rows, settings, "smoke", 0, 4)
    assert tried == 4 * [2], "of 8 clips: two steps to try it, and two of the run"
    assert train.steps == 2


def test_what_is_missing_names_the_row(sets: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "msca/table2:vit", "--scale", "paper", "--limit", "2"]) == 2
    assert (
        "benchmarks/msca/table2.yaml:25: msca/table2:vit: the data set 'kinetics400' has no folder"
        in capsys.readouterr().err
    )
    assert main(["run", "msca/table2:vit", "--limit", "2", "--again"]) == 2
    assert "--limit writes no result; leave out --again" in capsys.readouterr().err
    with pytest.raises(UsageError, match="nothing to run at paper scale"):
        dry_run(select(["laps/table4:tea"]), Settings(), "paper", 0, 2)


def test_a_batch_that_the_run_refuses_is_refused_by_its_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "msca/table2:msca-kv", "--scale", "smoke", "--limit", "2", "--batch-size", "9"]
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "vtbench: pretraining on stills: --batch-size 9: stills has 8 videos to train on; give at most 8\n"
    )
    assert main([*command[:-2], "--devices", "3"]) == 2
    assert capsys.readouterr().err.startswith("vtbench: pretraining on stills: --devices 3: an update of 4 clips")
