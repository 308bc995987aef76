"""What strangers write into their files: each mistake is one line at the place that is to be changed, and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import pytest

from vtbench.papers import load_paper
from vtbench.papers.check import check, check_datasets

OwnPaper = Callable[..., Path]

MINI = "title: A paper\nmini:\n  why: small\n  data: {dataset: cycle}\n  model: {depth: 3}\n  train: {epochs: 5}\n"
ROWS = "  - {id: one, label: One}\n  - {id: two, label: Two}\n"


def problems(folder: Path) -> list[str]:
    """What `check` says but for sources and reasons, without the folder's name."""
    found = [line for line in check("lab")[1] if "has no source" not in line and "has no reason" not in line]
    assert all("\n" not in line for line in found)
    return [line.replace(f"{folder}/benchmarks/lab/", "").replace(f"{folder}/", "") for line in found]


def row(text: str) -> str:
    return f"  - {{id: one, label: One, {text}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("notes: [[a]]", "rows[0].notes[0]: must be text, not a list"),
        ("means: {m: [{a: 1}, b]}, measurements: {a: {}, b: {}}", "rows[0].means.m[0]: must be text, not keys"),
        ("like: 3", "rows[0].like: must be text, not 3, which is a whole number"),
        ("model: {name: 3}", "rows[0].model.name: must be a name, as text"),
        ("model: {name: [vit]}", "rows[0].model.name: must be a name, as text"),
        ("mini: {model: {name: null}}", "rows[0].mini.model.name: is removed here at mini scale, and nothing"),
        ("measurements: {}", "rows[0].measurements: must be names of measurements with their blocks, not empty"),
        ("measurements: [a]", "rows[0].measurements: must be names of measurements with their blocks, not a list"),
        ("measurements: {a: 3}", "rows[0].measurements.a: must be keys and values, not 3, which is a whole number"),
        (
            "measurements: {a: {scales: []}}",
            "rows[0].measurements.a.scales: must name a scale or more, of paper, lab, mini, smoke",
        ),
        (
            "measurements: {'a@b': {}}",
            "rows[0].measurements.a@b: 'a@b' is not a name for a measurement; use small letters, digits, '.', '-' and "
            "'_'",
        ),
        (
            "measurements: {a: {scales: [paper], mini: {train: {epochs: 3}}}, b: {}}",
            "rows[0].measurements.a.mini.train.epochs: the measurement 'a' does not exist at mini scale; see `scales`",
        ),
        ("data: 3", "rows[0].data: must be keys and values, not 3, which is a whole number"),
        ("data: {split: 2}", "rows[0].data.split: data.split is 2, and kinetics400 has one official split"),
        ("train: {lr: 1e-3}", "rows[0].train.lr: must be a number, not '1e-3', which is text; YAML reads 1e-3 as"),
        ("train: {lr: .nan}", "rows[0].train.lr: is nan, must be a finite number"),
        ("train: {epochs: 2020-01-01}", "rows[0].train.epochs: must be a whole number, not 2020-01-01, which is"),
        ("published: {top1: 51.2}", "rows[0].published.top1: is 51.2, which is a number; quote it, so that the printed "
                                    "precision is kept"),
        ("eval: {metrics: [top1]}", "rows[0].eval.metrics[0]: is measured in every test; leave it out"),
        ("eval: {metrics: [gflops]}", "rows[0].eval.metrics[0]: no metric 'gflops'; known: "
                                      "mean_class_accuracy; your own is named as package.module:name"),
        ('published: {mean_class_accuracy: "51.2"}', "rows[0].published.mean_class_accuracy: mean_class_accuracy is "
                                                     "measured where it is asked for; add it to eval.metrics"),
        (
            "eval: {metrics: [mean_class_accuracy, mean_class_accuracy]}",
            "rows[0].eval.metrics[1]: 'mean_class_accuracy' is the name of mean_class_accuracy too; give one of them "
            "another name",
        ),
        (
            "status: analytic, mini: {train: {epochs: none}}",
            "rows[0].mini.train.epochs: must be a whole number, not 'none', which is text",
        ),
        (
            "quoted: true, model: {name: vit}, mini: {model: {dept: 3}}",
            "rows[0].mini.model.dept: vit() has no argument 'dept'; did you mean 'depth'?",
        ),
        ("quoted: true, data: {num_frames: 3}", "rows[0].data: a row that only quotes numbers has no recipe"),
        ("init: {row: lab/table1:one}", "rows[0].init.row: goes in a circle: lab/table1:one -> lab/table1:one"),
        ("init: {row: lab/table1:tow}", "rows[0].init.row: no row 'lab/table1:tow'; did you mean 'lab/table1:two'?"),
        ("init: {scratch: true, weights: w}", "rows[0].init: init must hold exactly one of"),
        ("data: {stride: null}", "rows[0].data: data must hold exactly one of stride (a number of"),
        ("train: {lr: null}", "rows[0].train.lr: is removed here, and cannot be missing; it is"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_row_is_one_line(own_paper: OwnPaper, text: str, expected: str) -> None:
    folder = own_paper(row(text) + "  - {id: two, label: Two}\n")
    (problem,) = problems(folder)
    assert problem.startswith(f"table1.yaml:13: {expected}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 5", "epochs: five", "paper.yaml:6: mini.train.epochs: must be a whole number, not 'five'"),
        ("epochs: 5", "epoch: 5", "paper.yaml:6: mini.train.epoch: no key 'epoch'; did you mean 'epochs'?"),
        ("depth: 3", "dept: 3", "paper.yaml:5: mini.model.dept: the network of each of these rows has no argument "
                                "'dept'; did you mean 'depth'?"),
        ("depth: 3", "name: vti", "paper.yaml:5: mini.model.name: no model 'vti'; did you mean 'vit'?"),
        ("depth: 3", "name: null", "paper.yaml:5: mini.model.name: must be a name, as text"),
        ("dataset: cycle", "dataset: cicle", "paper.yaml:4: mini.data.dataset: no data set 'cicle'; did you "
                                             "mean 'cycle'?"),
        ("why: small", "why: {trian: x}", "paper.yaml:3: mini.why.trian: the mini block beside it gives no value to "
                                          "'trian'; remove it"),
        ("why: small", "why: ''", "paper.yaml:3: mini.why: must be the reason for a value, as text, not empty"),
        ("mini:\n", "mni:\n", "paper.yaml:2: mni: no key 'mni'; did you mean 'mini'?"),
        ("data: {dataset: cycle}", "data: 3", "paper.yaml:4: mini.data: must be keys and values, not 3"),
        ("title: A paper\n", "", "paper.yaml:1: title: missing; it is the title of the paper"),
        ("title: A paper\n", "titel: A paper\n", "paper.yaml:1: titel: no key 'titel'; did you mean 'title'?"),
        ("why: small", "init: {pretraining: {dataset: stills, model: 3}}\n  why: small",
         "paper.yaml:3: mini.init.pretraining.model: must be a name or keys and values, not 3"),
        ("why: small", "init: {pretraining: {dataset: stills, model: vit, data: {dataset: cycle}}}\n  why: small",
         "paper.yaml:3: mini.init.pretraining.data.dataset: stands beside `data`, as init.pretraining.dataset; move it "
         "there"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_rows_share_is_one_line_however_many_rows(
    own_paper: OwnPaper, old: str, new: str, expected: str
) -> None:
    assert old in MINI
    folder = own_paper(ROWS, paper=MINI.replace(old, new, 1))
    (problem,) = problems(folder)
    assert problem.startswith(expected)


def test_one_mistake_is_one_line_in_several_rows_and_at_several_scales(own_paper: OwnPaper) -> None:
    rows = "".join(f"  - {{id: r{n}, label: R, model: {{dept: 3}}}}\n" for n in range(3))
    folder = own_paper(rows, paper=MINI)
    assert problems(folder) == [
        "table1.yaml:13: rows[0].model.dept: vit() has no argument 'dept'; did you mean 'depth'? (also in line 14, 15)"
    ]


def test_rows_in_one_line_with_a_baseline_are_told_apart(own_paper: OwnPaper) -> None:
    folder = own_paper("  [{id: one, label: One}, {id: two, label: Two, baseline: noe}]\n")
    assert problems(folder) == ["table1.yaml:13: rows[1].baseline: this table has no other row 'noe'; did you "
                                "mean 'one'?"]  # fmt: skip
    assert [name.name for name in load_paper_rows(folder, "  [{id: one, label: One}, {id: two, label: Two}]\n")] == [
        "one",
        "two",
    ]


def load_paper_rows(folder: Path, rows: str) -> list[object]:
    from vtbench.papers import load
    from vtbench.papers.spec import tables

    load._read_paper.cache_clear()
    tables.reader.cache_clear()
    lab.write(folder, rows)
    return list(load_paper("lab").rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("decisions: &a {x: *a}\n", "nested more than 64 deep, or an alias that holds itself; write it flatter"),
        ("venue: " + "[" * 3000 + "]" * 3000 + "\n", "paper.yaml:2: nested more than 64 deep; write it flatter"),
        ("\x07\n", "paper.yaml: not YAML: "),
        ("title: Twice\n", "paper.yaml:2: title: written twice, first in line 1; keep one"),
        ("- 3\n", "paper.yaml:2: not YAML: "),
        ("---\ntitle: b\n", "paper.yaml:2: not YAML: "),
    ],
)
def test_what_is_hardly_yaml_is_one_line(own_paper: OwnPaper, text: str, expected: str) -> None:
    folder = own_paper(ROWS, paper="title: A paper\n" + text)
    (problem,) = problems(folder)
    assert expected in problem


def test_many_aliases_are_refused_and_not_unfolded(own_paper: OwnPaper) -> None:
    levels = ["a0: &a0 [" + "x, " * 9 + "x]"]
    levels += [f"a{n}: &a{n} [" + f"*a{n - 1}, " * 9 + f"*a{n - 1}]" for n in range(1, 9)]
    folder = own_paper(ROWS, paper="title: A paper\nprinted:\n  " + "\n  ".join(levels) + "\n")
    (problem,) = problems(folder)
    assert "is the 200001st value of the file; remove aliases that repeat each other" in problem


def test_a_file_in_another_encoding_is_one_line(own_paper: OwnPaper) -> None:
    folder = own_paper(ROWS)
    (folder / "benchmarks" / "lab" / "paper.yaml").write_bytes("title: Été\n".encode("latin-1"))
    assert problems(folder) == ["paper.yaml: is not text in UTF-8 (byte 7); save it as UTF-8"]


def test_files_that_are_no_tables_are_named(own_paper: OwnPaper) -> None:
    folder = own_paper(ROWS)
    for name in ("table2.yml", "tabel3.yaml"):
        (folder / "benchmarks" / "lab" / name).write_text("caption: C\nrows: []\n")
    (folder / "benchmarks" / ".ipynb_checkpoints").mkdir()
    (folder / "benchmarks" / ".ipynb_checkpoints" / "table1-checkpoint.yaml").write_text("x")
    rename = "a table's file is called like table2.yaml or table2a.yaml; rename it"
    assert problems(folder) == [f"tabel3.yaml: {rename}", f"table2.yml: {rename}"]


def test_a_folder_without_paper_yaml_is_named(own_paper: OwnPaper) -> None:
    folder = own_paper(ROWS)
    (folder / "benchmarks" / "lab" / "paper.yaml").unlink()
    assert check("lab")[1] == [f"{folder}/benchmarks/lab: has no paper.yaml; write one, as benchmarks/README.md says"]


# ---- names of builders -----------------------------------------------------------------------------------------------

NETWORK = """\
from typing import Literal, Optional, Sequence

Kind = Literal["a", "b"]
Other = Literal["b", "a"]


class Net:
    def __init__(self, *, num_classes: int, num_frames: int, img_size: int, kind: Kind = "a", other: Other = "b",
                 depth: Optional[int] = None, widths: Sequence[int] = (1, 2), names: list[str] = [],
                 pair: tuple[int, float] = (1, 2.0), rate: float | None = None, anything=None, {more}): ...
"""  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("kind: c", "rows[0].model.kind: is 'c', must be one of a, b"),
        ("other: c", "rows[0].model.other: is 'c', must be one of b, a"),
        ("depth: x", "rows[0].model.depth: must be a whole number, not 'x', which is text"),
        ("widths: [1, x]", "rows[0].model.widths[1]: must be a whole number, not 'x', which is text"),
        ("widths: 3", "rows[0].model.widths: must be a list, not 3, which is a whole number"),
        ("names: [1]", "rows[0].model.names[0]: must be text, not 1, which is a whole number"),
        ("pair: [1, 2, 3]", "rows[0].model.pair: must be a list of 2, not of 3"),
        ("rate: true", "rows[0].model.rate: must be a number, not True, which is true or false"),
        ("anything: {a: [2020-01-01]}", "rows[0].model.anything.a[0]: is 2020-01-01, which is a date; quote it to have "
                                        "it as text"),
        ("num_classes: 3", "rows[0].model.num_classes: is filled in from the data block; leave it out"),
    ],
)  # fmt: skip
def test_arguments_have_the_types_that_annotations_say(own_paper: OwnPaper, argument: str, expected: str) -> None:
    folder = own_paper(row(f"model: {{name: 'a_net:Net', {argument}}}"))
    (folder / "a_net.py").write_text(NETWORK.replace(", {more}", ""))
    (problem,) = problems(folder)
    assert problem.startswith(f"table1.yaml:13: {expected}")


def test_fitting_arguments_are_taken_as_they_are(own_paper: OwnPaper) -> None:
    given = "kind: b, other: a, depth: 3, widths: [4], names: [a], pair: [3, 4], rate: 1, anything: {a: [1, {b: null}]}"
    folder = own_paper(row(f"model: {{name: 'a_net:Net', {given}}}"))
    (folder / "a_net.py").write_text(NETWORK.replace(", {more}", ""))
    assert problems(folder) == []
    arguments = load_paper("lab").rows[0].recipes["main"].recipe.model.arguments
    assert arguments == {
        "kind": "b", "other": "a", "depth": 3, "widths": [4], "names": ["a"], "pair": (3, 4.0), "rate": 1.0,
        "anything": {"a": [1, {"b": None}]},
    }  # fmt: skip


# ---- data sets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "classes", "expected"),
    [
        ("", b"a\n", "data_manifests/ours/classes.txt: has 1 lines, 1 of them different; dataset.yaml says "
                     "num_classes: 2"),
        ("", b"\xe9\nb\n", "data_manifests/ours/classes.txt: cannot be read as text in UTF-8: "),
        ("splts: 3\n", b"a\nb\n", "data_manifests/ours/dataset.yaml:6: splts: no key 'splts'; did you mean 'splits'?"),
        ("synthetic: true\n", b"a\nb\n", "data_manifests/ours/dataset.yaml:6: synthetic: its data module makes the "
                                         "videos; name it, as module: package.module:Class"),
        ("module: nowhere:Data\n", b"a\nb\n", "data_manifests/ours/dataset.yaml:6: module: no module 'nowhere' in "),
        ("flip: {labels: {a: c}}\n", b"a\nb\n", "dataset.yaml:6: flip.labels.a: classes.txt has no class 'c'"),
    ],
)  # fmt: skip
def test_a_data_set_that_no_row_uses_is_checked_too(
    own_paper: OwnPaper, more: str, classes: bytes, expected: str
) -> None:
    folder = own_paper(ROWS)
    assert check_datasets() == []
    made = folder / "data_manifests" / "ours"
    made.mkdir(parents=True)
    text = "title: Ours\nsource: ours\nlicence: ours\nnum_classes: 2\nnum_videos: {train: 4, test: 2}\n"
    (made / "dataset.yaml").write_text(text + more)
    (made / "classes.txt").write_bytes(classes)
    from vtbench.papers import roots

    roots._collected.cache_clear()
    (problem,) = check_datasets()
    assert expected in problem
    assert problems(folder) == []


PLAIN = "class Plain:\n    def __init__(self, network, *, lr: float, epochs: int): ...\n"
TAKEN = ("optimizer", "weight_decay", "warmup_epochs", "schedule", "label_smoothing")


def test_an_argument_that_only_another_method_takes_has_its_remedy(own_paper: OwnPaper) -> None:
    folder = own_paper(row('train: {method: "own:Plain"}'))
    (folder / "own.py").write_text(PLAIN)
    found = problems(folder)
    for name in set(TAKEN) - {"warmup_epochs"}:  # of that one, `epochs` is near enough to be meant
        (line,) = (line for line in found if f"defaults.train.{name}: " in line)
        assert f"the method Plain has no argument '{name}'" in line
        assert line.endswith(f"; write {name}: null beside the method to leave it out")


def test_an_argument_that_only_another_method_takes_is_removed_beside_the_method(own_paper: OwnPaper) -> None:
    removed = ", ".join(f"{name}: null" for name in TAKEN)
    folder = own_paper(row(f'train: {{method: "own:Plain", {removed}}}'))
    (folder / "own.py").write_text(PLAIN)
    assert problems(folder) == []
