"""The small scales as layers: what lies on what, what is passed over, what is refused, and the reasons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import pytest

from vtbench import scales
from vtbench.cli import main
from vtbench.errors import SpecError
from vtbench.papers import load_paper, measurements, select
from vtbench.papers.resolve import changes_at, recipe_at
from vtbench.papers.spec.recipe import Pretraining, Recipe
from vtbench.scales import About, layered, smallest_first

OwnPaper = Callable[..., Path]

MINI = """\
title: A paper
mini:
  why: {data: small, train: fast, train.epochs: few}
  data: {dataset: cycle, size: 24}
  train: {lr: 0.01, epochs: 5, label_smoothing: 0.0}
smoke: {why: wiring only, train: {epochs: 1}}
"""


def at(row_id: str, scale: str, measurement: str = "main") -> Recipe:
    return recipe_at(select([row_id])[0], measurement, scale)


def reasons(row_id: str, scale: str, measurement: str = "main") -> dict[str, str]:
    return {change.key: change.why for change in changes_at(select([row_id])[0], measurement, scale)}


def test_paper_scale_is_the_file_itself() -> None:
    row = select(["msca/table2:msca-kv"])[0]
    assert recipe_at(row, "main", "paper") == row.recipes["main"].recipe
    assert changes_at(row, "main", "paper") == []


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_every_change_has_its_old_value_new_value_and_reason(scale: str) -> None:
    for row in select():
        for name, spec in row.recipes.items():
            if row.status != "runnable" or scale not in spec.scales:
                continue
            before, after = spec.recipe.leaves(), recipe_at(row, name, scale).leaves()
            changes = changes_at(row, name, scale)
            assert {c.key for c in changes} == {k for k in before | after if before.get(k) != after.get(k)}
            assert all((c.paper, c.now) == (before.get(c.key), after.get(c.key)) and c.why for c in changes), row.id


def test_a_setting_without_a_small_value_is_the_papers_own_at_every_scale(own_paper: OwnPaper) -> None:
    own_paper(paper=MINI)
    paper, mini = at("lab/table1:one", "paper").leaves(), at("lab/table1:one", "mini").leaves()
    changed = {"data.dataset", "data.size", "train.lr", "train.epochs", "train.label_smoothing"}
    assert {key for key in paper if paper[key] != mini[key]} == changed


def test_without_any_layer_a_row_is_the_same_at_every_scale(own_paper: OwnPaper) -> None:
    own_paper()
    row = select(["lab/table1:one"])[0]
    assert len({measurements(row, scale)[0].evaluation.key for scale in ("paper", "mini", "smoke")}) == 1


def test_smoke_lies_on_mini(own_paper: OwnPaper) -> None:
    own_paper(paper=MINI)
    mini, smoke = at("lab/table1:one", "mini").train, at("lab/table1:one", "smoke").train
    assert mini is not None and smoke is not None
    assert (mini.epochs, smoke.epochs, smoke.lr) == (5, 1, mini.lr)
    assert reasons("lab/table1:one", "smoke")["train.epochs"] == "wiring only"
    assert reasons("lab/table1:one", "smoke")["train.lr"] == "fast"


def test_paper_then_table_then_row_then_measurement(own_paper: OwnPaper) -> None:
    rows = """\
  - {id: one, label: One}
  - {id: two, label: Two, mini: {why: two, train: {lr: 0.03}}}
  - id: three
    label: Three
    mini: {why: three, train: {lr: 0.03, epochs: 7}}
    measurements: {main: {}, long: {mini: {why: long, train: {epochs: 9}}}}
"""
    table = lab.DEFAULTS + "  mini: {why: table, train: {lr: 0.02}, eval: {clips: 2}}\n"
    own_paper(rows, paper=MINI, defaults=table)
    found = {}
    for row, name in (("one", "main"), ("two", "main"), ("three", "main"), ("three", "long")):
        made = at(f"lab/table1:{row}", "mini", name)
        assert made.train is not None and made.eval is not None
        found[row, name] = (made.train.lr, made.train.epochs, made.eval.clips)
    assert found == {
        ("one", "main"): (0.02, 5, 2),
        ("two", "main"): (0.03, 5, 2),
        ("three", "main"): (0.03, 7, 2),
        ("three", "long"): (0.03, 9, 2),
    }
    assert reasons("lab/table1:three", "mini", "long")["train.epochs"] == "long"
    assert reasons("lab/table1:three", "mini", "long")["train.lr"] == "three"


def test_a_layer_without_a_reason_of_its_own_takes_the_one_below_it_but_not_a_text_for_other_values(
    own_paper: OwnPaper,
) -> None:
    rows = "  - {id: one, label: One, mini: {train: {epochs: 7}, eval: {clips: 2}}}\n"
    own_paper(rows, paper=MINI, defaults=lab.DEFAULTS + "  mini: {why: of the table, augment: {flip: 0.0}}\n")
    assert reasons("lab/table1:one", "mini")["train.epochs"] == "few"
    assert reasons("lab/table1:one", "mini")["eval.clips"] == ""


def test_an_empty_value_removes_a_key_and_init_is_replaced_whole(own_paper: OwnPaper) -> None:
    rows = "  - {id: one, label: One, mini: {data: {stride: null, sampling: segments}, init: {scratch: true}}}\n"
    own_paper(rows)
    mini = at("lab/table1:one", "mini")
    assert (mini.data.stride, mini.data.sampling) == (None, "segments")
    assert mini.init is not None and mini.init.scratch and mini.init.weights is None
    assert {"data.stride", "init.weights", "init.scratch"} <= reasons("lab/table1:one", "mini").keys()


def test_shared_values_are_passed_over_where_a_network_lacks_the_argument(own_paper: OwnPaper) -> None:
    rows = """\
  - {id: one, label: One}
  - {id: two, label: Two, model: {name: msca, backward_heads: 1, forward_heads: 1}}
"""
    own_paper(rows, paper="title: A paper\nmini: {why: small, model: {depth: 3, num_msca_blocks: 2}}\n")
    one, two = (at(f"lab/table1:{name}", "mini").model.arguments for name in ("one", "two"))
    assert (one["depth"], two["depth"], two["num_msca_blocks"]) == (3, 3, 2)
    assert "num_msca_blocks" not in one


def test_shared_values_are_passed_over_where_a_row_lacks_the_block(own_paper: OwnPaper) -> None:
    folder = own_paper(paper=MINI)
    data = "data: {dataset: kinetics400, num_frames: 8, stride: 4, size: 224}"
    counted = f"  - {{id: cost, label: Cost, status: analytic, model: {{name: vit}}, {data}}}\n"
    text = lab.DEFAULTS.partition("defaults:")[0] + "rows:\n" + counted
    (folder / "benchmarks" / "lab" / "table2.yaml").write_text(text)
    made = at("lab/table2:cost", "mini")
    assert (made.data.size, made.train) == (24, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "mini: {model: {dept: 3}}",
            "table1.yaml:13: rows[0].mini.model.dept: vit() has no argument 'dept'; did you mean",
        ),
        (
            "mini: {train: {epoch: 3}}",
            "table1.yaml:13: rows[0].mini.train.epoch: no key 'epoch'; did you mean 'epochs'?",
        ),
        ("mini: {train: {epochs: 0}}", "table1.yaml:13: rows[0].mini.train.epochs: is 0, must be at least 1"),
        ("mini: {train: {method: null}}", "rows[0].mini.train.method: is removed here, and cannot be missing; it is"),
        ("mini: {trian: {epochs: 3}}", "rows[0].mini.trian: no key 'trian'; did you mean 'train'?"),
        ("mini: {train: 3}", "rows[0].mini.train: must be keys and values, not 3"),
        ("mini: 3", "rows[0].mini: must be blocks, as {train: {epochs: 5}}, not 3"),
        ("mini: {why: 3, train: {epochs: 3}}", "rows[0].mini.why: must be the reason for a value, as text, not 3"),
        ("mini: {why: {train.lr: fast}, train: {epochs: 3}}", "gives no value to 'train.lr'; remove it"),
        ("mni: {train: {epochs: 3}}", "rows[0].mni: no key 'mni'; did you mean 'mini'?"),
        ("mini: {data: {size: 300}}", "augment.short_side is 256, a crop of data.size 300 does not fit at mini scale"),
        ("mini: {data: {sampling: segments}}", "data must hold exactly one of stride"),
        (
            "mini: {train: {schedule: step}}",
            "train.milestones belongs to the schedule step, which needs it at mini scale",
        ),
        ("mini: {data: {dataset: cycel}}", "no data set 'cycel'; did you mean 'cycle'?"),
    ],
)
def test_what_a_row_cannot_have_at_a_small_scale_is_one_line(own_paper: OwnPaper, row: str, message: str) -> None:
    own_paper(f"  - {{id: one, label: One, {row}}}\n")
    with pytest.raises(SpecError) as caught:
        measurements(select(["lab/table1:one"])[0], "mini")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "table1.yaml:13: " in str(caught.value)


@pytest.mark.parametrize(
    ("status", "key"), [("data", "limit_train: 8"), ("train", "epochs: 3"), ("augment", "short_side: [3, 4]")]
)
def test_a_value_for_a_block_that_the_row_lacks_is_an_error(own_paper: OwnPaper, status: str, key: str) -> None:
    defaults = lab.DEFAULTS.partition("defaults:")[0]
    data = "data: {dataset: kinetics400, num_frames: 8, stride: 4, size: 224}"
    row = f"{{id: one, label: One, status: analytic, model: {{name: vit}}, {data}, mini: {{{status}: {{{key}}}}}}}"
    own_paper(f"  - {row}\n", defaults=defaults)
    if status == "data":
        assert at("lab/table1:one", "mini").data.limit_train == 8
        return
    with pytest.raises(SpecError, match=rf"table1\.yaml:4: rows\[0\]\.mini\.{status}\..*no block `{status}` at paper"):
        at("lab/table1:one", "mini")


def test_a_shared_value_that_no_row_can_use_is_an_error(own_paper: OwnPaper) -> None:
    own_paper(paper="title: A paper\nmini:\n  why: small\n  model: {dept: 3}\n")
    with pytest.raises(
        SpecError,
        match=r"paper\.yaml:4: mini\.model\.dept: the network of each of these rows has no argument 'dept'; .*'depth'",
    ):
        load_paper("lab")


def test_a_quoted_row_has_no_scale(own_paper: OwnPaper) -> None:
    own_paper("  - {id: one, label: One, quoted: true, mini: {train: {epochs: 3}}}\n")
    with pytest.raises(SpecError, match=r"table1\.yaml:13: rows\[0\]\.mini: a row that only quotes numbers runs at no"):
        load_paper("lab")


def test_small_scales_stand_where_blocks_stand(own_paper: OwnPaper) -> None:
    own_paper(defaults=lab.DEFAULTS + "mini: {train: {epochs: 3}}\n")
    with pytest.raises(SpecError, match=r"table1\.yaml:12: mini: stands in `defaults`, a row, a measurement or"):
        load_paper("lab")


# ---- scales ----------------------------------------------------------------------------------------------------------


def test_scales_are_a_chain() -> None:
    assert layered("smoke") == ("paper", "mini", "smoke")
    assert layered("paper") == ("paper",)
    assert layered("lab") == ("paper", "lab")
    assert smallest_first() == ("smoke", "mini", "lab", "paper")


def test_another_scale_is_one_line_of_python(
    own_paper: OwnPaper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(scales.SCALES, "week", About(lies_on="paper", real=True))
    monkeypatch.chdir(tmp_path)
    own_paper(paper=MINI + "week: {why: days, train: {epochs: 12}}\n")
    made = at("lab/table1:one", "week")
    assert made.train is not None and (made.train.epochs, made.data.size) == (12, 224)
    assert main(["show", "lab/table1:one", "--scale", "week"]) == 0
    assert "train.epochs  50 -> 12  (days)" in capsys.readouterr().out
    assert main(["plan", "lab/table1:one", "--scale", "week"]) == 0
    assert "1 distinct training run at week scale" in capsys.readouterr().out


def test_a_measurement_can_be_limited_to_scales(own_paper: OwnPaper) -> None:
    own_paper("  - {id: one, label: One, measurements: {main: {scales: [paper]}, small: {scales: [mini, smoke]}}}\n")
    row = select(["lab/table1:one"])[0]
    assert [[m.name for m in measurements(row, scale)] for scale in ("paper", "mini", "smoke")] == [
        ["main"],
        ["small"],
        ["small"],
    ]


def test_an_unknown_scale_is_refused(own_paper: OwnPaper) -> None:
    own_paper("  - {id: one, label: One, measurements: {main: {scales: [paper, minni]}}}\n")
    with pytest.raises(
        SpecError, match=r"main\.scales\[1\]: is 'minni', must be one of paper, lab, mini, smoke; did you"
    ):
        load_paper("lab")


# ---- pretraining -----------------------------------------------------------------------------------------------------


def test_a_pretraining_is_the_rows_recipe_on_single_frames_of_another_set(own_paper: OwnPaper) -> None:
    paper = MINI.replace("smoke:", "  init: {pretraining: {dataset: stills, model: vit}}\nsmoke:")
    own_paper("  - {id: one, label: One, mini: {why: x, data: {limit_train: 99}}}\n", paper=paper)
    (measurement,) = measurements(select(["lab/table1:one"])[0], "mini", seed=3)
    row, start = measurement.evaluation.training, measurement.evaluation.training.ancestors()[0]
    assert (start.data.dataset, start.data.num_frames, start.data.stride, start.data.size) == ("stills", 1, 1, 24)
    assert (row.data.limit_train, start.data.limit_train) == (99, None)
    assert (start.train, start.augment, start.seed, start.init.training) == (row.train, row.augment, 0, None)
    assert start.model.name == "vit" and start.model.arguments["depth"] == row.model.arguments["depth"]


def test_what_a_pretraining_says_lies_on_the_rows_recipe_and_smaller_scales_lie_on_that(own_paper: OwnPaper) -> None:
    said = (
        "{dataset: stills, model: {name: vit, zero_head: false}, data: {size: 32}, train: {epochs: 30, batch_size: 8}}"
    )
    paper = MINI.replace("smoke:", f"  init: {{pretraining: {said}}}\nsmoke:")
    paper = paper.replace(
        "smoke: {why: wiring only,", "smoke: {why: wiring only, data: {limit_train: 4, num_frames: 2},"
    )
    own_paper(paper=paper)
    mini, smoke = (
        measurements(select(["lab/table1:one"])[0], scale)[0].evaluation.training.ancestors()[0]
        for scale in ("mini", "smoke")
    )
    assert (mini.data.size, mini.train.epochs, mini.train.batch_size, mini.train.lr) == (32, 30, 8, 0.01)
    assert mini.model.arguments["zero_head"] is False
    assert (smoke.data.limit_train, smoke.train.epochs, smoke.train.batch_size) == (4, 1, 8)
    assert (smoke.data.dataset, smoke.data.num_frames) == ("stills", 1)  # still single frames of that set


def test_an_empty_argument_is_left_to_the_network_of_single_frames(own_paper: OwnPaper) -> None:
    said = "{dataset: stills, model: {name: swin, window_frames: null}}"
    own_paper(
        "  - {id: one, label: One, model: {name: swin, window_frames: 8}}\n",
        paper=MINI.replace("smoke:", f"  init: {{pretraining: {said}}}\nsmoke:"),
    )
    start = measurements(select(["lab/table1:one"])[0], "mini")[0].evaluation.training.ancestors()[0]
    assert "window_frames" not in start.model.arguments and start.model.arguments["window_size"] == 7


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{dataset: stills}", "init.pretraining.name: missing; a pretraining names its network"),
        ("{model: vit}", "init.pretraining.dataset: missing; a pretraining names its data set"),
        ("stills", "must be keys and values, as {dataset: NAME, model: NAME}, not 'stills'"),
        ("{dataset: stils, model: vit}", "init.pretraining.dataset: no data set 'stils'; did you mean"),
        ("{dataset: stills, model: vti}", "init.pretraining.model: no model 'vti'; did you mean 'vit'?"),
        ("{dataset: stills, model: vit, trian: {lr: 1.0}}", "trian: no key 'trian'; did you mean 'train'?"),
        ("{dataset: stills, model: vit, train: {lrr: 1.0}}", "train.lrr: no key 'lrr'; did you mean 'lr'?"),
        ("{dataset: stills, model: {name: vit, dept: 3}}", "vit() has no argument 'dept'; did you mean 'depth'?"),
        ("{dataset: stills, model: vit, train: {epochs: 0}}", "train.epochs: is 0, must be at least 1"),
    ],
)
def test_a_pretraining_that_cannot_be_is_one_line(own_paper: OwnPaper, said: str, message: str) -> None:
    own_paper(f"  - {{id: one, label: One, mini: {{why: x, init: {{pretraining: {said}}}}}}}\n")
    with pytest.raises(SpecError) as caught:
        measurements(select(["lab/table1:one"])[0], "mini")
    assert message in str(caught.value)
    assert "table1.yaml:13: " in str(caught.value) and "\n" not in str(caught.value)


def test_an_image_checkpoint_becomes_a_pretraining_shared_by_all_rows_and_seeds_of_a_size() -> None:
    for scale in ("smoke", "mini"):
        for tables, count in ((("1", "2", "3"), 1), (("4", "5"), 1), (("1", "2", "3", "4", "5"), 2)):
            rows = select([f"msca/table{n}" for n in tables])
            trainings = [m.evaluation.training for r in rows for seed in (0, 1) for m in measurements(r, scale, seed)]
            assert all(training.init.weights is None for training in trainings)
            assert len({training.ancestors()[0].key for training in trainings}) == count
    start = measurements(select(["msca/table2:msca-kv"])[0], "mini", seed=2)[0].evaluation.training.init.training
    assert start is not None
    assert (start.data.dataset, start.seed, start.model.name, start.init.training) == ("stills", 0, "vit", None)


def test_every_pretrained_network_of_the_papers_has_the_size_of_the_one_it_serves() -> None:
    for row in select():
        for name, spec in row.recipes.items():
            if row.status != "runnable" or "mini" not in spec.scales:
                continue
            init = recipe_at(row, name, "mini").init
            if init is None or not isinstance(init.pretraining, Pretraining):
                continue
            training = next(m for m in measurements(row, "mini") if m.name == name).evaluation.training
            served, start = training.model.arguments, training.ancestors()[0]
            assert start.model.arguments["embed_dim"] == served["embed_dim"]
            changed = init.pretraining.settings.get("model", {})
            assert {k: v for k, v in start.model.arguments.items() if k not in changed} == {
                k: v for k, v in served.items() if k in start.model.arguments and k not in changed
            }
            assert start.data.size == training.data.size
