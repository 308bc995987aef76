"""What `vtbench check` finds beyond the schema."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.spec.checks import check

Edit = Callable[[str, str, str], int]


def found() -> str:
    problems = check("msca")[1]
    assert all("\n" not in problem and problem.startswith("benchmarks/msca/") for problem in problems)
    return "\n".join(problems)


def test_the_paper_as_it_is_has_no_problem(benchmarks: Path) -> None:
    assert found() == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("paper.yaml", '  data.stride: {paper: "4.1"}\n', "", "row 'vit': data.stride has no source"),
        (
            "paper.yaml",
            "  data.stride:",
            "  data.strid:",
            "paper.yaml: sources.data.strid: no row of the paper has this key",
        ),
        (
            "paper.yaml",
            "{decision: msca-nb-nb,",
            "{decision: msca-nb,",
            "no decision 'msca-nb'; did you mean 'msca-nb-nb'?",
        ),
        ("paper.yaml", "{not_stated: warmup,", "{not_stated: warm-up,", "no entry 'warm-up' in not_stated"),
        (
            "paper.yaml",
            "  model.tokenshift.first:",
            "  model.msca.first:",
            "row 'tokenshift': model.first has no source",
        ),
        (
            "table2.yaml",
            "rows:\n",
            'sources: {data.stried: {paper: "4"}}\nrows:\n',
            "table2.yaml: sources.data.stried: no row",
        ),
        (
            "table4.yaml",
            "backward_patches: 4",
            "backward_patches: 5",
            "5 of 196 patches is 1.25 of 49, not a whole number",
        ),
        (
            "table2.yaml",
            "kinetics400",
            "kinetics40",
            "no data set is called 'kinetics40'; did you mean 'kinetics400'",
        ),
        ("table1.yaml", "- id: vit\n", '- id: vit\n    init: {row: "msca/table1:vit"}\n', "init.row goes in a circle"),
    ],
)
def test_a_problem_is_named_with_file_row_and_key(edit: Edit, file: str, old: str, new: str, message: str) -> None:
    edit(f"msca/{file}", old, new)
    assert message in found()


def test_errors_in_several_tables_are_all_reported(edit: Edit) -> None:
    lines = [edit(f"msca/table{n}.yaml", "num_frames", "num_frame") for n in (2, 5)]
    assert [f"table{n}.yaml:{line}:" in found() for n, line in zip((2, 5), lines, strict=True)] == [True, True]


def test_a_table_can_add_sources_for_its_own_keys(edit: Edit) -> None:
    edit("msca/table2.yaml", "rows:\n", 'sources: {data.stride: {paper: "another section"}}\nrows:\n')
    assert found() == ""


def test_a_missing_data_set_is_a_problem_of_the_rows_that_use_it(benchmarks: Path) -> None:
    shutil.rmtree(benchmarks.parent / "data_manifests" / "kinetics400")
    assert "table1.yaml:5: defaults.data.dataset: no data set is called 'kinetics400'" in found()
    assert "table5.yaml:9: defaults.data.dataset: no data set is called 'kinetics400'" in found()


def test_a_row_that_mirrors_what_has_no_mirrored_label_is_reported(benchmarks: Path) -> None:
    path = benchmarks.parent / "data_manifests" / "kinetics400" / "dataset.yaml"
    path.write_text(path.read_text() + "flip: {forbidden: true}\n")
    assert (
        "row 'vit': augment.flip is 0.5: a mirrored video of kinetics400 has no label; set augment.flip: 0" in found()
    )


def test_test_protocols_that_a_small_scale_would_merge_are_reported(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: vit\n", "- id: vit\n    eval: {clips: 1}\n")
    assert "row 'vit': is the evaluation of msca/table1:vit at mini scale but not at paper scale" in found()


def test_rows_that_a_small_scale_would_merge_are_reported(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: vit\n", "- id: vit\n    train: {epochs: 18, milestones: [10, 15]}\n")
    assert "row 'vit': is the training of msca/table1:vit at mini scale but not at paper scale" in found()
