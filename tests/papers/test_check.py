"""What `vtbench check` finds beyond the schema."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.papers.check import check

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
        (
            "paper.yaml",
            '  data.stride: {paper: "4.1"}\n',
            "",
            "table1.yaml:7: data.stride has no source (in 33 rows); add it",
        ),
        (
            "paper.yaml",
            "  data.stride:",
            "  data.strid:",
            "paper.yaml:203: sources.data.strid: no row of the paper has this key",
        ),
        (
            "paper.yaml",
            "{decision: msca-nb-nb,",
            "{decision: msca-nb,",
            "no decision 'msca-nb'; did you mean 'msca-nb-nb'?",
        ),
        ("paper.yaml", "{not_stated: warmup,", "{not_stated: warm-up,", "not_stated has no entry 'warm-up'"),
        (
            "paper.yaml",
            "  model.tokenshift.first:",
            "  model.msca.first:",
            "msca/table2.yaml:22: model.first has no source (in 2 rows)",
        ),
        (
            "table2.yaml",
            "rows:\n",
            'sources: {data.stried: {paper: "4"}}\nrows:\n',
            "table2.yaml:19: sources.data.stried: no row",
        ),
        (
            "paper.yaml",
            "    eval.clips: videos are short\n",
            "",
            "msca/paper.yaml:306: eval.clips has no reason at mini scale (in 33 rows); add it to `why` of the block",
        ),
        (
            "table4.yaml",
            "why: the same share of the patches, model",
            "data: {limit_train: 9}, model",
            "msca/table4.yaml:41: data.limit_train has no reason at mini scale; add it to `why` of the block",
        ),
        (
            "table2.yaml",
            "kinetics400",
            "kinetics40",
            "no data set 'kinetics40'; did you mean 'kinetics400'",
        ),
        (
            "table1.yaml",
            "- id: vit\n",
            '- id: vit\n    init: {row: "msca/table1:vit"}\n',
            "table1.yaml:21: rows[0].init.row: goes in a circle: msca/table1:vit -> msca/table1:vit",
        ),
        (
            "table2.yaml",
            "columns: {top-1: top1, top-5: top5}",
            "columns: {top-1: top1}",
            "table2.yaml:20: row 'tokenshift': top5 has no column; add it to `columns` of the table",
        ),
        (
            "table2.yaml",
            "columns: {top-1: top1, top-5: top5}",
            "columns: {top-1: top1, top-5: [top5, top1]}",
            "table2.yaml:1: columns: top1 stands in two of them",
        ),
        (
            "table2.yaml",
            "columns: {top-1: top1, top-5: top5}",
            "columns: {top-1: top1, top-5: top5, heads: null}",
            "table2.yaml:1: columns.heads: no row prints it; remove it",
        ),
        (
            "table2.yaml",
            "columns: {top-1: top1, top-5: top5}",
            "columns: {top-1: top1, top-5: 5}",
            "table2.yaml:3: columns.top-5: must be a metric, or a list of two, not 5, which is a whole number",
        ),
        ("table2.yaml", "columns: {top-1: top1, top-5: top5}", "columns: top1", "columns: must be headings with the"),
        (
            "table2.yaml",
            "reference: vit",
            "reference: vti",
            "table2.yaml:1: reference: this table has no row with a recipe 'vti'; did you mean 'vit'?",
        ),
        (
            "table1.yaml",
            "curve: heads",
            "curve: head",
            "table1.yaml:1: curve: this table has no column of `printed` 'head'; did you mean 'heads'?",
        ),
        (
            "table1.yaml",
            'printed: {heads: "2",',
            'printed: {heads: "two",',
            "table1.yaml:29: row 'msca-kv-2': heads is 'two', no number; write `curve: label`",
        ),
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
    assert "table1.yaml:7: defaults.data.dataset: no data set 'kinetics400'" in found()
    assert "table5.yaml:10: defaults.data.dataset: no data set 'kinetics400'" in found()


def test_a_row_that_mirrors_what_has_no_mirrored_label_is_reported(benchmarks: Path) -> None:
    path = benchmarks.parent / "data_manifests" / "kinetics400" / "dataset.yaml"
    path.write_text(path.read_text() + "flip: {forbidden: true}\n")
    assert found() == (
        "benchmarks/msca/table1.yaml:9: augment.flip is 0.5, and a mirrored video of kinetics400 has no label (in 33 "
        "rows); set augment.flip: 0 in the row"
    )


def test_test_protocols_that_a_small_scale_would_merge_are_reported(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: vit\n", "- id: vit\n    eval: {clips: 1}\n")
    assert "row 'vit': is the evaluation of msca/table1:vit at mini scale but not at paper scale" in found()


def test_rows_that_a_small_scale_would_merge_are_reported(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: vit\n", "- id: vit\n    train: {epochs: 18, milestones: [10, 15]}\n")
    assert "row 'vit': is the training of msca/table1:vit at mini scale but not at paper scale" in found()


def test_everything_that_is_wrong_is_reported_in_one_run(edit: Edit) -> None:
    """A row that cannot be read hides neither another row nor what is wrong beyond the schema."""
    lines = {
        "unknown argument": edit(
            "msca/table1.yaml", "shifted: kv, backward_heads: 1", "shfited: kv, backward_heads: 1"
        ),
        "unknown key in a row": edit("msca/table1.yaml", "label: ViT", "label: ViT\n    lable: ViT"),
        "unknown key in a layer": edit("msca/table4.yaml", "data: {size: 28}", "data: {siez: 28}"),
        "wrong value": edit("msca/table2.yaml", "lr: 0.1", "lr: -0.1"),
        "second wrong value": edit("msca/table2.yaml", "epochs: 12", "epochs: none"),
        "no source": edit("msca/paper.yaml", '  eval.crops: {paper: "4.1"}\n', ""),
    }
    problems = check("msca")[1]
    for file, line, what in (
        ("table1.yaml", lines["unknown argument"] + 1, "model.shfited: msca() has no argument 'shfited'"),
        ("table1.yaml", lines["unknown key in a row"] + 1, "rows[0].lable: no key 'lable'"),
        ("table4.yaml", lines["unknown key in a layer"], "mini.data.siez: no key 'siez'; did you mean 'size'?"),
        ("table2.yaml", lines["wrong value"], "defaults.train.lr: is -0.1, must be above 0"),
        ("table2.yaml", lines["second wrong value"], "defaults.train.epochs: must be a whole number"),
    ):
        assert any(p.startswith(f"benchmarks/msca/{file}:{line}: ") and what in p for p in problems), (what, problems)
    assert [p for p in problems if "eval.crops has no source" in p]
    assert len(problems) == len(set(problems)) == 6


def test_a_new_paper_is_told_which_values_lack_a_source_one_line_a_key(own_paper: Callable[..., Path]) -> None:
    rows = "  - {id: one, label: One}\n  - {id: two, label: Two, train: {lr: 0.002}}\n"
    own_paper(rows, paper='title: A paper\nsources: {data.dataset: {paper: "3"}, train.lr: {paper: "3"}}\n')
    problems = check("lab")[1]
    keys = [problem.partition(": ")[2].partition(" ")[0] for problem in problems]
    assert len(keys) == len(set(keys)) and "train.epochs" in keys and "model.depth" in keys
    assert not {"data.dataset", "train.lr"} & set(keys)
    epochs = next(problem for problem in problems if "train.epochs" in problem)
    assert epochs.endswith(
        "lab/table1.yaml:9: train.epochs has no source (in 2 rows); add it to `sources` of paper.yaml or of the table"
    )


def test_a_mistake_in_paper_yaml_does_not_hide_those_of_the_tables(edit: Edit) -> None:
    edit("msca/paper.yaml", "title:", "titel:")
    edit("msca/table1.yaml", "caption:", "captoin:")
    paper, problems = check("msca")
    assert paper is None
    assert "paper.yaml:1: titel: no key 'titel'; did you mean 'title'?" in problems[0]
    assert any("table1.yaml:1: captoin: no key 'captoin'" in problem for problem in problems)


def test_other_commands_say_how_many_problems_there_are(edit: Edit, capsys: pytest.CaptureFixture[str]) -> None:
    edit("msca/table1.yaml", "lr: 0.1", "lr: -0.1")
    edit("msca/table2.yaml", "lr: 0.1", "lr: -0.1")
    assert main(["list", "msca"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.endswith("must be above 0 (1 more problem: see `vtbench check`)\n")
