"""`vtbench data lists` and `vtbench data check` on folders that look like downloads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import lookalikes
import pytest

from vtbench.cli import main


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> lookalikes.Source:
    return lookalikes.Source(tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("name", lookalikes.SETS)
def test_lists_shows_what_is_understood_and_writes_it(
    name: str, source: lookalikes.Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = lookalikes.SETS[name](tmp_path / "set", source)
    assert main(["data", "lists", name, str(tmp_path / "set"), "--format", "json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [(line["videos"], line["missing"], line["how"]) for line in lines[:2]] == [
        (len(expected[split]), 0, "official lists") for split in ("train", "test")
    ]
    assert len(lines) in (2, 6), "one for each of the official splits"
    example = lines[0]["example"]
    assert (example["path"], example["id"]) == (str(expected["train"][0][0]), expected["train"][0][1])
    assert main(["data", "lists", name, str(tmp_path / "set"), "--write", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert f"for example {expected['train'][0][1]}: " in shown and f"written to {tmp_path / 'out'}" in shown
    assert len(list((tmp_path / "out").iterdir())) == len(lines)
    assert main(["data", "lists", name, str(tmp_path / "out"), "--format", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [(line["videos"], line["there"], line["how"]) for line in again] == [
        (line["videos"], line["there"], "split file") for line in lines
    ], "what was written is read as it was"


def test_check_counts_what_does_not_fit(
    source: lookalikes.Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = lookalikes.kinetics(tmp_path / "set", source)
    command = ["data", "check", "kinetics400", str(tmp_path / "set"), "--results", str(tmp_path / "r")]
    assert main([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["extra"] == [] and found["decoded"] is None
    (split,) = found["splits"]
    assert split["refused"] == [] and len(split["train"]["classes_without_videos"]) == 396
    expected["train"][1][0].unlink()
    source.copy(tmp_path / "set" / "train" / "more.mp4")
    lists = tmp_path / "set" / "annotations"
    lines = (lists / "val.csv").read_text().splitlines()
    trained = (lists / "train.csv").read_text().splitlines()[1].replace(",train", ",val")
    (lists / "val.csv").write_text("\n".join([*lines, lines[1], trained]) + "\n")
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "there: 3; missing: 1 (-tr_1AbC11_000007_000017), too few for a comparison with print" in shown
    assert "in the folder and in no list: 1 videos (train/more.mp4)" in shown
    assert "in both lists: 1 (-tr_0AbC00_000000_000010)" in shown
    assert "listed twice: 1 (-te_0AbC00_000000_000010)" in shown
    assert [line for line in shown.splitlines() if line.startswith("refused: ")] == [
        "refused: 1 of 4 videos to train on cannot be used, above the share of 0.01 (--missing)",
        "refused: 1 videos are in both lists (-tr_0AbC00_000000_000010)",
        "refused: 1 videos to test on are listed twice (-te_0AbC00_000000_000010)",
    ]
    assert shown.splitlines()[-1] == "3 things keep it from being used"


def test_decode_puts_broken_files_in_quarantine_which_a_good_copy_leaves(
    source: lookalikes.Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = lookalikes.diving48(tmp_path / "set", source)
    broken = expected["train"][1][0]
    whole = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(b"no video")
    results = str(tmp_path / "r")
    command = ["data", "check", "diving48", str(tmp_path / "set"), "--results", results, "--decode"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert f"{broken}: invalid data" in captured.err
    assert "decoded: 5 videos, 48 frames; broken: 1" in captured.out
    assert "in quarantine: 1 (_8Vy3dltr2w_00001)" in captured.out
    with (tmp_path / "r" / "data" / "diving48" / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(broken)] and "invalid data" in rows[0]["reason"]
    assert main([*command, "--missing", "0.4"]) == 0
    capsys.readouterr()
    broken.write_bytes(whole)
    assert main(["data", "check", "diving48", str(tmp_path / "set"), "--results", results]) == 0, "another file now"
    assert main(command) == 0
    assert "broken: 0" in capsys.readouterr().out


def test_the_quarantine_is_of_all_splits_and_folders_that_were_looked_at(
    source: lookalikes.Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        lookalikes.diving48(tmp_path / name, source)
    (broken, *_) = sorted((tmp_path / "one" / "rgb").iterdir())
    broken.unlink()
    broken.write_bytes(b"no video")
    command = ["data", "check", "diving48", "--results", str(tmp_path / "r"), "--missing", "0.5"]
    for name in ("one", "two"):
        assert main([*command, str(tmp_path / name), "--decode"]) == 0
    capsys.readouterr()
    assert main([*command, str(tmp_path / "one")]) == 0
    assert "in quarantine: 1" in capsys.readouterr().out
    assert main(["data", "lists", "diving48", str(tmp_path / "one"), "--write", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    assert main([*command, str(tmp_path / "one")]) == 0
    assert "in quarantine: 1" in capsys.readouterr().out, "under another id"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lists", "ucf"], "no data set 'ucf'; did you mean 'ucf101'?"),
        (["check", "cycle"], "cycle is made by vtbench, with its lists"),
        (["check", "ucf101"], "give the folder of ucf101, here or as data: {ucf101: PATH} in vtbench.yaml"),
        (["check", "ucf101", "nowhere"], "nowhere: no such folder; give the folder of ucf101"),
        (["lists", "ucf101", ".", "--split", "4"], "--split 4: ucf101 has official splits 1 to 3"),
        (["lists", "sthv2", ".", "--split", "2"], "--split 2: sthv2 has one official split"),
        (["check", "sthv2", ".", "--missing", "2"], "'2' is not a share from 0 to 1"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1


def test_the_folder_may_stand_in_vtbench_yaml(
    source: lookalikes.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lookalikes.egtea(tmp_path / "set", source)
    (tmp_path / "vtbench.yaml").write_text("data: {egtea: set}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "check", "egtea", "--split", "2"]) == 0
    assert "official split 2" in capsys.readouterr().out
