"""What a training starts from: other rows, other measurements, and chains that do not end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError
from vtbench.papers import measurements, select

Edit = Callable[[str, str, str], int]
OwnPaper = Callable[..., Path]


def test_the_second_measurement_of_table_3_exists_at_the_small_scales_only() -> None:
    for row in select(["msca/table3"]):
        assert [m.name for m in measurements(row, "paper")] == ["main"]
        main, events = measurements(row, "mini")
        assert (main.name, events.name) == ("main", "events")
        assert (main.evaluation.data.dataset, events.evaluation.data.dataset) == ("cycle", "events")
        assert events.evaluation.training.init.training == main.evaluation.training
        before, after = main.evaluation.training.train, events.evaluation.training.train
        assert (before.epochs, before.lr, after.epochs, after.lr) == (5, 3e-3, 10, 1e-3)


def test_a_start_from_a_measurement_that_lacks_the_scale_is_refused(edit: Edit) -> None:
    edit("msca/table3.yaml", "    main: {scales: [smoke, mini, lab, paper]}\n", "    main: {scales: [paper]}\n")
    with pytest.raises(
        SpecError, match=r"table3\.yaml:31: \S+mini\.init\.measurement: 'main' of msca/table3:vit does not exist"
    ):
        measurements(select(["msca/table3:vit"])[0], "mini")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("mian", r"table3\.yaml:31: \S+mini\.init\.measurement: \S+ has no measurement 'mian'; did you mean 'main'"),
        (
            "events",
            r"table3\.yaml:31: \S+mini\.init\.measurement: goes in a circle: msca/table3:vit@events -> msca",
        ),
    ],
)
def test_a_start_that_is_no_other_measurement_of_the_row_is_refused(edit: Edit, start: str, message: str) -> None:
    edit("msca/table3.yaml", "init: {measurement: main}", f"init: {{measurement: {start}}}")
    with pytest.raises(SpecError, match=message):
        measurements(select(["msca/table3:vit"])[0], "mini")


def test_the_same_holds_at_paper_scale(edit: Edit) -> None:
    long = "{data: {stride: 64}, init: {measurement: mian}}"
    edit("msca/table2.yaml", "- id: vit\n", f"- id: vit\n    measurements: {{main: {{}}, long: {long}}}\n")
    with pytest.raises(
        SpecError,
        match=r"table2\.yaml:26: \S+long\.init\.measurement: \S+ has no measurement 'mian'; did you mean 'main'",
    ):
        measurements(select(["msca/table2:vit"])[0], "paper")


def test_a_training_can_start_from_another_rows_training(edit: Edit) -> None:
    start = 'init: {row: "msca/table1:vit"}'
    edit("msca/table2.yaml", "- id: msca-kv\n", f"- id: msca-kv\n    {start}\n    mini: {{why: as printed, {start}}}\n")
    for scale in ("paper", "mini"):
        training = measurements(select(["msca/table2:msca-kv"])[0], scale, seed=3)[0].evaluation.training
        other = measurements(select(["msca/table1:vit"])[0], scale, seed=3)[0].evaluation.training
        assert training.init.training == other
        assert training.ancestors()[-1] == other


def test_a_chain_of_trainings_is_given_from_its_beginning(edit: Edit) -> None:
    for table, row, start in (("table2", "msca-kv", "msca/table2:vit"), ("table1", "msca-kv-4", "msca/table2:msca-kv")):
        mini = f'    mini: {{why: x, init: {{row: "{start}"}}}}\n'
        edit(f"msca/{table}.yaml", f"- id: {row}\n", f"- id: {row}\n{mini}")
    training = measurements(select(["msca/table1:msca-kv-4"])[0], "mini")[0].evaluation.training
    assert [t.model.name for t in training.ancestors()] == ["vit", "vit", "msca"]
    assert [t.data.dataset for t in training.ancestors()] == ["stills", "cycle", "cycle"]


def test_trainings_that_start_from_each_other_are_refused(edit: Edit) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", '- id: msca-kv\n    init: {row: "msca/table1:vit"}\n')
    edit("msca/table1.yaml", "- id: vit\n", '- id: vit\n    init: {row: "msca/table2:msca-kv"}\n')
    chain = "msca/table2:msca-kv -> msca/table1:vit -> msca/table2:msca-kv"
    with pytest.raises(SpecError, match=rf"table1\.yaml:21: rows\[0\]\.init\.row: goes in a circle: {chain}"):
        measurements(select(["msca/table2:msca-kv"])[0], "paper")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("msca/table1", "must name one row"),
        ("msca/table1:vti", "did you mean 'msca/table1:vit'"),
        ("laps/table4:i3d", "is published-only, there is nothing to start from"),
    ],
)
def test_a_start_that_is_no_row_is_refused(edit: Edit, row: str, message: str) -> None:
    edit("msca/table2.yaml", "- id: msca-kv\n", f'- id: msca-kv\n    init: {{row: "{row}"}}\n')
    with pytest.raises(SpecError, match=rf"table2\.yaml:48: rows\[6\]\.init\.row: .*{message}"):
        measurements(select(["msca/table2:msca-kv"])[0], "paper")


def test_a_start_can_name_a_measurement_of_another_row(own_paper: OwnPaper) -> None:
    own_paper('  - {id: one, label: One, init: {row: "pst/table3:pst-t-in1k-1x1@sthv2"}}\n')
    training = measurements(select(["lab/table1:one"])[0], "paper")[0].evaluation.training
    (start,) = training.ancestors()
    assert start.data.dataset == "sthv2"


def test_rows_from_outside_can_start_from_a_printed_row_and_back_is_a_circle(own_paper: OwnPaper) -> None:
    rows = """\
  - {id: one, label: One, init: {row: "lab/table1:two"}}
  - {id: two, label: Two, init: {row: "msca/table2:vit"}}
"""
    own_paper(rows)
    training = measurements(select(["lab/table1:one"])[0], "paper")[0].evaluation.training
    assert [t.train.epochs for t in training.ancestors()] == [12, 50]
