"""Claims against measured numbers: verdicts, what cannot be tested and why, and nothing mixed that is unlike."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from vtbench.papers import load_paper, select
from vtbench.papers.resolve import network_of
from vtbench.papers.roots import own_root
from vtbench.report.claims.finding import Finding, Judged
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore, Store

Judge = Callable[..., dict[str, Judged]]
Scored = Callable[..., None]
Measure = Callable[..., None]

KV, VIT, TS = "table2:msca-kv.top1", "table2:vit.top1", "table2:tokenshift.top1"
ROWS = {"kv": "msca/table2:msca-kv", "vit": "msca/table2:vit", "ts": "msca/table2:tokenshift"}


def at(judge: Judge, scale: str, holds: str, **cells: Any) -> Finding:
    (judged,) = judge(holds, scales=[scale], **cells).values()
    return judged.measured[scale]


def hits(share: float, videos: int = 200, seed: int = 0) -> list[bool]:
    return list(np.random.default_rng(seed).random(videos) < share)


def better(right: Sequence[bool], by: int) -> list[bool]:
    """The same videos right, and `by` more."""
    wrong = [number for number, one in enumerate(right) if not one][:by]
    return [one or number in wrong for number, one in enumerate(right)]


# ---- accuracies ------------------------------------------------------------------------------------------------------


def test_one_seed_of_two_rows_is_mcnemars_test(judge: Judge, scored: Scored) -> None:
    base = hits(0.5)
    scored(ROWS["vit"], base)
    scored(ROWS["kv"], better(base, 12))
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "supported" and found.method == "McNemar's exact test"
    assert found.p == pytest.approx(scipy.stats.binomtest(12, 12).pvalue) and found.p_holm == found.p
    assert (found.what, found.value) == ("kv - vit", pytest.approx(6.0))
    assert found.interval is not None and 0 < found.interval[0] < 6 < found.interval[1]
    assert found.why == "one seed: of the test videos alone" and len(found.keys) == 2
    turned = at(judge, "mini", "vit > kv", kv=KV, vit=VIT)
    assert turned.verdict == "contradicted" and turned.p == found.p and turned.value == pytest.approx(-6.0)


def test_a_small_difference_is_within_the_noise(judge: Judge, scored: Scored) -> None:
    base = hits(0.5)
    scored(ROWS["vit"], base)
    scored(ROWS["kv"], better(base, 3))
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "inconclusive" and found.p == pytest.approx(0.25)


def test_rows_are_compared_seed_by_seed(judge: Judge, measure: Measure) -> None:
    """Seeds that lift both rows alike say nothing against their difference."""
    measure(ROWS["vit"], "mini", 40.0, 60.0, 80.0, videos_expected=20_000, videos_decoded=20_000)
    measure(ROWS["kv"], "mini", 45.1, 65.0, 84.9, videos_expected=20_000, videos_decoded=20_000)
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "supported" and found.value == pytest.approx(5.0)
    assert found.method == "3 seeds, paired (t); videos unpaired (binomial)"
    assert found.why == "unpaired where the store has no per-video scores"


def test_seeds_that_disagree_leave_it_open(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0, 50.0, 50.0)
    measure(ROWS["kv"], "mini", 45.0, 55.0, 75.0)
    assert at(judge, "mini", "kv > vit", kv=KV, vit=VIT).verdict == "inconclusive"


def test_scores_of_the_same_videos_decide_what_shares_alone_do_not(judge: Judge, scored: Scored, store: Store) -> None:
    base = hits(0.5, 400)
    for seed in range(3):
        scored(ROWS["vit"], base, seed)
        scored(ROWS["kv"], better(base, 20 + seed), seed)
    paired = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    shutil.rmtree(store.folder / "runs")
    alone = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert paired.verdict == "supported" and paired.method == "3 seeds, paired (t); videos paired"
    assert alone.verdict == "inconclusive" and paired.value == pytest.approx(alone.value)


def test_the_best_of_several_has_to_beat_each(judge: Judge, scored: Scored) -> None:
    base = hits(0.5)
    scored(ROWS["vit"], base)
    scored(ROWS["ts"], better(base, 11))
    scored(ROWS["kv"], better(base, 12))
    cells = {"kv": KV, "vit": VIT, "ts": TS}
    best = at(judge, "mini", "kv > max(vit, ts)", **cells)
    assert best.verdict == "inconclusive" and best.what == "kv - ts"
    assert at(judge, "mini", "kv > min(vit, ts)", **cells).verdict == "supported"
    assert at(judge, "mini", "vit > max(kv, ts)", **cells).verdict == "contradicted"


CLAIMS = """\
- {id: sure, quote: said, source: {section: "1"}, cells: {a: table2:msca-kv.top1, b: table2:vit.top1}, holds: a > b}
- {id: less, quote: said, source: {section: "1"}, cells: {a: table2:tokenshift.top1, b: table2:vit.top1}, holds: a > b}
- id: size
  quote: said
  source: {section: "1"}
  cells: {a: table2:msca-kv.top1, b: table2:vit.top1}
  holds: about(a - b, 1)
"""


def test_holms_correction_is_over_the_tested_claims_of_the_paper(judge: Judge, scored: Scored) -> None:
    base = hits(0.5)
    scored(ROWS["vit"], base)
    scored(ROWS["ts"], better(base, 6))  # p 0.031 alone
    scored(ROWS["kv"], better(base, 14))
    found = {name: one.measured["mini"] for name, one in judge(CLAIMS, scales=["mini"]).items()}
    assert found["less"].p == pytest.approx(0.03125) and found["less"].p_holm == pytest.approx(0.03125)
    assert found["sure"].p_holm == pytest.approx(2 * 0.5**13) and found["less"].verdict == "supported"
    assert found["size"].verdict == "cannot be tested" and found["size"].p_holm is None


def test_a_claim_that_would_pass_alone_may_not_pass_among_others(judge: Judge, scored: Scored) -> None:
    base = hits(0.5)
    scored(ROWS["vit"], base)
    scored(ROWS["ts"], better(base, 6))
    scored(ROWS["kv"], better(base, 6))
    found = {name: one.measured["mini"] for name, one in judge(CLAIMS, scales=["mini"]).items()}
    assert [found[name].p for name in ("sure", "less")] == pytest.approx([0.03125, 0.03125])
    assert [found[name].p_holm for name in ("sure", "less")] == pytest.approx([0.0625, 0.0625])
    assert {found[name].verdict for name in ("sure", "less")} == {"inconclusive"}


# ---- what cannot be tested -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holds", ["about(kv - vit, 1.2)", "kv - vit > 0.5", "within(kv, vit, 1)", "same(kv, vit)",
                                   "kv > 1.1 * vit", "kv > vit and kv - vit < 1"])  # fmt: skip
def test_how_large_a_difference_is_is_no_matter_of_small_networks(judge: Judge, measure: Measure, holds: str) -> None:
    for scale in ("mini", "lab"):
        measure(ROWS["vit"], scale, 50.0)
        measure(ROWS["kv"], scale, 90.0)
        found = at(judge, scale, holds, kv=KV, vit=VIT)
        assert found.verdict == "cannot be tested" and found.why is not None and "only orders" in found.why


def test_smoke_says_nothing_whatever_it_measured(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "smoke", 0.0)
    measure(ROWS["kv"], "smoke", 100.0)
    found = at(judge, "smoke", "kv > vit", kv=KV, vit=VIT)
    assert (found.verdict, found.why) == ("cannot be tested", "smoke only shows that everything runs")


def test_a_file_may_say_why_a_scale_says_nothing(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 0.0)
    measure(ROWS["kv"], "mini", 100.0)
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT, more="  untestable: {mini: the two train alike}\n")
    assert (found.verdict, found.why) == ("cannot be tested", "the two train alike")


def test_rows_that_have_no_result_are_named_with_the_command(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0)
    found = at(judge, "mini", "kv > max(vit, ts)", kv=KV, vit=VIT, ts=TS)
    assert found.verdict == "not run"
    assert found.why == "vtbench run msca/table2:msca-kv msca/table2:tokenshift --scale mini"


def test_a_result_of_an_older_spec_counts_as_none_and_is_said(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0)
    measure(ROWS["kv"], "mini", 60.0, evaluation_key="older")
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "not run" and found.why is not None
    assert found.why.endswith("; of an older spec: msca/table2:msca-kv")


def test_rows_that_are_one_evaluation_are_not_compared(judge: Judge, measure: Measure) -> None:
    measure("msca/table1:vit", "mini", 50.0)
    measure("msca/table2:vit", "mini", 50.0)
    found = at(judge, "mini", "a > b", a="table1:vit.top1", b=VIT)
    assert found.verdict == "cannot be tested"
    assert found.why == "rows are one evaluation at this scale (table1:vit.top1, table2:vit.top1)"


@pytest.mark.parametrize(
    ("accuracies", "verdict"), [((25.0, 24.0), "cannot be tested"), ((25.0, 60.0), "inconclusive")]
)
def test_a_row_that_learnt_nothing_in_any_seed_did_not_converge(
    judge: Judge, measure: Measure, accuracies: tuple[float, float], verdict: str
) -> None:
    measure(ROWS["kv"], "mini", *accuracies)
    measure(ROWS["ts"], "mini", 90.0, 91.0)
    found = at(judge, "mini", "kv > ts", kv=KV, ts=TS)
    assert found.verdict == verdict
    if verdict == "cannot be tested":
        assert found.why == "a row did not converge in any seed (msca/table2:msca-kv)"


def test_a_row_that_is_blind_by_construction_is_what_it_is(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 25.0, 26.0, 27.0)
    measure(ROWS["kv"], "mini", 90.0, 91.0, 92.0)
    assert at(judge, "mini", "kv > vit", kv=KV, vit=VIT).verdict == "supported"


def test_different_copies_of_the_data_are_not_compared(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0, data_fingerprint="aaaa")
    measure(ROWS["kv"], "mini", 90.0, data_fingerprint="bbbb")
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "cannot be tested"
    assert found.why == "rows were tested on 2 different copies of cycle (aaaa, bbbb)"


def test_seeds_on_another_copy_are_left_out_and_said(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0, 50.2, data_fingerprint="aaaa")
    measure(ROWS["kv"], "mini", 10.0, 10.2, 10.1, data_fingerprint="bbbb")
    measure(ROWS["kv"], "mini", 90.0, 90.2, data_fingerprint="aaaa")
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "supported" and found.value == pytest.approx(40.0)
    assert "seeds on another copy of the test videos are left out: msca/table2:msca-kv" in (found.why or "")


def test_what_differs_between_rows_is_said(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0, 51.0)
    measure(ROWS["kv"], "mini", 90.0, 91.0, 90.5, device="NVIDIA H100")
    found = at(judge, "mini", "kv > vit", kv=KV, vit=VIT)
    assert found.why is not None
    assert "measured on" in found.why and "NVIDIA H100" in found.why and "rows have different seeds" in found.why


def test_part_of_a_data_set_decides_nothing(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "paper", 75.0, 75.1, videos_expected=20_000, videos_decoded=10_000, videos_failed=10_000)
    measure(ROWS["kv"], "paper", 86.0, 86.1)
    found = at(judge, "paper", "kv > vit", kv=KV, vit=VIT)
    assert found.verdict == "inconclusive" and found.p is None and found.why is not None
    assert "10000 of about" in found.why


def test_top5_of_four_classes_is_no_test(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "mini", 50.0, top5=100.0)
    measure(ROWS["kv"], "mini", 90.0, top5=100.0)
    found = at(judge, "mini", "kv > vit", kv="table2:msca-kv.top5", vit="table2:vit.top5")
    assert (found.verdict, found.why) == ("cannot be tested", "whoever guesses has 100 % top5 of so few classes")


# ---- paper scale -----------------------------------------------------------------------------------------------------


def test_about_allows_a_measured_difference_the_reports_tolerance(judge: Judge, measure: Measure) -> None:
    measure(ROWS["vit"], "paper", 75.60, 75.62, 75.61)
    measure(ROWS["kv"], "paper", 76.40, 76.42, 76.41)
    found = at(judge, "paper", "about(kv - vit, 1.2)", kv=KV, vit=VIT)
    assert found.verdict == "inconclusive" and found.value == pytest.approx(0.8)  # 1.2 is near, and so is 0
    assert found.why is not None and "within 1 point counts as equal" in found.why
    measure(ROWS["kv"], "paper", 86.40, 86.42, 86.41)
    assert at(judge, "paper", "about(kv - vit, 1.2)", kv=KV, vit=VIT).verdict == "contradicted"
    assert at(judge, "paper", "kv - vit > 5", kv=KV, vit=VIT).verdict == "supported"


def test_the_printed_number_of_a_quoted_row_stands_in_at_paper_scale_alone(judge: Judge, measure: Measure) -> None:
    cells = {"ours": "table4:laps.top1", "tsm": "table4:tsm.top1"}  # TSM is quoted: 74.7
    for scale in ("mini", "paper"):
        measure("laps/table4:laps", scale, 79.0, 79.1, 79.05)
    found = at(judge, "paper", "ours > tsm", paper="laps", **cells)
    assert found.verdict == "supported" and found.sides["tsm"] == "74.70"
    assert found.why is not None and "printed, as never run: table4:tsm.top1" in found.why
    found = at(judge, "mini", "ours > tsm", paper="laps", **cells)
    assert found.verdict == "cannot be tested"
    assert found.why == "compares with quoted rows, which are never run (laps/table4:tsm)"
    found = at(judge, "paper", "nl > tsm", paper="laps", tsm="table4:tsm.top1", nl="table4:non-local-r101.top1")
    assert found.verdict == "cannot be tested"


# ---- further tasks ---------------------------------------------------------------------------------------------------


def test_a_further_task_of_a_small_scale_is_a_result_of_its_own(judge: Judge, measure: Measure) -> None:
    row = next(
        r.name for r in load_paper("msca").rows if r.table == "table3" and r.name != "vit" and "events" in r.recipes
    )
    measure(f"msca/table3:{row}", "mini", 99.0, 99.1)
    measure("msca/table3:vit", "mini", 25.0, 25.1)
    measure(f"msca/table3:{row}", "mini", 40.1, 40.0, measurement="events")
    measure("msca/table3:vit", "mini", 75.0, 75.1, measurement="events")
    (judged,) = judge("a > b", scales=["mini"], a=f"table3:{row}.top1", b="table3:vit.top1").values()
    assert {name: found.verdict for name, found in judged.measured.items()} == {
        "mini": "supported",
        "mini (events)": "contradicted",
    }


def _row(selector: str) -> Any:
    return select([selector])[0]


# ---- costs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(store: Store) -> Store:
    """A store with the recorded costs of the papers' networks."""
    store.folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(own_root().folder / "results" / "cost.csv", store.folder)
    return store


def test_costs_are_counted_of_the_papers_networks(judge: Judge, counted: Store) -> None:
    cells = {"a": "table7:deit-s-2d.params_m", "b": "table7:deit-s-tps.params_m"}
    found = at(judge, "paper", "same(a, b)", paper="pst", **cells)
    assert found.verdict == "supported" and found.sides == {"a": "22", "b": "22"} and found.p is None
    assert found.method is not None and found.method.startswith("counted at paper scale (")
    assert at(judge, "paper", "b > a", paper="pst", **cells).verdict == "contradicted"  # to the printed digits
    found = at(judge, "mini", "same(a, b)", paper="pst", **cells)
    assert found.verdict == "cannot be tested" and found.why is not None and "see paper scale" in found.why


def test_costs_that_no_print_has_can_be_counted(judge: Judge, counted: Store) -> None:
    cells = {"kv": "table2:msca-kv.params_m", "vit": "table2:vit.params_m"}
    (judged,) = judge("same(kv, vit)", scales=["paper"], **cells).values()
    assert judged.printed.verdict == "not printed" and judged.measured["paper"].verdict == "supported"


def test_a_claim_of_accuracy_and_cost_needs_both(judge: Judge, counted: Store, measure: Measure) -> None:
    cells = {"a": "table7:deit-s-2d.top1", "b": "table7:deit-s-tps.top1"}
    costs = {"ga": "table7:deit-s-2d.gflops", "gb": "table7:deit-s-tps.gflops"}
    measure("pst/table7:deit-s-2d", "mini", 25.0, 25.1, 25.2)
    measure("pst/table7:deit-s-tps", "mini", 95.0, 95.1, 95.2)
    both = at(judge, "mini", "b > a and same(ga, gb)", paper="pst", **cells, **costs)
    assert both.verdict == "supported" and both.method is not None and "counted at paper scale" in both.method
    assert at(judge, "mini", "b > a and gb > ga", paper="pst", **cells, **costs).verdict == "contradicted"


# ---- speed and memory ------------------------------------------------------------------------------------------------


@pytest.fixture
def timed(store: Store) -> Callable[..., None]:
    """timed("pst-t", 1.2, 1.1, 1.3): latency of a row of pst/table6 over its baseline's, with quartiles."""

    def append(name: str, ratio: float, q1: float, q3: float, metric: str = "latency_ms", device: str = "GPU") -> None:
        row = _row(f"pst/table6:{name}")
        networks = [network_of(one, "paper") for one in (row, _row(row.baseline_id))]
        assert networks[0] is not None and networks[1] is not None
        store.folder.mkdir(parents=True, exist_ok=True)
        SpeedStore(store.folder).append(
            SpeedRecord(
                id=row.id,
                scale="paper",
                metric=metric,
                batch=1,
                value=9.0,
                q1=9.0,
                q3=9.0,
                against=row.baseline_id,
                ratio=ratio,
                ratio_q1=q1,
                ratio_q3=q3,
                rounds=9,
                network=networks[0].key,
                against_network=networks[1].key,
                precision="32-true",
                device=device,
                threads=1,
                commit=None,
                dirty=None,
                versions="torch=2.8.0",
                finished_at="2026-01-31T23:59:59Z",
            )
        )

    return append


SPEED = {"pst": "table6:pst-t.latency_ms", "swin": "table6:2d-swin-t.latency_ms"}


@pytest.mark.parametrize(
    ("holds", "quartiles", "verdict"),
    [
        ("pst > swin", (1.1, 1.3), "supported"),
        ("pst > swin", (0.7, 0.9), "contradicted"),
        ("pst > swin", (0.9, 1.1), "inconclusive"),
        ("pst <= 1.5 * swin", (1.1, 1.3), "supported"),
        ("about(percent(pst, swin), 20)", (1.199, 1.201), "supported"),
        ("about(percent(pst, swin), 20)", (1.15, 1.25), "inconclusive"),
        ("about(percent(pst, swin), 76)", (1.15, 1.25), "contradicted"),
    ],
)
def test_quartiles_of_the_ratio_decide(
    judge: Judge, timed: Callable[..., None], holds: str, quartiles: tuple[float, float], verdict: str
) -> None:
    timed("pst-t", sum(quartiles) / 2, *quartiles)
    found = at(judge, "paper", holds, paper="pst", **SPEED)
    assert found.verdict == verdict and found.p is None
    assert found.method == "ratios to pst/table6:2d-swin-t on GPU, 32-true; quartiles decide"


def test_absolute_times_are_of_another_machine(judge: Judge, timed: Callable[..., None]) -> None:
    timed("pst-t", 1.2, 1.1, 1.3)
    found = at(judge, "paper", "about(pst - swin, 2)", paper="pst", **SPEED)
    assert found.verdict == "cannot be tested" and found.why is not None and "only ratios" in found.why


def test_a_cpu_decides_nothing_and_is_said(judge: Judge, timed: Callable[..., None]) -> None:
    timed("pst-t", 0.8, 0.7, 0.9, device="cpu")
    found = at(judge, "paper", "pst > swin", paper="pst", **SPEED)
    assert found.verdict == "cannot be tested"
    assert found.why == "measured on a CPU alone, printed of a GPU; there pst = 0.80, swin = 1.00"
    timed("pst-t", 1.2, 1.1, 1.3)
    found = at(judge, "paper", "pst > swin", paper="pst", **SPEED)
    assert found.verdict == "supported"
    assert found.why == "the print is of the paper's own machine; contradicted on cpu, 32-true"
    timed("pst-t", 0.8, 0.7, 0.9, device="Another GPU")
    found = at(judge, "paper", "pst > swin", paper="pst", **SPEED)
    assert found.verdict == "inconclusive" and found.why is not None and "contradicted on Another GPU" in found.why


@pytest.mark.parametrize(("ratio", "verdict"), [(1.85, "supported"), (2.2, "supported"), (1.7, "contradicted"),
                                                (2.4, "contradicted")])  # fmt: skip
def test_about_allows_a_tenth_of_a_ratio_of_another_machine(
    judge: Judge, timed: Callable[..., None], ratio: float, verdict: str
) -> None:
    timed("pst-t", ratio, ratio - 0.01, ratio + 0.01)
    found = at(judge, "paper", "about(pst / swin, 2.0)", paper="pst", **SPEED)
    assert found.verdict == verdict
    assert found.why == "the print is of the paper's own machine; ratios 10% apart count as equal"


def test_a_ratio_that_was_not_measured_is_named(judge: Judge, timed: Callable[..., None]) -> None:
    found = at(judge, "paper", "pst > swin", paper="pst", **SPEED)
    assert found.verdict == "not run"
    assert found.why == "latency_ms of pst/table6:pst-t was not measured: vtbench speed pst/table6:pst-t --scale paper"


def test_rows_with_different_baselines_are_not_compared(judge: Judge, timed: Callable[..., None]) -> None:
    timed("pst-t", 1.2, 1.1, 1.3)
    found = at(judge, "paper", "t < b", paper="pst", t=SPEED["pst"], b="table6:video-swin-b.latency_ms")
    assert found.verdict == "cannot be tested" and found.why is not None and "different baselines" in found.why


# ---- the committed results -------------------------------------------------------------------------------------------


def test_an_empty_store_runs_nothing_and_says_so(judge: Judge, tmp_path: Path) -> None:
    (judged,) = judge("kv > vit", kv=KV, vit=VIT).values()
    assert {scale: found.verdict for scale, found in judged.measured.items()} == {
        "smoke": "cannot be tested",
        "mini": "not run",
        "lab": "not run",
        "paper": "not run",
    }
