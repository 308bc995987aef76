"""Variants, decisions, official values and whole configs: what stands beside a row, and how it is run."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vtbench.cli import main
from vtbench.errors import SpecError, UsageError
from vtbench.papers import load_all, load_paper, measurements, select
from vtbench.papers.check import check
from vtbench.papers.decisions import cited, decisions_of, in_short, rows_touched, unsaid
from vtbench.papers.official import compare, official_settings, setting_of
from vtbench.papers.override import changed_rows, split_title, variants_of
from vtbench.papers.resolve import changes_at, recipe_at
from vtbench.papers.resolved import read_spec, resolved
from vtbench.papers.roots import PACKAGE
from vtbench.scales import SCALES, Scale

ROW = "laps/table1:laps"

# ---- variants --------------------------------------------------------------------------------------------------------


def test_the_official_code_of_laps_is_one_name_away() -> None:
    (row,) = changed_rows(select([ROW]), ["official-code"], [])
    assert row.variant == "official-code"
    assert {c.key: c.now for c in changes_at(row, "main", "paper")} == {
        "model.first": "next", "eval.clips": 10, "eval.frames": "linspace", "data.frames": "linspace",
        "train.keep": "best_on_test",
    }  # fmt: skip
    own, changed = (measurements(r, "paper")[0] for r in (select([ROW])[0], row))
    assert own.evaluation.training.key != changed.evaluation.training.key
    assert (own.variant, changed.variant) == (None, "official-code")


def test_a_part_of_a_variant_holds_for_the_rows_that_it_names() -> None:
    def levels(row: str) -> object:
        (changed,) = changed_rows(select([row]), ["official-code"], [])
        return recipe_at(changed, "main", "paper").leaves().get("model.levels")

    assert levels("laps/table3:laps-l") == (1, 2, 3, 4)
    assert levels("laps/table3:laps-h") == (1, 2, 3, 4, 5)
    assert levels("laps/table2:r333") == (3, 3, 3)
    assert levels("laps/table3:laps-vt") == (1, 2, 3, 1)
    assert levels("laps/table1:base2d") is None


@pytest.mark.parametrize("scale", SCALES)
def test_every_variant_resolves_at_every_scale(scale: Scale) -> None:
    count = 0
    for paper in load_all():
        for row in paper.rows:
            for name in variants_of(row) if row.status == "runnable" else ():
                (changed,) = changed_rows([row], [name], [])
                for measurement in measurements(changed, scale):
                    count += measurement.variant == name
    assert count > (100 if SCALES[scale].by_default else 30)


def test_variants_and_settings_lie_on_each_other_and_are_both_in_the_name() -> None:
    (row,) = changed_rows(select([ROW]), ["laps-views"], ["train.lr=0.01", "eval.clips=2"])
    assert row.variant == "laps-views;eval.clips=2;train.lr=0.01"
    assert recipe_at(row, "main", "paper").leaves()["eval.clips"] == 2
    assert split_title(row.variant) == ["laps-views", "eval.clips=2", "train.lr=0.01"]
    assert split_title("model.x='a;b';train.lr=1") == ["model.x='a;b'", "train.lr=1"]


def test_what_changes_nothing_is_the_rows_own() -> None:
    (row,) = changed_rows(select([ROW]), [], ["eval.clips=5"])
    assert measurements(row, "paper")[0].variant is None
    assert measurements(row, "mini")[0].variant == "eval.clips=5"


def test_a_pretraining_stays_what_it_was() -> None:
    own, changed = (
        measurements(row, "mini")[0].evaluation.training
        for row in (select([ROW])[0], *changed_rows(select([ROW]), ["official-code"], ["train.lr=0.001"]))
    )
    assert own.key != changed.key and own.ancestors()[0].key == changed.ancestors()[0].key


def test_a_variant_that_a_row_does_not_have_is_one_line() -> None:
    with pytest.raises(
        UsageError, match=r"^--variant laps-levels-vit: laps/table1:laps has no variant 'laps-levels-vit'"
    ):
        changed_rows(select([ROW]), ["laps-levels-vit"], [])
    with pytest.raises(UsageError, match=r"did you mean 'official-code'\?$"):
        changed_rows(select(["laps"]), ["oficial-code"], [])
    assert {row.id for row in changed_rows(select(["laps"]), ["laps-levels-vit"], [])} == {"laps/table3:laps-vt"}


@pytest.fixture
def paper(tmp_path: Path, include: Callable[..., object]) -> Path:
    """A copy of MSCA in a folder of its own, under another name."""
    folder = tmp_path / "benchmarks" / "other"
    shutil.copytree(PACKAGE.parent / "benchmarks" / "msca", folder)
    include(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "msca-window: {data: {starts: no_last}}",
            "msca-windows: {data: {starts: no_last}}",
            "no decision 'msca-windows'",
        ),
        ("{data: {starts: no_last}}\n", "{data: {start: no_last}}\n", "no key 'start'; did you mean 'starts'?"),
        (
            "{data: {starts: no_last}}\n",
            "{data: {starts: first}}\n",
            "is 'first', must be one of span, no_last, no_first",
        ),
        ("{data: {starts: no_last}}\n", "{data: {starts: span}}\n", "variants.msca-window: changes no row"),
        ("{data: {starts: no_last}}\n", "{}\n", "changes nothing; give it blocks"),
        ("{data: {starts: no_last}}\n", "[1]\n", "must be blocks"),
        ("{data: {starts: no_last}}\n", "{dat: {starts: no_last}}\n", "no key 'dat'; did you mean 'data'?"),
    ],
)
def test_a_wrong_variant_is_found_by_check(paper: Path, old: str, new: str, message: str) -> None:
    file = paper / "paper.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    (paper / "official.yaml").unlink()
    _, problems = check("other")
    assert any(message in line for line in problems), problems


# ---- decisions -------------------------------------------------------------------------------------------------------


def test_a_row_has_the_decisions_that_it_notes_and_that_its_sources_cite() -> None:
    paper = load_paper("laps")
    row = select([ROW])[0]
    found = decisions_of(paper, row)
    assert {"laps-cascade-order", "laps-gpus", "laps-stride", "laps-clips"} <= set(found)
    assert "laps-levels-vit" not in found
    assert set(unsaid(paper, row)) == {"warmup", "precision", "initialisation of the head"}


def test_quoted_rows_have_no_notes_on_trainings() -> None:
    for paper in load_all():
        for row in paper.rows:
            if row.status == "published-only" and not row.recipes:
                assert not {"laps-gpus", "pst-warmup", "msca-best-epoch", "mmvit-lr"} & cited(paper, row)


def test_every_decision_says_which_rows_it_touches() -> None:
    for paper in load_all():
        assert all(rows_touched(paper).values())
    paper = load_paper("laps")
    assert in_short(rows_touched(paper)["laps-gpus"], paper) == ["laps"]
    assert in_short(rows_touched(paper)["laps-levels-vit"], paper) == ["laps/table3:laps-vt"]


# ---- official values -------------------------------------------------------------------------------------------------


def test_enough_keys_are_held_against_the_public_codes() -> None:
    counts = {paper.name: len(compare(paper).keys) for paper in load_all()}
    assert counts["laps"] >= 25 and counts["pst"] >= 25
    assert counts["msca"] >= 25 and counts["mmvit"] >= 25
    for paper in load_all():
        found = compare(paper)
        assert not found.problems and all(d.setting.decision for d in found.differences)


def test_a_value_of_a_code_has_its_line_at_the_commit() -> None:
    row = select(["laps/table3:laps-rb"])[0]
    setting = setting_of(row, row.recipes["main"], "train.batch_size")
    assert setting is not None and setting.value == 30
    assert setting.url == (
        "https://github.com/VideoNetworks/LAPS-transformer/blob/bf1a249cd6af648c3763575cb319073a85ddddf8/"
        "config/custom/k400/rest/rest_base_8x8_cshift_SA.yaml#L27"
    )
    row = select(["mmvit/table1:mm-vit-i"])[0]
    scale = setting_of(row, row.recipes["split1"], "augment.input_scale")
    assert scale is not None and scale.url.startswith("https://github.com/chaoyuaw/pytorch-coviar/blob/4f0857a")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "train.lr: {value: 0.1,",
            "train.lr: {value: 0.2,",
            "train.lr: is 0.2 in the code and 0.1 in other/table1:vit and 32 more",
        ),
        (", decision: msca-window}", "}", "data.starts: is no_last in the code and span in"),
        ("train.gamma: {value: 0.1,", "train.gamma: {decision: msca-window, value: 0.1,", "remove the decision"),
        ("decision: msca-window", "decision: msca-windw", "did you mean 'msca-window'"),
        ("model.name: tokenshift", "model.name: tokenshft", "is of no row"),
        ("when: {model.name:", "when: {model.nam:", "when: no key 'model.nam'; did you mean 'model.name'?"),
        ("      data.size: {", "      data.sise: {", "no key 'data.sise'; did you mean 'data.size'?"),
        ("line: 31}", "line: 0}", "is 0, must be at least 1"),
        ("  - file: config", "  - source: nobody\n    file: config", "no source 'nobody'"),
        ("      data.size: {value: 224, line: 45}\n", "", None),
        (
            "      augment.mean: {value: 0.5, line: 14}\n",
            "",
            "augment.mean is from the code, and official.yaml has no line of it",
        ),
    ],
)
def test_an_undecided_difference_is_an_error(paper: Path, old: str, new: str, message: str | None) -> None:
    file = paper / "official.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    official_settings.cache_clear()
    _, problems = check("other")
    official_settings.cache_clear()
    assert any(message in line for line in problems) if message else not problems, problems


# ---- whole configs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_a_config_as_it_was_written_is_the_rows_own(tmp_path: Path, scale: Scale) -> None:
    for selector in (
        ROW,
        "pst/table7:deit-s-tps",
        "mmvit/table1:mm-vit-i@split2",
        "msca/table3:msca-kv-8",
        "laps/table5:laps-h",
    ):
        row = select([selector])[0]
        names = [name for name, spec in row.asked_recipes.items() if scale in spec.scales]
        if not names:  # at lab scale not every row exists
            continue
        (file := tmp_path / "spec.yaml").write_text(resolved(select([f"{row.id}@{names[0]}"])[0], scale))
        read, read_scale = read_spec(file)
        assert (read.variant, read_scale) == (None, scale)
        assert measurements(read, scale) == measurements(select([f"{row.id}@{names[0]}"])[0], scale)


def edited(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load(resolved(select([f"{ROW}@main"])[0], "mini"))
    for key, value in changes.items():
        block, _, name = key.partition("__")
        if value is None:
            del content[block][name]
        else:
            content[block][name] = value
    (file := tmp_path / "spec.yaml").write_text(yaml.safe_dump(content))
    return file


def test_an_edited_config_is_a_variant_named_by_its_difference(tmp_path: Path) -> None:
    row, scale = read_spec(edited(tmp_path, train__lr=0.01, train__precise_bn=None, augment__flip=0))
    assert row.variant == "augment.flip=0;train.lr=0.01;train.precise_bn=null"
    (measurement,) = measurements(row, scale)
    train = measurement.evaluation.training.train
    assert measurement.variant == row.variant and train.lr == 0.01 and "precise_bn" not in train.arguments
    own = measurements(select([f"{ROW}@main"])[0], "mini")[0].evaluation.training
    assert dataclasses.replace(own, train=train, augment=measurement.evaluation.training.augment).key == (
        measurement.evaluation.training.key
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__lrr": 1.0}, r"spec.yaml:\d+: train.lrr: no key 'train.lrr'; did you mean 'train.lr'"),
        ({"train__lr": -1.0}, r"spec.yaml:\d+: train.lr: is -1.0, must be above 0"),
        ({"model__name": "rest"}, r"model.name: the row's network is laps_visformer; write a row of your own"),
        ({"eval__clips": None}, r"eval.clips: missing|clips"),
        ({"eval__crops": 2}, r"eval.crops: is 2, must be one of 1, 3"),
        ({"train__accumulate": True}, r"train.accumulate: must be a whole number, not True"),
        ({"train__label_smoothing": False}, r"train.label_smoothing: must be a number"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read_spec(edited(tmp_path, **changes))


@pytest.mark.parametrize("block", ["data", "augment", "model", "init", "train", "eval"])
def test_a_config_without_a_block_is_refused(tmp_path: Path, block: str) -> None:
    """Else it would be taken for the row's own: without `init`, the pretraining would still be there."""
    content = yaml.safe_load(resolved(select([f"{ROW}@main"])[0], "mini"))
    del content[block]
    (file := tmp_path / "spec.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(SpecError, match=rf"spec.yaml:1: {block}: missing: a config says everything"):
        read_spec(file)


def test_another_start_is_a_variant(tmp_path: Path) -> None:
    content = yaml.safe_load(resolved(select([f"{ROW}@main"])[0], "mini"))
    (file := tmp_path / "spec.yaml").write_text(yaml.safe_dump({**content, "init": {"scratch": True}}))
    row, scale = read_spec(file)
    (measurement,) = measurements(row, scale)
    assert measurement.evaluation.training.init.training is None and row.variant == "init.scratch=true"
    file.write_text(yaml.safe_dump({**content, "init": {}}))
    with pytest.raises(SpecError, match=r"init: is empty|init"):
        read_spec(file)


def test_what_is_wrong_with_a_config_is_in_its_file(tmp_path: Path) -> None:
    row, _ = read_spec(edited(tmp_path, train__lr=0.01))
    assert row.where.startswith(f"{tmp_path}/spec.yaml:")


def test_a_config_has_a_scale_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = edited(tmp_path)
    assert main(("run", "--spec", str(file), "--scale", "smoke", "--results", str(tmp_path))) == 2
    assert f"--spec {file} is of mini scale; leave out --scale smoke" in capsys.readouterr().err


def test_a_config_names_a_row_and_a_scale(tmp_path: Path) -> None:
    (file := tmp_path / "spec.yaml").write_text("scale: mini\n")
    with pytest.raises(SpecError, match=r"spec.yaml:1: row: missing; `vtbench show ROW --resolved` writes it"):
        read_spec(file)
    for value in ("[a]", "", "1"):
        file.write_text(f"row: {value}\nscale: mini\n")
        with pytest.raises(SpecError, match=r"spec.yaml:1: row: must be text, as paper/table:row@measurement, not"):
            read_spec(file)
    file.write_text("row: laps/table1:lapse\nscale: mini\n")
    with pytest.raises(SpecError, match=r"spec.yaml:1: row: .*did you mean"):
        read_spec(file)
    file.write_text(f"row: {ROW}@main\nscale: tiny\n")
    with pytest.raises(SpecError, match=r"spec.yaml:2: scale: no scale 'tiny'"):
        read_spec(file)
    with pytest.raises(
        UsageError, match="has 2 measurements; name one of laps/table1:laps@main, laps/table1:laps@events"
    ):
        resolved(select([ROW])[0], "mini")
