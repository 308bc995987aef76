"""benchmarks/laps as the paper prints it, and what its mini scale can show."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from vtbench.papers import load_paper, measurements, select
from vtbench.papers.spec.schema import Row
from vtbench.run.measuring.cost import cost
from vtbench.scales import Scale

TOP1 = {
    "table1": "74.00 76.31 74.86 75.19 75.84 76.04",
    "table2": "75.55 75.82 75.86 76.04",
    "table3": "74.00 76.04 77.56 78.71 79.72 80.03 68.13 69.72 71.89 76.71 76.41 78.15",
    "table4": (
        "71.10 75.70 74.70 74.70 76.10 76.20 76.90 76.50 77.70 77.40 78.40 79.40 79.60 77.00 79.80 77.50 79.10 76.00 "
        "78.20 77.68 78.60 78.00 80.60 81.20 76.04 78.71 79.72 80.03"
    ),
    "table5": "84.50 84.20 93.40 95.90 91.46 95.35 96.80 95.43 96.85",
    "table6": "63.45 64.10 62.59 64.82 65.08 65.77 66.07",
}
OWN = {"table1": 6, "table2": 4, "table3": 12, "table4": 4, "table5": 2, "table6": 1}


def training(row_id: str, scale: Scale = "paper") -> str:
    return measurements(select([row_id])[0], scale)[0].evaluation.training.key


@pytest.mark.parametrize("table", TOP1)
def test_cells_are_as_printed_and_in_printed_order(table: str) -> None:
    assert " ".join(row.published["top1"].text for row in select([f"laps/{table}"])) == TOP1[table]


def test_29_of_66_rows_are_its_own_and_the_others_are_published_only() -> None:
    rows = load_paper("laps").rows
    assert len(rows) == 66
    assert Counter(row.table for row in rows if row.own) == OWN
    assert {row.status for row in rows if row.own} == {"runnable"}
    assert {row.status for row in rows if not row.own} == {"published-only"}
    assert not any(measurements(row, scale) for row in rows if not row.own for scale in ("smoke", "mini", "paper"))


def test_29_rows_need_22_trainings_at_paper_scale() -> None:
    measured = [m for row in select(["laps"]) for m in measurements(row, "paper")]
    assert (len(measured), len({m.evaluation.training.key for m in measured})) == (29, 22)
    assert len({training(f"laps/{row}") for row in ("table1:laps", "table2:r123", "table3:laps", "table4:laps")}) == 1
    for row in ("laps-l", "laps-h", "laps-e"):
        assert training(f"laps/table3:{row}") == training(f"laps/table4:{row}")


def test_fine_tuning_starts_from_the_kinetics_trainings() -> None:
    for row, start in (("table5:laps", "laps"), ("table5:laps-h", "laps-h"), ("table6:laps-h", "laps-h")):
        for scale in ("smoke", "mini", "paper"):
            (measured,) = measurements(select([f"laps/{row}"])[0], scale)
            assert measured.evaluation.training.init.training is not None
            assert measured.evaluation.training.init.training.key == training(f"laps/table3:{start}", scale)


def test_linear_rule_for_batch_and_clip_length() -> None:
    """Section 4.1; ViT keeps the rate of its own configuration."""
    for row in select(["laps"]):
        for measured in measurements(row, "paper"):
            t = measured.evaluation.training
            if t.model.name.endswith("vit"):  # four processes
                assert (t.train.lr, t.train.accumulate) == (pytest.approx(0.1 / 42 * 4.2 * t.train.batch_size), 40)
            else:  # one
                frames = t.train.batch_size * t.data.num_frames
                assert t.train.lr == pytest.approx(0.97 / 430 * frames / 8, rel=0.01)
                assert t.train.accumulate == 10


@pytest.mark.slow
def test_every_printed_cost_of_an_own_row_is_counted_but_that_of_rb() -> None:
    entries = cost([row for row in select(["laps/table1", "laps/table3"]) if row.own])
    cells = {(e["id"], name): cell for e in entries for name, cell in e["cells"].items()}
    assert len(cells) == 2 * 18
    assert [key for key, cell in cells.items() if not cell["agrees"]] == [("laps/table3:laps-rb", "gflops")]
    assert cells["laps/table3:laps-rb", "gflops"]["measured"] == pytest.approx(38.3091, abs=5e-5)
    agreeing = [cell for cell in cells.values() if cell["agrees"]]
    assert {cell["convention"] for cell in agreeing} == {"fvcore", "all"}, "one convention for all of them"


def test_integers_with_a_zero_appended_are_declared() -> None:
    declared = {c.text for row in load_paper("laps").rows for c in row.published.values() if c.precision == 0}
    assert declared == {"173.0", "346.0", "434.0", "595.0", "141.0", "146.0"}


def test_all_decisions_are_there_and_in_use() -> None:
    paper = load_paper("laps")
    assert len(paper.about.decisions) == 47
    named = {note for row in paper.rows for note in row.notes}
    named |= {s.decision for s in paper.about.sources.values() if s.decision}
    named |= {s.decision for table in paper.tables for s in table.sources.values() if s.decision}
    assert named == set(paper.about.decisions)


def test_a_clip_sees_eight_places_at_every_length_of_mini_scale() -> None:
    for row in select(["laps"]):
        for measured in measurements(row, "mini"):
            data = measured.evaluation.data
            assert data.num_frames * data.stride == 32


def leap_only(row: Row) -> bool:
    arguments = row.recipes["main"].recipe.model.arguments
    return arguments.get("attention") == "leap" and arguments.get("shift") == "none"


def test_what_leap_attention_alone_can_tell_about_events_is_bounded() -> None:
    """Leap attention treats the frames of a pair alike, so a clip and one with all pairs of any level swapped, that is
    with t replaced by t XOR m, have the same logits. Which of four flashes comes first changes under that; the best
    answer is right in 36.43% of all clips, 11.43 points above chance."""
    assert [row.name for row in select(["laps/table1"]) if leap_only(row)] == ["la"]
    shares = []
    for holds in itertools.combinations(range(8), 4):
        first = Counter(min(holds, key=lambda t: t ^ mask) for mask in range(8))
        shares.append(max(first.values()) / 8)
    assert 100 * sum(shares) / len(shares) == pytest.approx(36.43, abs=0.005)
