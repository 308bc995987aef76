"""cost.csv: what was counted is what is counted, and who reads it never counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.cli import main
from vtbench.errors import ResultsError, SpecError
from vtbench.papers import load_all, measurements, select
from vtbench.papers.resolve import network_of
from vtbench.papers.roots import own_root
from vtbench.results.costs import CostBook, CostRecord, CostStore
from vtbench.scales import SCALES

OWN = own_root().folder / "results"
VIT = "msca/table2:vit"


def record(**changes: object) -> CostRecord:
    line = {
        "network": "vit",
        "arguments": "0123456789ab",
        "convention": "matmul",
        "params": None,
        "macs": 10,
        "scale": "paper",
        "rows": "msca/table2:vit",
    }
    return CostRecord(**{**line, **changes})


def test_every_network_of_every_row_at_every_scale_is_recorded() -> None:
    """Else `plan` would have to build it, and `list` would show a printed cost alone."""
    book = CostBook.read(OWN)
    for row in (row for paper in load_all() for row in paper.rows if row.recipes):
        for scale in SCALES:
            network = network_of(row, scale)
            if network is None:
                continue
            assert not book.is_stale(row.id, scale, network.key), row.id
            assert book.find(network.key) is not None, (row.id, scale)
            for measurement in measurements(row, scale):
                training = measurement.evaluation.training
                for one in (training, *training.ancestors()):
                    assert book.find(one.network.key) is not None, (row.id, scale)


def test_no_line_is_of_a_network_that_no_row_has() -> None:
    rows = {row.id: row for paper in load_all() for row in paper.rows}
    for line in CostStore(OWN).read():
        keys = set()
        for name in line.rows.split(";"):
            for measurement in measurements(rows[name], line.scale):
                training = measurement.evaluation.training
                keys |= {one.network.key for one in (training, *training.ancestors())}
            keys |= {network.key for network in [network_of(rows[name], line.scale)] if network}
        assert line.arguments in keys, line.title


@pytest.mark.parametrize(
    "row", ["msca/table2:msca-kv", "laps/table3:laps-rb", "pst/table6:pst-t", "mmvit/table1:mm-vit-iii-merged"]
)
def test_a_sample_counted_again_is_what_is_recorded(row: str) -> None:
    from vtbench.run.measuring.cost import cost

    (one,) = select([row])
    recorded = CostBook.read(OWN).find(network_of(one, "paper").key)
    (counted,) = cost([one])
    assert recorded is not None
    assert {name: count / 1e6 for name, count in recorded.params.items()} == counted["params_by_convention"]
    assert {name: count / 1e9 for name, count in recorded.macs.items()} == counted["gmacs"]


def test_recording_writes_the_rows_and_keeps_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ("--results", str(tmp_path))
    assert main(("cost", VIT, "--record", *results)) == 0
    said = capsys.readouterr().out
    lines = CostStore(tmp_path).read()
    assert said == f"6 networks counted; {tmp_path}/cost.csv has {len(lines)} lines\n"
    assert {line.scale for line in lines} == set(SCALES)
    assert main(("cost", "pst/table7:deit-s-tsm", "--record", *results)) == 0
    both = CostStore(tmp_path).read()
    assert [line for line in both if line.rows == VIT] == lines and len(both) > len(lines)
    assert main(("cost", VIT, "--record", *results)) == 0
    assert CostStore(tmp_path).read() == both


def test_a_row_with_another_network_replaces_its_lines(
    tmp_path: Path, edit: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in CostStore(OWN).read() if VIT in line.rows.split(";")]
    CostStore(tmp_path).write([dataclasses.replace(line, rows=VIT) for line in lines])
    before = {line.arguments for line in lines if line.scale == "paper"}
    edit("msca/table2.yaml", "model: {name: vit}", "model: {name: vit, depth: 6}")
    (row,) = select([VIT])
    book = CostBook.read(tmp_path)
    assert book.is_stale(VIT, "paper", network_of(row, "paper").key)
    main(("cost", VIT, "--record", "--results", str(tmp_path)))
    after = {line.arguments for line in CostStore(tmp_path).read() if line.scale == "paper"}
    assert len(before) == len(after) == 1 and before != after
    assert not CostBook.read(tmp_path).is_stale(VIT, "paper", network_of(row, "paper").key)


def test_a_network_that_cannot_be_built_writes_nothing(tmp_path: Path, edit: Callable[..., int]) -> None:
    from vtbench.run.measuring.cost import record_costs

    edit("msca/table2.yaml", "shifted: kv, backward_heads: 1", "shifted: kv, backward_heads: 13")
    with pytest.raises(SpecError, match="backward_heads=13"):
        record_costs(select(["msca/table2"]), tmp_path)
    assert not (tmp_path / "cost.csv").exists()


@pytest.mark.parametrize("change", [["--set", "model.depth=2"], ["--variant", "msca-best-epoch"]])
def test_only_rows_as_they_stand_are_recorded(
    change: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("cost", VIT, "--record", *change, "--results", str(tmp_path))) == 2
    assert "--record is of the rows as they stand; leave out" in capsys.readouterr().err
    assert not (tmp_path / "cost.csv").exists()


def test_a_book_of_two_folders_knows_both(tmp_path: Path) -> None:
    for name, arguments in (("one", "a" * 12), ("two", "b" * 12)):
        CostStore(tmp_path / name).write(
            [record(arguments=arguments), record(arguments=arguments, convention="all", params=3, macs=None)]
        )
    book = CostBook.read(tmp_path / "one", tmp_path / "two", tmp_path / "none")
    assert [book.find(key * 12) is not None for key in "abc"] == [True, True, False]
    found = book.find("a" * 12)
    assert found is not None and (found.macs, found.params) == ({"matmul": 10}, {"all": 3})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10", "ten", r"cost\.csv:2: .*macs"),
        ("10", "-1", r"cost\.csv:2: .*macs"),
        ("network,", "netwrok,", r"cost\.csv"),
    ],
)
def test_a_broken_file_is_one_line_with_the_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    CostStore(tmp_path).write([record()])
    path = tmp_path / "cost.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ResultsError, match=message) as raised:
        CostBook.read(tmp_path)
    assert "\n" not in str(raised.value) and "vtbench cost --record" in str(raised.value)
