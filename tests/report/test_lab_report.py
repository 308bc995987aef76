"""What a report says at the scale of one GPU: no distance to print, but orders and differences."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from vtbench.papers import select
from vtbench.report.compare import compare_rows
from vtbench.report.report import report
from vtbench.results.store import Store

Measure = Callable[..., None]

TABLE2 = {"vit": 75.65, "msca-q": 75.84, "msca-kv": 76.47}


def test_rows_are_compared_with_each_other_and_not_with_print(store: Store, measure: Measure) -> None:
    for name, top1 in [*TABLE2.items(), ("msca-k", 75.76), ("msca-v", 75.58)]:
        measure(f"msca/table2:{name}", "lab", top1 - 20, selection="none: last epoch")
    text = report(select(["msca/table2"]), store.folder, width=200)
    assert text.startswith("msca/table2 at lab scale: ")
    assert (
        "NOT COMPARABLE with the printed numbers: fewer videos (mini200 of kinetics400) and settings of their own; "
        "these rows are of use beside each other"
    ) in " ".join(text.split())
    assert "lab scale: 5 of 9 rows have results, from 5 evaluations." in text
    entries = {e["id"]: e for e in json.loads(report(select(["msca/table2"]), store.folder, "lab", "json"))}
    kv = entries["msca/table2:msca-kv"]
    assert (kv["verdict"], kv["delta"]) == ("not-comparable", None)
    assert kv["reference"]["measured"] == pytest.approx(76.47 - 75.65)
    assert kv["order"]["kendall_tau"] == 1.0


def test_a_mean_over_splits_is_of_those_that_exist_at_the_scale(store: Store, measure: Measure) -> None:
    """One split of UCF101 at lab scale, compared under the printed column; three splits at mini scale as before."""
    for name, top1 in (("mm-vit-i", 80.0), ("mm-vit-ii", 82.0)):
        measure(f"mmvit/table1:{name}", "lab", top1, measurement="split1")
        measure(f"mmvit/table1:{name}", "mini", top1, measurement="split1")
    lab, mini = (compare_rows(select(["mmvit/table1:mm-vit-ii"]), store, scale)[0] for scale in ("lab", "mini"))
    assert {name: found.mean for name, found in lab.measured.items()} == {"ucf101_top1": 82.0}
    assert "split1_top1" in mini.measured and "ucf101_top1" not in mini.measured
    entries = {e["id"]: e for e in json.loads(report(select(["mmvit/table1"]), store.folder, "lab", "json"))}
    assert entries["mmvit/table1:mm-vit-ii"]["reference"]["measured"] == pytest.approx(2.0)
