"""Devices on the command line: what cannot be is one line, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from vtbench.cli.commands import main

ROW = ["msca/table1:vit", "--scale", "smoke"]


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (["--devices", "3"], 2, "--devices 3: an update of 4 clips cannot be shared out evenly to 3 passes"),
        (["--devices", "0"], 2, "--devices: '0' is not a whole number above 0"),
        (["--num-nodes", "2"], 2, "--num-nodes 2 needs a process on every machine"),
        (["--strategy", "dpd"], 2, "strategy 'dpd'"),
        (["--strategy", "fsdp"], 2, "--strategy fsdp needs GPUs, and this runs on the CPU; leave it out"),
        (["--precision", "8-bit"], 2, "precision '8-bit'"),
        (["--precision", "16-mixed"], 2, "--precision 16-mixed: a CPU has no such training"),
        (["--batch-size", "all"], 2, "--batch-size: 'all' is not a whole number above 0"),
        (["--accumulate", "3"], 2, "--devices 1 --accumulate 3: an update of 4 clips"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_trained(
    options: list[str], code: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *ROW, *options, "--results", str(tmp_path)]) == code
    said = [text for text in capsys.readouterr().err.splitlines() if "blocked: the training it" not in text]
    assert len([text for text in said if line in text]) in (1, 2), said
    assert not (tmp_path / "runs").exists()


def test_eval_takes_devices_but_nothing_that_is_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *ROW, "--checkpoint", "w", "--accumulate", "2"]) == 2
    assert "unrecognized arguments: --accumulate 2" in capsys.readouterr().err
    assert main(["eval", *ROW, "--checkpoint", "w", "--num-nodes", "2"]) == 2
    assert "unrecognized arguments: --num-nodes 2" in capsys.readouterr().err
    assert main(["eval", "--help"]) == 0
    assert "--devices N" in capsys.readouterr().out
