"""Where a number comes from: in every format, and never a mean over unlike tests."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable

import pytest

from vtbench.cli import main
from vtbench.papers import select
from vtbench.papers.load import load_paper
from vtbench.report.report import report
from vtbench.results.store import Store

Measure = Callable[..., None]
KV = "msca/table2:msca-kv"


def entry_of(store: Store, name: str = KV, scale: str = "paper") -> dict:
    return json.loads(report(select([name]), store.folder, scale, "json"))[0]


def lines_of(store: Store, name: str, scale: str = "paper") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report(select([name]), store.folder, scale, "csv"))))


def test_json_has_the_lines_that_count(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, 76.5)
    entry = entry_of(store)
    assert [line["seed"] for line in entry["records"]] == [0, 1] and entry["stale"] == entry["apart"] == []
    first, record = entry["records"][0], store.read()[0]
    assert first["evaluation_key"] == record.evaluation_key == entry["keys"]["evaluation"][0]
    assert {name: getattr(record, name) for name in first} == first


def test_a_line_of_an_older_spec_is_named_and_not_counted(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 76.4, evaluation_key="0123456789ab")
    entry = entry_of(store)
    assert entry["records"] == [] and [line["evaluation_key"] for line in entry["stale"]] == ["0123456789ab"]
    assert entry["notes"][0].startswith("msca-kv: main stale, not counted: measured before the spec changed (seed 0)")
    (line, _) = lines_of(store, KV)
    assert line["stale_keys"] == "0123456789ab" and line["mean"] == "" and "stale, not counted" in line["notes"]


def test_seeds_on_another_copy_of_the_videos_are_said_and_not_averaged(store: Store, measure: Measure) -> None:
    measure(KV, "paper", 60.0, 61.0, 62.0)
    measure(KV, "paper", 76.0, data_fingerprint="beef")  # seed 0 again, on a new copy
    entry = entry_of(store)
    assert entry["measured"]["top1"] == {"mean": 76.0, "sd": None, "n": 1}
    assert [line["seed"] for line in entry["apart"]] == [1, 2]
    said = "msca-kv: seed 1, 2 not counted: tested on another copy of the test videos (data_fingerprint f00d)"
    assert said in entry["notes"][0] and said in " ".join(report(select([KV]), store.folder, "paper").split())


def test_decisions_that_touch_a_row_are_named(store: Store) -> None:
    entry = entry_of(store, "laps/table1:laps")
    assert "laps-gpus" in entry["decisions"]
    assert entry["decisions"]["laps-gpus"] == load_paper("laps").about.decisions["laps-gpus"].decision
    assert lines_of(store, "laps/table1:laps")[0]["decisions"].split(";") == list(entry["decisions"])
    drawn = report(select(["laps/table1"]), store.folder, "paper", "md")
    assert "decisions touch these rows: vtbench decisions laps/table1" in drawn


def test_costs_stand_with_the_convention_that_reproduces_them(store: Store) -> None:
    lines = {line["metric"]: line for line in lines_of(store, "laps/table3:laps-rb")}
    assert (lines["gflops"]["published"], lines["gflops"]["agrees"]) == ("39.3", "False")
    assert float(lines["params_m"]["counted"]) > 29 and lines["params_m"]["convention"] == "all"
    drawn = report(select(["pst/table3"]), store.folder, "paper", "md")
    assert "- counted: gflops by matmul, params_m by all (docs/conventions.md)" in drawn


def test_new_columns_of_the_csv_stand_behind_the_old_ones(store: Store) -> None:
    header = report(select([KV]), store.folder, "paper", "csv").splitlines()[0].split(",")
    assert header[:10] == ["id", "scale", "metric", "published", "mean", "sd", "n", "delta", "verdict", "commit"]
    assert header[header.index("variant") + 1 :] == [
        *("counted", "convention", "agrees", "training_keys", "evaluation_keys", "data_fingerprints", "coverage"),
        *("stale_keys", "decisions", "notes"),
    ]


def test_lines_of_rows_that_no_spec_has_are_said(
    store: Store, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(KV, "mini", 90.0)
    command = ["report", "msca/table2", "--results", str(store.folder)]
    assert main(command) == 0 and capsys.readouterr().err == ""
    (record,) = store.read()
    for name in ("msca/table2:gone", "nobody/table1:row", "pst/table3:gone"):
        store.append(dataclasses.replace(record, id=name))
    assert main(command) == 0
    error = capsys.readouterr().err
    assert "has lines of 2 rows that no spec has: msca/table2:gone, nobody/table1:row; they" in error
    assert error.count("\n") == 1
