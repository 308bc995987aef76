from __future__ import annotations

import pytest
import torch

from vtbench.evaluation.metrics import accuracy, coverage, mean_class_accuracy


@pytest.fixture
def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (200,), generator=generator)
    scores = torch.randn(200, 9, generator=generator) + 2 * torch.nn.functional.one_hot(labels, 9)
    return scores, labels


def hits(scores: torch.Tensor, labels: torch.Tensor, k: int) -> list[bool]:
    """The plain loop: how many classes score above the label's?"""
    return [bool((row > row[label]).sum() < k) for row, label in zip(scores, labels, strict=True)]


def test_accuracy_counts_videos_whose_label_is_among_the_highest(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, labels = drawn
    found = accuracy(scores, labels, expected=200)
    assert found == {"top1": sum(hits(scores, labels, 1)) / 2, "top5": sum(hits(scores, labels, 5)) / 2}
    assert 11 < found["top1"] < found["top5"] < 100


@pytest.mark.parametrize("failed", [1, 50, 200])
def test_a_video_that_failed_is_a_miss(drawn: tuple[torch.Tensor, torch.Tensor], failed: int) -> None:
    scores, labels = drawn
    whole, part = accuracy(scores, labels, expected=200), accuracy(scores, labels, expected=200 + failed)
    for name in ("top1", "top5"):
        assert part[name] == pytest.approx(whole[name] * 200 / (200 + failed))


@pytest.mark.parametrize("classes", [2, 4, 5])
def test_top5_of_at_most_five_classes_counts_every_video_that_could_be_read(classes: int) -> None:
    scores, labels = torch.randn(12, classes), torch.arange(12) % classes
    assert accuracy(scores, labels, expected=12)["top5"] == 100
    assert accuracy(scores, labels, expected=16)["top5"] == 75


def test_no_video_read_is_no_hit() -> None:
    nothing = torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64)
    assert accuracy(*nothing, expected=4) == {"top1": 0, "top5": 0}
    assert mean_class_accuracy(*nothing, expected_labels=[0, 1]) == 0


def test_accuracies_are_the_count_not_its_float32_share() -> None:
    scores = torch.zeros(19_881, 3)
    scores[:, 0] = 1
    labels = torch.ones(19_881, dtype=torch.int64)
    labels[:15_203] = 0
    assert accuracy(scores, labels, expected=19_881)["top1"] == 100 * 15_203 / 19_881


def test_more_videos_than_expected_are_refused() -> None:
    with pytest.raises(ValueError):
        accuracy(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), expected=1)
    with pytest.raises(ValueError):
        mean_class_accuracy(torch.zeros(2, 3), torch.tensor([0, 0]), expected_labels=[0, 1])
    with pytest.raises(ValueError):
        coverage(1, 2)


def test_mean_class_accuracy_weighs_classes_not_videos(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, labels = drawn
    hit = torch.tensor(hits(scores, labels, 1))
    by_class = [float(hit[labels == c].double().mean()) for c in range(9)]
    found = mean_class_accuracy(scores, labels, expected_labels=labels.tolist())
    assert found == pytest.approx(100 * sum(by_class) / 9, rel=1e-6)
    assert found != pytest.approx(accuracy(scores, labels, expected=200)["top1"], rel=1e-6)


def test_mean_class_accuracy_counts_failed_videos_and_leaves_out_classes_without_any() -> None:
    scores = torch.eye(5)[[0, 0, 2, 2]]  # four of six videos were read, all of them right
    assert mean_class_accuracy(scores, torch.tensor([0, 0, 2, 2]), expected_labels=[0, 0, 2, 2, 2, 2]) == 75


def test_coverage_counts_what_could_not_be_read() -> None:
    assert coverage(10, 7) == {"videos_expected": 10, "videos_decoded": 7, "videos_failed": 3}
