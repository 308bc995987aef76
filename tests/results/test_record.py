from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from vtbench.results.record import COLUMNS, Record

DESIGNED = (
    *("id", "measurement", "scale", "seed", "training_key", "evaluation_key", "top1", "top5", "metrics"),
    *("videos_expected", "videos_decoded", "videos_failed", "videos_silent", "views", "train_wall_s", "eval_wall_s"),
    *("train_videos", "epochs", "batch_size", "accumulate", "lr", "init", "selection"),
    *("data_fingerprint", "weights_sha256"),
    *("commit", "dirty", "root", "device", "threads", "versions", "finished_at"),
)

Make = Callable[..., Record]


def cells(record: Record) -> list[str]:
    (row,) = csv.reader([record.to_line()])
    return row


def test_columns_stand_in_the_documented_order() -> None:
    assert COLUMNS == DESIGNED


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"top1": 0.1 + 0.2, "top5": None},
        {"train_wall_s": None, "epochs": None, "batch_size": None, "accumulate": None, "lr": None},
        {"commit": None, "dirty": None},
        {"dirty": True},
        {"init": 'weights "a", and b', "device": "NVIDIA H200, 139 GiB"},
        {"device": "Prozessor für Vidéo"},
    ],
)
def test_a_line_reads_back_as_the_same_record(record: Make, changes: dict[str, object]) -> None:
    written = record(**changes)
    assert Record.from_cells(cells(written)) == written
    assert written.to_line().count("\n") == 1


def test_nothing_is_written_as_an_empty_cell_and_a_percent_as_printed(record: Make) -> None:
    line = dict(zip(COLUMNS, cells(record(commit=None, top1=61.25, dirty=True)), strict=True))
    assert (line["commit"], line["top1"], line["dirty"]) == ("", "61.25", "true")


@pytest.mark.parametrize(
    "changes",
    [
        {"top1": 100.5},
        {"top1": float("nan")},
        {"top1": 60.0, "top5": 59.0},
        {"scale": "midi"},
        {"seed": -1},
        {"videos_decoded": 90},
        {"device": "two\nlines"},
        {"init": ""},
        {"finished_at": "2026-01-31T23:59:59+01:00"},
        {"unheard_of": 1},
    ],
)
def test_a_value_that_cannot_be_is_refused(record: Make, changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        record(**changes)


def test_a_bad_cell_is_named_with_its_column(record: Make) -> None:
    line = cells(record())
    line[COLUMNS.index("seed")] = "zero"
    with pytest.raises(ValueError, match=r"seed holds 'zero': .*integer"):
        Record.from_cells(line)


def test_every_prefix_of_a_line_is_told_from_the_whole_line(record: Make) -> None:
    line = record().to_line().rstrip("\n")
    for length in range(len(line)):
        (row,) = csv.reader([line[:length]]) if length else ([],)
        with pytest.raises(ValueError):
            Record.from_cells(row)


def test_every_field_says_what_it_holds_and_the_readme_has_a_line_for_each() -> None:
    readme = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    for name, field in Record.model_fields.items():
        assert field.description, name
        assert f"| `{name}` |" in readme, name
