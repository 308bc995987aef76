"""The arrows of the design: who may import whom, and what never imports torch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vtbench

PACKAGE = Path(vtbench.__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}

# Each part of vtbench and the parts it may import. `errors` is open to all; a part may import itself.
ARROWS = {
    "cli": {"report", "claims", "show", "networks", "speed", "launch", "plan", "progress", "settings", "printing",
            "datasets", "results", "spec"},
    "progress": {"launch", "plan", "results"},
    "launch": {"plan", "runner", "networks", "dashboard", "provenance", "settings", "results", "spec"},
    "plan": {"runner", "networks", "settings", "results", "spec"},
    "journals": {"methods", "evaluation", "results"},
    "runner": {"networks", "journals", "methods", "datasets", "weights", "evaluation", "dashboard", "provenance",
               "settings", "results", "spec"},
    "networks": {"clips", "models", "layers", "cost", "spec"},
    "speed": {"networks", "cost", "provenance", "results", "spec"},
    "dashboard": {"settings", "results", "spec"},
    "report": {"claims", "results", "spec", "printing"},
    "claims": {"results", "spec"},
    "settings": {"spec"},
    "show": {"printing", "spec"},
    "spec": set(),
    "results": set(),
    "printing": set(),
    "provenance": set(),
    "methods": {"clips", "models", "evaluation"},
    "datasets": {"clips", "video", "audio", "media", "evaluation"},
    "models": {"layers"},
    "video": {"clips", "media"},
    "clips": set(),
    "media": set(),
    "audio": {"media"},
    "evaluation": set(),
    "cost": {"clips"},
    "weights": set(),
    "visualize": set(),
    "layers": set(),
    "errors": set(),
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip
TENSORS = {"torch", "torchvision", "timm", "lightning", "torchmetrics", "av"}
PAPER_SIDE = {"spec", "results", "report", "claims", "settings", "show", "printing", "errors", "cli"}


def imports() -> Iterator[tuple[str, str, str]]:
    """Every import in vtbench, also the late ones: (file, part it is in, module that it names)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                modules = [node.module or ""]
                if node.module == "vtbench":
                    modules = [f"vtbench.{alias.name}" for alias in node.names if alias.name != "__version__"]
            for module in modules:
                yield str(path.relative_to(PACKAGE)), part, module


def test_every_import_is_an_arrow_of_the_design() -> None:
    wrong = []
    for file, part, module in imports():
        top, _, rest = module.partition(".")
        if top == "vtbench" and rest.partition(".")[0] not in ARROWS[part] | {part, "errors", ""}:
            wrong.append(f"{file} imports {module}")
    assert not wrong


def test_the_paper_side_never_imports_tensors() -> None:
    wrong = [f"{file}: {m}" for file, part, m in imports() if part in PAPER_SIDE and m.partition(".")[0] in TENSORS]
    assert not wrong


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list", "--help"],
        ["run", "--help"],
        ["speed", "--help"],
        ["list"],
        ["show", "msca/table2:msca-kv"],
        ["check"],
        ["report", "msca/table2"],
    ],
)
def test_these_commands_never_import_torch(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from vtbench.cli import main; code = main(sys.argv[1:]); "
        f"print('IMPORTED', sorted({TENSORS!r} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "IMPORTED []"


def test_importing_the_maps_of_names_imports_no_torch() -> None:
    script = "import sys, vtbench.models, vtbench.datasets, vtbench.methods; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=True)
