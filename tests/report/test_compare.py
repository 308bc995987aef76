from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from records import record_of

from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.report.compare import Comparison, compare_rows, distinct_evaluations
from vtbench.report.report import report
from vtbench.results.store import Store

Measure = Callable[..., None]
KV = "msca/table2:msca-kv"  # printed: 76.47 / 92.88


def compared(store: Store, row_id: str = KV, scale: str = "paper", **options: float) -> Comparison:
    (found,) = compare_rows(select([row_id]), store, scale, **options)
    return found


def test_a_variant_that_changes_nothing_here_has_the_rows_own_lines(store: Store, measure: Measure) -> None:
    """As `run` and `plan` say of it: already there."""
    measure(KV, "mini", 90.0)
    for settings in (["train.lr=0.1"], ["train.lr=0.2"]):
        (row,) = changed_rows(select([KV]), [], settings)
        (found,) = compare_rows([row], store, "paper")
        assert not found.measured
    measure(KV, "paper", 76.0)
    (same,), (other,) = (
        compare_rows(changed_rows(select([KV]), [], [f"train.lr={lr}"]), store, "paper") for lr in (0.1, 0.2)
    )
    assert same.measured["top1"].mean == 76.0 and not same.stale
    assert not other.measured and not other.stale


def test_a_csv_names_the_variant(store: Store, measure: Measure) -> None:
    (row,) = changed_rows(select([KV]), [], ["train.lr=0.2"])
    (wanted,) = measurements(row, "mini")
    measure(KV, "mini", 90.0)
    store.append(record_of(wanted, 80.0, variant=wanted.variant))
    lines = list(csv.DictReader(io.StringIO(report(select([KV]), store.folder, "mini", "csv", variants=True))))
    assert {(line["variant"], line["mean"]) for line in lines if line["metric"] == "top1"} == {
        ("", "90.0"),
        ("train.lr=0.2", "80.0"),
    }
    drawn = report(select([KV]), store.folder, "mini", variants=True)
    assert "1 of 1 rows have results" in drawn


def test_an_entry_has_the_keys_of_the_contract(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6, top5=92.9)
    entry = compared(store).entry()
    (row,) = select([KV])
    evaluations = [measurements(row, "paper", seed)[0].evaluation for seed in range(3)]
    assert entry == {
        "id": KV,
        "scale": "paper",
        "like": None,
        "variant": None,
        "published": {"top1": "76.47", "top5": "92.88"},
        "measured": {
            "top1": {"mean": pytest.approx(76.5), "sd": pytest.approx(0.1), "n": 3},
            "top5": {"mean": pytest.approx(92.9), "sd": pytest.approx(0), "n": 3},
        },
        "delta": {"top1": 0.03, "top5": 0.02},
        "verdict": "within",
        "coverage": None,
        "data": {"kinetics400": ["f00d"]},
        "reference": None,
        "in_band": None,
        "order": None,
        "costs": {},
        "keys": {
            "training": [e.training.key for e in evaluations],
            "evaluation": [e.key for e in evaluations],
            "stale": [],
        },
        "commit": "277b510",
        "claims": [],
    }


def test_a_test_on_part_of_the_data_set_decides_nothing(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.47, videos_expected=16_199, videos_decoded=16_199)
    found = compared(store)
    assert (found.verdict, found.delta) == ("inconclusive", {"top1": 0.0})
    assert found.partial == ("16199 of about 18000 test videos were read",)
    measure(KV, "paper", 76.47, videos_expected=16_200, videos_decoded=16_200)
    found = compared(store)
    assert (found.verdict, found.partial) == ("within", ())
    measure(KV, "paper", 76.47, videos_expected=18_000, videos_decoded=400, videos_failed=17_600)
    assert compared(store).partial == ("400 of about 18000 test videos were read",)


def test_a_training_on_part_of_the_data_set_decides_nothing(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.47, train_videos=2_000)
    found = compared(store)
    assert (found.verdict, found.partial) == (
        "inconclusive",
        ("2000 of about 246000 train videos were there to train on",),
    )
    measure(KV, "paper", 76.47, train_videos=None, init="given")
    assert compared(store).verdict == "within", "what given weights were trained on is not known"


def test_from_90_to_99_percent_the_verdict_carries_the_coverage(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.47, train_videos=236_000, train_unreadable=1_000)
    found = compared(store)
    assert (found.verdict, found.partial) == ("within", ())
    assert found.coverage == pytest.approx(235 / 246)
    assert found.entry()["coverage"] == found.coverage
    measure(KV, "paper", 76.47, train_videos=245_000)
    assert compared(store).coverage is None
    measure(KV, "paper", 76.47, train_videos=222_000, train_unreadable=1_000)
    assert (compared(store).verdict, compared(store).coverage) == ("inconclusive", None)


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_small_scales_are_never_compared_with_the_print(store: Store, measure: Measure, scale: str) -> None:
    before = compared(store, scale=scale).entry()
    measure(KV, scale, 76.47, 76.47)
    measure(KV, "paper", 76.47)
    after = compared(store, scale=scale).entry()
    for entry in (before, after):
        assert entry["delta"] is None and entry["verdict"] == "not-comparable"
    assert before["measured"] == {} and after["measured"]["top1"]["n"] == 2


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((), "not-run"),
        ((76.47,), "within"),
        ((76.9,), "inconclusive"),
        ((60.0,), "outside"),
        ((76.4, 76.5, 76.6), "within"),
        ((75.0, 76.5, 78.0), "inconclusive"),
        ((70.0, 70.1, 70.2), "outside"),
    ],
)
def test_the_verdict_follows_the_interval_at_paper_scale(
    store: Store, measure: Measure, values: tuple[float, ...], verdict: str
) -> None:
    measure(KV, "paper", *values)
    found = compared(store)
    assert found.verdict == verdict
    assert (found.delta is None) == (not values)


def test_the_tolerance_can_be_set(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 79.0, 79.1, 79.2)
    assert compared(store).verdict == "outside"
    assert compared(store, tolerance=5.0).verdict == "within"


def test_one_seed_is_judged_by_the_number_of_videos(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4)
    many = compared(store).measured["top1"].interval
    measure(KV, "paper", 76.4, videos_expected=100, videos_decoded=100)
    few = compared(store).measured["top1"].interval
    assert many[1] - many[0] < 1.3 < 15 < few[1] - few[0]
    assert compared(store).verdict == "inconclusive"


def test_a_bad_top5_decides_over_a_good_top1(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6, top5=80.0)
    assert compared(store).verdict == "outside"


def test_delta_has_the_printed_precision_and_no_negative_zero(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.467)
    assert str(compared(store).delta) == "{'top1': 0.0}"
    measure(KV, "paper", 76.4549)
    assert compared(store).delta == {"top1": -0.02}


def test_a_second_measurement_keeps_its_own_name(store: Store, measure: Measure) -> None:
    row = "msca/table3:msca-kv-12"
    measure(row, "mini", 90.0, 92.0)
    measure(row, "mini", 50.0, measurement="events")
    found = compared(store, row, "mini")
    assert {name: (m.mean, m.n) for name, m in found.measured.items()} == {"top1": (91, 2), "events_top1": (50, 1)}
    assert found.chance == {"top1": 25, "events_top1": 25}


def test_the_newest_line_of_a_seed_counts_once(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 10.0, 20.0)
    measure(KV, "paper", 76.0)
    found = compared(store).measured["top1"]
    assert (found.mean, found.n) == (48, 2)


def test_a_line_of_another_spec_is_stale_and_never_counted(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 10.0, evaluation_key="000000000000")
    found = compared(store)
    assert found.measured == {} and found.verdict == "not-run" and found.delta is None
    assert found.entry()["keys"] == {"training": [], "evaluation": [], "stale": ["000000000000"]}
    measure(KV, "paper", 76.4)
    found = compared(store)
    assert found.measured["top1"].mean == 76.4 and found.stale == ()


def test_a_newer_line_of_another_spec_does_not_hide_one_of_todays(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4)
    measure(KV, "paper", 10.0, evaluation_key="000000000000")
    assert compared(store).measured["top1"].mean == 76.4


def test_a_change_of_the_spec_makes_what_was_measured_stale(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4)
    (row,) = select([KV])
    main = row.recipes["main"]
    assert main.recipe.train is not None
    train = dataclasses.replace(main.recipe.train, epochs=13)
    changed = dataclasses.replace(
        row,
        recipes={"main": dataclasses.replace(main, recipe=dataclasses.replace(main.recipe, train=train))},
    )
    assert not compare_rows([row], store, "paper")[0].stale
    (found,) = compare_rows([changed], store, "paper")
    assert len(found.stale) == 1 and not found.measured


def test_a_measurement_that_the_row_no_longer_has_is_stale(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4)
    store.append(dataclasses.replace(store.read()[0], measurement="gone"))
    found = compared(store)
    assert [r.measurement for r in found.stale] == ["gone"] and found.measured["top1"].n == 1


def test_given_weights_count_only_where_no_training_of_ours_does(store: Store, measure: Measure) -> None:
    (row,) = select([KV])
    key = measurements(row, "paper", 0)[0].evaluation.key
    measure(KV, "paper", 70.0, init="given", evaluation_key=f"{key}-aaaaaaaaaaaa", training_key="file:aaaaaaaaaaaa")
    measure(KV, "paper", 76.3, init="given", evaluation_key=f"{key}-bbbbbbbbbbbb", training_key="file:bbbbbbbbbbbb")
    found = compared(store)
    assert found.given_weights and (found.measured["top1"].mean, found.measured["top1"].n) == (76.3, 1)
    measure(KV, "paper", 76.5)
    found = compared(store)
    assert not found.given_weights and (found.measured["top1"].mean, found.measured["top1"].n) == (76.5, 1)


def test_rows_that_share_an_evaluation_are_one_result(store: Store, measure: Measure) -> None:
    shared = ["msca/table1:msca-kv-2", "msca/table2:msca-kv", "msca/table3:msca-kv-12"]
    for row in [*shared, "msca/table2:tokenshift"]:
        measure(row, "mini", 90.0, 91.0)
    found = compare_rows(select([*shared, "msca/table2:tokenshift"]), store, "mini")
    evaluations = distinct_evaluations(found)
    assert len(store.read()) == 8 and len(evaluations) == 4
    assert sorted(len(members) for members in evaluations.values()) == [1, 1, 3, 3]


def test_a_dirty_or_second_commit_is_named(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.0, 76.1)
    store.append(dataclasses.replace(store.read()[1], commit="abc1234", dirty=True))
    assert compared(store).entry()["commit"] == "277b510, abc1234-dirty"
    measure(KV, "paper", 76.0, 76.1, commit=None, dirty=None)
    assert compared(store).entry()["commit"] is None


def test_rows_without_a_printed_accuracy_are_not_comparable(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.0)
    (row,) = select([KV])
    (found,) = compare_rows([dataclasses.replace(row, published={})], store, "paper")
    assert found.verdict == "not-comparable" and found.delta is None and found.measured


def test_rows_that_cannot_be_run_are_not_run(store: Store) -> None:
    (row,) = select([KV])
    for status in ("published-only", "analytic"):
        (found,) = compare_rows([dataclasses.replace(row, status=status, recipes={})], store, "paper")
        assert found.verdict == "not-run"


def test_a_mean_over_measurements_stands_for_them_once_all_are_there(store: Store, measure: Measure) -> None:
    row = "mmvit/table2:tms"  # printed: 95.99 / 99.54
    sizes = {"videos_expected": 3783, "videos_decoded": 3783, "train_videos": 9537}
    measure(row, "paper", 95.0, 96.0, measurement="split1", top5=99.0, **sizes)
    measure(row, "paper", 96.0, 97.0, measurement="split2", top5=99.0, **sizes)
    before = compared(store, row)
    assert set(before.measured) == {f"split{n}_top{k}" for n in (1, 2) for k in (1, 5)}
    assert (before.delta, before.verdict) == (None, "not-comparable")
    measure(row, "paper", 97.0, measurement="split3", top5=99.0, **sizes)
    after = compared(store, row)
    assert set(after.measured) == {"top1", "top5"} == set(after.chance)
    assert (after.measured["top1"].mean, after.measured["top1"].n) == (96.0, 1), "one seed has all three"
    assert after.delta == {"top1": 0.01, "top5": -0.54}
    low, high = after.measured["top1"].interval
    assert high - low < 1, "of three test sets"


def test_a_measurement_may_be_part_of_two_means(store: Store, measure: Measure, own_paper: Callable[..., Path]) -> None:
    parts = "measurements: {a: {}, b: {}, c: {}}, means: {main: [a, b, c], ab: [a, b]}"
    own_paper(f'  - {{id: one, label: One, {parts}, published: {{top1: "50.0", ab_top1: "40.0"}}}}\n')
    for name, top1 in (("a", 30.0), ("b", 40.0), ("c", 50.0)):
        measure("lab/table1:one", "paper", top1, measurement=name)
    found = compared(store, "lab/table1:one")
    assert {name: m.mean for name, m in found.measured.items()} == {"top1": 40.0, "ab_top1": 35.0}
    assert found.delta == {"top1": -10.0, "ab_top1": -5.0} and set(found.chance) == {"top1", "ab_top1"}


@pytest.fixture
def egtea(own_paper: Callable[..., Path]) -> str:
    """A row on EGTEA that prints mean class accuracy beside top-1, as papers do; gives its id."""
    row = "data: {dataset: egtea, split: 1}, eval: {metrics: [mean_class_accuracy]}"
    own_paper(f'  - {{id: one, label: One, {row}, published: {{top1: "70.0", mean_class_accuracy: "62.5"}}}}\n')
    return "lab/table1:one"


EGTEA = {"videos_expected": 2022, "videos_decoded": 2022, "train_videos": 8299}


def test_mean_class_accuracy_stands_beside_the_printed_one(store: Store, measure: Measure, egtea: str) -> None:
    for seed_top1, cell in ((70.0, "62.4"), (70.1, "62.6"), (69.9, "62.8")):
        measure(egtea, "paper", seed_top1, metrics=f"mean_class_accuracy={cell}", **EGTEA)
    found = compared(store, egtea)
    assert found.measured["mean_class_accuracy"].mean == 62.8, "the newest line of the one seed"
    assert found.chance == {"top1": pytest.approx(100 / 106), "mean_class_accuracy": pytest.approx(100 / 106)}
    assert found.delta == {"top1": -0.1, "mean_class_accuracy": 0.3}
    drawn = report(select([egtea]), store.folder, "paper", width=200)
    (line,) = (line for line in drawn.splitlines() if line.startswith("one "))
    assert line.split() == [
        *("one", "One", "70.0", "62.5", "69.90", "62.80", "1", "-0.1", "+0.3", "inconclusive"),
    ]
    assert "mean_class_accuracy: mean over the classes of top1 within the class; %, higher is better." in drawn
    (entry,) = json.loads(report(select([egtea]), store.folder, "paper", "json"))
    assert entry["published"]["mean_class_accuracy"] == "62.5" and entry["delta"]["mean_class_accuracy"] == 0.3


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [((62.4, 62.5, 62.6), "within"), ((55.0, 55.1, 55.2), "outside"), ((62.5,), "inconclusive")],
)
def test_mean_class_accuracy_decides_with_several_seeds(
    store: Store, egtea: str, cells: tuple[float, ...], verdict: str
) -> None:
    """One seed leaves it open: it is no share of the videos, whose spread Wilson's interval would give."""
    (row,) = select([egtea])
    for seed, cell in enumerate(cells):
        (wanted,) = measurements(row, "paper", seed)
        store.append(record_of(wanted, 70.0 + seed / 100, metrics=f"mean_class_accuracy={cell}", **EGTEA))
    assert compared(store, egtea).verdict == verdict


def test_only_accuracies_decide(store: Store, measure: Measure, own_paper: Callable[..., Path]) -> None:
    """The interval of a metric of the user's is not known: its distance is shown and judged by the reader."""
    folder = own_paper(
        '  - {id: one, label: One, eval: {metrics: ["own:f1"]}, published: {top1: "50.0", f1: "50.0"}}\n'
    )
    (folder / "own.py").write_text("def f1(scores, labels, expected_labels): ...\n")
    measure("lab/table1:one", "paper", 50.0, metrics="f1=10.0")
    found = compared(store, "lab/table1:one")
    assert (found.delta, found.verdict) == ({"top1": 0.0, "f1": -40.0}, "within")
