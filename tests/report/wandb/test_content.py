"""What the run of one line of results.csv holds: against print, by measurement, of variants and of given weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wandb
from records import record_of

from vtbench.errors import ResultsError, UsageError
from vtbench.papers import Measurement, Row, measurements, select
from vtbench.papers.override import changed_rows
from vtbench.report.wandb.content import eval_run_id, evaluation_content
from vtbench.report.wandb.target import Pushed, Target, target
from vtbench.results.scores import VideoScores


def row_and(id: str, scale: str = "paper", name: str = "main", seed: int = 0) -> tuple[Row, Measurement]:
    (row,) = select([id])
    found = measurements(row, scale, seed)  # type: ignore[arg-type]
    return row, next(m for m in found if m.name == name)


def test_at_paper_scale_a_line_has_its_distance_from_the_print_and_a_verdict(tmp_path: Path) -> None:
    row, measurement = row_and("msca/table2:msca-kv")
    found = evaluation_content(row, record_of(measurement, 76.40, top5=92.0), tmp_path)
    numbers = found.numbers
    assert (numbers["top1"], numbers["published/top1"], numbers["delta/top1"]) == (76.40, 76.47, -0.07)
    assert (numbers["chance/top1"], numbers["chance/top5"]) == (0.25, 1.25)
    assert numbers["low/top1"] < 76.40 < numbers["high/top1"]
    assert found.texts == {"verdict": "inconclusive"}  # one test of these many videos is not enough
    far = evaluation_content(row, record_of(measurement, 60.0), tmp_path)
    assert far.texts == {"verdict": "outside"}
    assert found.tables == {} and found.files == []  # nothing of it is in the results folder


def test_numbers_of_a_second_measurement_are_held_against_its_own_print(tmp_path: Path) -> None:
    row, measurement = row_and("pst/table3:pst-t-in1k-1x1", name="sthv1")
    found = evaluation_content(row, record_of(measurement, 50.0), tmp_path)
    cell = row.published[row.metric("sthv1", "top1")]
    assert found.numbers["published/top1"] == cell.value
    assert found.numbers[f"pst/table3/{row.metric('sthv1', 'top1')}"] == 50.0
    assert found.run["name"] == "pst/table3:pst-t-in1k-1x1 seed 0 sthv1"
    other = row_and("pst/table3:pst-t-in1k-1x1", name="sthv2")[1]
    assert found.run["id"] != eval_run_id(record_of(other, 50.0))


def test_rows_are_numbered_in_printed_order(tmp_path: Path) -> None:
    for number, row in enumerate(select(["msca/table2"]), 1):
        (measurement,) = measurements(row, "mini", 0)
        assert evaluation_content(row, record_of(measurement, 25.0), tmp_path).numbers["row_number"] == number


def test_a_variant_is_no_line_of_its_table(tmp_path: Path) -> None:
    (row,) = changed_rows(select(["laps/table1:laps"]), ["official-code"], [])
    measurement = next(m for m in measurements(row, "paper", 0) if m.name == "main")
    found = evaluation_content(row, record_of(measurement, 76.0, variant=measurement.variant), tmp_path)
    assert not [name for name in found.numbers if name.startswith("laps/")]
    assert found.run["name"] == "laps/table1:laps + official-code seed 0"
    assert "variant" in found.run["tags"]
    assert found.texts == {"verdict": "variant"}


def test_given_weights_have_the_protocol_of_the_row_and_no_training_run_of_ours(tmp_path: Path) -> None:
    row, measurement = row_and("msca/table2:vit")
    given = {"init": "given", "training_key": "file:beef", "evaluation_key": f"{measurement.evaluation.key}-beef"}
    found = evaluation_content(row, record_of(measurement, 75.6, train_videos=None, **given), tmp_path)
    assert found.config["evaluation"]["eval"]["clips"] == 10
    assert found.numbers["delta/top1"] == pytest.approx(-0.05)


def test_a_line_of_an_older_spec_says_nothing_of_the_spec_of_today(tmp_path: Path) -> None:
    row, measurement = row_and("msca/table2:vit")
    found = evaluation_content(row, record_of(measurement, 75.6, evaluation_key="0ld"), tmp_path)
    assert "evaluation" not in found.config and "delta/top1" not in found.numbers
    assert found.numbers["top1"] == 75.6


def test_a_video_that_could_not_be_read_is_in_the_table_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, measurement = row_and("msca/table2:vit", "mini")
    scores = VideoScores(
        video_ids=("gone", "read"),
        labels=np.array([1, 2]),
        views=np.array([0, 30], np.int32),
        classes=np.array([[-1, -1], [3, 2]], np.int32),
        scores=np.array([[np.nan, np.nan], [0.75, 0.25]], np.float32),
        ranks=np.array([0, 2], np.int32),
        label_scores=np.array([np.nan, 0.25], np.float32),
        errors=("truncated", None),
    )
    monkeypatch.setattr("vtbench.report.wandb.content.read_scores", lambda results, record: scores)
    tables = evaluation_content(row, record_of(measurement, 0.0), tmp_path).tables
    names = measurement.evaluation.dataset.classes
    assert tables["per_video"].lines == [
        ["gone", names[1], None, None, None, None, False, "truncated"],
        ["read", names[2], names[3], 0.75, 0.25, 2, False, None],
    ]
    assert tables["confusion"].lines == [[names[2], names[3], 1]]
    assert tables["per_class"].lines == [[1, names[1], 1, 0.0], [2, names[2], 1, 0.0]]
    for table in tables.values():
        wandb.Table(columns=list(table.columns), data=table.lines)  # which refuses columns of several types


# ---- targets ---------------------------------------------------------------------------------------------------------


def test_options_come_before_the_environment_and_tags_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "PROJECT", "ENTITY", "TAGS"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    assert target() == Target("online", "vtbench", None, ())
    for name, value in (("MODE", "offline"), ("PROJECT", "p"), ("ENTITY", "e"), ("TAGS", "a, b")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert target() == Target("offline", "p", "e", ("a", "b"))
    assert target("online", "mine", "me", ["b", "c"]) == Target("online", "mine", "me", ("b", "c", "a"))


def test_what_was_pushed_is_remembered_by_target_and_content_and_a_line_cut_off_is_passed_over(tmp_path: Path) -> None:
    pushed = Pushed(tmp_path, Target("offline"))
    pushed.add("eval-1", "then")
    pushed.add("eval-2", "then")
    with pushed.path.open("a") as file:
        file.write('["offline", "", "vt')
    again = Pushed(tmp_path, Target("offline"))
    assert again.holds("eval-1", "then") and again.holds("eval-2", "then")
    assert not again.holds("eval-1", "later")
    assert not Pushed(tmp_path, Target("online")).holds("eval-1", "then")
    assert not Pushed(tmp_path, Target("offline", entity="team")).holds("eval-1", "then")


def test_a_file_of_what_was_pushed_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pushed = Pushed(tmp_path, Target("offline"))
    pushed.path.mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"pushed\.jsonl: what was pushed cannot be read: Is a directory; move it"):
        pushed.holds("eval-1", "then")
    pushed.path.rmdir()
    pushed.path.write_bytes(b"\xff")
    with pytest.raises(ResultsError, match=r"pushed\.jsonl: .*: it is not text; move it away"):
        Pushed(tmp_path, Target("offline")).holds("eval-1", "then")


@pytest.mark.parametrize("character", "/\\#?%:")
def test_a_project_that_wandb_refuses_is_refused_at_the_start(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"a{character}b"
    with pytest.raises(wandb.errors.UsageError, match="Invalid project name"):
        wandb.Settings(project=name)
    with pytest.raises(UsageError) as error:
        target(project=name)
    assert str(error.value).startswith(f"--wandb-project {name}: W&B takes no project with ")
    monkeypatch.setenv("WANDB_PROJECT", name)
    with pytest.raises(UsageError) as error:
        target()
    assert str(error.value).startswith(f"WANDB_PROJECT {name}: ")


def test_a_project_may_have_128_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert wandb.Settings(project=128 * "a").project == target(project=128 * "a").project
    with pytest.raises(UsageError, match="W&B takes no project of 129 characters"):
        target(project=129 * "a")
