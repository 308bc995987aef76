"""What tells the rows of a table apart: differences to the reference row, their order, and the width of a verdict."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from records import record_of

from vtbench.cli import main
from vtbench.papers import measurements, select
from vtbench.report.compare import Comparison, compare_rows
from vtbench.report.differences import PairedTest, _pairs, others_in_band, paired_interval
from vtbench.report.report import report
from vtbench.results import folders
from vtbench.results.record import Record
from vtbench.results.scores import hits
from vtbench.results.store import Store

Measure = Callable[..., None]
VIT, KV, Q = "msca/table2:vit", "msca/table2:msca-kv", "msca/table2:msca-q"  # printed: 75.65, 76.47, 75.84


@pytest.fixture
def scored(store: Store) -> Callable[..., None]:
    """scored(row, right, seed): a line of results.csv with the scores of its videos, `right` of which are hits."""

    def append(row_id: str, right: list[bool], seed: int = 0, **changes: object) -> None:
        (wanted,) = measurements(select([row_id])[0], "mini", seed)
        scores = np.zeros((2 * len(right), 2), dtype=np.float32)
        scores[:, 0] = np.repeat(right, 2)  # two views a video, label 0
        scores[:, 1] = 0.5
        folder = folders.evaluation_folder(store.folder, wanted.evaluation.key)
        folder.mkdir(parents=True)
        np.savez(
            folder / folders.SCORES,
            video_ids=np.array([f"video{i}" for i in range(len(right))]),
            labels=np.zeros(len(right), dtype=np.int64),
            video=np.repeat(np.arange(len(right)), 2),
            view=np.tile([0, 1], len(right)),
            scores=scores,
        )
        record = record_of(wanted, 100 * sum(right) / len(right), videos_expected=len(right), videos_decoded=len(right))
        done = {"weights_sha256": record.weights_sha256, "data_fingerprint": record.data_fingerprint, **changes}
        (folder / folders.DONE).write_text(json.dumps(done))
        store.append(record)

    return append


def reference_of(store: Store, row_id: str, scale: str = "mini") -> dict:
    entries = json.loads(report(select(["msca/table2"]), store.folder, scale, "json"))
    (entry,) = [entry for entry in entries if entry["id"] == row_id]
    return entry["reference"]


def test_the_difference_of_two_rows_stands_beside_the_printed_one(store: Store, measure: Measure) -> None:
    measure(VIT, "paper", 75.0)
    measure(KV, "paper", 76.0)
    found = reference_of(store, KV, "paper")
    assert (found["row"], found["metric"], found["printed"]) == ("vit", "top1", 0.82)
    assert found["measured"] == pytest.approx(1.0) and found["paired"] is False
    assert reference_of(store, VIT, "paper") is None
    assert reference_of(store, Q, "paper")["measured"] is None and reference_of(store, Q, "paper")["printed"] == 0.19


def test_an_unpaired_interval_of_one_seed_is_that_of_two_shares(store: Store, measure: Measure) -> None:
    measure(VIT, "paper", 75.0, videos_expected=400, videos_decoded=400)
    measure(KV, "paper", 80.0, videos_expected=400, videos_decoded=400)
    low, high = reference_of(store, KV, "paper")["interval"]
    # A hit and a miss added to either share (Agresti and Coull), with Student's quantile.
    ours, theirs = 321 / 402, 301 / 402
    half = scipy.stats.t.ppf(0.975, 399) * 100 * np.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / 402)
    assert (low, high) == (pytest.approx(5 - half), pytest.approx(5 + half))


def test_an_unpaired_interval_of_several_seeds_is_welchs_and_of_the_videos(store: Store, measure: Measure) -> None:
    ours, theirs = [76.4, 76.5, 76.9], [75.1, 75.9]
    measure(VIT, "paper", *theirs)
    measure(KV, "paper", *ours)
    seeds = scipy.stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    shares = [(200 * np.mean(values) + 1) / 20_002 for values in (ours, theirs)]
    videos = scipy.stats.t.ppf(0.975, 19_999) * 100 * np.sqrt(sum(p * (1 - p) for p in shares) / 20_002)
    half = np.hypot((seeds.high - seeds.low) / 2, videos)
    middle = np.mean(ours) - np.mean(theirs)
    assert reference_of(store, KV, "paper")["interval"] == pytest.approx([middle - half, middle + half])


def test_what_is_known_of_single_videos_never_widens_the_interval_of_like_rows(
    store: Store, scored: Callable[..., None]
) -> None:
    """Rows that get mostly the same videos right."""
    draw = np.random.default_rng(5)
    for seed in range(3):
        right = draw.random(300) < 0.6
        scored(VIT, list(right), seed)
        scored(KV, list(right | (draw.random(300) < 0.1)), seed)
    paired = reference_of(store, KV)
    shutil.rmtree(store.folder / "runs")
    unpaired = reference_of(store, KV)
    assert paired["paired"] is True and unpaired["paired"] is False
    wide, narrow = (one["interval"][1] - one["interval"][0] for one in (unpaired, paired))
    assert narrow < wide


def test_scores_of_the_same_videos_are_compared_video_by_video(store: Store, scored: Callable[..., None]) -> None:
    draw = np.random.default_rng(1)
    both = draw.random(400) < 0.7
    worse = both & (draw.random(400) < 0.95)
    scored(VIT, list(worse))
    scored(KV, list(both))
    found = reference_of(store, KV)
    lost = int((both & ~worse).sum())
    assert lost > 5 and found["paired"] is True
    assert found["measured"] == pytest.approx(100 * lost / 400)
    assert found["p"] == pytest.approx(0.5 ** (lost - 1))  # all discordant pairs on one side
    low, high = found["interval"]
    share = lost / 400
    half = 1.96 * 100 * (share * (1 - share) / 400) ** 0.5
    assert (low, high) == (pytest.approx(100 * share - half, abs=0.5), pytest.approx(100 * share + half, abs=0.5))
    # What unpaired numbers cannot tell from nothing.
    unpaired = scipy.stats.norm.ppf(0.975) * 100 * np.sqrt(2 * 0.7 * 0.3 / 400)
    assert low > 0 and unpaired > found["measured"]
    drawn = report(select(["msca/table2"]), store.folder, "mini", width=200)
    line = next(line for line in drawn.splitlines() if line.startswith("msca-kv "))
    assert "unpaired" not in line and f" p {found['p']:.2g}" in line
    assert "p: McNemar's exact test" in drawn


def test_seeds_that_disagree_widen_the_interval(store: Store, scored: Callable[..., None]) -> None:
    """However many videos there are: two seeds say little of what a third would give."""
    right, wrong = [True] * 300, [False] * 300
    scored(VIT, [*right, *wrong], 0)
    scored(VIT, [*right, *wrong], 1)
    scored(KV, [*right, *right], 0)
    scored(KV, [*right, *wrong], 1)
    found = reference_of(store, KV)
    assert found["measured"] == 25 and found["interval"][0] < 0 and found["interval"][1] == 100
    assert found["p"] is None  # the pairs of several seeds are not independent


def made_of(*differences: np.ndarray, weights: tuple[float, ...] = (1.0,)) -> list[PairedTest]:
    return [PairedTest(weight, one.astype(np.int8)) for weight, one in zip(weights, differences, strict=True)]


@pytest.mark.parametrize(("seed_sd", "video_share"), [(0.10, 0.02), (0.0, 0.3), (0.03, 0.2)])
def test_the_paired_interval_covers_the_truth_as_often_as_it_says(seed_sd: float, video_share: float) -> None:
    """Noise of seeds alone, of videos alone, and of both; the true difference is 0."""
    draw = np.random.default_rng(0)
    covered, runs = 0, 150
    for _ in range(runs):
        by_video = draw.choice([-1, 0, 1], size=300, p=[video_share / 2, 1 - video_share, video_share / 2])
        seeds = []
        for shift in draw.normal(0, seed_sd, 3):
            changed = draw.random(300) < abs(shift)
            seeds.append(np.where(changed, np.sign(shift), by_video))
        (low, high), _ = paired_interval(made_of(np.stack(seeds)))
        covered += low <= 0 <= high
    assert covered / runs > 0.9


def test_each_split_has_its_share_however_many_videos_it_has() -> None:
    """The printed number is the mean over splits."""
    small, large = np.ones((1, 100)), np.zeros((1, 1000))
    (low, high), p = paired_interval(made_of(small, large, weights=(0.5, 0.5)))
    assert (low + high) / 2 == pytest.approx(50) and p is None
    assert 0 < high - low < 5  # of few videos, none that differs: not certain


def test_seeds_that_agree_by_chance_are_not_certain(store: Store, scored: Callable[..., None]) -> None:
    draw = np.random.default_rng(6)
    for seed in (0, 1):
        scored(VIT, list(draw.permutation([True] * 50 + [False] * 50)), seed)
        scored(KV, list(draw.permutation([True] * 60 + [False] * 40)), seed)
    low, high = reference_of(store, KV)["interval"]
    rounding = scipy.stats.t.ppf(0.975, 1) * np.sqrt(2 / 12 / 2)  # of either row to one of 100 videos, two seeds
    assert high - low > 2 * rounding


def test_splits_that_are_one_evaluation_count_once(store: Store, measure: Measure) -> None:
    """At mini scale the three splits of UCF101 are one test; three times its videos would be three times as sure."""
    draw = np.random.default_rng(3)
    for row in ("mm-vit-i", "mm-vit-ii"):
        right = draw.random(64) < (0.5 if row == "mm-vit-i" else 0.8)
        for wanted in measurements(select([f"mmvit/table1:{row}"])[0], "mini", 0):
            record = record_of(wanted, 100 * right.mean(), videos_expected=64, videos_decoded=64)
            folder = folders.evaluation_folder(store.folder, wanted.evaluation.key)
            if not folder.exists():
                folder.mkdir(parents=True)
                scores = np.stack([right, np.full(64, 0.5)], axis=1)
                np.savez(folder / folders.SCORES, video_ids=np.array([str(i) for i in range(64)]),
                         labels=np.zeros(64, int), video=np.arange(64), view=np.zeros(64, int),
                         scores=scores)  # fmt: skip
                done = {"weights_sha256": record.weights_sha256, "data_fingerprint": record.data_fingerprint}
                (folder / folders.DONE).write_text(json.dumps(done))
            store.append(record)
    ours, theirs = (
        compare_rows(select([f"mmvit/table1:{row}"]), store, "mini")[0] for row in ("mm-vit-ii", "mm-vit-i")
    )
    (test,) = _pairs(ours, theirs, "ucf101_top1", store.folder, {})
    assert test.weight == 1 and test.difference.shape == (1, 64)


def test_seeds_that_all_agree_give_the_interval_of_the_videos(store: Store, measure: Measure) -> None:
    """No spread over seeds is no certainty: the next one may differ."""
    measure(VIT, "paper", 75.0, 75.0, videos_expected=400, videos_decoded=400)
    measure(KV, "paper", 80.0, 80.0, videos_expected=400, videos_decoded=400)
    low, high = reference_of(store, KV, "paper")["interval"]
    assert low < 0 < 5 < high
    assert json.loads(report(select([KV]), store.folder, "paper", "json"))[0]["verdict"] != "within"


def test_the_same_numbers_give_the_same_interval(store: Store, scored: Callable[..., None]) -> None:
    draw = np.random.default_rng(2)
    scored(VIT, list(draw.random(100) < 0.5))
    scored(KV, list(draw.random(100) < 0.6))
    assert reference_of(store, KV) == reference_of(store, KV)


@pytest.mark.parametrize(
    "broken",
    [
        lambda folder: (folder / folders.SCORES).unlink(),
        lambda folder: (folder / folders.SCORES).write_bytes(b"PK junk"),
        lambda folder: (folder / folders.DONE).unlink(),
        lambda folder: (folder / folders.DONE).write_text('{"weights_sha256": "other"}'),
        lambda folder: (folder / folders.DONE).write_text("{"),
    ],
)
def test_scores_that_are_not_those_of_the_line_make_it_unpaired(
    store: Store, scored: Callable[..., None], broken: Callable[[Path], None]
) -> None:
    scored(VIT, [True, False] * 50)
    scored(KV, [True, True] * 50)
    assert reference_of(store, KV)["paired"] is True
    (wanted,) = measurements(select([KV])[0], "mini", 0)
    broken(folders.evaluation_folder(store.folder, wanted.evaluation.key))
    assert reference_of(store, KV)["paired"] is False


def test_other_videos_or_other_seeds_make_it_unpaired(store: Store, scored: Callable[..., None]) -> None:
    scored(VIT, [True] * 100)
    scored(KV, [True] * 99)
    scored(Q, [True] * 100)
    scored(Q, [True] * 100, seed=1)
    assert reference_of(store, KV)["paired"] is False
    assert reference_of(store, Q)["paired"] is False


def test_hits_are_those_of_the_mean_over_views_and_a_lost_video_is_a_miss(store: Store) -> None:
    (wanted,) = measurements(select([KV])[0], "mini", 0)
    record = record_of(wanted, 100 / 3, videos_expected=3, videos_decoded=2, videos_failed=1)
    folder = folders.evaluation_folder(store.folder, wanted.evaluation.key)
    folder.mkdir(parents=True)
    # One view is sure of class 1, two lean to class 0: logits say 1, probabilities 0.
    scores = np.array([[0.0, 3.5], [1.5, 0.0], [1.5, 0.0], [5.0, 0.0]], dtype=np.float32)
    np.savez(
        folder / folders.SCORES,
        video_ids=np.array(["a", "b", "lost"]),
        labels=np.array([0, 0, 0]),
        video=np.array([0, 0, 0, 1]),
        view=np.array([0, 1, 2, 0]),
        scores=scores,
    )
    done = {"weights_sha256": record.weights_sha256, "data_fingerprint": record.data_fingerprint}
    (folder / folders.DONE).write_text(json.dumps(done))
    assert hits(store.folder, record, "logits") == {"a": False, "b": True, "lost": False}
    record = dataclasses.replace(record, top1=200 / 3)
    assert hits(store.folder, record, "probabilities") == {"a": True, "b": True, "lost": False}


@pytest.mark.slow
def test_two_rows_that_were_run_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command to the number: what `run` leaves behind is what the report reads."""
    results = ("--results", str(tmp_path))
    assert main(("run", VIT, KV, "--scale", "smoke", *results)) == 0
    capsys.readouterr()
    assert main(("report", "msca/table2", "--scale", "smoke", "--format", "json", *results)) == 0
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    found = entries[KV]["reference"]
    assert found["paired"] is True and 0 <= found["p"] <= 1
    measured = entries[KV]["measured"]["top1"]["mean"] - entries[VIT]["measured"]["top1"]["mean"]
    assert found["measured"] == pytest.approx(measured)
    for record in Store(tmp_path).read():
        right = hits(tmp_path, record, "logits")
        assert right is not None and 100 * sum(right.values()) / len(right) == pytest.approx(record.top1)


# ---- the table -------------------------------------------------------------------------------------------------------


def ranks(store: Store) -> dict | None:
    return json.loads(report(select(["msca/table2"]), store.folder, "paper", "json"))[0]["order"]


def test_the_order_of_a_table_is_kendalls_tau(store: Store, measure: Measure) -> None:
    rows = select(["msca/table2"])
    assert ranks(store) is None
    numbers = [76.0, 75.0, 75.5, 75.4, 75.6, 75.2, 77.0, 76.5, 75.1]
    for row, number in zip(rows, numbers, strict=True):
        measure(row.id, "paper", number)
    found = ranks(store)
    expected = scipy.stats.kendalltau([row.published["top1"].value for row in rows], numbers).statistic
    assert found["kendall_tau"] == pytest.approx(expected) and found["rows"] == 9
    low, high = found["interval"]
    assert -1 < low < expected < high < 1
    drawn = report(rows, store.folder, "paper", width=200)
    assert f"order of 9 rows by top1, print and measurement: Kendall's tau {expected:+.2f} ({low:+.2f} to" in drawn


def test_four_rows_have_no_order_to_speak_of(store: Store, measure: Measure) -> None:
    rows = select(["msca/table2"])
    for number, row in enumerate(rows[:4]):
        measure(row.id, "paper", 75.0 + number)
    assert ranks(store) is None
    measure(rows[4].id, "paper", 79.0)
    found = ranks(store)
    assert found is not None and found["rows"] == 5


def test_rows_at_chance_are_tied_in_the_order(store: Store, measure: Measure) -> None:
    rows = select(["msca/table2"])[:6]
    numbers = [(24.0, 25.0), (26.0, 25.5), (25.0, 90.0), (70.0, 71.0), (80.0, 81.0), (60.0, 61.0)]
    for row, seeds in zip(rows, numbers, strict=True):
        measure(row.id, "mini", *seeds, videos_expected=128, videos_decoded=128)
    found = json.loads(report(select(["msca/table2"]), store.folder, "mini", "json"))[0]["order"]
    levels = [25.0, 25.0, 57.5, 70.5, 80.5, 60.5]  # a row with one seed above chance keeps its mean
    printed = [row.published["top1"].value for row in rows]
    assert found["kendall_tau"] == pytest.approx(scipy.stats.kendalltau(printed, levels).statistic)
    assert found["kendall_tau"] != pytest.approx(scipy.stats.kendalltau(printed, [sum(n) for n in numbers]).statistic)
    assert found["at_chance"] == 2
    assert "; 2 at chance, tied" in drawn(store, "msca/table2")


def test_a_verdict_says_how_many_prints_lie_in_its_band(store: Store, measure: Measure) -> None:
    """Every pair of table 2 of MSCA: a plain ViT would pass as any of them."""
    rows = select(["msca/table2"])
    counts = {row.name: others_in_band(rows, row, "top1") for row in rows}
    values = {row.name: row.published["top1"].value for row in rows}
    assert counts == {
        name: sum(abs(other - value) <= 1.005 for o, other in values.items() if o != name)
        for name, value in values.items()
    }
    assert counts["msca-kv"] == 8
    measure(KV, "paper", 76.4, 76.5, 76.6)
    (entry,) = json.loads(report(select([KV]), store.folder, "paper", "json"))
    assert entry["verdict"] == "within" and entry["in_band"] == 8
    assert "alike: other rows whose printed number lies within 1 point" in report(select([KV]), store.folder, "paper")


# ---- what stands at chance, and what was trained on less ------------------------------------------------------------


def drawn(store: Store, *selectors: str) -> str:
    return " ".join(report(select(selectors), store.folder, "mini", width=300).split())


def test_a_blind_row_at_chance_is_blind_and_any_other_is_not_converged(store: Store, measure: Measure) -> None:
    measure(VIT, "mini", 25.0, 25.1, train_top1=26.0)
    measure(KV, "mini", 25.0, 99.0, train_top1=31.5)
    text = drawn(store, "msca/table2")
    why = "top1 (training accuracy 26.00) is at chance, blind by construction: each frame is seen alone"
    assert f"vit: {why}" in text
    assert "msca-kv: top1 is at chance in 1 of 2 seeds: not converged (training accuracy 31.50)" in text


def test_training_accuracy_of_older_lines_is_said_to_be_unknown(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 25.0)
    assert "not converged; its training accuracy is not in lines this old" in drawn(store, KV)


def test_what_is_well_above_chance_needs_no_reason(store: Store, measure: Measure) -> None:
    measure(VIT, "mini", 60.0)
    assert "chance:" not in drawn(store, VIT) and "blind" not in drawn(store, VIT)


def test_a_training_on_a_part_of_the_training_set_says_so(store: Store, measure: Measure) -> None:
    held = "lr: plateau on 10 % of the training videos, held out by seed"
    measure(KV, "mini", 90.0, selection=held)
    assert f"msca-kv: {held}" in drawn(store, KV)


def test_measurements_that_are_one_evaluation_say_so(store: Store, measure: Measure) -> None:
    for name in ("split1", "split2", "split3", "sthv2"):
        measure("mmvit/table1:mm-vit-i", "mini", 50.0, measurement=name)
    assert "mm-vit-i: split1, split2, split3 are one and the same evaluation at this scale" in drawn(
        store, "mmvit/table1:mm-vit-i"
    )


# ---- counted costs ---------------------------------------------------------------------------------------------------


def test_printed_and_counted_costs_stand_side_by_side(store: Store) -> None:
    text = report(select(["laps/table3"]), store.folder, "paper", width=250)
    line = next(line for line in text.splitlines() if line.startswith("laps-rb ")).split()
    assert line[:11] == ["laps-rb", "LAPS", "(RB)", "RstB", "8x224^2", "39.3", "29.9", "71.89", "38.3", "!", "29.9"]
    assert "counted !: no counting convention gives the printed number" in text
    (entry,) = json.loads(report(select(["laps/table3:laps-rb"]), store.folder, "paper", "json"))
    assert entry["costs"]["gflops"]["agrees"] is False and entry["costs"]["params_m"]["agrees"] is True


def test_a_row_whose_network_changed_is_stale_not_wrong(store: Store, edit: Callable[..., int]) -> None:
    edit("laps/table3.yaml", "label: LAPS (B)\n    data: {size: 320}", "label: LAPS (B)\n    data: {size: 288}")
    text = report(select(["laps/table3"]), store.folder, "paper", width=250)
    assert "laps-b: counted with another network; vtbench cost --record counts again" in text


def test_the_reference_is_measured_even_when_it_is_not_selected(store: Store, measure: Measure) -> None:
    measure(VIT, "paper", 75.0)
    measure(KV, "paper", 76.0)
    (entry,) = json.loads(report(select([KV]), store.folder, "paper", "json"))
    assert entry["reference"]["measured"] == pytest.approx(1.0)


def test_comparisons_without_a_store_know_nothing_of_other_rows(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.0)
    (alone,) = compare_rows(select([KV]), store, "paper")
    assert isinstance(alone, Comparison) and alone.difference is None and alone.in_band is None
    assert [type(record) for record in alone.counted] == [Record]
