"""A row of the user's under a printed table: what it takes, what it says itself, and where each value comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError
from vtbench.papers import load_paper, measurements, select
from vtbench.papers.check import check
from vtbench.papers.sources import value_sources

OwnPaper = Callable[..., Path]

LIKE = "pst/table3:pst-t-in1k-1x1@sthv2"
TABLE = f'caption: Mine\ndefaults:\n  like: "{LIKE}"\n'
FROM_SCRATCH = "  mini: {why: none fits, init: {scratch: true}}\n"
ROW = "  - {id: mine, label: Mine, model: {name: vit, depth: 6}}\n"
METHOD = """\
from vtbench.methods.base import ScheduledClassifier


class Own(ScheduledClassifier):
    def __init__(self, network, *, own: int, **recipe):
        super().__init__(network, **recipe)
"""


def test_it_takes_everything_but_the_network(own_paper: OwnPaper) -> None:
    own_paper(ROW, defaults=TABLE)
    (mine,), (theirs,) = select(["lab/table1:mine"]), select([LIKE])
    assert (mine.like, list(mine.recipes), mine.status) == (LIKE, ["sthv2"], "runnable")
    own, taken = mine.recipes["sthv2"].recipe, theirs.recipes["sthv2"].recipe
    assert dataclasses.replace(own, model=taken.model) == taken
    assert own.model.name == "vit" and own.model.arguments["depth"] == 6
    assert not {"pattern", "window_size"} & own.model.arguments.keys()


def test_it_takes_the_small_scales_too(own_paper: OwnPaper) -> None:
    rows = (
        "  - {id: mine, label: Mine, model: {name: pst, embed_dim: 128}, mini: {why: mine, model: {embed_dim: 16}}}\n"
    )
    own_paper(rows, defaults=TABLE)
    for scale in ("mini", "smoke"):
        (mine,), (theirs,) = (measurements(select([name])[0], scale) for name in ("lab/table1:mine", LIKE))
        ours, printed = mine.evaluation.training, theirs.evaluation.training
        assert dataclasses.replace(ours, model=printed.model, init=printed.init) == printed
        assert mine.evaluation.eval == theirs.evaluation.eval
        # Its network is as it says, but for what the paper's small scales say of all networks that have the argument.
        assert (ours.model.arguments["embed_dim"], ours.model.arguments["patch_size"]) == (16, 4)
        (start,) = ours.ancestors()
        assert (start.data.dataset, start.model.name, start.model.arguments["embed_dim"]) == ("stills", "swin", 16)


def test_its_own_values_cite_its_file_and_what_it_takes_cites_the_row(own_paper: OwnPaper) -> None:
    folder = own_paper("  - {id: mine, label: Mine, model: {name: vit}, train: {lr: 0.01}}\n", defaults=TABLE)
    paper = load_paper("lab")
    sources = value_sources(paper, paper.rows[0], "sthv2")
    file = f"{folder}/benchmarks/lab/table1.yaml:5"
    assert {sources[key] for key in sources if key.startswith("model.")} == {file} and sources["train.lr"] == file
    assert str(sources["train.epochs"]).startswith(f"like {LIKE} (paper: 4.2")
    taken = {key: text for key, text in sources.items() if text != file}
    assert all(text is not None and text.startswith(f"like {LIKE} (") for text in taken.values())


def test_a_method_of_its_own_may_lack_arguments_of_the_other(own_paper: OwnPaper) -> None:
    """The row removes them. That paper.yaml removes them at a small scale then matters to other rows only."""
    row = "  - {{id: mine, label: Mine, model: {{name: vit}}, train: {{method: 'own_method:Own', own: 3{}}}}}\n"
    folder = own_paper(row.format(", backbone_lr: null"), defaults=TABLE + FROM_SCRATCH)
    (folder / "own_method.py").write_text(METHOD)
    for scale in ("paper", "mini"):
        (mine,) = measurements(select(["lab/table1:mine"])[0], scale)
        given = mine.evaluation.training.train.arguments
        assert given["own"] == 3 and "backbone_lr" not in given and given["optimizer"] == "adamw"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", r"backbone_lr: the method Own has no argument 'backbone_lr'.*; write backbone_lr: null beside the method"),
        (", backbone_lr: null, bakbone_lr: null", r"train\.bakbone_lr: no key 'bakbone_lr'; known: (?!.*network)"),
    ],
)
def test_an_argument_that_a_method_of_its_own_lacks_says_what_to_do(
    own_paper: OwnPaper, given: str, message: str
) -> None:
    row = f"  - {{id: mine, label: Mine, model: {{name: vit}}, train: {{method: 'own_method:Own', own: 3{given}}}}}\n"
    folder = own_paper(row, defaults=TABLE)
    (folder / "own_method.py").write_text(METHOD)
    with pytest.raises(SpecError, match=message):
        load_paper("lab")


def test_it_needs_no_sources_and_no_printed_table(own_paper: OwnPaper) -> None:
    own_paper(ROW, defaults=TABLE + FROM_SCRATCH)
    assert check("lab")[1] == []


def test_a_pretraining_that_does_not_fit_its_network_says_what_to_do(own_paper: OwnPaper) -> None:
    folder = own_paper(ROW, defaults=TABLE)
    (problem,) = check("lab")[1]
    assert problem == (
        f"{folder}/benchmarks/lab/table1.yaml:5: lab/table1:mine: init.pretraining at mini scale: swin() cannot have "
        "the num_heads of vit(), 12; give the row a start of its own, as mini: {init: {scratch: true}}"
    )


def test_a_row_can_say_it_for_itself_and_over_its_table(own_paper: OwnPaper) -> None:
    rows = ROW + '  - {id: other, label: Other, like: "msca/table2:vit", model: {name: vit, depth: 6}}\n'
    own_paper(rows, defaults=TABLE)
    mine, other = select(["lab"])
    assert (mine.like, other.like) == (LIKE, "msca/table2:vit@main")
    assert [m.name for m in measurements(other, "paper")] == ["main"]


def test_its_own_measurements_lie_on_the_one_that_it_is_like(own_paper: OwnPaper) -> None:
    rows = ROW.replace("}}\n", "}, measurements: {short: {data: {num_frames: 16}}, long: {data: {num_frames: 64}}}}\n")
    own_paper(rows, defaults=TABLE)
    made = {m.name: m.evaluation.data for m in measurements(select(["lab"])[0], "paper")}
    assert {name: data.num_frames for name, data in made.items()} == {"short": 16, "long": 64}
    assert {data.dataset for data in made.values()} == {"sthv2"}


def test_a_row_can_be_like_one_that_is_like_another(own_paper: OwnPaper) -> None:
    folder = own_paper(ROW, defaults=TABLE)
    text = 'caption: More\nrows:\n  - {id: more, label: More, like: "lab/table1:mine", model: {name: vit, depth: 3}}\n'
    (folder / "benchmarks" / "lab" / "table2.yaml").write_text(text)
    (row,) = select(["lab/table2"])
    paper = load_paper("lab")
    assert row.like == "lab/table1:mine@sthv2"
    assert row.recipes["sthv2"].recipe.data.dataset == "sthv2"
    assert str(value_sources(paper, row, "sthv2")["train.epochs"]).startswith(f"like {LIKE} (paper: 4.2")


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ("pst/table3:pst-t-in1k-1x1", "has several measurements; choose @sthv1 or @sthv2"),
        ("pst/table3:pst-t-in1k-1x1@sthv3", "has no measurement 'sthv3'; did you mean 'sthv"),
        ("pst/table3:pst-t-in1k-1x2", "no row 'pst/table3:pst-t-in1k-1x2'; did you mean 'pst/table3:pst-t-in1k-1x1'?"),
        ("pst/table33:pst-t", "no table 'pst/table33'; did you mean 'pst/table3'?"),
        ("psst/table3:pst-t", "no paper 'psst'; did you mean 'pst'?"),
        ("pst/table3", "must name one row, as paper/table:row or paper/table:row@measurement"),
        ("pst/table3:tsm", "pst/table3:tsm is published-only, there is no recipe to take"),
        ("lab/table1:mine", "goes in a circle"),
    ],
)
def test_a_row_that_is_like_nothing_is_one_line(own_paper: OwnPaper, like: str, message: str) -> None:
    folder = own_paper(
        f'  - {{id: mine, label: Mine, like: "{like}", model: {{name: vit}}}}\n', defaults="caption: Mine\n"
    )
    with pytest.raises(SpecError) as caught:
        load_paper("lab")
    text = str(caught.value)
    assert text.startswith(f"{folder}/benchmarks/lab/table1.yaml:3: rows[0].like: ") and message in text
    assert "\n" not in text


def test_tables_that_are_like_each_other_are_a_circle(own_paper: OwnPaper) -> None:
    folder = own_paper('  - {id: a, label: A, like: "lab/table2:b", model: {name: vit}}\n', defaults="caption: Mine\n")
    text = 'caption: More\nrows:\n  - {id: b, label: B, like: "lab/table1:a", model: {name: vit}}\n'
    (folder / "benchmarks" / "lab" / "table2.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_paper("lab")
    assert any("goes in a circle" in problem for problem in caught.value.problems)


def test_it_names_a_network_of_its_own(own_paper: OwnPaper) -> None:
    own_paper("  - {id: mine, label: Mine}\n", defaults=TABLE)
    with pytest.raises(SpecError, match=r"table1\.yaml:5: rows\[0\]\.model: missing, in the row and in defaults"):
        load_paper("lab")


def test_a_quoted_row_is_like_none(own_paper: OwnPaper) -> None:
    own_paper(f'  - {{id: a, label: A, quoted: true, like: "{LIKE}"}}\n')
    with pytest.raises(SpecError, match=r"rows\[0\]\.like: a row that only quotes numbers"):
        load_paper("lab")


def test_it_exists_at_the_scales_of_what_it_is_like(own_paper: OwnPaper) -> None:
    small = "mini: {why: mine, init: {scratch: true}}"
    own_paper(
        f'  - {{id: mine, label: Mine, like: "msca/table3:vit@events", model: {{name: vit}}, {small}}}\n',
        defaults="caption: Mine\n",
    )
    (row,) = select(["lab/table1:mine"])
    assert row.recipes["events"].scales == ("smoke", "mini")
    assert [len(measurements(row, scale)) for scale in ("paper", "mini", "smoke")] == [0, 1, 1]
    assert check("lab")[1] == []


def test_a_start_from_a_measurement_that_it_does_not_take_says_what_to_do(own_paper: OwnPaper) -> None:
    own_paper(
        '  - {id: mine, label: Mine, like: "msca/table3:vit@events", model: {name: vit}}\n', defaults="caption: Mine\n"
    )
    (problem,) = check("lab")[1]
    assert problem.endswith(
        "init.measurement: lab/table1:mine has no measurement 'main'; it is like msca/table3:vit@events, so give "
        "it an `init` of its own"
    )


def test_its_own_values_need_reasons_of_their_own(own_paper: OwnPaper) -> None:
    """The reason for the row that it is like is of another value."""
    rows = ROW.replace("}}\n", "}, mini: {train: {epochs: 3}}}\n")
    own_paper(rows, defaults=TABLE + FROM_SCRATCH)
    (problem,) = check("lab")[1]
    assert problem.endswith(":6: train.epochs has no reason at mini scale; add it to `why` of the block")


def test_values_of_the_other_row_for_a_scale_that_this_one_lacks_are_no_mistake(own_paper: OwnPaper) -> None:
    rows = (
        "  - {id: one, label: One, mini: {why: short, train: {epochs: 3}}}\n"
        "  - {id: two, label: Two, like: 'lab/table1:one', measurements: {main: {scales: [paper]}}}\n"
    )
    own_paper(rows)
    assert not [problem for problem in check("lab")[1] if "has no source" not in problem]


def test_a_row_takes_the_scale_of_one_gpu_only_where_it_asks_for_it(own_paper: Callable[..., Path]) -> None:
    """Its own data set has other subsets, or none."""
    scales = "scales: [lab, paper]"
    own_paper(
        "  - {id: one, label: One, model: {name: vit, depth: 6}}\n"
        f"  - {{id: two, label: Two, model: {{depth: 8, name: vit}}, measurements: {{main: {{{scales}}}}}}}\n"
        "  - id: three\n    label: Three\n    model: {name: vit}\n    data: {dataset: ucf101, split: 1}\n"
        "    lab: {why: small enough as a whole, data: {subset: null}}\n"
        f"    measurements: {{main: {{{scales}}}}}\n",
        defaults='caption: Mine\ndefaults: {like: "msca/table2:vit"}\n',
    )
    made = [measurements(row, "lab") for row in select(["lab"])]
    assert [len(found) for found in made] == [0, 1, 1]
    data = [found[0].evaluation.training.data for found in made[1:]]
    assert [(one.dataset, one.subset) for one in data] == [("kinetics400", "mini200"), ("ucf101", None)]
    assert check("lab")[1] == []
