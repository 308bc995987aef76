"""Selectors name rows, in printed order."""

from __future__ import annotations

import re

import pytest

from vtbench.errors import UsageError
from vtbench.papers import measurements, select
from vtbench.papers.selector import Selector


def ids(*selectors: str) -> list[str]:
    return [row.id for row in select(selectors)]


def test_a_paper_a_table_and_a_row_can_be_named() -> None:
    assert len(ids("msca")) == 33
    assert ids("msca/table1") == [
        f"msca/table1:{n}" for n in ("vit", "msca-kv-2", "msca-kv-4", "msca-kv-6", "msca-kv-8")
    ]
    assert ids("msca/table2:msca-kv") == ["msca/table2:msca-kv"]


def test_none_means_all() -> None:
    assert set(ids("msca")) <= set(ids())


def test_several_selectors_give_each_row_once_in_printed_order() -> None:
    assert ids("msca/table2", "msca/table1:vit", "msca/table2:vit") == ["msca/table1:vit", *ids("msca/table2")]


@pytest.mark.parametrize(
    ("selector", "nearest"),
    [
        ("mcsa", "msca"),
        ("mcsa/table2", "did you mean 'msca'? (in 'mcsa/table2')"),
        ("msca/tabel2", "msca/table2"),
        ("msca/table9", "'msca/table"),
        ("msca/table2:msca-kvv", "'msca/table2:msca-kv'"),
        ("msca/table2:", "known: tokenshift, vit, msca-q"),
        ("msca/", "known: table1, table2"),
        ("msca/table2:vit:", "'msca/table2:vit'"),
    ],
)
def test_a_misspelt_selector_names_the_nearest(selector: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=re.escape(selector)) as caught:
        ids(selector)
    assert nearest in str(caught.value).rpartition("; ")[2]


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("pst/table3:pst-t-in1k-1x1@sthv3", "no measurement 'pst/table3:pst-t-in1k-1x1@sthv3'; did you mean"),
        ("pst/table3:pst-t-in1k-1x1@sthv3", "'pst/table3:pst-t-in1k-1x1@sthv"),
        ("pst/table3:tsm@sthv2", "pst/table3:tsm has none, its numbers are quoted"),
        ("mmvit/table3@split4", "no measurement 'mmvit/table3@split4'; did you mean 'mmvit/table3@split"),
        ("mmvit/table3:no-audio@", "no measurement 'mmvit/table3:no-audio@'"),
    ],
)
def test_an_unknown_measurement_names_the_nearest(selector: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        select([selector])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_measurement_can_be_asked_for() -> None:
    (row,) = select(["mmvit/table3:no-audio@split1"])
    for scale in ("paper", "mini", "smoke"):
        assert [m.name for m in measurements(row, scale)] == ["split1"]
    whole = {m.name: m for m in measurements(select(["mmvit/table3:no-audio"])[0], "paper")}
    assert measurements(row, "paper")[0].evaluation.key == whole["split1"].evaluation.key


def test_a_measurement_of_a_table_keeps_the_rows_that_have_it() -> None:
    rows = select(["pst/table6@sthv1"])
    assert [row.name for row in rows] == ["2d-swin-t", "video-swin-t", "pst-t"]
    assert {m.name for row in rows for m in measurements(row, "paper")} == {"sthv1"}
    assert len(ids("pst@main")) == len({*ids("pst@main")}) and all("table3" not in name for name in ids("pst@main"))


def test_several_measurements_of_a_row_add_up_and_the_whole_row_is_all_of_them() -> None:
    def asked(*selectors: str) -> list[str]:
        return [m.name for row in select(selectors) for m in measurements(row, "paper")]

    row = "mmvit/table3:no-audio"
    assert asked(f"{row}@split3", f"{row}@split1") == ["split1", "split3"]
    assert asked(f"{row}@split3", row) == asked(row, f"{row}@split3") == ["split1", "split2", "split3"]


def test_the_printed_accuracies_of_other_measurements_are_left_out() -> None:
    (row,) = select(["pst/table3:pst-t-in1k-1x1@sthv2"])
    assert set(row.published) == {"views", "gflops", "params_m", "sthv2_top1", "sthv2_top5"}
    (mean,) = select(["mmvit/table3:no-audio@split1"])
    assert mean.published.keys() == {"top1", "top5"}  # of the mean that split 1 is part of
    (events,) = select(["msca/table3:vit@events"])
    assert events.published == {}


@pytest.mark.parametrize(
    "text", ["pst", "pst/table3", "pst/table3:pst-t", "pst/table3:pst-t@sthv2", "pst@sthv2", "pst/"]
)
def test_a_selector_reads_and_prints_alike(text: str) -> None:
    assert str(Selector.parse(text)) == text
