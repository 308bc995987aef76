"""Builders' signatures, read from a small package written for the purpose."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from pathlib import Path
from typing import Any, Literal

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
            "table.yaml:7: rows[0].model.deph: net() has no argument 'deph'; did you mean 'depth'?",
        ),
        ({}, "table.yaml:7: rows[0].model.name: net() needs the argument 'depth'"),
        ({"depth": "2"}, "rows[0].model.depth: must be a whole number, not '2'"),
        ({"depth": True}, "rows[0].model.depth: must be a whole number, not True"),
        ({"depth": 2, "kind": "k"}, "rows[0].model.kind: is 'k', must be one of q, kv"),
        ({"depth": 2, "limit": 1.5}, "rows[0].model.limit: must be a whole number"),
        ({"depth": 2, "sides": [1, "b"]}, "rows[0].model.sides[1]: must be a whole number"),
        ({"depth": 2, "num_frames": 8}, "rows[0].model.num_frames: is filled in from the data block"),
        ({"name": "nte"}, "rows[0].model.name: no model 'nte'; did you mean 'net'?"),
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
    with pytest.raises(SpecError, match=r"network\.py: no function or class 'net'"):
        arguments(builders)


# ---- aliases of annotations ------------------------------------------------------------------------------------------

EDGE = 'from typing import Literal\nEdge = Literal["zero", "cyclic"]'


def hints(folder: Path, annotation: str, above: str) -> list[Any]:
    """What an annotation stands for in a file that begins with `above`, alone and with `| None`."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "__init__.py").write_text(
        'from .edges import Edge\nMODELS = {"net": "vtbench.models.one:net"}'
    )
    (folder / "models" / "edges.py").write_text(EDGE)
    (folder / "models" / "one.py").write_text(
        f"{above}\n\ndef net(*, edge: {annotation}, either: {annotation} | None = None):\n    pass\n"
    )
    signature = Builders(folder).signature("net")
    return [signature["edge"].hint, signature["either"].hint]


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules outside the package: edges_of_a_stranger takes Edge from the package lab_edges, and that from a file."""
    folder = tmp_path / "strangers"
    (folder / "lab_edges").mkdir(parents=True)
    (folder / "edges_of_a_stranger.py").write_text("import torch_is_not_here\nfrom lab_edges import Edge\n")
    (folder / "lab_edges" / "__init__.py").write_text("from .names import Edge\n")
    (folder / "lab_edges" / "names.py").write_text(EDGE)
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize(
    ("annotation", "above"),
    [
        ("Edge", EDGE),
        ("Edge", EDGE.replace("Edge =", "Edge: TypeAlias =")),
        ("Side", f"{EDGE}\nSide = Edge"),
        ("Edge", "from .edges import Edge"),
        ("Edge", "from . import Edge"),
        ("Edge", "from ..models.edges import Edge"),
        ("Edge", "from edges_of_a_stranger import Edge"),
        ("Side", "from edges_of_a_stranger import Edge as Side"),
        ("Edge", "from lab_edges.names import Edge"),
        ("Side", "from .edges import Edge\nSide = Edge"),
        ("Edge", "try:\n    from lab_edges import Edge\nexcept ImportError:\n    Edge = str"),
    ],
)
def test_an_alias_is_followed_to_where_it_is_defined(tmp_path: Path, annotation: str, above: str) -> None:
    edge = Literal["zero", "cyclic"]
    assert hints(tmp_path, annotation, above) == [edge, edge | None]
    assert "torch_is_not_here" not in sys.modules and "lab_edges" not in sys.modules


@pytest.mark.parametrize(
    ("annotation", "above"),
    [
        ("Edge", "Edge = Side\nSide = Edge"),
        ("Edge", "Edge = Edge"),
        ("Edge", "Edge = Edge | None"),
        ("tuple[Edge, ...]", "Edge = tuple[Edge, ...]"),
        ("Edge", "from .one import Edge"),
        ("Edge", "from nowhere_at_all import Edge"),
        ("Edge", "from .nowhere import Edge"),
        ("Edge", "from ......nowhere import Edge"),
        ("Edge", "from .edges import Side as Edge"),
        ("Edge", "from typing import Any as Edge"),
        ("Edge", "import Edge"),
        ("Edge", "class Edge:\n    pass"),
        ("Edge", "from typing import Literal\nA = 1\nEdge = Literal[A]"),
        ("Edge", ""),
    ],
)
def test_what_cannot_be_followed_stands_for_anything(tmp_path: Path, annotation: str, above: str) -> None:
    assert hints(tmp_path, annotation, above) == [Any, Any]


def test_a_choice_by_an_alias_is_checked(builders: Builders) -> None:
    dataclass_of(
        builders,
        """
from vtbench.layers.shift import Boundary

def net(*, num_classes, num_frames, img_size, edge: Boundary):
    pass
""",
    )
    with pytest.raises(SpecError, match=r"model\.edge: is 'mirror', must be one of zero, replicate, cyclic"):
        arguments(builders, edge="mirror")


# ---- dataclasses -----------------------------------------------------------------------------------------------------

SIZES = """
from dataclasses import dataclass
import dataclasses
from typing import ClassVar

@dataclass(frozen=True)
class Sizes:
    num_classes: int
    num_frames: int
    img_size: int = 224
    known: ClassVar[int] = 3
    unannotated = 4

@dataclasses.dataclass
class Shift:
    share: float = 0.125
    depth: int = 6

class Plain:
    hidden: int = 1
"""


def dataclass_of(builders: Builders, text: str) -> None:
    (builders.package / "models" / "sizes.py").write_text(SIZES)
    (builders.package / "models" / "network.py").write_text(text)


def test_fields_of_a_dataclass_are_arguments_those_of_its_bases_first(builders: Builders) -> None:
    dataclass_of(
        builders,
        """
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal
from .sizes import Plain, Shift, Sizes as ClipSizes

@dataclass(frozen=True, kw_only=True)
class net(Shift, ClipSizes, Plain):
    _: KW_ONLY
    kind: Literal["q", "kv"]
    depth: int = 12
    count: ClassVar[int] = len("abc")

    def build(self):
        raise AssertionError("never called")
""",
    )
    signature = builders.signature("net")
    assert {name: (one.hint, one.required, one.default) for name, one in signature.items()} == {
        "num_classes": (int, True, None),
        "num_frames": (int, True, None),
        "img_size": (int, False, 224),
        "share": (float, False, 0.125),
        "depth": (int, False, 12),
        "kind": (Literal["q", "kv"], True, None),
    }
    assert list(signature) == ["num_classes", "num_frames", "img_size", "share", "depth", "kind"]
    assert arguments(builders, kind="kv") == {"share": 0.125, "depth": 12, "kind": "kv"}


def test_a_field_whose_default_is_no_literal_is_reported_where_it_stands(builders: Builders) -> None:
    dataclass_of(builders, "from dataclasses import dataclass\n@dataclass\nclass net:\n    depth: int = len('abc')\n")
    with pytest.raises(SpecError, match=r"network\.py:4: net\.depth: the default must be a literal"):
        arguments(builders)


def test_a_class_that_is_no_dataclass_needs_an_init(builders: Builders) -> None:
    dataclass_of(builders, "from .sizes import Sizes\nclass net(Sizes):\n    depth: int = 3\n")
    with pytest.raises(SpecError, match="net has no __init__ of its own to read arguments from"):
        arguments(builders)


def test_a_dataclass_with_an_init_of_its_own_is_read_by_that(builders: Builders) -> None:
    dataclass_of(
        builders,
        """
from dataclasses import dataclass

@dataclass
class net:
    depth: int = 3

    def __init__(self, num_classes, num_frames, img_size, width: int = 4):
        pass
""",
    )
    assert arguments(builders) == {"width": 4}


def test_the_networks_of_vtbench_are_read_as_python_has_them() -> None:
    builders = Builders()
    for name, place in builders.models().items():
        module, _, attribute = place.partition(":")
        config = getattr(importlib.import_module(module), attribute)
        fields = {field.name: field.default for field in dataclasses.fields(config)}
        signature = builders.signature(name)
        assert list(signature) == list(fields)
        assert {key: one.default for key, one in signature.items() if not one.required} == {
            key: default for key, default in fields.items() if default is not dataclasses.MISSING
        }
        assert Any not in {one.hint for one in signature.values()}, name


@pytest.mark.parametrize("above", ["from .base import Base", "from .base import Base as Other\nBase = Other"])
def test_what_a_method_passes_on_is_read_from_its_base(builders: Builders, above: str) -> None:
    folder = builders.package / "methods"
    (folder / "base.py").write_text("class Base:\n    def __init__(self, *, lr: float, decay: float = 0.1): ...\n")
    (folder / "fit.py").write_text(
        f"{above}\n\nclass Fit(Base):\n    def __init__(self, *, warm: int = 1, **rest): ...\n"
    )
    signature = builders.method(Node("fit", "table.yaml", 7, "rows[0].train.method"))
    assert (signature is None) if "Other" in above else ([*(signature or ())] == ["lr", "decay", "warm"])
