"""Folders outside the package: how they come in, what they may define, and the modules that their specs name."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lab
import pytest

from vtbench.cli import main
from vtbench.errors import SpecError
from vtbench.papers import load_paper, roots, select
from vtbench.papers.check import check
from vtbench.papers.datasets import load_dataset
from vtbench.papers.load import paper_names

Include = Callable[..., roots.Root]
OwnPaper = Callable[..., Path]

NETWORK = """\
raise AssertionError("a signature is read, not run")

def toy(*, num_classes: int, num_frames: int, img_size: int, width: int = 8, kind: Literal["a", "b"] = "a"):
    ...
"""


def dataset(folder: Path, name: str, text: str = "") -> Path:
    target = folder / "data_manifests" / name
    target.mkdir(parents=True)
    about = "title: T\nsource: S\nlicence: L\nnum_classes: 2\nnum_videos: {train: 4, test: 2}\n"
    (target / "dataset.yaml").write_text(about + text)
    return folder


# ---- including -------------------------------------------------------------------------------------------------------


def test_an_included_folder_adds_its_papers_and_data_sets_and_comes_last_on_the_import_path(
    tmp_path: Path, include: Include
) -> None:
    before = list(sys.path)
    folder = dataset(lab.write(tmp_path / "lab"), "ours")
    include(folder)
    include(str(folder) + "/")
    assert "lab" in paper_names() and load_paper("lab").root.folder == folder
    assert load_dataset("ours").root.folder == folder
    assert sys.path == [*before, str(folder)]
    assert [row.id for row in select(["lab"])] == ["lab/table1:one"] and len(select()) == 254


def test_messages_name_a_file_below_the_working_folder_from_there(
    tmp_path: Path, own_paper: OwnPaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own_paper("  - {id: one, lable: One}\n")
    with pytest.raises(SpecError, match=r"^lab/benchmarks/lab/table1\.yaml:13: rows\[0\]\.lable"):
        load_paper("lab")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lob", "--include lob: {0}/lob: no such folder; did you mean 'lab'?"),
        ("empty", "--include empty: {0}/empty: holds no benchmarks/<paper>/ and no data_manifests/<data set>/; see"),
        ("lab/benchmarks", "{0}/lab/benchmarks: holds no benchmarks/<paper>/ and no data_manifests/<data set>/; give"),
        ("lab/benchmarks/lab/paper.yaml", "paper.yaml: is a file, a folder is wanted"),
    ],
)
def test_a_folder_that_brings_nothing_is_refused(
    tmp_path: Path,
    include: Include,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    message: str,
) -> None:
    lab.write(tmp_path / "lab")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["list", "--include", given]) == 2
    error = capsys.readouterr().err
    assert message.format(tmp_path) in error and error.count("\n") == 1
    (tmp_path / "vtbench.yaml").write_text(f"results: out\ninclude:\n  - {given}\n")
    assert main(["list"]) == 2
    error = capsys.readouterr().err
    place = "vtbench.yaml:3: include[0]: "
    assert error.startswith(f"vtbench: {place}") and message.format(tmp_path).partition(": ")[2] in error


def test_vtbench_yaml_names_folders_relative_to_itself_for_every_command(
    tmp_path: Path, include: Include, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write(tmp_path / "project" / "lab")
    (tmp_path / "project" / "vtbench.yaml").write_text("include: [lab]\n")
    monkeypatch.chdir(tmp_path / "project")
    for command in ("list", "show", "check", "plan", "report"):
        assert main([command, "lab"]) == (2 if command == "check" else 0), capsys.readouterr().err
    assert "lab: " in capsys.readouterr().out


def test_two_folders_with_one_paper_are_an_error_that_names_both(tmp_path: Path, include: Include) -> None:
    include(lab.write(tmp_path / "a" / "lab"), "--include a/lab")
    include(lab.write(tmp_path / "b" / "lab"), "--include b/lab")
    with pytest.raises(SpecError) as caught:
        select(["lab"])
    assert str(caught.value) == (
        f"{tmp_path}/b/lab/benchmarks/lab (--include b/lab): the paper 'lab' is already defined by "
        f"{tmp_path}/a/lab/benchmarks/lab (--include a/lab); rename one of the two folders"
    )


def test_a_row_cannot_be_like_one_of_two_papers_with_one_name(tmp_path: Path, include: Include) -> None:
    for parent in ("a", "b"):
        include(lab.write(tmp_path / parent / "lab"))
    include(lab.write(tmp_path / "mine", "  - {id: one, label: One, like: 'lab/table1:one'}\n"))
    (problem,) = check("mine")[1]
    assert problem.startswith(f"{tmp_path}/mine/benchmarks/mine/table1.yaml:13: rows[0].like: ")
    assert "is already defined by" in problem


def test_a_folder_cannot_take_the_name_of_a_paper_or_data_set_of_vtbench(tmp_path: Path, include: Include) -> None:
    include(dataset(lab.write(tmp_path / "msca"), "ours"))
    with pytest.raises(SpecError, match=r"the paper 'msca' is already defined by benchmarks/msca \(vtbench\)"):
        select()


def test_a_data_set_that_is_there_already_is_an_error(tmp_path: Path, include: Include) -> None:
    include(dataset(tmp_path / "lab", "ucf101"))
    with pytest.raises(
        SpecError, match=r"the data set 'ucf101' is already defined by data_manifests/ucf101 \(vtbench\)"
    ):
        load_dataset("ucf101")


def test_a_folder_of_data_sets_alone_is_a_root(tmp_path: Path, include: Include) -> None:
    include(dataset(tmp_path / "lab", "ours", "splits: 3\nnum_videos_typo: 3\n"))
    with pytest.raises(
        SpecError, match=r"ours/dataset\.yaml:7: num_videos_typo: no key 'num_videos_typo'; did you mean 'num_videos'"
    ):
        load_dataset("ours")


# ---- installed packages ----------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """installed(value): an installed distribution that declares the entry point `lab = value`."""

    def declare(value: str) -> None:
        info = tmp_path / "site" / "lab_papers-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-papers\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vtbench.papers]\nlab = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        assert [e.value for e in importlib.metadata.entry_points(group=roots.GROUP)] == [value]
        roots._installed.cache_clear()

    yield declare
    monkeypatch.undo()
    roots._installed.cache_clear()


def test_an_installed_package_brings_its_papers(tmp_path: Path, installed: Callable[[str], None]) -> None:
    package = lab.write(tmp_path / "site" / "lab_papers")
    (package / "__init__.py").write_text("raise AssertionError('found without being imported')\n")
    installed("lab_papers")
    assert load_paper("lab_papers").root == roots.Root(package, "entry point 'lab' (vtbench.papers)")
    assert "lab_papers" not in sys.modules


@pytest.mark.parametrize("value", ["lab_papers", "not_there"])
def test_an_entry_point_without_papers_is_an_error(
    tmp_path: Path, installed: Callable[[str], None], value: str
) -> None:
    (tmp_path / "site" / "lab_papers").mkdir(parents=True)
    (tmp_path / "site" / "lab_papers" / "__init__.py").write_text("")
    installed(value)
    with pytest.raises(SpecError, match=rf"'lab' \(vtbench\.papers\): '{value}' is not a package with benchmarks/"):
        select(["msca"])


# ---- modules that specs name -----------------------------------------------------------------------------------------


def named(own_paper: OwnPaper, source: str, model: str, *, file: str = "toy_net.py", more: str = "") -> list[str]:
    """What `check` says, but for sources, of a row with this model, whose module is written beside the paper."""
    folder = own_paper(f"  - {{id: one, label: One, model: {{name: '{model}'{more}}}}}\n")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(source)
    return [problem for problem in check("lab")[1] if "has no source" not in problem]


def test_an_outside_builder_is_held_to_its_signature_without_being_run(own_paper: OwnPaper) -> None:
    (problem,) = named(own_paper, NETWORK, "toy_net:toy", more=", widht: 9")
    assert "table1.yaml:13: rows[0].model.widht: toy() has no argument 'widht'; did you mean 'width'?" in problem
    assert "toy_net" not in sys.modules


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", width: wide", "rows[0].model.width: must be a whole number, not 'wide'"),
        (", kind: c", "rows[0].model.kind: is 'c', must be one of a, b"),
    ],
)
def test_its_values_have_the_types_of_the_annotations(own_paper: OwnPaper, more: str, message: str) -> None:
    assert message in named(own_paper, NETWORK, "toy_net:toy", more=more)[0]


@pytest.mark.parametrize(
    ("source", "file"),
    [
        (NETWORK, "toy_net.py"),
        ("def toy(num_classes, num_frames, img_size=224, width: int = 8): ...\n", "toy_net.py"),
        ("class toy:\n    def __init__(self, num_classes, num_frames, img_size, *, width=8): ...\n", "toy_net.py"),
        (NETWORK, "toy_net/__init__.py"),
    ],
)
def test_a_function_or_a_class_is_a_builder(own_paper: OwnPaper, source: str, file: str) -> None:
    assert named(own_paper, source, "toy_net:toy", file=file) == []
    assert load_paper("lab").rows[0].recipes["main"].recipe.model.arguments["width"] == 8


def test_a_name_that_a_package_only_imports_is_followed(own_paper: OwnPaper, tmp_path: Path) -> None:
    (tmp_path / "lab" / "toy_net" / "deep").mkdir(parents=True)
    (tmp_path / "lab" / "toy_net" / "deep" / "__init__.py").write_text("from ..net import toy as small\n")
    (tmp_path / "lab" / "toy_net" / "net.py").write_text(NETWORK)
    assert named(own_paper, "from .deep import small as toy\n", "toy_net:toy", file="toy_net/__init__.py") == []


@pytest.mark.parametrize(
    ("source", "model", "message"),
    [
        (NETWORK, "toy_nte:toy", "rows[0].model.name: no module 'toy_nte' in {0} or among the installed packages; did"),
        (NETWORK, "toy_net.deeper:toy", "rows[0].model.name: no module 'toy_net.deeper' in {0}"),
        (
            NETWORK,
            "toy_net:tyo",
            "rows[0].model.name: {0}/toy_net.py: no function or class 'tyo'; did you mean",
        ),
        (NETWORK, "toy_net:", "rows[0].model.name: 'toy_net:' must be package.module:name"),
        (NETWORK, "toy_net", "rows[0].model.name: no model 'toy_net'; known: vit, "),
        (NETWORK, "toy", "; your own is named as package.module:name"),
        ("toy = 3\n", "toy_net:toy", "toy_net.py: toy is not a function or class"),
        ("def toy(**kwargs): ...\n", "toy_net:toy", "toy_net.py:1: toy takes **kwargs, so its arguments cannot be"),
        ("def toy(*args): ...\n", "toy_net:toy", "toy_net.py:1: toy takes *args, so its arguments cannot be checked"),
        ("def toy(a, /): ...\n", "toy_net:toy", "toy_net.py:1: toy has arguments that cannot be given by name"),
        ("class toy: ...\n", "toy_net:toy", "toy_net.py:1: toy has no __init__ of its own to read arguments from"),
        ("def toy(a=print): ...\n", "toy_net:toy", "toy_net.py:1: toy(a=...): the default must be a literal"),
        (
            "def toy(*, num_classes): ...\n",
            "toy_net:toy",
            "toy() does not take num_frames and img_size, which the data",
        ),
        ("def toy(:\n", "toy_net:toy", "toy_net.py:1: is not Python: "),
        ("from toy_net import toy\n", "toy_net:toy", "toy_net.py: toy is imported in a circle"),
        ("from nowhere import toy\n", "toy_net:toy", "no module 'nowhere'"),
    ],
)
def test_what_is_no_builder_is_one_line_with_file_and_line(
    own_paper: OwnPaper, tmp_path: Path, source: str, model: str, message: str
) -> None:
    (problem,) = named(own_paper, source, model)
    assert problem.startswith(f"{tmp_path}/lab/benchmarks/lab/table1.yaml:13: rows[0].model.name: ")
    assert message.format(tmp_path / "lab") in problem and "\n" not in problem


def test_a_module_that_an_installed_one_hides_is_an_error(own_paper: OwnPaper, tmp_path: Path) -> None:
    (problem,) = named(own_paper, NETWORK, "timm:toy", file="timm.py")
    assert "rows[0].model.name: module 'timm' is " in problem
    assert f"which hides {tmp_path}/lab/timm.py; rename the latter" in problem


def test_a_module_that_another_included_folder_hides_is_an_error(
    own_paper: OwnPaper, tmp_path: Path, include: Include
) -> None:
    first = lab.write(tmp_path / "first")
    (first / "toy_net.py").write_text(NETWORK)
    include(first)
    (problem,) = named(own_paper, NETWORK, "toy_net:toy")
    assert f"module 'toy_net' is {first}/toy_net.py, which hides {tmp_path}/lab/toy_net.py" in problem


def test_methods_metrics_and_data_modules_are_named_likewise(own_paper: OwnPaper, tmp_path: Path) -> None:
    row = '{id: one, label: One, train: {method: "own:Fit"}, eval: {metrics: ["own:balance", mean_class_accuracy]}'
    folder = own_paper(
        f'  - {row}, data: {{dataset: ours}}, published: {{balance: "7.5", mean_class_accuracy: "50.0"}}}}\n'
    )
    dataset(folder, "ours", 'module: "own:Videos"\n')
    (folder / "own.py").write_text(
        "class Fit:\n    def __init__(self, network, *, optimizer, lr, weight_decay, epochs, warmup_epochs, schedule,\n"
        "                 label_smoothing): ...\n"
        "class Videos: ...\n"
        "def balance(scores, labels, *, expected_labels): ...\n"
    )
    assert [problem for problem in check("lab")[1] if "has no source" not in problem] == []
    assert load_dataset("ours").module == "own:Videos"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('train: {method: "own:Fti"}', "train.method: {0}/own.py: no class 'Fti'; did you mean 'Fit'?"),
        ('train: {method: "own:balance"}', "train.method: {0}/own.py: balance is not a class"),
        ("train: {method: mcsa}", "train.method: no method 'mcsa'; did you mean 'msca'?"),
        (
            'train: {method: "own:Fit"}',
            "method Fit does not take epochs, which every recipe has; derive it from "
            "vtbench.methods.base.ScheduledClassifier, or take them in __init__",
        ),
        (
            'train: {method: "own:Full", precise_bn: 3}',
            "train.precise_bn: the method Full has no argument 'precise_bn'; known: ",
        ),
        ('train: {method: "own:Choosy"}', "defaults.train.schedule: is 'cosine', must be one of step"),
        (
            'train: {method: "own:More"}',
            "train.method: the method More needs extra, which the train block does not give",
        ),
        ('eval: {metrics: ["own:blance"]}', "eval.metrics[0]: {0}/own.py: no function or class 'blance'"),
        (
            'eval: {metrics: ["own:top1"]}',
            "eval.metrics[0]: 'top1' is a metric of vtbench; give the function another name",
        ),
        ('eval: {metrics: ["own:odd"]}', "eval.metrics[0]: odd() takes (a, b), not (scores, labels, expected_labels)"),
        (
            "eval: {metrics: [top3]}",
            "eval.metrics[0]: no metric 'top3'; known: mean_class_accuracy; your own",
        ),
        ("data: {dataset: ours}", "ours/dataset.yaml:6: module: {0}/own.py: balance is not a class"),
    ],
)
def test_what_is_no_method_metric_or_data_module_is_one_line(
    own_paper: OwnPaper, tmp_path: Path, row: str, message: str
) -> None:
    folder = own_paper(f"  - {{id: one, label: One, {row}}}\n")
    dataset(folder, "ours", 'module: "own:balance"\n')
    (folder / "own.py").write_text(
        "from typing import Literal\n"
        "from vtbench.methods.base import ScheduledClassifier\n"
        "class Fit:\n    def __init__(self, network, *, optimizer, lr): ...\n"
        "class Full(ScheduledClassifier): ...\n"
        "class Choosy(Full):\n    def __init__(self, network, *, schedule: Literal['step'], **kwargs): ...\n"
        "class More(Full):\n    def __init__(self, network, *, extra, **kwargs): ...\n"
        "def balance(scores, labels, *, expected_labels): ...\n"
        "def odd(a, b): ...\n"
        "def top1(scores, labels, expected_labels): ...\n"
    )
    problems = [problem for problem in check("lab")[1] if "has no source" not in problem]
    assert message.format(folder) in problems[0] and all("\n" not in problem for problem in problems)


# ---- where records come from -----------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_state_of_a_folder_is_its_commit_or_the_hash_of_its_files(tmp_path: Path) -> None:
    from vtbench.results import provenance

    def state() -> Any:
        provenance._state.cache_clear()
        return provenance.outside([folder])

    folder = lab.write(tmp_path / "lab")
    (folder / "net.py").write_text("x = 1\n")
    plain = state()
    assert plain.startswith("lab@sha256:") and len(plain) == len("lab@sha256:") + 12
    (folder / "results").mkdir()
    (folder / "results" / "results.csv").write_text("not what a row is made of\n")
    assert state() == plain
    (folder / "net.py").write_text("x = 2\n")
    assert state() != plain
    git(folder, "init")
    assert state().startswith("lab@sha256:")  # nothing is in the repository yet
    git(folder, "add", "benchmarks", "net.py")
    git(folder, "commit", "-m", "one")
    head = git(folder, "rev-parse", "HEAD")
    assert state() == f"lab@{head[:12]}"
    (folder / "net.py").write_text("x = 3\n")
    assert state() == f"lab@{head[:12]}-dirty"
    assert provenance.outside([]) is None
