"""Data sets as the paper side knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vtbench.errors import DataError, SpecError
from vtbench.papers.datasets import dataset_names, load_dataset


def test_every_data_set_loads_and_says_where_it_is_from() -> None:
    real = ["diving48", "egtea", "kinetics400", "kinetics600", "sthv1", "sthv2", "ucf101"]
    synthetic = ["bits", "cycle", "events", "silent_bits", "stills"]
    assert dataset_names() == sorted(real + synthetic)
    for name in dataset_names():
        about = load_dataset(name).about
        assert about.title
        assert about.source
        assert about.licence


def test_kinetics_has_400_classes_and_no_flip_rule() -> None:
    kinetics = load_dataset("kinetics400")
    assert (kinetics.num_classes, len(kinetics.classes or ()), kinetics.flip_labels) == (400, 400, None)
    assert (kinetics.flip_allowed, kinetics.synthetic) == (True, False)
    assert (kinetics.classes or ())[0] == "abseiling"


def test_a_flip_swaps_labels_both_ways_and_keeps_the_others() -> None:
    assert load_dataset("cycle").flip_labels == {0: 1, 1: 0, 2: 3, 3: 2}
    assert load_dataset("events").flip_labels == {1: 3, 3: 1}
    assert load_dataset("stills").flip_labels == {p: -p % 8 for p in range(8) if p not in (0, 4)}


def test_counts_can_be_limited() -> None:
    cycle = load_dataset("cycle")
    assert cycle.num_videos("train", limit=8) == 8
    assert cycle.num_videos("test") == cycle.about.num_videos.test


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_classes: 4", "num_classes: 5", "has 4 lines, 4 of them different; dataset.yaml says num_classes: 5"),
        ("num_classes: 4", "num_clases: 4", "no such key; did you mean 'num_classes'?"),
        ("plus_three: minus_three, ", "", "flipping twice must give 'minus_three' back; add plus_three: minus_three"),
        ("plus_one: minus_one", "plus_on: minus_one", "no class 'plus_on' in classes.txt; did you mean 'plus_one'?"),
        ("flip: {labels", "flip: {forbidden: true, labels", "flip holds either labels or forbidden: true"),
    ],
)
def test_a_broken_data_set_is_one_line(benchmarks: Path, old: str, new: str, message: str) -> None:
    path = benchmarks.parent / "data_manifests" / "cycle" / "dataset.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises((SpecError, DataError), match=re.escape(message)):
        load_dataset("cycle")


def test_a_flip_can_be_forbidden(benchmarks: Path) -> None:
    path = benchmarks.parent / "data_manifests" / "kinetics400" / "dataset.yaml"
    path.write_text(path.read_text() + "flip: {forbidden: true}\n")
    assert load_dataset("kinetics400").flip_allowed is False


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no data set 'kinetic400'.*did you mean 'kinetics400'\?"):
        load_dataset("kinetic400")
