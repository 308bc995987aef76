"""`vtbench predict`: the classes of the user's files, by the test protocol of a row."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import encoded
import pytest
from lookalikes import jpeg_frames

import vtbench
from vtbench.cli import main
from vtbench.papers import measurements, roots, select
from vtbench.papers.datasets import load_dataset
from vtbench.results import folders
from vtbench.results.scores import read_scores
from vtbench.results.store import Store
from vtbench.run.evaluate import given_weights_key
from vtbench.weights import save_network, sha256_of

KV, SOUND = "msca/table2:msca-kv", "mmvit/table3:all@split1"
FRAMEFLIP = Path(__file__).resolve().parents[2] / "outside" / "frameflip"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def random_weights(row: str, file: str = "weights.safetensors", scale: str = "smoke") -> str:
    save_network(vtbench.assemble(row, scale=scale).network, Path(file))
    return file


def answer(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    return err if code else out


@pytest.mark.parametrize("row", [KV, SOUND])
def test_files_are_scored_as_a_test_of_the_row_scores_them(capsys: Capture, row: str) -> None:
    """Of frames, and of compressed video with audio: the test videos of the row's own data set, as files."""
    weights = random_weights(row)
    answer(capsys, "eval", row, "--scale", "smoke", "--checkpoint", weights)
    (record,) = Store("results").read()
    tested = read_scores(Path("results"), record)
    assert tested is not None and record.evaluation_key == given_weights_key(
        measurements(select([row])[0], "smoke")[0].evaluation, sha256_of(weights)
    )
    (root,) = Path("data").glob(f"{record_dataset(row)}-*")
    files = [str(root / name) for name in tested.video_ids[:3]]
    found = json.loads(
        answer(capsys, "predict", row, *files, "--scale", "smoke", "--checkpoint", weights, "--format", "json")
    )
    names = load_dataset(record_dataset(row)).classes
    for number, entry in enumerate(found):
        assert entry["file"] == files[number] and entry["error"] is None and entry["views"] == record.views
        labels = [one["class"] for one in entry["classes"]]
        assert labels == tested.classes[number].tolist()
        assert [one["name"] for one in entry["classes"]] == [names[label] for label in labels]
        assert [one["score"] for one in entry["classes"]] == pytest.approx(tested.scores[number].tolist(), abs=1e-6)


def record_dataset(row: str) -> str:
    return measurements(select([row])[0], "smoke")[0].evaluation.data.dataset


def test_an_unreadable_file_is_one_line_and_the_others_are_predicted(
    capsys: Capture, two_second_clip: Path, working_folder: Path
) -> None:
    weights = random_weights(KV)
    (working_folder / "bad.mp4").write_bytes(b"no video")
    command = ("predict", KV, "bad.mp4", str(two_second_clip), "gone.mp4", "--scale", "smoke", "--checkpoint", weights)
    assert main([*command, "--format", "csv"]) == 1
    out, err = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [bool(line["error"]) for line in lines] == [True, False, True] and lines[1]["name1"]
    assert err.splitlines()[0].startswith("vtbench: bad.mp4: ") and err.count("\n") == 2
    assert err.splitlines()[1] == "vtbench: gone.mp4: no such file or directory"
    assert main(command) == 1
    drawn = capsys.readouterr().out
    assert str(two_second_clip) in drawn and "bad.mp4" not in drawn
    assert f"{KV} at smoke scale, 6 views of each video; weights {weights}" in drawn


def test_a_folder_of_frames_is_a_video(capsys: Capture, working_folder: Path) -> None:
    jpeg_frames(working_folder / "frames", list(encoded.numbered(20)))
    weights = random_weights(KV)
    text = answer(capsys, "predict", KV, "frames", "--scale", "smoke", "--checkpoint", weights, "--format", "json")
    (entry,) = json.loads(text)
    assert entry["error"] is None and sum(one["score"] for one in entry["classes"]) == pytest.approx(1, abs=1e-5)


def test_a_video_without_audio_is_said(capsys: Capture, working_folder: Path) -> None:
    path = encoded.encode(working_folder / "mute.mp4", encoded.numbered(48), options=encoded.x264(12, "bframes=0"))
    text = answer(capsys, "predict", SOUND, str(path), "--scale", "smoke", "--checkpoint", random_weights(SOUND))
    assert f"{path}: " in text and "no audio" in text


def test_the_weights_are_those_of_the_rows_own_training(capsys: Capture, two_second_clip: Path) -> None:
    command = ("predict", KV, str(two_second_clip), "--scale", "smoke", "--seed", "1")
    error = answer(capsys, *command, code=2)
    assert "weights.safetensors: not there; `vtbench run msca/table2:msca-kv --scale smoke --seeds 1 --again`" in error
    training = measurements(select([KV])[0], "smoke", 1)[0].evaluation.training
    own = folders.training_folder(Path("results"), training.key) / folders.WEIGHTS
    own.parent.mkdir(parents=True)
    random_weights(KV, str(own))
    assert f"weights {own} (SHA-256 {sha256_of(own)[:8]})" in answer(capsys, *command)


def test_a_real_data_set_needs_no_folder(
    capsys: Capture, two_second_clip: Path, include: Callable[..., roots.Root]
) -> None:
    """At paper scale too: class names come with the data set, and its videos are not asked for."""
    include(FRAMEFLIP)
    network = importlib.import_module("frameflip").FrameFlip(num_classes=400, num_frames=8, img_size=224, pairs=False)
    save_network(network, Path("given.safetensors"))
    command = ("predict", "frameflip/table1:one", str(two_second_clip), "--scale", "paper")
    (entry,) = json.loads(answer(capsys, *command, "--checkpoint", "given.safetensors", "--format", "json"))
    names = load_dataset("kinetics400").classes
    assert entry["views"] == 30 and len(entry["classes"]) == 5
    assert all(one["name"] == names[one["class"]] for one in entry["classes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("msca/table2", "x.mp4"), "msca/table2 names 9 rows; name one"),
        (("laps/table1:laps", "x.mp4"), "has 2 measurements; name one of laps/table1:laps@main"),
        ((KV, "x.mp4", "--checkpoint", "gone.pth"), "gone.pth: not there; check the path"),
        ((KV,), "the following arguments are required: FILE"),
        (("msca/table2:msca-kv", "x.mp4", "--scale", "huge"), "no scale 'huge'"),
    ],
)
def test_wrong_input_is_one_line(capsys: Capture, arguments: tuple[str, ...], words: str) -> None:
    error = answer(capsys, "predict", *arguments, code=2)
    assert words in error and error.count("\n") == 1
