"""Selectors name rows, in printed order."""

from __future__ import annotations

import re

import pytest

from vtbench.errors import UsageError
from vtbench.spec import select


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
        ("mcsa/table2", "msca"),
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
