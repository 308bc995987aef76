"""Modules that specs name: found as `import` would, without running anything, and what they import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vtbench.errors import SpecError
from vtbench.papers.code import modules
from vtbench.papers.code.modules import digest_of, find_spec, module_file, sources

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """write({"net.py": source, ...}): a folder on the import path with these files."""
    modules._closure.cache_clear()

    def made(files: dict[str, str], name: str = "lab") -> Path:
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / name)])
        return tmp_path / name

    return made


def test_packages_with_and_without_init_are_followed_without_running_them(write: Write) -> None:
    folder = write({"pkg_a/__init__.py": "1 / 0\n", "pkg_a/inner/net.py": "1 / 0\n", "pkg_a/one.py": ""})
    for module, file in (("pkg_a", "pkg_a/__init__.py"), ("pkg_a.one", "pkg_a/one.py"),
                         ("pkg_a.inner.net", "pkg_a/inner/net.py")):  # fmt: skip
        assert module_file(module) == folder / file
    assert find_spec("pkg_a.none") is find_spec("no such name") is find_spec("pkg_a.one.deeper") is None
    assert not {"pkg_a", "pkg_a.inner"} & set(sys.modules)


def test_a_module_without_source_is_an_error() -> None:
    with pytest.raises(SpecError, match="module 'math' has no Python source to read a signature from"):
        module_file("math")


def test_sources_are_all_that_a_module_imports_from_the_folders(write: Write) -> None:
    folder = write(
        {
            "net.py": "import torch\nimport lab_parts.block\n",
            "lab_parts/__init__.py": "",
            "lab_parts/block.py": "from . import norm\nfrom .deep.attention import f\n",
            "lab_parts/norm.py": "def late():\n    import lab_late\n",
            "lab_parts/deep/attention.py": "from lab_parts.block import g\n",
            "lab_late.py": "",
            "lab_parts/unused.py": "",
            "unused.py": "",
        }
    )
    used = ["lab_late.py", "lab_parts/__init__.py", "lab_parts/block.py", "lab_parts/deep/attention.py"]
    assert [path.relative_to(folder).as_posix() for path in sources("net", [folder])] == [
        *used,
        "lab_parts/norm.py",
        "net.py",
    ]
    assert sources("torch", [folder]) == sources("lab_nowhere", [folder]) == []


def test_the_digest_is_of_content_and_place_below_the_folder(tmp_path: Path) -> None:
    digests = {}
    for name, file, text in (("a", "net.py", "x"), ("b", "net.py", "x"), ("c", "net.py", "y"), ("d", "other.py", "x")):
        path = tmp_path / name / file
        path.parent.mkdir()
        path.write_text(text)
        digests[name] = digest_of([path], [tmp_path / name])
    assert digests["a"] == digests["b"]
    assert len({digests["a"], digests["c"], digests["d"]}) == 3
    assert digest_of([], [tmp_path]) is None


def test_importing_a_module_runs_the_packages_above_it(write: Write) -> None:
    folder = write({"above/__init__.py": "import beside\n", "above/net.py": "", "beside.py": ""})
    found = [path.relative_to(folder).as_posix() for path in sources("above.net", [folder])]
    assert found == ["above/__init__.py", "above/net.py", "beside.py"]
