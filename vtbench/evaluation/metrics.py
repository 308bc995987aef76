"""Accuracies in percent, against the videos that were to be tested: one that could not be read is a miss.

N videos that were scored, C classes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy


def accuracy(scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected: int) -> dict[str, float]:
    """`top1` and `top5` in percent of the `expected` videos, of which N were scored.

    With fewer than five classes every scored video is a hit of top-5. Nothing scored gives 0.
    """
    if expected < len(labels):
        raise ValueError(f"{len(labels)} videos were scored, only {expected} expected")
    return {f"top{k}": _percent(_hits(scores, labels, k), expected) for k in (1, 5)}


def mean_class_accuracy(
    scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected_labels: Iterable[int]
) -> float:
    """Mean over the classes of the top-1 accuracy within the class, in percent.

    `expected_labels` are those of all videos that were to be tested, scored or not; classes without any are left out.
    """
    expected = torch.bincount(torch.as_tensor(list(expected_labels), dtype=torch.int64))
    scored = torch.bincount(labels, minlength=len(expected))
    if len(scored) > len(expected) or bool((scored > expected).any()):
        raise ValueError("more videos of a class were scored than expected")
    if not len(labels):
        return 0.0
    recall = multiclass_accuracy(scores, labels, num_classes=scores.shape[1], average="none").double()
    present = expected.nonzero().flatten()
    hits = recall[present] * scored[present]  # recall is over the scored videos; the expected ones are what counts
    return float(100 * (hits / expected[present]).mean())


def measure(
    scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], *, expected_labels: Collection[int], names: Iterable[str]
) -> dict[str, float]:
    """Metrics by name."""
    found = accuracy(scores, labels, expected=len(expected_labels))
    return {
        name: found[name] if name in found else mean_class_accuracy(scores, labels, expected_labels=expected_labels)
        for name in names
    }


def coverage(expected: int, decoded: int) -> dict[str, int]:
    """How many of the videos were read: `videos_expected`, `videos_decoded`, `videos_failed`."""
    if not 0 <= decoded <= expected:
        raise ValueError(f"{decoded} videos were decoded, {expected} expected")
    return {"videos_expected": expected, "videos_decoded": decoded, "videos_failed": expected - decoded}


def _hits(scores: Tensor, labels: Tensor, k: int) -> int:
    if not len(labels):
        return 0
    classes = scores.shape[1]
    share = multiclass_accuracy(scores, labels, num_classes=classes, top_k=min(k, classes), average="micro")
    return round(float(share) * len(labels))  # torchmetrics gives a float32 share; the count behind it is whole


def _percent(hits: int, videos: int) -> float:
    return 100 * hits / videos if videos else 0.0
