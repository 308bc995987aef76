"""The scale of one GPU: its rows from small folders of made videos to a tested network, what its recipes are, and what
`plan` and `check` say of it."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import encoded
import pytest
import torch

from vtbench.cli import main
from vtbench.datasets.prepare import Mpeg4, prepare
from vtbench.datasets.subsets import hash_of
from vtbench.models import build
from vtbench.models.vggish import VGGish
from vtbench.papers import load_all, measurements, select
from vtbench.papers.check import check
from vtbench.papers.override import changed_rows
from vtbench.papers.resolve import changes_at
from vtbench.papers.roots import own_root
from vtbench.papers.trainings import Training
from vtbench.report.machines.hours import GPU, Rates, multiply_adds, over_limits
from vtbench.results.costs import CostBook
from vtbench.run.assemble import assemble, seed_everything
from vtbench.run.jobs.dry import DryRun, dry_run
from vtbench.run.jobs.plan import plan
from vtbench.run.settings import Settings
from vtbench.scales import SCALES
from vtbench.weights import save_network

OWN = own_root().folder / "results"
VIT = "vit_base_patch16_224.orig_in21k"
ROWS = {
    "msca/table2:msca-kv": ["model.embed_dim=24", "model.depth=1", "model.num_msca_blocks=1"],
    "laps/table1:laps": ["model.init_channels=8", "model.embed_dim=48", "model.depths=[1, 2, 2]"],
    "pst/table2b:c-9": ["model.embed_dim=8", "model.depths=[2, 2, 2, 2]", "model.num_heads=[1, 2, 4, 8]"],
    "mmvit/table1:mm-vit-iii-merged": ["model.embed_dim=24", "model.depth=1", "model.num_heads=2"],
}
"""Row -> what makes its network small; all else is the recipe of the scale."""
NAMES = ("abcdefghijk_000010_000020", "-_cdefghijk_000001_000011", "zyxwvutsrqp_000030_000040")
"""Files of Kinetics, called after the YouTube id, which may hold a "_", and the seconds."""


@pytest.fixture(scope="module")
def sets(two_second_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as of Kinetics-400 with the lists of Mini-Kinetics-200, Something-Something V1 and UCF101 (MPEG-4 part
    2), a few copies of a two-second clip each."""
    folder = tmp_path_factory.mktemp("sets")
    kinetics, sthv1, ucf = (folder / name for name in ("kinetics400", "sthv1", "ucf101"))
    for part, listing in (("train", "train_ytid_list.txt"), ("validation", "val_ytid_list.txt")):
        for name in NAMES:
            (kinetics / part / "abseiling").mkdir(parents=True, exist_ok=True)
            shutil.copy(two_second_clip, kinetics / part / "abseiling" / f"{name}.mp4")
        (kinetics / listing).write_text("".join(f"{name[:11]}\n" for name in NAMES[:2]))
    label = "Pushing something from left to right"
    for part, numbers in (("train", range(1, 9)), ("validation", range(9, 13))):
        sthv1.mkdir(exist_ok=True)
        for number in numbers:
            shutil.copy(two_second_clip, sthv1 / f"{number}.mp4")
        (sthv1 / f"{part}.csv").write_text("path,label\n" + "".join(f"{number}.mp4,{label}\n" for number in numbers))
    for part, groups in (("train", range(1, 5)), ("test", range(5, 7))):
        lines = ["path,label"]
        for group in groups:
            video = f"YoYo/v_YoYo_g{group:02d}_c01.avi"
            encoded.encode(ucf / video, encoded.numbered(30), codec="mpeg4", options={"g": "12"}, sound=group % 2 == 0)
            lines.append(f"{video},YoYo")
        (ucf / f"split1_{part}.csv").write_text("\n".join(lines) + "\n")
    said: list[str] = []
    done = prepare(ucf, folder / "ucf101-mpeg4", encoding=Mpeg4(quantiser=5), report=said.append)
    assert not done.failed, said
    return {"kinetics400": kinetics, "sthv1": sthv1, "ucf101": folder / "ucf101-mpeg4"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], dict[str, Path]]:
    """Random starting weights of the layouts that the rows name, for the networks of full size or for the small ones
    of ROWS."""

    def made(small: bool) -> dict[str, Path]:
        folder = tmp_path_factory.mktemp("weights")
        vit = {"embed_dim": 24, "depth": 1, "num_heads": 2 if small else 12} if small else {}
        visformer = {"init_channels": 8, "embed_dim": 48, "depths": (1, 2, 2)} if small else {}
        swin = {"embed_dim": 8, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)} if small else {}
        networks = {
            VIT: build("vit", num_classes=7, num_frames=1, img_size=224, **vit),
            "visformer_small.in10k": build("visformer", num_classes=7, num_frames=1, img_size=224, **visformer),
            "swin_tiny_patch4_window7_224.ms_in1k": build(
                "swin", num_classes=7, num_frames=1, img_size=224, tubelet_size=1, **swin
            ),
        }
        files = {name: folder / f"{name}.safetensors" for name in networks}
        for name, network in networks.items():
            save_network(network, files[name])
        torch.save(VGGish().state_dict(), folder / "vggish.pth")
        return {**files, "vggish": folder / "vggish.pth"}

    return made


def tried(
    row: str, changes: Sequence[str], sets: dict[str, Path], weights: dict[str, Path], limit: int
) -> list[DryRun]:
    settings = Settings(data=sets, weights=weights, allow_other_weights=True, num_workers=1)
    return dry_run(changed_rows(select([row]), (), changes), settings, "lab", 0, limit)


# ---- the path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_each_paper_runs_on_folders_as_the_real_ones(
    row: str, sets: dict[str, Path], weights: Callable[[bool], dict[str, Path]]
) -> None:
    """The recipe of the scale, with a small network: its subset, its starting weights, an epoch and the test."""
    train, test = tried(row, ROWS[row], sets, weights(True), 2)
    assert (train.phase, test.phase) == ("train", "test")
    assert train.steps == 1 and 0 < test.videos <= 2
    assert train.loss is not None and 0 < train.loss < 10
    assert test.clips == test.videos * {"msca": 30, "laps": 15, "pst": 1, "mmvit": 3}[row.partition("/")[0]]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_networks_of_full_size_run(
    row: str, sets: dict[str, Path], weights: Callable[[bool], dict[str, Path]]
) -> None:
    train, test = tried(row, [], sets, weights(False), 2)
    assert train.steps == 1 and test.videos > 0
    assert train.loss is not None and 0 < train.loss < 20


def training_of(row: str) -> Training:
    return measurements(select([row])[0], "lab")[0].evaluation.training


def test_it_reads_as_at_paper_scale(
    sets: dict[str, Path], weights: Callable[[bool], dict[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read by processes and stay where they are, torch keeps its threads, and a GPU is used if there is
    one."""
    settings = Settings(data=sets, num_workers=3)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    (row,) = changed_rows(select(["msca/table2:vit"]), (), ["model.embed_dim=24", "model.depth=1"])
    parts = assemble(measurements(row, "lab")[0].evaluation.training, settings)
    assert parts.trainer["accelerator"] == "auto" and parts.trainer["precision"] == "bf16-mixed"
    assert parts.data.loading.num_workers == 3
    assert parts.data.frames.cache is None  # type: ignore[attr-defined]
    assert asked == []
    seed_everything(dataclasses.replace(training_of("msca/table2:vit"), scale="mini"))
    assert asked == [1]


def test_mini_kinetics_is_what_its_published_lists_name(sets: dict[str, Path]) -> None:
    (row,) = changed_rows(select(["msca/table2:vit"]), (), ["model.embed_dim=24", "model.depth=1"])
    parts = assemble(measurements(row, "lab")[0].evaluation.training, Settings(data=sets))
    parts.data.setup()
    assert sorted(entry.file.stem for entry in parts.data.train_entries) == sorted(NAMES[:2])


def test_half_of_something_something_is_chosen_by_the_hash_of_the_names(sets: dict[str, Path]) -> None:
    (row,) = changed_rows(select(["pst/table2b:c-9"]), (), ROWS["pst/table2b:c-9"])
    parts = assemble(measurements(row, "lab")[0].evaluation.training, Settings(data=sets))
    parts.data.setup()
    expected = [str(number) for number in range(1, 9) if hash_of(f"{number}.mp4") < 0.5]
    assert 0 < len(expected) < 8
    assert [entry.file.stem for entry in parts.data.train_entries] == expected


# ---- the recipes -----------------------------------------------------------------------------------------------------


def lab_rows() -> list[tuple[str, Training]]:
    rows = [row for paper in load_all() for row in paper.rows]
    return [(row.id, m.evaluation.training) for row in rows for m in measurements(row, "lab")]


def test_the_ablation_tables_exist_at_it_and_the_others_do_not() -> None:
    tables = {row.partition(":")[0] for row, _ in lab_rows()}
    assert tables == {
        *(f"msca/table{n}" for n in range(1, 6)),
        *(f"laps/table{n}" for n in (1, 2)),
        *(f"pst/table2{letter}" for letter in "abcde"),
        *(f"mmvit/table{n}" for n in (1, 2, 3)),
    }
    for table in tables:  # each has the row that the others are compared with
        (found,) = [t for p in load_all() for t in p.tables if f"{p.name}/{t.name}" == table]
        assert {f"{table}:{row.name}" for row in found.rows} == {row for row, _ in lab_rows() if row.startswith(table)}


def test_networks_inputs_and_tests_are_the_printed_ones() -> None:
    for paper in load_all():
        for row in paper.rows:
            for m in measurements(row, "lab"):
                keys = {change.key for change in changes_at(row, m.name, "lab")}
                assert keys <= {"data.subset", "train.lr", "train.epochs", "train.accumulate", "train.precision"}
                assert m.evaluation.training.init.weights is not None


@pytest.mark.parametrize("row", ["msca/table2:msca-kv", "laps/table1:laps"])
def test_rates_follow_the_clips_of_an_update(row: str) -> None:
    lab, printed = (measurements(select([row])[0], scale)[0].evaluation.training.train for scale in ("lab", "paper"))
    assert lab.lr / lab.effective_batch == pytest.approx(printed.lr / printed.effective_batch, rel=1e-6)


# ---- plan ------------------------------------------------------------------------------------------------------------


def test_plan_gives_hours_of_rows_and_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ("plan", "msca/table2", "--results", str(tmp_path), "--scale")
    assert main((*command, "lab", "--format", "json")) == 0
    hours = [entry["hours"] for entry in json.loads(capsys.readouterr().out)]
    assert len(hours) == 9 and all(1 < one < 12 for one in hours)
    assert main((*command, "lab")) == 0
    assert f"msca/table2: about {sum(hours):.0f} hours on one {GPU}" in capsys.readouterr().out
    assert main((*command, "mini", "--format", "json")) == 0
    assert {entry["hours"] for entry in json.loads(capsys.readouterr().out)} == {None}


def test_plan_gives_hours_on_the_device_that_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ("plan", "pst/table2a", "--results", str(tmp_path))
    found = {}
    for device in ("v100", "v100@0.15", "h200"):
        assert main((*command, "--device", device, "--format", "json")) == 0
        entries = json.loads(capsys.readouterr().out)
        assert {entry["scale"] for entry in entries} == {"paper"}
        found[device] = entries[0]
    v100 = found["v100"]
    assert v100["hours"] == pytest.approx(v100["macs"] * 2 / (125e12 * 0.3) / 3600, rel=0.01)
    assert v100["hours_from"] == {
        "device": "NVIDIA V100 (SXM2)",
        "rate": "30% of 125 Tflop/s, the peak of NVIDIA V100 (SXM2) at 16 bit",
    }
    assert found["v100@0.15"]["hours"] == pytest.approx(2 * v100["hours"], rel=0.01)
    assert found["h200"]["hours_from"]["rate"] == f"the speed measured on {GPU} (speed.csv)"
    assert main((*command, "--device", "v100")) == 0
    out = capsys.readouterr().out
    assert f"pst/table2a: about {5 * v100['hours']:.0f} hours on one NVIDIA V100 (SXM2)\n" in out
    assert "hours: multiply-adds (3 passes per training clip, one per view of a test) over 30% of 125 Tflop/s" in out
    assert "blocked, 5 of them: data folder of sthv1 (--data sthv1=PATH)\n" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "h100", "--scale", "mini"), "--device gives hours at paper or lab scale; at mini scale the"),
        (("--device", "v10"), "no device 'v10'; did you mean 'v100'?"),
    ],
)
def test_a_device_that_gives_no_hours_is_refused(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    assert main(("plan", "msca/table1", *options)) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_plan_says_why_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("plan", "laps/table3", "--scale", "lab")) == 0
    assert capsys.readouterr().out.startswith("nothing to run at lab scale: laps/table3:")
    assert main(("plan", "laps/table3", "--scale", "lab", "--format", "json")) == 0
    assert capsys.readouterr().out == "[]\n"


def test_the_hours_in_the_docs_are_those_of_plan() -> None:
    text = (own_root().folder / "docs" / "lab.md").read_text()
    lines = re.findall(r"^\| `(\w+/\w+)` \| (\d+) \| (\d+), at most ([\d.]+) a run \|$", text, flags=re.M)
    assert {line[0] for line in lines} == {row.partition(":")[0] for row, _ in lab_rows()}
    for table, runs, total, most in lines:
        hours = [entry["hours"] for entry in plan(select([table]), Settings(), "lab", [0])]
        assert (int(runs), int(total), float(most)) == (
            len(hours),
            round(sum(hours)),
            pytest.approx(max(hours), abs=0.06),
        )


def test_hours_are_multiply_adds_over_the_median_of_what_was_measured() -> None:
    book = CostBook.read(OWN)
    with (OWN / "speed.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["device"] == GPU]
    rates = sorted(
        float(line["value"]) * book.find(line["network"]).macs["matmul"]  # type: ignore[union-attr]
        for line in lines
        if (line["metric"], line["precision"]) == ("throughput_vps", "bf16-mixed")
        and book.builder(line["network"]) == "mmvit"
    )
    middle = len(rates) // 2
    expected = rates[middle] if len(rates) % 2 else (rates[middle - 1] + rates[middle]) / 2
    assert Rates(book).find("mmvit", "bf16-mixed").per_second == pytest.approx(expected)
    assert Rates(book).find("mmvit", "16-mixed").per_second == pytest.approx(expected)
    (m,) = measurements(select(["mmvit/table1:mm-vit-iii-merged"])[0], "lab")
    training = m.evaluation.training
    one = book.find(training.network.key).macs["matmul"]  # type: ignore[union-attr]
    work = multiply_adds(training, [m.evaluation], one)
    assert work == one * (3 * 15 * 9537 + 3 * 3783)
    assert Rates(book).hours(training, work) == pytest.approx(work / expected / 3600)
    assert Rates(book).hours(training, None) is None


# ---- check -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            {"train: {epochs: 12, lr: 0.03": "train: {lr: 0.03", "    train.epochs: as printed\n": ""},
            "train.epochs are not given at lab scale",
        ),
        (
            {"  data: {subset: mini200}\n": "", "    data.subset: Mini": "    train: Mini"},
            "data.dataset is kinetics400 with 246000 training videos at lab scale",
        ),
        ({"{subset: mini200}\n": "{subset: mini200}\n  init: {scratch: true}\n"}, "init names no weights at lab scale"),
        ({"subset: mini200": "subset: mini"}, "kinetics400 has no subset 'mini'; did you mean 'mini200'?"),
    ],
)
def test_a_row_without_epochs_a_small_set_or_weights_is_refused(
    edit: Callable[..., int], edits: dict[str, str], message: str
) -> None:
    for old, new in edits.items():
        edit("msca/paper.yaml", old, new)
    problems = [problem for problem in check("msca")[1] if message in problem]
    assert len(problems) == 1 and problems[0].startswith("benchmarks/msca/"), check("msca")[1]


def test_too_many_hours_are_refused(edit: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    edit("msca/paper.yaml", "  train: {epochs: 12, lr: 0.03", "  train: {epochs: 300, lr: 0.03")
    assert main(("check", "msca")) == 2
    said = capsys.readouterr().out
    takes = r"takes about \d+ hours on one NVIDIA H200 at lab scale, more than"
    assert re.search(rf"table2\.yaml:25: row 'vit': {takes} 12; give it fewer epochs or a smaller data\.subset", said)
    assert re.search(rf"table2\.yaml:1: {takes} 100; give it fewer epochs", said)
    assert over_limits(load_all()[0], CostBook([])) == []  # nothing counted, nothing refused


def test_limits_of_the_scale() -> None:
    limits = SCALES["lab"].limits
    assert limits is not None
    assert (limits.row_hours, limits.table_hours, limits.train_videos) == (12, 100, 20_000)
