"""The small scales: what changes, what must stay whole, and that rows printed apart stay apart."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError
from vtbench.spec import select
from vtbench.spec.scale import PRETRAINING_NETWORK, RULES, SIZES, at_scale
from vtbench.spec.schema import Recipe

Edit = Callable[[str, str, str], int]


def at(row_id: str, scale: str) -> Recipe:
    row = select([row_id])[0]
    return at_scale(row, row.recipes["main"].recipe, scale)[0]


def test_paper_scale_is_the_file_itself() -> None:
    row = select(["msca/table2:msca-kv"])[0]
    recipe = row.recipes["main"].recipe
    assert at_scale(row, recipe, "paper") == (recipe, [])


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_every_change_is_told_with_old_value_new_value_and_reason(scale: str) -> None:
    row = select(["msca/table4:msca-pkv-8"])[0]
    paper = row.recipes["main"].recipe
    recipe, changes = at_scale(row, paper, scale)
    before, after = paper.leaves(), recipe.leaves()
    assert {c.key for c in changes} == {k for k in before | after if before.get(k) != after.get(k)}
    assert all((c.paper, c.now) == (before.get(c.key), after.get(c.key)) and c.why for c in changes)


def test_a_setting_without_a_rule_stays_the_papers() -> None:
    for key in ("model.shifted", "model.backward_heads", "augment.flip"):
        assert key not in RULES["mini"]
        assert at("msca/table2:msca-kv", "mini").leaves()[key] == at("msca/table2:msca-kv", "paper").leaves()[key]


def test_the_share_of_shifted_blocks_and_patches_stays() -> None:
    for scale in ("smoke", "mini"):
        for name, blocks in (("4", 4), ("8", 8), ("12", 12)):
            arguments = at(f"msca/table3:msca-kv-{name}", scale).model.arguments
            assert arguments["num_msca_blocks"] * 12 == blocks * arguments["depth"]
    for patches in (8, 16, 32, 48, 64):
        recipe = at(f"msca/table4:msca-pkv-{patches}", "mini")
        arguments = recipe.model.arguments
        count = (recipe.data.size // arguments["patch_size"]) ** 2
        assert (arguments["backward_patches"] + arguments["forward_patches"]) * 196 == patches * count
        assert arguments["backward_patches"] == arguments["forward_patches"]


def test_a_number_that_does_not_stay_whole_is_an_error_naming_row_and_key(edit: Edit) -> None:
    edit("msca/table4.yaml", "backward_patches: 4", "backward_patches: 3")
    message = re.escape(
        "msca/table4:msca-pkv-8: model.backward_patches 3 of 196 patches is 0.75 of 49, not a whole number"
    )
    with pytest.raises(SpecError, match=message):
        at("msca/table4:msca-pkv-8", "mini")
    assert at("msca/table4:msca-pkv-8", "paper").model.arguments["backward_patches"] == 3


def test_a_data_set_without_a_stand_in_is_an_error_naming_row_and_key(edit: Edit, benchmarks: Path) -> None:
    manifests = benchmarks.parent / "data_manifests"
    shutil.copytree(manifests / "kinetics400", manifests / "kinetics401")
    edit("msca/table2.yaml", "kinetics400", "kinetics401")
    with pytest.raises(SpecError, match=r"msca/table2:vit: data\.dataset has no rule for 'kinetics401'"):
        at("msca/table2:vit", "mini")


def test_an_image_checkpoint_becomes_a_pretraining_shared_by_all_rows_and_seeds_of_a_size() -> None:
    for scale in ("smoke", "mini"):
        for tables, count in ((("1", "2", "3"), 1), (("4", "5"), 1), (("1", "2", "3", "4", "5"), 2)):
            rows = select([f"msca/table{n}" for n in tables])
            trainings = [m.evaluation.training for r in rows for seed in (0, 1) for m in r.measurements(scale, seed)]
            assert all(training.init.weights is None for training in trainings)
            assert len({training.ancestors()[0].key for training in trainings}) == count
    start = select(["msca/table2:msca-kv"])[0].measurements("mini", seed=2)[0].evaluation.training.init.training
    assert (start.data.dataset, start.seed, start.model.name, start.init.training) == ("stills", 0, "vit", None)


def test_the_pretrained_network_has_the_size_of_the_one_it_serves() -> None:
    for row in select():
        for measurement in row.measurements("mini"):
            training = measurement.evaluation.training
            if training.model.name not in PRETRAINING_NETWORK:
                continue
            pretrained = training.ancestors()[0]
            sizes = {name: value for name, value in training.model.arguments.items() if name in SIZES}
            assert sizes["embed_dim"]
            shared = pretrained.model.arguments.keys() & sizes.keys()
            assert {name: pretrained.model.arguments[name] for name in shared} == {name: sizes[name] for name in shared}
            assert sizes.keys() - shared <= {"drop_path"}  # which the frame-wise ViT does not have
            assert pretrained.data.size == training.data.size


def test_training_from_scratch_stays_from_scratch(edit: Edit) -> None:
    edit("msca/table2.yaml", "init: {weights: vit_base_patch16_224.orig_in21k}", "init: {scratch: true}")
    start = select(["msca/table2:vit"])[0].measurements("mini")[0].evaluation.training.init
    assert (start.weights, start.training) == (None, None)


def test_the_second_measurement_of_table_3_exists_at_the_small_scales_only() -> None:
    for row in select(["msca/table3"]):
        assert [m.name for m in row.measurements("paper")] == ["main"]
        main, events = row.measurements("mini")
        assert (main.name, events.name) == ("main", "events")
        assert (main.evaluation.data.dataset, events.evaluation.data.dataset) == ("cycle", "events")
        assert events.evaluation.training.init.training == main.evaluation.training
        before, after = main.evaluation.training.train, events.evaluation.training.train
        assert (before.epochs, before.lr, after.epochs, after.lr) == (5, 3e-3, 10, 1e-3)


def test_a_start_from_a_measurement_that_lacks_the_scale_is_refused(edit: Edit) -> None:
    edit("msca/table3.yaml", "    main: {}\n", "    main: {scales: [paper]}\n")
    with pytest.raises(SpecError, match=r"init\.measurement: 'main' does not exist at mini scale"):
        select(["msca/table3:vit"])[0].measurements("mini")


def test_a_training_can_start_from_another_rows_training(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", '- id: msca-kv\n    init: {row: "msca/table1:vit"}\n')
    for scale in ("paper", "mini"):
        training = select(["msca/table2:msca-kv"])[0].measurements(scale, seed=3)[0].evaluation.training
        other = select(["msca/table1:vit"])[0].measurements(scale, seed=3)[0].evaluation.training
        assert training.init.training == other
        assert training.ancestors()[-1] == other


def test_a_chain_of_trainings_is_given_from_its_beginning(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", '- id: msca-kv\n    init: {row: "msca/table2:vit"}\n')
    edit("msca/table1.yaml", "- id: msca-kv-4\n", '- id: msca-kv-4\n    init: {row: "msca/table2:msca-kv"}\n')
    training = select(["msca/table1:msca-kv-4"])[0].measurements("mini")[0].evaluation.training
    assert [t.model.name for t in training.ancestors()] == ["vit", "vit", "msca"]
    assert [t.data.dataset for t in training.ancestors()] == ["stills", "cycle", "cycle"]


def test_trainings_that_start_from_each_other_are_refused(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", '- id: msca-kv\n    init: {row: "msca/table1:vit"}\n')
    edit("msca/table1.yaml", "- id: vit\n", '- id: vit\n    init: {row: "msca/table2:msca-kv"}\n')
    chain = "msca/table2:msca-kv -> msca/table1:vit -> msca/table2:msca-kv"
    with pytest.raises(SpecError, match=f"init.row goes in a circle: {chain}"):
        select(["msca/table2:msca-kv"])[0].measurements("paper")


@pytest.mark.parametrize(
    ("row", "message"),
    [("msca/table1", "must name one row"), ("msca/table1:vti", "did you mean 'msca/table1:vit'")],
)
def test_a_start_that_is_no_row_is_refused(edit: Edit, row: str, message: str) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", f'- id: msca-kv\n    init: {{row: "{row}"}}\n')
    with pytest.raises(SpecError, match=message):
        select(["msca/table2:msca-kv"])[0].measurements("paper")


def test_from_leaves_is_the_inverse_of_leaves() -> None:
    for row in select():
        for spec in row.recipes.values():
            leaves = spec.recipe.leaves()
            again = Recipe.from_leaves(leaves)
            assert again.leaves() == leaves
            assert dataclasses.replace(again, model=spec.recipe.model) == spec.recipe
