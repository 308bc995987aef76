"""Tests of conditions against known values, and how often they are wrong where nothing is true."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from vtbench.papers import select
from vtbench.papers.claims import Cell
from vtbench.papers.claims.expression import conditions, parse
from vtbench.report.claims.accuracy import Accuracies, Sample
from vtbench.report.claims.statistics import (
    ALPHA,
    Outcome,
    certain,
    estimated,
    holm,
    joined,
)
from vtbench.report.spread import Spread, share_variance, videos_variance

# ---- known values ----------------------------------------------------------------------------------------------------


def test_holms_correction_of_an_example_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([0.02]) == [0.02]


def test_seeds_alone_are_students_t_test() -> None:
    values = [0.3, 0.9, 1.4]
    spread = Spread(float(np.var(values, ddof=1)) / 3, 2, 0.0, 1)
    expected = scipy.stats.ttest_1samp(values, 0)
    assert spread.p(float(np.mean(values))) == pytest.approx(expected.pvalue)
    found = estimated("x", float(np.mean(values)), float(np.mean(values)), spread)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_above == pytest.approx(expected.pvalue / 2) and found.p_below == pytest.approx(
        1 - expected.pvalue / 2
    )


def test_both_sources_of_noise_are_added_in_quadrature() -> None:
    spread = Spread(4.0, 2, 9.0, 400)
    half = np.hypot(2 * scipy.stats.t.ppf(0.975, 2), 3 * scipy.stats.t.ppf(0.975, 400))
    assert spread.half(0.05) == pytest.approx(half)
    assert spread.p(half) == pytest.approx(0.05)
    assert spread.p(1e9) < 1e-9 and spread.p(0.0) == 1.0


def test_a_test_set_of_which_all_was_right_still_says_little_of_the_next_video() -> None:
    everything = np.full(98, 100.0)
    # 98 hits, and a hit and a miss added: 99 of 100.
    assert videos_variance(everything, [100.0]) == pytest.approx(100**2 * 0.99 * 0.01 / 100)
    assert share_variance(1.0, 98) == pytest.approx(0.99 * 0.01 / 100)


def test_the_variance_of_a_difference_is_agresti_and_mins() -> None:
    ours, theirs = np.array([1, 1, 1, 0, 0, 1, 0, 1]), np.array([1, 0, 0, 1, 0, 1, 0, 0])
    table = np.zeros((2, 2))
    for a, b in zip(ours, theirs, strict=True):
        table[a, b] += 1
    share = (table + 0.5) / (len(ours) + 2)  # half a video in each of the four cells
    difference = share[1, 0] - share[0, 1]
    expected = (share[1, 0] + share[0, 1] - difference**2) / (len(ours) + 2)
    assert videos_variance((ours - theirs).astype(float), [1.0, -1.0]) == pytest.approx(expected)


def of(**p_values: tuple[float, float]) -> Callable[..., Outcome]:
    return lambda condition: Outcome(condition.text, 0.0, None, *p_values[condition.names[0]])


def test_all_hold_if_the_least_certain_does_and_fail_if_one_does() -> None:
    holds, fails, decisive = joined(parse("a > 1 and b > 1").formula, of(a=(0.01, 0.99), b=(0.03, 0.97)))
    assert (holds, fails, decisive.what) == (0.03, 1.0, "b")
    holds, fails, _ = joined(parse("a > 1 and b > 1").formula, of(a=(0.99, 0.01), b=(0.5, 0.5)))
    assert (holds, fails) == (0.99, 0.02)


def test_one_holds_if_the_most_certain_of_several_does_and_none_if_all_fail() -> None:
    holds, fails, decisive = joined(parse("a > 1 or b > 1").formula, of(a=(0.01, 0.99), b=(0.6, 0.4)))
    assert (holds, fails, decisive.what) == (0.02, 0.99, "a")


def test_what_is_counted_decides_without_chance() -> None:
    assert joined(parse("a > 1").formula, lambda c: certain("a", 2, True))[:2] == (0.0, 1.0)
    assert joined(parse("a > 1").formula, lambda c: certain("a", 0, False))[:2] == (1.0, 0.0)


# ---- how often they are wrong ----------------------------------------------------------------------------------------

NAMES = ("vit", "msca-k", "msca-v", "msca-q", "msca-qk", "msca-qv")


class Simulated:
    """Accuracies of rows whose logits differ by video, by row and video, and by row and seed; a video is right with the
    logit's chance. Nothing is read from a store."""

    def __init__(
        self, draw: np.random.Generator, rows: int, seeds: int, videos: int, seed_sd: float, gap: float
    ) -> None:
        base = draw.normal(0.3, 1, videos)
        self.right: list[Any] = []
        for number in range(rows):
            own = base + draw.normal(0, 0.5, videos) + (gap if number == 0 else 0)
            logits = own + draw.normal(0, seed_sd, (seeds, 1))
            self.right.append(draw.random((seeds, videos)) < 1 / (1 + np.exp(-logits)))
        self.names = [str(number) for number in range(videos)]

    def sample(self, number: int) -> Sample:
        (row,) = _rows[number : number + 1]
        values = {seed: 100 * float(right.mean()) for seed, right in enumerate(self.right[number])}
        record: Any = SimpleNamespace(evaluation_key=str(number), videos_expected=len(self.names))
        return Sample(Cell(row, "top1", "top1"), values, dict.fromkeys(values, (record,)))

    def hits(self, sample: Sample, seed: int) -> list[dict[str, bool]] | None:
        number = int(sample.records[seed][0].evaluation_key)
        return [dict(zip(self.names, self.right[number][seed].tolist(), strict=True))]


class Unpaired(Simulated):
    """The same without scores."""

    def hits(self, sample: Sample, seed: int) -> None:
        return None


_rows = [select([f"msca/table2:{name}"])[0] for name in NAMES]


def p_of(world: Simulated, text: str) -> tuple[float, tuple[float, float], list[str]]:
    """Two-sided p of a claim about rows a, b, c, ...; the interval of what decides; the methods."""
    expression = parse(text)
    accuracies = Accuracies({name: world.sample("abcdef".index(name)) for name in expression.names}, world, 0.0)  # type: ignore[arg-type]
    holds, fails, decisive = joined(expression.formula, accuracies.test)
    assert decisive.interval is not None
    return min(1.0, 2 * min(holds, fails)), decisive.interval, list(accuracies.methods)


@pytest.mark.parametrize(
    ("kind", "seeds", "seed_sd", "method"),
    [
        (Simulated, 1, 0.0, "McNemar's exact test"),
        (Simulated, 2, 0.3, "2 seeds, paired (t)"),
        (Simulated, 3, 0.0, "3 seeds, paired (t)"),
        (Simulated, 3, 0.1, "3 seeds, paired (t)"),
        (Simulated, 3, 1.0, "3 seeds, paired (t)"),
        (Simulated, 5, 0.2, "5 seeds, paired (t)"),
        (Unpaired, 3, 0.1, "3 seeds, paired (t)"),
        (Unpaired, 1, 0.0, "videos unpaired (binomial)"),
    ],
)
def test_where_two_rows_are_alike_few_orders_are_decided_and_intervals_hold_0(
    kind: type[Simulated], seeds: int, seed_sd: float, method: str
) -> None:
    """At most 6 % of 1000 worlds: 5 %, and what chance adds. Agresti and Min's interval is less exact than McNemar's
    test where there are only 100 videos."""
    draw = np.random.default_rng(7)
    decided = outside = 0
    for _ in range(1000):
        p, (low, high), methods = p_of(kind(draw, 2, seeds, 100, seed_sd, gap=0.0), "a > b")
        assert method in methods
        decided += p <= ALPHA
        outside += not low <= 0 <= high
    assert decided / 1000 <= 0.06
    assert outside / 1000 <= 0.07


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_true_difference_is_found_and_its_interval_holds_it(seeds: int) -> None:
    draw = np.random.default_rng(8)
    found = 0
    for _ in range(40):
        p, (low, _), _ = p_of(Simulated(draw, 2, seeds, 400, 0.05, gap=2.0), "a > b")
        found += p <= ALPHA and low > 0
    assert found >= 38


def test_the_best_of_several_that_are_alike_is_seldom_found() -> None:
    draw = np.random.default_rng(9)
    found = [p_of(Simulated(draw, 4, 3, 100, 0.1, gap=0.0), "a > max(b, c, d)")[0] <= ALPHA for _ in range(300)]
    assert np.mean(found) <= 0.06


def test_of_ten_claims_without_truth_seldom_one_is_decided() -> None:
    """Holm: the share of papers with one decided claim or more."""
    draw = np.random.default_rng(10)
    wrong = []
    for _ in range(100):
        world = Simulated(draw, 5, 3, 60, 0.1, gap=0.0)
        claims = [f"{a} > {b}" for a, b in itertools.combinations("abcde", 2)]
        wrong.append(min(holm([p_of(world, claim)[0] for claim in claims])) <= ALPHA)
    assert np.mean(wrong) <= 0.06


def test_rows_with_the_same_videos_are_compared_more_sharply_than_without_their_scores() -> None:
    draw = np.random.default_rng(11)
    paired, unpaired = [], []
    for _ in range(20):
        world = Simulated(draw, 2, 1, 400, 0.0, gap=0.0)
        other = Unpaired.__new__(Unpaired)
        other.__dict__ = world.__dict__
        for found, of_world in ((paired, world), (unpaired, other)):
            low, high = p_of(of_world, "a > b")[1]
            found.append(high - low)
    assert np.mean(paired) < np.mean(unpaired)


def test_seeds_that_rows_do_not_share_are_compared_by_welchs_test() -> None:
    ours, theirs = [76.4, 76.5, 76.9], [75.1, 75.9]
    record: Any = SimpleNamespace(evaluation_key="x", videos_expected=10**12)  # no noise of videos

    def sample(name: str, number: int, values: dict[int, float]) -> Sample:
        return Sample(Cell(_rows[number], "top1", "top1"), values, dict.fromkeys(values, (record,)))

    samples = {"a": sample("a", 0, dict(enumerate(ours))), "b": sample("b", 1, dict(enumerate(theirs, start=7)))}
    accuracies = Accuracies(samples, Unpaired(np.random.default_rng(0), 2, 1, 1, 0, 0), 0.0)  # type: ignore[arg-type]
    (condition,) = conditions(parse("a > b").formula)
    found = accuracies.test(condition)
    expected = scipy.stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.p_above == pytest.approx(expected.pvalue / 2, rel=1e-3)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-3)
    assert "seeds unpaired (Welch)" in accuracies.methods


def test_a_ratio_has_the_slopes_of_the_delta_method() -> None:
    """Against the textbook's variance of a ratio of two independent shares."""
    record: Any = SimpleNamespace(evaluation_key="x", videos_expected=5000)
    samples = {
        name: Sample(Cell(_rows[number], "top1", "top1"), {0: value}, {0: (record,)})
        for number, (name, value) in enumerate({"a": 80.0, "b": 50.0}.items())
    }
    accuracies = Accuracies(samples, Unpaired(np.random.default_rng(0), 2, 1, 1, 0, 0), 0.0)  # type: ignore[arg-type]
    (condition,) = conditions(parse("a / b > 1.5").formula)
    found = accuracies.test(condition)
    relative = 0.8 * 0.2 / 5000 / 0.8**2 + 0.5 * 0.5 / 5000 / 0.5**2
    assert found.interval is not None and found.value == pytest.approx(1.6)
    assert (found.interval[1] - found.interval[0]) / 2 == pytest.approx(1.96 * 1.6 * relative**0.5, rel=5e-3)
