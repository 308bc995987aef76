"""benchmarks/pst as the paper prints it, what its rows share, and what its networks cost."""

from __future__ import annotations

from collections import Counter

import pytest

from vtbench.layers.patch_shift import PATTERNS
from vtbench.papers import load_paper, measurements, select
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Training
from vtbench.run.measuring.cost import complexity, cost
from vtbench.scales import Scale

TOP1 = {
    "table2a": "40.6 45.3 45.3 46.2 48.6",
    "table2b": "48.6 50.7 51.8 50.0",
    "table2c": "47.3 48.4 50.4 51.8",
    "table2d": "47.3 46.4 46.1 51.8",
    "table2e": "40.6 51.5 49.9 42.7 51.2 51.8 52.2",
    "table4": (
        "72.1 77.7 77.5 75.6 79.1 74.7 76.2 76.1 77.5 80.7 81.7 80.2 80.2 81.2 81.1 80.4 82.2 82.7 78.2 78.6 81.8 82.5"
    ),
    "table5": "77.6 74.9 78.0 81.0 79.2 81.2 82.1 83.6 85.0 86.0",
    "table7": "73.0 74.8 75.3",
}
OWN_OF_TABLE_3 = {
    "sthv1_top1": "52.2 52.8 53.2 53.6 54.0 55.3 55.6 57.4 57.7 58.3",
    "sthv2_top1": "65.7 66.4 66.7 67.3 67.9 66.7 67.4 68.7 69.2 69.8",
}
OWN = {
    "table1": 1, "table2a": 5, "table2b": 4, "table2c": 4, "table2d": 4, "table2e": 7, "table3": 10, "table4": 4,
    "table5": 6, "table6": 5, "table7": 3,
}  # fmt: skip


def row(name: str) -> Row:
    return select([f"pst/{name}"])[0]


def trainings(name: str, scale: Scale = "paper") -> dict[str, Training]:
    return {m.name: m.evaluation.training for m in measurements(row(name), scale)}


def training(name: str, scale: Scale = "paper") -> Training:
    return next(iter(trainings(name, scale).values()))


@pytest.mark.parametrize("table", TOP1)
def test_cells_are_as_printed_and_in_printed_order(table: str) -> None:
    assert " ".join(row.published["top1"].text for row in select([f"pst/{table}"])) == TOP1[table]


@pytest.mark.parametrize("metric", OWN_OF_TABLE_3)
def test_own_cells_of_table_3(metric: str) -> None:
    own = [row for row in select(["pst/table3"]) if row.own]
    assert " ".join(row.published[metric].text for row in own) == OWN_OF_TABLE_3[metric]


def test_53_of_94_rows_are_its_own() -> None:
    rows = load_paper("pst").rows
    assert len(rows) == 94
    assert Counter(row.table for row in rows if row.own) == OWN
    assert [row.id for row in rows if row.status == "analytic"] == ["pst/table1:patch-shift"]
    assert not any(measurements(row, scale) for row in rows if not row.own for scale in ("smoke", "mini", "paper"))


def test_52_rows_need_46_trainings_at_paper_scale() -> None:
    measured = [m for row in select(["pst"]) for m in measurements(row, "paper")]
    assert len({m.evaluation.training.key for m in measured}) == 46


@pytest.mark.parametrize(
    "names",
    [
        ("table2a:none", "table2e:avgpool", "table6:2d-swin-t"),
        ("table2a:even-3", "table2b:a-3"),
        ("table2b:c-9", "table2c:stages-1-4", "table2d:all", "table2e:patch-only"),
        ("table2e:pst", "table3:pst-t-in1k-1x1", "table3:pst-t-in1k-3x1", "table6:pst-t"),
        ("table2e:joint", "table6:video-swin-t"),
    ],
)
def test_one_training_serves_several_lines(names: tuple[str, ...]) -> None:
    for scale in ("smoke", "mini", "paper"):
        assert len({training(name, scale).key for name in names}) == 1


def test_one_and_three_crops_are_one_training_tested_twice() -> None:
    one, three = (measurements(row(f"table3:pst-t-k400-{views}"), "paper")[0].evaluation for views in ("1x1", "3x1"))
    assert one.training.key == three.training.key
    assert one.key != three.key


@pytest.mark.parametrize("name", ["pst-t", "pst-b"])
def test_k400_lines_start_from_table_4(name: str) -> None:
    lines = [
        (f"table3:{name}-k400-1x1", name),
        (f"table3:{name}-dagger", f"{name}-dagger"),
        (f"table5:{name}-k400", name),
    ]
    for line, start in lines:
        for scale in ("smoke", "mini", "paper"):
            for made in trainings(line, scale).values():
                assert made.init.training is not None
                assert made.init.training.key == training(f"table4:{start}", scale).key


def test_two_data_sets_in_a_line_are_two_trainings_on_them() -> None:
    made = trainings("table6:pst-t")
    assert {name: t.data.dataset for name, t in made.items()} == {"sthv1": "sthv1", "sthv2": "sthv2"}
    assert len({t.key for t in made.values()}) == 2
    assert len({t.key for t in trainings("table6:pst-t", "mini").values()}) == 1, "the small scales have one data set"


@pytest.mark.slow
def test_every_printed_gflops_is_counted_and_params_where_the_head_is_the_printed_one() -> None:
    entries = cost([row for row in select(["pst"]) if row.own and row.table in ("table2e", "table4", "table7")])
    cells = {(e["id"], name): cell for e in entries for name, cell in e["cells"].items()}
    assert {cell["convention"] for (_, name), cell in cells.items() if name == "gflops"} == {"matmul"}
    assert {key for key, cell in cells.items() if not cell["agrees"]} == {
        ("pst/table4:pst-b", "params_m"),  # 88.8 has the 174 classes of Table 3 (pst-params)
        ("pst/table4:pst-b-dagger", "params_m"),
    }


def test_table_1_is_counted() -> None:
    found = {(e["id"].partition(":")[2], e["attention"]): e["measured"] for e in complexity(select(["pst/table1"]))}
    assert found == {
        ("joint", "joint"): "N^2 T^2",
        ("divide", "divided"): "N^2 T + N T^2",
        ("sparse-local", "local"): "0.25 N^2 T^2",
        ("sparse-local", "sparse"): "0.25 N^2 T^2",
        ("patch-shift", "patch_shift"): "N^2 T",
    }


def test_all_decisions_are_in_use() -> None:
    paper = load_paper("pst")
    named = {note for row in paper.rows for note in row.notes}
    named |= {s.decision for s in paper.about.sources.values() if s.decision}
    named |= {s.decision for table in paper.tables for s in table.sources.values() if s.decision}
    assert named == set(paper.about.decisions)


def test_a_mini_clip_has_one_frame_of_each_of_eight_places_or_two() -> None:
    """A token that saw two places would see a movement, and no temporal module would be needed."""
    for line in select(["pst"]):
        for measured in measurements(line, "mini"):
            training = measured.evaluation.training
            assert training.data.num_frames * (training.data.stride or 0) == 32
            assert training.model.arguments.get("tubelet_size", 1) == 1


def test_mini_clips_are_longer_than_their_pattern_reaches() -> None:
    for line in select(["pst"]):
        for measured in measurements(line, "mini"):
            pattern = measured.evaluation.training.model.arguments.get("pattern")
            if pattern in PATTERNS:
                reach = max(abs(number) for numbers in PATTERNS[pattern] for number in numbers)
                assert reach < measured.evaluation.data.num_frames
