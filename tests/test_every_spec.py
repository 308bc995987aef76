"""Every file in benchmarks/, as the paper prints it: rows, cells, sources, keys."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from vtbench.datasets import DATASETS
from vtbench.papers import load_all, load_paper, measurements, paper_names, select
from vtbench.papers.check import check
from vtbench.papers.code.signatures import Builders
from vtbench.papers.datasets import load_dataset
from vtbench.papers.roots import own_root
from vtbench.scales import Scale

TOP1 = {
    "table1": "75.65 76.47 76.07 75.66 74.72",
    "table2": "76.37 75.65 75.84 75.76 75.58 75.47 76.47 75.57 75.78",
    "table3": "75.65 75.67 76.40 76.47",
    "table4": "75.65 76.28 76.35 76.07 75.84 75.29",
    "table5": "76.37 75.65 75.75 75.69 75.84 75.50 76.35 75.83 75.73",
}
TOP5 = {
    "table1": "92.19 92.88 92.61 92.30 91.91",
    "table2": "92.82 92.19 92.57 92.13 92.39 92.32 92.88 92.43 92.37",
    "table3": "92.19 92.19 92.77 92.88",
    "table4": "92.19 92.49 92.91 92.77 92.49 92.04",
    "table5": "92.82 92.19 92.10 92.24 92.43 91.99 92.91 92.35 92.21",
}


def key(row_id: str, scale: str = "paper") -> str:
    return measurements(select([row_id])[0], scale)[0].evaluation.training.key


@pytest.mark.parametrize("name", paper_names())
def test_every_paper_passes_the_check(name: str) -> None:
    assert check(name)[1] == []


@pytest.mark.parametrize("table", TOP1)
def test_msca_cells_are_as_printed_and_in_printed_order(table: str) -> None:
    rows = select([f"msca/{table}"])
    assert " ".join(row.published["top1"].text for row in rows) == TOP1[table]
    assert " ".join(row.published["top5"].text for row in rows) == TOP5[table]


def test_every_published_cell_of_every_file_is_quoted() -> None:
    def cells(node: Any, inside: bool = False) -> list[yaml.ScalarNode]:
        if isinstance(node, yaml.MappingNode):
            found = []
            for name, value in node.value:
                if inside and name.value in ("reconstructed", "precision"):
                    continue
                found += cells(value, inside or name.value in ("published", "printed"))
            return found
        if isinstance(node, yaml.SequenceNode):
            return [cell for item in node.value for cell in cells(item, inside)]
        return [node] if inside else []

    files = sorted(own_root().benchmarks.glob("*/table*.yaml"))
    found = [cell for path in files for cell in cells(yaml.compose(path.read_text()))]
    assert len(found) >= 66
    assert all(cell.style == '"' for cell in found)


def test_msca_has_33_rows_in_five_tables_all_its_own() -> None:
    paper = load_paper("msca")
    assert [len(table.rows) for table in paper.tables] == [5, 9, 4, 6, 9]
    assert all(row.own and row.status == "runnable" for row in paper.rows)


def test_rows_that_print_blank_cells_say_so() -> None:
    reconstructed = {row.id for row in select() for cell in row.published.values() if cell.reconstructed}
    assert {"msca/table1:vit", "msca/table4:vit"} == {row_id for row_id in reconstructed if row_id.startswith("msca/")}


def test_tables_that_are_damaged_in_the_text_at_hand_say_so() -> None:
    damaged = [table.name for table in load_paper("msca").tables if table.reconstructed]
    assert damaged == ["table3", "table5"]


def test_the_33_rows_of_msca_need_25_trainings_at_paper_scale() -> None:
    wanted = [m for row in select(["msca"]) for m in measurements(row, "paper")]
    assert len(wanted) == 33
    assert len({m.evaluation.training.key for m in wanted}) == 25
    assert len({m.evaluation.key for m in wanted}) == 25


def test_at_mini_scale_the_7x7_tables_and_the_events_add_six_and_two_pretrainings_serve_all() -> None:
    wanted = [m for row in select(["msca"]) for m in measurements(row, "mini")]
    trainings = [m.evaluation.training for m in wanted]
    assert len({t.key for t, m in zip(trainings, wanted, strict=True) if m.name == "main"}) == 27
    assert len({t.key for t in trainings}) == 31
    assert len({t.ancestors()[0].key for t in trainings}) == 2


def test_rows_that_share_a_training_have_one_key() -> None:
    assert len({key(f"msca/table{n}:vit") for n in (1, 2, 3, 4, 5)}) == 1
    two_heads = ("msca/table1:msca-kv-2", "msca/table2:msca-kv", "msca/table3:msca-kv-12")
    for scale in ("smoke", "mini", "paper"):
        assert len({key(row_id, scale) for row_id in two_heads}) == 1
        assert len({key(f"msca/table{n}:vit", scale) for n in (1, 2, 3)}) == 1
        assert key("msca/table4:vit", scale) == key("msca/table5:vit", scale)
        assert key("msca/table4:msca-pkv-16", scale) == key("msca/table5:msca-pkv", scale)
    assert key("msca/table2:tokenshift") == key("msca/table5:tokenshift")


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_rows_of_one_table_are_different_trainings_at_every_scale(scale: str) -> None:
    for paper in load_all():
        for table in paper.tables:
            if paper.name == "msca":
                keys = [key(row.id, scale) for row in table.rows]
                assert len(set(keys)) == len(keys)


def test_the_printed_share_of_shifted_heads_and_patches_is_that_of_the_arguments() -> None:
    for row in select(["msca/table1", "msca/table4"]):
        arguments = row.recipes["main"].recipe.model.arguments
        if row.table == "table1":
            shifted = arguments.get("backward_heads", 0) + arguments.get("forward_heads", 0)
            share, count = shifted / arguments["num_heads"], row.printed["heads"]
        else:
            shifted = arguments.get("backward_patches", 0) + arguments.get("forward_patches", 0)
            share, count = shifted / (14 * 14 + 1), row.printed["patches"]
        assert count == str(shifted)
        assert row.printed["shift %"] == (f"{100 * share:.1f}" if shifted else "0 (ViT)")


def test_mini_scale_keeps_twelve_heads_and_a_depth_divisible_by_three() -> None:
    for scale in ("smoke", "mini"):
        for row in select(["msca"]):
            for measurement in measurements(row, scale):
                arguments = measurement.evaluation.training.model.arguments
                assert arguments["num_heads"] == 12
                assert arguments["embed_dim"] % 12 == 0
                assert arguments["depth"] % 3 == 0


def test_all_decisions_of_msca_are_there() -> None:
    decisions = load_paper("msca").about.decisions
    assert len(decisions) == 24
    assert all(name.startswith("msca-") for name in decisions)
    assert len(load_paper("msca").about.not_stated) == 14


def test_the_code_is_named_at_a_whole_commit() -> None:
    for paper in load_all():
        if paper.about.code:
            assert len(paper.about.code.commit) == 40
            assert set(paper.about.code.commit) <= set("0123456789abcdef")


def test_decisions_named_in_the_sources_of_vtbench_exist() -> None:
    """Docstrings name entries such as (msca-boundary-frames): each must be a decision of its paper."""
    import re

    package = Path(inspect.getfile(load_paper)).parent.parent
    for paper in load_all():
        pattern = re.compile(rf"\(({paper.name}-[a-z0-9-]+)[,)]")
        for path in package.rglob("*.py"):
            for name in pattern.findall(path.read_text()):
                assert name in paper.about.decisions, f"{path}: {name}"


def test_what_trains_from_a_checkpoint_pretrains_at_mini_scale_unless_it_is_told_to_start_from_scratch() -> None:
    for row in select():
        for measurement in measurements(row, "mini"):
            training = measurement.evaluation.training
            assert bool(training.ancestors()) == (training.data.modalities is None or training.train.epochs == 4)


def test_the_signatures_read_from_source_are_those_of_the_builders() -> None:
    import importlib

    builders = Builders()
    for name, target in builders.models().items():
        module, function = target.split(":")
        real = inspect.signature(getattr(importlib.import_module(module), function)).parameters
        read = builders.signature(name)
        assert list(read) == list(real)
        for argument, parameter in real.items():
            assert read[argument].required == (parameter.default is inspect.Parameter.empty)
            if not read[argument].required:
                assert read[argument].default == parameter.default


def test_synthetic_sets_declare_the_flip_rule_that_they_have() -> None:
    from vtbench.datasets.synthetic import CLASSES, FLIP_LABELS

    for name, rule in FLIP_LABELS.items():
        assert load_dataset(name).flip_labels == rule
        assert load_dataset(name).num_classes == len(CLASSES[name])


def test_synthetic_sets_have_a_data_module_of_their_name_and_the_others_are_folders() -> None:
    names = [path.parent.name for path in own_root().data_manifests.glob("*/dataset.yaml")]
    facts = {name: load_dataset(name) for name in names}
    assert {name for name in names if facts[name].synthetic} == set(DATASETS) - {"folder"}
    assert {facts[name].module for name in names} == set(DATASETS)
    for place in DATASETS.values():
        module, _, attribute = place.partition(":")
        assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("scale", ["smoke", "mini", "paper"])
def test_every_network_can_be_built(scale: Scale) -> None:
    from vtbench.run.network import impossible

    wanted = [m.evaluation.training for row in select() for m in measurements(row, scale)]
    trainings = {ancestor.key: ancestor for training in wanted for ancestor in (*training.ancestors(), training)}
    assert {key: wrong for key, training in trainings.items() if (wrong := impossible(training))} == {}
