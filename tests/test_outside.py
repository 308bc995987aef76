"""What a stranger does, in folders of his own (tests/outside): a fifth paper with its network and table; a data set
with its module, and rows of their own by the protocol of printed ones. No file of the package knows of them."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path

import lab
import lightning as L
import pytest
import torch
from test_layering import ARROWS, OPEN
from torch.utils.data import DataLoader

from vtbench.cli import main
from vtbench.datasets import synthetic
from vtbench.methods import build_method
from vtbench.papers import resolve, roots
from vtbench.papers.code import outside
from vtbench.papers.roots import GROUP
from vtbench.results.store import Store

Include = Callable[..., roots.Root]
Capture = pytest.CaptureFixture[str]

REPOSITORY = Path(__file__).resolve().parent.parent
OUTSIDE = REPOSITORY / "tests" / "outside"
FRAMEFLIP, WAVES = OUTSIDE / "frameflip", OUTSIDE / "waves"


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, include: Include) -> Path:
    """Where results and synthetic videos go. `include` forgets the folders afterwards."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: Capture, *arguments: str) -> str:
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


@pytest.mark.parametrize(("folder", "paper"), [(FRAMEFLIP, "frameflip"), (WAVES, "waves")])
def test_the_files_are_in_order(capsys: Capture, folder: Path, paper: str) -> None:
    assert answer(capsys, "check", paper, "--include", str(folder)).endswith(": ok\n")


def test_a_fifth_paper_is_a_folder(capsys: Capture, working_folder: Path) -> None:
    (working_folder / "vtbench.yaml").write_text(f"include: ['{FRAMEFLIP}']\n")
    listed = json.loads(answer(capsys, "list", "frameflip", "--format", "json"))
    assert [(row["id"], row["status"], row["published"]["top1"]) for row in listed] == [
        ("frameflip/table1:one", "runnable", "51.2"),
        ("frameflip/table1:two", "runnable", "63.9"),
    ]
    shown = " ".join(answer(capsys, "show", "frameflip/table1:two").split())
    assert "model.width 64 -> 32 (a network that trains in minutes on two cores)" in shown
    costs = json.loads(answer(capsys, "cost", "frameflip", "--format", "json"))
    assert [entry["params_m"] for entry in costs] == pytest.approx([0.270864, 0.273936])
    assert "blocked" in answer(capsys, "plan", "frameflip", "--scale", "paper")
    assert "2 results written" in answer(capsys, "run", "frameflip", "--scale", "smoke", "--workers", "1")
    records = Store("results").read()
    assert [record.id for record in records] == ["frameflip/table1:one", "frameflip/table1:two"]
    assert all(re.fullmatch(r"frameflip@([0-9a-f]{12}(-dirty)?|sha256:[0-9a-f]{12})", r.root or "") for r in records)
    assert "0 results written" in answer(capsys, "run", "frameflip", "--scale", "smoke")
    report = answer(capsys, "report", "frameflip", "--scale", "smoke")
    assert "One frame or two." in report and "2 of 2 rows have results" in report


def test_a_data_set_and_a_metric_of_the_users_under_a_printed_protocol(capsys: Capture, working_folder: Path) -> None:
    videos = synthetic.generate(
        working_folder / "videos", "cycle", num_train=8, num_test=4
    )  # four classes, as waves has
    for split, listed in (("train", "train.csv"), ("test", "validation.csv")):
        rows = [line.split(",") for line in (videos / listed).read_text().splitlines()[1:]]
        names = ("up", "down", "left", "right")
        (videos / f"{split}.txt").write_text("".join(f"{names[int(label)]} {path}\n" for path, label in rows))
    arguments = ("--scale", "smoke", "--include", str(WAVES), "--data", f"waves={videos}", "--workers", "1")
    assert main(["run", "waves/table1", *arguments[:4]]) == 2
    assert "data folder of waves (--data waves=PATH)" in capsys.readouterr().err
    assert "3 results written" in answer(capsys, "run", "waves/table1", *arguments)
    for record in Store("results").read():
        assert record.measured("mean_class_accuracy") == record.top1  # each class has one video
        macro_f1 = record.measured("macro_f1")
        assert macro_f1 is not None and 0 <= macro_f1 <= (record.top1 or 0)
        assert (record.train_videos, record.videos_decoded) == (8, 4)
    report = answer(capsys, "report", "waves/table1", "--scale", "smoke", "--include", str(WAVES), "--format", "md")
    assert "| smoke mean_class_accuracy | smoke macro_f1 |" in report and "small networks on waves." in report
    entry = json.loads(answer(capsys, "report", "waves/table1:vit", "--include", str(WAVES), "--format", "json"))[0]
    assert entry["measured"].keys() == {"top1", "top5", "mean_class_accuracy", "macro_f1"}


@pytest.mark.usefixtures("in_this_process")
def test_a_row_of_the_users_stands_below_the_printed_table(capsys: Capture) -> None:
    include = ("--include", str(WAVES))
    assert "1 results written" in answer(capsys, "run", "waves/table2", "--scale", "smoke", *include)
    plain = answer(capsys, "report", "pst/table3", "--scale", "smoke", *include)
    below = answer(capsys, "report", "pst/table3", "--scale", "smoke", "--with-outside", *include)
    assert "waves" not in plain
    rows = [line.split()[0] for line in below.splitlines() if line.startswith(("pst-", "waves/")) and ": " not in line]
    assert rows[-2:] == ["pst-b-dagger", "waves/table2:ours"]
    (line,) = [line for line in below.splitlines() if line.startswith("waves/table2:ours ")]
    assert re.search(r" \d+\.\d\d +1 +[+-]\d+\.\d \[", line) or re.search(r"\d+\.\d\d +1$", line)
    md = answer(capsys, "report", "pst/table3", "--scale", "smoke", "--with-outside", *include, "--format", "md")
    assert "| waves/table2:ours | Ours (outside) |" in md
    entries = json.loads(answer(capsys, "report", "pst/table3", "--with-outside", *include, "--format", "json"))
    (entry,) = [e for e in entries if e["id"] == "waves/table2:ours" and e["scale"] == "smoke"]
    assert entry["like"] == "pst/table3:pst-t-in1k-1x1@sthv2" and "sthv2_top1" in entry["measured"]
    assert entry["verdict"] == "not-comparable"


def test_rows_of_the_users_stand_below_printed_tables_and_in_their_own(
    capsys: Capture, own_paper: Callable[..., Path], include: Include, tmp_path: Path
) -> None:
    """Whatever is selected, by way of other rows too; in an array of rows each is there once."""
    rows = """\
  - {id: near, label: Near, like: "msca/table2:vit", model: {name: vit}}
  - {id: far, label: Far, like: "lab/table1:near", model: {name: vit}}
  - {id: other, label: Other, like: "msca/table1:vit", model: {name: vit}}
"""
    own_paper(rows, defaults="caption: Mine\n")
    include(lab.write(tmp_path / "broken", rows.replace("model:", "modle:"), defaults="caption: Broken\n"))

    def shown(*selectors: str) -> dict[str, list[str]]:
        text = answer(capsys, "report", *selectors, "--scale", "mini", "--with-outside", "--format", "md")
        tables = re.findall(r"^#+ (\S+) at mini scale(.*?)(?=^#|\Z)", text, re.M | re.S)
        return {
            name: [row for row in ("near", "far", "other") if f"| {row} |" in part or f"| lab/table1:{row} |" in part]
            for name, part in tables
        }

    assert shown("msca/table2") == {"msca/table2": ["near", "far"]}
    both = {"lab/table1": ["near", "far", "other"], "msca/table1": ["other"], "msca/table2": ["near", "far"]}
    assert shown("lab", "msca/table1", "msca/table2") == both
    entries = json.loads(answer(capsys, "report", "lab", "msca/table2", "--with-outside", "--format", "json"))
    ids = [entry["id"] for entry in entries if entry["scale"] == "mini"]
    assert len(ids) == len(set(ids)) == 12


def test_no_file_of_the_package_knows_of_them() -> None:
    names = [path.name for path in (*OUTSIDE.iterdir(), *OUTSIDE.glob("*/*.py"))]
    words = re.compile("|".join({name.removesuffix(".py") for name in names if not name.startswith(("_", "."))}))
    folders = [REPOSITORY / name for name in ("vtbench", "benchmarks", "data_manifests", "results")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".csv")]
    assert [str(path) for path in files if words.search(path.read_text())] == []


# ---- modules that fail when they are run -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "x = undefined\n",
            "importing broken_net raised NameError: name 'undefined' is not defined ({0}/broken_net.py:3)",
        ),
        ("import sys; sys.exit(3)\n", "importing broken_net raised SystemExit: 3 ({0}/broken_net.py:3)"),
        ("import not_installed\n", "importing broken_net raised ModuleNotFoundError: No module named 'not_installed'"),
        ("del toy\n", "broken_net has no name 'toy'"),
        ("globals()['toy'] = None\n", "model broken_net:toy: is no builder; name a function or a class"),
        ("", "model broken_net:toy: gave NoneType, not a torch.nn.Module"),
    ],
)
def test_a_module_that_fails_is_one_line_with_the_row(
    capsys: Capture, own_paper: Callable[..., Path], source: str, message: str
) -> None:
    folder = own_paper("  - {id: one, label: One, model: {name: 'broken_net:toy'}, mini: {data: {dataset: cycle}}}\n")
    (folder / "broken_net.py").write_text(f"def toy(*, num_classes, num_frames, img_size):\n    return None\n{source}")
    for command in ("run", "cost"):
        assert main([command, "lab", "--scale", "mini", *([] if command == "cost" else ["--results", "r"])]) == 2
        error = capsys.readouterr().err
        assert message.format(folder) in error and error.count("\n") == 1, command
        assert "lab/benchmarks/lab/table1.yaml:13" in error
    assert not Path("r", "runs").exists()
    (entry,) = json.loads(answer(capsys, "plan", "lab", "--format", "json"))
    (reason,) = entry["blocked_by"]
    assert entry["state"] == "blocked" and message.format(folder) in reason and entry["macs"] is None


def test_a_builder_that_raises_is_one_line(capsys: Capture, own_paper: Callable[..., Path]) -> None:
    folder = own_paper("  - {id: one, label: One, model: {name: 'broken_net:toy'}}\n")
    (folder / "broken_net.py").write_text("def toy(*, num_classes, num_frames, img_size):\n    return [][1]\n")
    assert main(["cost", "lab"]) == 2
    assert "table1.yaml:13: model broken_net:toy: IndexError: list index out of range" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "source", "message"),
    [
        ('train: {method: "own:Fit"}', "class Fit:\n    ...\n", "must be a subclass of vtbench.methods.base.VideoCl"),
        (
            'eval: {metrics: ["own:m"]}',
            "def m(scores, labels, expected_labels): ...\n1 / 0\n",
            "raised ZeroDivisionErr",
        ),
    ],
)
def test_what_is_no_method_or_metric_is_found_before_anything_is_trained(
    capsys: Capture, own_paper: Callable[..., Path], key: str, source: str, message: str
) -> None:
    small = "mini: {data: {dataset: cycle, size: 24}, model: {patch_size: 8, embed_dim: 24, depth: 1}}"
    folder = own_paper(f"  - {{id: one, label: One, init: {{scratch: true}}, {key}, {small}}}\n")
    (folder / "own.py").write_text(source)
    assert main(["run", "lab", "--scale", "mini"]) == 2
    error = capsys.readouterr().err
    assert message in error and "blocked" in error
    assert not Path("results", "runs").exists()


def test_a_metric_that_fails_is_one_line_and_measures_once_it_is_corrected(
    capsys: Capture, own_paper: Callable[..., Path]
) -> None:
    small = "mini: {data: {dataset: cycle, size: 24, limit_train: 8, limit_test: 4}, augment: {short_side: [24, 25]}, "
    small += "eval: {short_side: 24}, train: {epochs: 1}, model: {patch_size: 8, embed_dim: 24, depth: 1}}"
    row = f"init: {{scratch: true}}, eval: {{metrics: ['own:m']}}, {small}"
    folder = own_paper(f"  - {{id: one, label: One, {row}}}\n")
    (folder / "own.py").write_text("def m(scores, labels, *, expected_labels):\n    return float('nan')\n")
    assert main(["run", "lab", "--scale", "mini"]) == 1
    assert "metric own:m: gave nan, a finite number is wanted" in capsys.readouterr().err
    (folder / "own.py").write_text("def m(scores, labels, *, expected_labels):\n    return len(expected_labels)\n")
    outside._code.cache_clear()  # what another command would not have
    resolve._resolved.clear()
    assert "1 results written" in answer(capsys, "run", "lab", "--scale", "mini")
    (record,) = Store("results").read()
    assert record.metrics == "m=4.0"


# ---- what the READMEs and docs/ show ---------------------------------------------------------------------------------

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")),
         *(REPOSITORY / name / "README.md" for name in ("benchmarks", "data_manifests", "results")))  # fmt: skip


def test_the_pages_show_these_files_and_no_others() -> None:
    shown = [
        (path, text)
        for page in PAGES
        for path, text in re.findall(r"^`(tests/outside/\S+)`:\n\n```\w*\n(.*?)^```$", page.read_text(), re.M | re.S)
    ]
    files = [path for path in OUTSIDE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in files}
    assert dict(shown) == expected
    assert all(expected[path] == text for path, text in shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_what_a_page_links_to_and_names_is_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for target, _, heading in (found.partition("#") for found in re.findall(r"\]\((?!https?:)([^)]*)\)", text)):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M) if heading else []
        assert not heading or heading in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    for path in re.findall(r"`((?:\w+/)+(?:[\w-]+\.(?:py|pyi|md|yaml|csv))?)`", text):
        assert (REPOSITORY / path).exists() or (REPOSITORY / "vtbench" / path).exists() or path in MADE, path
    for name in re.findall(r"`(vtbench\.[\w.]+)[`(]", text):
        if name not in ("vtbench.yaml", GROUP):
            pkgutil.resolve_name(name)


def test_the_design_page_has_the_arrows_that_are_tested() -> None:
    text = (REPOSITORY / "docs" / "design.md").read_text()
    (table,) = re.findall(r"^\| room \| imports \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.M)
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M)
    drawn = {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows}
    assert drawn == {room: others for room, others in ARROWS.items() if not room.startswith("__") and room not in OPEN}


MADE = ("data/", "runs/", "results/runs/")
"""Folders that commands make."""


@pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`")
def test_a_method_of_the_users_is_fitted_by_lightning(include: Include, tmp_path: Path) -> None:
    """`fast-head` of waves/table1, with the groups that it asks for."""
    include(WAVES)
    network = {"name": "vit", "num_classes": 4, "num_frames": 2, "img_size": 16, "patch_size": 8, "embed_dim": 24,
               "depth": 1, "num_heads": 2}  # fmt: skip
    recipe = {"optimizer": "sgd", "momentum": 0.9, "lr": 0.01, "weight_decay": 0.0, "epochs": 1, "schedule": "constant"}
    method = build_method("waves_method:FastHead", network, head_lr=10.0, **recipe)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    clips = [(torch.zeros(2, 3, 16, 16), label) for label in range(4)]
    trainer.fit(method, DataLoader(clips, batch_size=2))
    head, rest = trainer.optimizers[0].param_groups
    assert (head["lr"], rest["lr"]) == pytest.approx((0.1, 0.01))
    assert [tuple(parameter.shape) for parameter in head["params"]] == [(4, 24), (4,)]
    assert len(rest["params"]) == len(list(method.parameters())) - 2
