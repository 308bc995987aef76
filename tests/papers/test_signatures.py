"""Builders' signatures, read from a small package written for the purpose."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from vtbench.errors import SpecError
from vtbench.papers.code.signatures import Builders
from vtbench.papers.spec.document import Node

NETWORK = """
import torch_is_not_here
from typing import Literal

Kind = Literal["q", "kv"]

def net(*, num_classes: int, num_frames: int, img_size: int = 224, depth: int, kind: Kind = "q", rate: float = 0.5,
        limit: int | None = None, sides: tuple[int, ...] = (1, 2), odd: "Unknown" = 3, edge: Literal["zero"] = "zero"):
    raise AssertionError("never called")
"""


@pytest.fixture
def builders(tmp_path: Path) -> Builders:
    for name in ("models", "methods"):
        (tmp_path / name).mkdir()
    (tmp_path / "models" / "__init__.py").write_text('MODELS: dict[str, str] = {"net": "vtbench.models.network:net"}\n')
    (tmp_path / "methods" / "__init__.py").write_text('METHODS = {"fit": "vtbench.methods.fit:Fit"}\n')
    (tmp_path / "models" / "network.py").write_text(NETWORK)
    return Builders(tmp_path)


def arguments(builders: Builders, **given: Any) -> dict[str, Any]:
    def node(name: str, value: Any) -> Node:
        inner = [node(f"{name}[{i}]", item) for i, item in enumerate(value)] if isinstance(value, list) else value
        return Node(inner, "table.yaml", 7, f"rows[0].model.{name}")

    name = given.pop("name", "net")
    return builders.arguments(node("name", name), {key: node(key, value) for key, value in given.items()})


def test_defaults_are_filled_in_and_what_the_data_gives_is_left_out(builders: Builders) -> None:
    assert arguments(builders, depth=12) == {
        "depth": 12, "kind": "q", "rate": 0.5, "limit": None, "sides": (1, 2), "odd": 3, "edge": "zero",
    }  # fmt: skip


def test_given_arguments_take_the_annotated_type(builders: Builders) -> None:
    made = arguments(builders, depth=2, kind="kv", rate=1, limit=3, sides=[4, 5], odd="anything")
    assert made | {"edge": None} == {
        "depth": 2, "kind": "kv", "rate": 1.0, "limit": 3, "sides": (4, 5), "odd": "anything", "edge": None,
    }  # fmt: skip
    assert isinstance(made["rate"], float)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"depth": 2, "deph": 2},
            "table.yaml:7: rows[0].model.deph: net() has no such argument; did you mean 'depth'?",
        ),
        ({}, "table.yaml:7: rows[0].model.name: net() needs the argument 'depth'"),
        ({"depth": "2"}, "rows[0].model.depth: must be a whole number, not '2'"),
        ({"depth": True}, "rows[0].model.depth: must be a whole number, not True"),
        ({"depth": 2, "kind": "k"}, "rows[0].model.kind: is 'k', must be one of q, kv"),
        ({"depth": 2, "limit": 1.5}, "rows[0].model.limit: must be a whole number"),
        ({"depth": 2, "sides": [1, "b"]}, "rows[0].model.sides[1]: must be a whole number"),
        ({"depth": 2, "num_frames": 8}, "rows[0].model.num_frames: is filled in from the data block"),
        ({"name": "nte"}, "rows[0].model.name: no model is called 'nte'; did you mean 'net'?"),
    ],
)
def test_arguments_that_the_builder_would_refuse_are_refused(
    builders: Builders, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        arguments(builders, **given)


def test_reading_signatures_imports_nothing(builders: Builders) -> None:
    arguments(builders, depth=1)
    assert "torch_is_not_here" not in sys.modules
    assert builders.methods() == {"fit": "vtbench.methods.fit:Fit"}


def test_a_default_that_is_no_literal_is_reported_where_it_stands(builders: Builders) -> None:
    path = builders.package / "models" / "network.py"
    path.write_text("def net(*, depth: int = len('abc')):\n    pass\n")
    with pytest.raises(SpecError, match=r"network\.py:1: net\(depth=\.\.\.\): the default must be a literal"):
        arguments(builders)


def test_a_builder_that_models_names_in_vain_is_an_error(builders: Builders) -> None:
    (builders.package / "models" / "network.py").write_text("")
    with pytest.raises(SpecError, match=r"network\.py: defines no function or class 'net'"):
        arguments(builders)
