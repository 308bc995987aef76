"""The table of metrics, and that one entry in it is all that a new metric needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from records import record_of

from vtbench.cost.passes import Work
from vtbench.evaluation import measure, metric_function
from vtbench.metrics import METRICS, Metric, accuracies, always_measured, is_memory, speed_metrics
from vtbench.papers import measurements, select
from vtbench.papers.check import check
from vtbench.papers.override import changed_rows
from vtbench.report.report import report
from vtbench.results.record import Record, metric_cells
from vtbench.results.store import Store
from vtbench.run.jobs.evaluate_checkpoint import evaluate_checkpoint
from vtbench.run.network import built
from vtbench.run.settings import Settings

OwnPaper = Callable[..., Path]
ERROR = """
def error(scores, labels, *, expected_labels):
    misses = len(list(expected_labels)) - int((scores.argmax(dim=1) == labels).sum())
    return 100 * misses / len(list(expected_labels))
"""
SMALL = (
    "init: {scratch: true}, mini: {why: small, data: {dataset: cycle, size: 24, limit_train: 8, limit_test: 4}, "
    "augment: {short_side: [24, 25]}, eval: {short_side: 24}, train: {epochs: 1}, "
    "model: {patch_size: 8, embed_dim: 24, depth: 1}}"
)


def test_the_groups_of_the_table_are_what_they_were() -> None:
    assert always_measured() == ("top1", "top5")
    assert accuracies() == (*always_measured(), "mean_class_accuracy")
    assert speed_metrics() == ("latency_ms", "throughput_vps", "memory_gb", "train_step_ms", "train_memory_gb")
    assert [name for name in METRICS if is_memory(name)] == ["memory_gb", "train_memory_gb"]
    others = set(METRICS) - {*accuracies(), *speed_metrics()}
    assert others == {"params_m", "gflops", "tflops", "views"}, "printed cells that no test and no timing gives"


def test_every_entry_can_be_used() -> None:
    scores, labels = torch.eye(6), torch.arange(6)
    for name, metric in METRICS.items():
        assert metric.what and not metric.what.endswith("."), name
        if metric.function:
            assert metric.unit == "%" and metric_function(name)(scores, labels, expected_labels=range(6)) == 100
        if metric.work:
            assert metric.work in get_args(Work) and not metric.function and metric.unit
    assert [name for name in METRICS if METRICS[name].higher_is_better] == [*accuracies(), "throughput_vps"]
    assert METRICS["latency_ms"].direction == "lower is better"
    assert {name for name in always_measured() if name not in Record.columns()} == set()


@pytest.fixture
def new(own_paper: OwnPaper, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """new(always): the metric `error_rate`, one entry in the table, and the paper `lab` whose row prints it."""

    def add(always: bool) -> None:
        metric = Metric("toy_metric:error", "%", False, "videos whose label has not the highest score", always=always)
        monkeypatch.setitem(METRICS, "error_rate", metric)
        asked = "" if always else "eval: {metrics: [error_rate]}, "
        printed = 'published: {top1: "60.0", error_rate: "40.0"}'
        folder = own_paper(f"  - {{id: one, label: One, {asked}{printed}, {SMALL}}}\n")
        (folder / "toy_metric.py").write_text(ERROR)

    return add


@pytest.mark.parametrize("always", [False, True])
def test_a_new_entry_is_checked_measured_recorded_and_reported(
    new: Callable[..., None], always: bool, tmp_path: Path
) -> None:
    new(always)
    assert [problem for problem in check("lab")[1] if "has no source" not in problem] == []
    (row,) = select(["lab/table1:one"])
    training = measurements(row, "mini")[0].evaluation.training
    torch.save(built(training.network).state_dict(), tmp_path / "weights.pt")
    (record,) = evaluate_checkpoint([row], Settings(results=tmp_path), "mini", tmp_path / "weights.pt")
    assert list(record.all_measured()) == ["top1", "top5", "error_rate"]
    assert record.measured("error_rate") == 100 - record.top1
    assert Store(tmp_path).read() == [record]
    drawn = report([row], tmp_path, "mini", width=200)
    assert "error_rate: videos whose label has not the highest score; %, lower is better." in drawn
    (header,) = (line for line in drawn.splitlines() if line.startswith("row"))
    assert header.split() == ["row", "label", *2 * ["top1", "error_rate"], "seeds"]


def test_a_new_entry_decides_the_verdict_like_any_accuracy(new: Callable[..., None], tmp_path: Path) -> None:
    new(always=False)
    (row,) = select(["lab/table1:one"])
    store = Store(tmp_path)
    for seed, error in enumerate((69.9, 70.0, 70.1)):
        (wanted,) = measurements(row, "paper", seed)
        store.append(record_of(wanted, 60.0, metrics=metric_cells({"error_rate": error})["metrics"]))
    drawn = report([row], tmp_path, "paper", width=200)
    (line,) = (line for line in drawn.splitlines() if line.startswith("one "))
    assert line.split()[-3:] == ["+0.0", "+30.0", "outside"]


def test_metrics_of_the_users_are_measured_beside_those_of_the_table(new: Callable[..., None]) -> None:
    new(always=False)
    scores, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    names = [*always_measured(), "error_rate", "toy_metric:error"]
    assert measure(scores, labels, [0, 1, 2, 0, 3], names) == {
        "top1": 60.0, "top5": 80.0, "error_rate": 40.0, "error": 40.0,
    }  # fmt: skip


def test_every_row_can_ask_for_mean_class_accuracy() -> None:
    rows = [row for row in select() if row.status == "runnable"]
    asking = changed_rows(rows, (), ["eval.metrics=[mean_class_accuracy]"])
    assert len(asking) == len(rows) > 50
    for row, plain in zip(asking, rows, strict=True):
        for wanted, before in zip(measurements(row, "paper"), measurements(plain, "paper"), strict=True):
            assert wanted.evaluation.eval.metrics == ("mean_class_accuracy",)
            assert wanted.evaluation.training.key == before.evaluation.training.key, "no number moves"
            assert wanted.evaluation.key != before.evaluation.key
