"""Pages of stores that the tests make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from page_origins import Element, Origins, Page, numbers_without_origin
from records import COMMON, record_of
from scored import evaluation_done, write_trained

from vtbench.papers import measurements, select
from vtbench.papers.resolve import network_of
from vtbench.report.page.page import page
from vtbench.results.record import SpeedRecord
from vtbench.results.store import SpeedStore, Store

Measure = Callable[..., None]
KV, VIT = "msca/table2:msca-kv", "msca/table2:vit"


def made(store: Store, *selectors: str, scale: str | None = None) -> Page:
    return Page(page(select(selectors), store.folder, scale))


def of_id(found: Page, name: str) -> Element:
    (element,) = (one for one in found.root.all() if one.attributes.get("id") == name)
    return element


def words(found: Page, name: str) -> str:
    return of_id(found, name).words


def wrong_numbers(found: Page, store: Store, *selectors: str) -> list[str]:
    origins = Origins(store.folder, *selectors)
    wrong = []
    for element in found.root.all():
        if "data-origin" in element.attributes:
            text = element.text
            if "data-label" in element.attributes:
                (title,) = (child for child in element.all() if child.tag == "title")
                text = title.text.removeprefix(f"{element.attributes['data-label']}: ")
            wrong.append(origins.wrong(text, element.attributes["data-origin"]))
    return [one for one in wrong if one]


def test_an_empty_store_is_said_and_print_is_shown(store: Store) -> None:
    found = made(store, "msca")
    assert "Nothing was measured yet" in words(found, "empty")
    assert words(found, KV).endswith("76.47 92.88 not run")
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "msca") == []
    assert not any("measured-" in element.attributes.get("id", "") for element in found.root.all())


def test_paper_scale_has_verdicts_deltas_and_a_drawing_with_the_print(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5, 76.6, top5=92.5)
    measure(VIT, "paper", 70.0, 70.1, train_videos=239_000, train_missing=7_000)
    found = made(store, "msca/table2")
    assert words(found, KV).endswith("3 +0.82 +6.5 [+5.5, +7.4] unpaired 8 +0.03 -0.38 within")
    assert words(found, VIT).endswith("outside (97 %)")
    (drawing,) = (e for e in found.root.all() if e.attributes.get("aria-label") == "Printed and measured top-1 of msca")
    assert [one.attributes["data-x"] for one in drawing.all() if "data-x" in one.attributes] == ["75.65", "76.47"]
    assert "1 within" in words(found, "overview") and "1 outside" in words(found, "overview")
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "msca/table2") == []


def test_numbers_of_a_small_scale_share_no_axis_with_printed_ones(store: Store, measure: Measure) -> None:
    for row, value in (
        ("vit", 25.0),
        ("msca-kv-2", 99.0),
        ("msca-kv-4", 98.0),
        ("msca-kv-6", 97.0),
        ("msca-kv-8", 60.0),
    ):
        measure(f"msca/table1:{row}", "mini", value)
    found = made(store, "msca/table1")
    assert "orders only" in words(found, "overview")
    drawings = [element for element in found.root.all() if element.tag == "svg"]
    assert {drawing.attributes["aria-label"] for drawing in drawings} >= {
        "Order of the rows of msca/table1",
        "Top-1 of msca/table1 over heads",
    }
    for drawing in drawings:
        by_panel: dict[int, set[str]] = {}
        for element in drawing.all():
            if "data-y" in element.attributes and "mean(" in element.attributes["data-origin"]:
                by_panel.setdefault(id(element.parent), set()).add("measured")
            elif "data-y" in element.attributes and "spec(" in element.attributes["data-origin"]:
                by_panel.setdefault(id(element.parent), set()).add("printed")
        assert all(len(kinds) == 1 for kinds in by_panel.values())
    assert wrong_numbers(found, store, "msca/table1") == []


def test_scales_stand_in_tables_of_their_own(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, 92.0)
    measure(KV, "paper", 76.4)
    found = made(store, "msca/table2")
    both = words(found, KV), words(found, f"{KV}@mini")
    assert "76.40" in both[0] and "91.00 ± 1.41" in both[1]
    assert "NOT COMPARABLE" in words(found, "msca/table2") and wrong_numbers(found, store, "msca/table2") == []
    alone = made(store, "msca/table2", scale="paper")
    assert "91.00" not in alone.root.text and "76.40" in words(alone, KV)


def test_lines_that_count_nowhere_are_said(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0, 91.0)
    measure(KV, "mini", 92.0, data_fingerprint="c0de")  # seed 0 again, on another copy of the videos
    measure(VIT, "mini", 25.0, evaluation_key="old")
    (row,) = select([KV])
    (wanted,) = measurements(row, "mini", 0)
    store.append(record_of(wanted, 50.0, id="msca/table2:gone"))
    store.append(record_of(wanted, 60.0, variant="train.lr=1.0"))
    found = made(store, "msca/table2")
    said = words(found, "set-aside")
    assert "1 of rows that no spec has" in said and "msca/table2:gone" in said
    assert f"1 of an older spec: run the rows again: {VIT}" in said
    assert (
        f"1 of another copy of the test videos than the newest: not the same test, so no mean is over both: {KV}"
        in said
    )
    assert "1 of rows with --variant or --set" in said
    assert "92.00" in words(found, KV) and "±" not in words(found, KV)
    assert "stale" in words(found, VIT)
    assert "not counted" in words(found, f"{VIT}/provenance")
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "msca/table2") == []


def test_speeds_stand_by_scale_and_device(store: Store) -> None:
    row, baseline = (select([f"pst/table6:{name}"])[0] for name in ("pst-t", "2d-swin-t"))
    for scale, device, ratio in (("mini", "cpu", 1.5), ("paper", "cpu", 1.1), ("paper", "NVIDIA H200", 1.05)):
        networks = [network_of(one, scale) for one in (row, baseline)]
        SpeedStore(store.folder).append(
            SpeedRecord(
                **{name: COMMON[name] for name in ("commit", "dirty", "finished_at")},
                id=row.id,
                scale=scale,
                metric="latency_ms",
                batch=1,
                value=9.0,
                q1=8.0,
                q3=10.0,
                against=baseline.id,
                ratio=ratio,
                ratio_q1=ratio - 0.02,
                ratio_q3=ratio + 0.02,
                rounds=3,
                network=networks[0].key if networks[0] else "",
                against_network=networks[1].key if networks[1] else "",
                precision="32-true",
                device=device,
                threads=2,
                versions="torch=2.8.0",
            )
        )
    found = made(store, "pst/table6")
    tables = [element for element in found.root.all() if "/speed" in element.attributes.get("id", "")]
    ids = ["pst/table6@mini/speed1", "pst/table6@paper/speed1", "pst/table6@paper/speed2"]
    assert [table.attributes["id"] for table in tables] == ids
    assert "1.50 (1.48-1.52)" in tables[0].words and "1.10 (1.08-1.12)" in tables[1].words
    assert "Measured on NVIDIA H200, 32-true" in words(found, "pst/table6")
    said = words(found, "pst/table6")
    assert "Measured on cpu, 32-true ; printed of NVIDIA Tesla V100 ." in said and "own machine" not in said
    assert "MEASURED ON A CPU, printed of NVIDIA Tesla V100" in said
    assert "MEASURED ON NVIDIA H200, printed of NVIDIA Tesla V100" in said
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "pst/table6") == []


def test_a_broken_store_is_an_error_with_its_line(store: Store, measure: Measure) -> None:
    from vtbench.errors import ResultsError

    measure(KV, "mini", 90.0)
    store.path.write_text(store.path.read_text().replace(",90.0,", ",nine,"))
    with pytest.raises(ResultsError, match=r"results\.csv:2"):
        made(store, "msca/table2")


def test_words_of_a_spec_cannot_break_the_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    rows = [dataclasses.replace(row, label="<script>alert(1)</script> & \"'") for row in select(["msca/table2"])]
    found = Page(page(rows, store.folder))
    assert sum(element.tag == "script" for element in found.root.all()) == 1
    assert "<script>alert(1)</script> & \"'" in of_id(found, KV).text


def test_the_same_store_gives_the_same_bytes(store: Store, measure: Measure) -> None:
    import matplotlib

    for row in ("vit", "msca-kv-2", "msca-kv-4"):
        measure(f"msca/table1:{row}", "mini", 50.0 + len(row))
    once = page(select(["msca/table1"]), store.folder)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": None}):
        assert page(select(["msca/table1"]), store.folder) == once


def test_learning_curves_and_confusion_come_from_run_folders(store: Store, run_folders: Callable[[str], None]) -> None:
    run_folders(KV)
    found = made(store, "msca/table2")
    labels = {element.attributes.get("aria-label") for element in found.root.all()}
    assert "Learning curves of msca/table2 at mini scale" in labels and f"confusion of {KV} main" in labels
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "msca/table2") == []


def test_scores_and_curves_that_are_missing_or_damaged_are_listed(
    store: Store, run_folders: Callable[[str], None], measure: Measure
) -> None:
    run_folders(KV)
    assert "lacking" not in {element.attributes.get("id") for element in made(store, "msca/table2").root.all()}
    measure("msca/table1:vit", "mini", 25.0)  # of a table without any scores
    measure("msca/table2:tokenshift", "mini", 50.0, 51.0)
    damaged = store.read()[1]
    (store.folder / "runs" / f"eval-{damaged.evaluation_key}" / "scores.npz").write_bytes(b"PK")
    (store.folder / "runs" / f"train-{damaged.training_key}" / "metrics.csv").write_text("epoch,train_top1\nx,y\n")
    found = made(store, "msca/table1", "msca/table2")
    said = words(found, "lacking")
    assert f"1 with scores that are damaged or of another test: {KV}" in said
    assert f"1 with a learning curve that is damaged or of another training: {KV}" in said
    assert "2 without scores: msca/table2:tokenshift" in said and "table1" not in said
    assert "2 without a learning curve: msca/table2:tokenshift" in said
    assert "over 1 of 2 seeds" in words(found, "msca/table2")
    assert numbers_without_origin(found) == [] and wrong_numbers(found, store, "msca/table1", "msca/table2") == []


def test_a_drawn_order_ties_rows_at_chance(store: Store, measure: Measure) -> None:
    for row, value in (
        ("vit", 26.0),
        ("msca-kv-2", 24.0),
        ("msca-kv-4", 98.0),
        ("msca-kv-6", 97.0),
        ("msca-kv-8", 60.0),
    ):
        measure(f"msca/table1:{row}", "mini", value, videos_expected=128, videos_decoded=128)
    found = made(store, "msca/table1")
    (drawing,) = (e for e in found.root.all() if e.attributes.get("aria-label") == "Order of the rows of msca/table1")
    measured = [
        e.attributes["data-x"] for e in drawing.all() if "measured_place(" in e.attributes.get("data-origin", "")
    ]
    assert sorted(measured) == ["1", "2", "3", "4.5", "4.5"]
    assert wrong_numbers(found, store, "msca/table1") == []


def test_what_a_paper_does_not_say_is_named(store: Store) -> None:
    said = words(made(store, "laps/table3"), "laps/table3:visf-base2d/provenance")
    assert "initialisation of the head: " in said and ": precision: " not in said


def test_costs_alone_are_said_where_nothing_is_trained(store: Store, measure: Measure) -> None:
    measure(KV, "mini", 90.0)
    assert "paper scale (costs and speeds; nothing is trained yet)" in words(made(store, "msca/table2"), "overview")
    measure(KV, "paper", 76.4)
    assert "nothing is trained yet" not in words(made(store, "msca/table2"), "overview")


def test_filters_of_claims_offer_verdicts_that_occur(store: Store) -> None:
    found = made(store, "msca/table2")
    offered: dict[str, set[str]] = {}
    for element in found.root.all():
        if element.tag == "select" and element.attributes["name"].startswith("of"):
            offered[element.attributes["name"]] = {o.text for o in element.all() if o.tag == "option"} - {"all"}
    rows = [element.attributes for element in found.root.all() if element.attributes.get("id", "").startswith("claim/")]
    occur = {name: {v for row in rows for v in row[f"data-{name}"].split("|") if v} for name in offered}
    assert offered == occur and len(offered) == 3


@pytest.fixture
def run_folders(store: Store) -> Callable[[str], None]:
    """run_folders("msca/table2:vit"): a training and a test of two seeds at mini scale, with their lines."""
    import json

    import numpy as np

    def make(row_id: str) -> None:
        (row,) = select([row_id])
        for seed in (0, 1):
            (wanted,) = measurements(row, "mini", seed)
            record = record_of(wanted, 62.5, videos_expected=8, videos_decoded=8, weights_sha256=f"beef{seed}")
            store.append(record)
            runs = store.folder / "runs"
            train = write_trained(store.folder, record.training_key, record.weights_sha256)
            (train / "metrics.csv").write_text("epoch,train_loss,train_top1\n1,1.2,40.0\n2,0.8,71.5\n")
            test = runs / f"eval-{record.evaluation_key}"
            test.mkdir()
            (test / "done.json").write_text(json.dumps(evaluation_done(record)))
            (test / "config.json").write_text(json.dumps({"eval": {"average": "logits"}}))
            labels = np.arange(8) % 4
            scores = np.eye(4)[[0, 1, 2, 3, 1, 1, 3, 0]]
            ids = np.array([f"v{n}" for n in range(8)])
            np.savez(
                test / "scores.npz", video_ids=ids, labels=labels, video=np.arange(8), view=np.zeros(8), scores=scores
            )

    return make


def test_a_file_that_cannot_be_written_is_one_line(store: Store, tmp_path: Path) -> None:
    from vtbench.errors import ResultsError
    from vtbench.report.page.page import write_page

    with pytest.raises(ResultsError, match="No such file or directory; name another file with --html"):
        write_page(select(["msca/table2"]), store.folder, tmp_path / "missing" / "page.html")
