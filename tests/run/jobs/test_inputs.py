"""What `plan` and `run` open before anything is trained."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import encoded
import lookalikes
import pytest

from vtbench.cli import main
from vtbench.errors import DataError
from vtbench.papers import select
from vtbench.papers.override import changed_rows
from vtbench.run.jobs.dry import dry_run
from vtbench.run.jobs.launch import run
from vtbench.run.jobs.plan import plan
from vtbench.run.settings import Settings

DIVING = "pst/table5:pst-t-in1k"
"""A row on Diving48."""
VIT = "msca/table2:vit"
"""A row that at smoke scale is pretrained on one synthetic set and trained on another, `cycle`."""


@pytest.fixture
def made(tmp_path: Path) -> dict[str, list[lookalikes.Written]]:
    (tmp_path / "source").mkdir()
    return lookalikes.diving48(tmp_path / "set", lookalikes.Source(tmp_path / "source"))


def blocked_by(tmp_path: Path, row: str = DIVING, name: str = "diving48", **changes: object) -> list[str]:
    settings = Settings(results=tmp_path / "r", data={name: tmp_path / "set"}, **changes)  # type: ignore[arg-type]
    entries = plan(select([row]), settings, "paper", [0])
    found = [reason for entry in entries for reason in entry["blocked_by"] if not reason.startswith("weights ")]
    outcome = run(select([row]), settings, "paper", [0])
    assert outcome.failed and all(reason in outcome.failed[0].reason for reason in found), "run says the same"
    return found


def test_a_folder_as_it_came_is_in_order(tmp_path: Path, made: dict[str, list[lookalikes.Written]]) -> None:
    assert blocked_by(tmp_path) == []


def test_a_folder_without_lists_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    found = blocked_by(tmp_path)
    assert len(found) == 2 and all(reason.startswith(f"{tmp_path / 'set'}: has no list") for reason in found)


def test_missing_videos_above_the_share_are_named(tmp_path: Path, made: dict[str, list[lookalikes.Written]]) -> None:
    made["train"][0][0].unlink()
    (reason,) = blocked_by(tmp_path)
    assert "1 of 3 videos to train on cannot be used" in reason and made["train"][0][1] in reason
    assert blocked_by(tmp_path, missing=0.34) == []


def test_a_dry_run_takes_what_is_there_of_its_few_videos(
    tmp_path: Path, made: dict[str, list[lookalikes.Written]]
) -> None:
    small = ["model.embed_dim=8", "model.depths=[2, 2, 2, 2]", "model.num_heads=[1, 2, 4, 8]", "data.num_frames=16"]
    rows = changed_rows(select([DIVING]), (), [*small, "init.scratch=true"])
    settings = Settings(results=tmp_path / "r", data={"diving48": tmp_path / "set"}, num_workers=0)
    made["train"][0][0].unlink()
    trained, tested = dry_run(rows, settings, "paper", 0, 2)
    assert (trained.videos, tested.videos) == (1, 2)
    for file, _, _ in made["train"][1:]:
        file.unlink()
    with pytest.raises(DataError, match="none of 2 listed videos is there to train on; check the folder with"):
        dry_run(rows, settings, "paper", 0, 2)


def test_files_that_cannot_be_opened_are_named(tmp_path: Path, made: dict[str, list[lookalikes.Written]]) -> None:
    for file, _, _ in made["test"]:
        file.unlink()
        file.write_bytes(b"no video")
    (reason,) = blocked_by(tmp_path)
    assert "rgb/" in reason and "invalid data" in reason


def test_compressed_input_needs_files_that_give_it(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    lookalikes.sthv2(tmp_path / "set", lookalikes.Source(tmp_path / "source"))
    found = blocked_by(tmp_path, "mmvit/table1:mm-vit-i@sthv2", "sthv2")
    assert len(found) == 2 and all("vtbench data prepare" in reason for reason in found), found


def test_weights_are_hashed_and_downloads_are_named(
    tmp_path: Path, made: dict[str, list[lookalikes.Written]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    row, name = "msca/table2:vit", "vit_base_patch16_224.orig_in21k"
    (entry,) = plan(select([row]), Settings(results=tmp_path), "paper", [0])
    assert entry["downloads"] == [f"{name}, about 410 MB"]
    cached = tmp_path / "hub" / "hub" / "checkpoints" / "jx_vit_base_patch16_224_in21k-e5005f0a.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    (entry,) = plan(select([row]), Settings(results=tmp_path), "paper", [0])
    assert entry["downloads"] == []
    file = tmp_path / "other.pth"
    file.write_bytes(b"PK of another network")
    settings = Settings(results=tmp_path, weights={name: file})
    (entry,) = plan(select([row]), settings, "paper", [0])
    assert entry["blocked_by"][1].startswith(f"weights {name}: {file} is ")
    assert "not the release e5005f0a... (--allow-other-weights)" in entry["blocked_by"][1]
    file.write_bytes(b"no weights")
    (entry,) = plan(select([row]), settings, "paper", [0])
    assert entry["blocked_by"][1] == f"weights {name}: {file} is no file of weights (safetensors, torch's or numpy's)"
    file.write_bytes(b"")
    (entry,) = plan(select([row]), settings, "paper", [0])
    assert entry["blocked_by"][1] == f"weights {name}: {file} is empty"


def test_the_command_says_what_would_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "msca/table2:vit", "--scale", "paper"]) == 0
    assert "downloads vit_base_patch16_224.orig_in21k, about 410 MB" in capsys.readouterr().out
    assert main(["plan", "msca/table2:vit", "--format", "json"]) == 0
    assert all(entry["downloads"] == [] for entry in json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(("kind", "why"), [("folder", "holds something else than"), ("file", "is no folder")])
def test_a_folder_that_cannot_be_of_a_synthetic_set_is_found_out_before_its_pretraining_is_trained(
    tmp_path: Path, kind: str, why: str
) -> None:
    given = tmp_path / "given"
    if kind == "file":
        given.write_text("")
    else:
        (given / "thesis").mkdir(parents=True)
    settings = Settings(results=tmp_path / "r", data={"cycle": given})
    states = [(entry["state"], entry["blocked_by"]) for entry in plan(select([VIT]), settings, "smoke", [0])]
    assert states[0] == ("to do", [])
    assert states[1][0] == "blocked" and states[1][1][0].startswith(f"{given}: {why}")
    outcome = run(select([VIT]), settings, "smoke", [0])
    assert [failure.exit_code for failure in outcome.failed] == [2]
    assert not (tmp_path / "r" / "runs").exists()


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_a_test_video_that_is_trained_on_blocks_its_row(tmp_path: Path, link: Callable[..., None] | None) -> None:
    for name in ("train/a.mp4", "validation/b.mp4"):
        encoded.encode(tmp_path / "set" / name, encoded.numbered(2))
    both = tmp_path / "set" / "validation" / "b.mp4"
    if link:
        both = tmp_path / "set" / "train" / "b.mp4"
        link(tmp_path / "set" / "validation" / "b.mp4", both)
    (tmp_path / "set" / "train.csv").write_text(f"path,label\ntrain/a.mp4,0\n{both},1\n")
    (tmp_path / "set" / "validation.csv").write_text("path,label\nvalidation/b.mp4,1\n")
    (reason,) = blocked_by(tmp_path)
    assert f"train.csv:3: '{both}' is listed to train on, and to test on at {tmp_path}/set/validation.csv:2" in reason


def test_a_training_video_with_two_labels_blocks_its_row(tmp_path: Path) -> None:
    for name in ("train/a.mp4", "validation/b.mp4"):
        encoded.encode(tmp_path / "set" / name, encoded.numbered(2))
    (tmp_path / "set" / "train.csv").write_text("path,label\ntrain/a.mp4,0\ntrain/a.mp4,1\n")
    (tmp_path / "set" / "validation.csv").write_text("path,label\nvalidation/b.mp4,1\n")
    (reason,) = blocked_by(tmp_path)
    assert "train.csv:3: 'train/a.mp4' has label 1, and 0 at" in reason
