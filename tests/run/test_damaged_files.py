"""Whatever file of a run folder is damaged: the same command sets it aside, says so, and ends with the same numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lab import with_train
from safetensors.torch import load_file, save_file
from torch import nn

from vtbench.errors import ResultsError, RunError
from vtbench.papers import measurements, select
from vtbench.papers.trainings import Evaluation, Training
from vtbench.results import finished, folders
from vtbench.run import assemble as assembling
from vtbench.run import callbacks
from vtbench.run.assemble import assemble, data_module
from vtbench.run.evaluate import evaluate
from vtbench.run.resuming.checkpoint import why_unusable
from vtbench.run.settings import Settings
from vtbench.run.train import train

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


def the_training() -> Training:
    """Two epochs with a best one that is kept, from random weights."""
    training = measurements(select(["laps/table1:p-shift"])[0], "smoke", 0)[0].evaluation.training
    start = dataclasses.replace(training.init, training=None)
    return with_train(dataclasses.replace(training, init=start), epochs=2, keep="best_on_test")


def the_evaluation() -> Evaluation:
    evaluation = measurements(select(["laps/table1:p-shift"])[0], "smoke", 0)[0].evaluation
    return dataclasses.replace(evaluation, training=the_training())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A results folder of a finished training and test, `whole`, and one of both interrupted, `broken`: the training
    after its first epoch, the test after two of its four videos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        top = tmp_path_factory.mktemp("results")
        whole, broken = Settings(results=top / "whole"), Settings(results=top / "broken")
        train(the_training(), whole)
        evaluate(the_evaluation(), whole)
        with pytest.raises(RunError, match="stop"):
            train(the_training(), broken, _stop_after("train", 1))
        patch.setattr(callbacks, "PART_EVERY", 0.0)
        patch.setattr(assembling, "data_module", _one_by_one)
        tested = Settings(results=top / "tested")
        shutil.copytree(whole.results, tested.results)
        shutil.rmtree(folders.evaluation_folder(tested.results, the_evaluation().key))
        with pytest.raises(RunError, match="stop"):
            evaluate(the_evaluation(), tested, _stop_after("test", 2))
        yield top


@pytest.fixture(scope="module")
def method(done: Path) -> nn.Module:
    """What the training trains."""
    return assemble(the_training(), Settings(results=done)).method


def _stop_after(wanted: str, count: int) -> Callable[..., None]:
    def progress(phase: str, done: int, total: int, loss: float | None) -> None:
        if phase == wanted and done == count and (phase == "test" or loss is not None):
            raise RunError("stop")

    return progress


def _one_by_one(*given: Any, **named: Any) -> Any:
    data = data_module(*given, **named)
    data.loading = dataclasses.replace(data.loading, eval_batch_size=1)
    return data


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe junk" * 50)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    """Whoever opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def holding(value: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps(value))

    return write


def foreign(path: Path) -> None:
    content = json.loads(path.read_text())
    key = "training_key" if path.parent.name.startswith("train") else "evaluation_key"
    path.write_text(json.dumps(content | {key: "000000000000"}))


def not_lightnings(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def of_another_network(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = torch.zeros(1, 2, 3)
    torch.save(content, path)


def of_another_training(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["callbacks"]["EpochCheckpoint"]["training_key"] = "000000000000"
    torch.save(content, path)


def gone(path: Path) -> None:
    path.unlink()


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def of_a_nested_head(path: Path) -> None:
    path.write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)


def with_a_number_that_is(value: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = json.loads(path.read_text())
        is_test = path.parent.name.startswith("eval")
        content |= {"metrics": content["metrics"] | {"top1": value}} if is_test else {"lr": value}
        path.write_text(json.dumps(content))

    return write


JSON = [nested, with_a_number_that_is("x"), with_a_number_that_is(float("nan")), empty, cut, binary, a_folder,
        a_pipe, holding([]), holding(None), holding({}), holding({"metrics": 1}), foreign]  # fmt: skip


def ends_as(top: Path, results: Path, said: list[str]) -> None:
    """Training and test end with the numbers of `whole`."""
    settings, whole = Settings(results=results), top / "whole"
    trained = train(the_training(), settings, notice=said.append)
    measured = evaluate(the_evaluation(), settings, notice=said.append)
    ended = finished.read_done(folders.evaluation_folder(whole, the_evaluation().key))
    assert (trained / folders.WEIGHTS).read_bytes() == (whole / "runs" / trained.name / folders.WEIGHTS).read_bytes()
    assert (measured["weights_sha256"], measured["metrics"]) == (ended["weights_sha256"], ended["metrics"])


@pytest.mark.parametrize("kind", ["train", "eval"])
@pytest.mark.parametrize("damage", JSON)
def test_a_damaged_done_json_is_no_finished_run_and_is_set_aside(
    kind: str, damage: Callable[[Path], None], done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done / "whole", results := tmp_path / "r")
    (folder,) = results.glob(f"runs/{kind}-*")
    clear = finished.clear_training if kind == "train" else finished.clear_evaluation
    assert finished.is_done(folder) and clear(folder) == []
    damage(folder / folders.DONE)
    assert not finished.is_done(folder)
    again = "--again" if kind == "train" else "--test-again"
    with pytest.raises(
        ResultsError, match=rf"{folder.name}/done\.json: .*; `vtbench run` of its row with {again} repeats it"
    ):
        finished.read_done(folder)
    (line,) = clear(folder)
    assert line.startswith(f"{folder / folders.DONE}: ") and "it is done.json.damaged-1 now" in line
    assert not (folder / folders.DONE).exists()


def test_what_a_run_leaves_that_is_killed_in_its_last_moment_is_removed(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "whole", results := tmp_path / "r")
    (trained,), (tested,) = results.glob("runs/train-*"), results.glob("runs/eval-*")
    before = {folder: sorted(path.name for path in folder.iterdir()) for folder in (trained, tested)}
    for name in (folders.CHECKPOINT, folders.BEST.format(2)):
        (trained / name).touch()
    for name in (folders.SCORES_PART.format("0000"), folders.NOTES_PART.format("")):
        (tested / name).touch()
    train(the_training(), Settings(results=results))
    evaluate(the_evaluation(), Settings(results=results))
    assert {folder: sorted(path.name for path in folder.iterdir()) for folder in (trained, tested)} == before


@pytest.mark.parametrize(("kind", "damage"), [("train", cut), ("eval", holding([]))])
def test_a_run_with_a_damaged_done_json_is_repeated(
    kind: str, damage: Callable[[Path], None], done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done / "whole", results := tmp_path / "r")
    (folder,) = results.glob(f"runs/{kind}-*")
    damage(folder / folders.DONE)
    said: list[str] = []
    ends_as(done, results, said)
    assert len(said) == 1


@pytest.mark.parametrize("damage", [empty, cut, binary, a_folder, a_pipe, of_a_nested_head])
def test_weights_that_are_cut_are_set_aside(damage: Callable[[Path], None], done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "whole", results := tmp_path / "r")
    folder = folders.training_folder(results, the_training().key)
    assert finished.is_trained(folder)
    damage(folder / folders.WEIGHTS)
    assert not finished.is_trained(folder)
    weights, done_json = finished.clear_training(folder)
    assert "it is weights.safetensors.damaged-1 now" in weights and "it is done.json.damaged-1 now" in done_json
    assert not finished.is_done(folder), "until it is trained again nobody takes it for finished"


@pytest.mark.parametrize("damage", [pytest.param(cut, marks=pytest.mark.slow), gone])
def test_weights_that_are_cut_or_gone_are_trained_again(
    damage: Callable[[Path], None], done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done / "whole", results := tmp_path / "r")
    folder = folders.training_folder(results, the_training().key)
    damage(folder / folders.WEIGHTS)
    said: list[str] = []
    ends_as(done, results, said)
    assert said[-1].startswith(f"{folder / folders.DONE}: its weights.safetensors is ")
    assert len(said) == (1 if damage is gone else 2)


def test_weights_of_another_shape_are_refused_with_both_hashes(done: Path, tmp_path: Path) -> None:
    """Whole, and not ours: somebody put them there."""
    shutil.copytree(done / "whole", results := tmp_path / "r")
    path = folders.training_folder(results, the_training().key) / folders.WEIGHTS
    tensors = load_file(path)
    save_file({**tensors, "head.bias": tensors["head.bias"] + 1}, path)
    shutil.rmtree(folders.evaluation_folder(results, the_evaluation().key))
    with pytest.raises(ResultsError, match=r"weights\.safetensors: its SHA-256 is .*, the training ended with"):
        evaluate(the_evaluation(), Settings(results=results))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (empty, "cannot be read"),
        (binary, "cannot be read"),
        (cut, "cannot be read"),
        (a_folder, "cannot be read"),
        (a_pipe, "cannot be read"),
        (flip, "is damaged (in "),
        (not_lightnings, "is no checkpoint of a training run"),
        (of_another_network, "belongs to another network: 1 of another shape"),
        (of_another_training, "belongs to another training run (000000000000)"),
    ],
)
def test_a_checkpoint_that_cannot_be_resumed_from_is_told_from_one_that_can(
    damage: Callable[[Path], None], why: str, done: Path, tmp_path: Path, method: nn.Module
) -> None:
    shutil.copytree(done / "broken", results := tmp_path / "r")
    folder = folders.training_folder(results, the_training().key)
    assert why_unusable(folder, method, the_training().key) is None
    damage(folder / folders.CHECKPOINT)
    found = why_unusable(folder, method, the_training().key)
    assert found is not None and found.startswith(why)


def test_a_run_whose_checkpoint_is_of_another_network_starts_over(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "broken", results := tmp_path / "r")
    path = folders.training_folder(results, the_training().key) / folders.CHECKPOINT
    of_another_network(path)
    said: list[str] = []
    ends_as(done, results, said)
    assert said[0].startswith(f"{path}: belongs to another network")
    assert said[0].endswith("; it is last.ckpt.damaged-1 now, and what it was for is repeated")


@pytest.mark.parametrize(("damage", "why"), [(gone, "which is gone"), (flip, "which is another file now")])
def test_a_checkpoint_whose_best_weights_are_lost_cannot_be_resumed_from(
    damage: Callable[[Path], None], why: str, done: Path, tmp_path: Path, method: nn.Module
) -> None:
    shutil.copytree(done / "broken", results := tmp_path / "r")
    folder = folders.training_folder(results, the_training().key)
    damage(folder / folders.BEST.format(1))
    assert why_unusable(folder, method, the_training().key) == f"needs {folders.BEST.format(1)}, {why}"


@pytest.mark.parametrize(
    "damage", [cut, *(pytest.param(how, marks=pytest.mark.slow) for how in (empty, binary, a_pipe))]
)
@pytest.mark.parametrize("name", [folders.SCORES_PART.format("0000"), folders.NOTES_PART.format(""), folders.CONFIG])
def test_what_an_interrupted_test_left_damaged_is_tested_again(
    name: str, damage: Callable[[Path], None], done: Path, tmp_path: Path
) -> None:
    shutil.copytree(done / "tested", results := tmp_path / "r")
    folder = folders.evaluation_folder(results, the_evaluation().key)
    damage(folder / name)
    said: list[str] = []
    ends_as(done, results, said)
    (line,) = said
    assert line.startswith(f"{folder / name}: ") and f"it is {name}.damaged-1 now" in line
    assert (folder / f"{name}.damaged-1").exists()


@pytest.mark.slow
def test_metrics_of_an_interrupted_training_are_written_whole_again(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done / "broken", results := tmp_path / "r")
    path = folders.training_folder(results, the_training().key) / folders.METRICS
    binary(path)
    ends_as(done, results, [])
    whole = folders.training_folder(done / "whole", the_training().key) / folders.METRICS
    first, second = (one.read_text().splitlines() for one in (path, whole))
    assert [line.rpartition(",")[0] for line in first] == [line.rpartition(",")[0] for line in second]
