"""Accuracies in percent, against the videos that were to be tested: one that could not be read is a miss.

N videos that were scored, C classes. Each accuracy has the signature that vtbench.metrics describes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy


def top1(scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected_labels: Iterable[int]) -> float:
    """Share of the expected videos whose label has the highest score, in percent; 0 where none was expected.

    Raises ValueError where more videos of a class were scored than expected.
    """
    return _top_k(scores, labels, expected_labels, k=1)


def top5(scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected_labels: Iterable[int]) -> float:
    """Share of the expected videos whose label is among the five highest scores, in percent.

    With at most five classes every scored video is a hit. Otherwise as `top1`.
    """
    return _top_k(scores, labels, expected_labels, k=5)


def mean_class_accuracy(
    scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected_labels: Iterable[int]
) -> float:
    """Mean over the classes of the top-1 accuracy within the class, in percent.

    Classes of which no video was expected are left out. Raises ValueError as `top1`.
    """
    scored, expected = _videos_by_class(labels, expected_labels)
    if not len(labels):
        return 0.0
    recall = multiclass_accuracy(scores, labels, num_classes=scores.shape[1], average="none").double()
    present = expected.nonzero().flatten()
    hits = recall[present] * scored[present]  # recall is over the scored videos; the expected ones are what counts
    return float(100 * (hits / expected[present]).mean())


def coverage(expected: int, decoded: int) -> dict[str, int]:
    """How many of the videos were read: `videos_expected`, `videos_decoded`, `videos_failed`."""
    if not 0 <= decoded <= expected:
        raise ValueError(f"{decoded} videos were decoded, {expected} expected")
    return {"videos_expected": expected, "videos_decoded": decoded, "videos_failed": expected - decoded}


def _top_k(scores: Tensor, labels: Tensor, expected_labels: Iterable[int], *, k: int) -> float:
    _, expected = _videos_by_class(labels, expected_labels)
    if not len(labels):
        return 0.0
    classes = scores.shape[1]
    share = multiclass_accuracy(scores, labels, num_classes=classes, top_k=min(k, classes), average="micro")
    hits = round(float(share) * len(labels))  # torchmetrics gives a float32 share; the count behind it is whole
    return 100 * hits / int(expected.sum())


def _videos_by_class(labels: Tensor, expected_labels: Iterable[int]) -> tuple[Tensor, Tensor]:
    """How many videos of each class were scored, and how many were expected."""
    expected = torch.bincount(torch.as_tensor(list(expected_labels), dtype=torch.int64))
    scored = torch.bincount(labels, minlength=len(expected))
    if len(scored) > len(expected) or bool((scored > expected).any()):
        raise ValueError("more videos of a class were scored than expected")
    return scored, expected
