"""The papers' claims against their own numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vtbench.papers.claims import Claim
from vtbench.report.claims.finding import Finding
from vtbench.report.claims.printed import judge_printed

Read = Callable[..., list[Claim]]

KV, VIT, TOKENSHIFT = "table2:msca-kv.top1", "table2:vit.top1", "table2:tokenshift.top1"  # 76.47, 75.65, 76.37


def printed(read: Read, holds: str, paper: str = "msca", **cells: str) -> Finding:
    return judge_printed(read(holds, paper=paper, **cells)[0])


def test_mscas_abstract_says_more_than_its_tables(read: Read) -> None:
    found = printed(read, "about(kv - vit, 1.2)", kv=KV, vit=VIT)
    assert (found.verdict, found.values) == ("contradicted", "kv - vit = 0.82")
    assert printed(read, "about(kv - ts, 0.1)", kv=KV, ts=TOKENSHIFT).verdict == "supported"


def test_psts_76_percent_less_memory_are_43(read: Read) -> None:
    cells = {"pst": "table6:pst-t.memory_gb", "swin": "table6:video-swin-t.memory_gb"}  # 1.7, 3.0
    found = printed(read, "about(-percent(pst, swin), 76)", "pst", **cells)
    assert (found.verdict, found.sides) == ("contradicted", {"-percent(pst, swin)": "43.3"})
    assert printed(read, "about(percent(swin, pst), 76)", "pst", **cells).verdict == "supported"


@pytest.mark.parametrize(
    ("holds", "verdict"),
    [
        ("about(kv - vit, 0.8)", "supported"),
        ("about(kv - vit, 0.84)", "contradicted"),  # 0.82 stands for 0.81 to 0.83, 0.84 for 0.835 and more
        ("about(kv - vit, 0.83)", "supported"),
        ("about(kv - vit, 0.9)", "contradicted"),
        ("about(kv - vit, 1)", "supported"),
        ("within(kv, vit, 0.815)", "supported"),  # the numbers before they were rounded may be so near
        ("within(kv, vit, 0.80)", "contradicted"),
        ("kv - vit > 0.82", "contradicted"),  # an order is of the numbers as they stand
        ("kv - vit >= 0.82", "supported"),
        ("kv > vit and vit > 75", "supported"),
        ("vit > kv or vit > 75", "supported"),
        ("same(kv, vit)", "contradicted"),
    ],
)
def test_a_printed_number_stands_for_all_that_round_to_it(read: Read, holds: str, verdict: str) -> None:
    assert printed(read, holds, kv=KV, vit=VIT).verdict == verdict


def test_the_same_is_the_same_to_the_printed_digits(read: Read) -> None:
    deit, tps = "table7:deit-s-2d.params_m", "table7:deit-s-tps.params_m"  # 22, 22
    assert printed(read, "same(a, b)", "pst", a=deit, b=tps).verdict == "supported"
    one, other = "table2:vit.top1", "table2:msca-k.top1"  # 75.65 and 75.76 share no number
    assert printed(read, "same(a, b)", a=one, b=other).verdict == "contradicted"


def test_a_number_that_is_not_printed_is_named(read: Read) -> None:
    found = printed(read, "same(kv, vit)", kv="table2:msca-kv.params_m", vit="table2:vit.params_m")
    assert found.verdict == "not printed"
    assert found.why == "no printed table2:msca-kv.params_m or table2:vit.params_m"


def test_a_number_that_is_not_read_off_the_print_says_where_it_is_from(read: Read) -> None:
    cells = {"vit": "table1:vit.top1", "two": "table1:msca-kv-2.top1"}
    found = printed(read, "two > vit", **cells)
    assert found.verdict == "supported"
    assert found.why == found.entry()["why"]
    assert found.why == "table1:vit.top1 reconstructed: blank in the text at hand; Table 2, row ViT"
    assert printed(read, "kv > vit", kv=KV, vit=VIT).why is None


def test_numbers_from_one_place_are_named_together(read: Read) -> None:
    rows = {"v1": "table3:pst-t-in1k-1x1", "v2": "table3:pst-t-in1k-3x1", "b": "table3:pst-b-k400-3x1"}
    found = printed(read, "b > max(v1, v2)", "pst", **{name: f"{row}.params_m" for name, row in rows.items()})
    assert found.why == (
        "table3:pst-t-in1k-1x1.params_m, table3:pst-t-in1k-3x1.params_m reconstructed: one cell for the four rows of "
        "PST-T and the one of PST-T†; table3:pst-b-k400-3x1.params_m reconstructed: one cell for the four rows of "
        "PST-B and the one of PST-B†"
    )


def test_each_side_is_shown_in_digits_that_the_print_vouches_for(read: Read) -> None:
    cells = {"kv": KV, "vit": VIT, "ts": TOKENSHIFT}
    found = printed(read, "kv > max(vit, ts) and percent(kv, vit) > 1 and mean(kv, vit) > 76", **cells)
    assert found.sides == {
        "kv": "76.47",
        "max(vit, ts)": "76.37",
        "percent(kv, vit)": "1.08",
        "mean(kv, vit)": "76.1",
    }
