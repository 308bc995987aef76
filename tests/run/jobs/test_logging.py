"""Runs on W&B, offline: what they hold, that each row has its own, and that a failure there costs no result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import wandb
from offline import OfflineRun, offline_runs

from vtbench.cli import main
from vtbench.errors import UsageError
from vtbench.papers import measurements, select
from vtbench.report.wandb import runs as wandb_runs
from vtbench.report.wandb.dashboard import BY_EPOCH, BY_STEP
from vtbench.report.wandb.sync import sync
from vtbench.report.wandb.target import Target
from vtbench.results import folders
from vtbench.results.record import Record
from vtbench.results.store import Store
from vtbench.run.jobs import launch
from vtbench.run.settings import Settings
from vtbench.run.train import train

FIRST, SECOND, THIRD = "msca/table1:vit", "msca/table2:vit", "msca/table3:vit"
"""Three rows that are one evaluation."""

pytestmark = pytest.mark.usefixtures("no_login")


@pytest.fixture(scope="module")
def no_login(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """No login, no network, and none of the user's folders."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("WANDB_"):
                patch.delenv(name)
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(folder))
        patch.setenv("NETRC", str(folder / "netrc"))
        patch.chdir(tmp_path_factory.mktemp("work"))  # synthetic sets are generated there
        yield


@pytest.fixture(scope="module")
def first(no_login: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One row at smoke scale, logged by the step, and what that wrote on the terminal."""
    results = tmp_path_factory.mktemp("logged") / "results"
    words = f"run {FIRST} --scale smoke --results {results} --wandb offline --wandb-tags night,gpu --log-every 1"
    command = [sys.executable, "-m", "vtbench", *words.split()]
    root = Path(launch.__file__).parents[3]
    with tempfile.TemporaryDirectory() as temporary:  # a short path: sockets are made there
        environment = {**os.environ, "PYTHONPATH": str(root), "TMPDIR": temporary}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert not list(Path(temporary).glob("*wandb*"))
    return results, done


@pytest.fixture(scope="module")
def logged(first: tuple[Path, Any]) -> Path:
    return first[0]


@pytest.fixture
def results(logged: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(logged, tmp_path / "results")
    return tmp_path / "results"


def of_kind(results: Path, kind: str) -> list[OfflineRun]:
    return [run for found in offline_runs(results).values() for run in found if run.job_type == kind]


def only_record(results: Path) -> Record:
    (record,) = Store(results).read()
    return record


def test_nothing_of_wandb_is_on_the_terminal(first: tuple[Path, Any]) -> None:
    results, done = first
    assert done.stdout == f"smoke scale: 1 results written to {results}/results.csv, 0 already there, 0 failed\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "2 to do"
    assert [line[:5] for line in lines[1:]] == ["[1/2]", "[2/2]"], done.stderr


def test_training_runs_keep_their_names_and_hold_the_resolved_spec(logged: Path) -> None:
    record = only_record(logged)
    trained = {run.id: run for run in of_kind(logged, "train")}
    run = trained[f"train-{record.training_key}"]
    assert set(trained) == {run.id, f"train-{record.init.removeprefix('training:').partition('@')[0]}"}
    assert (run.name, run.group, run.project) == (f"train vit {record.training_key}", "cycle", "vtbench")
    assert set(run.tags) == {"smoke", "vit", "cycle", "seed 0", "night", "gpu"}
    assert run.config["train"]["arguments"]["optimizer"] == "adamw"
    assert (run.config["train"]["epochs"], run.config["training_key"]) == (1, record.training_key)


def test_training_runs_are_logged_by_the_step_and_epochs_are_counted_from_1(logged: Path) -> None:
    run = next(run for run in of_kind(logged, "train") if run.group == "cycle")
    assert run.metrics == {
        *(f"step/{name}" for name in ("loss", "top1", "lr", "grad_norm", "epoch", "remaining_s", "memory_gb")),
        *("step/clips_per_s", "step/data_wait", "epoch", "epoch_s", "epoch_data_wait", "epoch_clips_per_s"),
        *("remaining_s", "train_loss", "train_top1", "trainer/global_step"),
    }
    assert run.over("step/epoch") == [0.5, 1.0]  # two steps
    assert run.over("epoch") == [1, 1]
    assert run.over("trainer/global_step") == [0, 1, 1, 1]
    assert sum(run.over("step/loss")) / 2 == pytest.approx(run.over("train_loss")[0], rel=1e-5)
    assert {f"step/{name}" for name in BY_STEP} <= run.metrics  # what the dashboard draws
    assert set(BY_EPOCH) - {"val_top1"} <= run.metrics
    by_epoch = {"epoch": "", "train_*": "epoch", "val_*": "epoch", "lr": "epoch"}
    assert run.axes == {**by_epoch, "step/*": "trainer/global_step"}


def test_weights_are_those_of_a_run_that_logs_nowhere(logged: Path, tmp_path: Path) -> None:
    training = measurements(select([FIRST])[0], "smoke", 0)[0].evaluation.training
    for one in (*training.ancestors(), training):
        folder = train(one, Settings(results=tmp_path))
    assert folders.read_json(folder / folders.DONE)["weights_sha256"] == only_record(logged).weights_sha256


def test_an_evaluation_holds_metrics_beside_print_verdict_chance_and_the_spec(logged: Path) -> None:
    record = only_record(logged)
    (run,) = of_kind(logged, "eval")
    assert run.name == f"{FIRST} seed 0"
    assert (run.group, set(run.tags)) == (
        "msca/table1",
        {"msca", "msca/table1", FIRST, "smoke", "main", "seed 0", "night", "gpu"},
    )
    (numbers,) = run.history
    assert (numbers["top1"], numbers["published/top1"], numbers["chance/top1"]) == (record.top1, 75.65, 25)
    assert numbers["msca/table1/top1_published"] == 75.65
    assert numbers["low/top1"] < record.top1 < numbers["high/top1"]
    assert not {name for name in numbers if name.startswith("delta/")}  # not at smoke scale
    assert run.summary["verdict"] == "not-comparable"
    assert run.config["train_run"] == f"train-{record.training_key}"
    assert run.config["evaluation"]["eval"]["clips"] == 2
    assert run.config["published"] == {"top1": "75.65", "top5": "92.19"}
    assert run.config["sources"]["eval.clips"]


def test_an_evaluation_holds_classes_videos_confusion_and_files(logged: Path) -> None:
    record = only_record(logged)
    (run,) = of_kind(logged, "eval")
    columns, classes = run.table("per_class")
    assert columns == ["label", "class", "videos", "top1"]
    assert sum(line[2] for line in classes) == record.videos_expected
    columns, videos = run.table("per_video")
    assert len(videos) == record.videos_expected
    assert 100 * sum(line[columns.index("right")] for line in videos) / len(videos) == record.top1
    columns, cells = run.table("confusion_table")
    assert columns == ["Actual", "Predicted", "nPredictions"]
    assert sum(line[2] for line in cells) == record.videos_decoded
    weights = run.artifacts[f"weights-{record.training_key}"]
    assert weights["metadata"]["sha256"] == record.weights_sha256
    (file,) = weights["files"]
    assert file.is_absolute() and file.name == "weights.safetensors"
    assert run.artifacts[f"scores-{record.evaluation_key}"]["metadata"]["weights_sha256"] == record.weights_sha256


def test_a_row_that_shares_an_earlier_evaluation_has_its_own_run(results: Path) -> None:
    outcome = launch.run(select([SECOND]), Settings(results=results, wandb=Target("offline")), "smoke", [0])
    assert [record.id for record in outcome.written] == [SECOND]
    names = {run.name: run for run in of_kind(results, "eval")}
    assert set(names) == {f"{FIRST} seed 0", f"{SECOND} seed 0"}
    assert names[f"{SECOND} seed 0"].group == "msca/table2"


def test_sync_pushes_what_is_not_there_and_twice_gives_one(results: Path) -> None:
    launch.run(select([SECOND]), Settings(results=results), "smoke", [0])  # without W&B
    rows = select([FIRST, SECOND])
    target = Target("offline")
    before = set(offline_runs(results))
    outcome = sync(rows, results, target)
    assert (len(outcome.pushed), outcome.already, outcome.failed) == (1, 3, [])  # two training runs, one evaluation
    after = offline_runs(results)
    assert set(after) - before == set(outcome.pushed)
    assert all(len(found) == 1 for found in after.values())
    again = sync(rows, results, target)
    assert (again.pushed, again.already) == ([], 4)
    elsewhere = sync(rows, results, Target("offline", project="other"))
    assert len(elsewhere.pushed) == 4
    curve = next(run for run in of_kind(results, "train") if run.project == "other" and run.group == "cycle")
    assert curve.over("epoch") == [1]
    assert {"train_loss", "train_top1", "lr", "elapsed_s"} <= curve.metrics


@pytest.mark.parametrize("by", ["sync", "the next run"])
def test_without_a_server_the_result_is_written_and_what_is_missed_is_made_up_for(
    by: str, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: Any) -> None:
        raise ConnectionError("no such host")

    with monkeypatch.context() as patch:
        patch.setattr("wandb.init", refuse)
        command = f"run {THIRD}@main --scale smoke --wandb offline --results {results}"
        assert main(command.split()) == 1
    captured = capsys.readouterr()
    assert captured.out == f"smoke scale: 1 results written to {results}/results.csv, 0 already there, 0 failed\n"
    assert captured.err == (
        f"vtbench: {THIRD} (main, smoke, seed 0): the result is written, but not logged: W&B vtbench (offline) cannot "
        "start a run: no such host; `vtbench wandb sync` or the next run with --wandb logs it\n"
    )
    if by == "sync":
        assert main(f"wandb sync msca --mode offline --results {results}".split()) == 0
        assert capsys.readouterr().out == "every scale: 1 runs pushed to vtbench (offline), 3 already there, 0 failed\n"
    else:
        assert main(command.split()) == 0
        captured = capsys.readouterr()
        assert "0 results written" in captured.out and "1 already there, 0 failed" in captured.out
        assert captured.err == "vtbench: 1 run of results that were there already: on W&B now\n"
        assert main(command.split()) == 0
        assert capsys.readouterr().err == "", "once is enough"
    assert f"{THIRD} seed 0" in {run.name for run in of_kind(results, "eval")}


def test_one_run_that_fails_does_not_keep_the_others_from_being_pushed(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise ValueError("too large\nby far")

    monkeypatch.setattr(wandb_runs, "_artifact", refuse)
    outcome = sync(select([FIRST]), results, Target("offline", project="other"))
    assert outcome.failed == [f"{FIRST} (main, smoke, seed 0): W&B other (offline): too large"]
    assert len(outcome.pushed) == 2
    monkeypatch.undo()
    assert len(sync(select([FIRST]), results, Target("offline", project="other")).pushed) == 1


def test_scores_that_cannot_be_read_are_said_and_pushed_by_a_later_sync(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = only_record(results)
    path = folders.evaluation_folder(results, record.evaluation_key) / folders.SCORES
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    command = f"wandb sync {FIRST} --mode offline --wandb-project other --results {results}".split()
    for pushed, already in ((2, 0), (0, 2)):
        assert main(command) == 1
        said = capsys.readouterr()
        assert said.out == (
            f"every scale: {pushed} runs pushed to other (offline), {already} already there, 0 failed, 1 incomplete\n"
        )
        assert said.err == (
            f"vtbench: {FIRST} (main, smoke, seed 0): {path}: does not give the scores of this line, so its run has "
            "neither tables nor scores; restore or remove the file; the next sync repeats it\n"
        )
    path.write_bytes(whole)
    assert main(command) == 0
    assert "1 runs pushed to other (offline), 2 already there, 0 failed\n" in capsys.readouterr().out
    run = [run for run in of_kind(results, "eval") if run.project == "other"][-1]
    assert len(run.table("per_video")[1]) == record.videos_expected


def test_what_an_offline_run_needs_is_below_the_results_folder(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_DATA_DIR")
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    outcome = sync(select([FIRST]), results, Target("offline", project="other"))
    assert len(outcome.pushed) == 3
    (staged,) = {file.parent for file in (results / "wandb").rglob("staging/*") if file.is_file()}
    assert staged == results / "wandb" / "artifacts" / "staging"
    assert not [file for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert "WANDB_DATA_DIR" not in os.environ


@pytest.mark.parametrize("artifacts", ["scores", "none"])
def test_fewer_artifacts_may_be_asked_for(artifacts: Any, results: Path) -> None:
    sync(select([FIRST]), results, Target("offline", project="other", artifacts=artifacts))
    (run,) = (run for run in of_kind(results, "eval") if run.project == "other")
    kinds = {one["type"] for one in run.artifacts.values()} - {"run_table"}
    assert kinds == ({"scores"} if artifacts == "scores" else set())


def test_a_login_is_asked_for_before_anything_is_trained(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path, wandb=Target("online"))
    with pytest.raises(UsageError, match=r"^W&B \(online\) has no login: log in with `wandb login` or set WANDB_API_K"):
        launch.run(select([FIRST]), settings, "smoke", [0])
    assert not (tmp_path / "runs").exists()


def test_an_environment_that_says_offline_is_no_login_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(
        UsageError, match=r"^W&B \(online\) is asked for, and WANDB_MODE is offline; unset it, or log off"
    ):
        launch.run(select([FIRST]), Settings(results=tmp_path, wandb=Target("online")), "smoke", [0])


def test_a_key_that_cannot_be_one_is_said_in_one_line(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert main(["wandb", "sync", FIRST, "--results", str(results)]) == 2
    wandb.teardown()  # it remembers the key, and would try it in the next test
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vtbench: W&B (online) cannot be used: WANDB_API_KEY invalid: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "instead"),
    [("sync", "give --mode offline and send the runs later"), ("dashboard", "write both to a file with --output FILE")],
)
def test_without_a_login_a_command_says_what_works_without_one(
    command: str, instead: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = ["--scale", "smoke", "--results", str(results)]
    assert main(["wandb", command, FIRST, *scale]) == 2
    remedy = f"log in with `wandb login` or set WANDB_API_KEY, or {instead}"
    assert capsys.readouterr().err == f"vtbench: W&B (online) has no login: {remedy}\n"


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_results_folder_with_nothing_to_push_is_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    if kind == "file":
        folder.write_text("")
    elif kind == "empty":
        folder.mkdir()
    assert main(["wandb", "sync", "--mode", "offline", "--results", str(folder)]) == 2
    error = capsys.readouterr().err
    assert str(folder) in error and error.count("\n") == 1
    assert not (folder / "wandb").exists()
