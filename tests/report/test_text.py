from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.papers import measurements, select
from vtbench.report.report import print_report, report
from vtbench.results.store import Store
from vtbench.scales import smallest_first

Measure = Callable[..., None]
KV = "msca/table2:msca-kv"


def text(store: Store, *selectors: str, **options: object) -> str:
    return report(select(selectors), store.folder, **options)


def line_of(drawn: str, start: str) -> list[str]:
    (line,) = (line for line in drawn.splitlines() if line.split()[:1] == [start])
    return line.split()


def test_published_and_measured_stand_side_by_side(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, 92.0)
    drawn = text(store, "msca/table2", width=120)
    assert line_of(drawn, "msca-kv") == ["msca-kv", "MSCA-KV", "76.47", "92.88", "91.00", "±", "1.41", "2"]
    assert line_of(drawn, "vit") == ["vit", "ViT", "75.65", "92.19", "not", "run"]
    assert line_of(drawn, "chance") == ["chance", "25.00"]
    rows = [line.split()[0] for line in drawn.splitlines() if line.startswith(("tokenshift", "vit", "msca-"))]
    assert rows == [row.name for row in select(["msca/table2"])]


@pytest.mark.parametrize("form", ["table", "md"])
@pytest.mark.parametrize("scale", ["smoke", "mini"])
def test_small_scales_say_that_they_are_not_comparable(store: Store, measure: Measure, scale: str, form: str) -> None:
    measure(KV, scale, 90.0)
    drawn = text(store, "msca/table2", form=form, width=200)
    assert "NOT COMPARABLE with the printed numbers: small networks on cycle" in drawn and "kinetics400" in drawn
    assert "verdict" not in drawn and "delta" not in drawn


def test_paper_scale_shows_distance_and_verdict(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6, top5=92.5)
    drawn = text(store, "msca/table2", width=160)
    assert "NOT COMPARABLE" not in drawn
    assert line_of(drawn, "msca-kv")[-5:] == ["3", "8", "+0.03", "-0.38", "within"]
    assert line_of(drawn, "vit")[-1] == "not-run"


def test_the_share_of_the_videos_stands_beside_the_verdict(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6, train_videos=239_000, train_missing=7_000)
    drawn = text(store, "msca/table2", width=200)
    assert line_of(drawn, "msca-kv")[-3:] == ["within", "(97", "%)"]
    assert "(%) after a verdict: the share of the data set's videos that was there" in drawn
    assert "msca-kv: trained without 7000 listed videos, which were missing or could not be read" in drawn


def test_arithmetic_that_is_not_the_recipes_is_named(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, engine="devices=8;strategy=ddp;precision=bf16-mixed")
    drawn = text(store, "msca/table2", width=200)
    assert "msca-kv: computed in bf16-mixed, not in the recipe's precision" in drawn
    measure("msca/table2:vit", "paper", 75.6, engine="devices=8;strategy=ddp;test_precision=bf16-mixed")
    assert "vit: tested in bf16-mixed, not in the recipe's precision" in text(store, "msca/table2", width=200)


def test_copies_of_a_data_set_and_reencoded_videos_are_named(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, data_encoding="h264 crf=18 gop=12 short_side=256 of 1a2b3c4d5e6f")
    assert "different copies" not in text(store, "msca/table2", width=200)
    measure("msca/table2:vit", "paper", 75.6, data_fingerprint="beef")
    drawn = " ".join(text(store, "msca/table2", width=200).split())
    assert "kinetics400: tested on 2 different copies (data_fingerprint beef, f00d); rows and seeds" in drawn
    assert "videos re-encoded by data prepare: h264 crf=18 gop=12 short_side=256 of 1a2b3c4d5e6f" in drawn


def test_scales_never_share_a_table(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0)
    measure(KV, "paper", 76.4)
    titles = [line for line in text(store, "msca/table2").splitlines() if line.startswith("msca/table2 at")]
    assert [title.split()[2] for title in titles] == ["mini", "paper"]
    assert "mini" not in text(store, "msca/table2", scale="paper")


def test_top5_of_four_classes_is_left_out_of_the_drawing(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, top5=100.0)
    assert "100.00" not in text(store, "msca/table2")
    assert json.loads(text(store, KV, scale="mini", form="json"))[0]["measured"]["top5"]["mean"] == 100


@pytest.mark.parametrize(
    ("width", "colour"), [(80, True), *((width, False) for width in (20, 30, 40, 60, 79, 80, 100, 250))]
)
def test_the_drawing_fits_any_width(store: Store, measure: Measure, width: int, colour: bool) -> None:
    for row in select(["msca/table3"]):
        for scale in ("mini", "paper"):
            measure(row.id, scale, 75.0, 76.0, top5=90.0)
        measure(row.id, "mini", 50.0, measurement="events")
    measure("msca/table2:msca-v", "mini", 50.0, evaluation_key="stale")
    drawn = text(store, "msca/table2", "msca/table3", width=width, colour=colour)
    assert ("\x1b[" in drawn) == colour
    if not colour:
        assert max(map(len, drawn.splitlines())) <= width
    if width >= 60:
        for number in ("76.47", "75.50", "inconclusive"):
            assert number in drawn


def test_a_narrow_terminal_loses_columns_not_digits(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, 92.0)
    assert line_of(text(store, "msca/table2", width=42), "msca-kv") == ["msca-kv", "76.47", "91.00", "±", "1.41"]


def test_a_table_that_was_put_right_says_so_once(store: Store) -> None:
    drawn = text(store, "msca/table5", width=300)
    assert drawn.count("reconstructed: The text at hand has lost the column of names.") == 1


def test_stale_and_unreadable_and_given_are_named(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, evaluation_key="000000000000")
    measure("msca/table2:vit", "mini", 25.0, videos_decoded=19_997, videos_failed=3)
    key = measurements(select(["msca/table2:msca-v"])[0], "mini", 0)[0].evaluation.key
    measure("msca/table2:msca-v", "mini", 50.0, init="given", evaluation_key=f"{key}-aaaaaaaaaaaa")
    for form in ("table", "md"):
        drawn = text(store, "msca/table2", form=form, width=200)
        assert "msca-kv: main stale, not counted" in drawn and f"run {KV} again" in drawn
        assert "vit: 3 of 20000 videos could not be read" in drawn
        assert "msca-v: measured on given weights" in drawn
    line = line_of(text(store, "msca/table2", width=200), "msca-kv")
    assert line == ["msca-kv", "MSCA-KV", "76.47", "92.88", "stale", "+0.82"]  # the last of the print alone


def test_reconstructed_cells_are_named(store: Store) -> None:
    assert "printed top1 is reconstructed: blank" in text(store, "msca/table1", width=200)


def test_the_summary_counts_evaluations_not_rows(store: Store, measure: Measure) -> None:
    measure("msca/table1:msca-kv-2", "mini", 90.0)
    measure(KV, "mini", 90.0)
    drawn = text(store, "msca/table1", "msca/table2", width=200)
    rows = len(select(["msca/table1", "msca/table2"]))
    assert f"mini scale: 2 of {rows} rows have results, from 1 evaluation." in drawn
    assert f"One and the same evaluation: msca/table1:msca-kv-2, {KV}." in drawn


def test_on_a_narrow_terminal_what_is_printed_goes_before_what_is_not(store: Store, measure: Measure) -> None:
    for name in ("split1", "split2", "split3", "sthv2"):
        measure("mmvit/table1:mm-vit-i", "mini", 50.0, measurement=name)
    head = next(line for line in text(store, "mmvit/table1", width=98).splitlines() if line.startswith("row"))
    assert head.split() == ["row", "Params", "TFLOPs", "UCF-101", "SSv2", "Params", "UCF-101", "SSv2", "seeds"]
    narrow = text(store, "mmvit/table1", width=72)
    head = next(line for line in narrow.splitlines() if line.startswith("row"))
    assert head.split() == ["row", *2 * ["UCF-101", "SSv2"], "seeds"]
    assert "hidden: label, printed Params, printed TFLOPs, counted Params" in " ".join(narrow.split())


def test_json_has_one_entry_per_row_and_scale_in_printed_order(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0)
    entries = json.loads(text(store, form="json"))
    ids = [row.id for row in select()]
    assert [(e["scale"], e["id"]) for e in entries] == [(s, i) for s in smallest_first() for i in ids]
    assert [e["id"] for e in json.loads(text(store, form="json", scale="paper"))] == ids
    assert {tuple(e) for e in entries} == {
        (
            "id",
            "scale",
            "like",
            "variant",
            "published",
            "measured",
            "delta",
            "verdict",
            "coverage",
            "data",
            "keys",
            "reference",
            "in_band",
            "order",
            "costs",
            "commit",
            "claims",
            "records",
            "apart",
            "stale",
            "decisions",
            "notes",
            "speed",
        )
    }


def test_csv_has_a_line_per_metric_with_the_numbers_of_the_json(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5)
    lines = list(csv.DictReader(io.StringIO(text(store, KV, form="csv", scale="paper"))))
    (entry,) = json.loads(text(store, KV, form="json", scale="paper"))
    assert [line["metric"] for line in lines] == ["top1", "top5"]
    assert lines[0]["published"] == "76.47" and float(lines[0]["mean"]) == entry["measured"]["top1"]["mean"]
    assert float(lines[0]["delta"]) == entry["delta"]["top1"] and lines[0]["verdict"] == entry["verdict"]
    assert lines[1]["mean"] == "" and lines[1]["n"] == "0"


def test_markdown_rows_have_equally_many_cells(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, 92.0)
    lines = [line for line in text(store, "msca/table2", form="md").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 9 + 1 and len({line.count("|") for line in lines}) == 1
    assert "| msca-kv | MSCA-KV | 76.47 | 92.88 | 91.00 ± 1.41 | 2 |" in lines


def test_nothing_measured_is_still_a_table(tmp_path: Path) -> None:
    drawn = report(select(["msca/table2"]), tmp_path / "nowhere")
    assert "at mini scale" in drawn and drawn.partition("\nclaim ")[0].count("not run") == 9
    assert not (tmp_path / "nowhere").exists()


def test_print_report_survives_a_terminal_without_unicode(
    store: Store, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(KV, "mini", 90.0, 92.0)
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert print_report(select(["msca/table2"]), store.folder) == 0
    assert b"91.00 ? 1.41" in raw.getvalue()
