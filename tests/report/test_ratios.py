"""Printed and measured ratios of latency, throughput and memory side by side."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from records import COMMON

from vtbench.metrics import speed_metrics
from vtbench.papers import select
from vtbench.papers.resolve import network_of
from vtbench.papers.spec.cells import Published
from vtbench.report.ratios import compare_speeds, printed_on, printed_ratio
from vtbench.report.report import report
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore, Store

Edit = Callable[[str, str, str], int]
VIT, SHIFT, KV = "msca/table2:vit", "msca/table2:tokenshift", "msca/table2:msca-kv"
GPU = "NVIDIA H200"


@pytest.fixture
def printed(edit: Edit) -> None:
    """PST's Table 6 on three rows of MSCA's table 2: 29, 31 and 62 ms, 1.7, 1.7 and 3.0 GB."""
    cells = 'latency_ms: "29", memory_gb: "1.7"'
    edit("msca/table2.yaml", '{top1: "75.65", top5: "92.19"}', "{" + cells + "}")
    for name, new in (("76.37", '"31", memory_gb: "1.7"'), ("76.47", '"62", memory_gb: "3.0"')):
        edit("msca/table2.yaml", f'{{top1: "{name}"', f'{{latency_ms: {new}, top1: "{name}"')
    for row in ("tokenshift", "msca-kv"):
        edit("msca/table2.yaml", f"- id: {row}\n", f"- id: {row}\n    baseline: vit\n")


@pytest.fixture
def speed_store(store: Store) -> SpeedStore:
    return SpeedStore(store.folder)


def key(row_id: str, scale: Any) -> str:
    found = network_of(select([row_id])[0], scale)
    assert found is not None
    return found.key


def line(row_id: str, metric: str, ratio: float | None, **changes: Any) -> SpeedRecord:
    scale = changes.get("scale", "paper")
    against = changes.get("against", VIT if ratio is not None else None)
    quartiles = ratio is not None and not metric.endswith("gb")
    line: dict[str, Any] = {
        **{name: COMMON[name] for name in ("commit", "dirty", "finished_at")},
        "id": row_id,
        "scale": scale,
        "metric": metric,
        "batch": 1,
        "value": 9.0,
        "q1": 8.0 if quartiles else None,
        "q3": 10.0 if quartiles else None,
        "against": against,
        "ratio": ratio,
        "ratio_q1": ratio - 0.01 if quartiles and ratio else None,
        "ratio_q3": ratio + 0.02 if quartiles and ratio else None,
        "rounds": 10 if quartiles else 1,
        "network": key(row_id, scale),
        "against_network": key(against, scale) if against else None,
        "precision": "32-true",
        "device": GPU,
        "threads": 4,
        "versions": "torch=2.8.0",
        **changes,
    }
    return SpeedRecord(**line)


def sections(store: SpeedStore, **options: Any) -> list[str]:
    """What `report` draws of speed, a text per section."""
    drawn = report(select(["msca/table2"]), store.folder, **{"width": 100, **options})
    start = "msca/table2 at "
    return [start + part for part in drawn.split(start) if "speed and memory" in part]


@pytest.mark.parametrize(
    ("cell", "baseline", "text"),
    [
        (Published("31"), Published("29"), "1.07"),
        (Published("62"), Published("29"), "2.14"),
        (Published("34.7"), Published("35.5"), "0.977"),
        (Published("20.2"), Published("3.7"), "5.46"),
        (Published("11", precision=0), Published("3.7"), "3.0"),
        (Published("1,703"), Published("196"), "8.69"),
    ],
)
def test_a_printed_ratio_has_the_digits_that_its_cells_allow(cell: Published, baseline: Published, text: str) -> None:
    ratio = printed_ratio(cell, baseline)
    assert ratio.text == text
    assert ratio.low < ratio.value < ratio.high


def test_a_printed_ratio_reaches_as_far_as_the_rounding_of_both_cells() -> None:
    ratio = printed_ratio(Published("31"), Published("29"))
    assert (ratio.low, ratio.high) == (pytest.approx(30.5 / 29.5), pytest.approx(31.5 / 28.5))


def test_the_drawing_is_this(printed: None, speed_store: SpeedStore) -> None:
    for one in (
        line(VIT, "latency_ms", None),
        line(SHIFT, "latency_ms", 1.034),
        line(KV, "latency_ms", 2.011),
        line(KV, "memory_gb", 1.5),
        line(KV, "train_step_ms", 1.9),
    ):
        speed_store.append(one)
    (drawn,) = sections(speed_store)
    lines = drawn.splitlines()
    assert lines[:6] == [
        "msca/table2 at paper scale: speed and memory, as ratios to vit, on NVIDIA H200, 32-true",
        "                          printed              paper   printed    paper              paper",
        "row          label        latency            latency    memory   memory         train step",
        "──────────────────────────────────────────────────────────────────────────────────────────",
        "tokenshift   TokenShift      1.07   1.03 (1.02-1.05)      1.00",
        "msca-kv      MSCA-KV         2.14   2.01 (2.00-2.03)      1.76     1.50   1.90 (1.89-1.92)",
    ]
    assert " ".join(lines[6:]) == (
        "measured on NVIDIA H200, 32-true, threads 4, clips per pass: latency_ms 1, memory_gb 1, train_step_ms 1, "
        "rounds 10: median (quartiles) of the ratios within a round; the printed ratios are of the paper's own machine"
    )
    assert "9.0" not in drawn and "29" not in drawn  # never times beside times of another machine


def test_a_gpu_of_another_name_than_the_printed_one_is_said(printed: None, edit: Edit, speed_store: SpeedStore) -> None:
    edit("msca/table2.yaml", "source: {table: 2}", "source: {table: 2, device: NVIDIA Tesla V100}")
    for device in (GPU, "Tesla V100-SXM2-32GB"):
        speed_store.append(line(KV, "latency_ms", 2.011, device=device))
    h200, v100 = sections(speed_store, width=200)
    assert "MEASURED ON NVIDIA H200, printed of NVIDIA Tesla V100: ratios may differ" in h200
    assert "MEASURED ON" not in v100 and "the printed ratios are of NVIDIA Tesla V100" in v100


def test_what_is_printed_is_shown_before_anything_is_measured(printed: None, speed_store: SpeedStore) -> None:
    (drawn,) = sections(speed_store)
    assert "msca-kv      MSCA-KV         2.14      1.76" in drawn
    assert drawn.endswith("not measured: vtbench speed msca/table2 --scale paper\n")


def test_a_table_without_speed_has_no_section(speed_store: SpeedStore) -> None:
    assert sections(speed_store) == []


def test_every_device_and_precision_has_a_section_of_its_own(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(SHIFT, "latency_ms", 1.1))
    speed_store.append(line(SHIFT, "latency_ms", 1.2, precision="16-mixed"))
    speed_store.append(line(SHIFT, "latency_ms", 1.3, device="cpu"))
    drawn = sections(speed_store)
    assert [text.partition("measured on ")[2].partition(", threads")[0] for text in drawn] == [
        *("NVIDIA H200, 32-true", "NVIDIA H200, 16-mixed", "cpu, 32-true"),
    ]
    assert [f"1.{number}0 (" in text for number, text in enumerate(drawn, start=1)] == [True] * 3


def test_ratios_of_a_cpu_say_so_above_the_table(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(SHIFT, "latency_ms", 1.1, device="cpu"))
    speed_store.append(line(SHIFT, "latency_ms", 1.2))
    cpu, gpu = sections(speed_store)
    assert cpu.splitlines()[:2] == [
        "msca/table2 at paper scale: speed and memory, as ratios to vit, on cpu, 32-true",
        "MEASURED ON A CPU, printed of the paper's own machine: ratios may differ between kinds of machines.",
    ]
    assert "MEASURED" not in gpu


def test_the_device_of_the_print_is_named_where_the_paper_does() -> None:
    assert printed_on("pst/table6") == "NVIDIA Tesla V100"
    assert printed_on("pst/table2e") == "the paper's own machine"


def test_small_networks_are_not_comparable(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(SHIFT, "latency_ms", 1.1, scale="smoke"))
    (drawn,) = sections(speed_store)
    assert "NOT COMPARABLE with the printed ratios: small networks." in drawn and " at smoke scale" in drawn
    assert "NOT COMPARABLE" not in sections(speed_store, scale="paper")[0]


def test_the_newest_line_of_each_metric_counts(printed: None, speed_store: SpeedStore) -> None:
    for one in (line(SHIFT, "latency_ms", 1.1), line(SHIFT, "memory_gb", 1.4), line(SHIFT, "latency_ms", 1.2)):
        speed_store.append(one)
    (found,) = compare_speeds(select([SHIFT]), speed_store, "paper")
    assert {metric: one.ratio for metric, one in found.measured[GPU, "32-true"].items()} == {
        "latency_ms": 1.2,
        "memory_gb": 1.4,
    }


@pytest.mark.parametrize("changed", [{"network": "000000000000"}, {"against_network": "000000000000"}])
def test_lines_of_other_networks_are_named_and_not_counted(
    printed: None, speed_store: SpeedStore, changed: dict[str, str]
) -> None:
    speed_store.append(line(SHIFT, "latency_ms", 1.1))
    speed_store.append(line(KV, "latency_ms", 3.3, **changed))
    (drawn,) = sections(speed_store, width=200)
    assert "3.30" not in drawn
    assert f"msca-kv: latency_ms stale, not counted: measured before a network changed; measure {KV} again" in drawn


def test_a_stale_line_is_forgotten_when_the_row_is_measured_again(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(KV, "latency_ms", 3.3, network="000000000000"))
    speed_store.append(line(KV, "latency_ms", 2.0))
    assert compare_speeds(select([KV]), speed_store, "paper")[0].stale == ()


def test_a_ratio_to_another_row_than_the_papers_does_not_count(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(KV, "latency_ms", 2.0))
    speed_store.append(line(KV, "latency_ms", 1.5, against=SHIFT))
    (found,) = compare_speeds(select([KV]), speed_store, "paper")
    assert found.measured[GPU, "32-true"]["latency_ms"].ratio == 2.0


def test_a_row_without_a_baseline_has_nothing_to_compare(speed_store: SpeedStore) -> None:
    speed_store.append(line(KV, "latency_ms", 1.5, against="laps/table1:base2d"))
    assert sections(speed_store) == []


def test_what_the_paper_prints_stays_longest_in_a_narrow_terminal(printed: None, speed_store: SpeedStore) -> None:
    for metric in speed_metrics():
        speed_store.append(line(KV, metric, 1.5))
    (drawn,) = sections(speed_store, width=60)
    assert "latency" in drawn and "memory" in drawn
    assert "train step" not in drawn.partition("hidden:")[0]


@pytest.mark.parametrize("width", range(60, 110, 6))
def test_print_and_measurement_are_hidden_together_and_print_alone_before_them(
    printed: None, speed_store: SpeedStore, width: int
) -> None:
    speed_store.append(line(KV, "latency_ms", 2.0))
    (drawn,) = sections(speed_store, width=width)
    shown, _, rest = drawn.partition("hidden:")
    assert ("2.14" in shown) == ("2.00 (1.99-2.02)" in shown)
    assert ("1.76" not in shown) == ("printed memory" in " ".join(rest.split()))
    if "1.76" in shown:  # of the memory, which is not measured
        assert "2.14" in shown
    wide = sections(speed_store, width=110)[0].partition("hidden:")[0]
    assert "1.76" in wide and "2.14" in wide


def test_a_baseline_of_nothing_has_no_ratio(edit: Edit, speed_store: SpeedStore) -> None:
    edit("msca/table2.yaml", '{top1: "75.65", top5: "92.19"}', '{latency_ms: "0"}')
    edit("msca/table2.yaml", '{top1: "76.47"', '{latency_ms: "62", top1: "76.47"')
    edit("msca/table2.yaml", "- id: msca-kv\n", "- id: msca-kv\n    baseline: vit\n")
    (speed,) = compare_speeds(select([KV]), speed_store, "paper")
    assert speed.printed == {}


def test_json_and_csv_carry_printed_and_measured(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(KV, "latency_ms", 2.0))
    rows = select([KV])
    (entry,) = json.loads(report(rows, speed_store.folder, "paper", "json"))
    assert entry["speed"]["baseline"] == VIT and entry["speed"]["stale"] == []
    assert entry["speed"]["printed"]["latency_ms"]["ratio"] == pytest.approx(62 / 29)
    (measured,) = entry["speed"]["measured"]
    assert (measured["metric"], measured["ratio"], measured["device"], measured["value"]) == (
        *("latency_ms", 2.0, GPU, 9.0),
    )
    lines = {
        one["metric"]: one for one in csv.DictReader(io.StringIO(report(rows, speed_store.folder, "paper", "csv")))
    }
    assert list(lines) == ["latency_ms", "memory_gb", "top1", "top5"]
    latency, memory = lines["latency_ms"], lines["memory_gb"]
    assert (latency["published"], latency["ratio"], latency["ratio_q3"], latency["device"]) == (
        "62",
        "2.0",
        "2.02",
        GPU,
    )
    assert float(latency["printed_ratio"]) == pytest.approx(62 / 29) and latency["delta"] == ""
    assert (float(memory["printed_ratio"]), memory["ratio"]) == (pytest.approx(3.0 / 1.7), "")


def test_markdown_has_the_section_too(printed: None, speed_store: SpeedStore) -> None:
    speed_store.append(line(KV, "latency_ms", 2.0))
    text = report(select(["msca/table2"]), speed_store.folder, form="md")
    assert "### msca/table2 at paper scale: speed and memory, as ratios to vit" in text
    assert "| msca-kv | MSCA-KV | 2.14 | 2.00 (1.99-2.02) | 1.76 |" in text


@pytest.mark.parametrize("width", range(74, 92))
def test_where_the_label_breaks_no_digit_is_lost(
    printed: None, speed_store: SpeedStore, edit: Edit, width: int
) -> None:
    edit("msca/table2.yaml", "label: MSCA-KV\n", "label: MSCA-KV, in seventeen\n")
    for metric in ("latency_ms", "memory_gb"):
        speed_store.append(line(KV, metric, 2.0))
    (drawn,) = sections(speed_store, width=width)
    assert "2.14   2.00 (1.99-2.02)      1.76     2.00\n" in drawn


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_the_drawing_fits_any_width(printed: None, speed_store: SpeedStore, width: int) -> None:
    for metric in ("latency_ms", "throughput_vps", "memory_gb", "train_step_ms", "train_memory_gb"):
        speed_store.append(line(KV, metric, 2.0))
    drawn = report(select(["msca/table2"]), speed_store.folder, width=width)
    assert "speed" in drawn
    assert max(map(len, drawn.splitlines())) <= width
    if width >= 60:
        assert "2.14" in drawn and "2.00 (1.99-2.02)" in drawn
