"""Many trainings: the graph, the processes, one line per result, and what happens when something breaks."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vtbench.errors import ResultsError, UsageError
from vtbench.files import utc_now
from vtbench.papers import measurements, select
from vtbench.papers.override import changed_rows
from vtbench.report.compare import compare_rows
from vtbench.results import folders
from vtbench.results.finished import is_done
from vtbench.results.store import Store
from vtbench.run.jobs import launch, progress
from vtbench.run.jobs.display import Display
from vtbench.run.jobs.evaluate_checkpoint import evaluate_checkpoint
from vtbench.run.jobs.plan import plan
from vtbench.run.jobs.workers import JobResult
from vtbench.run.network import built
from vtbench.run.settings import Settings
from vtbench.scales import Scale

pytestmark = pytest.mark.usefixtures("one_working_folder")

VIT = "msca/table2:vit"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_working_folder: Any) -> Path:
    """A results folder in which three rows, two of them one evaluation, ran at smoke scale."""
    results = tmp_path_factory.mktemp("finished")
    rows = select(["msca/table1:vit", VIT, "msca/table2:tokenshift"])
    outcome = launch.run(rows, Settings(results=results), "smoke", [0], workers=2)
    assert outcome.failed == []
    assert len(outcome.written) == 3
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` that a test may spoil."""
    shutil.copytree(finished, tmp_path / "results")
    return tmp_path / "results"


class Recording(Display):
    def __init__(self) -> None:
        self.started: list[str] = []
        self.trained: list[str] = []
        self.notices: list[str] = []

    def notice(self, key: str, text: str) -> None:
        self.notices.append(text)

    def start(self, jobs: Any) -> None:
        self.started = [job.key for job in jobs]

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        if phase == "train" and loss is not None:
            self.trained.append(key)


def test_one_line_per_row_and_shared_evaluations_share_their_key(finished: Path) -> None:
    records = Store(finished).read()
    assert sorted(r.id for r in records) == ["msca/table1:vit", "msca/table2:tokenshift", VIT]
    keys = {r.id: r.evaluation_key for r in records}
    assert keys["msca/table1:vit"] == keys[VIT] != keys["msca/table2:tokenshift"]
    record = records[0]
    assert (record.scale, record.measurement, record.seed, record.views, record.threads) == ("smoke", "main", 0, 6, 1)
    assert record.selection == "recipe of the small scales: cycle validation in sight; last epoch"
    assert record.train_videos == 8
    assert record.init.startswith("training:")
    assert "torch=" in record.versions and record.top1 is not None


def test_what_is_measured_is_not_measured_again(results: Path) -> None:
    before = (results / "results.csv").read_bytes()
    display = Recording()
    outcome = launch.run(select([VIT]), Settings(results=results), "smoke", [0], display=display)
    assert (outcome.already, outcome.written, outcome.failed) == (1, [], [])
    assert display.started == []
    assert (results / "results.csv").read_bytes() == before


def test_a_lost_line_comes_back_from_its_run_folder_without_training(results: Path) -> None:
    path = results / "results.csv"
    lines = path.read_text().splitlines(keepends=True)
    lost = next(line for line in lines if "tokenshift" in line)
    path.write_text("".join(line for line in lines if line != lost))
    display = Recording()
    outcome = launch.run(select(["msca/table2:tokenshift"]), Settings(results=results), "smoke", [0], display=display)
    assert display.trained == []
    assert [r.id for r in outcome.written] == ["msca/table2:tokenshift"]
    assert path.read_text().splitlines()[-1] == lost.strip()


@pytest.mark.usefixtures("in_this_process")
def test_a_row_whose_evaluation_is_recorded_for_another_row_gets_its_line_at_once(results: Path) -> None:
    display = Recording()
    outcome = launch.run(select(["msca/table3:vit"]), Settings(results=results, data={"events": Path("nowhere")}),
                         "smoke", [0], display=display)  # fmt: skip
    main = next(r for r in outcome.written if r.measurement == "main")
    assert main.evaluation_key == Store(results).newest(VIT, "main", "smoke", 0).evaluation_key  # type: ignore[union-attr]


@pytest.mark.usefixtures("in_this_process")
def test_again_measures_again_and_keeps_what_was(results: Path) -> None:
    display = Recording()
    key = Store(results).newest(VIT, "main", "smoke", 0).training_key  # type: ignore[union-attr]
    outcome = launch.run(select([VIT]), Settings(results=results), "smoke", [0], again=True, display=display)
    assert display.trained == [key]
    assert len(outcome.written) == 1
    lines = [r for r in Store(results).read() if r.id == VIT]
    assert len(lines) == 2
    assert lines[0].weights_sha256 == lines[1].weights_sha256, "the same training gives the same weights"
    assert is_done(folders.training_folder(results, f"{key}.1"))


@pytest.mark.usefixtures("in_this_process")
def test_test_again_tests_without_training(results: Path) -> None:
    display = Recording()
    outcome = launch.run(select([VIT]), Settings(results=results), "smoke", [0], test_again=True, display=display)
    assert (display.trained, len(outcome.written)) == ([], 1)
    before, after = (r for r in Store(results).read() if r.id == VIT)
    assert (before.top1, before.evaluation_key) == (after.top1, after.evaluation_key)
    assert is_done(folders.evaluation_folder(results, f"{before.evaluation_key}.1"))


class InTheMiddle(Recording):
    """Presses Ctrl-C in the training, or in its test."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        if phase == self.phase:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("phase", ["train", "test"])
def test_what_is_interrupted_as_it_is_repeated_is_finished_without_again(phase: str, results: Path) -> None:
    rows, settings = select([VIT]), Settings(results=results)
    with pytest.raises(KeyboardInterrupt):
        launch.run(rows, settings, "smoke", [0], again=True, display=InTheMiddle(phase))
    assert [entry["state"] for entry in plan(rows, settings, "smoke", [0])] == ["done", "to do"]
    outcome = launch.run(rows, settings, "smoke", [0])
    assert (len(outcome.written), outcome.already, outcome.failed) == (1, 0, [])
    before, after = (r for r in Store(results).read() if r.id == VIT)
    assert before.weights_sha256 == after.weights_sha256 and before.finished_at <= after.finished_at
    assert launch.run(rows, settings, "smoke", [0]).already == 1


@pytest.mark.parametrize("removed", [[], ["runs/train-*"]])
def test_what_was_repeated_to_its_end_is_there(removed: list[str], results: Path) -> None:
    """Also where the run folders were removed, all or but those that were set aside."""
    for folder in results.glob("runs/*"):
        shutil.copytree(folder, folder.with_name(f"{folder.name}.1"))
    for pattern in removed:
        for folder in results.glob(pattern):
            if "." not in folder.name:
                shutil.rmtree(folder)
    assert launch.run(select([VIT]), Settings(results=results), "smoke", [0]).already == 1


def test_a_broken_results_file_is_refused_before_anything_is_trained(results: Path) -> None:
    path = results / "results.csv"
    path.write_text(path.read_text().replace(",cpu,", ",,", 1))
    display = Recording()
    with pytest.raises(ResultsError, match=r"results\.csv:2: the line is broken: device: "):
        launch.run(select(["msca/table2:msca-q"]), Settings(results=results), "smoke", [0], display=display)
    assert display.started == []


@pytest.mark.usefixtures("in_this_process")
def test_a_line_whose_writing_was_cut_is_written_again_without_training(results: Path) -> None:
    path = results / "results.csv"
    whole = path.read_text()
    last = whole.splitlines()[-1].partition(",")[0]
    path.write_text(whole[:-40])
    display = Recording()
    outcome = launch.run(select([last]), Settings(results=results), "smoke", [0], display=display)
    assert (display.trained, len(outcome.written)) == ([], 1)
    assert any("results.csv.torn-1" in text for text in display.notices)
    assert path.read_text() == whole


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("lost", ["cut", "deleted"])
def test_the_line_of_a_repeated_test_is_written_again_though_an_older_one_is_there(lost: str, results: Path) -> None:
    """Cut as it was written, or never written by a process that was killed before."""
    rows, settings, path = select([VIT]), Settings(results=results), results / "results.csv"
    done = folders.evaluation_folder(results, Store(results).newest(VIT, "main", "smoke", 0).evaluation_key)  # type: ignore[union-attr]
    wait_for_another_second(folders.read_json(done / folders.DONE)["finished_at"])
    launch.run(rows, settings, "smoke", [0], test_again=True)
    whole = path.read_text()
    path.write_text(whole[:-20] if lost == "cut" else "".join(whole.splitlines(keepends=True)[:-1]))
    display = Recording()
    outcome = launch.run(rows, settings, "smoke", [0], display=display)
    assert (display.trained, len(outcome.written), outcome.already) == ([], 1, 0)
    assert path.read_text() == whole
    assert launch.run(rows, settings, "smoke", [0]).already == 1
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    shutil.rmtree(folders.training_folder(results, Store(results).newest(VIT, "main", "smoke", 0).training_key))  # type: ignore[union-attr]
    assert launch.run(rows, settings, "smoke", [0]).already == 1, "nothing is trained for the older line"


@pytest.mark.usefixtures("in_this_process")
def test_of_two_rows_that_share_a_repeated_test_each_has_its_line(results: Path) -> None:
    rows, settings, path = select([VIT, "msca/table1:vit"]), Settings(results=results), results / "results.csv"
    launch.run(rows, settings, "smoke", [0])
    (key,) = {Store(results).newest(row.id, "main", "smoke", 0).evaluation_key for row in rows}  # type: ignore[union-attr]
    wait_for_another_second(folders.read_json(folders.evaluation_folder(results, key) / folders.DONE)["finished_at"])
    assert len(launch.run(rows, settings, "smoke", [0], test_again=True).written) == 2
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))  # killed between the two
    assert len(launch.run(rows, settings, "smoke", [0]).written) == 1
    assert path.read_text() == whole


def wait_for_another_second(when: str) -> None:
    """Times in results.csv are whole seconds."""
    while utc_now() == when:
        time.sleep(0.05)


@pytest.mark.usefixtures("in_this_process")
def test_a_line_that_another_host_left_unfinished_during_a_run_stops_no_line_of_it(results: Path) -> None:
    path = results / "results.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "tokenshift" not in line))

    class Dying(Recording):
        def start(self, jobs: Any) -> None:
            super().start(jobs)
            with path.open("a") as file:
                file.write("half of a li")

    display = Dying()
    outcome = launch.run(select(["msca/table2:tokenshift"]), Settings(results=results), "smoke", [0], display=display)
    assert (len(outcome.written), outcome.failed) == (1, [])
    assert any("results.csv.torn-1" in text for text in display.notices)
    assert sorted(path.read_text().splitlines(keepends=True)) == sorted(lines)


def test_what_fails_does_not_stop_the_rest(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = Settings(results=results, data={"events": tmp_path / "file"})
    outcome = launch.run(select(["msca/table3:msca-kv-4"]), settings, "smoke", [0])
    assert [r.measurement for r in outcome.written] == ["main"]
    (failure,) = outcome.failed
    assert "events" in failure.title and str(tmp_path / "file") in failure.reason
    assert failure.exit_code == 2, "wrong input"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("levels: [1, 2, 3]", "levels: [1, 2, 4]", r"level R = 4 of num_frames=8: .* allowed for R: one of 1, 2, 3"),
        ("shift_fraction: 0.125", "shift_fraction: 0.6", r"shift_fraction=0\.6: must be in \[0, 0\.5\]"),
        ("shift_fraction: 0.125", "shift_fraction: 0.1", r"shift_fraction=0\.1: is no whole number of the 8 channels"),
    ],
)
def test_an_impossible_network_is_refused_before_anything_is_trained_or_written(
    edit: Any, tmp_path: Path, old: str, new: str, message: str
) -> None:
    setting = "levels: [1, 2, 3], loop: depth,\n       shift: periodic, shift_fraction: 0.125"
    edit("laps/table1.yaml", setting, setting.replace(old, new))
    outcome = launch.run(select(["laps/table1:laps"]), Settings(results=tmp_path / "results"), "smoke", [0])
    assert [failure.exit_code for failure in outcome.failed] == [2, 2]
    assert re.search(message, outcome.failed[0].reason) and "\n" not in outcome.failed[0].reason
    assert outcome.failed[0].title == "laps/table1:laps"
    assert not list((tmp_path / "results").glob("**/*.safetensors")) and not (tmp_path / "results" / "runs").exists()


def test_paper_scale_without_data_is_blocked_by_name(tmp_path: Path) -> None:
    outcome = launch.run(select([VIT]), Settings(results=tmp_path), "paper", [0])
    (failure,) = outcome.failed
    assert failure.title == VIT
    assert failure.reason == "blocked: data folder of kinetics400 (--data kinetics400=PATH)"
    assert failure.exit_code == 2


def test_a_killed_worker_fails_its_training_and_the_next_run_finishes_it(results: Path) -> None:
    class Killer(Display):
        def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)  # type: ignore[arg-type]

    rows, settings = select(["msca/table2:msca-v"]), Settings(results=results)
    outcome = launch.run(rows, settings, "smoke", [0], display=Killer())
    (failure,) = outcome.failed
    assert "killed by signal 9; out of memory? try a smaller --batch-size" in failure.reason
    (folder,) = (path.parent for path in results.glob("runs/*/progress.json"))
    assert noted(folder) == failure.reason
    assert launch.run(rows, settings, "smoke", [0]).failed == []
    assert not (folder / "progress.json").exists()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs end at once with what their run folders hold."""

    def run_jobs(jobs: Any, settings: Settings, **_: Any) -> Any:
        for key, job in jobs.items():
            measured = {
                one: json.loads((folders.evaluation_folder(settings.results, one) / folders.DONE).read_text())
                for one in job.evaluations
            }
            yield JobResult(key, measured)

    monkeypatch.setattr(launch, "run_jobs", run_jobs)


def without_lines(results: Path) -> dict[str, Path]:
    """Removes every line of results.csv; gives the run folder of each row's training."""
    rows = {r.id: folders.training_folder(results, r.training_key) for r in Store(results).read()}
    (results / "results.csv").unlink()
    return rows


def noted(folder: Path) -> str:
    """Why the job of a run folder failed, as `vtbench status` says it."""
    state = progress.read(folder)
    assert state is not None and state.error is not None
    return state.error


SHIFT = "msca/table2:tokenshift"


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"training_key"', "\x00\xff"])
def test_a_damaged_run_folder_fails_its_own_row(results: Path, at_once: None, content: str) -> None:
    folder = without_lines(results)[SHIFT]
    whole = (folder / folders.DONE).read_text()
    (folder / folders.DONE).write_text(content)
    rows, settings = select([SHIFT, VIT]), Settings(results=results)
    outcome = launch.run(rows, settings, "smoke", [0])
    if not outcome.failed:  # what is not there is empty in the line
        assert content == "{}"
        return
    assert [record.id for record in outcome.written] == [VIT]
    (failure,) = outcome.failed
    assert failure.title == SHIFT and failure.exit_code == 1 and "\n" not in failure.reason
    assert f"{SHIFT}: {failure.reason}" in noted(folder)
    (folder / folders.DONE).write_text(whole)
    assert [record.id for record in launch.run(rows, settings, "smoke", [0]).written] == [SHIFT]


def test_a_line_that_cannot_be_written_fails_its_row_and_the_same_command_writes_it(
    results: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = without_lines(results)[SHIFT]
    rows, settings, append = select([VIT, SHIFT]), Settings(results=results), os.write

    def full(descriptor: int, data: bytes) -> int:
        if SHIFT.encode() in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return append(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        outcome = launch.run(rows, settings, "smoke", [0])
    assert [record.id for record in outcome.written] == [VIT]
    (failure,) = outcome.failed
    assert failure.title == SHIFT and "No space left on device" in failure.reason
    assert noted(folder) == f"{SHIFT}: {failure.reason}"
    again = launch.run(rows, settings, "smoke", [0])
    assert ([record.id for record in again.written], again.already, again.failed) == ([SHIFT], 1, [])


def test_where_all_is_done_the_folder_need_not_be_writable(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Store) -> None:
        raise ResultsError("read-only")

    monkeypatch.setattr(Store, "check", refuse)
    assert launch.run(select([VIT]), Settings(results=results), "smoke", [0]).already == 1
    for row in ("msca/table2:msca-q", "msca/table3:vit@main"):  # one to train, one that only lacks its line
        with pytest.raises(ResultsError, match=r"^read-only$"):
            launch.run(select([row]), Settings(results=results), "smoke", [0])


def test_ctrl_c_ends_the_workers_and_keeps_what_is_finished(results: Path) -> None:
    class Interrupt(Display):
        def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
            raise KeyboardInterrupt

    before = (results / "results.csv").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        launch.run(select(["msca/table2:msca-k"]), Settings(results=results), "smoke", [0], display=Interrupt())
    assert multiprocessing.active_children() == []
    assert (results / "results.csv").read_bytes() == before


@pytest.mark.parametrize(("after", "times"), [(0.0, 3), (0.3, 1), (2.0, 3)])
def test_ctrl_c_in_a_terminal_is_one_line_and_exit_code_1(tmp_path: Path, after: float, times: int) -> None:
    """Also while the workers start, when Python itself would answer, and however often."""
    # Python leaves SIGINT ignored where it finds it so, as in a job that a script put into the background.
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from vtbench.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "run", VIT, "--scale", "mini", "--results", str(tmp_path)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stderr is not None
    assert "2 to do" in process.stderr.readline()
    time.sleep(after)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and its workers
        time.sleep(0.02)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert errors.strip().splitlines() == ["vtbench: interrupted; run the same command again to resume"]


class Logging(Display):
    def __init__(self) -> None:
        self.log: list[Any] = []

    def progress(self, key: str, phase: str, done: int, total: int, loss: float | None) -> None:
        self.log.append((done, total))

    def end_job(self, key: str, records: Any, error: str | None) -> None:
        self.log.append("finished")


def test_given_weights_are_recorded_as_given(results: Path) -> None:
    key = Store(results).newest(VIT, "main", "smoke", 0).training_key  # type: ignore[union-attr]
    weights = folders.training_folder(results, key) / "weights.safetensors"
    display = Logging()
    rows = select([VIT, "msca/table1:vit"])
    line, other = evaluate_checkpoint(rows, Settings(results=results), "smoke", weights, display)
    assert display.log == [(4, 4), "finished"], "one evaluation for both rows, of four videos"
    assert (line.id, other.id, other.evaluation_key) == ("msca/table1:vit", VIT, line.evaluation_key)
    assert line.init == "given"
    assert line.training_key.startswith("file:")
    assert line.train_wall_s is None


def test_weights_that_are_given_again_add_no_second_line(results: Path) -> None:
    rows, settings = select([VIT, "msca/table1:vit"]), Settings(results=results)
    first = evaluate_checkpoint(rows, settings, "smoke", own_weights(results))
    before = (results / "results.csv").read_bytes()
    assert evaluate_checkpoint(rows, settings, "smoke", own_weights(results)) == first
    assert (results / "results.csv").read_bytes() == before


def test_the_logging_to_wandb_is_not_imported_unless_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom vtbench.run.train import train\n"
        "from vtbench.run.settings import Settings\n"
        "from vtbench.papers import measurements, select\n"
        f"t = measurements(select(['{VIT}'])[0], 'smoke', 0)[0].evaluation.training.init.training\n"
        f"train(t, Settings(results=Path({str(tmp_path)!r})))\n"
        "assert not {'vtbench.run.tracking', 'vtbench.report.wandb.session'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("row", "scale", "named"),
    [
        ("pst/table3:pst-t-in1k-1x1", "paper", "pst/table3:pst-t-in1k-1x1@sthv1, pst/table3:pst-t-in1k-1x1@sthv2"),
        ("laps/table1:laps", "smoke", "laps/table1:laps@events, laps/table1:laps@main"),
    ],
)
def test_weights_are_of_one_training(row: str, scale: Scale, named: str, tmp_path: Path) -> None:
    """Else a network of Something-Something V2 would be tested on V1's classes too, and count as the row's."""
    with pytest.raises(UsageError, match=f"^{row} is 2 trainings at {scale} scale, .*; name one of {named}$"):
        evaluate_checkpoint(select([row]), Settings(results=tmp_path), scale, tmp_path / "any.pth")
    assert not list(tmp_path.iterdir())


def test_an_official_laps_checkpoint_is_tested_and_every_key_accounted_for(tmp_path: Path) -> None:
    row = select(["laps/table1:laps@main"])[0]
    training = measurements(row, "smoke")[0].evaluation.training
    network = built(training.network)
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    official = {
        f"module.base_model.{owner}.bn.{leaf}" if owner in norms else f"module.base_model.{owner}.{leaf}": tensor
        for (owner, _, leaf), tensor in ((name.rpartition("."), t) for name, t in network.state_dict().items())
    }
    official = {name.replace("base_model..", "base_model."): tensor for name, tensor in official.items()}
    torch.save({"epoch": 18, "state_dict": official, "best_acc1": 76.0}, tmp_path / "best_ckpt_e17.pth")
    records = evaluate_checkpoint(
        [row], Settings(results=tmp_path / "results"), "smoke", tmp_path / "best_ckpt_e17.pth"
    )
    assert [record.measurement for record in records] == ["main"]
    folder = folders.evaluation_folder(tmp_path / "results", records[0].evaluation_key)
    loaded = folders.read_json(folder / folders.DONE)["loaded"]
    assert loaded.startswith("laps-visformer checkpoint: ") and loaded.endswith("nothing missing")
    used, renamed = (int(n) for n in re.findall(r"(\d+) keys used, (\d+) renamed", loaded)[0])
    assert used + renamed == len(official) and renamed == 5 * len(norms)


def own_weights(results: Path) -> Path:
    training = measurements(select([VIT])[0], "smoke")[0].evaluation.training
    return folders.training_folder(results, training.key) / folders.WEIGHTS


def test_weights_tested_by_other_settings_are_neither_the_rows_result_nor_stale(results: Path) -> None:
    row, settings = select([VIT])[0], Settings(results=results)
    changed = changed_rows([row], (), ["eval.clips=1"])
    evaluate_checkpoint(changed, settings, "smoke", own_weights(results))
    assert not compare_rows([row], Store(results), "smoke")[0].stale
    again = launch.run([row], settings, "smoke", [0])
    assert (again.already, again.written, again.failed) == (1, [], [])
    (results / "results.csv").unlink()
    evaluate_checkpoint(changed, settings, "smoke", own_weights(results))
    alone = compare_rows([row], Store(results), "smoke")[0]
    assert not alone.counted and not alone.stale


def test_given_weights_are_tested_again_when_the_test_videos_changed(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, settings = select([VIT])[0], Settings(results=results)
    first = evaluate_checkpoint([row], settings, "smoke", own_weights(results))[0]
    assert evaluate_checkpoint([row], settings, "smoke", own_weights(results))[0].finished_at == first.finished_at
    monkeypatch.setattr("vtbench.datasets.module.VideoData.fingerprint", lambda self, split: "another")
    other = evaluate_checkpoint([row], settings, "smoke", own_weights(results))[0]
    assert other.data_fingerprint == "another" != first.data_fingerprint
    aside = folders.evaluation_folder(results, first.evaluation_key + ".1")
    assert folders.read_json(aside / folders.DONE)["data_fingerprint"] == first.data_fingerprint
