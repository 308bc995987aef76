"""Data sets as the paper side knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vtbench.errors import DataError, SpecError
from vtbench.papers.check import check_datasets
from vtbench.papers.datasets import Lists, _load_dataset, dataset_names, load_dataset


def test_every_data_set_loads_and_says_where_it_is_from() -> None:
    real = ["diving48", "egtea", "hmdb51", "kinetics400", "kinetics600", "sthv1", "sthv2", "ucf101"]
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
        ("num_classes: 4", "num_clases: 4", "num_clases: no key 'num_clases'; did you mean 'num_classes'?"),
        ("plus_three: minus_three, ", "", "flipping twice must give 'minus_three' back; add plus_three: minus_three"),
        ("plus_one: minus_one", "plus_on: minus_one", "classes.txt has no class 'plus_on'; did you mean 'plus_one'?"),
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


def test_split_files_have_the_names_of_the_data_set_and_of_the_split() -> None:
    ucf101, kinetics, cycle = (load_dataset(name).lists for name in ("ucf101", "kinetics400", "cycle"))
    assert ucf101(2) == Lists(train=("split2_train",), test=("split2_test",)) == load_dataset("egtea").lists(2)
    assert kinetics(None) == cycle(None) == Lists(train=("train",), test=("validation", "val"))


def test_split_files_may_be_called_otherwise(benchmarks: Path) -> None:
    path = benchmarks.parent / "data_manifests" / "egtea" / "dataset.yaml"
    changed = path.read_text().replace('test: "split{split}_test"', 'test: ["test{split}", "s{split}/{split}_val"]')
    path.write_text(changed)
    assert load_dataset("egtea").lists(3) == Lists(train=("split3_train",), test=("test3", "s3/3_val"))
    path.write_text("\n".join(line for line in changed.splitlines() if not line.startswith("lists")))
    _load_dataset.cache_clear()
    assert load_dataset("egtea").lists(3) == Lists(train=("split3_train",), test=("split3_test",))


def test_clips_of_one_video_are_a_group_of_ucf101() -> None:
    group = load_dataset("ucf101").about.group
    assert group is not None and load_dataset("kinetics400").about.group is None
    for path, expected in (
        ("YoYo/v_YoYo_g07_c03.avi", "v_YoYo_g07"),
        ("v_YoYo_g07_c03.mp4", "v_YoYo_g07"),
        ("a/b_c01.d/v_HandstandPushups_g25_c01.avi", "v_HandstandPushups_g25"),
    ):
        found = re.search(group, path)
        assert found and found.group(1) == expected
    assert not re.search(group, "YoYo/v_YoYo_g07.avi")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ucf101", "'([^/]+)_c", "'([^/]+_c", "group: is not a regular expression: missing ), unterminated subpattern"),
        ("ucf101", "'([^/]+)_c", "'(a{99999999999})_c", "group: is not a regular expression: the repetition number is"),
        ("ucf101", "'([^/]+)_c", "'[^/]+_c", "group: has 0 groups in parentheses, must have one, which is what"),
        ("ucf101", "'([^/]+)_c", "'([^/]+)_(c)", "group: has 2 groups in parentheses, must have one"),
        ("ucf101", "group: '", "group: 7 # '", "group: must be a regular expression, as text, not 7, which is a whole"),
        (
            "ucf101",
            'train: "split{split}_train"',
            "train: train",
            "lists.train: is 'train', and there are 3 official splits; write {split} where its number stands",
        ),
        (
            "sthv2",
            "train: train",
            'train: "{split}"',
            "lists.train: is '{split}', and there is one official split; leave {split} out, or give `splits`",
        ),
        ("sthv2", "train: train", 'train: "{part}"', "lists.train: is '{part}', in which only {split} may stand in br"),
        ("sthv2", "train: train", "train: [a, 1]", "lists.train: must be the name of a split file, without .csv, or a"),
        ("sthv2", "train: train", "train: []", "lists.train: must be the name of a split file, without .csv, or a"),
        ("sthv2", "train: train, ", "", "lists.train: missing; it is the split file of the training videos"),
        ("sthv2", "{train: train", "{trian: train", "lists.trian: no key 'trian'; did you mean 'train'?"),
        ("sthv2", "share: 0.5", "share: 1.0", "subsets.half.share: is 1, must be below 1"),
        ("sthv2", "share: 0.5", "share: 0", "subsets.half.share: is 0.0, must be above 0"),
        ("sthv2", ", share: 0.5", "", "subsets.half: a subset holds exactly one of share and listed"),
        ("sthv2", "share: 0.5", "listed: {train: a, test: b}", "subsets.half: a subset by lists gives num_videos"),
        (
            "cycle",
            "synthetic: true",
            "synthetic: true\nsubsets: {half: {why: x, share: 0.5}}",
            "subsets are of real data",
        ),
    ],
)
def test_wrong_names_and_groups_are_one_line(benchmarks: Path, name: str, old: str, new: str, message: str) -> None:
    path = benchmarks.parent / "data_manifests" / name / "dataset.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (line,) = [problem for problem in check_datasets() if name in problem]
    assert message in line and re.match(rf".*{name}/dataset\.yaml:\d+: ", line) and "\n" not in line


def test_subsets_have_numbers_of_videos_of_their_own() -> None:
    kinetics = load_dataset("kinetics400")
    assert (kinetics.num_videos("train", subset="mini200"), kinetics.num_videos("test", subset="mini200")) == (
        80000,
        5000,
    )
    assert (kinetics.num_videos("train", subset="tenth"), kinetics.num_videos("train", 8, "tenth")) == (24600, 8)
    with pytest.raises(
        DataError, match=r"data\.subset is half: kinetics400 has no subset 'half'; known: mini200, tenth"
    ):
        kinetics.video_arguments(None, None, None, whole=True, subset="half")
    with pytest.raises(
        DataError, match=r"data\.subset is half, and cycle is synthetic: data\.limit_train and limit_test"
    ):
        load_dataset("cycle").video_arguments(None, None, None, whole=True, subset="half")


def test_hmdb51_holds_clips_of_one_source_out_together() -> None:
    hmdb = load_dataset("hmdb51")
    assert (hmdb.num_classes, hmdb.about.splits, hmdb.num_videos("train"), hmdb.num_videos("test")) == (
        51,
        3,
        3570,
        1530,
    )
    assert hmdb.classes == tuple(sorted(hmdb.classes or ())) and hmdb.flip_labels is None
    assert hmdb.lists(2) == Lists(train=("split2_train",), test=("split2_test",))
    groups = [
        found[1] if (found := re.search(hmdb.about.group or "", video)) else None
        for video in (
            "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi",
            "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_1.avi",
            "fencing/Die_Another_Day_-_Fencing_Scene_Part_1_[HD]_avi_fencing_u_cm_np2_fr_goo_2.avi",
            "cartwheel/(Rad)Schlag_die_Bank!_cartwheel_f_cm_np1_le_med_0.avi",
        )
    ]
    assert groups == [
        "April_09_brush_hair",
        "April_09_brush_hair",
        "Die_Another_Day_-_Fencing_Scene_Part_1_[HD]_avi_fencing",
        "(Rad)Schlag_die_Bank!_cartwheel",
    ]


def test_a_flip_can_be_forbidden(benchmarks: Path) -> None:
    path = benchmarks.parent / "data_manifests" / "kinetics400" / "dataset.yaml"
    path.write_text(path.read_text() + "flip: {forbidden: true}\n")
    assert load_dataset("kinetics400").flip_allowed is False


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no data set 'kinetic400'.*did you mean 'kinetics400'\?"):
        load_dataset("kinetic400")
