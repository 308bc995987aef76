"""`--init ROW=FILE`: a row that starts from another row's training starts from a file in its place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.papers import measurements, select
from vtbench.papers.override import with_starts
from vtbench.results import folders
from vtbench.results.store import Store
from vtbench.run.settings import Settings
from vtbench.run.train import train

ROW, START = "laps/table5:laps", "laps/table3:laps"
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the row that is started from, at smoke scale, and the synthetic videos beside them."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (measurement,) = measurements(select([START])[0], "smoke", 0)
        for training in (*measurement.evaluation.training.ancestors(), measurement.evaluation.training):
            made = train(training, Settings(results=folder / "r"))
    (folder / "given.safetensors").write_bytes((made / folders.WEIGHTS).read_bytes())
    return folder


def test_the_row_is_trained_from_the_file_and_the_record_says_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    file = trained / "given.safetensors"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    command = [ROW, "--scale", "smoke", "--results", str(tmp_path / "r"), "--init", f"{START}={file}"]
    assert main(["plan", *command, "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(entry["title"], entry["state"], entry["needs"]) for entry in entries] == [(ROW, "to do", None)]
    assert main(["run", *command]) == 0
    (record,) = Store(tmp_path / "r").read()
    name = f"{START}@sha256-{sha256}"
    assert (record.id, record.init, record.variant) == (ROW, name, f"init.weights={name}")
    own = measurements(select([ROW])[0], "smoke", 0)[0].evaluation
    assert record.evaluation_key != own.key and record.training_key != own.training.key
    # The same start as the training's own weights give the same network.
    (straight,) = measurements(select([ROW])[0], "smoke", 0)
    own_folder = train(straight.evaluation.training, Settings(results=trained / "r"))
    done = folders.read_json(own_folder / folders.DONE)
    assert done["weights_sha256"] == record.weights_sha256
    assert main(["report", ROW, "--results", str(tmp_path / "r"), "--scale", "smoke"]) == 0
    assert "not run" in capsys.readouterr().out, "never the row's own result"
    assert main(["report", ROW, "--results", str(tmp_path / "r"), "--scale", "smoke", "--with-variants"]) == 0
    assert f"init.weights={name}"[:30] in " ".join(capsys.readouterr().out.split())


def test_another_file_is_another_training(trained: Path) -> None:
    rows = select([ROW])
    keys = {
        measurements(with_starts(rows, {START: name}, "smoke")[0], "smoke", 0)[0].evaluation.training.key
        for name in ("a@sha256-00000000", "a@sha256-11111111")
    }
    assert len(keys) == 2


def test_only_the_measurements_that_start_from_it_change() -> None:
    rows = select(["laps/table5"])
    changed = with_starts(rows, {START: "x@sha256-00000000"}, "paper")
    before, after = (
        {m.row_id: m.evaluation.training.key for row in some for m in measurements(row, "paper", 0)}
        for some in (rows, changed)
    )
    assert {name for name in before if before[name] != after[name]} == {ROW}
    assert [row.variant for row in changed if row.id != ROW] == [None] * (len(rows) - 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("laps/table3:laps", "--init laps/table3:laps: must be ROW=FILE"),
        ("laps/table3:laps=gone.pth", "--init laps/table3:laps: gone.pth: no such file; give a file of weights"),
        ("laps/table3:rs=FILE", "none of these rows starts from it at smoke scale; they start from laps/table3:laps"),
    ],
)
def test_a_start_that_is_none_is_one_line(
    given: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_bytes(b"weights")
    assert main(["run", ROW, "--scale", "smoke", "--init", given]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1
