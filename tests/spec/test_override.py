"""`--set`: what can be changed, what a changed row measures, and one clear line for what cannot."""

from __future__ import annotations

import pytest

from vtbench.errors import UsageError
from vtbench.spec import select
from vtbench.spec.override import with_settings


def test_only_what_is_named_changes() -> None:
    row = select(["laps/table3:laps"])[0]
    as_code = with_settings(row, ["model.shift_fraction=0.25", "model.first=next", "eval.clips=10"])
    before, after = row.recipes["main"].recipe.leaves(), as_code.recipes["main"].recipe.leaves()
    assert {key: after[key] for key in after if after[key] != before[key]} == {
        "model.shift_fraction": 0.25,
        "model.first": "next",
        "eval.clips": 10,
    }
    assert before.keys() == after.keys() and as_code.id == row.id


def test_a_changed_row_is_another_evaluation_so_that_it_never_counts_for_the_print() -> None:
    row = select(["laps/table3:laps"])[0]
    (printed,), (changed,) = row.measurements("paper"), with_settings(row, ["model.first=next"]).measurements("paper")
    assert printed.evaluation.key != changed.evaluation.key


def test_a_key_that_was_not_set_can_be() -> None:
    row = select(["laps/table3:visf-base2d"])[0]
    changed = with_settings(row, ["data.limit_test=100"])
    assert changed.measurements("paper")[0].evaluation.data.limit_test == 100


def test_nothing_set_is_the_row_itself() -> None:
    row = select(["laps/table3:laps"])[0]
    assert with_settings(row, []) is row


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("eval.clips", "--set eval.clips: must be KEY=VALUE"),
        ("model.frist=next", "did you mean 'model.first'"),
        ("model.first=nex", "--set model.first=nex: is 'nex', must be one of previous, next"),
        ("model.levels=3", "must be a list"),
        ("eval.clips=ten", "must be a whole number, not 'ten'"),
        ("eval.clips={", "the value is not YAML"),
        ("model.num_frames=8", "no such setting"),
        ("train.lr=0.1", "laps/table3:laps has no such setting"),
        ("eval.clip_sampling=random", "eval.clip_seed belongs to clip_sampling: random"),
    ],
)
def test_a_setting_that_cannot_be_is_named(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(select(["laps/table3:laps"])[0], [setting])
    assert message in str(caught.value) and "\n" not in str(caught.value)
