"""The arrows of the design: who may import whom, and what never imports torch."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vtbench
from vtbench.methods import METHODS
from vtbench.models import MODELS
from vtbench.papers.roots import own_root

PACKAGE = Path(vtbench.__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}

# Each room of vtbench and the rooms it may import, besides itself. OPEN to all are those that import no other room.
OPEN = {"errors", "fields", "files", "metrics", "processes", "scales"}
ARROWS = {
    "__main__": {"cli"},
    "cli": {"run", "report", "results", "papers", "datasets"},
    "run": {"methods", "datasets", "video", "models", "layers", "weights", "evaluation", "cost", "clips", "naming",
            "report", "results", "papers"},
    "report": {"results", "papers"},
    "results": set(),
    "papers": set(),
    "methods": {"models", "evaluation", "clips", "naming"},
    "datasets": {"video", "audio", "clips", "naming"},
    "models": {"layers", "weights", "naming"},
    "audio": {"video"},
    "video": set(),
    "cost": {"clips"},
    "layers": set(),
    "evaluation": {"naming"},
    "weights": set(),
    "clips": set(),
    "naming": set(),
    "errors": set(),
    "fields": set(),
    "files": set(),
    "metrics": set(),
    "processes": set(),
    "scales": set(),
    "__init__": set(),
}  # fmt: skip
# Inside the rooms of many files, each file and the files of its room that it may import.
INSIDE: dict[str, dict[str, set[str]]] = {
    "cli": {
        "__init__": {"commands"},
        "commands": {"messages", "options", "pager"},
        "show": {"options", "list"},
        **{verb: {"options"} for verb in ("list", "decisions", "check", "cost")},
        "plan": {"jobs", "options"},
        "jobs": {"messages", "options"},
        **{verb: {"options", "messages"} for verb in ("speed", "report", "data", "reading", "results", "wandb")},
        "diff": {"options", "show"},
        "claims": {"options"},
        "run": {"jobs", "options", "messages"},
        "eval": {"jobs", "options"},
    },
    "cli/data": {"check": {"lists"}},
    "cli/jobs": {"cancel": {"status"}},
    "run": {
        "predict": {"assemble", "session", "settings"},
        "jobs": {"assemble", "devices", "engine", "evaluate", "fitting", "measuring", "metering", "network",
                 "recording", "reporting", "resuming", "session", "settings", "tracking", "train"},
        "protocol": {"assemble", "evaluate", "recording", "session", "settings"},
        "session": {"settings"},
        "train": {"assemble", "callbacks", "devices", "fitting", "metering", "reporting", "resuming", "session",
                  "settings", "tracking"},
        "resuming": {"reporting"},
        "callbacks": {"devices", "reporting", "resuming"},
        "tracking": {"settings"},
        "evaluate": {"assemble", "callbacks", "devices", "reporting", "session", "settings", "weights"},
        "fitting": {"assemble", "devices", "engine", "settings"},
        "assemble": {"devices", "engine", "network", "settings", "weights"},
        "devices": {"engine"},
        "settings": {"engine"},
        "recording": {"engine", "settings"},
        "weights": {"settings"},
        "measuring": {"network"},
    },
    "run/resuming": {"epochs": {"begun", "position", "stopping"}},
    "run/jobs": {
        "launch": {"plan", "workers", "display", "inputs", "progress", "signals", "slurm"},
        "plan": {"inputs"},
        "workers": {"child", "plan", "progress", "ranks", "signals"},
        "ranks": {"child", "signals"},
        "child": {"signals"},
        "progress": {"plan"},
        "slurm": {"dry", "plan", "progress", "signals", "together", "workers"},
        "status": {"progress", "slurm"},
        "evaluate_checkpoint": {"plan", "display", "ranks"},
        "together": {"child", "plan", "progress", "ranks", "workers"},
        "dry": {"inputs", "plan"},
        "display": {"plan"},
    },
    "run/jobs/slurm": {
        "engine": {"node", "queue", "sbatch"},
        "node": {"queue"},
        "queue": {"sbatch"},
    },
    "datasets": {
        "__init__": {"module"},
        "module": {"clips", "frames", "manifests", "sharing"},
        "clips": {"frames", "manifests", "sharing"},
        "manifests": {"classes", "folders", "official", "quarantine", "subsets"},
        "folders": {"classes"},
        "check": {"frames", "manifests", "prepare", "quarantine"},
        "compressed": {"frames", "cache"},
        "frames": {"cache"},
        "synthetic": {"module", "manifests"},
        "prepare": {"folders", "manifests", "prepared"},
    },
    "datasets/check": {"scan": {"coding"}},
    "datasets/prepare": {
        "__init__": {"folder", "h264", "mpeg4"},
        "folder": {"encode", "files", "h264", "lists"},
        "encode": {"audio", "files"},
        "lists": {"files"},
        "h264": {"pictures"},
        "mpeg4": {"pictures"},
    },
    "report": {
        "report": {"formats", "printing", "columns", "ratios", "compare", "counted", "differences", "claims",
                   "statistics"},
        "formats": {"columns", "origin", "ratios", "compare", "sheets", "speed_sheets", "statistics"},
        "claims": {"columns", "compare", "counted", "differences", "printing", "ratios", "spread", "statistics"},
        "page": {"claims", "columns", "compare", "counted", "differences", "predictions", "ratios", "report", "sheets",
                 "speed_sheets", "statistics"},
        "printing": {"columns"},
        "sheets": {"claims", "columns", "origin", "compare", "statistics"},
        "speed_sheets": {"columns", "machines", "ratios", "sheets"},
        "differences": {"compare", "spread", "statistics"},
        "origin": {"compare"},
        "compare": {"counted", "statistics"},
        "predictions": {"compare", "differences", "printing", "statistics"},
        "wandb": {"report", "compare", "predictions"},
    },
    "report/formats": {},
    "report/page": {
        "__main__": {"page"},
        "page": {"claims", "confusion", "facts", "figures", "lacking", "overview", "svg", "tables"},
        "lacking": {"facts", "overview"},
        "overview": {"facts", "tables"},
        "figures": {"facts", "svg"},
        **{file: {"facts"} for file in ("tables", "claims", "confusion", "svg")},
    },
    "report/machines": {
        "hours": {"devices"},
    },
    "report/predictions": {
        "classes": {"tested"},
        "pair": {"tested"},
        "printed": {"classes", "tested"},
        "videos": {"tested"},
    },
    "report/wandb": {
        "content": {"target"},
        "session": {"target"},
        "runs": {"content", "session", "target"},
        "sync": {"content", "runs", "target"},
        "dashboard": {"content", "session", "target"},
    },
    "results/lines": {"reading": {"line"}},
    "results": {
        "record": {"lines"},
        "store": {"record", "folders", "lines"},
        "costs": {"lines", "store"},
        "table": {"record", "store"},
        "finished": {"folders"},
        "scores": {"record", "folders"},
        "curves": {"record", "finished", "folders"},
        "export": {"record", "folders", "scores", "curves"},
        "verify": {"costs", "finished", "folders", "lines", "record", "scores", "store"},
        "merge": {"curves", "finished", "folders", "record", "scores", "store"},
    },
    "report/claims": {
        "judge": {"accuracy", "amounts", "finding", "printed", "statistics"},
        "accuracy": {"finding", "printed", "statistics"},
        "amounts": {"finding", "printed", "statistics"},
        "printed": {"finding"},
        "text": {"finding"},
    },
    "evaluation": {},
}  # fmt: skip
TOO_LONG: set[str] = set()
TENSORS = {"torch", "torchvision", "timm", "lightning", "torchmetrics", "av"}
PAPER_SIDE = {"papers", "scales", "fields", "files", "metrics", "processes", "results", "report", "errors", "cli"}


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
        if top == "vtbench" and rest.partition(".")[0] not in ARROWS[part] | {part, "", *OPEN}:
            wrong.append(f"{file} imports {module}")
    assert not wrong


def test_every_arrow_is_used_and_there_are_few() -> None:
    used = {(part, module.split(".")[1]) for _, part, module in imports() if module.startswith("vtbench.")}
    drawn = {(part, other) for part, others in ARROWS.items() for other in others}
    assert drawn - used == set()
    assert len(drawn) <= 39


@pytest.mark.parametrize("room", INSIDE)
def test_files_of_a_room_import_each_other_as_drawn(room: str) -> None:
    found: dict[str, set[str]] = {}
    place = f"vtbench.{room.replace('/', '.')}"
    for importer, imported in modules():
        if f"{importer}.".startswith(f"{place}.") and imported.startswith(f"{place}."):
            file = importer.removeprefix(place).removeprefix(".").partition(".")[0] or "__init__"
            other = imported.removeprefix(f"{place}.").partition(".")[0]
            found[file] = found.get(file, set()) | ({other} - {file})
    assert {file: others for file, others in found.items() if others} == INSIDE[room]


def test_rooms_and_files_keep_their_size() -> None:
    """A file of more than 450 lines gives the reason in its head; a room of more than 2,500 has rooms of its own."""
    sizes = {path.relative_to(PACKAGE): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(file) for file, lines in sizes.items() if lines > 450} == TOO_LONG
    rooms: dict[Path, int] = {}
    for file, lines in sizes.items():
        rooms[file.parent] = rooms.get(file.parent, 0) + lines
    assert {str(room) for room, lines in rooms.items() if lines > 2500} == set()
    loose = {file.stem for file in sizes if file.parent == Path()} - {"__init__", "__main__"}
    assert len(loose) <= 8


def test_no_file_imports_itself_in_a_circle() -> None:
    """Not inside a part either, and not by a late import; annotations alone may look back."""
    graph: dict[str, set[str]] = {}
    for file, module in modules():
        graph.setdefault(file, set()).add(module)
    circles = []
    done: set[str] = set()

    def follow(name: str, below: tuple[str, ...]) -> None:
        if name in below:
            circles.append(" -> ".join([*below[below.index(name) :], name]))
            return
        if name not in done:
            for other in sorted(graph.get(name, ())):
                follow(other, (*below, name))
            done.add(name)

    for name in sorted(graph):
        follow(name, ())
    assert circles == []


def modules() -> Iterator[tuple[str, str]]:
    """Every module of vtbench with every other one that it imports, also late, but not for annotations alone."""
    names = {_name(path): path for path in PACKAGE.rglob("*.py")}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        typing = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ]
        for_types = {id(inner) for node in typing for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in for_types:
                for alias in node.names:
                    imported = f"{node.module}.{alias.name}"
                    found = imported if imported in names else node.module or ""
                    if found in names and found not in (name, "vtbench"):
                        yield name, found


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


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
        ["claims"],
        ["decisions", "laps"],
        ["diff", "laps/table1:laps", "laps/table3:laps"],
        ["report", "msca/table2", "--html", "page.html"],
        ["report", "msca/table2", "--per-class"],
        ["report", "msca/table2", "--format", "latex"],
        ["compare", "msca/table2:msca-kv", "msca/table2:vit", "--results", str(own_root().folder / "results")],
        ["predictions", "--help"],
        ["predict", "--help"],
        ["results", "export", "--help"],
        ["status"],
        ["cancel", "--help"],
        ["results", "verify", "--results", str(own_root().folder / "results")],
        ["results", "merge", str(own_root().folder / "results"), "--results", "merged"],
        *(["plan", "--scale", scale] for scale in ("smoke", "mini", "paper")),
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


# Importing is what `vtbench list` could take longest over. tests/speed/list_time.py times it.
SLOW_TO_IMPORT = {"pydantic", "pandas", "numpy", "scipy", "rich", "wandb", "multiprocessing"}


def test_list_imports_nothing_that_is_slow_to_import(tmp_path: Path) -> None:
    script = (
        "import sys; from vtbench.cli import main; code = main(['list']); "
        f"print(sorted({SLOW_TO_IMPORT!r} & set(sys.modules)), len(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    slow, _, count = done.stderr.strip().rpartition(" ")
    assert slow == "[]"
    assert int(count) < 210


# ---- names of the papers ---------------------------------------------------------------------------------------------

# What stays to be moved out of shared files, by file: the encoder of sound of one paper.
STILL_THERE: dict[str, set[str]] = {}
ROOMS = ("models", "layers", "audio", "video", "datasets", "methods", "weights", "evaluation", "cost", "visualize")


def test_shared_files_name_no_network_data_set_method_or_paper() -> None:
    """Neither as an identifier nor in a text that is no docstring; a selector that serves as an example may, and the
    EXAMPLES of a verb."""
    names = {*MODELS, *METHODS, "vggish", "VGGish"}
    names |= {path.parent.name for path in own_root().data_manifests.glob("*/dataset.yaml")}
    names |= {path.parent.name for path in own_root().benchmarks.glob("*/paper.yaml")}
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        if file.partition("/")[0] in ROOMS:
            continue
        words = set(re.findall(r"\w+", " ".join(_words(ast.parse(path.read_text())))))
        if used := words & names:
            found[file] = used
    assert found == STILL_THERE


def _words(tree: ast.Module) -> Iterator[str]:
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    passed_over = {id(node.value) for node in documented if isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
            passed_over |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
            yield re.sub(r'"\w+(/table\S*)?"', "", node.value)
        for name in ("id", "attr", "arg", "name", "asname", "module"):
            if isinstance(value := getattr(node, name, None), str):
                yield value


def test_importing_the_maps_of_names_imports_no_torch() -> None:
    script = "import sys, vtbench.models, vtbench.datasets, vtbench.methods; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=True)
