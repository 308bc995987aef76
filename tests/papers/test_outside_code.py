"""What of the user's own stands behind a row enters its keys, and names the folders that its records cite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import pytest

from vtbench.papers import measurements, resolve, roots, select
from vtbench.papers.code import modules, outside
from vtbench.papers.datasets import _load_dataset
from vtbench.papers.resolve import network_of

OwnPaper = Callable[..., Path]
Include = Callable[..., roots.Root]

NET = "def toy(*, num_classes, num_frames, img_size, width: int = 8): ...\n"
DATASET = """\
title: Ours
source: ours
licence: ours
num_classes: 2
num_videos: {train: 4, test: 2}
"""
LABELLED = DATASET + 'module: "videos:Videos"\nsplits: 2\nflip: {labels: {a: b, b: a}}\n'
VIDEOS = """\
from vtbench.datasets.module import VideoData

class Videos(VideoData): ...

class Others(VideoData): ...
"""
METHOD = "from vtbench.methods.base import ScheduledClassifier\n\nclass Fit(ScheduledClassifier): ...\n"
METRIC = "def balance(scores, labels, expected_labels): ...\n"


def keys(row_id: str) -> tuple[str, str, str]:
    """Of a row at paper scale as the files are now: training, evaluation, network."""
    modules._closure.cache_clear()
    outside._code.cache_clear()
    resolve._resolved.clear()
    _load_dataset.cache_clear()
    row = select([row_id])[0]
    (measurement,) = measurements(row, "paper")
    network = network_of(row, "paper")
    assert network is not None
    return measurement.evaluation.training.key, measurement.evaluation.key, network.key


def changed(row_id: str, path: Path, text: str) -> list[bool]:
    """Which of the keys changes when a file does."""
    before = keys(row_id)
    path.write_text(text)
    return [one != other for one, other in zip(before, keys(row_id), strict=True)]


@pytest.fixture
def folder(own_paper: OwnPaper) -> Path:
    """A paper whose row has network, method, metric and data set of its own."""
    row = '{id: one, label: One, model: {name: "toy_net:toy"}, data: {dataset: ours, split: 1}, '
    row += 'train: {method: "fit:Fit"},'
    made = own_paper(f'  - {row} eval: {{metrics: ["metric:balance"]}}}}\n')
    (made / "toy_net.py").write_text("import toy_parts\n" + NET)
    (made / "toy_parts.py").write_text("x = 1\n")
    (made / "fit.py").write_text(METHOD)
    (made / "metric.py").write_text(METRIC)
    (made / "videos.py").write_text(VIDEOS)
    data_set(made, LABELLED)
    return made


def data_set(folder: Path, about: str = DATASET) -> None:
    (folder / "data_manifests" / "ours").mkdir(parents=True)
    (folder / "data_manifests" / "ours" / "dataset.yaml").write_text(about)
    (folder / "data_manifests" / "ours" / "classes.txt").write_text("a\nb\n")


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("toy_net.py", "import toy_parts\nx = 3\n" + NET, [True, True, True]),
        ("toy_parts.py", "x = 2\n", [True, True, True]),
        ("fit.py", METHOD + "x = 1\n", [True, True, False]),
        ("metric.py", METRIC + "x = 1\n", [False, True, False]),
        ("data_manifests/ours/classes.txt", "b\na\n", [True, True, False]),
        ("videos.py", VIDEOS + "x = 1\n", [True, True, False]),
        ("data_manifests/ours/dataset.yaml", LABELLED.replace("videos:Videos", "videos:Others"), [True, True, False]),
        ("data_manifests/ours/dataset.yaml", LABELLED.replace("splits: 2", "splits: 3"), [True, True, False]),
        ("data_manifests/ours/dataset.yaml", LABELLED.replace("a: b, b: a", "a: a"), [True, True, False]),
        ("data_manifests/ours/dataset.yaml", LABELLED + "group: '(g)'\n", [True, True, False]),
        (
            "data_manifests/ours/dataset.yaml",
            LABELLED + 'lists: {train: "a{split}", test: "b{split}"}\n',
            [True, True, False],
        ),
        ("data_manifests/ours/dataset.yaml", LABELLED.replace("title: Ours", "title: Mine"), [False, False, False]),
        ("unused.py", "x = 1\n", [False, False, False]),
        ("benchmarks/lab/paper.yaml", "title: Another\n", [False, False, False]),
    ],
)
def test_keys_follow_the_code_behind_a_row(folder: Path, file: str, text: str, expected: list[bool]) -> None:
    assert changed("lab/table1:one", folder / file, text) == expected


def test_keys_do_not_depend_on_where_a_folder_lies(tmp_path: Path, include: Include, folder: Path) -> None:
    before = keys("lab/table1:one")
    roots._included.clear()
    moved = folder.rename(tmp_path / "moved")
    include(moved)
    assert keys("lab/table1:one") == before


def test_rows_of_vtbench_have_no_code_in_their_keys(folder: Path) -> None:
    training = measurements(select(["msca/table2:vit"])[0], "paper")[0].evaluation.training
    assert training.code is None and outside.code_behind(["vit", "msca"], ["kinetics400"]) is None


def test_a_data_set_alone_enters_the_keys(own_paper: OwnPaper) -> None:
    made = own_paper("  - {id: one, label: One, data: {dataset: ours}}\n")
    data_set(made)
    classes = made / "data_manifests" / "ours" / "classes.txt"
    assert changed("lab/table1:one", classes, "b\na\n") == [True, True, False]


def test_the_data_set_of_a_pretraining_enters_the_keys(own_paper: OwnPaper) -> None:
    made = own_paper("  - {id: one, label: One, init: {pretraining: {dataset: ours, model: vit}}}\n")
    data_set(made)
    classes = made / "data_manifests" / "ours" / "classes.txt"
    assert changed("lab/table1:one", classes, "b\na\n") == [True, True, False]


def behind(row_id: str) -> set[str]:
    (measurement,) = measurements(select([row_id])[0], "paper")
    return {folder.name for folder in measurement.roots}


def test_a_record_names_every_folder_that_a_row_comes_from(tmp_path: Path, include: Include) -> None:
    """Of its paper, its modules and what they import, its data set, the rows that it is like or starts from."""
    nets, parts, data = tmp_path / "nets", lab.write(tmp_path / "parts"), tmp_path / "data"
    lab.write(nets, '  - {id: start, label: Start, model: {name: "a_net:toy"}}\n')
    (nets / "a_net.py").write_text("import a_part\n" + NET)
    (parts / "a_part.py").write_text("")
    data_set(data)
    rows = """\
  - {id: net, label: Net, model: {name: "a_net:toy"}}
  - {id: data, label: Data, data: {dataset: ours}}
  - {id: like, label: Like, like: "nets/table1:start", model: {name: vit}}
  - {id: starts, label: Starts, init: {row: "nets/table1:start"}}
  - {id: plain, label: Plain}
"""
    for folder in (nets, parts, data, lab.write(tmp_path / "mine", rows)):
        include(folder)
    assert behind("mine/table1:plain") == {"mine"}
    assert behind("mine/table1:net") == {"mine", "nets", "parts"}
    assert behind("mine/table1:data") == {"mine", "data"}
    assert behind("mine/table1:like") == {"mine", "nets"}
    assert behind("mine/table1:starts") == {"mine", "nets", "parts"}
    assert behind("msca/table2:vit") == set()
