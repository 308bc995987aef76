"""Two measurements against each other: won and lost, McNemar, interval, classes; and what is not the same test."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from scored import write_right, write_scores

from vtbench.cli import main
from vtbench.papers import select
from vtbench.papers.datasets import load_dataset
from vtbench.report.predictions.pair import Pair, pair, side
from vtbench.report.report import report
from vtbench.results.export import export_scores
from vtbench.results.store import Store

KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"
NAMES = load_dataset("cycle").classes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def compare(store: Store, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """compare(KV, VIT, ...): the JSON of the command, or its error."""

    def call(*arguments: str, form: str = "json") -> Any:
        code = main(["compare", *arguments, *(() if "--results" in arguments else ("--results", str(store.folder))),
                     "--format", form])  # fmt: skip
        out, err = capsys.readouterr()
        if code:
            return err
        return json.loads(out) if form == "json" else out

    return call


def against(store: Store, a: str = KV, b: str = VIT) -> Pair:
    return pair(*(side(select([row])[0], "mini", store.folder) for row in (a, b)))


def test_videos_are_won_and_lost_seed_by_seed(store: Store) -> None:
    write_right(store, KV, [True, True, False, True, False])
    write_right(store, VIT, [True, False, True, False, False])
    found = against(store)
    (only,) = found.seeds
    assert (only.won, only.lost, only.both, only.neither) == (2, 1, 1, 1)
    assert only.p == pytest.approx(scipy.stats.binomtest(2, 3).pvalue)
    assert [(v.video, v.outcome) for v in found.videos] == [("v1", "won"), ("v3", "won"), ("v2", "lost")]
    assert found.videos[0].a == (NAMES[1],) and found.videos[0].b == (NAMES[2],)
    assert found.difference == pytest.approx(20) and found.unpaired is None


def test_the_interval_is_that_of_the_report(store: Store) -> None:
    draw = np.random.default_rng(0)
    for seed in range(3):
        write_right(store, KV, (draw.random(200) < 0.7).tolist(), seed=seed)
        write_right(store, VIT, (draw.random(200) < 0.5).tolist(), seed=seed)
    entries = json.loads(report(select([KV]), store.folder, "mini", "json"))
    found = against(store)
    assert found.interval == pytest.approx(entries[0]["reference"]["interval"])
    assert found.difference == pytest.approx(entries[0]["reference"]["measured"])
    assert len(found.seeds) == 3 and all(one.p is not None for one in found.seeds)


def test_the_order_of_the_videos_does_not_matter(store: Store) -> None:
    """A test that was resumed has its videos in another order, also beside other seeds of its row."""
    write_right(store, KV, [True, False, True, False], ids=["a", "b", "c", "d"])
    write_right(store, KV, [True, False, True, False], ids=["a", "b", "c", "d"], seed=1)
    write_right(store, VIT, [True, False, True, True], ids=["a", "b", "c", "d"])
    scores = np.zeros((4, 1, 4))
    scores[[0, 1, 2, 3], 0, [3, 2, 2, 0]] = 1.0  # all but b are right
    write_scores(store, VIT, scores, [3, 2, 1, 0], ids=["d", "c", "b", "a"], seed=1)
    found = against(store)
    assert [(v.video, v.outcome, v.b) for v in found.videos] == [("d", "lost", (NAMES[3], NAMES[3]))]
    assert [(one.both, one.lost, one.neither) for one in found.seeds] == [(2, 1, 1), (2, 1, 1)]


def test_no_difference_in_a_few_videos_is_not_certainty(store: Store) -> None:
    for row in (KV, VIT):
        write_right(store, row, [True, False] * 15)
    found = against(store)
    low, high = found.interval
    assert -10 < low < -3 and high == -low and found.seeds[0].p == 1 and found.videos == ()
    assert found.notes == ("no video of 30 was won or lost",)


def test_classes_with_the_largest_difference_come_first(store: Store) -> None:
    write_right(store, KV, [True, True, False, True, True, True, False, True])
    write_right(store, VIT, [True, False, True, True, True, False, False, True])
    found = against(store)
    assert [(c.name, c.videos, c.a, c.b, c.difference) for c in found.classes] == [
        (NAMES[1], 2, 100, 0, 100),
        (NAMES[2], 2, 0, 50, -50),
        (NAMES[0], 2, 100, 100, 0),
        (NAMES[3], 2, 100, 100, 0),
    ]


def test_other_test_videos_are_compared_unpaired_and_it_is_said(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True] * 30, data_fingerprint="beef")
    write_right(store, VIT, [True, False] * 16)
    found = compare(KV, VIT)
    assert found["paired"] is False and found["videos"] == [] and found["seeds"][0]["won"] is None
    assert found["unpaired"] == "the test videos are not the same: 30 and 32, 30 in common"
    assert found["notes"] == ["A and B were tested on different videos or copies of them: cycle beef, cycle f00d"]
    low, high = found["interval"]
    assert low < found["difference"] == 50 < high
    drawn = compare(KV, VIT, form="table")
    assert "unpaired: the test videos are not the same" in drawn and "McNemar" not in drawn


def test_a_side_without_scores_is_compared_unpaired_with_the_remedy(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True])
    record = write_right(store, VIT, [True, False])
    for path in (store.folder / "runs" / f"eval-{record.evaluation_key}").iterdir():
        path.unlink()
    found = compare(KV, VIT)
    assert found["unpaired"] == "the scores of some seeds are not there" and found["classes"] == []
    assert f"`vtbench run {VIT} --scale mini --seeds 0 --test-again`" in found["notes"][0]


def test_only_seeds_that_both_have_are_paired(store: Store, compare: Callable[..., Any]) -> None:
    for seed in (0, 1, 2):
        write_right(store, KV, [True, True], seed=seed)
    write_right(store, VIT, [True, False], seed=1)
    found = compare(KV, VIT)
    assert found["a"]["seeds"] == found["b"]["seeds"] == [1]
    assert found["notes"] == ["seed 0, 2 of A is left out: the other has none"]
    assert compare(KV, VIT, "--seeds", "0", "--seeds", "1")["seeds"][0]["seed_a"] == 0
    assert "for seed 0" in compare(KV, VIT, "--seeds", "0")


def test_two_seeds_of_one_row_are_compared(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True, False], seed=0)
    write_right(store, KV, [False, True, False], seed=1)
    found = compare(KV, "--seeds", "0", "--seeds", "1")
    assert (found["a"]["seeds"], found["b"]["seeds"]) == ([0], [1])
    assert (found["seeds"][0]["won"], found["seeds"][0]["lost"]) == (1, 0)
    assert "A has 2 seeds and B 1; give as many of each" in compare(KV, "--seeds", "0,1", "--seeds", "1")
    assert "A has 1 seed and B 2; give" in compare(KV, "--seeds", "1", "--seeds", "0,1")
    assert "'0,1,0' names seed 0 more than once" in compare(KV, "--seeds", "0,1,0", "--seeds", "0,1")


def test_seeds_without_one_in_common_are_not_paired_by_themselves(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True], seed=0)
    write_right(store, VIT, [True], seed=1)
    assert "none in common; pair them with --seeds 0 --seeds 1" in compare(KV, VIT)


def test_two_stores_are_compared_one_of_them_without_run_folders(
    store: Store, tmp_path: Path, compare: Callable[..., Any]
) -> None:
    import shutil

    there = Store(tmp_path / "there")
    write_right(store, KV, [True, True, False])
    write_right(there, KV, [True, False, False], weights_sha256="other")
    export_scores(there.folder, there.read())
    shutil.rmtree(there.folder / "runs")
    found = compare(KV, "--results", str(store.folder), "--results", str(there.folder))
    assert found["paired"] is True and found["seeds"][0]["won"] == 1
    assert (found["a"]["results"], found["b"]["results"]) == (str(store.folder), str(there.folder))
    assert "no such folder" in compare(KV, "--results", str(store.folder), "--results", str(tmp_path / "none"))


def test_a_row_at_a_commit_is_compared_with_what_it_is_now(store: Store, compare: Callable[..., Any]) -> None:
    old = write_right(store, KV, [True, False, False], evaluation_key="0123456789ab", commit="aaaa1111")
    write_right(store, KV, [True, True, False], commit="bbbb2222")
    found = compare(KV, "--commit", "aaaa")
    assert found["a"]["evaluation_keys"] == [old.evaluation_key] and found["a"]["commits"] == ["aaaa1111"]
    assert found["b"]["commits"] == ["bbbb2222"] and found["seeds"][0]["lost"] == 1
    assert found["notes"][0].startswith("A was measured by an older spec; `vtbench diff` shows what changed")
    assert compare(KV, "--commit", "aaaa", "--commit", "bbbb")["b"]["commits"] == ["bbbb2222"]
    assert "by commit cccc; its lines are of commit bbbb222, aaaa111\n" in compare(KV, "--commit", "cccc")
    assert "for seed 9 by commit aaaa; that commit measured seed 0\n" in compare(KV, "--commit", "aaaa", "--seeds", "9")
    assert "of msca/table2:vit at mini scale by commit aaaa; `vtbench run" in compare(VIT, "--commit", "aaaa")
    assert "--commit: is empty" in compare(KV, "--commit", "")


def test_a_variant_that_changes_nothing_is_said(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True])
    found = compare(KV, "--variant", "msca-short-side")
    said = f"msca-short-side changes nothing in {KV} at mini scale; this is the row's own result"
    assert found["notes"][:2] == ["A and B are one and the same evaluation", f"B: {said}"]


def test_seeds_of_other_videos_are_unpaired_and_each_is_counted_by_its_own(
    store: Store, compare: Callable[..., Any]
) -> None:
    write_right(store, KV, [True] * 4)
    write_right(store, KV, [True] * 8 + [False] * 4, seed=1)
    for seed in (0, 1):
        write_right(store, VIT, [False] * 4, seed=seed)
    found = compare(KV, VIT)
    assert found["unpaired"] == "the test videos are not the same: 4 and 12, 4 in common"
    assert [(c["videos"], c["b"]) for c in found["classes"]] == [(3, 0)] * 4
    assert [c["a"] for c in found["classes"]] == pytest.approx([(100 + 200 / 3) / 2] * 4)


def test_seeds_on_different_copies_are_refused(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True])
    write_right(store, KV, [True, True], seed=1, data_fingerprint="beef")
    write_right(store, VIT, [True, True])
    write_right(store, VIT, [True, True], seed=1)
    assert "different copies of cycle (beef: seed 1; f00d: seed 0)" in compare(KV, VIT)
    assert compare(KV, VIT, "--seeds", "0")["paired"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((KV,), "compare needs a second row"),
        ((KV, "msca/table2"), "msca/table2 names 9 rows; name one, as msca/table2:tokenshift"),
        (
            (KV, VIT),
            "has no result of msca/table2:msca-kv at mini scale; `vtbench run msca/table2:msca-kv --scale mini`",
        ),
        ((KV, VIT, "--commit", "a", "--commit", "b", "--commit", "c"), "--commit: at most two, of A and of B"),
        ((KV, "laps/table1:laps"), "has 2 measurements; name one of laps/table1:laps@main, laps/table1:laps@events"),
    ],
)
def test_what_is_not_two_results_is_one_line(
    store: Store, compare: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    store.folder.mkdir()
    if "laps" in arguments[-1]:
        write_right(store, KV, [True])
    error = compare(*arguments)
    assert words in error and error.count("\n") == 1


def test_json_has_stable_keys(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True])
    write_right(store, VIT, [True, False])
    found = compare(KV, VIT)
    assert tuple(found) == (
        *("a", "b", "metric", "difference", "interval", "paired", "unpaired", "seeds", "classes", "videos", "notes"),
    )
    assert tuple(found["a"]) == (
        *("title", "row", "variant", "measurement", "scale", "results", "seeds", "top1", "sd", "dataset"),
        *("data_fingerprint", "training_keys", "evaluation_keys", "commits"),
    )
    assert tuple(found["seeds"][0]) == (
        *("seed_a", "seed_b", "a", "b", "difference", "won", "lost", "both", "neither", "p"),
    )
    assert tuple(found["videos"][0]) == ("video", "label", "outcome", "a_right", "b_right", "a", "b")
    assert tuple(found["classes"][0]) == ("label", "name", "videos", "a", "b", "difference")


def test_csv_has_a_line_for_the_whole_each_seed_class_and_video(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True, True, True, True])
    write_right(store, VIT, [True, False, True, True])
    lines = list(csv.DictReader(io.StringIO(compare(KV, VIT, form="csv"))))
    assert [line["part"] for line in lines] == ["all", "seed", *["class"] * 4, "video"]
    assert lines[0]["difference"] == "25" and lines[1]["won"] == "1" and lines[-1]["outcome"] == "won"
    assert lines[-1]["name"] == "v1" and lines[-1]["class"] == NAMES[1]


def test_a_table_lists_the_first_videos_and_says_that_there_are_more(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True] * 25)
    write_right(store, VIT, [False] * 25)
    short = compare(KV, VIT, form="table")
    assert "25 videos won by A (the first 10; --videos lists all 25)" in short
    assert short.count("\nv") == 11  # ten and the heading
    assert compare(KV, VIT, "--videos", form="table").count("\nv") == 26


def test_classes_that_the_data_set_no_longer_has_are_numbers(store: Store, compare: Callable[..., Any]) -> None:
    write_right(store, KV, [True] * 6, classes=6, evaluation_key="0123456789ab", commit="aaaa1111")
    write_right(store, KV, [False] * 6, classes=4, commit="bbbb2222")
    found = compare(KV, "--commit", "aaaa")
    assert found["unpaired"] == "the test videos have other labels" and found["classes"] == []
    assert compare(KV, "--commit", "aaaa", "--commit", "aaaa")["classes"][5]["name"] == "5"
