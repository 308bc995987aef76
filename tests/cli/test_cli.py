"""The command line: what it prints, its exit codes, and one line for every mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoded
import pytest

import vtbench
from vtbench.cli import main
from vtbench.cli.commands import COMMANDS
from vtbench.errors import ResultsError
from vtbench.papers.claims import load_claims
from vtbench.report.wandb.target import Target
from vtbench.run.jobs import launch

Edit = Callable[[str, str, str], int]
Capture = pytest.CaptureFixture[str]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parent.parent)}


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: Capture, *arguments: str) -> str:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def complaint(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line on stderr of a command that must fail."""
    assert main(arguments) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vtbench: ")
    return lines[0]


# ---- list ------------------------------------------------------------------------------------------------------------


def test_list_json_has_the_fields_of_the_contract_in_printed_order(capsys: Capture) -> None:
    rows = json.loads(answer(capsys, "list", "msca", "--format", "json"))
    assert len(rows) == 33
    assert rows[11] == {
        "id": "msca/table2:msca-kv",
        "paper": "msca",
        "table": "table2",
        "row": "msca-kv",
        "label": "MSCA-KV",
        "own": True,
        "printed": {"top-1": "76.47", "top-5": "92.88"},
        "counted": {},
        "published": {"top1": "76.47", "top5": "92.88"},
        "trainings": ["e40df791cb05"],
        "status": "runnable",
    }
    assert [row["table"] for row in rows] == sorted(row["table"] for row in rows)


def test_list_counts_distinct_trainings_at_the_scale_asked_for(capsys: Capture) -> None:
    assert "33 rows, 25 distinct training runs at paper scale" in answer(capsys, "list", "msca")
    assert "33 rows, 31 distinct training runs at mini scale" in answer(capsys, "list", "msca", "--scale", "mini")
    rows = json.loads(answer(capsys, "list", "msca", "--format", "json", "--scale", "mini"))
    assert len({key for row in rows for key in row["trainings"]}) == 31


def test_list_prints_csv_and_markdown(capsys: Capture) -> None:
    lines = list(csv.DictReader(io.StringIO(answer(capsys, "list", "msca/table2", "--format", "csv"))))
    assert len(lines) == 9
    assert lines[6]["id"] == "msca/table2:msca-kv"
    assert lines[6]["printed"] == "top-1 76.47 top-5 92.88"
    table = answer(capsys, "list", "msca/table2:vit", "msca/table1:vit", "--format", "md").splitlines()
    assert table[0].startswith("| id | label | own | status | printed | counted |")
    assert [line.split(" | ")[0] for line in table[2:]] == ["| msca/table1:vit", "| msca/table2:vit"]


# ---- show ------------------------------------------------------------------------------------------------------------


def test_show_gives_every_value_its_source_and_its_mini_value(capsys: Capture) -> None:
    (entry,) = json.loads(answer(capsys, "show", "msca/table2:msca-kv", "--format", "json"))
    (measurement,) = entry["measurements"]
    leaf = measurement["recipe"]["train.lr"]
    assert (leaf["value"], leaf["source"]) == (0.1, "paper: 4.1")
    assert leaf["url"].endswith("/config/custom/kinetics400/k400_tokshift_div4_8x32_base_224.yml#L21")
    assert all(leaf["source"] for leaf in measurement["recipe"].values())
    assert {c["key"]: (c["paper"], c["now"]) for c in measurement["changes"]}["data.dataset"] == (
        "kinetics400",
        "cycle",
    )
    assert measurement["starts_from"][0]["recipe"]["data.dataset"] == "stills"
    assert "msca-boundary-frames" in entry["notes"]


def test_show_prints_the_mapping_to_the_scale_asked_for(capsys: Capture) -> None:
    text = " ".join(answer(capsys, "show", "msca/table4:msca-pkv-8").split())
    assert "(own, runnable; paper scale, and what differs at mini scale)" in text
    assert "model.backward_patches 4 -> 1 (the same share of the patches)" in text
    assert "init.pretraining not set -> vit on stills" in text
    smoke = " ".join(answer(capsys, "show", "msca/table2:vit", "--scale", "smoke").split())
    assert "data.limit_train not set -> 8" in smoke
    assert "->" not in answer(capsys, "show", "msca/table2:vit", "--scale", "paper")


def test_show_separates_its_columns(capsys: Capture) -> None:
    text = answer(capsys, "show", "pst/table3:pst-t-in1k-1x1@sthv1", "--scale", "paper")
    assert re.search(r"^    init\.weights +swin_tiny_patch4_window7_224\.ms_in1k  decision: pst-weights", text, re.M)
    lines = text[text.index("    data.dataset") : text.index("  at paper scale")].splitlines()
    settings = [line for line in lines if not line.lstrip().startswith("https://")]
    assert len(settings) > 40
    for line in settings:
        key, value, source = re.split(r" {2,}", line.strip(), maxsplit=2)
        assert (
            re.fullmatch(r"[a-z_]+\.[a-z_0-9]+", key)
            and value
            and source.startswith(("paper", "code", "decision", "not"))
        )


def test_show_says_what_was_reconstructed_and_decided(capsys: Capture) -> None:
    text = answer(capsys, "show", "msca/table1:vit")
    assert "printed top-1: 75.65\n" in text
    assert "printed top1 75.65 is reconstructed from: blank in the text at hand" in text
    assert (
        "msca-blank-vit-rows: The rows with no shift have no accuracy in the text at hand. - Filled from Table 2"
        in (" ".join(text.split()))
    )
    assert "left out by the paper precision: 32 bit, as in the code" in " ".join(text.split())


def test_show_as_csv_has_a_line_per_setting(capsys: Capture) -> None:
    lines = list(csv.DictReader(io.StringIO(answer(capsys, "show", "msca/table2:vit", "--format", "csv"))))
    epochs = next(line for line in lines if line["key"] == "train.optimizer")
    assert (epochs["paper"], epochs["mini"], epochs["id"]) == ("sgd", "adamw", "msca/table2:vit")


# ---- check -----------------------------------------------------------------------------------------------------------


def test_check_counts_what_it_found_in_order(capsys: Capture) -> None:
    text = answer(capsys, "check", "msca")
    assert (
        f"5 tables, 33 rows, {len(load_claims('msca'))} claims; training runs: 25 at paper, 25 at lab, "
        "31 (+2 pretraining) at mini, 31 (+2 pretraining) at smoke scale" in text
    )
    assert ": ok\n  39 keys compared with public code, 6 differences, each by a decision\n" in text
    assert "\n    augment.short_side: [224, 330] there, [244, 330] in 33 rows: msca-short-side\n" in text


def test_check_ends_with_2_and_one_line_per_problem(capsys: Capture, edit: Edit) -> None:
    line = edit("msca/table2.yaml", "name: msca, shifted: kv,", "name: msca, shfited: kv,")
    assert main(["check"]) == 2
    out = capsys.readouterr().out
    assert f"benchmarks/msca/table2.yaml:{line}: rows[6].model.shfited: msca() has no argument 'shfited'" in out
    assert "\nmsca: 1 problem\n" in out


def test_a_broken_spec_ends_other_commands_with_2_and_one_line(capsys: Capture, edit: Edit) -> None:
    edit("msca/table2.yaml", "stride: 32", "stried: 32")
    for command in ("list", "show", "plan", "run", "report"):
        assert "did you mean 'stride'?" in complaint(capsys, command, "msca/table2")


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lst"], "no command 'lst'; did you mean 'list'?"),
        (["list", "mcsa"], "no paper 'mcsa'; did you mean 'msca'?"),
        (["run", "msca/tabel2"], "no table 'msca/tabel2'; did you mean 'msca/table2'?"),
        (["report", "msca/table2:msca-kb"], "no row 'msca/table2:msca-kb'; did you mean 'msca/table2:msca-k"),
        (["check", "msca/table2:nothing"], "no row 'msca/table2:nothing'"),
        (["list", "--scale", "maxi"], "argument --scale: no scale 'maxi'; known: smoke, mini, lab, paper"),
        (["list", "--formt", "json"], "unrecognized arguments: --formt"),
        (["run", "--seeds", "a"], "'a' is not a list of seeds"),
        (["run", "--seed", "4294967296"], "the highest seed is 4294967295"),
        (["run", "--again", "--test-again"], "not allowed with"),
        (["run", "--seeds", "1", "--seed", "2"], "not allowed with"),
        (["run", "--workers", "0"], "'0' is not a whole number above 0"),
        (["run", "--data", "kinetics400"], "--data kinetics400: must be NAME=PATH"),
        (["run", "msca/table2:vit", "--wandb-project", "p"], "--wandb-project needs --wandb online or offline, or "),
        (["run", "msca/table2:vit", "--logger", "csv", "--wandb-tags", "a"], "--wandb-tags needs --wandb online"),
        (["run", "msca/table2:vit", "--wandb-artifacts", "none"], "--wandb-artifacts needs --wandb online"),
        (["wandb", "dashboard", "--wandb-tags", "a"], "unrecognized arguments: --wandb-tags"),
        (["show"], "show needs a selector: which rows; `all` is every row, "),
        (["plan", "msca/table2", "--device", ""], "--device: is empty; give a value"),
        (["eval", "msca/table2:vit"], "--checkpoint"),
        (["eval", "--checkpoint", "x.pth"], "eval needs a selector"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(capsys: Capture, arguments: list[str], words: str) -> None:
    assert words in complaint(capsys, *arguments)


def test_an_unknown_key_in_vtbench_yaml_names_file_line_and_nearest(capsys: Capture, working_folder: Path) -> None:
    (working_folder / "vtbench.yaml").write_text("data: {}\nresult: out\n")
    assert complaint(capsys, "report", "msca") == (
        "vtbench: vtbench.yaml:2: result: no key 'result'; did you mean 'results'?"
    )


def test_no_command_prints_the_help_and_ends_with_2(capsys: Capture) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help(capsys: Capture, command: str) -> None:
    assert "usage: vtbench " + command in answer(capsys, command, "--help")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", "pst/table1"],
            "nothing to run at mini scale: pst/table1:joint, pst/table1:divide, pst/table1:sparse-local: numbers "
            "quoted from other work; pst/table1:patch-shift: nothing to train",
        ),
        (["run", "laps/table4:i3d", "--scale", "paper"], "at paper scale: laps/table4:i3d: numbers quoted from other"),
        (
            ["run", "msca/table3:vit@events", "--scale", "paper"],
            "nothing to run at paper scale: msca/table3:vit: measured at mini and smoke scale only",
        ),
        (["eval", "pst/table1", "--checkpoint", "x.pth"], "nothing to run at paper scale: pst/table1:joint, "),
    ],
)
def test_rows_with_nothing_to_do_say_so_and_end_with_2(capsys: Capture, arguments: list[str], words: str) -> None:
    assert words in complaint(capsys, *arguments)


def test_a_measurement_can_be_asked_for_in_every_command(capsys: Capture) -> None:
    row = "pst/table3:pst-t-in1k-1x1"
    (entry,) = json.loads(answer(capsys, "show", f"{row}@sthv2", "--format", "json"))
    assert [m["name"] for m in entry["measurements"]] == ["sthv2"]
    (listed,) = json.loads(answer(capsys, "list", f"{row}@sthv2", "--format", "json"))
    assert len(listed["trainings"]) == 1 and "sthv1_top1" not in listed["published"]
    (planned,) = json.loads(answer(capsys, "plan", f"{row}@sthv2", "--scale", "paper", "--format", "json"))
    assert (planned["dataset"], planned["rows"]) == ("sthv2", [row])
    (cost,) = json.loads(answer(capsys, "cost", f"{row}@sthv2", "--format", "json"))
    assert cost["id"] == row
    reported = json.loads(answer(capsys, "report", f"{row}@sthv2", "--scale", "paper", "--format", "json"))
    assert [list(r["published"]) for r in reported] == [["views", "gflops", "params_m", "sthv2_top1", "sthv2_top5"]]
    assert ": ok\n" in answer(capsys, "check", f"{row}@sthv2")
    for command in ("list", "show", "plan", "run", "report", "check", "cost"):
        assert "did you mean 'pst/table3:pst-t-in1k-1x1@sthv" in complaint(capsys, command, f"{row}@sthv3")


def test_the_version_is_the_packages(capsys: Capture) -> None:
    assert answer(capsys, "--version") == f"vtbench {vtbench.__version__}\n"


# ---- what the other commands are given, and what becomes of their errors ---------------------------------------------


class Calls(list[dict[str, Any]]):
    """Stands for launch.run: keeps what it is called with."""

    def __init__(self, outcome: launch.Outcome | BaseException) -> None:
        super().__init__()
        self.outcome = outcome

    def __call__(self, rows: Any, settings: Any, scale: str, seeds: list[int], **options: Any) -> launch.Outcome:
        self.append({"rows": [row.id for row in rows], "settings": settings, "scale": scale, "seeds": seeds, **options})
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_run_is_given_rows_scale_seeds_and_settings(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Calls(launch.Outcome(already=2))
    monkeypatch.setattr(launch, "run", run)
    arguments = (
        "run msca/table2:vit --seeds 0-1,5 msca/table1:vit --again --workers 2 --results out --wandb offline "
        "--wandb-project p --wandb-entity e --wandb-tags a,b, --wandb-artifacts scores --logger csv --log-every 3"
    )
    assert main([*arguments.split(), "--data", "cycle=/c", "--batch-size", "7"]) == 0
    (call,) = run
    assert call["rows"] == ["msca/table1:vit", "msca/table2:vit"]
    assert (call["scale"], call["seeds"], call["again"], call["workers"]) == ("mini", [0, 1, 5], True, 2)
    assert not call["test_again"]
    settings = call["settings"]
    assert (settings.results, settings.data, settings.batch_size) == (Path("out"), {"cycle": Path("/c")}, 7)
    assert settings.wandb == Target("offline", "p", "e", ("a", "b"), "scores")
    assert (settings.loggers, settings.log_every) == (("csv",), 3)
    assert "0 results written to out/results.csv, 2 already there, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("", None),
        ("--logger csv", None),
        ("--logger wandb --wandb-project p", Target("offline", "p", results=False)),
        ("--logger wandb --wandb online", Target("online")),
    ],
)
def test_the_logger_wandb_is_of_training_runs_alone(
    words: str, target: Target | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Calls(launch.Outcome())
    monkeypatch.setattr(launch, "run", run)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(["run", "msca/table2:vit", *words.split()]) == 0
    assert run[0]["settings"].wandb == target


def test_a_training_that_failed_ends_with_1_and_a_line_each(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        launch, "run", Calls(launch.Outcome(failed=[launch.Failure("msca/table2:vit", "no space\nleft")]))
    )
    assert complaint(capsys, "run", "msca/table2:vit", code=1) == "vtbench: msca/table2:vit: no space left"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "interrupted; run the same command again to resume"),
        (ResultsError("results: cannot be written"), "results: cannot be written"),
        (PermissionError(13, "Permission denied", "results/results.csv"), "results/results.csv: Permission denied"),
    ],
)
def test_what_interrupts_a_run_is_one_line_and_exit_code_1(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException, words: str
) -> None:
    monkeypatch.setattr(launch, "run", Calls(error))
    assert complaint(capsys, "run", "msca/table2:vit", code=1) == f"vtbench: {words}"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m vtbench show msca | head -1"
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("msca/table1:vit")


def test_a_folder_is_reencoded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    encoded.encode(source / "a.mp4", map(encoded.numbered_frame, range(14)))
    (source / "b.mp4").write_bytes(b"no video")
    command = ["data", "prepare", "--mpeg4", str(source), str(tmp_path / "target")]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.out == "1 videos encoded, 0 already there, 1 failed\n"
    assert captured.err.startswith("vtbench: ") and "b.mp4" in captured.err and captured.err.count("\n") == 1
    (source / "b.mp4").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out == "0 videos encoded, 1 already there, 0 failed\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare", "a"], "the following arguments are required: TARGET"),
        (["prepare", "not-there", "b"], "not-there: no such folder of videos"),
        (["prepare", "--mpeg4", "not-there", "b"], "not-there: no such folder of videos"),
        (["prepare", "a", "b", "--encoding", "h265"], "no encoding 'h265'; did you mean 'h264'?"),
        (["prepare", "a", "b", "--crf", "52"], "crf 52 must be 0 to 51"),
        (["prepare", "a", "b", "--short-side", "255"], "short side 255 must be even"),
        (["prepare", "a", "b", "--mpeg4", "--short-side", "256"], "--short-side is of h264; mpeg4 is always 340 x 256"),
        (["prepare", "a", "b", "--encoding", "mpeg4", "--crf", "20"], "--crf is of h264; mpeg4 is always 340 x 256"),
        (["scan", "a", "b"], "no action 'scan'; known: lists, check, prepare, info"),
    ],
)
def test_wrong_use_of_data_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(["data", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1
