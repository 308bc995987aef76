from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.fields import writable
from vtbench.results.record import COLUMNS, Record

DESIGNED = (
    *("id", "measurement", "scale", "seed", "training_key", "evaluation_key", "top1", "top5"),
    *("top1_decoded", "top5_decoded", "metrics"),
    *(
        "videos_expected",
        "videos_decoded",
        "videos_failed",
        "videos_silent",
        "views",
        "distinct_views",
        "train_top1",
        "train_wall_s",
        "eval_wall_s",
    ),
    *("train_videos", "train_missing", "train_unreadable"),
    *("epochs", "batch_size", "accumulate", "lr", "init", "selection"),
    *("data_fingerprint", "train_fingerprint", "data_files", "data_encoding", "weights_sha256"),
    *(
        "commit",
        "dirty",
        "root",
        "variant",
        "device",
        "threads",
        "engine",
        "versions",
        "begun",
        "finished_at",
        "checksum",
    ),
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
        {"finished_at": "2026-01-31T23:59:59Z\n"},
        {"seed": True},
        {"seed": 1.0},
        {"dirty": "true"},
        {"device": None},
    ],
)
def test_a_value_that_cannot_be_is_refused_and_named(record: Make, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))) as caught:
        record(**changes)
    assert "\n" not in str(caught.value)


def test_an_unknown_value_is_refused_and_a_missing_one_too(record: Make) -> None:
    with pytest.raises(TypeError, match="unheard_of"):
        record(unheard_of=1)
    with pytest.raises(TypeError, match="seed"):
        Record(**{name: value for name, value in record().as_dict().items() if name != "seed"})


def test_a_record_cannot_be_changed_and_equals_its_copy(record: Make) -> None:
    one = record()
    with pytest.raises(AttributeError):
        one.top1 = 50.0  # type: ignore[misc]
    assert Record(**one.as_dict()) == one and hash(Record(**one.as_dict())) == hash(one)
    assert type(record(top1=50).top1) is float, "a whole number is a number"


def test_a_bad_cell_is_named_with_its_column(record: Make) -> None:
    line = cells(record())
    line[COLUMNS.index("seed")] = "zero"
    with pytest.raises(ValueError, match=r"^seed: must be a whole number, not 'zero', which is text$"):
        Record.from_cells(line)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("seed", "", "seed: must be a whole number, not empty"),
        ("seed", "1.5", "seed: must be a whole number, not 1.5, which is a number"),
        ("seed", "-1", "seed: is -1, must be at least 0"),
        ("top1", "nan", "top1: is nan, must be a finite number"),
        ("top1", "1e2000", "top1: is inf, must be a finite number"),
        ("top1", "101", "top1: is 101.0, must be at most 100"),
        ("scale", "midi", "scale: is 'midi', must be one of paper, lab, mini, smoke; did you mean 'mini'?"),
        ("dirty", "perhaps", "dirty: must be true or false, not 'perhaps', which is text"),
        ("device", "", "device: must be text, not empty"),
        ("finished_at", "today", "finished_at: is 'today', must be UTC as 2026-01-31T23:59:59Z"),
    ],
)
def test_what_is_wrong_with_a_cell_is_said(record: Make, column: str, cell: str, message: str) -> None:
    line = cells(record())
    line[COLUMNS.index(column)] = cell
    with pytest.raises(ValueError) as caught:
        Record.from_cells(line)
    assert str(caught.value) == message


def test_a_table_program_may_have_rewritten_the_cells(record: Make) -> None:
    """pandas writes True for true, and 12.0 for a whole number in a column with empty cells."""
    line = cells(record(dirty=True))
    for name, cell in (("dirty", "True"), ("epochs", "12.0"), ("top1", "33.333333333333336")):
        line[COLUMNS.index(name)] = cell
    found = Record.from_cells(line)
    assert (found.dirty, found.epochs, type(found.epochs), found.top1) == (True, 12, int, 100 / 3)


def test_every_prefix_of_a_line_is_refused_unless_it_lacks_the_checksum_alone(record: Make) -> None:
    line = record().to_line().rstrip("\n")
    whole = line.rindex(",") + 1
    assert Record.from_cells([*cells(record())[:-1], ""]) == record()
    for length in [*range(whole), *range(whole + 1, len(line))]:
        (row,) = csv.reader([line[:length]]) if length else ([],)
        with pytest.raises(ValueError):
            Record.from_cells(row)


def test_every_field_says_what_it_holds_and_the_readme_has_a_line_for_each() -> None:
    readme = (Path(__file__).parents[2] / "results" / "README.md").read_text(encoding="utf-8")
    for name, (field, _) in writable(Record).items():
        assert field.metadata["doc"], name
        assert f"| `{name}` |" in readme, name
