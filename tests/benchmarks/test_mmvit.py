"""benchmarks/mmvit as the paper prints it, what its rows share and average, and what its networks cost."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from vtbench.papers import load_paper, measurements, select
from vtbench.papers.spec.schema import Row
from vtbench.papers.trainings import Evaluation, Training
from vtbench.run.measuring.cost import cost
from vtbench.scales import Scale

ALL = ("iframe", "motion", "residual", "audio")
SPLITS = ("split1", "split2", "split3")
IN21K = "vit_base_patch16_224.orig_in21k"
IN1K = "vit_base_patch16_224.augreg_in1k"

# The tables, line by line: the cells that COLUMNS names, "-" for a cell that holds no number.
COLUMNS = {
    "table1": ("params_m", "tflops", "ucf101_top1", "sthv2_top1"),
    "table2": ("top1", "top5"),
    "table3": ("top1", "top5"),
    "table4": ("top1",),
    "table5": ("top1", "top5", "tflops", "views"),
    "table6": ("top1", "top5", "tflops", "views"),
}
PRINTED = {
    "table1": """
        MM-ViT I | 87.23 1.26 93.41 62.55
        MM-ViT II | 122.69 0.85 94.24 62.05
        MM-ViT III (Merged-Att.) | 158.14 0.82 95.99 64.97
        MM-ViT III (Co-Att.) | 158.14 0.82 93.87 62.10
        MM-ViT III (Shift-Merge Att.) | 143.98 0.78 95.04 63.55
        MM-ViT IV (Merged-Att.) | 158.60 0.72 92.88 60.25
    """,
    "table2": """
        T ⇒ S ⇒ M | 95.41 99.39
        S ⇒ T ⇒ M | 95.24 99.40
        T ⇒ M ⇒ S | 95.99 99.54
        S ⇒ M ⇒ T | 95.31 99.50
        M ⇒ T ⇒ S | 95.00 99.21
        M ⇒ S ⇒ T | 94.85 99.25
    """,
    "table3": """
        ✓ ✓ ✓ ✓ | 95.99 99.54
        ✗ ✓ ✓ ✓ | 91.88 98.76
        ✓ ✗ ✓ ✓ | 93.45 99.20
        ✓ ✓ ✗ ✓ | 94.16 99.28
        ✓ ✓ ✓ ✗ | 93.57 99.21
    """,
    "table4": """
        C3D [60], RGB, ImageNet1K | 82.3
        ActionFlowNet [47], RGB, - | 83.9
        Res3D [61], RGB, Sports-1M | 85.8
        PWC-Net(ResNet-18) [58], RGB, - | 90.6
        ARTNet [67], RGB, Kinetics | 94.3
        I3D RGB [8], RGB, Kinetics | 95.6
        MF-Net [12], RGB, Kinetics | 96.0
        S3D [74], RGB, Kinetics | 96.5
        Two-stream [55], RGB + Flow, - | 88.0
        Two-stream fusion [20], RGB + Flow, ImageNet1K | 92.5
        TV-Net [16], RGB + Flow, - | 94.5
        R(2+1)D [63], RGB + Flow, Kinetics | 97.3
        I3D [8], RGB + Flow, Kinetics | 98.0
        EMV-CNN [80], I + M + R, ImageNet1K | 86.4
        DMTV-CNN [81], I + M + R, - | 87.5
        CoViAR [73], I + M + R, ImageNet1K | 90.4
        DMC-Net(I3D) [54], I + M + R, ImageNet1K | 92.3
        MM-ViT, I + M + R, ImageNet1K | 93.3
        MM-ViT, I + M + R + A, ImageNet1K | 95.4
        MM-ViT, I + M + R + A, Kinetics | 98.9
    """,
    "table5": """
        TRN [82], 1x8x224^2 | 48.8 77.6 - -
        SlowFast [72], 1x64x224^2 | 61.7 87.8 0.07 30
        TSM [41], 1x24x224^2 | 63.3 88.5 0.1 1
        STM [32], 1x16x224^2 | 64.2 89.8 0.07 10
        MSNet-R50 [37], 1x16x224^2 | 64.7 89.4 0.07 10
        TEA [40], 1x16x224^2 | 65.1 - 0.07 30
        bLVNet [17], 1x32x224^2 | 65.2 90.3 0.13 30
        TSM [41], 2x24x224^2 | 66.0 90.5 - -
        MSNet-R50 [37], 2x16x224^2 | 67.1 91.0 - -
        bLVNet [17], 2x32x224^2 | 68.5 91.4 - -
        Timesformer-L [6], 1x96x224^2 | 62.4 - 2.38 3
        ViViT-L [2], 1x32x224^2 | 65.4 89.8 1.45 4
        MM-ViT, 3x8x224^2 | 64.9 89.7 0.75 3
        MM-ViT, 3x16x224^2 | 66.7 90.8 1.51 3
    """,
    "table6": """
        AttentionNAS [71], 1x16x224^2 | 78.5 93.9 1.03 1
        LGD-3D R101 [51], 1x16x224^2 | 81.5 95.6 - -
        SlowFast R101-NL [19], 1x16x224^2 | 81.8 95.1 0.23 30
        X3D-XL [18], 1x16x224^2 | 81.9 95.5 0.05 30
        LGD-3D Two-Stream [51], 2x16x112^2 | 83.1 96.2 - -
        Timesformer-L [6], 1x96x224^2 | 82.2 95.6 2.38 3
        ViViT-L [2], 1x32x320^2 | 83.0 96.5 3.99 12
        MM-ViT, 4x8x224^2 | 81.5 95.1 0.82 3
        MM-ViT, 4x16x224^2 | 83.5 96.8 1.66 3
    """,
}
OWN = {
    "table1": "mm-vit-i mm-vit-ii mm-vit-iii-merged mm-vit-iii-co mm-vit-iii-shift-merge mm-vit-iv-merged",
    "table2": "tsm stm tms smt mts mst",
    "table3": "all no-iframe no-motion no-residual no-audio",
    "table4": "mm-vit-imr mm-vit-imra mm-vit-imra-kinetics",
    "table5": "mm-vit-8 mm-vit-16",
    "table6": "mm-vit-8 mm-vit-16",
}
SCALES: tuple[Scale, ...] = ("smoke", "mini", "paper")


def evaluations(name: str, scale: Scale = "paper") -> dict[str, Evaluation]:
    return {m.name: m.evaluation for m in measurements(select([f"mmvit/{name}"])[0], scale)}


def trainings(name: str, scale: Scale = "paper") -> dict[str, Training]:
    return {measurement: found.training for measurement, found in evaluations(name, scale).items()}


def heading(row: Row) -> str:
    """What stands to the left of a line's numbers."""
    if row.table == "table3":
        return " ".join(row.printed[modality] for modality in "IMRA")
    if row.table in ("table4", "table5", "table6"):
        words = [row.printed[name] for name in ("Modality", "Pretrain", "Inference Resolution") if name in row.printed]
        return ", ".join([row.label.partition(",")[0], *words])
    return row.label


@pytest.mark.parametrize("table", PRINTED)
def test_cells_are_as_printed_and_in_printed_order(table: str) -> None:
    lines = []
    for row in select([f"mmvit/{table}"]):
        assert set(row.published) <= set(COLUMNS[table])
        cells = [row.published[name].text if name in row.published else "-" for name in COLUMNS[table]]
        lines.append(f"{heading(row)} | {' '.join(cells)}")
    assert lines == [line.strip() for line in PRINTED[table].strip().splitlines()]


def test_24_of_60_rows_are_its_own_and_the_others_are_published_only() -> None:
    rows = load_paper("mmvit").rows
    assert Counter(row.table for row in rows) == {
        "table1": 6, "table2": 6, "table3": 5, "table4": 20, "table5": 14, "table6": 9,
    }  # fmt: skip
    for table, names in OWN.items():
        assert " ".join(row.name for row in rows if row.own and row.table == table) == names
    assert {row.status for row in rows if row.own} == {"runnable"}
    assert {row.status for row in rows if not row.own} == {"published-only"}
    assert not any(measurements(row, scale) for row in rows if not row.own for scale in SCALES)


def test_24_rows_are_measured_70_times_on_63_trainings_at_paper_scale() -> None:
    lines = defaultdict(list)
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            lines[m.evaluation.training.key].append(f"{row.table}:{row.name}@{m.name}")
    assert sum(len(names) for names in lines.values()) == 6 * 4 + (6 + 5 + 3) * 3 + 2 + 2
    assert len(lines) == 63
    assert [names for names in lines.values() if len(names) > 1] == [
        *(["table1:mm-vit-iii-merged@" + split, "table2:tms@" + split, "table3:all@" + split] for split in SPLITS),
        ["table1:mm-vit-iii-merged@sthv2", "table5:mm-vit-8@main"],
    ]


def test_lines_that_share_a_training_are_tested_alike() -> None:
    """Three spatial crops of one clip (4.3), the views that Tables 5 and 6 print."""
    found = [e for name in ("table1:mm-vit-iii-merged", "table2:tms", "table3:all") for e in evaluations(name).values()]
    assert len({e.key for e in found}) == len({e.training.key for e in found}) == 4
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            assert (m.evaluation.eval.clips, m.evaluation.eval.crops) == (1, 3)
            assert row.published.get("views") is None or row.published["views"].text == "3"


def test_ucf101_is_the_mean_of_its_three_splits() -> None:
    """4.1: "We report the average performance across the three splits"."""
    for row in select(["mmvit"]):
        on_ucf101 = row.own and row.table in ("table1", "table2", "table3", "table4")
        assert row.means == ({"ucf101" if row.table == "table1" else "main": SPLITS} if on_ucf101 else {})
        if on_ucf101:
            made = trainings(row.id.removeprefix("mmvit/"))
            assert {name: made[name].data.dataset for name in SPLITS} == dict.fromkeys(SPLITS, "ucf101")
            assert [made[name].data.split for name in SPLITS] == [1, 2, 3]
            assert set(made) - set(SPLITS) == ({"sthv2"} if row.table == "table1" else set())


@pytest.mark.parametrize(
    ("row", "arguments"),
    [
        ("mm-vit-i", ("I", None, None)),
        ("mm-vit-ii", ("II", "TS", None)),
        ("mm-vit-iii-merged", ("III", "TMS", "merged")),
        ("mm-vit-iii-co", ("III", "TMS", "co")),
        ("mm-vit-iii-shift-merge", ("III", "TMS", "shift_merge")),
        ("mm-vit-iv-merged", ("IV", "TMS", "merged")),
    ],
)
def test_table_1_compares_the_variants_on_two_sets(row: str, arguments: tuple[str | None, ...]) -> None:
    for scale in SCALES:
        for name, made in trainings(f"table1:{row}", scale).items():
            assert tuple(made.model.arguments.get(key) for key in ("variant", "order", "cross_modal")) == arguments
            assert made.data.modalities == (ALL[:3] if name == "sthv2" else ALL)


def test_the_other_tables_are_of_the_best_variant() -> None:
    """4.2 and 4.3: MM-ViT III with merged attention; Table 2 alone changes the order, which is its label."""
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            arguments = m.evaluation.training.model.arguments
            if row.table != "table1":
                order = row.label.replace(" ⇒ ", "") if row.table == "table2" else "TMS"
                assert (arguments["variant"], arguments["cross_modal"], arguments["order"]) == ("III", "merged", order)


def modalities(row: Row) -> tuple[str, ...]:
    """Those that the line prints; all of them where it prints none."""
    if row.table == "table3":
        return tuple(name for name, letter in zip(ALL, "IMRA", strict=True) if row.printed[letter] == "✓")
    if row.table == "table4":
        return ALL[: row.printed["Modality"].count("+") + 1]
    if row.table in ("table5", "table6"):
        return ALL[: int(row.printed["Inference Resolution"][0])]
    return ALL


@pytest.mark.parametrize("scale", SCALES)
def test_every_network_sees_the_modalities_that_its_line_prints(scale: Scale) -> None:
    """Without audio there is no audio encoder; with it VGGish, or mel bands at the small scales."""
    for row in select(["mmvit"]):
        for m in measurements(row, scale):
            data = m.evaluation.training.data
            expected = ALL[:3] if m.name == "sthv2" else modalities(row)
            encoder = "vggish" if scale == "paper" else "mel"
            assert (data.modalities, data.audio_encoder) == (expected, encoder if "audio" in expected else None)


def test_frames_and_pixels_are_the_printed_resolution() -> None:
    """8 triplets of 224 x 224 "unless otherwise mentioned" (4.1); Tables 5 and 6 print M x T x S^2."""
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            data = m.evaluation.training.data
            printed = f"{len(data.modalities)}x{data.num_frames}x{data.size}^2"
            assert printed == row.printed.get("Inference Resolution", f"{len(data.modalities)}x8x224^2")


def test_starts_are_those_that_the_lines_print() -> None:
    """ImageNet-21K (4.1), but ImageNet1K where Table 4 prints it (mmvit-pretrain)."""
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            init = m.evaluation.training.init
            if row.printed.get("Pretrain") == "Kinetics":
                assert init.weights is None
            else:
                assert init.training is None
                assert init.weights == (IN1K if row.printed.get("Pretrain") == "ImageNet1K" else IN21K)


def test_kinetics_is_the_network_of_table_6_with_8_frames() -> None:
    for scale in SCALES:
        for made in trainings("table4:mm-vit-imra-kinetics", scale).values():
            assert made.init.training is not None
            assert made.init.training.key == trainings("table6:mm-vit-8", scale)["main"].key
    assert trainings("table6:mm-vit-8")["main"].data.dataset == "kinetics600"


def test_the_printed_recipe_is_kept() -> None:
    """4.1: SGD, batches of 8, a rate of 0.5 divided by 10 on a plateau, flips but on SSv2."""
    for row in select(["mmvit"]):
        for m in measurements(row, "paper"):
            made = m.evaluation.training
            assert (made.train.lr, made.train.batch_size, made.train.accumulate) == (0.5, 8, 1)
            arguments = made.train.arguments
            assert (arguments["optimizer"], arguments["schedule"], arguments["gamma"]) == ("sgd", "plateau", 0.1)
            assert made.augment.flip == (0.0 if made.data.dataset == "sthv2" else 0.5)


@pytest.mark.slow
def test_printed_costs_agree_but_six_cells_with_four_modalities() -> None:
    """One network cannot have 0.82 TFLOPs in Tables 1 and 6 and 0.75 in Table 5 (mmvit-flops-modalities)."""
    entries = cost([row for row in load_paper("mmvit").rows if row.own])
    cells = {(e["id"].removeprefix("mmvit/"), name): cell for e in entries for name, cell in e["cells"].items()}
    assert Counter((name, cell["convention"]) for (_, name), cell in cells.items()) == {
        ("params_m", "no_head"): 6,
        ("tflops", "matmul"): 10,
    }
    contradicted = {
        ("table1:mm-vit-iii-merged", "tflops"): ("0.82", 1.0043),
        ("table1:mm-vit-iii-co", "tflops"): ("0.82", 1.0043),
        ("table1:mm-vit-iii-shift-merge", "tflops"): ("0.78", 0.9151),
        ("table1:mm-vit-iv-merged", "tflops"): ("0.72", 0.9924),
        ("table6:mm-vit-8", "tflops"): ("0.82", 1.0043),
        ("table6:mm-vit-16", "tflops"): ("1.66", 2.0105),
    }
    assert {
        key: (cell["printed"], round(cell["measured"], 4)) for key, cell in cells.items() if not cell["agrees"]
    } == contradicted
    for row, _ in contradicted:
        assert "mmvit-flops-modalities" in select([f"mmvit/{row}"])[0].notes


def test_all_decisions_are_named_by_a_row_or_a_source() -> None:
    paper = load_paper("mmvit")
    assert len(paper.about.decisions) == 22
    named = {s.decision for s in paper.about.sources.values() if s.decision}
    assert {note for row in paper.rows for note in row.notes} | named == set(paper.about.decisions)


@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_small_scales_keep_what_lines_differ_in(scale: Scale) -> None:
    """The splits are one synthetic set and so one training; sets with audio and without stay two."""
    for row in select(["mmvit"]):
        made = {m.name: m.evaluation.training for m in measurements(row, scale)}
        assert len({made[name].key for name in SPLITS if name in made}) <= 1
        for name, training in made.items():
            silent = name == "sthv2" or row.table == "table5"
            assert training.data.dataset == ("silent_bits" if silent else "bits")
