from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from vtbench.report.statistics import (
    compare_to_print,
    kendall_tau,
    mcnemar,
    mcnemar_sides,
    mean_and_sd,
    strictest,
    t_interval,
    wilson_interval,
)


def test_one_value_has_no_spread() -> None:
    assert mean_and_sd([75.0]) == (75.0, None)
    assert mean_and_sd([74.0, 76.0]) == (75.0, pytest.approx(2**0.5))


def test_t_interval_equals_the_textbook_table() -> None:
    low, high = t_interval([1.0, 2.0, 3.0])  # t(0.975, 2) = 4.303, sd 1
    assert (low, high) == (pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3), pytest.approx(2 + 4.303 / 3**0.5, abs=1e-3))
    with pytest.raises(ValueError):
        t_interval([1.0])


def test_t_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    draw = random.Random(0)
    covered = 0
    for _ in range(2000):
        low, high = t_interval([draw.gauss(75, 0.3) for _ in range(3)])
        covered += low <= 75 <= high
    assert 0.93 < covered / 2000 < 0.97


def test_wilson_interval_equals_its_formula_solved_the_other_way() -> None:
    """Its ends are the shares p from which the observed one lies exactly z standard errors away."""
    for hits, trials in ((0, 10), (3, 10), (10, 10), (15_203, 19_881)):
        low, high = (end / 100 for end in wilson_interval(100 * hits / trials, trials))
        for end in {low, high} - {0.0, 1.0}:
            assert abs(hits / trials - end) == pytest.approx(
                1.959964 * (end * (1 - end) / trials) ** 0.5, rel=1e-5, abs=1e-7
            )
        assert 0 <= low < high <= 1
    assert wilson_interval(0.0, 0) == (0, 100)


@pytest.mark.parametrize("trials", range(1, 400))
def test_with_all_hits_or_none_wilsons_interval_ends_there(trials: int) -> None:
    assert wilson_interval(100.0, trials)[1] == 100.0
    assert wilson_interval(0.0, trials)[0] == 0.0


@pytest.mark.parametrize(
    ("measured", "finding"),
    [
        ((76.4, 76.5), "within"),
        ((75.465, 77.475), "within"),
        ((75.46, 76.5), "inconclusive"),
        ((76.4, 77.48), "inconclusive"),
        ((70.0, 80.0), "inconclusive"),
        ((70.0, 75.46), "outside"),
        ((77.48, 80.0), "outside"),
    ],
)
def test_the_band_is_the_tolerance_and_half_the_last_digit(measured: tuple[float, float], finding: str) -> None:
    assert compare_to_print(measured, 76.47, decimals=2, tolerance=1.0) == finding


def test_coarser_print_and_wider_tolerance_accept_more() -> None:
    measured = 76.0, 77.3
    assert compare_to_print(measured, 76.5, decimals=1, tolerance=0.5) == "inconclusive"
    assert compare_to_print(measured, 77.0, decimals=0, tolerance=0.5) == "within"
    assert compare_to_print(measured, 76.5, decimals=1, tolerance=1.0) == "within"


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (0, 7), (10, 3), (25, 25), (180, 140)])
def test_mcnemars_test_is_that_of_a_fair_coin(won: int, lost: int) -> None:
    above, below = mcnemar_sides(won, lost)
    if won + lost == 0:
        assert (above, below, mcnemar(won, lost)) == (1, 1, 1)
        return
    assert above == pytest.approx(scipy.stats.binomtest(won, won + lost, alternative="greater").pvalue)
    assert below == pytest.approx(scipy.stats.binomtest(won, won + lost, alternative="less").pvalue)
    assert mcnemar(won, lost) == pytest.approx(scipy.stats.binomtest(won, won + lost).pvalue)


@pytest.mark.parametrize("ties", [False, True])
def test_kendalls_tau_is_that_of_scipy(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for size in (3, 5, 9, 20):
        first, second = rng.integers(0, 4 if ties else 1000, (2, size))
        first[:2], second[:2] = (0, 1), (1, 0)  # not the same for all
        assert kendall_tau(first, second) == pytest.approx(scipy.stats.kendalltau(first, second).statistic)
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1 and kendall_tau([1, 2, 3], [3, 2, 1]) == -1


def test_one_number_outside_decides_over_all_others() -> None:
    assert strictest(["within", "within"]) == "within"
    assert strictest(["within", "inconclusive"]) == "inconclusive"
    assert strictest(["inconclusive", "outside", "within"]) == "outside"


def test_the_report_imports_neither_torch_nor_before_it_must_scipy() -> None:
    code = """
import sys
import vtbench.report
assert "scipy" not in sys.modules
from vtbench.report.statistics import t_interval
t_interval([1.0, 2.0])
assert "scipy" in sys.modules and not {"torch", "lightning", "torchvision", "timm", "pandas"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
