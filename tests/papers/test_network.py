"""What a network is built from, found without torch, and its hash."""

from __future__ import annotations

from collections.abc import Callable

from vtbench.papers import select
from vtbench.papers.network import Network
from vtbench.papers.resolve import network_of
from vtbench.papers.spec.schema import Row

Edit = Callable[[str, str, str], int]


def row(row_id: str) -> Row:
    return select([row_id])[0]


def network(row_id: str, scale: str) -> Network:
    found = network_of(row(row_id), scale)
    assert found is not None
    return found


def test_rows_that_share_a_network_have_one_key_and_others_do_not() -> None:
    assert network("msca/table1:vit", "paper").key == network("msca/table2:vit", "paper").key
    assert network("msca/table1:msca-kv-2", "paper").key == network("msca/table2:msca-kv", "paper").key
    different = {
        network(name, scale).key for name in ("laps/table1:laps", "laps/table1:la") for scale in ("smoke", "paper")
    }
    assert len(different) == 4


def test_the_arguments_that_follow_from_the_data_are_there() -> None:
    found = network("msca/table2:vit", "paper")
    arguments = dict(found.arguments)
    assert (arguments["num_classes"], arguments["num_frames"], arguments["img_size"]) == (400, 8, 224)
    assert found.clip_shape == (8, 3, 224, 224)


def test_a_quoted_row_has_no_network(edit: Edit) -> None:
    edit("msca/table2.yaml", "    model: {name: vit}\n", "    quoted: true\n")
    assert network_of(row("msca/table2:vit"), "paper") is None


def test_a_row_that_prints_no_accuracy_has_one(edit: Edit) -> None:
    edit("msca/table2.yaml", 'published: {top1: "75.65", top5: "92.19"}', 'published: {latency_ms: "29"}')
    assert network("msca/table2:vit", "paper").key == network("msca/table1:vit", "paper").key


def test_modalities_reach_the_network_that_takes_them() -> None:
    arguments = dict(network("mmvit/table3:no-motion", "paper").arguments)
    assert arguments["modalities"] == ("iframe", "residual", "audio")
    assert "modalities" not in dict(network("msca/table2:vit", "paper").arguments)
    assert network("mmvit/table3:all", "paper").key == network("mmvit/table2:tms", "paper").key
