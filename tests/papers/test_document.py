"""YAML to dataclasses: what is refused, and that the message says where."""

# ruff: noqa: RUF009 (key() makes a dataclasses.field)
from __future__ import annotations

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from vtbench.errors import SpecError
from vtbench.fields import key
from vtbench.papers.spec.document import build, read_yaml


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: int = key("side", unit="pixels", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = key("a name")
    rate: float = key("a rate", above=0)
    flag: bool = key("a flag", default=False)
    kind: Literal["step", "cosine"] = key("a kind", default="step")
    pair: tuple[float, float] = key("a pair", default=(0.0, 1.0), at_least=0)
    many: tuple[int, ...] = key("many", default=())
    inner: Inner | None = key("another block", default=None)
    table: dict[str, int] = key("names to numbers", default={})


def read(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    return build(Outer, read_yaml(path))


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    text = "name: a\nrate: 1\nflag: true\nkind: cosine\npair: [0, 2.5]\nmany: [3, 4]\ninner: {size: 8}\ntable: {x: 1}\n"
    assert read(tmp_path, text) == Outer(
        name="a", rate=1.0, flag=True, kind="cosine", pair=(0.0, 2.5), many=(3, 4), inner=Inner(size=8), table={"x": 1}
    )


def test_a_whole_number_becomes_a_float_where_a_number_is_wanted(tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, "name: a\nrate: 2\n").rate, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nrate: 1\nnmae: b\n", "file.yaml:3: nmae: no key 'nmae'; did you mean 'name'?"),
        ("name: a\nrate: 1\ninner:\n  sise: 3\n", "file.yaml:4: inner.sise: no key 'sise'; did you mean 'size'?"),
        ("name: a\n", "file.yaml:1: rate: missing; it is a rate"),
        ("name: 3\nrate: 1\n", "file.yaml:1: name: must be text, not 3, which is a whole number"),
        ("name: a\nrate: fast\n", "file.yaml:2: rate: must be a number, not 'fast', which is text"),
        ("name: a\nrate: true\n", "file.yaml:2: rate: must be a number, not True, which is true or false"),
        ("name: a\nrate: 1e-3\n", "write 1.0e-3 or 0.001"),
        ("name: a\nrate: 0\n", "file.yaml:2: rate: is 0.0, must be above 0"),
        ("name: a\nrate: 1\nflag: 1\n", "file.yaml:3: flag: must be true or false, not 1"),
        ("name: a\nrate: 1\nkind: cosin\n", "is 'cosin', must be one of step, cosine; did you mean 'cosine'?"),
        ("name: a\nrate: 1\npair: [1]\n", "file.yaml:3: pair: must be a list of 2, not of 1"),
        ("name: a\nrate: 1\npair: [1, -2]\n", "file.yaml:3: pair: is -2.0, must be at least 0"),
        ("name: a\nrate: 1\nmany: 3\n", "file.yaml:3: many: must be a list, not 3"),
        ("name: a\nrate: 1\nmany: [3, x]\n", "file.yaml:3: many[1]: must be a whole number, not 'x'"),
        ("name: a\nrate: 1\nmany: [3, 2.5]\n", "many[1]: must be a whole number, not 2.5"),
        ("name: a\nrate: 1\ninner: [8]\n", "file.yaml:3: inner: must be keys and values, not a list"),
        ("name: a\nrate: 1\nname: b\n", "file.yaml:3: name: written twice, first in line 1"),
        ("name: a\nrate: 1\ninner: {size: 3, size: 4}\n", "file.yaml:3: inner.size: written twice"),
        ("name: a\nrate:\n", "file.yaml:2: rate: must be a number, not empty"),
        ("name: a\nrate: .nan\n", "file.yaml:2: rate: is nan, must be a finite number"),
        ("name: a\nrate: 1\nkind: [step]\n", "file.yaml:3: kind: is a list, must be one of step, cosine"),
        ("name: a\nrate: [1\n", "not YAML"),
        ("name: !!python/name:os.system\nrate: 1\n", "file.yaml:1: name: not a plain YAML value"),
        ("- name\n", "must hold keys and values at the top"),
        ("", "file.yaml:1: name: missing"),
    ],
)
def test_what_the_schema_does_not_know_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml: cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.yaml: is not text in UTF-8 \(byte 0\); save it as UTF-8"):
        read_yaml(tmp_path / "binary.yaml")
    with pytest.raises(SpecError, match=r"is a folder, a YAML file is wanted"):
        read_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(SpecError, match=r"pipe\.yaml: is a named pipe, a YAML file is wanted"):
        read_yaml(tmp_path / "pipe.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: &a [*a]\nrate: 1\n", "file.yaml:1: name"),
        ("name: &a {x: *a}\nrate: 1\n", "nested more than 64 deep, or an alias that holds itself"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghij")),
            "is the 200001st value of the file; remove aliases that repeat each other",
        ),
        (f"name: {'[' * 100_000}\n", "file.yaml:1: nested more than 64 deep; write it flatter"),
        (f"name: {'{a: ' * 50_000}\n", "file.yaml:1: nested more than 64 deep"),
        (f"name: {'[' * 700}{']' * 700}\n", "nested more than 64 deep"),
        ("- " * 100_000 + "a\n", "file.yaml:1: nested more than 64 deep"),
        ("? " * 100_000 + "a\n", "file.yaml:1: nested more than 64 deep"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(900)), "file.yaml:65: a.a.a"),
        (f"name: &a {'x' * 100_000}\nmany: [{', '.join(['*a'] * 21)}]\n", "brings the file's texts above 2000000 char"),
        (f"? {'k' * 2000}\n: 1\n", "file.yaml:1: has a key of 2000 characters, at most 200 are read; shorten it"),
        (f"name: {':'.join(['1'] * 200)}.0\n", "file.yaml:1: name: not a plain YAML value: int too large"),
        ("name: !!timestamp x\n", "file.yaml:1: name: not a plain YAML value: 'x' spells no timestamp"),
        ("name: !!bool x\n", "file.yaml:1: name: not a plain YAML value: 'x' spells no bool"),
        ("name: !!int ''\n", "file.yaml:1: name: not a plain YAML value: '' spells no int"),
        ("name: 2001-99-99\n", "file.yaml:1: name: not a plain YAML value: month must be in 1..12"),
        ("name: 2001-01-01\n", "file.yaml:1: name: must be text, not 2001-01-01, which is a date"),
        ("name: !!binary aGk=\n", "file.yaml:1: name: must be text, not b'hi', which is a bytes"),
        ("inner: !mine {size: 3}\n", "file.yaml:1: inner: has the tag !mine; write plain keys and values"),
        ("many: !!set {3}\n", "file.yaml:1: many: has the tag tag:yaml.org,2002:set"),
        ("name: a\nmany: [99999999999999999999]\n", "file.yaml:2: many[0]: is 99999999999999999999, beyond 9007199"),
        (f"name: {'9' * 5000}\n", "file.yaml:1: name: not a plain YAML value"),
        ('name: "\\e]0;title\\a"\n', "file.yaml:1: name: holds the control character U+001B"),
        ('name: "a\\0b"\n', "file.yaml:1: name: holds the control character U+0000"),
        ("name: a\u202eb\n", "file.yaml:1: name: holds the control character U+202E"),
        ('table: {"\\e[31m": 3}\n', "holds the control character U+001B; write the text without it"),
    ],
    ids=lambda value: value[:20],
)
def test_what_would_hang_crash_or_write_to_the_terminal_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SpecError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_text_of_every_script_and_of_several_lines_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, 'name: "ÄΩЖ中文\\tहिन्दी"\nrate: 1\n').name == "ÄΩЖ中文\tहिन्दी"
    assert read(tmp_path, "name: |\n  one\n  two\nrate: 1\n").name == "one\ntwo\n"


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffname: a\nrate: 1\n").name == "a"


def test_a_long_line_of_a_flat_file_is_read(tmp_path: Path) -> None:
    assert len(read(tmp_path, f"name: a\nrate: 1\nmany: [{', '.join(['3'] * 5000)}]\n").many) == 5000


def test_a_file_that_is_too_large_or_no_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(SpecError, match=r"large\.yaml: has 1000000000000 bytes, at most 2000000 are read"):
        read_yaml(tmp_path / "large.yaml")
    for name, target, what in (
        ("dangling", "nowhere", "is a link to a file that is not there"),
        ("loop", "loop.yaml", "cannot be read: Too many levels of symbolic links"),
        ("device", "/dev/zero", "is a device or a socket"),
    ):
        (tmp_path / f"{name}.yaml").symlink_to(target)
        with pytest.raises(SpecError, match=what):
            read_yaml(tmp_path / f"{name}.yaml")
