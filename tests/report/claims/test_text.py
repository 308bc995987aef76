"""Judged claims on a terminal of any width, and below the tables of their rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from vtbench.papers import select
from vtbench.papers.claims import load_claims
from vtbench.report.claims.finding import VERDICTS, Finding, Judged
from vtbench.report.claims.judge import judge_claims
from vtbench.report.claims.text import CSV_COLUMNS, as_csv, as_markdown, draw, draw_one, summary
from vtbench.report.report import report
from vtbench.results.store import Store

Measure = Callable[..., None]


@pytest.fixture
def judged(store: Store, measure: Measure) -> list[Judged]:
    measure("msca/table2:vit", "mini", 25.0, 25.4, 25.2)
    measure("msca/table2:msca-kv", "mini", 99.0, 99.4, 99.2)
    return judge_claims(["msca"], store.folder)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_table_fits_its_width_and_breaks_no_verdict(judged: list[Judged], width: int) -> None:
    drawn = draw(judged, None, width)
    assert max(map(len, drawn.splitlines())) <= width
    for verdict in ("cannot be tested", "contradicted", "supported", "not run"):
        assert verdict in drawn
    assert ("kv - vit = 0.82" in drawn) == (width == 200)
    assert ("hidden: " in drawn) == (width < 200)
    assert "claim " in drawn and all(one.claim.name in drawn for one in judged)


def test_a_pipe_gets_every_quote_in_full(judged: list[Judged]) -> None:
    drawn = draw(judged, None, None)
    assert all(one.claim.quote in drawn for one in judged)


def test_every_paper_is_summed_up_in_a_line(judged: list[Judged]) -> None:
    line = summary("msca", judged, ["mini"])
    assert line.startswith(f"msca: {len(judged)} claims; printed: ") and "; mini: 1 supported, " in line
    counts = line.split("; ")[1].removeprefix("printed: ").split(", ")
    assert sum(int(part.partition(" ")[0]) for part in counts) == len(judged)
    assert {part.partition(" ")[2] for part in counts} <= set(VERDICTS)
    assert line.replace("\n", " ") in draw(judged, None, None)


def test_small_networks_are_never_taken_for_the_papers(judged: list[Judged]) -> None:
    said = "mini: small networks on synthetic videos; no verdict on the paper itself"
    assert said in draw(judged, None, None) and said in as_markdown(judged, None)


def test_one_claim_is_shown_with_its_rows_and_every_finding(judged: list[Judged]) -> None:
    one = next(one for one in judged if one.claim.name == "kv-over-vit")
    lines = dict(draw_one(one))
    assert list(lines) == ["quote", "holds", "kv", "vit", "note", "printed", "smoke", "mini", "lab", "paper"]
    assert lines["kv"] == "msca/table2:msca-kv.top1" and lines["holds"] == "about(kv - vit, 1.2)"
    assert lines["printed"] == "contradicted; kv - vit = 0.82" and "abstract" in lines["quote"]
    beats = dict(draw_one(next(one for one in judged if one.claim.name == "kv-beats-vit")))["mini"]
    assert beats.startswith("supported; kv - vit = +74.0 [") and "; kv = 99.20, vit = 25.20; p " in beats


def test_json_has_every_number_behind_a_verdict(judged: list[Judged]) -> None:
    entries = [one.entry() for one in judged]
    assert [entry["id"] for entry in entries] == [claim.id for claim in load_claims("msca")]
    (entry,) = [entry for entry in entries if entry["id"] == "msca/kv-beats-vit"]
    assert list(entry) == [
        *("id", "paper", "quote", "section", "page", "cells", "holds", "note", "printed", "measured"),
    ]
    mini = entry["measured"]["mini"]
    assert list(mini) == [
        *("verdict", "why", "values", "what", "value", "interval", "p", "p_holm", "method", "evaluations"),
    ]
    assert mini["verdict"] == "supported" and mini["value"] == pytest.approx(74.0) and len(mini["evaluations"]) == 6
    assert mini["interval"][0] < 74 < mini["interval"][1] and 0 < mini["p"] <= mini["p_holm"] <= 0.05
    assert entry["printed"]["values"] == {"kv": "76.47", "vit": "75.65"}


def test_csv_has_a_line_for_print_and_each_scale(judged: list[Judged]) -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(judged))))
    assert list(lines[0]) == list(CSV_COLUMNS)
    assert len(lines) == sum(1 + len(one.measured) for one in judged)
    (line,) = [line for line in lines if line["id"] == "msca/kv-beats-vit" and line["at"] == "mini"]
    assert float(line["low"]) < float(line["value"]) < float(line["high"]) and line["verdict"] == "supported"


def test_markdown_has_a_row_for_each_claim(judged: list[Judged]) -> None:
    lines = as_markdown(judged, "mini").splitlines()
    assert lines[0] == "### Claims of msca"
    assert sum(line.startswith("| ") for line in lines) == 2 + len(judged)


def test_no_claims_are_no_table() -> None:
    assert draw([], None, 100) == "" and as_markdown([], None) == ""


def test_an_open_verdict_beside_an_interval_above_0_says_the_corrected_p() -> None:
    found = Finding("inconclusive", value=-25.3, interval=(-37.7, -12.8), p=0.006, p_holm=0.0731)
    assert found.text == "inconclusive: -25.3 [-37.7, -12.8], p 0.073 after Holm"
    assert replace(found, verdict="contradicted").text == "contradicted: -25.3 [-37.7, -12.8]"
    assert replace(found, interval=(-51.0, 0.4)).text == "inconclusive: -25.3 [-51.0, +0.4]"
    assert replace(found, p_holm=None).text == "inconclusive: -25.3 [-37.7, -12.8]"


def test_verdicts_at_paper_scale_of_costs_alone_say_so() -> None:
    (claim, other) = load_claims("msca")[:2]
    of_costs = Judged(claim, Finding("supported"), {"paper": Finding("supported")})
    waiting = Judged(other, Finding("supported"), {"paper": Finding("not run")})
    trained = Judged(other, Finding("supported"), {"paper": Finding("supported", keys=("abc",))})
    said = summary("msca", [of_costs, waiting], ["paper"])
    assert "paper (costs and speeds; nothing is trained yet): 1 supported, 1 not run" in said
    assert "paper: 2 supported" in summary("msca", [of_costs, trained], ["paper"])
    assert "paper: 1 not run" in summary("msca", [waiting], ["paper"])


def test_a_finding_has_its_numbers_in_short() -> None:
    assert Finding("supported", value=12.31, interval=(8.14, 16.46)).text == "supported: +12.3 [+8.1, +16.5]"
    assert Finding("inconclusive", value=0.821, interval=(-0.5, 2.0)).text == "inconclusive: +0.82 [-0.50, +2.00]"
    assert Finding("contradicted", sides={"a - b": "0.82"}).text == "contradicted: a - b = 0.82"
    assert Finding("not run", "why", sides={"a": "1"}).text == "not run"


# ---- in the report ---------------------------------------------------------------------------------------------------


def test_a_table_of_the_report_has_the_claims_about_its_rows_below(judged: list[Judged], store: Store) -> None:
    rows = select(["msca/table2"])
    about = [one.claim.name for one in judged if "table2" in one.claim.tables]
    for form in ("table", "md"):
        text = report(rows, store.folder, "mini", form, width=2000)
        for name in about:
            assert text.count(f"claim {name}: ") + text.count(f" {name} (") == 1
        assert (
            "claims that mini scale cannot test: " in text
            and "kv-over-vit (printed contradicted: kv - vit = 0.82)" in text
        )
        assert "claim kv-beats-vit: printed supported: kv = 76.47, vit = 75.65; mini supported: +74.0 [" in text
    other = next(one.claim.name for one in judged if one.claim.tables == ["table1"])
    assert other not in report(rows, store.folder, "mini", "md")


def test_an_entry_of_the_report_has_the_verdicts_of_its_rows_claims(judged: list[Judged], store: Store) -> None:
    entries = json.loads(report(select(["msca/table2:vit"]), store.folder, "mini", "json"))
    found = {claim["id"]: claim for claim in entries[0]["claims"]}
    expected = {"printed": "contradicted", "measured": {"mini": "cannot be tested"}}
    assert found["msca/kv-over-vit"] == {"id": "msca/kv-over-vit", **expected}
    assert found["msca/kv-beats-vit"]["measured"] == {"mini": "supported"}


def test_a_report_of_one_row_corrects_over_the_claims_of_the_whole_paper(judged: list[Judged], store: Store) -> None:
    """A verdict does not depend on which rows were asked for."""
    whole = {one.claim.id: one.verdicts("mini") for one in judged}
    for selector in ("msca/table2:msca-kv", "msca"):
        for entry in json.loads(report(select([selector]), store.folder, "mini", "json")):
            assert all(claim == whole[claim["id"]] for claim in entry["claims"])
