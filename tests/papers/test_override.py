"""`--set`: what can be changed, what a changed row measures, and one clear line for what cannot."""

from __future__ import annotations

from typing import Any

import pytest

from vtbench.errors import UsageError
from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import changes_at, recipe_at
from vtbench.papers.spec.schema import Row
from vtbench.scales import Scale


def leaves(row: Row) -> dict[str, Any]:
    return recipe_at(row, "main", "paper").leaves()


def test_only_what_is_named_changes() -> None:
    row = select(["laps/table3:laps"])[0]
    (as_code,) = changed_rows([row], (), ["model.shift_fraction=0.25", "model.first=next", "eval.clips=10"])
    before, after = leaves(row), leaves(as_code)
    assert {key: after[key] for key in after if after[key] != before[key]} == {
        "model.shift_fraction": 0.25,
        "model.first": "next",
        "eval.clips": 10,
    }
    assert before.keys() == after.keys() and as_code.id == row.id


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
@pytest.mark.parametrize("setting", ["model.first=next", "eval.clips=7", "data.limit_test=3", "model.init_channels=16"])
def test_a_changed_row_is_another_evaluation_so_that_it_never_counts_for_the_print(setting: str, scale: Scale) -> None:
    """Also where the scale has a rule of its own for the setting."""
    row = select(["laps/table3:laps"])[0]
    (printed,), (changed,) = measurements(row, scale), measurements(changed_rows([row], (), [setting])[0], scale)
    assert printed.evaluation.key != changed.evaluation.key
    differences = changes_at(changed_rows([row], (), [setting])[0], "main", scale)
    assert [d.why for d in differences if d.key == setting.partition("=")[0]] == [f"--set {setting}"]


def test_a_key_that_was_not_set_can_be() -> None:
    row = select(["laps/table3:visf-base2d"])[0]
    (changed,) = changed_rows([row], (), ["data.limit_test=100"])
    assert measurements(changed, "paper")[0].evaluation.data.limit_test == 100


def test_quoted_rows_are_left_out_and_nothing_but_those_is_an_error() -> None:
    own = [row.id for row in select(["laps/table5"]) if row.own]
    assert [row.id for row in changed_rows(select(["laps/table5"]), (), ["eval.clips=1"])] == own
    with pytest.raises(UsageError, match="none of these rows has settings"):
        changed_rows([row for row in select(["laps/table5"]) if not row.own], (), ["foo.bar=1"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("eval.clips", "--set eval.clips: must be KEY=VALUE"),
        ("model.frist=next", "did you mean 'model.first'"),
        ("model.first=nex", "--set model.first=nex: is 'nex', must be one of previous, next"),
        ("model.levels=3", "must be a list"),
        ("eval.clips=ten", "must be a whole number, not 'ten'"),
        ("eval.clips={", "the value is not YAML"),
        ("model.num_frames=8", "has no setting 'model.num_frames'"),
        ("train.lrr=0.1", "laps/table3:laps has no setting 'train.lrr'; did you mean 'train.lr'"),
        ("train.lr=0", "--set train.lr=0: is 0.0, must be above 0"),
        ("train.schedule=cosin", "must be one of step, cosine, cosine_by_epoch, constant; did you mean 'cosine'"),
        ("augment.flip=2", "--set augment.flip=2: is 2.0, must be at most 1"),
        ("init.weigths=x", "did you mean 'init.weights'"),
        ("eval.clip_sampling=random", "eval.clip_seed belongs to clip_sampling: random"),
        ("eval.clips=0", "--set eval.clips=0: is 0, must be at least 1"),
        ("data.limit_test=0", "is 0, must be at least 1"),
        ("eval.short_side=100", "eval.short_side is 100, a crop of data.size 224 does not fit"),
    ],
)
def test_a_setting_that_cannot_be_is_named(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed_rows(select(["laps/table3:laps"]), (), [setting])
    assert message in str(caught.value) and "\n" not in str(caught.value)
