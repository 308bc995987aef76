from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vtbench.evaluation import measure
from vtbench.evaluation.accuracy import coverage, mean_class_accuracy, top1, top5
from vtbench.metrics import accuracies

Accuracy = Callable[..., float]
ALL = pytest.mark.parametrize("accuracy", [top1, top5, mean_class_accuracy])


@pytest.fixture
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (200,), generator=generator)
    scores = torch.randn(200, 9, generator=generator) + 2 * torch.nn.functional.one_hot(labels, 9)
    return scores, labels


def hits(scores: torch.Tensor, labels: torch.Tensor, k: int) -> list[bool]:
    """The plain loop: how many classes score above the label's?"""
    return [bool((row > row[label]).sum() < k) for row, label in zip(scores, labels, strict=True)]


def test_top_k_counts_videos_whose_label_is_among_the_highest(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, labels = drawn
    first, fifth = (accuracy(scores, labels, expected_labels=labels.tolist()) for accuracy in (top1, top5))
    assert (first, fifth) == (sum(hits(scores, labels, 1)) / 2, sum(hits(scores, labels, 5)) / 2)
    assert 11 < first < fifth < 100


@pytest.mark.parametrize("failed", [1, 50, 200])
@ALL
def test_a_video_that_failed_is_a_miss(
    drawn: tuple[torch.Tensor, torch.Tensor], failed: int, accuracy: Accuracy
) -> None:
    scores, labels = drawn
    videos = labels.tolist()
    whole = accuracy(scores, labels, expected_labels=videos)
    part = accuracy(scores, labels, expected_labels=[*videos, *(videos * failed)[: failed * len(videos)]])
    assert part == pytest.approx(whole / (1 + failed))


@pytest.mark.parametrize("classes", [2, 4, 5])
def test_top5_of_at_most_five_classes_counts_every_video_that_could_be_read(classes: int) -> None:
    scores, labels = torch.randn(12, classes), torch.arange(12) % classes
    assert top5(scores, labels, expected_labels=labels.tolist()) == 100
    assert top5(scores, labels, expected_labels=[*labels.tolist(), 0, 1, 0, 1]) == 75


@ALL
def test_no_video_read_is_no_hit(accuracy: Accuracy) -> None:
    nothing = torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)
    assert accuracy(*nothing, expected_labels=[0, 1]) == 0
    assert accuracy(*nothing, expected_labels=[]) == 0


def test_accuracies_are_the_count_not_its_float32_share() -> None:
    scores = torch.zeros(19_881, 3)
    scores[:, 0] = 1
    labels = torch.ones(19_881, dtype=torch.int64)
    labels[:15_203] = 0
    assert top1(scores, labels, expected_labels=labels.tolist()) == 100 * 15_203 / 19_881


@ALL
def test_more_videos_than_expected_are_refused(accuracy: Accuracy) -> None:
    for expected in ([0], [0, 1]):  # too few, and too few of class 0
        with pytest.raises(ValueError, match="more videos of a class were scored than expected"):
            accuracy(torch.zeros(2, 3), torch.tensor([0, 0]), expected_labels=expected)


def test_coverage_refuses_more_videos_than_expected() -> None:
    with pytest.raises(ValueError):
        coverage(1, 2)


def test_mean_class_accuracy_weighs_classes_not_videos(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, labels = drawn
    hit = torch.tensor(hits(scores, labels, 1))
    by_class = [float(hit[labels == c].double().mean()) for c in range(9)]
    found = mean_class_accuracy(scores, labels, expected_labels=labels.tolist())
    assert found == pytest.approx(100 * sum(by_class) / 9, rel=1e-6)
    assert found != pytest.approx(top1(scores, labels, expected_labels=labels.tolist()), rel=1e-6)


def test_mean_class_accuracy_counts_failed_videos_and_leaves_out_classes_without_any() -> None:
    scores = torch.eye(5)[[0, 0, 2, 2]]  # four of six videos were read, all of them right
    assert mean_class_accuracy(scores, torch.tensor([0, 0, 2, 2]), expected_labels=[0, 0, 2, 2, 2, 2]) == 75


def test_coverage_counts_what_could_not_be_read() -> None:
    assert coverage(10, 7) == {"videos_expected": 10, "videos_decoded": 7, "videos_failed": 3}


def test_measure_gives_every_accuracy_of_the_table_by_name(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, labels = drawn
    expected = labels.tolist()
    measured = measure(scores, labels, iter(expected), accuracies())
    assert measured == {
        "top1": top1(scores, labels, expected_labels=expected),
        "top5": top5(scores, labels, expected_labels=expected),
        "mean_class_accuracy": mean_class_accuracy(scores, labels, expected_labels=expected),
    }
    assert all(type(value) is float for value in measured.values())
    assert list(measure(scores, labels, expected, ["mean_class_accuracy"])) == ["mean_class_accuracy"]
